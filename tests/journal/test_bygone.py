"""Tests of `mailnotify.journal.bygone`."""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.journal.bygone import Bygone
from mailnotify.journal.kind import JOURNAL
from mailnotify.storage.upgrades import scripts, upgrade


class BygoneTests(SynchronousTestCase):
    """What is known of messages without entries does not grow for ever."""

    def setUp(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(connection.close)
        upgrade(connection, "path", JOURNAL, scripts(JOURNAL.schema))
        self.bygone = Bygone(connection, most=4)

    def kept(self) -> list[int]:
        return [key for key in range(10) if key in self.bygone]

    def test_the_first_are_forgotten_first(self) -> None:
        """Whatever comes, so many stay, the newest."""
        for key in range(10):
            self.bygone.keep([(100 + key, key)])
        self.assertEqual(self.kept(), [6, 7, 8, 9])
        self.assertEqual(sorted(self.bygone.names()), [106, 107, 108, 109])

    def test_what_is_met_again_is_new_again(self) -> None:
        """A mailbox that is looked through again renews what still lies in it."""
        self.bygone.keep([(0, 0), (101, 1), (102, 2), (103, 3)])
        self.bygone.keep([(101, 1), (104, 4)])
        self.assertEqual(self.kept(), [1, 2, 3, 4])
        self.bygone.keep([(105, 5), (106, 6)])
        self.assertEqual(self.kept(), [1, 4, 5, 6])

    def test_the_mark_of_a_mailbox_goes_first(self) -> None:
        """It was kept before what it stands for: while that is known, nobody is told of it."""
        self.bygone.keep([(0, 9), (101, 1), (102, 2)])
        self.bygone.keep([(103, 3), (104, 4)])
        self.assertEqual(self.kept(), [1, 2, 3, 4])
