"""A real server that gives a mailbox a new UIDVALIDITY while nobody watches."""

from __future__ import annotations

import shutil
import subprocess
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

    def test_restored_backup(self) -> None:
        """Its UIDs are given out anew under the same UIDVALIDITY: other letters are told."""
        self.restore(is_away=False)

    def test_restored_while_away(self) -> None:
        """So they are if as many have come as were lost, and UIDNEXT gives nothing away."""
        self.restore(is_away=True)

    def restore(self, *, is_away: bool) -> None:
        """Two letters are lost with the disk, and two others come to the backup."""
        service = self.serve(self.home())
        reader = self.nc(service)
        self.deliver("kept")
        folder = self.dovecot.directory / "mail" / "demo"
        backup = self.dovecot.directory / "backup"
        subprocess.run(["cp", "-a", folder, backup], check=True)
        self.deliver("lost 1", "lost 2")
        self.assertEqual(reader.subjects(3), ["kept", "lost 1", "lost 2"])
        if is_away:
            service.terminate()
        self.dovecot.halt()
        shutil.rmtree(folder)
        backup.rename(folder)
        self.dovecot.start_again()
        self.deliver("other 1", "other 2")
        if is_away:
            service.start()
        follower = self.follow(service)
        subjects = ["kept", "lost 1", "lost 2", "other 1", "other 2"]
        mails = [each for each in follower.events(5) if each["kind"] == "mail"]
        while len(mails) < 5:
            event = follower.event()
            mails += [event] if event["kind"] == "mail" else []
        self.assertEqual(sorted(each["subject"] for each in mails), subjects)
        self.assertEqual(len({each["id"] for each in mails}), 5)
        self.assertEqual(len({each["uidvalidity"] % 2**32 for each in mails}), 1)
        self.assertEqual(len({each["uid"] for each in mails}), 3)
        self.deliver("after")
        self.assertEqual(follower.event()["subject"], "after")

    def deliver(self, *subjects: str) -> None:
        """One after the other, so that UIDs are in their order."""
        for each in subjects:
            said = each.encode()
            name = b"Message-ID: <%b@x>" % said.replace(b" ", b".")
            self.dovecot.append("demo", "INBOX", letter(said, name))
