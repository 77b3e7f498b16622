"""Many who say the same in the log, and are one line there.

A host that cannot be reached, with a thousand accounts, is one trouble. The first few
say it by name, so that a small installation always has each line; the others are
counted, and their number is said after ten seconds, a minute, ten minutes, an hour,
as long as there are more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

MOST_NAMED: Final = 3

INTERVALS: Final = (10.0, 60.0, 600.0, 3600.0)
"""Seconds until the number of the others is said, and then again."""


class Chorus(Service):
    """Those who may say one thing. Stop it to let go of its timers.

    Args:
        log: takes a format and its fields.
        one: the format of what one says, by name.
        more: the format of what is said of several; has `count`.
    """

    def __init__(
        self, log: Callable[..., object], one: str, more: str, *, clock: IReactorTime
    ) -> None:
        self._log = log
        self._one = one
        self._more = more
        self._clock = clock
        self._verses: dict[str, _Verse] = {}

    def say(self, key: str, **fields: Any) -> None:
        """Say it, or be counted.

        Args:
            key: who has the same says the same.
            fields: of both formats; those of the last one are said with the number.
        """
        verse = self._verses.get(key)
        if verse is None:
            verse = self._verses[key] = _Verse()
            self._wait(key, verse)
        verse.fields = fields
        verse.named += 1
        if verse.named <= MOST_NAMED:
            self._log(self._one, **fields)
        else:
            verse.count += 1

    def stopService(self) -> None:
        """Say what is left."""
        super().stopService()
        verses, self._verses = self._verses, {}
        for verse in verses.values():
            if verse.timer is not None and verse.timer.active():
                verse.timer.cancel()
            self._sum_up(verse)

    def _wait(self, key: str, verse: _Verse) -> None:
        seconds = INTERVALS[min(verse.rounds, len(INTERVALS) - 1)]
        verse.timer = self._clock.callLater(seconds, self._end, key, verse)

    def _end(self, key: str, verse: _Verse) -> None:
        if not verse.count:
            del self._verses[key]
            return
        self._sum_up(verse)
        verse.rounds += 1
        self._wait(key, verse)

    def _sum_up(self, verse: _Verse) -> None:
        if verse.count:
            self._log(self._more, count=verse.count, **verse.fields)
        verse.count = 0


class _Verse:
    """One thing that is said.

    Attributes:
        named: who has said it so far.
        count: of these, those of whom nothing was said yet.
        rounds: how often their number was said.
    """

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.named = self.count = self.rounds = 0
        self.timer: IDelayedCall | None = None
