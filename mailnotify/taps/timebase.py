"""Puts the reactor's timers on a clock that nobody can set.

Twisted's reactors measure delays by the wall clock. When that is stepped back
by an hour, every LoopingCall stands still for an hour; when it is stepped
forward, every deadline passes at once. The monotonic clock does neither.
"""

from __future__ import annotations

import time

from twisted.internet.base import ReactorBase


def keep_time_monotonic() -> None:
    """Make every reactor of this process measure by `time.monotonic`.

    To be called before anything is scheduled. What is scheduled already would
    be compared with another clock.
    """
    ReactorBase.seconds = staticmethod(time.monotonic)
