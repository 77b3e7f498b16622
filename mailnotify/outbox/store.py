"""The outbox in one SQLite file.

`enqueue` is where a promise is made: what it returned a number for survives a
power cut (WAL, synchronous=FULL), and only then may anybody be told "queued".
`claim` commits that a letter is being sent before a byte of it goes out, and
`settle` what came of it; so whatever moment a
process dies at, the file says which letters may have been sent unseen: those in
the state sending, which `recover` puts back.

One process owns the file and sends. Others visit it, to queue, cancel, retry
and look; SQLite orders the writers. No call keeps the bytes of more than one big
letter in memory, or of a few small ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from mailnotify.errors import (
    LetterInvalid,
    LetterUnchangeable,
    LetterUnknown,
    OutboxBusy,
    OutboxUnreadable,
    OutboxUnwritable,
)
from mailnotify.outbox.letter import Draft, Filed, Settlement, State, Ticket, Wish
from mailnotify.outbox.rows import (
    COLUMNS,
    checksum,
    claim,
    filed_of,
    give_up,
    insert,
    results_of,
    settle,
)
from mailnotify.outbox.verdict import Result
from mailnotify.storage.columns import micros, moment_of
from mailnotify.storage.database import Database
from mailnotify.storage.kind import Kind
from mailnotify.storage.opening import configure
from mailnotify.storage.upgrades import scripts

OUTBOX: Final = Kind(
    name="outbox",
    application_id=0x4D4E544F,  # "MNTO"
    schema="mailnotify.outbox.schema",
    busy=OutboxBusy,
    unwritable=OutboxUnwritable,
    unreadable=OutboxUnreadable,
)

_OWNER_WAITS_MILLISECONDS: Final = 50
"""The owner runs in the reactor's thread: it rather tries again a little later."""

_VISITOR_WAITS_MILLISECONDS: Final = 20_000
"""A person's command rather waits: another one may be writing 50 MB."""

_SLICE: Final = 500
"""Letters forgotten, expired or told of in one call, to hold the reactor for milliseconds."""

_EXPIRED: Final = """
    SELECT number, reason FROM letters
    WHERE state IN ('queued', 'waiting') AND expires <= ? ORDER BY expires LIMIT ?
"""


