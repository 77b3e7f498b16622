"""The outbox of the real service, through a real Postfix into a real Dovecot."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.outbox.bounce import recognise
from mailnotify.outbox.doorbell import ring
from mailnotify.outbox.letter import FINAL, Draft, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.compose import Envelope
from mailnotify.taps.posting import DOORBELL, STORE
from tests.live.test_service import Cutter
from tests.rigs import PATIENCE_SECONDS, child_environment, free_port, wait_until
from tests.rigs.dovecot import Dovecot
from tests.rigs.postfix import Postfix
from tests.rigs.service import Follower, Service, account


class ServiceWithOutbox(SynchronousTestCase):
    """A service that sends through Postfix, not started yet."""

    without = ""

    def setUp(self) -> None:
        self.dovecot = Dovecot.start()
        self.addCleanup(self.dovecot.stop)
        self.postfix = Postfix.start(self.dovecot, without=self.without)
        self.addCleanup(self.postfix.stop)
        server = f"imaps://ada@localhost:{self.dovecot.imaps_port}"
        self.service = Service(
            account("home", server, ca_file=self.dovecot.ca_file)
            + f'[accounts.home.submission]\nserver = "smtps://ada@localhost:{self.postfix.tls_port}"'
            '\nsender = "Ada <ada@localhost>"\n'
        )
        self.addCleanup(self.service.stop)

    def command(self, *arguments: str, text: str = "hello\n") -> subprocess.CompletedProcess[str]:
        """Run a command with the service's configuration."""
        config = {"MAILNOTIFY_CONFIG": str(self.service.config_file)}
        return subprocess.run(
            [sys.executable, "-m", "mailnotify", *arguments],
            input=text,
            capture_output=True,
            text=True,
            env={**child_environment(), **config},
            timeout=PATIENCE_SECONDS,
        )

    def mailbox(self, user: str, count: int) -> list[str]:
        """The letters of a user, once there are so many."""
        wait_until(lambda: len(self.dovecot.letters(user)) >= count, f"letter {count}")
        return [each.content.decode() for each in self.dovecot.letters(user)]


