"""Forgets what the retention no longer wants, a slice at a time.

A journal forgets a bounded number of entries in one call, so that nobody waits
for it; `Pruning` calls until there is nothing more to forget, with a breath
between two calls, and looks again every hour. A disk that refuses costs one
hour, and so does a clock that was set meanwhile: forgetting is never urgent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mailnotify.core.steady import Steadiness
from mailnotify.errors import MailnotifyError
from mailnotify.interfaces import IJournal

INTERVAL_SECONDS: Final = 3600.0
"""Retention is counted in days; an hour more or less is nobody's loss."""
BREATH_SECONDS: Final = 0.1
"""Between two slices: thirty times what a slice takes."""


class Pruning(Service):
    """Prunes a journal from `startService` to `stopService`.

    Args:
        journal: forgets by its own retention; closed by its owner, after this has stopped.
        now: the time of day, aware.
        clock: for the pauses.
    """

    _log = Logger()

    def __init__(self, journal: IJournal, now: Callable[[], datetime], clock: IReactorTime) -> None:
        self._journal = journal
        self._now = now
        self._clock = clock
        self._steadiness = Steadiness()
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to watch the clock; nothing is forgotten before it has proved steady."""
        super().startService()
        self._look()

    def stopService(self) -> None:
        """Nothing is forgotten after this."""
        super().stopService()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _look(self) -> None:
        now = self._now()
        if self._steadiness.holds(now, self._clock.seconds()):
            self._prune(now)
        else:
            self._next = self._clock.callLater(INTERVAL_SECONDS, self._look)

    def _prune(self, now: datetime) -> None:
        count = 0
        try:
            count = self._journal.prune(now)
        except MailnotifyError as problem:
            self._log.warn("nothing was forgotten: {problem}", problem=problem)
        if count:
            self._next = self._clock.callLater(BREATH_SECONDS, self._prune, now)
        else:
            self._next = self._clock.callLater(INTERVAL_SECONDS, self._look)
