"""Two services that watch one account: whichever is away, each message is shown once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.live.test_service import ServiceCase, letter
from tests.rigs import child_environment


class SeveralServicesTests(ServiceCase):
    """`mailnotify tail` with two servers."""

    def follow_both(self, *ports: int) -> None:
        words = [word for port in ports for word in ("--server", f"127.0.0.1:{port}")]
        self.tail = subprocess.Popen(
            [sys.executable, "-m", "mailnotify", "tail", "--json", "--since", "oldest", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=child_environment(),
        )
        assert self.tail.stdout is not None
        self.addCleanup(self.tail.stdout.close)
        self.addCleanup(self.tail.wait)
        self.addCleanup(self.tail.kill)

    def shown(self) -> str:
        """The subject of the next message that is printed."""
        assert self.tail.stdout is not None
        while line := self.tail.stdout.readline():
            event = json.loads(line)["event"]
            if event["kind"] == "mail":
                return str(event["subject"])
        raise AssertionError("the command ended")

    def test_one_goes_and_comes_back(self) -> None:
        """Nothing is missed while one is killed, and nothing repeated when it is back."""
        first, second = self.serve(self.home()), self.serve(self.home())
        self.follow_both(first.port, second.port)
        self.dovecot.deliver("demo", letter(b"from both"))
        self.assertEqual(self.shown(), "from both")
        first.kill()
        self.dovecot.deliver("demo", letter(b"from the second"))
        self.assertEqual(self.shown(), "from the second")
        first.start()
        follower = self.follow(first, "oldest")
        self.assertEqual(
            [each["subject"] for each in follower.events(2)], ["from both", "from the second"]
        )
        second.kill()
        self.dovecot.deliver("demo", letter(b"from the first"))
        self.assertEqual(self.shown(), "from the first")


class RestartTests(ServiceCase):
    """`mailnotify client` with two servers, ended and started again."""

    def setUp(self) -> None:
        super().setUp()
        self.state_dir = str(Path(self.mktemp()).absolute())

    def client(self, *ports: int) -> subprocess.Popen[str]:
        """A client that logs what it shows."""
        words = [word for port in ports for word in ("--server", f"127.0.0.1:{port}")]
        client = subprocess.Popen(
            [
                *(sys.executable, "-m", "mailnotify", "client", "--no-desktop"),
                *("--state-dir", self.state_dir, *words),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        assert client.stdout is not None
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        return client

    def until(self, client: subprocess.Popen[str], words: str, count: int = 1) -> str:
        """What it logs until these words have come so often."""
        assert client.stdout is not None
        said = ""
        while said.count(words) < count:
            line = client.stdout.readline()
            self.assertNotEqual(line, "", said)
            said += line
        return said

    def test_nothing_twice(self) -> None:
        """What one service tells after the restart, and the other before, is shown before."""
        first, second = self.serve(self.home()), self.serve(self.home())
        client = self.client(first.port, second.port)
        self.until(client, "is in sight", 2)
        second.kill()
        self.dovecot.deliver("demo", letter(b"first alone"))
        self.until(client, ": first alone")
        client.terminate()
        client.wait()
        second.start()
        follower = self.follow(second, "oldest")
        self.assertEqual(follower.event()["subject"], "first alone")
        client = self.client(first.port, second.port)
        said = self.until(client, "is in sight", 2)
        self.dovecot.deliver("demo", letter(b"both"))
        self.assertNotIn("first alone", said + self.until(client, ": both"))
