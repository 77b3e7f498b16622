"""``mailnotify measure``: its options, and services that are of no use to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.commands.measure import Options
from tests.rigs import child_environment, free_port

_CONFIG = """
[service]
state_dir = "{folder}/state"
[accounts.home]
server = "imaps://ada@127.0.0.1:{port}"
password = "x"
[accounts.home.submission]
server = "smtps://ada@127.0.0.1:{port}"
sender = "ada@example.org"
"""


class OptionsTests(SynchronousTestCase):
    """`Options`."""

    def test_defaults(self) -> None:
        """Without a word: the service of this machine, and a minute."""
        options = Options()
        options.parseOptions([])
        self.assertEqual((str(options["way"].address), options["seconds"]), ("127.0.0.1:5050", 60))

    def test_wrong_timeout(self) -> None:
        """A wait that never ends, or none, is an error of usage."""
        for text in ("0", "-1", "inf", "nan", "soon", "86401"):
            wrong = self.assertRaises(usage.UsageError, Options().parseOptions, ["--timeout", text])
            self.assertIn(f"--timeout: found {text!r}", str(wrong))

    def test_words(self) -> None:
        """Words beside options are not swallowed."""
        self.assertRaises(usage.UsageError, Options().parseOptions, ["now"])


class ServiceTests(SynchronousTestCase):
    """A service that does not do its part: nothing is sent then."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.service = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.service.close)
        self.service.settimeout(300)

    def begin(self, *options: str, port: int = 0) -> subprocess.Popen[str]:
        config = self.folder / "config.toml"
        config.touch(mode=0o600)
        config.write_text(_CONFIG.format(folder=self.folder, port=free_port()))
        port = port or self.service.getsockname()[1]
        command = [sys.executable, "-m", "mailnotify", "measure", "-c", str(config)]
        child = subprocess.Popen(
            [*command, "--server", f"127.0.0.1:{port}", *options],
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(child.kill)
        return child

    def end(self, child: subprocess.Popen[str]) -> tuple[int, str]:
        out, err = child.communicate(timeout=300)
        self.assertEqual(out, "")
        self.assertNotIn("Traceback", err)
        return child.returncode, err

    def accept(self) -> socket.socket:
        """The command's connection, after its first word."""
        theirs, _ = self.service.accept()
        self.addCleanup(theirs.close)
        theirs.settimeout(300)
        self.assertTrue(theirs.recv(1000).startswith(b"HELLO 1 "))
        return theirs

    def test_silent(self) -> None:
        """One that says nothing is given up after the timeout."""
        code, err = self.end(self.begin("--timeout", "0.5"))
        self.assertEqual(code, os.EX_TEMPFAIL)
        self.assertIn("did not finish the subscription within 0.5 s", err)

    def test_interrupted(self) -> None:
        """Ctrl-C ends it at once, and is an exit code."""
        child = self.begin()
        self.accept()
        child.send_signal(signal.SIGINT)
        code, err = self.end(child)
        self.assertEqual(code, 130)
        self.assertIn("stopped before anything was sent", err)

    def test_hostile_refusal(self) -> None:
        """What it says does nothing to the terminal."""
        child = self.begin()
        self.accept().sendall(b"ERR BUSY go \x1b[31maway\xe2\x80\xae\r\n")
        code, err = self.end(child)
        self.assertNotEqual(code, os.EX_OK)
        self.assertNotIn("\x1b", err)
        self.assertNotIn("\u202e", err)
        self.assertIn("127.0.0.1", err)

    def test_nobody_there(self) -> None:
        """A port where nobody listens is said at once."""
        port = free_port()
        code, err = self.end(self.begin(port=port))
        self.assertEqual(code, os.EX_TEMPFAIL)
        self.assertIn(f"no connection to 127.0.0.1:{port}", err)

    def test_no_configuration(self) -> None:
        """A configuration that is not there is one of the configuration's errors."""
        done = subprocess.run(
            [sys.executable, "-m", "mailnotify", "measure", "-c", str(self.folder / "none")],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, os.EX_CONFIG)
        self.assertIn("mailnotify measure: ", done.stderr)
