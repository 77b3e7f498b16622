"""How long to wait before the next attempt.

Delays grow exponentially with full jitter on their upper half, and are
forgotten only when a session *proved useful*: a server that accepts the
connection and drops it at once has proved nothing.
"""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Grow delays from `first_seconds` to `most_seconds`.

    Args:
        first_seconds: the delay after the first failure, before jitter.
        most_seconds: no delay is longer.
        factor: by how much each delay exceeds the one before.
        jitter: gives a number in [0, 1); a delay is spread over its upper half.
    """

    __slots__ = ("_factor", "_first_seconds", "_jitter", "_most_seconds", "_next_seconds")

    def __init__(
        self,
        *,
        first_seconds: float,
        most_seconds: float,
        jitter: Callable[[], float],
        factor: float = 2.0,
    ) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._jitter = jitter
        self._factor = factor
        self._next_seconds = first_seconds

    def failed(self) -> float:
        """Count a failure; return the seconds to wait before the next attempt."""
        delay_seconds = min(self._next_seconds, self._most_seconds)
        self._next_seconds = min(delay_seconds * self._factor, self._most_seconds)
        return delay_seconds * (0.5 + 0.5 * self._jitter())

    def proved(self) -> None:
        """A session did what it was opened for: start again from the first delay."""
        self._next_seconds = self._first_seconds
