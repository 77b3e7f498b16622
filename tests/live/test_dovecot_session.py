"""A session with a real Dovecot."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mailnotify.auth.sasl import (
    Credentials,
    Login,
    OAuthBearer,
    Password,
    Plain,
    ScramSha256,
    Token,
    XOAuth2,
)
from mailnotify.config.schema import (
    Account,
    CaFile,
    Literal,
    Pinned,
    Security,
    Server,
    Timing,
    Trust,
)
from mailnotify.core.message import Fetched
from mailnotify.direct import DirectTLS
from mailnotify.errors import CertificateRefused, ChannelInsecure, CommandRefused, LoginDenied
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.habits import Habits
from mailnotify.imap.login import authenticate
from mailnotify.imap.responses import Status
from mailnotify.imap.session import BATCH, Session, open_session
from mailnotify.tls import Connector
from tests.rigs.dovecot import Dovecot

TIMING = Timing(connect_seconds=60, command_seconds=60, idle_renewal_seconds=60)


def letter(subject: str) -> bytes:
    return f"From: Ada <ada@example.org>\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


class DovecotCase(TestCase):
    """One Dovecot for each test."""

    timeout = 300

    def setUp(self) -> None:
        self.dovecot = Dovecot.start()
        self.addCleanup(self.dovecot.stop)

    async def open(
        self,
        security: Security = Security.IMPLICIT_TLS,
        *,
        host: str = "localhost",
        port: int = 0,
        password: str = "demo",
        trust: Trust | None = None,
        **options: Any,
    ) -> Session:
        """A session that the test leaves closed."""
        is_implicit = security is Security.IMPLICIT_TLS
        port = port or (self.dovecot.imaps_port if is_implicit else self.dovecot.imap_port)
        account = Account(
            name="home",
            server=Server(host=host, port=port, security=security, user="demo"),
            password=Literal(text=password),
            trust=trust or CaFile(ca_file=str(self.dovecot.ca_file)),
            timing=TIMING,
        )

        async def credentials() -> Credentials:
            return Password("demo", password)

        options = {"credentials": credentials, **options}
        session = await open_session(
            account, connector=Connector(reactor), clock=reactor, **options
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(session.close()))
        return session

    async def failure(self, attempt: Coroutine[Any, Any, object], kind: type[Exception]) -> str:
        """What an attempt fails with, in words."""
        try:
            await attempt
        except kind as error:
            return str(error)
        raise AssertionError(f"no {kind.__name__}")

    async def wait(self, seconds: float) -> None:
        await deferLater(reactor, seconds, lambda: None)

    async def until(self, hints: list[int], count: int) -> None:
        """Wait for so many hints; the test's own deadline ends it."""
        while len(hints) < count:
            await self.wait(0.02)


class OpenTests(DovecotCase):
    """Connecting and logging in."""

    async def test_both_ways_to_tls(self) -> None:
        """Implicit TLS and STARTTLS, by name and by address, by CA and by fingerprint."""
        fingerprint = self.dovecot.certificates.cert_file.read_bytes()
        for security in Security:
            for host in ("localhost", "127.0.0.1"):
                session = await self.open(security, host=host)
                self.assertIn("IDLE", session.capabilities)
            pinned = Pinned(fingerprint=_sha256(fingerprint))
            await self.open(security, trust=pinned)

    async def test_untrusted(self) -> None:
        """A certificate that cannot be verified is refused, either way, by its true cause."""
        for security in Security:
            wrong = self.open(security, trust=Pinned(fingerprint="0" * 64))
            self.assertIn("not the pinned one", await self.failure(wrong, CertificateRefused))
            unknown = self.open(security, trust=CaFile(ca_file=_other_ca(self)))
            reason = "it was issued by an authority that is not trusted here"
            self.assertIn(reason, await self.failure(unknown, CertificateRefused))

    async def test_plain_port(self) -> None:
        """A server that speaks no TLS on its port is no certificate problem."""
        attempt = self.open(port=self.dovecot.imap_port)
        self.assertIn("TLS handshake failed", await self.failure(attempt, ChannelInsecure))

    async def test_denied(self) -> None:
        """A wrong password is named as such, without being shown."""
        said = await self.failure(self.open(password="hunter2"), LoginDenied)
        self.assertIn("demo", said)
        self.assertNotIn("hunter2", said)

    async def test_mechanisms(self) -> None:
        """PLAIN, LOGIN and SCRAM-SHA-256 are what Dovecot takes them for, however they begin."""
        password = Password("demo", "demo")
        for opens in (True, False):
            for mechanism in (
                Plain(password, "dovecot"),
                Login(password, "dovecot"),
                ScramSha256(password, "dovecot", "n0nce" * 5),
            ):
                client = await self.connect()
                answer = await authenticate(client, mechanism, opens=opens)
                self.assertEqual(answer.status, Status.OK, mechanism)

    async def test_wrong_password_by_scram(self) -> None:
        """A refusal in the middle of SCRAM is a refusal."""
        wrong = ScramSha256(Password("demo", "hunter2"), "dovecot", "n0nce" * 5)
        answer = await authenticate(await self.connect(), wrong, opens=True)
        self.assertEqual(answer.status, Status.NO)

    async def test_refused_token(self) -> None:
        """A token that is refused is answered as each of the two ways demands."""
        token = Token("demo", "no-such-token")
        for mechanism in (XOAuth2(token, "dovecot"), OAuthBearer(token, "dovecot")):
            answer = await authenticate(await self.connect(), mechanism, opens=True)
            self.assertEqual(answer.status, Status.NO)
            self.assertIn("status", mechanism.complaint)

    async def connect(self) -> MailboxClient:
        """A greeted connection without a login, cut at the end of the test."""
        server = Server(
            host="localhost",
            port=self.dovecot.imaps_port,
            security=Security.IMPLICIT_TLS,
            user="demo",
        )
        trust = CaFile(ca_file=str(self.dovecot.ca_file))
        client = MailboxClient("dovecot", clock=reactor, command_seconds=60)
        factory = Factory.forProtocol(lambda: client)
        await Connector(reactor).endpoint(server, trust).connect(factory)
        await client.greeted.wait()
        self.assertIsInstance(client.transport, DirectTLS)  # no write waits for another turn
        self.addCleanup(client.lost.wait)
        self.addCleanup(client.abort)
        return client


