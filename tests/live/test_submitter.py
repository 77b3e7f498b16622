"""A connection that is held, to two servers of different make: Postfix and aiosmtpd."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mailnotify.auth.sasl import Credentials, Password
from mailnotify.config.schema import CaFile, Security, Server, Timing
from mailnotify.errors import LetterInvalid, LoginDenied, SubmissionFailed
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.parcel import Notify, Wishes
from mailnotify.smtp.submit import Submitter
from mailnotify.tls import Connector
from tests.live.test_postfix_submission import servers
from tests.rigs import PATIENCE_SECONDS
from tests.rigs.aiosmtpd import Aiosmtpd

_REACTOR: Any = reactor
TO_DEMO = Envelope(sender="ada@localhost", recipients=("demo@localhost",))
MESSAGE = b"From: ada@localhost\nSubject: held\n\n.\n..dots\n"


class SubmitterCase(TestCase):
    """A submitter to one real server."""

    def submitter(
        self, port: int, ca_file: Path, security: Security, secret: str = "ada"
    ) -> Submitter:
        """One that is closed when the test is over."""

        async def credentials() -> Credentials:
            return Password("ada", secret)

        made = Submitter(
            server=Server(host="localhost", port=port, security=security, user="ada"),
            trust=CaFile(ca_file=str(ca_file)),
            credentials=credentials,
            connector=Connector(_REACTOR),
            clock=_REACTOR,
            deadlines=Timing(connect_seconds=60, command_seconds=60, accept_seconds=60),
            habits=Habits(),
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(made.close()))
        return made

    async def wait(self, seconds: float) -> None:
        await deferLater(_REACTOR, seconds)


class PostfixSubmitterTests(SubmitterCase):
    """Postfix, which takes groups of commands and BDAT."""

    def setUp(self) -> None:
        self.dovecot, self.postfix = servers()
        self.logged = len(self.postfix.log)

    def to_postfix(self, security: Security, secret: str = "ada") -> Submitter:
        is_tls = security is Security.IMPLICIT_TLS
        port = self.postfix.tls_port if is_tls else self.postfix.starttls_port
        return self.submitter(port, self.dovecot.ca_file, security, secret)

    def received(self, subject: bytes) -> list[bytes]:
        """The bodies of letters with this subject that `demo` has."""
        letters = self.dovecot.letters("demo")
        halves = [each.content.replace(b"\r\n", b"\n").partition(b"\n\n") for each in letters]
        return [body for header, _, body in halves if b"\nSubject: " + subject in header]

    async def test_held(self) -> None:
        """Three letters on one connection, each in one chunk, all of them delivered whole."""
        message = MESSAGE.replace(b"held", b"three times")
        for security in Security:
            submitter = self.to_postfix(security)
            for _ in range(3):
                receipt = await submitter.submit(TO_DEMO, message)
                self.assertIn("queued as", receipt.said)
            await submitter.close()
        await self.until(lambda: len(self.received(b"three times")) == 6)
        self.assertEqual(self.received(b"three times"), [b".\n..dots\n"] * 6)
        await self.until(lambda: self.log().count("mail=3 rcpt=3 bdat=3 quit=1") == 2)

    async def test_refusals(self) -> None:
        """A refused recipient has the server's words, and costs the others nothing."""
        submitter = self.to_postfix(Security.IMPLICIT_TLS)
        both = Envelope(sender="ada@localhost", recipients=("nobody@localhost", "demo@localhost"))
        error = await self.assertFailure(self.sent(submitter, both), SubmissionFailed)
        self.assertEqual(error.accepted, ("demo@localhost",))
        self.assertEqual([each.enhanced for each in error.refusals], ["5.1.1"])
        wishes = Wishes(all_or_nothing=True)
        error = await self.assertFailure(self.sent(submitter, both, wishes), SubmissionFailed)
        self.assertEqual(error.accepted, ())
        nobody = Envelope(sender="ada@localhost", recipients=("nobody@localhost",))
        error = await self.assertFailure(self.sent(submitter, nobody), SubmissionFailed)
        self.assertEqual(error.refusals[0].code, 550)
        wishes = Wishes(notify=(Notify.FAILURE,), envelope_id="x+y")
        receipt = await submitter.submit(TO_DEMO, MESSAGE, wishes)
        self.assertTrue(receipt.orders_reports)
        await submitter.close()
        await self.until(lambda: "rset=" in self.log() and "auth=1" in self.log())

    async def test_big(self) -> None:
        """A letter larger than every buffer goes as one chunk, when its envelope was taken."""
        submitter = self.to_postfix(Security.IMPLICIT_TLS)
        message = MESSAGE + b".x" * 400 + b"\n" + b"." * 70 + b"\n" * 30_000 + b"y\n" * 400_000
        message = message.replace(b"held", b"large")
        await submitter.submit(TO_DEMO, message)
        self.assertTrue(submitter.is_open)
        await self.until(lambda: self.received(b"large"))
        (body,) = self.received(b"large")
        self.assertEqual(body, message.partition(b"\n\n")[2])

    async def test_wrong_password(self) -> None:
        """A wrong password is told as that."""
        submitter = self.to_postfix(Security.STARTTLS, "wr0ng")
        error = await self.assertFailure(self.sent(submitter, TO_DEMO), LoginDenied)
        self.assertIn("535 5.7.8", str(error))
        self.assertFalse(submitter.is_open)

    def sent(
        self, submitter: Submitter, envelope: Envelope, wishes: Wishes | None = None
    ) -> Deferred[Any]:
        return Deferred.fromCoroutine(submitter.submit(envelope, MESSAGE, wishes or Wishes()))

    def log(self) -> str:
        """What Postfix wrote in this test."""
        return self.postfix.log[self.logged :]

    async def until(self, is_so: Any) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            self.assertLess(time.monotonic(), deadline, self.log())
            await self.wait(0.05)


