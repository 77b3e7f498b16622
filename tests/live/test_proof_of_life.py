"""Servers that vanish without a word: the service notices, says so, and says when it is over."""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.test_service import ServiceCase, letter
from tests.rigs import PATIENCE_SECONDS, child_environment
from tests.rigs.service import Follower, account
from tests.rigs.stopwatch import Stopwatch

BLIND_SECONDS = 3.0
COMMAND_SECONDS = 2.0
SILENT_PEER_SECONDS = 4.0


class Freezer:
    """A TCP proxy that can stop forwarding, and goes on to accept: a peer that is half gone."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """From now on no byte passes, and nothing is closed."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flowing.wait()
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            peer = {client: server, server: client}
            try:
                while not self._is_closed:
                    for source in select.select(list(peer), [], [], 0.2)[0]:
                        self._flowing.wait()
                        if not (data := source.recv(65536)):
                            return
                        peer[source].sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._is_closed = True
        self._flowing.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


class FrozenTests(ServiceCase):
    """A connection that nobody answers on any more."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = Freezer(self.dovecot.imaps_port)
        self.addCleanup(self.proxy.close)

    def frozen_home(self, **timing: float) -> str:
        """The account behind the proxy, with the bounds of a test."""
        bounds = {
            "idle_poll_seconds": 0.5,
            "command_seconds": COMMAND_SECONDS,
            "connect_seconds": COMMAND_SECONDS,
            "longest_retry_seconds": 0.5,
            "blind_seconds": BLIND_SECONDS,
            **timing,
        }
        server = f"imaps://demo@localhost:{self.proxy.port}"
        return account("home", server, ca_file=self.dovecot.ca_file, **bounds)  # type: ignore[arg-type]

    def state(self, follower: Follower) -> dict[str, Any]:
        """The next event, which has to be of the account."""
        event = follower.event()
        self.assertEqual(event["kind"], "account", event)
        return event

    def test_blind_and_seen_again(self) -> None:
        """One event each; the mail of meanwhile comes once; the plain reader sees only mail."""
        service = self.serve(self.frozen_home())
        follower, reader = self.follow(service, "now"), self.nc(service)
        self.proxy.freeze()
        frozen = Stopwatch(service.pid)
        blind = self.state(follower)
        took_seconds = frozen.seconds
        self.assertEqual((blind["state"], blind["mailbox"]), ("blind", "INBOX"))
        self.assertTrue(blind["cause"] and blind["remedy"], blind)
        self.assertLess(took_seconds, BLIND_SECONDS + 0.5 + COMMAND_SECONDS + 2.0)
        self.dovecot.append("demo", "INBOX", letter(b"meanwhile"))
        time.sleep(1.5 * BLIND_SECONDS)  # more failures, and no more events
        self.proxy.thaw()
        events = follower.events(2)
        self.assertEqual(
            [event.get("subject") or event["state"] for event in events],
            ["meanwhile", "connected"],
        )
        self.assertEqual(reader.subjects(1), ["meanwhile"])
        reader.assert_silent()

    def test_restarted_in_the_dark(self) -> None:
        """The next life of the service does not repeat it, and tells when it sees."""
        service = self.serve(self.frozen_home())
        follower = self.follow(service, "now")
        self.proxy.freeze()
        self.assertEqual(self.state(follower)["state"], "blind")
        service.kill()
        service.start()
        after = self.follow(service, follower.position)
        time.sleep(1.5 * BLIND_SECONDS)
        self.proxy.thaw()
        self.assertEqual(self.state(after)["state"], "connected")

    def test_a_short_stall_is_nobodys_business(self) -> None:
        """A reconnect within the bound makes no event."""
        service = self.serve(self.frozen_home(blind_seconds=30.0))
        follower = self.follow(service, "now")
        self.proxy.freeze()
        service.await_log("not watching home/INBOX")
        self.proxy.thaw()
        service.await_log("] watching home/INBOX", 2)
        self.dovecot.append("demo", "INBOX", letter(b"after"))
        self.assertEqual(follower.event().get("subject"), "after")


class DeniedTests(ServiceCase):
    """A password that is changed on the server."""

    def users(self, password: str) -> None:
        (self.dovecot.directory / "users").write_text(f"demo:{{PLAIN}}{password}\n")

    def test_denied_and_forgiven(self) -> None:
        """The refusal is told with what to do about it, and so is its end."""
        self.users("another")
        service = self.serve(self.home(blind_seconds=1.0, denied_retry_seconds=0.5), watched=0)
        follower = self.follow(service)
        event = follower.event()
        self.assertEqual(event["state"], "denied")
        self.assertIn("refused the login", event["cause"])
        self.assertTrue(event["remedy"])
        self.users("demo")
        self.assertEqual(follower.event()["state"], "connected")


class HalfOpenTests(SynchronousTestCase):
    """Packets that are really dropped, in a network of the test's own."""

    def test_the_kernel_notices(self) -> None:
        """A pulled cable ends a quiet session within its bound, without any poll."""
        command = [
            *("unshare", "--net", sys.executable, "-m", "tests.live.half_open_child"),
            str(SILENT_PEER_SECONDS),
        ]
        if not shutil.which("ip") or subprocess.run(["unshare", "--net", "true"]).returncode:
            raise SkipTest("needs iproute2 and the right to make a network namespace")
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        seconds = float(done.stdout)
        self.assertLess(seconds, SILENT_PEER_SECONDS + 2.0)
        self.assertGreater(seconds, 1.0)  # not the pull itself
