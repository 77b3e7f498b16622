"""Tests of `mailnotify.storage.upgrades`."""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.journal.kind import JOURNAL
from mailnotify.outbox.store import OUTBOX
from mailnotify.storage.upgrades import _made_by, scripts, upgrade

_COLOURS = "CREATE TABLE colours (name);\nINSERT INTO colours VALUES ('red; not; blue');"
_SHADES = "-- a comment; with a semicolon\nALTER TABLE colours ADD COLUMN shade;\n"


class UpgradeTests(SynchronousTestCase):
    """A journal of any age is brought to the newest schema, step by step."""

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)

    def version(self) -> int:
        version: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        return version

    def test_a_new_file_gets_every_step(self) -> None:
        """The steps run in order, and the version counts them."""
        upgrade(self.connection, "path", JOURNAL, [*scripts(JOURNAL.schema), _COLOURS, _SHADES])
        self.assertEqual(self.version(), len(scripts(JOURNAL.schema)) + 2)
        rows = self.connection.execute("SELECT name, shade FROM colours").fetchall()
        self.assertEqual(rows, [("red; not; blue", None)])

    def test_an_old_file_keeps_what_it_holds(self) -> None:
        """Only the steps that it lacks are run, and its rows stay."""
        upgrade(self.connection, "path", JOURNAL, scripts(JOURNAL.schema))
        self.connection.execute("INSERT INTO journal VALUES ('life1', 3)")
        upgrade(self.connection, "path", JOURNAL, [*scripts(JOURNAL.schema), _COLOURS])
        upgrade(self.connection, "path", JOURNAL, [*scripts(JOURNAL.schema), _COLOURS])
        self.assertEqual(
            self.connection.execute("SELECT * FROM journal").fetchall(), [("life1", 3)]
        )

    def test_a_step_that_fails_leaves_the_version_before(self) -> None:
        """Half an upgrade is none; the next start tries again."""
        steps = [*scripts(JOURNAL.schema), _COLOURS + "\nINSERT INTO nowhere VALUES (1);"]
        self.assertRaises(
            sqlite3.OperationalError, upgrade, self.connection, "path", JOURNAL, steps
        )
        self.assertEqual(self.version(), len(scripts(JOURNAL.schema)))
        upgrade(self.connection, "path", JOURNAL, [*scripts(JOURNAL.schema), _COLOURS])
        self.assertEqual(self.version(), len(scripts(JOURNAL.schema)) + 1)

    def test_a_step_that_ends_its_own_transaction_still_fails_clearly(self) -> None:
        """The error of the step is the one that is seen."""
        steps = [*scripts(JOURNAL.schema), "ROLLBACK;\nINSERT INTO nowhere VALUES (1);"]
        problem = self.assertRaises(
            sqlite3.OperationalError, upgrade, self.connection, "path", JOURNAL, steps
        )
        self.assertIn("nowhere", str(problem))

    def test_every_step_changes_tables_or_columns(self) -> None:
        """By these a damaged number of the version is told from a newer mailnotify's."""
        for kind in (JOURNAL, OUTBOX):
            steps = scripts(kind.schema)
            for version in range(1, len(steps) + 1):
                connection = sqlite3.connect(":memory:", isolation_level=None)
                self.addCleanup(connection.close)
                upgrade(connection, "path", kind, steps[:version])
                self.assertEqual(_made_by(connection, steps), version, kind.name)

    def test_the_packaged_steps_are_numbered_without_holes(self) -> None:
        """Every released schema is there."""
        self.assertGreaterEqual(len(scripts(JOURNAL.schema)), 1)
        self.assertIn("CREATE TABLE journal", scripts(JOURNAL.schema)[0])
