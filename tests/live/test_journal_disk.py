"""The journal on a disk that is full, and on one that has become read-only."""

from __future__ import annotations

import contextlib
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.core.sync import Cursor
from mailnotify.errors import JournalUnwritable
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, everything, mail, move
from tests.live.test_disk_full import small_disk

MOST_MESSAGES = 20_000


class JournalDiskTests(SynchronousTestCase):
    """A file system of its own, in memory."""

    def setUp(self) -> None:
        self.disk = small_disk()
        self.addCleanup(self.disk.rmdir)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(self.disk)], check=True)
        self.path = self.disk / "state" / "journal.sqlite"

    def open(self) -> SqliteJournal:
        return SqliteJournal.open(
            self.path, retention=Retention(), make_epoch=lambda: "life", now=NOON
        )

    def test_a_full_disk_loses_nothing(self) -> None:
        """It says so at each attempt; with room again it goes on where it stopped."""
        ballast = self.disk / "ballast"
        ballast.write_bytes(b"x" * 600_000)
        journal = self.open()
        stored = self._append_until_full(journal)
        self.assertGreater(stored, 10)
        for _ in range(10):
            with self.assertRaises(JournalUnwritable):
                journal.append(_batch(stored), move(stored + 50), NOON)
        self.assertEqual((journal.head, len(everything(journal))), (stored, stored))
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=stored))
        ballast.unlink()
        entries = journal.append(_batch(stored), move(stored + 50), NOON)
        self.assertEqual([entry.seq for entry in entries], list(range(stored + 1, stored + 51)))
        journal.close()
        self._assert_holds(stored + 50)

    def test_a_service_that_starts_on_a_full_disk_loses_nothing(self) -> None:
        """After a restart without room the journal is what it was."""
        journal = self.open()
        stored = self._append_until_full(journal)
        journal.close()
        with contextlib.suppress(JournalUnwritable):  # to say so is as good while there is no room
            self._assert_holds(stored)
        self._remount("size=8m")
        self._assert_holds(stored)

    def test_a_read_only_disk_is_said(self) -> None:
        """A disk that the kernel has made read-only is named, and comes back."""
        journal = self.open()
        journal.append([mail(1)], move(1), NOON)
        journal.close()
        self._remount("ro")
        problem = self.assertRaises(JournalUnwritable, self.open)
        self.assertIn(str(self.path), str(problem))
        self._remount("rw")
        self._assert_holds(1)

    def _append_until_full(self, journal: SqliteJournal) -> int:
        for uid in range(1, MOST_MESSAGES):
            try:
                journal.append([mail(uid)], move(uid), NOON)
            except JournalUnwritable:
                return uid - 1
        raise AssertionError("the disk never gets full")

    def _assert_holds(self, count: int) -> None:
        with contextlib.closing(self.open()) as journal:
            uids = [entry.event.uid for entry in everything(journal)]
            cursor = journal.cursor("home", "INBOX")
        self.assertEqual(uids, list(range(1, count + 1)))
        self.assertEqual(cursor, Cursor(uidvalidity=7, last_uid=count))

    def _remount(self, how: str) -> None:
        command = ["mount", "-o", f"remount,{how}", str(self.disk)]
        subprocess.run(command, check=True, capture_output=True)


def _batch(stored: int) -> list[object]:
    return [mail(uid) for uid in range(stored + 1, stored + 51)]
