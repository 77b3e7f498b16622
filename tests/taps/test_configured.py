"""Tests of `mailnotify.taps.configured`."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr
from pathlib import Path

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.taps.service import Options


class ConfigurationThatIsNotThereTests(SynchronousTestCase):
    """The first start of all."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "config.toml"

    def test_under_twistd(self) -> None:
        """The way to a first configuration, without a page of options before it."""
        said = io.StringIO()
        with redirect_stderr(said):
            error = self.assertRaises(SystemExit, Options().parseOptions, ["-c", str(self.path)])
        self.assertEqual(error.code, os.EX_CONFIG)
        first, second, _ = said.getvalue().split("\n", 2)
        self.assertEqual(first, f"mailnotify: there is no configuration: no file {self.path}")
        self.assertIn(f"mailnotify sample-config > {self.path}", second)

    def test_under_the_console_script(self) -> None:
        """That has its own way to say it."""
        options = Options()
        options.command = "mailnotify serve"
        arguments = ["-c", str(self.path)]
        error = self.assertRaises(usage.UsageError, options.parseOptions, arguments)
        self.assertIn("mailnotify sample-config", str(error))
