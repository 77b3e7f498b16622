"""The console script finds its commands and says what went wrong."""

from __future__ import annotations

import contextlib
import io
import os
from importlib import import_module

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify import __version__, cli


def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of one command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    return code, out.getvalue(), err.getvalue()


class CliTests(SynchronousTestCase):
    """``mailnotify WORD``."""

    def test_every_command_is_there(self) -> None:
        """Each word of the help leads to a module with Options and run."""
        for module, _ in cli.COMMANDS.values():
            command = import_module(module)
            self.assertTrue(issubclass(command.Options, usage.Options), module)
            self.assertTrue(callable(command.run), module)

    def test_help_names_every_command(self) -> None:
        """`mailnotify` alone, `help` and `--help` list the commands."""
        for arguments in ((), ("help",), ("--help",), ("-h",)):
            code, out, _ = run(*arguments)
            self.assertEqual(code, os.EX_OK)
            for word in cli.COMMANDS:
                self.assertIn(word, out)

    def test_version(self) -> None:
        """`--version` prints the version."""
        self.assertEqual(run("--version"), (os.EX_OK, f"mailnotify {__version__}\n", ""))

    def test_unknown_word_gets_a_suggestion(self) -> None:
        """A slip of the finger is answered with the nearest command."""
        code, out, err = run("tial")
        self.assertEqual((code, out), (os.EX_USAGE, ""))
        self.assertIn("mailnotify tail", err)
        self.assertIn("--help", run("xyzzy")[2])

    def test_unknown_option(self) -> None:
        """A wrong option is EX_USAGE and one sentence."""
        code, _, err = run("sample-config", "--nonsense")
        self.assertEqual(code, os.EX_USAGE)
        self.assertIn("nonsense", err)

    def test_missing_configuration(self) -> None:
        """A configuration that is not there is EX_CONFIG and says where it was looked for."""
        for word in ("serve", "check-config", "latest"):
            code, _, err = run(word, "--config", "/nonexistent/config.toml")
            self.assertEqual(code, os.EX_CONFIG, word)
            self.assertIn("/nonexistent/config.toml", err)
            self.assertNotIn("Traceback", err)
