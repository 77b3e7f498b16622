"""``mailnotify token``: who may read port 5050 from elsewhere.

``add`` makes a token and prints it once: only its hash is kept, in the state
directory. ``list`` shows what there is, ``revoke`` ends it. A running service sees
each change within a second or so, and sends away who came by a revoked token.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, TextIO

import msgspec
from msgspec import Meta
from OpenSSL.crypto import FILETYPE_PEM, Error, load_certificate
from twisted.python import usage

from mailnotify.access.token import ID_BYTES, SALT_BYTES, SECRET_BYTES, Offer, Token, hashed
from mailnotify.access.token_file import TokenFile
from mailnotify.config import files
from mailnotify.config.accounts import canonical
from mailnotify.core.events import KINDS
from mailnotify.core.patterns import EXCEPTION, read_wanted
from mailnotify.core.text import clean
from mailnotify.taps.configured import ConfiguredOptions, SubOptions
from mailnotify.taps.listening import TOKENS

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})(h|d|w)")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_MOST_PEM_BYTES: Final = 1_000_000
_NAMES_BYTES: Final = 1000
"""As many names as one line of a complaint shows."""


class AddOptions(SubOptions):
    """What a new token may do."""

    synopsis = "NAME [--accounts A,B] [--mailboxes A,B] [--kinds A,B] [--read-only] [--send] …"
    optParameters = [
        ["accounts", "a", None, "Only these accounts, with commas between them; default all."],
        ["mailboxes", "m", None, "Only these: names, patterns (Lists/*), exceptions (!Lists/x)."],
        ["kinds", "k", None, "Only events of these kinds, such as mail."],
        ["expires", "e", None, "After 12h, 90d or 8w, or at a time such as 2027-01-31T08:00:00Z."],
        ["certificate", None, None, "A client's certificate (PEM), in place of a secret."],
    ]
    optFlags = [
        ["read-only", "r", "It may not keep a position on the server."],
        ["send", None, "It may send letters from those accounts."],
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Let the name stand before its options, as people write it."""
        words = list(options or ())
        if words and not words[0].startswith("-"):
            words.append(words.pop(0))
        super().parseOptions(words)

    def parseArgs(self, *words: str) -> None:
        """The name that is shown in logs and lists."""
        name = _only(words)
        if not _NAME.fullmatch(name):
            raise usage.UsageError(
                f"found the name {name!r}, expected letters, digits, '.', '_' or '-', at most 64"
            )
        self["name"] = name

    def postOptions(self) -> None:
        """Read the values."""
        if self["read-only"] and self["send"]:
            raise usage.UsageError("found --read-only and --send, expected one of them")
        self["until"] = _expiry(self["expires"], datetime.now(UTC))
        self["fingerprint"] = _fingerprint(self["certificate"]) if self["certificate"] else ""
        for name in ("accounts", "mailboxes", "kinds"):
            self[name] = _words(name, self[name])
        _expect_known("kinds", self["kinds"], sorted(KINDS))
        self["mailboxes"] = tuple(map(canonical, self["mailboxes"]))
        wanted = read_wanted(self["mailboxes"])
        if wanted.exceptions and not wanted.patterns:
            found = EXCEPTION + wanted.exceptions[0]
            raise usage.UsageError(f"--mailboxes: found {found!r}, expected a pattern beside it")


class RevokeOptions(SubOptions):
    """Which one ends."""

    synopsis = "NAME-OR-ID"

    def parseArgs(self, *words: str) -> None:
        """A name, or an id as `list` shows it."""
        self["which"] = _only(words)


class ListOptions(SubOptions):
    """Nothing to choose."""


class Options(ConfiguredOptions):
    """The command line of `mailnotify token`."""

    synopsis = "[--config FILE] add NAME … | list | revoke NAME"
    subCommands = [
        ["add", None, AddOptions, "Make a token and print it once."],
        ["list", None, ListOptions, "Show the tokens, without their secrets."],
        ["revoke", None, RevokeOptions, "End a token now."],
    ]

    def postOptions(self) -> None:
        """Load the configuration for its state directory."""
        if self.subCommand is None:
            raise usage.UsageError("expected add, list or revoke; see --help")
        super().postOptions()
        if self.subCommand == "add":
            accounts = [account.name for account in self["loaded"].accounts]
            _expect_known("accounts", self.subOptions["accounts"], accounts)


def run(options: Options) -> int:
    """Do what was asked for; return the exit code."""
    tokens = TokenFile(Path(options["loaded"].state_dir) / TOKENS)
    return _ACTIONS[str(options.subCommand)](tokens, options.subOptions, sys.stdout)


