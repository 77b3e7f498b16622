"""How far each mailbox has been read, and what it is called now, in the journal's file.

A cursor is moved in the transaction that stores what it covers (`sqlite`). What
stands here is the rest: to read cursors, to carry one to another name when its
mailbox is renamed, and when the patterns of an account were last looked into, since
a mailbox that was not there then has come later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from zlib import crc32

from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.storage.columns import micros, moment_of
from mailnotify.storage.database import Database

MOVE: Final = """
    INSERT INTO cursors
        (account, mailbox, uidvalidity, last_uid, modseq, mailbox_id, crc, moved, begun)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
    ON CONFLICT (account, mailbox) DO UPDATE
    SET uidvalidity = excluded.uidvalidity, last_uid = excluded.last_uid,
        modseq = excluded.modseq, mailbox_id = excluded.mailbox_id,
        crc = excluded.crc, moved = excluded.moved
"""
_CURSORS: Final = (
    "SELECT mailbox, uidvalidity, last_uid, modseq, mailbox_id, crc FROM cursors WHERE account = ?"
)


class Mailboxes:
    """The cursors and patterns of all accounts; see `IJournal`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cursors: dict[tuple[str, str], Cursor] = {}  # as stored; asked at every letter

    def cursor(self, account: str, mailbox: str) -> Cursor | None:
        """How far this mailbox is journalled; None at first sight.

        Raises:
            JournalUnreadable: the cursor is damaged.
        """
        known = self._cursors.get((account, mailbox))
        if known is not None:
            return known
        with self._database.reading() as connection:
            row = connection.execute(f"{_CURSORS} AND mailbox = ?", (account, mailbox)).fetchone()
        if row is None:
            return None
        cursor = self._cursors[account, mailbox] = self._read(account, *row)
        return cursor

    def begun(self, account: str) -> datetime | None:
        """When the first mailbox of an account was first seen; None if none was."""
        with self._database.reading() as connection:
            question = "SELECT min(begun) FROM cursors WHERE account = ?"
            (begun,) = connection.execute(question, (account,)).fetchone()
        return None if begun is None else moment_of(begun)

    def last_moved(self, account: str, mailbox: str) -> datetime | None:
        """When the cursor of this mailbox was last stored; None at first sight."""
        with self._database.reading() as connection:
            question = "SELECT moved FROM cursors WHERE account = ? AND mailbox = ?"
            row = connection.execute(question, (account, mailbox)).fetchone()
        return None if row is None else moment_of(row[0])

    def moved(self, move: CursorMove) -> None:
        """This cursor is stored, and its transaction is over."""
        self._cursors[move.account, move.mailbox] = move.cursor

    def cursors(self, account: str) -> Mapping[str, Cursor]:
        """Those of all mailboxes of an account, also of such that are gone.

        Raises:
            JournalUnreadable: one of them is damaged.
        """
        with self._database.reading() as connection:
            rows = connection.execute(_CURSORS, (account,)).fetchall()
        return {row[0]: self._read(account, *row) for row in rows}

    def _read(
        self,
        account: str,
        mailbox: str,
        uidvalidity: int,
        last_uid: int,
        modseq: int,
        mailbox_id: str,
        crc: int,
    ) -> Cursor:
        cursor = Cursor(
            uidvalidity=uidvalidity, last_uid=last_uid, modseq=modseq, mailbox_id=mailbox_id
        )
        if crc != _cursor_crc(account, mailbox, cursor):
            raise self._database.damaged(
                f"the cursor of {mailbox!r} of {account!r} has changed by itself"
            )
        return cursor

    def begin(self, moves: Sequence[CursorMove], at: datetime) -> None:
        """Store cursors without events, in one transaction.

        Raises:
            JournalUnwritable: all stands as before.
        """
        moved = micros(at)
        with self._database.writing() as connection:
            connection.executemany(MOVE, [cursor_row(each, moved) for each in moves])
        for each in moves:
            self.moved(each)

    def rename(self, account: str, old: str, new: str) -> None:
        """Carry the cursor of a mailbox to the name that it has now; then call `forget`.

        All of it happens in a transaction of the caller's.
        """
        cursor = self.cursor(account, old)
        if cursor is None:
            return
        connection = self._database.connection
        connection.execute("DELETE FROM cursors WHERE account = ? AND mailbox = ?", (account, new))
        connection.execute(
            "UPDATE cursors SET mailbox = ?, crc = ? WHERE account = ? AND mailbox = ?",
            (new, _cursor_crc(account, new, cursor), account, old),
        )

    def forget(self) -> None:
        """Cursors have other names now; read them from the file."""
        self._cursors.clear()

    def resolved(self, account: str) -> Mapping[str, datetime]:
        """When each pattern of an account was last looked into."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT pattern, resolved FROM patterns WHERE account = ?", (account,)
            ).fetchall()
        return {pattern: moment_of(resolved) for pattern, resolved in rows}

    def resolve(self, account: str, patterns: Collection[str], at: datetime) -> None:
        """These, and no others, were looked into now.

        Raises:
            JournalUnwritable: all stands as before.
        """
        rows = [(account, pattern, micros(at)) for pattern in patterns]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM patterns WHERE account = ?", (account,))
            connection.executemany("INSERT INTO patterns VALUES (?, ?, ?)", rows)


def cursor_row(move: CursorMove, moved: int) -> tuple[object, ...]:
    """What `MOVE` takes."""
    cursor = move.cursor
    return (
        move.account,
        move.mailbox,
        cursor.uidvalidity,
        cursor.last_uid,
        cursor.modseq,
        cursor.mailbox_id,
        _cursor_crc(move.account, move.mailbox, cursor),
        moved,
    )


def _cursor_crc(account: str, mailbox: str, cursor: Cursor) -> int:
    values = f"{account}\0{mailbox}\0{cursor.uidvalidity}\0{cursor.last_uid}\0{cursor.modseq}"
    return crc32(f"{values}\0{cursor.mailbox_id}".encode())
