"""What a mail server wants a person to read: ``[ALERT]`` (RFC 9051 §7.1).

Providers repeat an alert at every login, and every mailbox logs in by itself, so
a text is told once. The account's events can carry the latest one.
"""

from __future__ import annotations

from twisted.logger import Logger

from mailnotify.core.text import clean

MOST_TEXTS = 32
"""Some hold a time or a counter, and would be new for ever."""


class Alerts:
    """The alerts of one account; called with each.

    Attributes:
        latest: the last text; empty if there was none.
    """

    __slots__ = ("_account", "_told", "latest")

    _log = Logger()

    def __init__(self, account: str) -> None:
        self._account = account
        self._told: dict[str, None] = {}
        self.latest = ""

    def __call__(self, said: str) -> None:
        """Tell a person, unless they were told."""
        self.latest = said
        is_known = said in self._told
        self._told.pop(said, None)
        self._told[said] = None  # behind all others
        if is_known:
            return
        if len(self._told) > MOST_TEXTS:
            del self._told[next(iter(self._told))]
        account = clean(self._account, 64)
        self._log.warn("the server of {account} says: {said}", account=account, said=said)
