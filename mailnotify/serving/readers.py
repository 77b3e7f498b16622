"""The named readers: their positions are kept here, for those who cannot keep one.

A position moves by ``ACK`` only, and never back. It reaches the journal within a
second or so, all that have moved in one transaction: an acknowledgement that a
crash takes back means an event that is told twice, never one that is lost.

A name belongs to its owner, and is used by one connection at a time: a new one
takes over, since the old one is mostly a connection that died without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from twisted.logger import Logger

from mailnotify.core.events import Position
from mailnotify.core.reader import ReaderMark
from mailnotify.errors import JournalUnwritable
from mailnotify.interfaces import IJournal

Key = tuple[str, str]
"""Owner and name."""


class Claim:
    """A connection's hold on a name.

    Attributes:
        seq: the last entry that was acknowledged; None for a name not known before.
    """

    __slots__ = ("key", "send_away", "seq")

    def __init__(self, key: Key, seq: int | None, send_away: Callable[[], object]) -> None:
        self.key = key
        self.seq = seq
        self.send_away = send_away


class Readers:
    """All named readers of a service.

    Args:
        now: the time in UTC, for the expiry of idle names.
        most: so many names are kept.
    """

    _log = Logger()

    def __init__(self, journal: IJournal, *, now: Callable[[], datetime], most: int) -> None:
        self._journal = journal
        self._now = now
        self._most = most
        self._claims: dict[Key, Claim] = {}
        self._moved: dict[Key, int] = {}
        self._is_unkept = False

    def claim(self, key: Key, send_away: Callable[[], object]) -> Claim | None:
        """Take a name over, from another connection if need be; None if there is no room.

        Args:
            send_away: called when somebody else takes it over.

        Raises:
            JournalUnreadable: the journal is damaged.
        """
        seq = self._moved.get(key)
        if seq is None:
            seq = self._journal.reader(*key)
        if seq is None and self._journal.count_readers() + len(self._moved) >= self._most:
            return None
        before = self._claims.pop(key, None)
        claim = self._claims[key] = Claim(key, seq, send_away)
        if before is not None:
            before.send_away()
        return claim

    def begin(self, claim: Claim, position: Position) -> None:
        """A name that is new starts here; where that is nowhere, it starts with its first ACK."""
        here = position.epoch == self._journal.epoch and position.seq <= self._journal.head
        if claim.seq is None and here:
            claim.seq = self._moved[claim.key] = position.seq

    def acknowledge(self, claim: Claim, seq: int) -> None:
        """Everything up to here is done with."""
        if claim.seq is None or seq > claim.seq:
            claim.seq = self._moved[claim.key] = seq

    def release(self, claim: Claim) -> None:
        """The connection is gone; its idle time begins."""
        if self._claims.get(claim.key) is claim:
            del self._claims[claim.key]
            if claim.seq is not None:
                self._moved.setdefault(claim.key, claim.seq)

    def flush(self) -> None:
        """Write what has moved; if the disk refuses, it is tried again the next time."""
        if not self._moved:
            return
        marks = [
            ReaderMark(owner=owner, name=name, seq=seq)
            for (owner, name), seq in self._moved.items()
        ]
        try:
            self._journal.keep_readers(marks, self._now())
        except JournalUnwritable as failure:
            if not self._is_unkept:
                self._is_unkept = True
                self._log.warn("positions of readers wait: {why}", why=failure.explain())
            return
        self._is_unkept = False
        self._moved = {}

    def forget(self, days: float) -> int:
        """Forget names that nobody has used for so long; return how many."""
        for key, claim in self._claims.items():
            if claim.seq is not None:
                self._moved.setdefault(key, claim.seq)
        self.flush()
        return self._journal.forget_readers(self._now() - timedelta(days=days))
