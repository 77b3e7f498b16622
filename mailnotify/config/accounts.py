"""One account: its table of the document becomes a value of the schema.

Where something is wrong, a stand-in takes the place of the value, so that the
rest of the account is read too and every problem is found; whoever reads a
document with problems raises them and never uses what was read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from email.utils import getaddresses

from msgspec import structs

from mailnotify.config.choices import read_secret, read_trust
from mailnotify.config.connecting import Compress
from mailnotify.config.oauth import read_oauth
from mailnotify.config.origin import Origin
from mailnotify.config.providers import BY_NAME, PROVIDERS, Provider, keeps_sent
from mailnotify.config.schema import (
    Account,
    Literal,
    OAuth,
    OAuthClient,
    Secret,
    Security,
    Server,
    Submission,
    SystemTrust,
    Timing,
)
from mailnotify.config.servers import IMAP, SMTP, Scheme, example, read_url
from mailnotify.config.tables import Table, kind, shown
from mailnotify.core.patterns import EXCEPTION, read_wanted

_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_TAME = re.compile(r"[A-Za-z0-9. _-]{1,32}")
_MOST_NAME_CHARACTERS = 64
"""The name stands in every event and in many a line of the log."""

_MOST_MAILBOX_CHARACTERS = 300
"""Also in modified UTF-7 it fits into a command."""

_NO_SERVER = Server(host="", port=0, security=Security.IMPLICIT_TLS, user="")
_NO_SECRET = Literal(text="")

_FROM_ELSEWHERE = {
    **dict.fromkeys(("host", "hostname", "port", "imap", "url"), "Write it into `server`."),
    **dict.fromkeys(("username", "login", "email", "address"), "Write it as `user`."),
    **dict.fromkeys(("folder", "folders", "boxes"), "Write it as `mailboxes`."),
    **dict.fromkeys(("tls", "ssl", "starttls"), "The scheme of `server` says it."),
    **dict.fromkeys(("verify", "insecure", "cert", "ca_file", "fingerprint"), "See `trust`."),
    **dict.fromkeys(
        ("command", "passwordeval", "password_command", "password_file", "secret", "pass"),
        "Write it as `password`.",
    ),
    **dict.fromkeys(("smtp", "sender"), "It belongs in [accounts.NAME.submission]."),
}
"""What other programs call it."""


def read_account(name: str, table: Table, timing: Timing, origin: Origin) -> Account:
    """Read one account, with a stand-in for every value that is wrong.

    Args:
        timing: what [timing] sets for all accounts.
    """
    _check_name(name, table)
    provider = _provider(table)
    user = table.text("user", "the login at the server") or ""
    server = _imap_server(table, provider, user)
    password, oauth = _proof(table, origin)
    account = Account(
        name=name,
        server=server,
        password=password,
        oauth=oauth,
        mailboxes=_mailboxes(table),
        announce_copies=table.is_true("announce_copies"),
        **table.plain(Account, "connections", "preview_bytes", "backfill_days"),
        trust=read_trust(table, "trust", origin) or SystemTrust(),
        compress=_compress(table),
        timing=read_timing(table, timing),
    )
    _check_trust(table, provider)
    sends = _submission(table, account, provider, user or server.user, origin)
    table.close(_FROM_ELSEWHERE)
    return structs.replace(account, submission=sends)


def read_timing(above: Table, defaults: Timing) -> Timing:
    """The table `timing`, merged over what holds for all accounts."""
    table = above.table("timing")
    own = table.plain(Timing)
    table.close()
    timing = structs.replace(defaults, **own)
    if own and timing.first_retry_seconds > timing.longest_retry_seconds:
        table.complain(
            "longest_retry_seconds",
            f"{timing.longest_retry_seconds:g}",
            f"at least first_retry_seconds, which is {timing.first_retry_seconds:g}",
        )
    return timing


def _compress(table: Table) -> Compress:
    expected = '"auto" or "off"'
    found = table.text("compress", expected)
    if found is not None and found not in set(Compress):
        table.complain("compress", "a text", expected)
        return Compress.AUTO
    return Compress(found or Compress.AUTO)


def _check_name(name: str, table: Table) -> None:
    if not name.strip() or not name.isprintable() or len(name) > _MOST_NAME_CHARACTERS:
        table.complain("", "this name", f"1 to {_MOST_NAME_CHARACTERS} printable characters")


def _provider(table: Table) -> Provider | None:
    found = table.text("provider", "the name of a provider")
    if found is None:
        return None
    if found.lower() in BY_NAME:
        return BY_NAME[found.lower()]
    close = get_close_matches(found.lower(), sorted(BY_NAME), n=1)
    table.complain(
        "provider",
        shown(found) if _TAME.fullmatch(found) else "a text",
        f"one of {', '.join(each.names[0] for each in PROVIDERS)}",
        f"Did you mean `{close[0]}`?" if close else "Name any other by its `server`.",
    )
    return None


def _imap_server(table: Table, provider: Provider | None, user: str) -> Server:
    if "server" in table and "provider" in table:
        table.complain("provider", "a provider besides a server", "one of the two")
    if "server" in table or "provider" not in table:
        server = _server(table, IMAP, user)
        if user and server.user not in {user, ""}:
            table.complain("user", "a user besides the one in `server`", "one of the two")
        return server
    if not user and "user" not in table:
        table.complain("user", "nothing", "the login, usually the whole address")
    return provider.imap_server(user) if provider and user else _NO_SERVER


def _server(table: Table, schemes: Mapping[str, Scheme], user: str) -> Server:
    url = table.text("server", example(schemes))
    if url is not None:
        server = read_url(url, schemes, user)
        if isinstance(server, Server):
            return server
        table.complain("server", *server)
    elif "server" not in table:
        table.complain("server", "nothing", example(schemes), "Or name a `provider` and a `user`.")
    return _NO_SERVER


def _proof(table: Table, origin: Origin) -> tuple[Secret | None, OAuth | None]:
    """What logs in: exactly one of `password` and `oauth` is not None."""
    password, oauth = _proofs(table, origin)
    if "password" not in table and "oauth" not in table:
        hint = "Or `oauth`; see `mailnotify sample-config`."
        table.complain("password", "nothing", "a secret", hint)
    return (None, oauth) if oauth else (password or _NO_SECRET, None)


def _proofs(table: Table, origin: Origin) -> tuple[Secret | None, OAuth | None]:
    if "password" in table and "oauth" in table:
        table.complain("oauth", "OAuth2 besides a password", "one of the two")
    return read_secret(table, "password", origin), read_oauth(table, origin)


def _mailboxes(table: Table) -> tuple[str, ...]:
    found = table.value("mailboxes")
    if found is None:
        return ("INBOX",)
    if not isinstance(found, list) or not found:
        table.complain("mailboxes", kind(found), 'a list of names, as in ["INBOX", "Lists"]')
        return ()
    for each in found:
        _check_mailbox(table, each)
    names = [canonical(each) for each in found if isinstance(each, str)]
    for name, count in Counter(names).items():
        if count > 1:
            table.complain("mailboxes", f"{shown(name)} {count} times", "each mailbox once")
    wanted = read_wanted(names)
    if wanted.exceptions and not wanted.patterns:
        table.complain(
            "mailboxes",
            f"the exception {shown(EXCEPTION + wanted.exceptions[0])} without a pattern",
            'a pattern from which to except it, as in ["Lists/*", "!Lists/spam"]',
        )
    return tuple(names)


def _check_mailbox(table: Table, found: object) -> None:
    expected = "names of mailboxes, or patterns"
    if not isinstance(found, str) or not found or not found.isprintable():
        table.complain("mailboxes", f"{kind(found)} in the list", expected)
    elif not found.removeprefix(EXCEPTION):
        table.complain("mailboxes", f"a lone {EXCEPTION}", f"{EXCEPTION} and a name or a pattern")
    elif len(found) > _MOST_MAILBOX_CHARACTERS:
        table.complain(
            "mailboxes",
            f"a name of {len(found)} characters",
            f"at most {_MOST_MAILBOX_CHARACTERS}",
        )


def canonical(mailbox: str) -> str:
    """RFC 9051 §5.1: INBOX is the one name whose case means nothing."""
    return "INBOX" if mailbox.upper() == "INBOX" else mailbox


def _check_trust(table: Table, provider: Provider | None) -> None:
    if provider and provider.signs_itself and "trust" not in table:
        table.complain(
            "trust", "nothing", 'one of {ca_file = "PATH"}, {fingerprint = "HEX"}', provider.note
        )


def _submission(
    above: Table, account: Account, provider: Provider | None, user: str, origin: Origin
) -> Submission | None:
    """How the account sends: by its own table, else by its provider, else not at all."""
    table = above.table("submission")
    if "submission" not in above and not (provider and _ADDRESS.fullmatch(user)):
        return None
    if "provider" in above and "server" not in table:
        table.value("server")
        server = provider.smtp_server(user) if provider and user else _NO_SERVER
    else:
        server = _server(table, SMTP, user)
    password, oauth = _submission_proof(table, account, origin)
    submission = Submission(
        server=server,
        sender=_sender(table, server.user or user),
        password=password,
        oauth=oauth,
        trust=read_trust(table, "trust", origin) or account.trust,
        identities=_identities(table),
        sent_copy=_sent_copy(table, server),
    )
    table.close()
    return submission


def _identities(table: Table) -> tuple[str, ...]:
    expected = 'a list of addresses, as in ["Ada <ada@example.net>"]'
    found = table.value("identities")
    if found is None:
        return ()
    if not isinstance(found, list):
        table.complain("identities", kind(found), expected)
        return ()
    good = [each for each in found if isinstance(each, str) and _is_sender(each)]
    if len(good) < len(found):
        table.complain("identities", "a value that is no address", expected)
    return tuple(good)


def _sent_copy(table: Table, server: Server) -> str:
    mailbox = table.text("sent_copy", '"auto", "never" or a mailbox') or "auto"
    return "never" if mailbox == "auto" and keeps_sent(server) else mailbox


def _submission_proof(
    table: Table, account: Account, origin: Origin
) -> tuple[Secret | None, OAuth | None]:
    password, oauth = _proofs(table, origin)
    if not (password or oauth):
        return account.password, account.oauth
    clients = {each for each in (account.oauth, oauth) if isinstance(each, OAuthClient)}
    if len(clients) > 1:
        # An account has one grant: whose would `mailnotify login` fetch?
        expected = "no `oauth` here, or a `token_command`"
        table.complain("oauth", "another OAuth2 client than the account's", expected)
    return (None, oauth) if oauth else (password, None)


def _sender(table: Table, user: str) -> str:
    expected = "an address, or `Name <address>`"
    sender = table.text("sender", expected)
    if sender is None:
        if user and "sender" not in table and not _ADDRESS.fullmatch(user):
            table.complain("sender", "nothing", expected, "The login is no address.")
        return user
    if not _is_sender(sender):
        table.complain("sender", "a text that is no address", expected)
    return sender


def _is_sender(text: str) -> bool:
    addresses = getaddresses([text])
    return (
        text.isprintable()
        and len(addresses) == 1
        and _ADDRESS.fullmatch(addresses[0][1]) is not None
    )
