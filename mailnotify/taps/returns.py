"""Reads the stream for bounces of our own letters: the two halves of mailnotify together.

A reader like any other, which begins a day back at each start, so that a kill
between a bounce and its look costs nothing; looking twice does no harm. Only what
seems to come from a mail server is fetched, one message at a time, over a
connection of its own.
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

from mailnotify.core.events import Entry, NewMail
from mailnotify.hub import Hub, Reader
from mailnotify.interfaces import IPokable
from mailnotify.outbox.returned import Returned
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.filing import Errands, may_be_report

_BACK: Final = timedelta(days=1)
_PAGE: Final = 100


@implementer(IPokable)
class Returns(Service):
    """Looks at each new message that may be a bounce.

    Args:
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
        when_news: Callable[[], object],
    ) -> None:
        self._hub = hub
        self._errands = errands
        self._returned = Returned(store, now=now, when_news=when_news)
        self._now = now
        self._clock = clock
        self._reader: Reader | None = None
        self._alarm: IDelayedCall | None = None
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
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
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

    async def _look(self) -> None:
        """Read until there is nothing more."""
        assert self._reader is not None
        try:
            while copies := self._reader.pull(_PAGE).copies:
                for copy in copies:
                    await self._look_at(copy.entry)
        except CancelledError:
            pass
        except Exception:
            self._log.failure("bounces are looked for again with the next message")

    async def _look_at(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, NewMail) and may_be_report(event):
            await self._returned.on_mail(event, entry.at, partial(self._errands.fetch, event))
