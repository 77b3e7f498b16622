"""Seconds that a process took, rather than its machine.

A machine with more to do than it has cores lets everybody wait. A bound on the time
that we take to answer or to end says nothing of that, so the time in which a process
was ready to run, and others ran, does not count (/proc/PID/schedstat, Linux). What it
waits for of its own accord, a deadline or a lock, does. Where two processes that are
looked at wait at once, both waits are taken off: bounds are exact on a quiet machine,
and on a busy one rather too wide than too narrow.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class Stopwatch:
    """Runs from now on.

    Args:
        pids: of the processes that are judged; ours comes to them, since it has to notice.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._began = time.monotonic() - self._kept_waiting()

    @property
    def seconds(self) -> float:
        """Those that have passed, without the ones in which another process ran instead."""
        return time.monotonic() - self._kept_waiting() - self._began

    def _kept_waiting(self) -> float:
        return sum(map(_run_delay, self._pids))


def _run_delay(pid: int) -> float:
    """The seconds that its main thread has waited for a processor; a zombie has them still."""
    file = Path(f"/proc/{pid}/schedstat")
    return int(file.read_text().split()[1]) / 1e9 if file.exists() else 0.0