class SqliteOutbox:
    """Made by `open` for the one who sends, by `visit` for everybody else."""

    def __init__(self, path: Path, database: Database) -> None:
        self._path = path
        self._database = database

    @classmethod
    def open(cls, path: Path, now: datetime) -> SqliteOutbox:
        """Open the outbox to send from it; a damaged one is moved aside and begun anew.

        Call it after a daemon has forked. `close` releases what it holds.

        Raises:
            OutboxBusy: another process sends from it.
            OutboxUnreadable: it is from a newer mailnotify, or another program's file.
            OutboxUnwritable: the disk is full, read-only or failing.
        """
        database = Database.open(path, OUTBOX, lambda _: None, now)
        configure(database.connection, _OWNER_WAITS_MILLISECONDS)
        return cls(path, database)

    @classmethod
    def visit(cls, path: Path) -> SqliteOutbox:
        """Open the outbox that another process owns, or owned, to queue and to look.

        Raises:
            OutboxUnreadable: there is none, or not one of this version.
        """
        try:
            uri = f"{path.absolute().as_uri()}?mode=rw"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as problem:
            raise OutboxUnreadable(path=str(path), reason=str(problem)) from problem
        try:
            configure(connection, _VISITOR_WAITS_MILLISECONDS)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as problem:
            connection.close()
            raise OutboxUnreadable(path=str(path), reason=str(problem)) from problem
        if version != len(scripts(OUTBOX.schema)):
            connection.close()
            reason = "the service is of another version than this command; start it again"
            raise OutboxUnreadable(path=str(path), reason=reason)
        return cls(path, Database(path, OUTBOX, connection, None))

    def close(self) -> None:
        """Release the file. Nothing may be called after this."""
        self._database.close()

    # For everybody.

    def enqueue(self, drafts: Iterable[Draft], now: datetime) -> list[int]:
        """Store letters in one transaction; return their numbers, in their order.

        A draft whose key is known is not stored again: its number is the one that
        the first had.

        Raises:
            OutboxUnwritable: none of them was stored.
        """
        with self._database.writing() as connection:
            return [insert(connection, draft, now) for draft in drafts]

    def letter(self, number: int) -> Filed:
        """One letter, whatever its state.

        Raises:
            LetterUnknown: there is none of that number, or it was forgotten.
        """
        found = self._select("number = ?", (number,), most=1)
        if not found:
            raise LetterUnknown(number=str(number))
        return found[0]

    def letters(self, states: Iterable[State], most: int) -> list[Filed]:
        """The newest letters in these states, oldest first."""
        names = [each.value for each in states]
        marks = ", ".join("?" * len(names))
        return self._select(f"state IN ({marks})", names, most=most, order="number DESC")[::-1]

    def named(self, message_id: str) -> Filed | None:
        """The newest letter with this Message-ID."""
        return next(
            iter(self._select("message_id = ?", (message_id,), most=1, order="number DESC")), None
        )

    def message(self, number: int) -> bytes:
        """The bytes of a letter.

        Raises:
            LetterInvalid: they, or where they should go, are not what was queued.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                """SELECT account, sender, crc, content FROM letters
                   JOIN messages ON letter = number WHERE number = ?""",
                (number,),
            ).fetchone()
            addresses = [each.recipient for each in results_of(connection, number)]
        if row is None:
            raise LetterUnknown(number=str(number))
        account, sender, crc, content = row
        if crc != checksum(account, sender, addresses, content):
            raise LetterInvalid(
                field="copy on the disk", found="not what was queued", expected="the same bytes"
            )
        message: bytes = content
        return message

    def cancel(self, number: int, now: datetime) -> None:
        """Send it to nobody whom it was not sent to yet.

        Raises:
            LetterUnknown: there is none.
            LetterUnchangeable: it is being sent, or it is over.
        """
        with self._database.writing() as connection:
            done = connection.execute(
                """UPDATE letters SET state = 'cancelled', finished_at = ?
                   WHERE number = ? AND state IN ('queued', 'waiting')""",
                (micros(now), number),
            )
            self._check_changed(done, number, "cancelled")

    def retry(self, number: int, now: datetime, expires: datetime) -> None:
        """Try a letter now, also one that failed, to all who do not have it.

        Raises:
            LetterUnknown: there is none.
            LetterUnchangeable: it is being sent, or everybody has it.
        """
        with self._database.writing() as connection:
            done = connection.execute(
                """UPDATE letters SET state = 'queued', due = ?, expires = ?, attempts = 0,
                       finished_at = NULL
                   WHERE number = ? AND state != 'sending' AND EXISTS
                       (SELECT * FROM recipients WHERE letter = number AND fate != 'accepted')""",
                (micros(now), micros(expires), number),
            )
            self._check_changed(done, number, "sent again")
            connection.execute(
                """UPDATE recipients SET fate = 'pending', is_told = 0
                   WHERE letter = ? AND fate = 'refused'""",
                (number,),
            )

    def bounced(self, number: int, results: Sequence[Result], now: datetime) -> bool:
        """Note that recipients for whom a letter was accepted will not get it after all.

        Returns:
            Whether that was news; the same bounce may come twice.
        """
        with self._database.writing() as connection:
            changed = sum(
                connection.execute(
                    """UPDATE recipients SET fate = 'refused', code = ?, said = ?, is_told = 0
                       WHERE letter = ? AND address = ? COLLATE NOCASE AND fate = 'accepted'""",
                    (each.code, each.said, number, each.recipient),
                ).rowcount
                for each in results
            )
            if changed:
                connection.execute(
                    """UPDATE letters SET state = 'failed', reason = ?, finished_at = ?
                       WHERE number = ? AND state = 'sent'""",
                    (results[0].said, micros(now), number),
                )
        return changed > 0

    # For the owner.

    def recover(self, now: datetime) -> int:
        """After a start: put back what was being sent when the last run ended; count it.

        Nobody knows whether a server has those letters: they go again, with the same
        bytes and the same Message-ID.
        """
        with self._database.writing() as connection:
            return connection.execute(
                """UPDATE letters SET state = 'waiting', due = min(due, ?),
                       reason = 'the service ended during an attempt' WHERE state = 'sending'""",
                (micros(now),),
            ).rowcount

    def claim(self, account: str, most: int, now: datetime) -> list[Ticket]:
        """Take the letters that are due, in their order; from here on they are being sent.

        Raises:
            OutboxUnwritable: none was claimed.
        """
        return self.settle((), Wish(account=account, most=most, now=now))[1]

    def release(self, tickets: Iterable[Ticket]) -> None:
        """Give back letters of which no byte was sent, as if they had not been claimed."""
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE letters SET state = ?, attempts = ? WHERE number = ? AND state = 'sending'",
                [(each.was.value, each.attempts - 1, each.number) for each in tickets],
            )

    def settle(
        self, settlements: Sequence[Settlement], wish: Wish | None = None
    ) -> tuple[list[State], list[Ticket]]:
        """Keep what came of attempts, and claim the next letters, in one transaction.

        Returns:
            What state each settlement led to, and what was claimed, as by `claim`.
        """
        with self._database.writing() as connection:
            states = settle(connection, settlements)
            return states, claim(connection, wish) if wish is not None else []

    def expire(self, now: datetime) -> int:
        """Give up up to 500 letters whose time is over; return how many there were."""
        moment = micros(now)
        with self._database.reading() as connection:
            rows = connection.execute(_EXPIRED, (moment, _SLICE)).fetchall()
        if rows:
            with self._database.writing() as connection:
                for number, reason in rows:
                    words = f"given up after all this time: {reason or 'it was never tried'}"
                    give_up(connection, number, words)
                    connection.execute(
                        """UPDATE letters SET state = 'failed', reason = ?, finished_at = ?
                           WHERE number = ? AND state IN ('queued', 'waiting')""",
                        (words, moment, number),
                    )
        return len(rows)

    def next_due(self, account: str) -> datetime | None:
        """When the next letter of an account may go; None if there is none."""
        return self._first("min(due)", "account = ? AND state IN ('queued', 'waiting')", (account,))

    def next_expiry(self) -> datetime | None:
        """When the next letter is given up; None if there is none."""
        return self._first("min(expires)", "state IN ('queued', 'waiting')", ())

    def untold(self) -> list[Filed]:
        """Up to 500 letters with recipients whose failure is not in the journal yet.

        Only those recipients stand in the results.
        """
        where = (
            "number IN (SELECT letter FROM recipients WHERE fate = 'refused' AND is_told = 0"  # noqa: S608
            f" LIMIT {_SLICE})"
        )
        return self._select(where, (), most=_SLICE, of="fate = 'refused' AND is_told = 0")

    def tell(self, letters: Iterable[Filed]) -> None:
        """The failures that `untold` has named stand in the journal now."""
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE recipients SET is_told = 1 WHERE letter = ? AND address = ?",
                [(each.number, result.recipient) for each in letters for result in each.results],
            )

    def next_copy(self, account: str) -> int | None:
        """A letter of the account that was sent and has no copy in its Sent mailbox yet."""
        with self._database.reading() as connection:
            row = connection.execute(
                """SELECT number FROM letters WHERE account = ? AND wants_copy AND state = 'sent'
                   LIMIT 1""",
                (account,),
            ).fetchone()
        return None if row is None else int(row[0])

    def copied(self, number: int) -> None:
        """Its copy is made, or nobody will make it."""
        with self._database.writing() as connection:
            connection.execute("UPDATE letters SET wants_copy = 0 WHERE number = ?", (number,))

    def forget(self, before: datetime) -> int:
        """Delete up to 500 letters that were over before; call again until it returns 0."""
        with self._database.writing() as connection:
            return connection.execute(
                """DELETE FROM letters WHERE number IN
                   (SELECT number FROM letters WHERE finished_at < ? LIMIT ?)""",
                (micros(before), _SLICE),
            ).rowcount

    def _first(self, what: str, where: str, values: Sequence[object]) -> datetime | None:
        with self._database.reading() as connection:
            (found,) = connection.execute(
                f"SELECT {what} FROM letters WHERE {where}",  # noqa: S608
                values,
            ).fetchone()
        return None if found is None else moment_of(found)

    def _select(
        self,
        where: str,
        values: Sequence[object],
        *,
        most: int,
        order: str = "number",
        of: str = "1",
    ) -> list[Filed]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM letters WHERE {where} ORDER BY {order} LIMIT ?",  # noqa: S608
                (*values, most),
            ).fetchall()
            return [filed_of(row, results_of(connection, row[0], of)) for row in rows]

    def _check_changed(self, done: sqlite3.Cursor, number: int, wish: str) -> None:
        if not done.rowcount:
            state = self.letter(number).state
            raise LetterUnchangeable(number=number, state=state.value, wish=wish)
