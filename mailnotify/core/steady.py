"""Whether the time of day can be believed, before something is forgotten for its age.

A machine that begins with a wrong clock, or whose clock is set wrong for a while, would
take all that is kept for old. So nothing is forgotten unless the time of day has gone on,
since the look before, as the time that passes has. A clock that stays wrong is believed
with the second look, as it has to be.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

MOST_SECONDS: Final = 60.0
"""What a clock may be set right by meanwhile; more is a step, or a sleep of the machine."""


class Steadiness:
    """Compares two clocks at every look."""

    def __init__(self) -> None:
        self._difference_seconds: float | None = None

    def holds(self, now: datetime, seconds: float) -> bool:
        """Whether there was no step since the last look; never at the first.

        Args:
            now: the time of day.
            seconds: of a clock that is never set.
        """
        before, self._difference_seconds = self._difference_seconds, now.timestamp() - seconds
        return before is not None and abs(self._difference_seconds - before) <= MOST_SECONDS
