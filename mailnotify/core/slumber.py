"""Notices that the machine has slept, by two clocks of which only one stands still then.

While a laptop sleeps its servers and every NAT on the way forget its connections,
and nothing says so when it wakes. Timers do not help: they ran on the clock that
stood still. The difference between the two clocks is what was slept. A step of
the wall clock is in neither of them.
"""

from __future__ import annotations

from typing import Final

LEAST_SECONDS: Final = 2.0
"""A shorter sleep has cost nobody a connection."""


class Slumber:
    """Compares two clocks at every look.

    Args:
        awake: the clock that stands still during a sleep, in seconds.
        always: the one that does not.
    """

    def __init__(self, awake: float, always: float) -> None:
        self._slept = always - awake

    def slept(self, awake: float, always: float) -> float:
        """The seconds slept since the last look; 0 if too few to matter."""
        before, self._slept = self._slept, always - awake
        seconds = self._slept - before
        return seconds if seconds >= LEAST_SECONDS else 0.0