class OutboxTests(ServiceWithOutbox):
    """Commands hand letters over; the service sends them."""

    def test_ways_in(self) -> None:
        """send, send --wait, sendmail -t and sendmail for cron; a refusal is told."""
        self.service.start()
        done = self.command("send", "--to", "demo@localhost", "--subject", "queued")
        self.assertEqual((done.returncode, done.stdout), (0, "queued as letter 1\n"))
        done = self.command("send", "--to", "demo@localhost", "--subject", "waited", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("letter 2 is sent to demo@localhost: 2.0.0 Ok", done.stdout)
        done = self.command("send", "--to", "nobody@localhost", "--wait")
        self.assertEqual(done.returncode, os.EX_NOUSER, done.stderr)
        self.assertIn("User unknown", done.stderr)
        message = "To: demo@localhost\nBcc: ada@localhost\nSubject: git\n\nhi\n"
        self.assertEqual(self.command("sendmail", "-t", "-i", text=message).returncode, 0)
        done = self.command("sendmail", "-FCron", "-i", "root", text="Subject: cron\n\nfalse\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        # Two that go out at once are delivered in any order.
        subjects = {_subject(letter) for letter in self.mailbox("demo", 3)}
        self.assertEqual(subjects, {"queued", "waited", "git"})
        self.assertIn("From: Cron <ada@localhost>", "".join(self.mailbox("ada", 2)))
        kinds = self.events(3)
        self.assertEqual(kinds["sent-failed"]["recipients"][0]["address"], "nobody@localhost")
        expected = ["sent", "sent", "failed", "sent", "sent"]
        wait_until(lambda: self.states() == expected, f"{expected} in place of {self.states()}")

    def states(self) -> list[str]:
        """What the outbox says of each letter: a moment after its arrival the truth."""
        listed = self.command("outbox", "list", "--all").stdout.splitlines()
        return [line.split()[1] for line in listed]

    def events(self, count: int) -> dict[str, Any]:
        """The first events of the stream, the last of each kind."""
        with closing(Follower(self.service.port)) as follower:
            return {each["kind"]: each for each in follower.events(count)}

    def event_of(self, kind: str) -> dict[str, Any]:
        """The first event of this kind."""
        with closing(Follower(self.service.port)) as follower:
            while (event := follower.event())["kind"] != kind:
                pass
            return event

    def test_reply(self) -> None:
        """A message of the journal is answered: its sender, its subject, its thread."""
        self.service.start()
        self.service.await_log("] watching ")
        self.dovecot.deliver(
            "ada", b"From: demo@localhost\r\nSubject: Lunch?\r\nMessage-ID: <1@d>\r\n\r\nx\r\n"
        )
        event = self.event_of("mail")
        done = self.command("send", "--reply-to-id", event["id"], "--wait", text="At one.\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        (letter,) = self.mailbox("demo", 1)
        self.assertIn("\nSubject: Re: Lunch?\n", letter)
        self.assertIn("\nIn-Reply-To: <1@d>\n", letter)
        self.assertIn("\nReferences: <1@d>\n", letter)

    def test_later(self) -> None:
        """A delayed letter can be taken back; it goes in its time otherwise, over a restart."""
        self.service.start()
        self.command("send", "--to", "demo@localhost", "--subject", "no", "--undo", "60")
        self.command("send", "--to", "demo@localhost", "--subject", "yes", "--undo", "4")
        self.assertEqual(self.command("outbox", "cancel", "1").returncode, 0)
        self.service.kill()
        done = self.command("send", "--to", "demo@localhost", "--key", "k")
        self.assertEqual(done.returncode, os.EX_TEMPFAIL, done.stderr)
        self.service.start()
        (letter,) = self.mailbox("demo", 1)
        self.assertIn("Subject: yes", letter)

    def test_server_comes_back(self) -> None:
        """While nobody answers the letter waits; it goes by itself when somebody does."""
        port = free_port()
        text = self.service.config_file.read_text().replace(str(self.postfix.tls_port), str(port))
        self.service.config_file.write_text(text)
        self.service.start()
        done = self.command("send", "--to", "demo@localhost", "--subject", "patience")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.service.await_log("sending for home rests")
        state = self.command("outbox", "show", "1").stdout
        self.assertIn("reason:     no connection to localhost", state)
        self.addCleanup(Cutter(self.postfix.tls_port, port).close)
        self.assertIn("Subject: patience", self.mailbox("demo", 1)[0])

    def test_two_services(self) -> None:
        """One outbox is never sent from twice."""
        self.service.start()
        other = Service("", state_dir=self.service.state_dir)
        self.addCleanup(other.stop)
        text = self.service.config_file.read_text().replace(str(self.service.port), str(other.port))
        other.config_file.write_text(text)
        error = self.assertRaises(RuntimeError, other.start)
        self.assertIn("in use by another service", str(error))

    def test_bounce(self) -> None:
        """A letter that a server took and sent back later is told as failed, with the reason."""
        self.service.start()
        self.service.await_log("] watching ")
        done = self.command("send", "--to", "demo@bounce.example", "--subject", "far", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        (report,) = self.mailbox("ada", 1)
        bounce = recognise(report.encode())
        assert bounce is not None
        shown = self.command("outbox", "show", "1").stdout
        self.assertIn(f"message-id: {bounce.message_id}\n", shown)
        self.assertEqual(f"<{bounce.envelope_id}>", bounce.message_id)
        event = self.event_of("sent-failed")
        self.assertEqual((event["subject"], event["letter"]), ("far", 1))
        (recipient,) = event["recipients"]
        self.assertEqual(recipient["address"], "demo@bounce.example")
        self.assertIn("bounce.example", recipient["reason"])

    def test_copy(self) -> None:
        """What was sent lies in the mailbox for copies, once, and read."""
        text = self.service.config_file.read_text()
        text = text.replace(
            "[accounts.home.submission]", "[accounts.home.submission]\nsent_copy = 'Archive'"
        )
        self.service.config_file.write_text(text)
        self.service.start()
        self.command("send", "--to", "demo@localhost", "--subject", "one", "--wait")
        self.command("send", "--to", "demo@localhost", "--subject", "two", "--wait")
        wait_until(lambda: len(self.dovecot.letters("ada", ".Archive")) >= 2, "the copies")
        copies = self.dovecot.letters("ada", ".Archive")
        self.assertTrue(all(each.path.name.endswith(":2,S") for each in copies), copies)
        self.assertEqual({_subject(each.content.decode()) for each in copies}, {"one", "two"})


def _subject(letter: str) -> str:
    return letter.split("\nSubject: ")[1].split("\n")[0]


class GroupedTests(ServiceWithOutbox):
    """A Postfix without BDAT, which is told of each letter along with the one before."""

    without = "chunking"

    def test_many(self) -> None:
        """Hundreds of letters, some of them refused, go over two connections, each once."""
        self.service.start()
        now = datetime.now(UTC)
        drafts = [
            Draft(
                account="home",
                envelope=Envelope(sender="ada@localhost", recipients=(who,)),
                message=f"Message-ID: <{number}@x>\r\n\r\n.\r\n{'x' * number}\r\n".encode(),
                message_id=f"<{number}@x>",
                due=now,
                expires=now + timedelta(days=1),
            )
            for number in range(300)
            for who in ("nobody@localhost" if number % 30 == 0 else "demo@localhost",)
        ]
        bell = self.service.state_dir / DOORBELL
        wait_until(lambda: ring(bell), "the outbox")
        with closing(SqliteOutbox.visit(self.service.state_dir / STORE)) as store:
            store.enqueue(drafts, now)
            ring(bell)
            wait_until(lambda: len(store.letters(FINAL, 999)) == 300, "the end of all letters")
            failed = [each.message_id for each in store.letters([State.FAILED], 999)]
        self.assertEqual(failed, [f"<{number}@x>" for number in range(0, 300, 30)])
        arrived = [each.split("Message-ID: <")[1] for each in self.mailbox("demo", 290)]
        numbers = [int(each.split("@")[0]) for each in arrived]
        self.assertEqual(sorted(numbers), [number for number in range(300) if number % 30])
        # Ours, and the one that looked whether it was there.
        self.assertLessEqual(self.postfix.log.count(": connect from"), 3, self.postfix.log)
