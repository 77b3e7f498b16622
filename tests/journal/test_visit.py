"""Tests of `mailnotify.journal.visit`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.errors import JournalUnreadable, LetterInvalid
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.journal.visit import find_mail
from tests.journal.events import NOON, mail, state


class FindTests(SynchronousTestCase):
    """One message out of the journal of a running service."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "journal.sqlite"
        self.journal = SqliteJournal.open(
            self.path, retention=Retention(entries=20), make_epoch=lambda: "e1", now=NOON
        )
        self.addCleanup(self.journal.close)
        self.journal.append([mail(4), state(), mail(9)], None, NOON)

    def test_by_id(self) -> None:
        """By the id that the stream shows."""
        self.assertEqual(find_mail(self.path, mail(9).id), mail(9))

    def test_by_position(self) -> None:
        """By the position at which the stream shows it."""
        self.assertEqual(find_mail(self.path, "e1:1"), mail(4))

    def test_among_others(self) -> None:
        """One of many that came at once, by either name; what is forgotten is not there."""
        self.journal.append([mail(uid) for uid in range(20, 60)], None, NOON)
        self.assertEqual(find_mail(self.path, mail(33).id), mail(33))
        self.assertEqual(find_mail(self.path, f"e1:{3 + 14}"), mail(33))
        self.journal.prune(NOON)
        for wanted in ("e1:1", mail(4).id):
            self.assertRaises(LetterInvalid, find_mail, self.path, wanted)
        self.assertEqual(find_mail(self.path, "e1:43"), mail(59))

    def test_not_there(self) -> None:
        """Another epoch, a number that is none, an event that is no mail, no id at all."""
        for wanted in ("e2:1", "e1:4", "e1:2", mail(5).id, "x", "a/b;UIDVALIDITY=1/;UID=x", ""):
            self.assertRaises(LetterInvalid, find_mail, self.path, wanted)

    def test_no_journal(self) -> None:
        """A folder without a journal is named, and gets none."""
        nowhere = self.path.with_name("none.sqlite")
        self.assertRaises(JournalUnreadable, find_mail, nowhere, "e1:1")
        self.assertFalse(nowhere.exists())
