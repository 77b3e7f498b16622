"""Appends to a journal until it is killed; says on standard output what `append` returned.

Run as ``python -m tests.live.journal_child FILE``; each line ``FIRST_UID BATCHES`` on
standard input makes a child of it, which says ``stopped PID`` and waits for SIGCONT, so
that somebody can trace it; then ``open`` and ``append UID`` again and again, and
``closed``; and when it is gone, however it went, ``ended``. To fork is much quicker
than to import all of it again.

Each batch is a few messages with the cursor behind the last of them. ``append UID``
is printed after the transaction that holds the message, so what was printed must
never be lost.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from mailnotify.config.schema import Retention
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, mail, move

_SET_PTRACER, _ANY = 0x59616D61, -1  # prctl(2)


def serve(path: Path) -> None:
    """Make a child for each line of standard input."""
    for line in sys.stdin:
        first_uid, batches = map(int, line.split())
        child = os.fork()
        if not child:
            ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_ulong(_ANY), 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            append(path, first_uid, batches)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        _say("stopped", child)
        os.waitpid(child, 0)
        _say("ended")


def append(path: Path, first_uid: int, batches: int) -> None:
    """Append batches of 1 to 5 messages; every tenth repeats the one before it."""
    journal = SqliteJournal.open(path, retention=Retention(), make_epoch=lambda: "life", now=NOON)
    _say("open")
    uid = first_uid
    for number in range(batches):
        count = number % 5 + 1
        begin = uid - 2 if number % 10 == 9 else uid
        journal.append(
            [mail(each) for each in range(begin, uid + count)], move(uid + count - 1), NOON
        )
        uid += count
        _say("append", uid - 1)
    journal.close()
    _say("closed")


def _say(*words: object) -> None:
    """One line in one write: some of us are killed."""
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
