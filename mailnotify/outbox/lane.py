"""One account's way out: how many connections, how fast, and when it rests.

Pure but for its `Backoff`s: seconds come in, decisions go out. Trouble that is
not a letter's fault (no network, a refused login) stops the whole account, for
a time that grows, so that ten thousand letters do not knock ten thousand times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.outbox.verdict import Trouble

FIRST_BATCH: Final = 4
BATCH: Final = 64
"""Letters claimed at once, by one fsync: few at first, so that every connection gets
some, and twice as many each time, up to the second number. What was claimed and not
begun when the process dies is sent later, once; nobody can cancel it until then."""


class Route(Struct, frozen=True, kw_only=True):
    """What one account may do.

    Attributes:
        connections: at the same time.
        letters_per_minute: 0 is no limit.
    """

    account: str
    timing: Timing = Timing()
    connections: int = 2
    letters_per_minute: float = 0.0


class Lane:
    """The state of one account's sending.

    Attributes:
        busy: how many connections carry letters now.
    """

    def __init__(self, route: Route, jitter: Callable[[], float]) -> None:
        timing = route.timing
        self.account = route.account
        self.busy = 0
        self._connections = route.connections
        self._gap_seconds = 60 / route.letters_per_minute if route.letters_per_minute else 0.0
        self._free_at = 0.0
        self._lost = Backoff(
            first_seconds=timing.first_retry_seconds,
            most_seconds=timing.longest_retry_seconds,
            jitter=jitter,
        )
        self._denied = Backoff(
            first_seconds=timing.denied_retry_seconds,
            most_seconds=timing.longest_denied_retry_seconds,
            jitter=jitter,
        )

    def opens_at(self, seconds: float) -> float:
        """When the next letter may go, as far as the account decides; not before now."""
        return max(self._free_at, seconds)

    def room(self, seconds: float, most: int = FIRST_BATCH) -> int:
        """How many letters may be claimed now for one more connection, at most so many."""
        if self.busy >= self._connections or seconds < self._free_at:
            return 0
        return 1 if self._gap_seconds else min(most, BATCH)

    def may_go_on(self, seconds: float) -> bool:
        """Whether a letter that was claimed may still go: the account is not resting."""
        return self._gap_seconds > 0 or seconds >= self._free_at

    def went(self, seconds: float) -> None:
        """A letter is on its way."""
        if self._gap_seconds:
            self._free_at = max(self._free_at, seconds) + self._gap_seconds

    def heard(self, trouble: Trouble, seconds: float) -> float:
        """What an attempt said of the account; return how long it rests now."""
        if trouble is Trouble.NONE:
            self._lost.proved()
            self._denied.proved()
            return 0.0
        rest = (self._denied if trouble is Trouble.DENIED else self._lost).failed()
        self._free_at = max(self._free_at, seconds + rest)
        return rest

    def wake(self) -> None:
        """A person asks for an attempt now."""
        self._free_at = 0.0
