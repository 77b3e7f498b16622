"""COMPRESS=DEFLATE with a real Dovecot."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mailnotify.auth.sasl import Credentials, Password
from mailnotify.config.schema import Account, CaFile, Literal, Security, Server
from mailnotify.imap.session import BATCH, Session, open_session
from mailnotify.tls import Connector
from tests.live.test_dovecot_session import TIMING, letter
from tests.rigs.dovecot import Dovecot

COUNT = BATCH + 20


class CompressionTests(TestCase):
    """A mailbox with more than a batch, at a server that offers to compress."""

    timeout = 300

    def setUp(self) -> None:
        self.dovecot = Dovecot.start(compresses=True)
        self.addCleanup(self.dovecot.stop)
        self.dovecot.append("demo", "INBOX", *(letter(f"no {n}") for n in range(COUNT)))

    async def open(self) -> Session:
        async def credentials() -> Credentials:
            return Password("demo", "demo")

        account = Account(
            name="home",
            server=Server(
                host="localhost",
                port=self.dovecot.imaps_port,
                security=Security.IMPLICIT_TLS,
                user="demo",
            ),
            password=Literal(text="demo"),
            trust=CaFile(ca_file=str(self.dovecot.ca_file)),
            timing=TIMING,
        )
        session = await open_session(
            account, connector=Connector(reactor), credentials=credentials, clock=reactor
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(session.close()))
        return session

    async def test_catching_up(self) -> None:
        """All messages come, compressed, and IDLE tells of the next one."""
        session = await self.open()
        self.assertIn("COMPRESS=DEFLATE", session.capabilities)
        await session.examine("INBOX")
        fetched = [*await session.fetch(1)]
        fetched += await session.fetch(fetched[-1].uid + 1)
        self.assertEqual(len(fetched), COUNT)
        self.assertIsNotNone(session._client._compression)
        hinted: Deferred[None] = Deferred()

        def changed(mailbox: str, status: object) -> None:
            if not hinted.called:
                hinted.callback(None)

        await session.listen(changed)
        self.dovecot.append("demo", "INBOX", letter("one more"))
        await hinted
        self.assertEqual(len(await session.fetch(fetched[-1].uid + 1)), 1)
        await session.poll()
