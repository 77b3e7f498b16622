"""What makes a file a journal: its mark, its schema, and the life that it begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from mailnotify.errors import JournalBusy, JournalUnreadable, JournalUnwritable
from mailnotify.journal.high_water import HighWater
from mailnotify.storage.damage import Damaged
from mailnotify.storage.kind import Kind

_log = Logger()

JOURNAL: Final = Kind(
    name="journal",
    application_id=0x4D4E5446,  # "MNTF"
    schema="mailnotify.journal.schema",
    busy=JournalBusy,
    unwritable=JournalUnwritable,
    unreadable=JournalUnreadable,
)


def begin_life(
    connection: sqlite3.Connection, make_epoch: Callable[[], str], high_water: HighWater
) -> None:
    """Name the epoch of a new journal, and bring all of it into the main file.

    A journal that was put back from an older copy begins a new epoch, too.

    Raises:
        Damaged: there is an epoch, and it cannot be ours.
    """
    epochs = [epoch for (epoch,) in connection.execute("SELECT epoch FROM journal")]
    if not epochs:
        connection.execute("INSERT INTO journal VALUES (?, 0)", (make_epoch(),))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif len(epochs) > 1 or not (epochs[0].isascii() and epochs[0].isalnum()):
        raise Damaged("its epoch is no name")
    elif high_water.has_passed(epochs[0], _head(connection)):
        epoch = make_epoch()
        _log.warn("the journal is an older copy of itself: its epoch is {epoch} now", epoch=epoch)
        connection.execute("UPDATE journal SET epoch = ?", (epoch,))


def _head(connection: sqlite3.Connection) -> int:
    pruned, last = connection.execute(
        "SELECT pruned, (SELECT max(last) FROM batches) FROM journal"
    ).fetchone()
    head: int = pruned if last is None else last
    return head
