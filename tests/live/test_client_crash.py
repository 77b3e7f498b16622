"""The real client, killed with SIGKILL again and again while messages flow.

Shown is what stands in the client's log: a line is in the file before the position is
kept, and survives the process.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.live.stream_server import StreamServer
from tests.rigs.stopwatch import Stopwatch

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
EVERY_SECONDS = 0.01
reactor: Any = _reactor


class ClientCrashTests(TestCase):
    """``twistd -n mailnotify-client`` against SIGKILL."""

    timeout = 1200

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.log.touch()
        self._read_bytes, self._shown = 0, list[int]()
        self.server = StreamServer(reactor)
        self.port = reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.server.stop_flow)
        self.client: subprocess.Popen[bytes] | None = None
        self.addCleanup(self.kill)

    def start(self, *options: str) -> None:
        """Start the client as its user would."""
        address = f"127.0.0.1:{self.port.getHost().port}"
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        command += ["-n", "--pidfile=", "mailnotify-client", "--no-desktop"]
        command += ["--server", address, "--state-dir", str(self.folder / "state"), *options]
        # What coverage would measure dies with the client, and it takes a third of the start.
        environ = {key: each for key, each in os.environ.items() if not key.startswith("COVERAGE_")}
        with self.log.open("ab") as log:
            self.client = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)

    def kill(self) -> None:
        """End the client without a word."""
        if self.client is not None:
            self.client.kill()
            self.client.wait()
            self.client = None

    def shown(self) -> list[int]:
        """The numbers of the messages that were shown, in the order of the log."""
        with self.log.open("rb") as log:
            log.seek(self._read_bytes)
            lines, end, _ = log.read().rpartition(b"\n")
        self._read_bytes += len(lines + end)
        self._shown += [int(each) for each in re.findall(rb": subject (\d+)\n", lines + end)]
        return self._shown

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait; trial's timeout ends what never comes."""
        while not is_so():
            await deferLater(reactor, 0.01)

    async def crash_often(self, *options: str) -> list[int]:
        """Kill the client KILLS times while messages flow; then let it catch up."""
        chance = random.Random(5050)
        self.start(*options)
        await self.until(lambda: bool(self.server.subscribers))
        self.server.start_flow(EVERY_SECONDS)
        for _ in range(KILLS):
            seen = len(self.shown())
            await self.until(lambda seen=seen: len(self.shown()) > seen)  # type: ignore[misc]
            await deferLater(reactor, chance.uniform(0, 0.1))
            self.kill()
            self.start(*options)
        await self.until(lambda: self.server.head >= max(self.shown(), default=0) > 0)
        self.server.stop_flow()
        await self.until(lambda: max(self.shown()) == self.server.head)
        self.kill()
        return self.shown()

    async def test_show_then_store(self) -> None:
        """Nothing is lost; what is shown twice is only what was on display at a kill."""
        shown = await self.crash_often()
        counts = Counter(shown)
        self.assertEqual(sorted(counts), list(range(1, self.server.head + 1)))
        repeated = len(shown) - len(counts)
        self.assertLessEqual(repeated, KILLS)
        self.assertEqual(shown, sorted(shown))
        self.assertGreater(self.server.head, 10 * KILLS)
        print(f"{KILLS} kills, {len(counts)} messages: 0 lost, {repeated} shown twice")

    async def test_store_first(self) -> None:
        """With --store-first nothing is shown twice; a kill can hide one message."""
        shown = await self.crash_often("--store-first")
        self.assertEqual(len(shown), len(set(shown)))
        hidden = set(range(1, self.server.head + 1)) - set(shown)
        self.assertLessEqual(len(hidden), KILLS)
        self.assertEqual(shown, sorted(shown))
        print(f"{KILLS} kills, {len(shown)} messages: 0 shown twice, {len(hidden)} hidden")

    async def test_second_client_is_refused(self) -> None:
        """A second client for the same server ends at once, with one sentence."""
        self.start()
        await self.until(lambda: bool(self.server.subscribers))
        first = self.client
        self.start()
        second, self.client = self.client, first
        assert second is not None
        await self.until(lambda: second.poll() is not None)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(b"is in use by another client", self.log.read_bytes())

    async def test_stops_in_time(self) -> None:
        """SIGTERM ends the client within two seconds, in the midst of a stream too."""
        self.start()
        await self.until(lambda: bool(self.server.subscribers))
        self.server.start_flow(EVERY_SECONDS)
        await self.until(lambda: bool(self.shown()))
        client = self.client
        assert client is not None
        stopwatch = Stopwatch(client.pid)
        client.terminate()
        # The server goes on to stream meanwhile; the process is left as a zombie to read from.
        await self.until(lambda: _has_ended(client.pid))
        self.assertLess(stopwatch.seconds, 2.0)
        client.wait()
        self.assertNotIn(b"Traceback", self.log.read_bytes())


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
