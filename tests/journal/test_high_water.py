"""An older copy of the journal never passes for the journal."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.journal.high_water import HighWater
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, mail


class RestoreTests(SynchronousTestCase):
    """Somebody puts a backup in the journal's place."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / "journal.sqlite"
        self.lives = 0

    def make_epoch(self) -> str:
        self.lives += 1
        return f"life{self.lives}"

    def open(self) -> SqliteJournal:
        return SqliteJournal.open(
            self.path, retention=Retention(), make_epoch=self.make_epoch, now=NOON
        )

    def append(self, *uids: int) -> None:
        """One life of the service."""
        journal = self.open()
        journal.append([mail(uid) for uid in uids], None, NOON)
        journal.close()

    def epoch(self) -> str:
        journal = self.open()
        journal.close()
        return journal.epoch

    def copy(self) -> Path:
        return Path(shutil.copy(self.path, self.folder / "backup"))

    def test_a_restart_changes_nothing(self) -> None:
        """However often the service starts, the epoch is the same."""
        for uid in range(1, 5):
            self.append(uid)
        self.assertEqual(self.epoch(), "life1")

    def test_an_older_copy_is_a_new_epoch(self) -> None:
        """It has forgotten what readers have had."""
        self.append(1, 2)
        backup = self.copy()
        self.append(3)
        shutil.copy(backup, self.path)
        journal = self.open()
        self.addCleanup(journal.close)
        self.assertEqual((journal.epoch, journal.head), ("life2", 2))

    def test_even_when_it_has_grown_as_long_since(self) -> None:
        """The new epoch stays: an old position never meets other entries by the same number."""
        self.append(1, 2)
        backup = self.copy()
        self.append(3)
        shutil.copy(backup, self.path)
        self.append(4, 5, 6)
        self.assertEqual(self.epoch(), "life2")

    def test_a_kill_hides_nothing(self) -> None:
        """What was told before a crash is remembered, though nothing was closed."""
        self.append(1)
        backup = self.copy()
        dying = self.open()
        dying.append([mail(2)], None, NOON)
        dying._database.close()  # the lock goes as with the process; nothing else happens
        shutil.copy(backup, self.path)
        Path(f"{self.path}-wal").unlink(missing_ok=True)
        self.assertEqual(self.epoch(), "life2")

    def test_a_log_that_is_lost_is_a_new_epoch(self) -> None:
        """After a kill the newest entries stand in the write-ahead log alone; readers had them."""
        for lost in (("-wal",), ("-wal", "-shm"), ("-wal", ".high")):
            dying = self.open()
            dying.append([mail(1), mail(2)], None, NOON)
            left = {each: each.read_bytes() for each in self.folder.iterdir()}
            dying.close()
            for each, content in left.items():
                each.write_bytes(content)
            for suffix in lost:
                Path(f"{self.path}{suffix}").unlink()
            journal = self.open()
            journal.close()
            self.assertEqual(journal.head, 0, "the log held all of them")
            self.assertNotEqual(journal.epoch, dying.epoch, lost)
            shutil.rmtree(self.folder)

    def test_the_same_copy_is_no_restore(self) -> None:
        """A journal that was copied away and back, with nothing between, is itself."""
        self.append(1, 2)
        shutil.copy(self.copy(), self.path)
        self.assertEqual(self.epoch(), "life1")

    def test_a_journal_that_moved_in_alone_is_a_new_epoch(self) -> None:
        """On a new machine, from a backup of the database only."""
        self.append(1)
        Path(f"{self.path}.high").unlink()
        self.assertEqual(self.epoch(), "life2")
        self.assertEqual(self.epoch(), "life2")

    def test_a_journal_of_another_life_is_a_new_epoch(self) -> None:
        """One that was moved aside as damaged comes back."""
        self.append(1, 2, 3)
        backup = self.copy()
        self.path.unlink()
        self.append(1)
        shutil.copy(backup, self.path)
        self.assertEqual(self.epoch(), "life3")


class HighWaterTests(SynchronousTestCase):
    """The file itself."""

    def test_nonsense_is_nothing(self) -> None:
        """A file that is cut, or not ours, is as good as none."""
        for content in (b"", b"e1", b"e1:7:", b"\xff" * 96, b"e1:" + b"9" * 40):
            path = Path(self.mktemp())
            path.write_bytes(content)
            self.assertTrue(HighWater(path).has_passed("e1", 7), content)
            self.assertTrue(HighWater(path).has_passed("e1", 0), content)

    def test_a_shorter_record_leaves_nothing_of_the_longer(self) -> None:
        """A number that got smaller is read as what it is."""
        path = Path(self.mktemp())
        water = HighWater(path)
        water.rise("e" * 64, 10**18 - 1)
        water.rise("e1", 5)
        water.close()
        water.close()
        self.assertFalse(HighWater(path).has_passed("e1", 5))
        self.assertTrue(HighWater(path).has_passed("e1", 4))

    def test_a_disk_that_refuses_is_told_of_once(self) -> None:
        """The entries are safe, so nothing else happens."""
        water = HighWater(Path(self.mktemp()) / "nowhere" / "high")
        with capturedLogs() as logged:
            water.rise("e1", 1)
            water.rise("e1", 2)
            water.close()
        self.assertEqual(len(logged), 1)
