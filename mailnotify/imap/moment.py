"""Something that happens once, and that anyone may wait for, before or after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")


class Moment(Generic[T]):
    """A greeting, a handshake, the loss of a connection."""

    __slots__ = ("_outcome", "_waiting")

    _log = Logger()

    def __init__(self) -> None:
        self._waiting: tuple[Callable[[Any], object], ...] = ()
        self._outcome: tuple[T | Failure] | None = None

    @property
    def has_passed(self) -> bool:
        """Whether it happened or failed."""
        return self._outcome is not None

    def tell(self, told: Callable[[Any], object]) -> None:
        """Call this once with the value, or with why there will be none; now if it has passed.

        Who waits for days waits like this: a Deferred has ten times the memory.
        """
        if self._outcome is None:
            self._waiting += (told,)
        else:
            told(*self._outcome)

    def wait(self) -> Deferred[T]:
        """Fires with the value, at once if the moment has passed; may be cancelled."""
        waiting: Deferred[T] = Deferred()
        self.tell(waiting.callback)
        return waiting

    def happen(self, value: T) -> None:
        """Tell all who wait. Only the first call of `happen` or `fail` counts."""
        self._end(value)

    def fail(self, error: Exception) -> None:
        """It will never happen, and this is why."""
        self._end(Failure(error))

    def _end(self, outcome: T | Failure) -> None:
        if self._outcome is not None:
            return
        self._outcome = (outcome,)
        waiting, self._waiting = self._waiting, ()
        for told in waiting:
            try:
                told(outcome)
            except Exception:
                self._log.failure("one who waited could not take what happened")