class AiosmtpdSubmitterTests(SubmitterCase):
    """aiosmtpd, which takes one command at a time."""

    def setUp(self) -> None:
        self.server = Aiosmtpd()
        self.addCleanup(self.server.stop)

    def to_server(self, security: Security, secret: str = "ada") -> Submitter:
        is_tls = security is Security.IMPLICIT_TLS
        port = self.server.tls_port if is_tls else self.server.starttls_port
        return self.submitter(port, self.server.ca_file, security, secret)

    async def test_held(self) -> None:
        """Letters arrive byte by byte as they were, inside TLS and with STARTTLS."""
        for security in Security:
            submitter = self.to_server(security)
            for _ in range(2):
                receipt = await submitter.submit(TO_DEMO, MESSAGE)
                self.assertIn("kept as", receipt.said)
            await submitter.close()
        contents = [each["content"].encode("latin-1") for each in self.server.letters]
        self.assertEqual(contents, [MESSAGE.replace(b"\n", b"\r\n")] * 4)

    async def test_international(self) -> None:
        """An international address gets through where SMTPUTF8 is offered."""
        submitter = self.to_server(Security.IMPLICIT_TLS)
        envelope = Envelope(sender="jörg@localhost", recipients=("用户@localhost",))
        message = "From: jörg@localhost\nTo: 用户@localhost\n\nhi\n".encode()
        await submitter.submit(envelope, message)
        (letter,) = self.server.letters
        self.assertEqual(
            (letter["sender"], letter["recipients"]), ("jörg@localhost", ["用户@localhost"])
        )
        self.assertIn("SMTPUTF8", letter["options"])
        self.assertEqual(letter["content"].encode("latin-1"), message.replace(b"\n", b"\r\n"))

    async def test_refusals(self) -> None:
        """An unknown recipient, a letter too big, and after both the connection stands."""
        submitter = self.to_server(Security.IMPLICIT_TLS)
        both = Envelope(sender="ada@localhost", recipients=("nobody@x.org", "bob@x.org"))
        sent: Deferred[Any] = Deferred.fromCoroutine(submitter.submit(both, MESSAGE))
        error = await self.assertFailure(sent, SubmissionFailed)
        self.assertEqual((error.accepted, error.refusals[0].enhanced), (("bob@x.org",), "5.1.1"))
        sent = Deferred.fromCoroutine(submitter.submit(TO_DEMO, b"x" * 1_100_000))
        await self.assertFailure(sent, LetterInvalid)
        await submitter.submit(TO_DEMO, MESSAGE)
        self.assertTrue(submitter.is_open)

    async def test_wrong_password(self) -> None:
        """A wrong password is told as that."""
        submitter = self.to_server(Security.STARTTLS, "wr0ng")
        sent = Deferred.fromCoroutine(submitter.submit(TO_DEMO, MESSAGE))
        error = await self.assertFailure(sent, LoginDenied)
        self.assertIn("535", str(error))
