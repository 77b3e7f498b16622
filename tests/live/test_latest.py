"""``mailnotify latest`` in a process of its own, against a real Dovecot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.live.test_service import ServiceCase, letter
from tests.rigs import PATIENCE_SECONDS, child_environment
from tests.rigs.service import Service, account


class LatestTests(ServiceCase):
    """The console script, from outside."""

    def test_prints_the_latest_of_each_mailbox(self) -> None:
        """One line for each, and an exit code that says whether all answered."""
        server = f"imaps://nobody@localhost:{self.dovecot.imaps_port}"
        service = Service(
            self.home(mailboxes=("INBOX", "Archive"))
            + account("broken", server, ca_file=self.dovecot.ca_file)
        )
        self.addCleanup(service.stop)
        self.dovecot.append("demo", "INBOX", letter(b"first"), letter(b"last"))
        done = subprocess.run(
            [sys.executable, "-m", "mailnotify", "latest", "-c", str(service.config_file)],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        self.assertEqual(
            done.stdout.splitlines(),
            [
                "home/INBOX: Latest email subject: last",
                "home/Archive: Latest email subject: (no message)",
            ],
        )
        self.assertIn("refused the login of nobody", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.returncode, os.EX_UNAVAILABLE)

    def test_full_disk(self) -> None:
        """What cannot be written is one sentence, at once or at the end."""
        service = Service(self.home())
        self.addCleanup(service.stop)
        for unbuffered in ("", "1"):
            with Path("/dev/full").open("wb") as full:
                done = subprocess.run(
                    [sys.executable, "-m", "mailnotify", "latest", "-c", str(service.config_file)],
                    env={**child_environment(), "PYTHONUNBUFFERED": unbuffered},
                    stdout=full,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=PATIENCE_SECONDS,
                )
            self.assertEqual(
                done.stderr,
                "mailnotify: the output cannot be written: No space left on device\n",
            )
            self.assertEqual(done.returncode, os.EX_IOERR)
