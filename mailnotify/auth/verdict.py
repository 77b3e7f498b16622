"""What a server means when it does not let us in: a wrong secret, or only "not now".

The difference decides how we go on. A wrong secret that is tried again and again
gets an account locked; a server that is busy has judged nothing, and will take
the same secret later. Servers say which by a response code (RFC 5530, RFC 9051
§7.1) or an SMTP status (RFC 4954 §6), and the largest ones by their words alone.
The words here are those that servers really say; tests/auth/test_verdict.py has
them with their origin.

A code counts more than words: Yandex puts "or IMAP is disabled" behind every
``[AUTHENTICATIONFAILED]``. Words that name the secret count more than words of
haste: QQ says both at once, to everybody.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from msgspec import Struct

LONGEST_WAIT_SECONDS: Final = 3600.0
"""A server that asks for more patience than this is asked again all the same."""


class Cause(enum.Enum):
    """Why there was no login."""

    WRONG = "the name or the secret is wrong"
    EXPIRED = "the secret has expired"
    APP_PASSWORD = "an app password is wanted"  # noqa: S105
    WEB_LOGIN = "a login by the browser is wanted first"
    SWITCHED_OFF = "this way to the mail is switched off"
    NOT_ALLOWED = "the user may not log in"
    ADMIN = "only an administrator can help"
    UNAVAILABLE = "the server cannot judge now"
    BUSY = "there are too many connections"
    THROTTLED = "the account is throttled"
    FULL = "the account is over its quota"

    @property
    def is_passing(self) -> bool:
        """Whether the same secret may be taken later."""
        return self in _PASSING


_PASSING: Final = {Cause.UNAVAILABLE, Cause.BUSY, Cause.THROTTLED, Cause.FULL}

_ADVICE: Final = {
    Cause.EXPIRED: "Set a new password at the provider, and give it to mailnotify.",
    Cause.APP_PASSWORD: "Make an app password in the provider's security settings, or use `oauth`.",
    Cause.WEB_LOGIN: "Log in once by the browser, and follow what the provider asks there.",
    Cause.SWITCHED_OFF: "Switch it on in the provider's settings; some want `oauth` instead.",
    Cause.NOT_ALLOWED: "Ask the provider why this user may not log in this way.",
    Cause.ADMIN: "Ask the administrator or the support of the provider.",
    Cause.BUSY: "Close other mail programs of this account, or watch fewer mailboxes.",
    Cause.FULL: "Make room in the account if its quota is used up; else wait.",
}

GRANT_ADVICE: Final = (
    "Check that IMAP and SMTP are allowed for this account and that `user` is the one who gave "
    "the access; then run `mailnotify login` again."
)


class Verdict(Struct, frozen=True, kw_only=True):
    """What a refusal means.

    Attributes:
        advice: what a person can do; empty if nothing better is known than the usual.
        wait_seconds: how long the server asks us to wait, if it does.
    """

    cause: Cause
    advice: str = ""
    wait_seconds: float | None = None


_CODES: Final = {
    "AUTHENTICATIONFAILED": Cause.WRONG,
    "AUTHORIZATIONFAILED": Cause.NOT_ALLOWED,
    "EXPIRED": Cause.EXPIRED,
    "CONTACTADMIN": Cause.ADMIN,
    "UNAVAILABLE": Cause.UNAVAILABLE,
    "SERVERBUG": Cause.UNAVAILABLE,
    "INUSE": Cause.BUSY,
    "LIMIT": Cause.BUSY,
    "OVERQUOTA": Cause.FULL,
    "THROTTLED": Cause.THROTTLED,
    "WEBALERT": Cause.WEB_LOGIN,
}

# In this order: the first that is found counts.
_WORDS: Final = (
    (Cause.APP_PASSWORD, r"app(lication)?[- ](specific )?password|authori[sz]ation code"),
    (Cause.WEB_LOGIN, r"via your web browser|web ?login required|log ?in (via|with|to) .*browser"),
    (Cause.EXPIRED, r"password (has )?expired|account (has )?expired"),
    (
        Cause.SWITCHED_OFF,
        r"(not|to|yet to) enabled? (for )?(imap|pop|smtp)|imap (access )?is (disabled|not enabled)"
        r"|(authentication|clientauthentication|auth) is disabled|service is not open\b(?!,)",
    ),
    (Cause.WRONG, r"(password|credentials?|token) (is |are |was )?(incorrect|wrong|invalid)"),
    (Cause.WRONG, r"(incorrect|wrong|invalid) (user ?name|login|password|credentials?)"),
    (Cause.NOT_ALLOWED, r"(user|account|mailbox) (is |was |has been )?(disabled|locked|suspended)"),
    (
        Cause.THROTTLED,
        r"throttled|rate limit|(too many|exceeded).*(login|attempts|failures|commands?|bandwidth)"
        r"|too many (auth|bad)|frequency limit",
    ),
    (Cause.BUSY, r"(too many|maximum|concurrent).*(connections|sessions)|connection limit"),
    (Cause.FULL, r"over ?quota|quota exceeded"),
    (
        Cause.UNAVAILABLE,
        r"temporar|try again later|unavailable|system error|internal (server )?error"
        r"|authenticated but not connected|maintenance|server is busy|overload|lookup failed",
    ),
)
_PATTERNS: Final = tuple((cause, re.compile(pattern, re.I)) for cause, pattern in _WORDS)

_BACKOFF: Final = re.compile(r"backoff time: ?([0-9]{1,12}) ?milliseconds", re.I)
"""Exchange Online, as in "Request is throttled. Suggested Backoff Time: 299923 milliseconds"."""


def judge(
    said: str, *, code: str = "", is_temporary: bool = False, has_token: bool = False
) -> Verdict:
    """Read a refused login.

    Args:
        said: the server's words, one line.
        code: the response code of IMAP, in upper case; empty if there was none.
        is_temporary: whether the reply itself says so (4yz in SMTP).
        has_token: whether an OAuth2 token was shown, not a password.
    """
    cause = _cause(said, code)
    if is_temporary and not cause.is_passing:
        cause = Cause.UNAVAILABLE
    advice = _ADVICE.get(cause, "")
    if has_token and cause is Cause.WRONG:
        advice = GRANT_ADVICE
    wait = _BACKOFF.search(said)
    wait_seconds = min(int(wait[1]) / 1000, LONGEST_WAIT_SECONDS) if wait else None
    return Verdict(cause=cause, advice=advice, wait_seconds=wait_seconds)


def sounds_passing(said: str) -> bool:
    """Whether words alone, with a reply that means "not understood", say "not now"."""
    return _cause(said, "").is_passing


def _cause(said: str, code: str) -> Cause:
    by_words = next((cause for cause, found in _PATTERNS if found.search(said)), None)
    by_code = _CODES.get(code)
    if by_code is Cause.WRONG and by_words in {Cause.APP_PASSWORD, Cause.WEB_LOGIN, Cause.EXPIRED}:
        return by_words  # mail.ru, Gmail: a wrong password, and what would be the right one
    return by_code or by_words or Cause.WRONG
