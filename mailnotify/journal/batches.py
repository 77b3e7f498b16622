"""The entries themselves: what was told at once, and of one mailbox, stands in one row.

A row has the events of consecutive entries as one JSON array, encoded, checked and
written in one piece. It is never changed. Its key is the seq of its last entry, so that
the row of an entry is the first whose key is not below.

A row tells of messages, in the order of their places (`mailnotify.journal.boxes`), or of
other things. Messages that come in the order of their UIDs share a row with those beside
them; one that comes later than a higher one has a row of its own. So a place is either
the last one of its row, or lies within the one row of many that could hold it.

No index leads from a time to a row: each has the latest time of all rows so far, which
only grows, also over a clock that was set back. Halving finds the first that is late enough.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from mailnotify.core.events import Event, MailFiled, NewMail
from mailnotify.errors import JournalUnreadable
from mailnotify.journal.boxes import Box, box_of, uid_at
from mailnotify.storage.columns import micros, moment_of
from mailnotify.storage.database import Database

_ROW_BYTES: Final = 65_536
"""Of several entries; a larger batch is several rows. To decode so much takes a millisecond."""

_ROW: Final = "SELECT last, at, latest, low, high, twin, crc, names, events FROM batches"
WITH_SEQ: Final = f"{_ROW} WHERE last >= ? ORDER BY last LIMIT 1"
_ENDING_AT: Final = f"{_ROW} WHERE high > 0 AND high = ?"
_AROUND: Final = f"{_ROW} WHERE low < high AND high > ? ORDER BY high LIMIT 1"
_AFTER: Final = f"{_ROW} WHERE last > ? ORDER BY last"
_UP_TO: Final = f"{_ROW} WHERE last <= ? ORDER BY last"
_IN_BOX: Final = f"{_ROW} WHERE high > 0 AND high BETWEEN ? AND ? ORDER BY high DESC"
_TIMES: Final = "SELECT last, at FROM batches WHERE last > ? ORDER BY last"
_NAMES: Final = "SELECT last, names FROM batches WHERE high > 0"
_LATEST: Final = "SELECT latest FROM batches ORDER BY last DESC LIMIT 1"
_INSERT: Final = """
    INSERT INTO batches (last, at, latest, low, high, twin, crc, names, events)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Event]).decode

_Row = tuple[int, int, int, int, int, int, int, bytes, bytes]

Found = NewMail | MailFiled
"""What tells that a message lies in a place."""


class Batch(NamedTuple):
    """Events that became entries at once.

    Attributes:
        first, last: the seqs of the first and the last of them.
        at: when.
        latest: the latest time up to here, in microseconds since 1970.
        box: where its messages lie (`mailnotify.journal.boxes`); 0 if it tells of none.
        twin: the key of the message of whose further place it tells; 0 if it tells of none.
    """

    first: int
    last: int
    at: datetime
    latest: int
    box: int
    twin: int
    names: bytes
    events: list[Event]

    def messages(self) -> Iterator[tuple[int, Found]]:
        """What tells of a place, with its seq."""
        for seq, event in enumerate(self.events, self.first):
            if isinstance(event, Found):
                yield seq, event

    def find(self, place: int) -> Found | None:
        """What tells of this place."""
        uid = uid_at(place) if self.box == box_of(place) else None
        return next((each for _, each in self.messages() if each.uid == uid), None)


