"""Lets so many attempts to connect through at a time, in turn.

A thousand accounts that start together would be a thousand TLS handshakes in one
second, and for a provider an attack. So attempts at one host wait for one
another, and all for the whole; hosts take turns, so that a slow one with many
accounts holds up nobody else, and within a host the first come is served first.
Who had to wait begins a little later, by chance: attempts that ended together
do not begin together.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

SPREAD_SECONDS: Final = 0.1
"""Over which those who waited are spread: less than a handshake takes."""

T = TypeVar("T")


class Turnstile:
    """Admits attempts.

    Args:
        per_host: so many at one host at a time.
        in_all: so many at all hosts together.
        jitter: gives a number in [0, 1).
        clock: spreads those who waited.
    """

    def __init__(
        self, *, per_host: int, in_all: int, jitter: Callable[[], float], clock: IReactorTime
    ) -> None:
        self._per_host = per_host
        self._in_all = in_all
        self._jitter = jitter
        self._clock = clock
        self._inside: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Deferred[bool]]] = OrderedDict()

    async def enter(self, host: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt at this host when it is its turn; may be cancelled before and in it."""
        has_waited = await self._turn(host)
        try:
            if has_waited:
                await deferLater(self._clock, self._jitter() * SPREAD_SECONDS)
            return await attempt()
        finally:
            self._leave(host)

    def _turn(self, host: str) -> Deferred[bool]:
        """Fires inside, with whether we had to wait."""
        if self._has_room(host):
            self._inside[host] += 1
            return succeed(False)

        def leave_queue(turn: Deferred[bool]) -> None:
            queue.remove(turn)
            if not queue:
                del self._waiting[host]

        queue = self._waiting.setdefault(host, deque())
        turn: Deferred[bool] = Deferred(leave_queue)
        queue.append(turn)
        return turn

    def _leave(self, host: str) -> None:
        self._inside[host] -= 1
        if not self._inside[host]:
            del self._inside[host]
        self._admit()

    def _admit(self) -> None:
        """Let in whoever's turn it is, as long as there is room."""
        while (host := next(filter(self._has_room, self._waiting), None)) is not None:
            queue = self._waiting.pop(host)
            turn = queue.popleft()
            if queue:
                self._waiting[host] = queue  # behind all other hosts
            self._inside[host] += 1
            turn.callback(True)

    def _has_room(self, host: str) -> bool:
        return self._inside[host] < self._per_host and self._inside.total() < self._in_all
