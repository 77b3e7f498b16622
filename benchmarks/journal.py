"""What the journal costs beside a bare SQLite loop that syncs as often.

Run as ``python -m benchmarks.journal [FOLDER]``; the folder decides which disk is
measured. Both sides write the same events with the same cursor in WAL mode with
synchronous=FULL; the bare loop has no checksum, no unique key and no errors of
its own. A third writes the journal's own rows into its own tables and indices, and does
nothing else: what lies between it and the bare loop is the schema, and the rest is what
decides, checks and finds. They take turns, transaction by transaction, since a disk is
now quick and now slow; medians of all transactions.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from mailnotify.config.schema import Retention
from mailnotify.core.events import NewMail, new_mail
from mailnotify.core.message import Address, Fetched, Ref, Summary
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.journal.kind import JOURNAL
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.storage.upgrades import scripts, upgrade

NOW = datetime(2026, 7, 1, tzinfo=UTC)
SIZES = ((1, 2000), (100, 200))  # messages in one transaction, transactions of each side


def mail(uid: int) -> NewMail:
    """A message of usual size."""
    ada = Address(name="Ada Lovelace", address="ada@example.org")
    summary = Summary(
        subject=f"Minutes of Monday, part {uid}",
        sender=(ada,),
        to=(ada,),
        message_id=f"{uid}@x",
        date=NOW,
    )
    ref = Ref(account="home", mailbox="INBOX", uidvalidity=7, uid=uid)
    return new_mail(ref, summary, Fetched(uid=uid, received=NOW, size=4321))


Append = Callable[[list[NewMail]], object]
"""Stores a batch in one transaction."""


@contextmanager
def ours(folder: Path) -> Iterator[Append]:
    """`SqliteJournal.append`."""
    journal = SqliteJournal.open(
        folder / "journal.sqlite", retention=Retention(), make_epoch=lambda: "bench", now=NOW
    )

    def append(batch: list[NewMail]) -> None:
        cursor = Cursor(uidvalidity=7, last_uid=batch[-1].uid)
        journal.append(batch, CursorMove(account="home", mailbox="INBOX", cursor=cursor), NOW)

    yield append
    journal.close()


@contextmanager
def bare(folder: Path) -> Iterator[Append]:
    """The same rows with nothing around them."""
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, at INTEGER, event TEXT)")
    connection.execute("CREATE TABLE cursors (mailbox TEXT PRIMARY KEY, last_uid INTEGER)")
    encode = msgspec.json.Encoder().encode

    def append(batch: list[NewMail]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        rows = [(each.uid, 0, encode(each).decode()) for each in batch]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        connection.execute("REPLACE INTO cursors VALUES ('INBOX', ?)", (batch[-1].uid,))
        connection.execute("COMMIT")

    yield append
    connection.close()


@contextmanager
def rows(folder: Path) -> Iterator[Append]:
    """The rows of the journal, without what makes them."""
    connection = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    upgrade(connection, "rows.sqlite", JOURNAL, scripts(JOURNAL.schema))
    encode = msgspec.json.Encoder().encode

    def append(batch: list[NewMail]) -> None:
        first, last = batch[0].uid, batch[-1].uid
        connection.execute("BEGIN IMMEDIATE")
        row = (last, first, last, bytes(4 * len(batch)), encode(batch))
        connection.execute("INSERT INTO batches VALUES (?, 0, 0, ?, ?, 0, 0, ?, ?)", row)
        connection.execute(
            "REPLACE INTO cursors VALUES ('', 'INBOX', 7, ?, 0, '', 0, 0, 0)", (last,)
        )
        connection.execute("COMMIT")

    yield append
    connection.close()


def compare(size: int, count: int, parent: Path | str | None = None) -> tuple[float, ...]:
    """Microseconds for one transaction, ours, bare and rows, in a fresh folder within `parent`.

    Args:
        size: messages in a transaction.
        count: transactions of each side.
    """
    took: tuple[list[float], ...] = [], [], []
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(dir=parent, prefix="mailnotify-bench-")
        path = Path(stack.enter_context(folder))
        sides = [stack.enter_context(side(path)) for side in (ours, bare, rows)]
        for first in range(1, size * count + 1, size):
            batch = [mail(uid) for uid in range(first, first + size)]
            for append, times in zip(sides, took, strict=True):
                began = time.perf_counter()
                append(batch)
                times.append(time.perf_counter() - began)
    return tuple(median(times) * 1e6 for times in took)


def main() -> None:
    """Print a table."""
    print(f"{'messages':>8}  {'journal':>12}  {'bare sqlite':>12}  {'its rows':>12}")
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    for size, count in SIZES:
        mine, theirs, tables = compare(size, count, parent)
        ratio = f"{theirs / mine:.2f} of the bare rate"
        print(f"{size:>8}  {mine:>9.0f} µs  {theirs:>9.0f} µs  {tables:>9.0f} µs   {ratio}")


if __name__ == "__main__":
    main()
