"""The marks of named readers, in the journal's file.

They stand in the same file as the entries that they speak of: whatever befalls
the one befalls the other, and a mark never points into another journal's life.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from mailnotify.core.reader import ReaderMark
from mailnotify.storage.columns import checksum, micros
from mailnotify.storage.database import Database

_KEEP: Final = """
    INSERT INTO readers (owner, name, seq, seen, crc) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (owner, name) DO UPDATE
    SET seq = excluded.seq, seen = excluded.seen, crc = excluded.crc
"""


class Marks:
    """How far each named reader has come; see `IJournal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, owner: str, name: str) -> int | None:
        """The seq that this reader has acknowledged; None if it is not known.

        Raises:
            JournalUnreadable: the mark is damaged.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT seq, crc FROM readers WHERE owner = ? AND name = ?", (owner, name)
            ).fetchone()
        if row is None:
            return None
        seq, crc = row
        if crc != checksum(owner, name, seq):
            raise self._database.damaged(f"the mark of reader {name!r} has changed by itself")
        found: int = seq
        return found

    def count(self) -> int:
        """How many readers are known."""
        with self._database.reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM readers").fetchone()
        found: int = count
        return found

    def keep(self, marks: Sequence[ReaderMark], now: datetime) -> None:
        """Store marks in one transaction.

        Raises:
            JournalUnwritable: none was stored.
        """
        seen = micros(now)
        rows = [
            (each.owner, each.name, each.seq, seen, checksum(each.owner, each.name, each.seq))
            for each in marks
        ]
        with self._database.writing() as connection:
            connection.executemany(_KEEP, rows)

    def forget(self, before: datetime) -> int:
        """Forget readers that were last there before this moment; return how many.

        Raises:
            JournalUnwritable: none was forgotten.
        """
        seen = micros(before)
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM readers WHERE seen < ?", (seen,)).rowcount
