"""Whether a STATUS shows that messages were read or removed since a mailbox was last open.

It does not show which, so the mailbox has to be opened. Where there are mod-sequences
(CONDSTORE, RFC 7162), HIGHESTMODSEQ is another one than that of the cursor; else the
numbers of messages and of unread ones tell, as long as they do not make up for each other.
"""

from __future__ import annotations

from math import inf
from typing import Final

from mailnotify.core.sync import Cursor, MailboxStatus

PAUSE_SECONDS: Final = 30.0
"""Between two looks for this reason: while somebody reads there, it changes all the time."""


class Freshness:
    """Of one mailbox; outlives the connections on which it was looked at."""

    __slots__ = ("_begun_at", "_exists", "_looked", "_modseq", "_unseen")

    def __init__(self) -> None:
        self._exists = self._modseq = 0
        self._unseen: int | None = None
        self._looked: tuple[int, int | None, int] | None = None
        self._begun_at = -inf

    def hear(self, status: MailboxStatus) -> None:
        """The server speaks of the mailbox while it is not open."""
        self._exists, self._modseq = status.exists, status.modseq
        if status.unseen is not None:
            self._unseen = status.unseen

    def is_stale(self, cursor: Cursor) -> bool:
        """Whether it spoke of more than we have looked at."""
        exists, unseen, modseq = self._looked or (-1, None, 0)
        if self._modseq:
            return self._modseq not in (cursor.modseq, modseq)
        return (self._exists, self._unseen) != (exists, unseen)

    def is_due(self, now: float) -> bool:
        """Whether the last look for this reason is long enough ago."""
        return now - self._begun_at >= PAUSE_SECONDS

    def begin(self, now: float) -> None:
        """The mailbox is opened for this reason."""
        self._begun_at = now

    def looked(self) -> None:
        """The mailbox is open, and all that the server has spoken of is told."""
        self._looked = (self._exists, self._unseen, self._modseq)
