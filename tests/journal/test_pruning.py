"""Tests of `mailnotify.journal.pruning`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.errors import JournalUnwritable
from mailnotify.journal.pruning import BREATH_SECONDS, INTERVAL_SECONDS, Pruning
from mailnotify.journal.sqlite import SqliteJournal
from tests.fakes import MemoryJournal
from tests.journal.events import NOON, mail


class _Refusing(MemoryJournal):
    """A journal on a disk that takes nothing."""

    def prune(self, now: datetime) -> int:
        raise JournalUnwritable(path="memory", reason="no space left")


class PruningTests(SynchronousTestCase):
    """A journal stays as small as the operator wants it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.set_by = timedelta()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds()) + self.set_by

    def start(self, journal: object) -> Pruning:
        pruning = Pruning(journal, self.now, self.clock)  # type: ignore[arg-type]
        pruning.startService()
        return pruning

    def test_all_that_is_too_much_goes_in_slices(self) -> None:
        """A great backlog is forgotten in seconds, with room for others in between."""
        journal = SqliteJournal.open(
            Path(self.mktemp()) / "journal.sqlite",
            retention=Retention(entries=100),
            make_epoch=lambda: "life",
            now=NOON,
        )
        self.addCleanup(journal.close)
        journal.append([mail(uid) for uid in range(1, 2601)], None, NOON)
        pruning = self.start(journal)
        self.assertEqual(journal.oldest, 1)
        self.clock.advance(INTERVAL_SECONDS)
        oldest = []
        for _ in range(3):
            oldest.append(journal.oldest)
            self.clock.advance(BREATH_SECONDS)
        self.assertEqual(oldest, [1001, 2001, 2501])
        pruning.stopService()

    def test_it_looks_again_every_hour(self) -> None:
        """What became too much later is forgotten later."""
        journal = MemoryJournal(retention=Retention(entries=1))
        pruning = self.start(journal)
        self.clock.advance(INTERVAL_SECONDS)
        journal.append([mail(1), mail(2)], None, NOON)
        self.clock.advance(INTERVAL_SECONDS - 1)
        self.assertEqual(journal.oldest, 1)
        self.clock.advance(1)
        self.assertEqual(journal.oldest, 2)
        pruning.stopService()

    def test_a_disk_that_refuses_is_said_and_tried_again(self) -> None:
        """Pruning goes on after a failure, an hour later."""
        said: list[object] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        pruning = self.start(_Refusing())
        self.clock.advance(INTERVAL_SECONDS)
        self.clock.advance(INTERVAL_SECONDS)
        warned = [each for each in said if each["log_level"] is LogLevel.warn]  # type: ignore[index]
        self.assertEqual(len(warned), 2)
        pruning.stopService()

    def test_a_clock_that_is_wrong_for_a_while(self) -> None:
        """Nothing looks old because the clock was ten years ahead, at the start or later."""
        journal = MemoryJournal(retention=Retention(days=30))
        journal.append([mail(1)], None, NOON)
        self.set_by = timedelta(days=3650)
        pruning = self.start(journal)
        self.clock.advance(INTERVAL_SECONDS / 2)
        self.set_by = timedelta()
        for ahead in (0, 3650, 0, 0):
            self.clock.advance(INTERVAL_SECONDS)
            self.set_by = timedelta(days=ahead)
        self.assertEqual(journal.oldest, 1)
        self.set_by = timedelta(days=31)
        self.clock.advance(INTERVAL_SECONDS)
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(journal.oldest, 2)
        pruning.stopService()

    def test_stopping_leaves_no_timer(self) -> None:
        """Nothing of it is left; to stop it again is harmless."""
        pruning = self.start(MemoryJournal())
        pruning.stopService()
        pruning.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
