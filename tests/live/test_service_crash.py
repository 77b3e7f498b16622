"""SIGKILL at random moments while mail pours in: nothing lost, nothing twice."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import Follower, Service, account

KILLS = 20
MESSAGES = 1000


class CrashTests(SynchronousTestCase):
    """The service dies twenty times under load."""

    def test_nothing_lost_nothing_twice(self) -> None:
        """Every message is in the stream once, and no position is used twice."""
        dovecot = Dovecot.start()
        self.addCleanup(dovecot.stop)
        server = f"imaps://demo@localhost:{dovecot.imaps_port}"
        service = Service(account("home", server, ca_file=dovecot.ca_file))
        self.addCleanup(service.stop)
        service.start()
        service.await_log("] watching ")
        live: list[tuple[str, str]] = []
        chance = random.Random(5050)
        delivering = threading.Thread(target=self._deliver, args=(dovecot,))
        delivering.start()
        for _ in range(KILLS):
            self._read_until(
                Follower(service.port, live[-1][0] if live else "oldest"),
                live,
                time.monotonic() + chance.uniform(0.05, 0.6),
            )
            service.kill()
            service.start()
        delivering.join()
        self._read_until(
            Follower(service.port, live[-1][0] if live else "oldest"), live, time.monotonic() + 60.0
        )
        with closing(Follower(service.port, "oldest")) as follower:
            everything = follower.events(MESSAGES)
        expected = sorted(f"letter {n}" for n in range(MESSAGES))
        self.assertEqual(sorted(event["subject"] for event in everything), expected)
        self.assertEqual(sorted(subject for _, subject in live), expected)
        positions = [int(position.partition(":")[2]) for position, _ in live]
        self.assertEqual(positions, list(range(1, MESSAGES + 1)))

    def _deliver(self, dovecot: Dovecot) -> None:
        for start in range(0, MESSAGES, 20):
            dovecot.deliver("demo", *(letter(b"letter %d" % n) for n in range(start, start + 20)))
            time.sleep(0.1)

    def _read_until(self, follower: Follower, live: list[tuple[str, str]], deadline: float) -> None:
        """Collect what the reader gets until then, or until it has everything."""
        while len(live) < MESSAGES:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                event = follower.event(left)
            except AssertionError:
                break
            live.append((follower.position, event["subject"]))
        follower.close()
