"""SIGKILL at random moments while a program queues letters over port 5050."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from mailnotify.outbox.letter import State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.posting import STORE
from tests.live.test_outbox import ServiceWithOutbox
from tests.rigs import PATIENCE_SECONDS, child_environment, wait_until

KILLS = 10
LETTERS = 300

_CHILD = Path(__file__).with_name("submission_child.py")


class SubmissionCrashTests(ServiceWithOutbox):
    """The service dies ten times; the program goes on with the next one."""

    def test_once(self) -> None:
        """Each letter is queued once, under the number that was answered; and all of them go."""
        self.service.start()
        child = subprocess.Popen(
            [sys.executable, str(_CHILD), str(self.service.port), str(LETTERS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        self.addCleanup(child.kill)
        chance = random.Random(5)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 0.6))
            self.service.kill()
            self.service.start()
        said, complaints = child.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual((child.returncode, complaints), (0, ""))
        answered = dict(re.findall(r"(\d+) (\d+)\n", said))
        self.assertEqual(len(answered), LETTERS)
        wait_until(lambda: len(self._arrived()) == LETTERS, "a letter of each number")
        with closing(SqliteOutbox.visit(self.service.state_dir / STORE)) as store:
            queued = store.letters(State, 2 * LETTERS)
        found = {re.findall(r"\d+", each.message_id)[0]: str(each.number) for each in queued}
        self.assertEqual((len(queued), found), (LETTERS, answered))

    def _arrived(self) -> set[str]:
        """The numbers of the letters in the mailbox."""
        return {re.findall(r"Message-ID: <(\d+)@", each)[0] for each in self.mailbox("demo", 0)}
