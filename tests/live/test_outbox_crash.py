"""SIGKILL at random moments while letters go out through a real Postfix: none is lost."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import OutboxUnreadable
from mailnotify.outbox.doorbell import ring
from mailnotify.outbox.letter import FINAL, Draft, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.compose import Envelope
from mailnotify.taps.posting import DOORBELL, STORE
from tests.rigs import PATIENCE_SECONDS
from tests.rigs.dovecot import Dovecot
from tests.rigs.postfix import Postfix
from tests.rigs.service import Service, account

KILLS = 50
LETTERS = 1000
CONNECTIONS = 2

_MESSAGE_ID = re.compile(rb"^Message-ID: <(\d+)@crash>", re.MULTILINE)


def _draft(number: int) -> Draft:
    now = datetime.now(UTC)
    message_id = f"<{number}@crash>"
    return Draft(
        account="home",
        envelope=Envelope(sender="ada@localhost", recipients=("demo@localhost",)),
        message=f"From: ada@localhost\r\nMessage-ID: {message_id}\r\n\r\n{number}\r\n".encode(),
        message_id=message_id,
        due=now,
        expires=now + timedelta(days=1),
    )


class OutboxCrashTests(SynchronousTestCase):
    """The service dies fifty times under load."""

    def setUp(self) -> None:
        self.dovecot = Dovecot.start()
        self.addCleanup(self.dovecot.stop)
        self.postfix = Postfix.start(self.dovecot)
        self.addCleanup(self.postfix.stop)
        server = f"imaps://ada@localhost:{self.dovecot.imaps_port}"
        self.service = Service(
            account("home", server, ca_file=self.dovecot.ca_file)
            + f'[accounts.home.submission]\nserver = "smtps://ada@localhost:{self.postfix.tls_port}"'
            '\nsender = "ada@localhost"\nsent_copy = "never"\n',
            extra=f"[outbox]\nconnections = {CONNECTIONS}\n",
        )
        self.addCleanup(self.service.stop)
        self.queued: list[int] = []

    def test_nothing_lost(self) -> None:
        """Every letter arrives; twice only what Postfix took unseen; none after "sent"."""
        self.service.start()
        queueing = threading.Thread(target=self._queue)
        queueing.start()
        chance = random.Random(25)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, 0.5))
            self.service.kill()
            self.service.start()
        queueing.join()
        self._await_end()
        arrived = self._arrived()
        expected = set(range(LETTERS))
        self.assertEqual(expected - set(arrived), set(), "lost")
        twice = {number: count for number, count in arrived.items() if count > 1}
        print(f"{KILLS} kills, {LETTERS} letters, arrived more than once: {twice}")
        self._check_twice(twice)

    def _check_twice(self, twice: dict[int, int]) -> None:
        """Each connection hides at most one acceptance from us when the process dies."""
        self.assertLessEqual(sum(twice.values()) - len(twice), KILLS * CONNECTIONS)
        with closing(SqliteOutbox.visit(self.service.state_dir / STORE)) as store:
            for number in twice:
                filed = store.named(f"<{number}@crash>")
                assert filed is not None
                self.assertGreaterEqual(filed.attempts, twice[number])
        sent = Counter(re.findall(r"letter (\d+) of home is sent", self.service.log))
        self.assertEqual([number for number, count in sent.items() if count > 1], [])

    def _queue(self) -> None:
        """As programs do while the service comes and goes."""
        for start in range(0, LETTERS, 10):
            path = self.service.state_dir / STORE
            while True:
                try:
                    with closing(SqliteOutbox.visit(path)) as store:
                        numbers = range(start, start + 10)
                        self.queued += store.enqueue(map(_draft, numbers), datetime.now(UTC))
                    break
                except OutboxUnreadable:  # it does not exist yet
                    time.sleep(0.02)
            ring(self.service.state_dir / DOORBELL)
            time.sleep(0.3)

    def _await_end(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with closing(SqliteOutbox.visit(self.service.state_dir / STORE)) as store:
            unfinished = [each for each in State if each not in FINAL]
            while left := store.letters(unfinished, LETTERS):
                self.assertLess(time.monotonic(), deadline, left)
                time.sleep(0.1)
            self.assertEqual(len(store.letters([State.SENT], 2 * LETTERS)), LETTERS)

    def _arrived(self) -> Counter[int]:
        """How often each letter lies in the mailbox, when Postfix has no more of them."""
        folder = self.dovecot.directory / "mail/demo"
        deadline, before = time.monotonic() + PATIENCE_SECONDS, -1
        while time.monotonic() < deadline:
            files = [*folder.glob("new/*"), *folder.glob("cur/*")]
            if len(files) >= LETTERS and len(files) == before and self.postfix.is_idle:
                break
            before = len(files)
            time.sleep(0.5)
        return Counter(number for each in files for number in self._numbers(each))

    def _numbers(self, file: Path) -> list[int]:
        return [int(each) for each in _MESSAGE_ID.findall(file.read_bytes())]
