"""The outbox's disk is full: nothing is promised that is not kept, nothing is lost, it goes on."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import closing

from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.posting import STORE
from tests.live.test_disk_full import fill, small_disk
from tests.live.test_outbox import ServiceWithOutbox
from tests.rigs import PATIENCE_SECONDS
from tests.rigs.service import Lines, Service, account

LETTER_BYTES = 30_000


class OutboxDiskTests(ServiceWithOutbox):
    """The state lies on a disk of 2 MB, which a neighbour fills."""

    def setUp(self) -> None:
        super().setUp()
        disk = small_disk()
        self.addCleanup(disk.rmdir)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        self.neighbour = disk / "neighbour"
        text = self.service.config_file.read_text()
        self.service.stop()
        self.service = Service("", state_dir=disk / "state")
        self.addCleanup(self.service.stop)
        server = f"imaps://ada@localhost:{self.dovecot.imaps_port}"
        home = account("home", server, ca_file=self.dovecot.ca_file)
        submission = text[text.index("[accounts.home.submission]") :]
        config = self.service.config_file.read_text()
        self.service.config_file.write_text(f"{config}{home}{submission}\nsent_copy = 'never'\n")
        self.service.start()

    def send(self, subject: str) -> subprocess.CompletedProcess[str]:
        """The command, with a letter that needs some pages."""
        text = f"{'x' * 70}\n" * (LETTER_BYTES // 71)
        return self.command("send", "--to", "demo@localhost", "--subject", subject, text=text)

    def over_the_port(self) -> str:
        """The last answer to a letter over port 5050 that is longer than what is left."""
        lines = Lines(self.service.port)
        self.addCleanup(lines.close)
        part = "PART " + "QUJD" * 1000
        parts = "\r\n".join([part] * (LETTER_BYTES // 3000))
        size = LETTER_BYTES // 3000 * 3000
        lines.send(f'HELLO 1\r\nSEND {{"size":{size},"to":["demo@localhost"]}}\r\n{parts}')
        lines.line()
        return lines.line()

    def test_nothing_lost(self) -> None:
        """What is queued is sent; what cannot be is refused, by both ways in, with the reason."""
        accepted = 5
        for number in range(accepted):
            self.assertEqual(self.send(f"no {number}").returncode, 0)
        fill(self.neighbour)
        while (done := self.send("too many")).returncode == 0:  # into what SQLite had in hand
            accepted += 1
        self.assertEqual(done.returncode, os.EX_TEMPFAIL, done.stderr)
        self.assertIn("outbox", done.stderr)
        self.assertIn("cannot be written", done.stderr)
        self.assertTrue(self.over_the_port().startswith("ERR OUTBOX "))
        self.neighbour.unlink()
        self.assertEqual(self.send("room").returncode, 0)
        self.assertTrue(self.over_the_port().startswith('OK {"to":"SEND"'))
        self.mailbox("demo", accepted + 2)
        self._await_all_sent()
        self.assertEqual(len(self.mailbox("demo", 0)), accepted + 2)
        self.assertNotIn("Traceback", self.service.log)

    def _await_all_sent(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with closing(SqliteOutbox.visit(self.service.state_dir / STORE)) as store:
            while store.next_due("home") is not None:
                self.assertLess(time.monotonic(), deadline, self.service.log)
                time.sleep(0.05)