class WatchTests(DovecotCase):
    """Watching INBOX."""

    async def watch(self, **options: Any) -> tuple[Session, int, list[int]]:
        """An examined session that listens, its UIDNEXT, and its hints."""
        session = await self.open(**options)
        status = await session.examine("INBOX")
        hints: list[int] = []
        await session.listen(lambda *_: hints.append(1))
        return session, status.uidnext, hints

    async def test_arrival(self) -> None:
        """A delivery is hinted at in IDLE, fetched, and IDLE goes on, burst or stepwise."""
        for is_stepwise in (False, True):
            session, uidnext, hints = await self.watch(habits=Habits(is_stepwise=is_stepwise))
            for number in range(3):
                self.dovecot.append("demo", "INBOX", letter(f"n {number}"))
                await self.until(hints, number + 1)
                (fetched,) = await session.fetch(uidnext + number)
                self.assertIn(f"Subject: n {number}".encode(), fetched.header)
                self.assertIsNotNone(fetched.received)
            self.assertEqual(await session.fetch(uidnext + 3), [])

    async def test_no_flag_changes(self) -> None:
        """After watching, fetching and polling every flag is what it was."""
        self.dovecot.append("demo", "INBOX", *[letter(str(n)) for n in range(5)])
        before = self.dovecot.flags("demo")
        session, _, hints = await self.watch()
        await session.fetch(1)
        self.dovecot.append("demo", "INBOX", letter("new"))
        await self.until(hints, 1)
        await session.fetch(1)
        await session.poll()
        await session.close()
        after = self.dovecot.flags("demo")
        self.assertEqual(len(after), 6)
        unseen = [line for line in after if b"\\Seen" not in line]
        self.assertEqual((len(unseen), len(before)), (6, 5))

    async def test_many(self) -> None:
        """450 letters come in batches, each once and in order, while IDLE goes on."""
        session, uidnext, _ = await self.watch()
        self.dovecot.append("demo", "INBOX", *[letter(str(n)) for n in range(450)])
        got: list[Fetched] = []
        while fetched := await session.fetch(got[-1].uid + 1 if got else uidnext):
            self.assertLessEqual(len(fetched), BATCH)
            got += fetched
        subjects = [each.header.split(b"Subject: ")[1].split(b"\r\n")[0] for each in got]
        self.assertEqual(subjects, [b"%d" % number for number in range(450)])

    async def test_removals(self) -> None:
        """Letters that are removed meanwhile confuse nothing."""
        self.dovecot.append("demo", "INBOX", *[letter(str(n)) for n in range(10)])
        session, uidnext, hints = await self.watch()
        self.dovecot.command("demo", "store", "2:4", "+FLAGS", "(\\Deleted)")
        self.dovecot.command("demo", "expunge")
        self.dovecot.append("demo", "INBOX", letter("after"))
        await self.until(hints, 1)
        (fetched,) = await session.fetch(uidnext)
        self.assertIn(b"Subject: after", fetched.header)

    async def test_mailboxes(self) -> None:
        """A mailbox that is not there is refused; one with an odd name is opened."""
        session = await self.open()
        said = await self.failure(session.examine("No/Such"), CommandRefused)
        self.assertIn("EXAMINE", said)
        self.dovecot.command("demo", "create", '"Entw&APw-rfe &- \\"x"')
        self.assertEqual((await session.examine('Entwürfe & "x')).exists, 0)

    async def test_server_restarts(self) -> None:
        """A server that shuts down says so, and a new session goes on where the last was."""
        session, uidnext, _ = await self.watch()
        lost = session.client.lost.wait()
        self.dovecot.halt()
        self.assertIn("localhost", str(await lost))
        self.dovecot.start_again()
        self.dovecot.append("demo", "INBOX", letter("later"))
        again, _, _ = await self.watch()
        (fetched,) = await again.fetch(uidnext)
        self.assertEqual(fetched.uid, uidnext)


def _sha256(pem: bytes) -> str:
    from OpenSSL import crypto

    certificate = crypto.load_certificate(crypto.FILETYPE_PEM, pem)
    return str(certificate.digest("sha256").decode("ascii"))


def _other_ca(case: TestCase) -> str:
    import trustme

    path = case.mktemp()
    trustme.CA().cert_pem.write_to_path(path)
    return path
