"""What the journal costs beside a bare SQLite loop that syncs as often.

Run as ``python benchmarks/journal.py [FOLDER]``; the folder decides which disk is
measured. Both sides write the same events with the same cursor in WAL mode with
synchronous=FULL; the bare loop has no checksum, no unique key and no errors of
its own. Medians of 5 runs, taken in turns.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from mailnotify.config.schema import Retention
from mailnotify.core.events import NewMail, new_mail
from mailnotify.core.message import Address, Fetched, Ref, Summary
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.journal.sqlite import SqliteJournal

RUNS = 5
NOW = datetime(2026, 7, 1, tzinfo=UTC)
SIZES = ((1, 500), (100, 50))  # messages in one transaction, transactions in one run


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


def ours(folder: Path, batches: list[list[NewMail]]) -> float:
    """Seconds for these batches through `SqliteJournal.append`."""
    journal = SqliteJournal.open(
        folder / "journal.sqlite", retention=Retention(), make_epoch=lambda: "bench", now=NOW
    )
    began = time.perf_counter()
    for batch in batches:
        cursor = Cursor(uidvalidity=7, last_uid=batch[-1].uid)
        journal.append(batch, CursorMove(account="home", mailbox="INBOX", cursor=cursor), NOW)
    seconds = time.perf_counter() - began
    journal.close()
    return seconds


def bare(folder: Path, batches: list[list[NewMail]]) -> float:
    """Seconds for the same rows with nothing around them."""
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, at INTEGER, event TEXT)")
    connection.execute("CREATE TABLE cursors (mailbox TEXT PRIMARY KEY, last_uid INTEGER)")
    encode = msgspec.json.Encoder().encode
    began = time.perf_counter()
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        rows = [(each.uid, 0, encode(each).decode()) for each in batch]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        connection.execute("REPLACE INTO cursors VALUES ('INBOX', ?)", (batch[-1].uid,))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def measure(
    side: Callable[[Path, list[list[NewMail]]], float],
    size: int,
    count: int,
    parent: Path | str | None = None,
) -> float:
    """Microseconds for one transaction, in a fresh folder within `parent`."""
    uids = range(1, size * count + 1)
    batches = [[mail(uid) for uid in uids[at : at + size]] for at in range(0, len(uids), size)]
    with tempfile.TemporaryDirectory(dir=parent, prefix="mailnotify-bench-") as folder:
        return side(Path(folder), batches) / count * 1e6


def main() -> None:
    """Print a table."""
    print(f"{'messages':>8}  {'journal':>12}  {'bare sqlite':>12}  ratio   (per transaction)")
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    for size, count in SIZES:
        pairs = [
            (measure(ours, size, count, parent), measure(bare, size, count, parent))
            for _ in range(RUNS)
        ]
        mine, theirs = (median(column) for column in zip(*pairs, strict=True))
        print(f"{size:>8}  {mine:>9.0f} µs  {theirs:>9.0f} µs  {mine / theirs:>5.2f}")


if __name__ == "__main__":
    main()
