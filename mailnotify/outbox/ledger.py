"""Commits what came of attempts: at once, or, when they come fast, in groups.

A commit costs an fsync, which takes longer than a letter on a held connection.
So a result is committed at once if the last commit is some milliseconds old,
and otherwise waits those milliseconds for others. A kill in between sends the
letters of that moment again; nobody was told that they are sent.

A disk that refuses is asked again, for ever, and whoever brings a result waits
for it: so each connection carries at most one letter whose end is not known to
the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailnotify.errors import OutboxUnwritable
from mailnotify.outbox.letter import Settlement, State, Ticket, Wish
from mailnotify.outbox.store import SqliteOutbox

GROUP_SECONDS: Final = 0.01
"""The longest that a result waits for others."""

UNWRITABLE_SECONDS: Final = 0.2
"""Between two tries to write: often only another process is writing."""

Told = Callable[[Settlement, State], object]
"""Hears what is committed, and the state that it led to."""


class Ledger:
    """Results on their way to the disk."""

    _log = Logger()

    def __init__(self, store: SqliteOutbox, clock: IReactorTime, told: Told) -> None:
        self._store = store
        self._clock = clock
        self._told = told
        self._waiting: list[Settlement] = []
        self._lock = DeferredLock()
        self._alarm: IDelayedCall | None = None
        self._free_at = 0.0

    async def enter(self, settlement: Settlement) -> None:
        """Take a result; return when it is committed, or soon will be."""
        self._waiting.append(settlement)
        if self._clock.seconds() >= self._free_at:
            await self.flush()
        elif self._alarm is None:
            self._alarm = self._clock.callLater(GROUP_SECONDS, self._flush_late)

    async def flush(self, wish: Wish | None = None) -> list[Ticket]:
        """Commit what waits; return when it is, with what was claimed by the same commit."""
        tickets: list[Ticket] = []
        await self._lock.acquire()
        try:
            while self._waiting or wish:
                group = tuple(self._waiting)
                states, claimed = await self._insist(group, wish)
                tickets, wish = tickets or claimed, None
                del self._waiting[: len(group)]
                for settlement, state in zip(group, states, strict=True):
                    self._told(settlement, state)
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
        finally:
            self._lock.release()
        return tickets

    def _flush_late(self) -> None:
        self._alarm = None
        flushing = Deferred.fromCoroutine(self.flush())
        flushing.addErrback(lambda failure: self._log.failure("results wait", failure=failure))

    async def _insist(
        self, group: tuple[Settlement, ...], wish: Wish | None
    ) -> tuple[list[State], list[Ticket]]:
        is_told = False
        while True:
            try:
                done = self._store.settle(group, wish)
                self._free_at = self._clock.seconds() + GROUP_SECONDS
                return done
            except OutboxUnwritable as error:
                if not group:
                    return [], []
                if not is_told:
                    self._log.warn("a result waits for the disk: {error}", error=error.explain())
                is_told = True
            await deferLater(self._clock, UNWRITABLE_SECONDS)
