"""Letters over port 5050 into a real service, and out of it through a real Postfix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.live.test_outbox import ServiceWithOutbox
from tests.live.test_stream_security import NOBODY, libc_setfsuid
from tests.rigs import PATIENCE_SECONDS, child_environment, wait_until
from tests.rigs.service import Lines

EXAMPLE = Path(__file__).parents[2] / "examples" / "send_twisted.py"
HELLO = 'HELLO 1 {"client":"test"}'
SEND = 'SEND {"size":24,"to":["demo@localhost"],"key":"k"}'
PARTS = ("PART TWVzc2FnZS1JRDogPDFAeD4N", "PART Cg0KaGkK")


class SubmissionTests(ServiceWithOutbox):
    """Who may send does, and nobody else."""

    def setUp(self) -> None:
        super().setUp()
        self.service.start()

    def talk(self, *said: str, lines: Lines | None = None) -> list[str]:
        """Say these lines at once; return the answers."""
        lines = lines or Lines(self.service.port)
        self.addCleanup(lines.close)
        lines.send("\r\n".join((*said, "QUIT")))
        answers = []
        while not (line := lines.line()).startswith("BYE"):
            answers.append(line)
        return answers

    def test_with_the_right(self) -> None:
        """The user of the service, and a token that may; a key that comes again is one letter."""
        token = self.command("token", "add", "cron", "--send", "--accounts", "home").stdout.strip()
        for said in ((HELLO, SEND, *PARTS), (HELLO, f"AUTH TOKEN {token}", SEND, *PARTS)) * 2:
            self.assertIn('OK {"to":"SEND",', self.talk(*said)[-1])
        (first, second) = self.mailbox("demo", 2)
        self.assertIn("\nMessage-ID: <1@x>\n", first)
        self.assertIn("\nFrom: Ada <ada@localhost>\n", second)
        listed = self.command("outbox", "list", "--all").stdout.splitlines()
        self.assertEqual(len(listed), 2, listed)

    def test_without_the_right(self) -> None:
        """A token without it, another user of the machine, and a plain connection send nothing."""
        text = self.service.config_file.read_text()
        self.service.terminate()
        self.service.config_file.write_text(
            text.replace("[listen]\n", '[listen]\nplain = "loopback"\n')
        )
        self.service.start()
        self.assertEqual(
            {line[:9] for line in self.talk(SEND, *PARTS)}, {"ERR STATE"}, "said before HELLO"
        )
        token = self.command("token", "add", "phone").stdout.strip()
        answers = self.talk(HELLO, f"AUTH TOKEN {token}", SEND, *PARTS)
        self.assertEqual(answers[-1], "ERR DENIED you may not send from here")
        if os.geteuid() == 0:
            answers = self.talk(HELLO, SEND, *PARTS, lines=self.as_nobody())
            self.assertEqual(answers[-1], "ERR DENIED you may not send from here")
        self.assertEqual(
            self.command("outbox", "list", "--all").stdout,
            "nothing waits, and nothing has failed\n",
        )

    def as_nobody(self) -> Lines:
        """A connection of another user of this machine, who may read."""
        made: list[Lines] = []

        def connect() -> None:
            libc_setfsuid(NOBODY)
            made.append(Lines(self.service.port))

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        return made[0]

    def test_client(self) -> None:
        """The example sends through `NotifyClient.send`, a letter of a megabyte."""
        letter = b"Subject: big\n\n" + b"0123456789abcdef" * 4 * 16_384
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), str(self.service.port), "demo@localhost"],
            input=letter.replace(b"0123456789abcdef" * 4, b"0123456789abcdef" * 4 + b"\n"),
            capture_output=True,
            env=child_environment(),
            timeout=PATIENCE_SECONDS,
        )
        self.assertEqual((done.returncode, done.stdout), (0, b"queued as letter 1\n"), done.stderr)
        (arrived,) = self.mailbox("demo", 1)
        self.assertEqual(arrived.count("0123456789abcdef" * 4 + "\n"), 16_384)

    def test_killed_after_the_answer(self) -> None:
        """What was answered is sent, though the service dies at that moment."""
        answers = self.talk(HELLO, SEND, *PARTS)
        self.service.kill()
        self.assertEqual(json.loads(answers[-1][3:])["letter"], 1)
        self.service.start()
        self.assertIn("Message-ID: <1@x>", self.mailbox("demo", 1)[0])

    def test_cut_in_the_middle(self) -> None:
        """Half a letter leaves nothing, neither in the outbox nor on the disk."""
        for _ in range(20):
            lines = Lines(self.service.port)
            lines.send("\r\n".join((HELLO, SEND, PARTS[0])))
            lines.line()
            lines.close()
        self.service.kill()
        self.service.start()
        wait_until(lambda: not [*self.service.state_dir.glob("tmp*")], "an empty folder")
        self.assertIn("nothing waits", self.command("outbox", "list", "--all").stdout)
