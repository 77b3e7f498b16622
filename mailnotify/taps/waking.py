"""After a sleep of the machine: everybody looks at once, but not all together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailnotify.core.slumber import Slumber

LOOK_SECONDS: Final = 3.0
"""How much later than the machine we wake."""

STAGGER_SECONDS: Final = 0.02
"""For each check: fifty mailboxes are asked within a second."""

LONGEST_STAGGER_SECONDS: Final = 10.0
"""However many there are."""

Clocks = Callable[[], tuple[float, float]]
"""Reads the clock that stands still while the machine sleeps, and the one that does not."""


def read_clocks() -> tuple[float, float]:
    """CLOCK_MONOTONIC and CLOCK_BOOTTIME; where there is no such pair, the first twice."""
    awake = time.monotonic()
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return awake, awake if boottime is None else time.clock_gettime(boottime)


class Waking(Service):
    """Calls all checks when the machine has slept.

    Args:
        checks: what to call; each by itself, at its own moment.
        clocks: read every few seconds.
        clock: runs the looking and the checks.
        jitter: gives a number in [0, 1).
    """

    _log = Logger()

    def __init__(
        self,
        checks: Sequence[Callable[[], object]],
        *,
        clocks: Clocks,
        clock: IReactorTime,
        jitter: Callable[[], float],
    ) -> None:
        self._checks = checks
        self._clocks = clocks
        self._clock = clock
        self._jitter = jitter
        self._slumber = Slumber(*clocks())
        self._due: list[IDelayedCall] = []
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        super().startService()
        self._looking.start(LOOK_SECONDS)

    def stopService(self) -> None:
        super().stopService()
        self._looking.stop()
        self._forget()

    def _look(self) -> None:
        seconds = self._slumber.slept(*self._clocks())
        if not seconds:
            return
        self._log.info("the machine has slept for {seconds:.0f} s: checking all", seconds=seconds)
        self._forget()
        spread_seconds = min(STAGGER_SECONDS * len(self._checks), LONGEST_STAGGER_SECONDS)
        for check in self._checks:
            self._due.append(self._clock.callLater(self._jitter() * spread_seconds, check))

    def _forget(self) -> None:
        due, self._due = self._due, []
        for each in due:
            if each.active():
                each.cancel()