def add(tokens: TokenFile, options: usage.Options, out: TextIO) -> int:
    """Make a token; the only line on stdout is what its owner has to keep.

    Raises:
        OSError: it cannot be written, and there is no token.
    """
    offer = Offer(id=secrets.token_hex(ID_BYTES), secret=secrets.token_bytes(SECRET_BYTES))
    token = Token(
        id=offer.id,
        name=options["name"],
        made=datetime.now(UTC).replace(microsecond=0),
        expires=options["until"],
        hash=None
        if options["fingerprint"]
        else hashed(offer.secret, secrets.token_bytes(SALT_BYTES)),
        certificate=options["fingerprint"],
        accounts=options["accounts"],
        mailboxes=options["mailboxes"],
        kinds=options["kinds"],
        is_read_only=bool(options["read-only"]),
        may_send=bool(options["send"]),
    )
    with tokens.changing() as known:
        if any(each.name == token.name for each in known):
            _say(f"there is a token {token.name} already; revoke it first")
            return os.EX_DATAERR
        known.append(token)
        if token.hash is not None:
            _say(f"this is the token of {token.name}; it is shown once, so keep it now:")
            print(offer, file=out, flush=True)  # what nobody could see is not kept
    if token.hash is None:
        _say(f"who shows that certificate is {token.name} from now on (AUTH EXTERNAL)")
    return os.EX_OK


def show(tokens: TokenFile, _options: usage.Options, out: TextIO) -> int:
    """One line for each."""
    now = datetime.now(UTC)
    for token in sorted(tokens.read(), key=lambda each: each.name):
        print(_line(token, now), file=out)
    return os.EX_OK


def revoke(tokens: TokenFile, options: usage.Options, _out: TextIO) -> int:
    """Take it out of the file."""
    which = options["which"]
    with tokens.changing() as known:
        left = [each for each in known if which not in (each.name, each.id)]
        is_found = len(left) < len(known)
        known[:] = left
    if not is_found:
        _say(f"there is no token {which!r}; see `mailnotify token list`")
        return os.EX_DATAERR
    return os.EX_OK


def _expect_known(option: str, found: Sequence[str], known: Sequence[str]) -> None:
    """A token for what there is not would open nothing.

    Raises:
        UsageError: one of them is not known.
    """
    for name in found:
        if name not in known:
            raise usage.UsageError(
                f"--{option}: found {name!r}, expected {clean(', '.join(known), _NAMES_BYTES)}"
            )


_Action = Callable[[TokenFile, usage.Options, TextIO], int]
_ACTIONS: Final[dict[str, _Action]] = {"add": add, "list": show, "revoke": revoke}


def _line(token: Token, now: datetime) -> str:
    parts = [f"{token.name:20} {token.id} since {token.made:%Y-%m-%d}"]
    if token.expires is not None:
        verb = "until" if token.is_valid(now) else "EXPIRED"
        parts.append(f"{verb} {token.expires:%Y-%m-%dT%H:%MZ}")
    if token.certificate:
        parts.append(f"certificate {token.certificate[:16]}…")
    parts += [
        f"{word} {','.join(getattr(token, word))}"
        for word in ("accounts", "mailboxes", "kinds")
        if getattr(token, word)
    ]
    parts += ["read-only"] * token.is_read_only + ["may send"] * token.may_send
    return "  ".join(parts)


def _only(words: tuple[str, ...]) -> str:
    if len(words) != 1:
        raise usage.UsageError(f"expected one name, found {len(words)}")
    return words[0]


def _words(option: str, text: str | None) -> tuple[str, ...]:
    """What stands between commas; none at all where nothing was said.

    Raises:
        UsageError: it was said, and is empty: from a variable that is not set, perhaps.
    """
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    if text is not None and not words:
        raise usage.UsageError(f"--{option}: found nothing, expected names; leave it out for all")
    return words


def _expiry(text: str | None, now: datetime) -> datetime | None:
    """A span from now, or a moment.

    Raises:
        UsageError: it is neither, or it has passed.
    """
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    if span:
        return now.replace(microsecond=0) + timedelta(hours=int(span[1]) * _HOURS[span[2]])
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise usage.UsageError(
            f"--expires: found {text!r}, expected 12h, 90d, 8w or a time with its zone"
        ) from None
    if moment <= now:
        raise usage.UsageError(f"--expires: found {text!r}, which has passed")
    return moment


def _fingerprint(name: str) -> str:
    """The SHA-256 of the certificate in a file.

    Raises:
        UsageError: there is none.
    """
    try:
        data = files.read(Path(name), _MOST_PEM_BYTES).data
        certificate = load_certificate(FILETYPE_PEM, data)
    except (OSError, Error, ValueError) as error:
        raise usage.UsageError(f"--certificate: no certificate in {name}") from error
    return certificate.digest("sha256").decode().replace(":", "").lower()


def _say(sentence: str) -> None:
    print(f"mailnotify: {sentence}", file=sys.stderr)
