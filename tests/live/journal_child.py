"""Appends to a journal until it is killed; says on standard output what `append` returned.

Run as ``python -m tests.live.journal_child FILE FIRST_UID BATCHES``. Each batch is a
few messages with the cursor behind the last of them. ``append UID`` is printed after
the transaction that holds the message, so what was printed must never be lost.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mailnotify.config.schema import Retention
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, mail, move


def main(path: str, first_uid: int, batches: int) -> None:
    """Append batches of 1 to 5 messages; every tenth repeats the one before it."""
    journal = SqliteJournal.open(
        Path(path), retention=Retention(), make_epoch=lambda: "life", now=NOON
    )
    os.write(1, b"open\n")
    uid = first_uid
    for number in range(batches):
        count = number % 5 + 1
        begin = uid - 2 if number % 10 == 9 else uid
        journal.append(
            [mail(each) for each in range(begin, uid + count)], move(uid + count - 1), NOON
        )
        uid += count
        os.write(1, b"append %d\n" % (uid - 1))
    journal.close()
    os.write(1, b"closed\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
