"""The demo does what the README promises."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from unicodedata import category

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.demo.letters import HOSTILE_SUBJECT
from tests.rigs import child_environment
from tests.rigs.service import Lines

_DEMO = [sys.executable, "-m", "mailnotify.demo"]


class DemoTests(SynchronousTestCase):
    """In a process of its own, as ``make demo`` runs it."""

    def test_three_letters_go_the_whole_way(self) -> None:
        """Exit code 0; three letters shown with their times, the hostile one tamed."""
        done = subprocess.run(
            _DEMO, env=child_environment(), capture_output=True, text=True, timeout=300
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("shown: "), 3)
        self.assertEqual(len(re.findall(r"\d ms  pushed over port", done.stdout)), 3)
        for letter in done.stdout.split("\nletter ")[1:]:
            times = [float(each) for each in re.findall(r"([\d.]+) ms", letter)]
            self.assertEqual(times, sorted(times), letter)
        self.assertIn("Grüße, 日本語 and 🎉", done.stdout)
        self.assertNotIn(HOSTILE_SUBJECT, done.stdout)
        self.assertIn("mallory@example.org>: --wait X-Forged: yes", done.stdout)
        bad = {each for each in done.stdout if category(each) in ("Cc", "Cf", "Cs")} - {"\n"}
        self.assertEqual(bad, set())

    def test_other_words(self) -> None:
        """A word that it does not know is answered by one sentence."""
        done = subprocess.run(
            [*_DEMO, "--bogus"],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        sentence = "demo: found --bogus, expected nothing or --keep\n"
        self.assertEqual((done.returncode, done.stdout, done.stderr), (64, "", sentence))

    def test_another_port_when_5050_is_taken(self) -> None:
        """It says so, and works all the same."""
        try:
            squatter = socket.create_server(("127.0.0.1", 5050))
        except OSError:
            squatter = socket.socket()  # somebody else has it: just as good
        self.addCleanup(squatter.close)
        done = subprocess.run(
            _DEMO, env=child_environment(), capture_output=True, text=True, timeout=300
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("(5050 is taken)", done.stdout)

    def test_keep(self) -> None:
        """With --keep everything stays up, for `nc` and for `mailnotify send`."""
        demo = subprocess.Popen(
            [*_DEMO, "--keep"],
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(demo.wait)
        self.addCleanup(demo.kill)
        assert demo.stdout is not None
        assert demo.stderr is not None
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.stderr.close)
        said = ""
        while "mailnotify send" not in said:
            line = demo.stdout.readline()
            self.assertTrue(line, said)
            said += line
        port = re.search(r"nc 127\.0\.0\.1 (\d+)", said)
        config = re.search(r"--config (\S+)", said)
        assert port is not None
        assert config is not None
        reader = Lines(int(port[1]))
        self.addCleanup(reader.close)
        letter = ("--to", "demo@localhost", "--subject", "from outside", "--body", "Hi")
        subprocess.run(
            [sys.executable, "-m", "mailnotify", "send", "--config", config[1], *letter],
            env=child_environment(),
            check=True,
            timeout=300,
        )
        self.assertEqual(reader.subjects(1), ["from outside"])
        demo.send_signal(signal.SIGINT)
        demo.wait(timeout=300)
