"""Reads the stream for bounces of our own letters: the two halves of mailnotify together.

A reader like any other, which begins a day back at each start, so that a kill
between a bounce and its look costs nothing; looking twice does no harm. Only what
seems to come from a mail server is fetched, one message at a time, over a
connection of its own; what could not be fetched is tried again for a day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.core.backoff import Backoff
from mailnotify.core.events import Entry, NewMail
from mailnotify.errors import MailnotifyError
from mailnotify.hub import Hub, Reader
from mailnotify.interfaces import IPokable
from mailnotify.outbox.returned import Returned
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.filing import Errands, may_be_report

FIRST_RETRY_SECONDS: Final = 60.0
LONGEST_RETRY_SECONDS: Final = 3600.0

_BACK: Final = timedelta(days=1)
_PAGE: Final = 100


@implementer(IPokable)
class Returns(Service):
    """Looks at each new message that may be a bounce.

    Args:
        jitter: gives a number in [0, 1).
        when_news: called when the outbox has something to tell.
    """

    _log = Logger()

    def __init__(
        self,
        hub: Hub,
        store: SqliteOutbox,
        errands: Errands,
        *,
        now: Callable[[], datetime],
        clock: IReactorTime,
        jitter: Callable[[], float],
        when_news: Callable[[], object],
    ) -> None:
        self._hub = hub
        self._errands = errands
        self._returned = Returned(store, now=now, when_news=when_news)
        self._now = now
        self._clock = clock
        self._reader: Reader | None = None
        self._alarm: IDelayedCall | None = None
        self._again: list[Entry] = []
        self._backoff = Backoff(
            first_seconds=FIRST_RETRY_SECONDS, most_seconds=LONGEST_RETRY_SECONDS, jitter=jitter
        )
        self._retrying: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin a day back."""
        super().startService()
        self._reader = self._hub.reader(self._now() - _BACK)
        self._hub.attach(self)
        self.poke()

    def stopService(self) -> Deferred[None] | None:
        """Look no more; fires when no connection is left."""
        super().stopService()
        self._hub.detach(self)
        for alarm in (self._alarm, self._retrying):
            if alarm is not None:
                alarm.cancel()
        self._alarm = self._retrying = None
        self._again.clear()
        looking = self._looking
        if looking is not None:
            looking.cancel()
        return looking

    def poke(self) -> None:
        """See `IPokable.poke`."""
        if self.running and self._looking is None and self._alarm is None:
            self._alarm = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._alarm = None
        looking = self._looking = Deferred.fromCoroutine(self._look())
        looking.addBoth(self._ended)

    def _ended(self, _: object) -> None:
        self._looking = None
        if self._again and self._retrying is None and self.running:
            self._retrying = self._clock.callLater(self._backoff.failed(), self._retry)

    def _retry(self) -> None:
        self._retrying = None
        self.poke()

    async def _look(self) -> None:
        """Read until there is nothing more."""
        assert self._reader is not None
        try:
            if self._retrying is None:
                again, self._again = self._again, []
                for entry in again:
                    await self._look_at(entry)
            while self.running and (copies := self._reader.pull(_PAGE).copies):
                for copy in copies:
                    await self._look_at(copy.entry)
        except CancelledError:
            pass
        except Exception:
            self._log.failure("bounces are looked for again with the next message")

    async def _look_at(self, entry: Entry) -> None:
        event = entry.event
        # An attempt to connect that is cancelled by a stop fails as any other.
        if not (self.running and isinstance(event, NewMail) and may_be_report(event)):
            return
        try:
            await self._returned.on_mail(entry.at, partial(self._errands.fetch, event))
        except MailnotifyError as error:
            is_late = entry.at < self._now() - _BACK
            self._log.warn(
                "the bounce {id} was not looked into{later}: {error}",
                id=event.id,
                later="" if is_late else " yet",
                error=error.explain(),
            )
            if not is_late:
                self._again.append(entry)
        else:
            self._backoff.proved()
