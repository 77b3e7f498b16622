"""A real server that gives a mailbox a new UIDVALIDITY while nobody watches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.live.test_service import ServiceCase, letter


class RebuiltMailboxTests(ServiceCase):
    """Dovecot without its list of UIDs numbers everything anew."""

    def test_known_mail_is_silent_and_new_mail_is_told(self) -> None:
        """What came in meanwhile is announced, and nothing that was there before."""
        before = [letter(b"old %d" % n, b"Message-ID: <old%d@x>" % n) for n in range(5)]
        yesterday = datetime.now(UTC) - timedelta(days=1)
        self.dovecot.append("demo", "INBOX", *before, received=yesterday)
        service = self.serve(self.home())
        reader = self.nc(service)
        self.dovecot.deliver("demo", letter(b"announced", b"Message-ID: <announced@x>"))
        self.assertEqual(reader.subjects(1), ["announced"])
        self.dovecot.halt()
        for path in self.dovecot.directory.glob("mail/demo/dovecot*"):
            path.unlink()
        service.await_log("not watching home/INBOX")
        self.dovecot.start_again()
        self.dovecot.deliver("demo", letter(b"meanwhile", b"Message-ID: <meanwhile@x>"))
        told = reader.subjects(1)
        self.dovecot.deliver("demo", letter(b"after", b"Message-ID: <after@x>"))
        told += reader.subjects(1)
        self.assertEqual(told, ["meanwhile", "after"])
        self.assertIn("was rebuilt by its server", service.log)
        reader.assert_silent()
