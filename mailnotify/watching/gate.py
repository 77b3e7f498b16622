"""Where the logins of one account meet: a refused one holds all of them back.

Ten mailboxes of an account are ten connections with one secret. If it is wrong,
ten watchers that try again by themselves are what gets an account locked. So
nobody else logs in until one of them has shown that the secret is taken, and a
refusal counts for all: until its delay is over they get the same answer, without
any connection.

The delays are apart from those of a network that fails: after a refusal they
begin with a quarter of an hour and double up to some hours; after a "not now" they
are patient, and as long as the server asks for. "Too many connections" is neither:
what to do then is the business of the crew (`mailnotify.watching.crew`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.errors import LoginDeferred, LoginDenied
from mailnotify.watching.crowding import is_crowded

PATIENCE = 10.0
"""How much longer than after a broken connection we wait after a "not now", at first."""

_LEAST_SECONDS = 0.001
"""Less is over: timers and their sums are not exact."""

T = TypeVar("T")


class LoginGate:
    """Lets the logins of one account through, or not.

    Args:
        timing: the account's delays.
        jitter: gives a number in [0, 1).
        clock: measures the delays.
    """

    __slots__ = ("_clock", "_deferrals", "_denials", "_error", "_is_proved", "_open_at", "_probing")

    def __init__(self, timing: Timing, *, jitter: Callable[[], float], clock: IReactorTime) -> None:
        self._denials = Backoff(
            first_seconds=timing.denied_retry_seconds,
            most_seconds=timing.longest_denied_retry_seconds,
            jitter=jitter,
        )
        self._deferrals = Backoff(
            first_seconds=min(timing.first_retry_seconds * PATIENCE, timing.denied_retry_seconds),
            most_seconds=timing.denied_retry_seconds,
            jitter=jitter,
        )
        self._clock = clock
        self._probing = DeferredLock()
        self._is_proved = False
        self._error: LoginDenied | LoginDeferred | None = None
        self._open_at = 0.0

    async def enter(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Log in, when it is our turn.

        Raises:
            LoginDenied, LoginDeferred: now or a moment ago; `retry_seconds` says when
                the next attempt will be let through.
        """
        if not self._is_proved:
            await self._probing.acquire()
            try:
                if not self._is_proved:
                    return await self._try(attempt)
            finally:
                self._probing.release()
        return await self._try(attempt)

    async def _try(self, attempt: Callable[[], Awaitable[T]]) -> T:
        left_seconds = self._open_at - self._clock.seconds()
        if self._error is not None and left_seconds > _LEAST_SECONDS:
            raise replace(self._error, retry_seconds=left_seconds)
        try:
            result = await attempt()
        except LoginDenied as error:
            raise self._shut(error, self._denials, 0.0) from None
        except LoginDeferred as error:
            if is_crowded(error):  # it is no login that was refused, and others have theirs
                raise
            raise self._shut(error, self._deferrals, error.retry_seconds or 0.0) from None
        self._is_proved = True
        self._error = None
        self._denials.proved()
        self._deferrals.proved()
        return result

    def _shut(
        self, error: LoginDenied | LoginDeferred, backoff: Backoff, least_seconds: float
    ) -> Exception:
        """Hold all others back; several that were under way together count as one."""
        self._is_proved = False
        now = self._clock.seconds()
        if self._error is None or self._open_at - now <= _LEAST_SECONDS:
            self._open_at = now + max(backoff.failed(), least_seconds)
        self._error = error
        return replace(error, retry_seconds=self._open_at - now)