class Batches:
    """All entries that are in the file."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._connection = database.connection
        self._path = path
        self._met: Batch | None = None
        row = self._connection.execute(_LATEST).fetchone()
        self._latest: int = 0 if row is None else row[0]

    def insert(
        self,
        last: int,
        at: datetime,
        events: Sequence[Event],
        places: Sequence[int] = (),
        names: Sequence[int] = (),
        twin: int = 0,
    ) -> None:
        """Store events as the entries up to `last`, in a transaction of the caller's.

        Args:
            places: of the messages that they tell of, one for each, or none at all.
            names: of these messages.
        """
        encoded = _encode(events)
        if len(encoded) > _ROW_BYTES and len(events) > 1:
            half = len(events) // 2
            end = last - len(events) + half
            self.insert(end, at, events[:half], places[:half], names[:half])
            self.insert(last, at, events[half:], places[half:], names[half:])
            return
        moment = micros(at)
        self._latest = max(self._latest, moment)
        low, high = (places[0], places[-1]) if places else (0, 0)
        head = (last, moment, self._latest, low, high, twin)
        named = array("I", names).tobytes()
        row = (*head, _crc(head, named, encoded), named, encoded)
        self._connection.execute(_INSERT, row)

    def rows_after(self, seq: int) -> Iterator[_Row]:
        """The rows of all entries after this one, in order, as they are; see `open`."""
        return self._connection.execute(_AFTER, (seq,))

    def times_after(self, seq: int) -> Iterator[tuple[int, int]]:
        """The last seq of each batch with entries after this one, and its time as it is stored."""
        return self._connection.execute(_TIMES, (seq,))

    def up_to(self, seq: int) -> Iterator[Batch]:
        """All batches that end here or before, in order."""
        return map(self.open, self._connection.execute(_UP_TO, (seq,)))

    def of(self, box: Box) -> Iterator[Batch]:
        """All batches that tell of messages in a box, from the highest place down."""
        return map(self.open, self._connection.execute(_IN_BOX, (box.first, box.last)))

    def names(self) -> Iterator[tuple[int, array[int]]]:
        """The names of all messages: the seq of the last, and one for each before it."""
        for last, named in self._connection.execute(_NAMES):
            yield last, array("I", named)

    def with_seq(self, seq: int) -> Batch | None:
        """The batch in which an entry stands; None if it is not there."""
        met = self._met
        if met is None or not met.first <= seq <= met.last:
            row = self._connection.execute(WITH_SEQ, (seq,)).fetchone()
            if row is None:
                return None
            met = self._met = self.open(row)
        return met if met.first <= seq else None

    def with_place(self, place: int) -> Batch | None:
        """The batch that tells of the message in a place, if there is one."""
        met = self._met
        if met is not None and met.find(place) is not None:
            return met
        row = find_row(self._connection, place)
        if row is not None:
            self._met = self.open(row)
        return None if row is None else self._met

    def before(self, moment: datetime, first: int, last: int) -> int:
        """The seq before the first entry, of these, that is from this moment or later."""
        before, latest = last, micros(moment)
        while first <= last:
            middle = (first + last) // 2
            batch = self.with_seq(middle)
            if batch is None:
                raise self._database.damaged(f"entry {middle} is missing")
            if batch.latest >= latest:
                before = last = batch.first - 1
            else:
                first = batch.last + 1
        return before

    def forget(self, seq: int) -> None:
        """Delete all batches that end here or before, in a transaction of the caller's."""
        self._met = None
        self._connection.execute("DELETE FROM batches WHERE last <= ?", (seq,))

    def undo(self) -> None:
        """A transaction failed: what was met in it is not there."""
        self._met = None

    def open(self, row: _Row) -> Batch:
        """What stands in a row.

        Raises:
            JournalUnreadable: it is damaged, or from a newer mailnotify.
        """
        last = row[0]
        try:
            return read_row(row)
        except msgspec.ValidationError as problem:
            reason = f"entry {last}, or one just before it, is of a kind that only a newer"
            raise JournalUnreadable(
                path=str(self._path), reason=f"{reason} mailnotify knows"
            ) from problem
        except ValueError as problem:
            raise self._database.damaged(
                f"entry {last}, or one just before it, has changed by itself"
            ) from problem


def find_row(connection: sqlite3.Connection, place: int) -> _Row | None:
    """The row that may tell of the message in a place."""
    row: _Row | None = connection.execute(_ENDING_AT, (place,)).fetchone()
    if row is None:
        row = connection.execute(_AROUND, (place,)).fetchone()
    return None if row is None or place < row[3] else row


def read_row(row: _Row) -> Batch:
    """What stands in a row.

    Raises:
        msgspec.ValidationError: an event is of a kind that we do not know.
        ValueError: a value has changed.
    """
    head, (crc, named, encoded) = row[:6], row[6:]
    if crc != _crc(head, named, encoded):
        raise ValueError("the checksum is another one")
    events = _decode(encoded)
    last, at, latest, _, high, twin = head
    first, moment = last - len(events) + 1, moment_of(at)
    return Batch(first, last, moment, latest, box_of(high), twin, named, events)


def _crc(head: tuple[int, int, int, int, int, int], named: bytes, encoded: bytes) -> int:
    return crc32(encoded, crc32(named, crc32(b"%d %d %d %d %d %d" % head)))
