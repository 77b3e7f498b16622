"""Something that happens once, and that anyone may wait for, before or after."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

T = TypeVar("T")


class Moment(Generic[T]):
    """A greeting, a handshake, the loss of a connection."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[T]] = []
        self._outcome: tuple[T] | Failure | None = None

    @property
    def has_passed(self) -> bool:
        """Whether it happened or failed."""
        return self._outcome is not None

    def wait(self) -> Deferred[T]:
        """Fires with the value, at once if the moment has passed; may be cancelled."""
        if isinstance(self._outcome, Failure):
            return fail(self._outcome)
        if self._outcome is not None:
            return succeed(self._outcome[0])
        waiting: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def happen(self, value: T) -> None:
        """Tell all who wait. Only the first call of `happen` or `fail` counts."""
        if self._outcome is None:
            self._outcome = (value,)
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(value)

    def fail(self, error: Exception) -> None:
        """It will never happen, and this is why."""
        if self._outcome is None:
            self._outcome = Failure(error)
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.errback(Failure(error))
