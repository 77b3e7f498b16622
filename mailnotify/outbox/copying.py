"""Puts a copy of each letter that was sent into the account's Sent mailbox.

A few seconds after the sending, so that a provider that files copies by itself
has done so: a letter that lies there already is not copied again, which also
makes a copy once where we died before we could note it. A copy is a courtesy:
what goes wrong is said in the log, and no letter waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mailnotify.core.backoff import Backoff
from mailnotify.core.text import gist
from mailnotify.errors import CommandRefused, LetterInvalid, LetterUnknown, MailnotifyError
from mailnotify.outbox.store import SqliteOutbox

WAIT_SECONDS: Final = 5.0
"""From the sending to the copy."""

FIRST_RETRY_SECONDS: Final = 60.0
LONGEST_RETRY_SECONDS: Final = 3600.0

_REMEDY: Final = (
    "Make that mailbox at the server, or name another one as `submission.sent_copy` of the"
    ' account, or "never".'
)


class Cabinet(Protocol):
    """The Sent mailbox of one account, over one connection."""

    async def keep(self, message: bytes, message_id: str) -> None:
        """Put a copy there, unless there is one. Raises `PeerError`."""

    async def close(self) -> None:
        """Part from the server. Never fails."""


class Copying(Service):
    """Makes the copies of one account.

    Args:
        open_cabinet: connects; raises as `open_session` does.
        jitter: gives a number in [0, 1).
    """

    _log = Logger()

    def __init__(
        self,
        account: str,
        store: SqliteOutbox,
        *,
        open_cabinet: Callable[[], Awaitable[Cabinet]],
        clock: IReactorTime,
        jitter: Callable[[], float],
    ) -> None:
        self._account = account
        self._store = store
        self._open_cabinet = open_cabinet
        self._clock = clock
        self._backoff = Backoff(
            first_seconds=FIRST_RETRY_SECONDS, most_seconds=LONGEST_RETRY_SECONDS, jitter=jitter
        )
        self._alarm: IDelayedCall | None = None
        self._copying: Deferred[float] | None = None
        self._refusal = ""

    def startService(self) -> None:
        """Make what the last run has left."""
        super().startService()
        self.wake()

    def stopService(self) -> Deferred[float] | None:
        """Make no more copies; those that are left are made after the next start."""
        super().stopService()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        copying = self._copying
        if copying is not None:
            copying.cancel()
        return copying

    def wake(self) -> None:
        """There may be something to copy soon."""
        self._wake_in(WAIT_SECONDS)

    def _wake_in(self, seconds: float) -> None:
        if self.running and self._alarm is None and self._copying is None:
            self._alarm = self._clock.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._alarm = None
        copying = self._copying = Deferred.fromCoroutine(self._copy_all())
        copying.addBoth(self._ended)

    def _ended(self, rest: object) -> None:
        self._copying = None
        if isinstance(rest, float) and rest:
            self._wake_in(rest)

    async def _copy_all(self) -> float:
        """Copy until nothing is left; return how long to wait before going on."""
        try:
            if self._store.next_copy(self._account) is None:
                return 0.0
            cabinet = await self._open_cabinet()
            try:
                while (number := self._store.next_copy(self._account)) is not None:
                    await self._copy(cabinet, number)
            finally:
                await cabinet.close()
        except MailnotifyError as error:
            self._log.warn(
                "copies for {account} are made later: {error}",
                account=self._account,
                error=error.explain(),
            )
            return self._backoff.failed()
        except CancelledError:
            return 0.0
        except Exception:
            self._log.failure("a bug: copies for {account} are made later", account=self._account)
            return self._backoff.failed()
        self._backoff.proved()
        return 0.0

    async def _copy(self, cabinet: Cabinet, number: int) -> None:
        try:
            message = self._store.message(number)
            await cabinet.keep(message, self._store.letter(number).message_id)
        except (CommandRefused, LetterInvalid, LetterUnknown) as error:
            self._complain(number, error)
        else:
            self._refusal = ""
        self._store.copied(number)

    def _complain(self, number: int, error: MailnotifyError) -> None:
        """Say why once, and not for each letter: without a Sent mailbox there will be many."""
        if gist(str(error)) != self._refusal:
            self._refusal = gist(str(error))
            self._log.warn(
                "no copy is kept of letter {number}, nor of others of which this is true: {error}",
                number=number,
                # The remedy of an invalid letter is for one that was not sent; this one was.
                error=str(error)
                if isinstance(error, LetterInvalid)
                else f"{str(error).rstrip('.')}. {_REMEDY}",
            )
