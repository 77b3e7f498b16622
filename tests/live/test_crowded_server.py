"""A real Dovecot that takes two connections, and an account with five mailboxes."""

from __future__ import annotations

import os
from time import time_ns

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import Lines, Service, account

MAILBOXES = ("INBOX", "Archive", "Work", "Lists", "Old")
REFUSED = "Maximum number of connections"


class CrowdedTests(SynchronousTestCase):
    """`mail_max_userip_connections` is 2, and nobody has told us."""

    def setUp(self) -> None:
        # With NOTIFY one connection would do.
        capability = "IMAP4rev1 IDLE LIST-EXTENDED LIST-STATUS"
        self.dovecot = Dovecot.start(capability=capability, most_connections=2)
        self.addCleanup(self.dovecot.stop)
        for mailbox in MAILBOXES[2:]:
            self.dovecot.command("demo", "create", mailbox)

    def refusals(self) -> int:
        return (self.dovecot.directory / "dovecot.log").read_text().count(REFUSED)

    def put(self, mailbox: str) -> None:
        """A letter arrives, without a connection that would count."""
        name = "" if mailbox == "INBOX" else f".{mailbox}"
        folder = self.dovecot.directory / "mail" / "demo" / name
        made = folder / "tmp" / f"{time_ns()}.M1P1.localhost"
        made.write_bytes(letter(mailbox.encode()))
        owner = folder.stat()
        os.chown(made, owner.st_uid, owner.st_gid)
        made.rename(folder / "new" / made.name)

    def test_two_connections_see_all(self) -> None:
        """The budget is learned from the refusals, once, and no mailbox is without eyes."""
        server = f"imaps://demo@localhost:{self.dovecot.imaps_port}"
        home = account(
            "home", server, ca_file=self.dovecot.ca_file, mailboxes=MAILBOXES, poll_seconds=1.0
        )
        # One login at a time: of several at one moment this Dovecot lets all in.
        service = Service(home, extra="[connecting]\nper_host = 1")
        self.addCleanup(service.stop)
        service.start()
        service.await_log("no more than 2 connections")
        learned = self.refusals()
        self.assertLessEqual(learned, 3)
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        for mailbox in MAILBOXES:
            self.put(mailbox)
            self.assertEqual(reader.subjects(1), [mailbox])
        self.assertEqual(self.refusals(), learned)
        self.assertEqual(service.log.count("no more than"), 1)
        self.assertNotIn("not watching", service.log)
