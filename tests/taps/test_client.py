"""The client's command line, and what is composed from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import cast
from unittest.mock import patch

from twisted.application.service import MultiService
from twisted.internet.base import ReactorBase
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.client import NotifyClient
from mailnotify.errors import PositionBusy
from mailnotify.position import PositionFile
from mailnotify.sinks.once import Once
from mailnotify.taps.client import Options, makeService
from mailnotify.taps.reaching import Address, endpoint_of, parse_address

ROOT = Path(__file__).resolve().parents[2]
_TWISTD = "from twisted.scripts.twistd import run; run()"


class AddressTests(SynchronousTestCase):
    """`parse_address` and `endpoint_of`."""

    def test_forms(self) -> None:
        """A server is written as people write it; the port may be left out."""
        for text, host, port in (
            ("127.0.0.1:5050", "127.0.0.1", 5050),
            ("mail.example.org", "mail.example.org", 5050),
            ("::1", "::1", 5050),
            ("[::1]", "::1", 5050),
            ("[::1]:6060", "::1", 6060),
        ):
            self.assertEqual(parse_address(text), Address(host=host, port=port))

    def test_wrong(self) -> None:
        """What is no server is refused with what was found and expected."""
        for text in ("", ":5050", "a:0", "a:65536", "a:b", "a:", "a b:1", "[x]:1", "a:1:2", "a:²"):
            failure = self.assertRaises(ValueError, parse_address, text)
            self.assertIn(f"found {text!r}, expected HOST:PORT", str(failure))

    def test_is_written_as_it_is_read(self) -> None:
        """A server in a message can be pasted back into the command line."""
        for text in ("127.0.0.1:5050", "[::1]:6060"):
            self.assertEqual(str(parse_address(text)), text)

    def test_endpoints(self) -> None:
        """Only a name is looked up."""
        reactor = MemoryReactorClock()
        for text, kind in (
            ("127.0.0.1", TCP4ClientEndpoint),
            ("::1", TCP6ClientEndpoint),
            ("localhost", HostnameEndpoint),
        ):
            self.assertIsInstance(endpoint_of(parse_address(text), reactor), kind)


class OptionsTests(SynchronousTestCase):
    """`Options`."""

    def parse(self, *arguments: str) -> Options:
        options = Options()
        options.parseOptions(list(arguments))
        return options

    def test_defaults(self) -> None:
        """Without options it is the service on this machine, and the desktop."""
        options = self.parse()
        self.assertEqual(options["ways"][0].address, Address(host="127.0.0.1", port=5050))
        self.assertFalse(options["no-desktop"])
        self.assertFalse(options["store-first"])
        self.assertTrue(options["folder"].is_absolute())

    def test_wrong_server(self) -> None:
        """A server that cannot be read is an error of usage, before anything starts."""
        failure = self.assertRaises(usage.UsageError, self.parse, "--server", "x:y")
        self.assertIn("--server: found 'x:y'", str(failure))

    def test_stray_word(self) -> None:
        """A stray word is an error of usage, not silently nothing."""
        failure = self.assertRaises(usage.UsageError, self.parse, "localhost:5050")
        self.assertIn("found 'localhost:5050'", str(failure))

    def test_unknown_option(self) -> None:
        """An unknown option is an error of usage."""
        self.assertRaises(usage.UsageError, self.parse, "--desktop=no")

    def test_twistd_says_it(self) -> None:
        """twistd shows the sentence and ends with a code that is not 0."""
        done = run_twistd("mailnotify-client", "--server", "x:y")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--server: found 'x:y', expected HOST:PORT", done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stdout + done.stderr)


class MakeServiceTests(SynchronousTestCase):
    """`makeService`."""

    def setUp(self) -> None:
        # It puts the reactor of this process on another clock, which is not for other tests.
        self.patch(ReactorBase, "seconds", ReactorBase.__dict__["seconds"])

    def service(self, *arguments: str) -> tuple[MultiService, Path]:
        folder = Path(self.mktemp()).absolute()
        options = Options()
        options.parseOptions(["--state-dir", str(folder), *arguments])
        return makeService(options), folder

    def test_nothing_before_the_start(self) -> None:
        """Making the service touches nothing: twistd forks between making and starting."""
        service, folder = self.service("--no-desktop")
        (client,) = service
        self.assertIsInstance(client, NotifyClient)
        self.assertFalse(folder.exists())

    def test_desktop(self) -> None:
        """With a desktop the service is made just the same: what is missing is said later."""
        service, _ = self.service("--store-first")
        (client,) = service
        self.assertIsInstance(client, NotifyClient)

    def test_several_servers(self) -> None:
        """Each is followed from a position of its own, and what they tell is shown once."""
        words = [word for n in (1, 2, 3) for word in ("--server", f"127.0.0.{n}:1")]
        service, _ = self.service("--no-desktop", *words)
        clients = cast(list[NotifyClient], list(service))
        names = [each._positions._path.name for each in clients if each._positions]
        self.assertEqual(names, [f"127.0.0.{n}%3A1.position" for n in (1, 2, 3)])
        (once,) = {sink for each in clients for sink in each._sinks}
        self.assertIsInstance(once, Once)

    def test_position_in_use(self) -> None:
        """A client whose position is in use ends the process with EX_CONFIG and a sentence."""
        service, folder = self.service("--no-desktop", "--server", "[::1]:5050")
        other = PositionFile(folder / "client" / "%5B%3A%3A1%5D%3A5050.position")
        other.open()
        self.addCleanup(other.close)
        with Path(self.mktemp()).open("w+") as told, patch("sys.__stderr__", told):
            failure = self.assertRaises(SystemExit, service.startService)
            told.seek(0)
            sentence = told.read()
        self.assertEqual(failure.code, os.EX_CONFIG)
        self.assertIsInstance(failure.__cause__, PositionBusy)
        self.assertEqual(sentence.count("\n"), 1)
        self.assertIn("mailnotify: cannot start: the position ", sentence)
        self.assertIn("in use by another client", sentence)
        self.assertIn("state directory of its own", sentence)


def run_twistd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run twistd from a plain checkout until it ends."""
    return subprocess.run(
        [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
