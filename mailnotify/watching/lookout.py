"""Watches the watchers: one `Sight` for each mailbox, and the events that it owes.

A watcher tells its `Witness` what becomes of it. The `Lookout` looks once a second
whether any sight is due, so that also what hangs without a word is noticed, and
publishes each change of state once. An event that cannot be journalled stays
due, and is made anew when the journal takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailnotify.config.schema import Timing
from mailnotify.core.condition import condition
from mailnotify.core.events import AccountState, Event
from mailnotify.core.sight import Bounds, Health, Instant, Sight
from mailnotify.core.text import gist
from mailnotify.errors import JournalUnwritable
from mailnotify.watching.chorus import Chorus
from mailnotify.watching.witness import Witness

LOOK_SECONDS: Final = 1.0
"""How much later than its bound a silence may be told."""

STOPPED_SECONDS: Final = 3.0
"""Of not looking at all: the process was stopped, or its machine paused, and nobody listened."""


class Lookout(Service):
    """All mailboxes, and how it stands with them.

    Args:
        accept: journals events and tells readers; may raise `JournalUnwritable`.
        recall: what was last told of a mailbox.
        clock: measures, and runs the looking.
        now: the time in UTC, for people.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        accept: Callable[[Sequence[Event]], object],
        recall: Callable[[str, str], AccountState | None],
        clock: IReactorTime,
        now: Callable[[], datetime],
    ) -> None:
        self._accept = accept
        self._recall = recall
        self._clock = clock
        self._now = now
        self._sights: list[Sight] = []
        self._due_at = inf  # nothing is due before: no need to look at 5,000 sights
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._seen_at = clock.seconds()
        self._stopped_seconds = 0.0
        self._states = Chorus(
            self._log.info,
            "{place} is {state}",
            "{count} mailboxes more are {state}{why}",
            clock=clock,
        )

    def witness(
        self, account: str, mailbox: str, timing: Timing, alert: Callable[[], str] = str
    ) -> Witness:
        """Begin to look at a mailbox; give what is returned to its watcher.

        Args:
            alert: what its server last wanted a person to read.

        Raises:
            JournalUnreadable: the journal is damaged.
        """
        rarest = max(timing.poll_seconds, timing.idle_poll_seconds)
        bounds = Bounds(
            blind_seconds=timing.blind_seconds,
            quiet_seconds=min(rarest, timing.safety_seconds) + timing.command_seconds,
        )
        told = self._recall(account, mailbox)
        sight = Sight(account, mailbox, bounds=bounds, now=self._instant(), told=told)
        self._sights.append(sight)
        self._due_at = min(self._due_at, sight.due_at)
        return _Reporting(sight, self, alert)

    def health(self) -> tuple[Health, ...]:
        """How it stands with each mailbox, in the order of the configuration."""
        return tuple(sight.health() for sight in self._sights if not sight.has_ended)

    def proved(self, sight: Sight) -> None:
        """Its server showed that it would have told us."""
        now = self._instant()
        sight.proved(now)
        self._tell(sight, now)

    def failed(self, sight: Sight, error: BaseException, alert: str) -> None:
        """Its server cannot tell us now, and this is why."""
        now = self._instant()
        sight.failed(now, condition(error, alert))
        self._tell(sight, now)

    def end(self, sight: Sight) -> None:
        """It is gone: look at it no more, once those know who believe it unseen."""
        sight.has_ended = True
        self._tell(sight, self._instant())

    def end_others(
        self, told: Sequence[AccountState], is_watched: Callable[[str, str], bool]
    ) -> None:
        """Of all that was told, what is watched no more has ended."""
        for each in told:
            if not is_watched(each.account, each.mailbox):
                bounds = Bounds(blind_seconds=inf, quiet_seconds=inf)
                now = self._instant()
                sight = Sight(each.account, each.mailbox, bounds=bounds, now=now, told=each)
                self._sights.append(sight)
                self.end(sight)

    def startService(self) -> None:
        super().startService()
        self._looking.start(LOOK_SECONDS, now=False)

    def stopService(self) -> None:
        super().stopService()
        self._looking.stop()
        self._states.stopService()

    def _look(self) -> None:
        now = self._instant()  # also where nothing is due: it keeps the clock going
        if now.seconds < self._due_at:
            return
        for sight in tuple(self._sights):
            self._tell(sight, now)
        self._due_at = min((sight.due_at for sight in self._sights), default=inf)

    def _tell(self, sight: Sight, now: Instant) -> None:
        """Publish what is due; only what was journalled counts as told."""
        event = sight.due(now)
        if event is not None:
            self._publish(sight, event)
        if sight.has_ended and sight.due_at == inf and sight in self._sights:
            self._sights.remove(sight)
        self._due_at = min(self._due_at, sight.due_at)

    def _publish(self, sight: Sight, event: AccountState) -> None:
        try:
            self._accept([event])
        except JournalUnwritable:
            return  # every watcher says so in the log
        sight.told(event)
        place = f"{event.account}/{event.mailbox}"
        key = gist(f"{event.state} {event.cause}")
        why = f": {event.cause}" if event.cause else ""
        self._states.say(key, place=place, state=event.state, why=why)

    def _instant(self) -> Instant:
        """Now, on a clock that stands still while this process does."""
        seconds = self._clock.seconds()
        gap_seconds, self._seen_at = seconds - self._seen_at, seconds
        if gap_seconds > LOOK_SECONDS + STOPPED_SECONDS:
            self._stopped_seconds += gap_seconds
        return Instant(seconds=seconds - self._stopped_seconds, at=self._now())


class _Reporting(Witness):
    """What one watcher tells, noted in the sight of its mailbox."""

    __slots__ = ("_alert", "_lookout", "_sight")

    def __init__(self, sight: Sight, lookout: Lookout, alert: Callable[[], str]) -> None:
        self._sight = sight
        self._lookout = lookout
        self._alert = alert

    def proved(self) -> None:
        self._lookout.proved(self._sight)

    def failed(self, error: BaseException) -> None:
        self._lookout.failed(self._sight, error, self._alert())

    def checked(self) -> None:
        self._sight.checks += 1

    def missed(self, count: int) -> int:
        self._sight.missed += count
        return self._sight.missed

    def end(self) -> None:
        self._lookout.end(self._sight)
