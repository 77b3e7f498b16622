"""Timers go on when somebody sets the wall clock."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs import child_environment

# A process of its own: what is tested is the global reactor. The wall clock is
# one that can be stepped, put in place before Twisted takes hold of it.
_PROGRAM = """
import os, sys, threading, time
wall, step = time.time, [0.0]
time.time = lambda: wall() + step[0]
if sys.argv[2] == "ours":
    from mailnotify.taps.timebase import keep_time_monotonic
    keep_time_monotonic()
from twisted.internet import reactor, task
ticks = []
def tick():
    ticks.append(1)
    if len(ticks) == 5:  # the step comes while the next tick is waited for
        threading.Timer(0.01, lambda: step.__setitem__(0, float(sys.argv[1]))).start()
    if len(ticks) == 15:
        reactor.stop()
task.LoopingCall(tick).start(0.04)
threading.Timer(3.0, lambda: reactor.callFromThread(reactor.stop)).start()
reactor.run()
print(len(ticks))
sys.stdout.flush()
os._exit(0)
"""


def ticks(step_seconds: int, whose: str) -> int:
    """How often a 40 ms LoopingCall runs when the clock is stepped after five ticks."""
    command = [sys.executable, "-c", _PROGRAM, str(step_seconds), whose]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300, env=child_environment()
    )
    return int(done.stdout)


class TimebaseTests(SynchronousTestCase):
    """A step of a day in either direction."""

    def test_step_back(self) -> None:
        """A clock set back by a day stops nothing."""
        self.assertEqual(ticks(-86400, "ours"), 15)

    def test_step_forward(self) -> None:
        """A clock set forward by a day skips nothing."""
        self.assertEqual(ticks(86400, "ours"), 15)

    def test_the_trap_is_real(self) -> None:
        """Without our timebase a step back stops every LoopingCall."""
        self.assertEqual(ticks(-86400, "twisted's"), 5)
