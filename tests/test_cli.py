"""The console script finds its commands and says what went wrong."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
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

    def test_interrupted_while_it_is_imported(self) -> None:
        """Ctrl-C before a command has begun is the same as after: no traceback."""

        def interrupted(_: str) -> object:
            raise KeyboardInterrupt

        self.patch(cli, "import_module", interrupted)
        self.assertEqual(run("latest"), (130, "", ""))

    def test_every_command_names_itself(self) -> None:
        """The first line of its help can be typed, and its version is ours."""
        words = [(word,) for word in cli.COMMANDS]
        for command in (*words, ("outbox", "list"), ("token", "add")):
            for option, expected in (
                ("--help", f"Usage: mailnotify {' '.join(command)}"),
                ("--version", f"mailnotify {__version__}\n"),
            ):
                out = io.StringIO()
                with contextlib.redirect_stdout(out), self.assertRaises(SystemExit):
                    cli.main((*command, option))
                self.assertTrue(out.getvalue().startswith(expected), out.getvalue())

    def test_the_configuration_may_come_first(self) -> None:
        """`-c FILE` is understood before the command, behind it, and behind its own word."""
        given = "/nonexistent/config.toml"
        for arguments in (
            ("-c", given, "outbox", "list"),
            ("--config", given, "outbox", "list"),
            (f"--config={given}", "outbox", "list"),
            ("outbox", "-c", given, "list"),
            ("outbox", "list", "-c", given),
        ):
            code, _, err = run(*arguments)
            self.assertEqual((code, given in err), (os.EX_CONFIG, True), err)
        self.assertEqual(run("-c", given)[0], os.EX_USAGE)

    def test_a_configuration_without_a_name(self) -> None:
        """An empty name, from a variable that is not set, is not "the usual places"."""
        for word in ("serve", "check-config", "latest", "send", "measure"):
            code, _, err = run(word, "--config", "")
            self.assertEqual(code, os.EX_USAGE, word)
            self.assertIn("--config: found nothing, expected the name of a file", err)

    def test_an_output_that_takes_nothing(self) -> None:
        """A full disk or a closed output is one sentence, and a reader that has gone is none."""
        sentence = "mailnotify: the output cannot be written: No space left on device\n"
        nowhere = "mailnotify: the output cannot be written: Bad file descriptor\n"
        reading, gone = os.pipe()
        os.close(reading)
        self.addCleanup(os.close, gone)
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        for words in (("sample-config",), ("tail", "--help"), ("--help",), ("--version",)):
            command = [sys.executable, "-m", "mailnotify", *words]
            for output, expected in ((full, (os.EX_IOERR, sentence)), (gone, (os.EX_OK, ""))):
                done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True)
                self.assertEqual((done.returncode, done.stderr), expected, words)
            closed = self.run_closed(">&-", *words)
            self.assertEqual((closed.returncode, closed.stderr), (os.EX_IOERR, nowhere), words)

    def test_nobody_to_complain_to(self) -> None:
        """What would be said on a closed stderr is not said on stdout, and reads as before."""
        done = self.run_closed("2>&-", "no-such-command")
        self.assertEqual((done.returncode, done.stdout), (os.EX_USAGE, ""))
        done = self.run_closed("<&- 2>&-", "--version")
        self.assertEqual((done.returncode, done.stdout), (os.EX_OK, f"mailnotify {__version__}\n"))

    def test_no_file_of_ours_becomes_the_output(self) -> None:
        """A closed stream's number is not given to what is opened next."""
        program = (
            "import os, sys; from mailnotify import cli; cli.main(['--version']);"
            "numbers = [os.open('/', os.O_RDONLY) for _ in range(3)];"
            "sys.exit(min(numbers))"
        )
        for closed in (">&-", "<&-", "<&- >&- 2>&-"):
            done = subprocess.run(
                ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program],
                capture_output=True,
            )
            self.assertGreater(done.returncode, 2, closed)

    def run_closed(self, closed: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One command, with streams that a shell has closed."""
        command = [sys.executable, "-m", "mailnotify", *words]
        return subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command],
            capture_output=True,
            text=True,
        )

    def test_missing_configuration(self) -> None:
        """A configuration that is not there is EX_CONFIG and says where it was looked for."""
        for word in ("serve", "check-config", "latest"):
            code, _, err = run(word, "--config", "/nonexistent/config.toml")
            self.assertEqual(code, os.EX_CONFIG, word)
            self.assertIn("/nonexistent/config.toml", err)
            self.assertNotIn("Traceback", err)
