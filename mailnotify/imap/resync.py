"""What becomes of messages elsewhere: read, or removed (QRESYNC, RFC 7162).

Once it is enabled, a server names messages by UID in whatever it tells of them:
live, and when a mailbox is opened all that happened since a mod-sequence that we
remember. It is told on at once while we listen, and in one piece when a mailbox
was opened.

A server may still speak of the mailbox that was open when we open another one,
until it says CLOSED (§3.2.11). That is passed over: it will be told again when
that mailbox is opened the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailnotify.core.sync import Cursor
from mailnotify.imap.commands import Command, uid_set
from mailnotify.imap.responses import (
    Enabled,
    FetchData,
    NumberSet,
    Response,
    StatusResponse,
    Vanished,
)

Told = Callable[[NumberSet, bool], None]
"""Takes UIDs of the open mailbox, and whether they are gone; else they were read."""

_MOST_KNOWN_BYTES = 4000
"""Of the UIDs that a server is asked about; more than that, and it tells of all."""


_MOST_CHANGES = 100_000
"""Kept while a mailbox is opened; what a server tells beyond that is not believed."""


class Resync:
    """The changes that one connection is told of.

    Attributes:
        is_enabled: the server tells.
    """

    __slots__ = (
        *("_gone", "_has_mailbox", "_is_closing", "_is_opening", "_seen", "_told", "is_enabled"),
    )

    def __init__(self) -> None:
        self.is_enabled = False
        self._told: Told | None = None
        self._is_closing = False
        self._is_opening = False
        self._has_mailbox = False
        self._seen: list[int] = []
        self._gone: list[NumberSet] = []

    def enable(self, told: Told) -> Command:
        """What to send before a mailbox is opened."""
        self._told = told
        return Command("ENABLE", b"QRESYNC", collect=self._enabled)

    def opening(self, since: Cursor | None, known: Sequence[int]) -> bytes:
        """The parameter of EXAMINE that asks for all changes since then."""
        self._is_opening, self._is_closing = True, self._has_mailbox
        self._has_mailbox = True
        self._seen, self._gone = [], []
        if not (self.is_enabled and since and since.modseq):
            return b""
        words = uid_set(known)
        known_uids = b" " + words if words and len(words) <= _MOST_KNOWN_BYTES else b""
        return b" (QRESYNC (%d %d%b))" % (since.uidvalidity, since.modseq, known_uids)

    def opened(self) -> None:
        """The mailbox is open: tell on what was told meanwhile."""
        self._is_opening = self._is_closing = False
        seen, self._seen = self._seen, []
        gone, self._gone = self._gone, []
        if seen:
            self._tell(NumberSet(tuple((uid, uid) for uid in sorted(set(seen)))), is_gone=False)
        for each in gone:
            self._tell(each, is_gone=True)

    def heard(self, response: Response) -> None:
        """Take one untagged response."""
        if isinstance(response, StatusResponse):
            if response.code is not None and response.code.name == "CLOSED":
                self._is_closing = False
        elif not self.is_enabled or self._is_closing:
            return
        elif isinstance(response, Vanished):
            self._note((), response.uids)
        elif isinstance(response, FetchData) and response.uid and is_read(response):
            self._note((response.uid,), None)

    def _enabled(self, response: Response) -> None:
        if isinstance(response, Enabled) and "QRESYNC" in response.names:
            self.is_enabled = True

    def _note(self, seen: tuple[int, ...], gone: NumberSet | None) -> None:
        if len(self._seen) < _MOST_CHANGES and len(self._gone) < _MOST_CHANGES:
            self._seen += seen
            self._gone += [] if gone is None else [gone]
        if not self._is_opening:
            self.opened()

    def _tell(self, uids: NumberSet, *, is_gone: bool) -> None:
        if self._told is not None:
            self._told(uids, is_gone)


def is_read(data: FetchData) -> bool:
    """Whether it tells of flags alone, \\Seen among them: no answer to a question of ours."""
    flags = data.flags or ()
    return not data.sections and "\\seen" in map(str.lower, flags)
