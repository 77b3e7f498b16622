"""The entries of one transaction, on their way into rows.

They are held back until all are there, or until somebody has to look at what was
stored: a look-up sees whole rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mailnotify.core.events import Event
from mailnotify.journal.batches import Batches
from mailnotify.journal.boxes import box_of


class Draft:
    """Entries that follow those of the journal.

    Attributes:
        seq: that of the next one.
        told: all that was stored.
    """

    def __init__(self, batches: Batches, head: int, at: datetime) -> None:
        self.seq = head + 1
        self.told: list[Event] = []
        self._batches = batches
        self._at = at
        self._waiting: list[Event] = []
        self._places: list[int] = []
        self._names: list[int] = []

    def add(self, event: Event) -> None:
        """One more entry, by which no message is found."""
        self.flush_news()
        self._waiting.append(event)
        self.seq += 1

    def add_news(self, mails: Sequence[Event], places: list[int], names: list[int]) -> None:
        """Messages in places of one box that ascend from all that are known there."""
        if self._waiting and not (self._places and box_of(self._places[0]) == box_of(places[0])):
            self.flush()
        self._waiting += mails
        self._places += places
        self._names += names
        self.seq += len(mails)

    def add_single(self, event: Event, place: int, name: int, twin: int) -> None:
        """A message that needs a row of its own."""
        self.flush()
        self._batches.insert(self.seq, self._at, [event], [place], [name], twin)
        self.told.append(event)
        self.seq += 1

    def flush_news(self) -> None:
        """Store what was added if messages are found by it."""
        if self._places:
            self.flush()

    def flush(self) -> None:
        """Store what was added."""
        if self._waiting:
            self._batches.insert(self.seq - 1, self._at, self._waiting, self._places, self._names)
            self.told += self._waiting
            self._waiting, self._places, self._names = [], [], []
