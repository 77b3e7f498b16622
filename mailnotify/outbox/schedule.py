"""When a letter that was not taken is tried again, and when it is given up.

A pure function of how often it was tried. Written out, as docs/sending.rst has
it: at once, then after 1, 5, 15 and 30 minutes, after 1 and 2 hours, and from
then on every 4 hours, each delay spread over its last fifth so that letters do
not march in step. RFC 5321 §4.5.4.1 wants at least 30 minutes after the first
failures and 4 to 5 days before a letter is given up; the quick attempts before
that are for greylisting (RFC 6647), which takes a letter at the second one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

DELAYS_SECONDS: Final = (60, 300, 900, 1800, 3600, 7200, 14400)
"""After the first failed attempt, the second and so on; the last one repeats."""

_SPREAD: Final = 0.2


def next_attempt(
    now: datetime, *, attempts: int, expires: datetime, chance: Callable[[], float]
) -> datetime | None:
    """When to try again after an attempt that failed for now.

    Args:
        attempts: how many were made, this one included; at least 1.
        expires: when the letter is given up.
        chance: gives a number in [0, 1).

    Returns:
        None if the letter is given up: `expires` has come. The last attempt is made
        at `expires` itself, so that a letter has all the time that it was promised.
    """
    if now >= expires:
        return None
    delay = DELAYS_SECONDS[min(attempts, len(DELAYS_SECONDS)) - 1]
    spread = delay * (1 - _SPREAD * chance())
    return min(now + timedelta(seconds=spread), expires)
