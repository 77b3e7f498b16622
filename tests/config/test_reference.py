"""The documentation of the configuration is what the code does."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config import reference
from mailnotify.config.layout import sections
from mailnotify.config.reference import updated
from tests.config.documents import HOME, problems_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.rst"
_TOML_BLOCK = re.compile(r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", re.M)


class ReferenceTests(SynchronousTestCase):
    """docs/configuration.rst."""

    def test_tables_are_up_to_date(self) -> None:
        """The tables are those of the schema."""
        document = DOCUMENT.read_text("utf-8")
        self.assertEqual(
            document,
            updated(document),
            "run: python -m mailnotify.config.reference docs/configuration.rst",
        )

    def test_every_key_is_in_it(self) -> None:
        """Each key of each table stands in the document."""
        document = DOCUMENT.read_text("utf-8")
        for section in sections():
            self.assertIn(f"``[{section.heading}]``", document)
            for field in section.fields:
                self.assertIn(f"   * - ``{field.name}``", document)

    def test_stale_tables_are_replaced(self) -> None:
        """What stands between the comments is replaced, the rest is kept."""
        stale = "Before.\n\n.. begin fields\nold\n.. end fields\n\nAfter.\n"
        fresh = updated(stale)
        self.assertTrue(fresh.startswith("Before.\n\n.. begin fields\n\n``[accounts.NAME]``"))
        self.assertTrue(fresh.endswith("\n.. end fields\n\nAfter.\n"))
        self.assertNotIn("old\n", fresh)
        self.assertEqual(updated(fresh), fresh)

    def test_command(self) -> None:
        """The document on the disk is brought up to date."""
        path = Path(self.mktemp())
        path.write_text(".. begin providers\n.. end providers\n")
        self.patch(sys, "argv", ["reference", str(path)])
        runpy.run_path(reference.__file__, run_name="__main__")
        self.assertIn("- ``gmail``, ``googlemail``", path.read_text("utf-8"))

    def test_examples_are_valid(self) -> None:
        """Each example that is a whole configuration can be used as it is."""
        blocks = [
            re.sub(r"(?m)^   ", "", block)
            for block in _TOML_BLOCK.findall(DOCUMENT.read_text("utf-8"))
        ]
        whole = [block for block in blocks if "[accounts." in block]
        self.assertGreaterEqual(len(whole), 3)
        for block in whole:
            found = problems_of(block, file=Path("/etc/mailnotify/config.toml"), environ=HOME)
            # A CA file of an example is not on this machine.
            unexpected = {path for path, each in found.items() if "no such file" not in each.found}
            self.assertEqual(unexpected, set(), found)
