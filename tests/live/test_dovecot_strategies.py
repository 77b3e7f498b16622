"""Several mailboxes of a real Dovecot, and what crosses the wire for one message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.protocols.portforward import ProxyFactory, ProxyServer
from twisted.trial.unittest import TestCase

from mailnotify.auth.sasl import Password
from mailnotify.config.schema import Account, CaFile, Literal, Security, Server, Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import NewMail
from mailnotify.imap.session import Session, open_session
from mailnotify.tls import Connector
from mailnotify.watching.crew import Crew, Seat
from mailnotify.watching.place import Place
from mailnotify.watching.watcher import Watcher
from tests.fakes import MemoryJournal
from tests.rigs.dovecot import Dovecot

_BASIC = "IMAP4rev1 SASL-IR ID ENABLE AUTH=PLAIN"
_HEADER_BYTES = 52
"""Of each packet on loopback, besides what it carries."""


def letter(subject: str) -> bytes:
    return f"From: Ada <ada@example.org>\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()


class Wire(ProxyFactory):
    """A way to the server on which everything is counted.

    Attributes:
        sent: the sizes of what the client wrote, a write each.
        heard: the same for the server.
        connections: so many were made.
    """

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.noisy = False
        self.sent: list[int] = []
        self.heard: list[int] = []
        self.connections = 0

    def buildProtocol(self, addr: object) -> ProxyServer:
        self.connections += 1
        wire = self

        class Counting(ProxyServer):
            def dataReceived(self, data: bytes) -> None:
                wire.sent.append(len(data))
                super().dataReceived(data)

            def setPeer(self, peer: object) -> None:
                super().setPeer(peer)
                forward = peer.dataReceived  # type: ignore[attr-defined]

                def counted(data: bytes) -> None:
                    wire.heard.append(len(data))
                    forward(data)

                peer.dataReceived = counted  # type: ignore[attr-defined]

        proxy = Counting()
        proxy.factory = self
        return proxy

    def forget(self) -> None:
        self.sent.clear()
        self.heard.clear()


class StrategyCase(TestCase):
    """An account with three mailboxes, watched as the service does it."""

    timeout = 300
    capability = ""

    def setUp(self) -> None:
        self.dovecot = Dovecot.start(capability=self.capability)
        self.addCleanup(self.dovecot.stop)
        for mailbox in ("Work", "Lists"):
            self.dovecot.command("demo", "create", mailbox)
        self.wire = Wire(self.dovecot.imaps_port)
        port = reactor.listenTCP(0, self.wire, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.journal = MemoryJournal()
        self.arrived: dict[str, float] = {}

    def account(self, **timing: float) -> Account:
        server = Server(
            host="localhost", port=self.port, security=Security.IMPLICIT_TLS, user="demo"
        )
        return Account(
            name="home",
            server=server,
            password=Literal(text="demo"),
            trust=CaFile(ca_file=str(self.dovecot.ca_file)),
            timing=Timing(**{"idle_poll_seconds": 60.0, **timing}),
        )

    def open(self, account: Account) -> Awaitable[Session]:
        return open_session(
            account,
            connector=Connector(reactor),
            credentials=lambda: succeed(Password("demo", "demo")),
            clock=reactor,
        )

    async def watch(
        self, *mailboxes: str, most: int = 4, clock: Any = reactor, **timing: float
    ) -> Crew:
        """A crew that has begun to listen.

        Args:
            clock: of the polls; whoever counts what crosses the wire decides when they are.
        """
        account = self.account(**timing)

        def watcher(seat: Seat) -> Watcher:
            backoff = Backoff(first_seconds=0.2, most_seconds=1.0, jitter=lambda: 0.5)
            return Watcher(
                seat,
                seat.begin,
                timing=account.timing,
                backoff=backoff,
                clock=clock,
                jitter=lambda: 0.0,
                witness=seat,
            )

        places = [Place("home", each, self.journal, self.accept) for each in mailboxes]
        crew = Crew(places, lambda: self.open(account), watcher, most_connections=most, clock=clock)
        crew.startService()
        self.addCleanup(crew.stopService)
        for place in places:
            await self.until(lambda place=place: place.cursor is not None)
        await self.quiet()
        return crew

    def accept(self, events, move) -> None:
        for entry in self.journal.append(events, move, datetime.now(UTC)):
            event = entry.event
            name = (
                event.subject
                if isinstance(event, NewMail)
                else f"{type(event).__name__} {event.uid}"
            )
            self.arrived[name] = monotonic()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # the test's own deadline ends it
            await deferLater(reactor, 0.02)

    async def quiet(self) -> None:
        """Until nothing crosses the wire any more; then the counting begins anew."""
        before = -1
        while before != len(self.wire.sent) + len(self.wire.heard):
            before = len(self.wire.sent) + len(self.wire.heard)
            await deferLater(reactor, 0.5)
        self.wire.forget()

    async def deliver(self, mailbox: str, subject: str) -> None:
        self.dovecot.append("demo", mailbox, letter(subject))
        await self.until(lambda: subject in self.arrived)


class NotifyTests(StrategyCase):
    """What Dovecot offers by itself: NOTIFY and IDLE."""

    async def test_one_connection_without_a_round_trip(self) -> None:
        """The subject stands in the journal before a single byte was sent for it."""
        await self.watch("INBOX", "Work", "Lists", clock=Clock())
        self.assertEqual(self.wire.connections, 1)
        for number in range(5):
            await self.deliver("INBOX", f"pushed {number}")
        self.assertEqual(self.wire.sent, [])
        self.assertEqual(len(self.arrived), 5)

    async def test_other_mailboxes(self) -> None:
        """Mail in any of them is told of at once, on the same connection."""
        await self.watch("INBOX", "Work", "Lists")
        for mailbox in ("Work", "Lists", "INBOX", "Work"):
            await self.deliver(mailbox, f"{mailbox} {len(self.arrived)}")
        self.assertEqual(self.wire.connections, 1)
        self.assertEqual(len(self.arrived), 4)

    async def test_name_beyond_ascii(self) -> None:
        """Of such a mailbox the server tells as well, without any poll."""
        self.dovecot.command("demo", "create", "Entw&APw-rfe")
        await self.watch("INBOX", "Entwürfe", clock=Clock())
        self.dovecot.append("demo", "Entw&APw-rfe", letter("draft"))
        await self.until(lambda: "draft" in self.arrived)
        self.assertEqual(self.wire.connections, 1)

    async def test_all_at_once(self) -> None:
        """A hundred letters into three mailboxes: each comes once."""
        await self.watch("INBOX", "Work", "Lists")
        for start in range(0, 99, 33):
            mailbox = ("INBOX", "Work", "Lists")[start // 33]
            letters = [letter(f"all {number}") for number in range(start, start + 33)]
            self.dovecot.append("demo", mailbox, *letters)
        await self.until(lambda: len(self.arrived) == 99)
        self.assertEqual(self.journal.head, 99)


class ResyncTests(StrategyCase):
    """QRESYNC: what becomes of messages elsewhere."""

    async def test_live(self) -> None:
        """A message that is read or removed by another program is told so at once."""
        await self.watch("INBOX", "Work")
        await self.deliver("INBOX", "one")
        await self.deliver("INBOX", "two")
        self.dovecot.command("demo", "store", "1", "+FLAGS", "(\\Seen)")
        await self.until(lambda: "MailSeen 1" in self.arrived)
        self.dovecot.command("demo", "store", "1", "+FLAGS", "(\\Deleted)")
        self.dovecot.command("demo", "expunge")
        await self.until(lambda: "MailGone 1" in self.arrived)
        await self.deliver("INBOX", "three")
        self.assertEqual(self.journal.head, 5)

    async def test_absence(self) -> None:
        """So is what happened while nobody watched, once."""
        crew = await self.watch("INBOX")
        for number in range(4):
            await self.deliver("INBOX", f"letter {number}")
        await crew.stopService()
        self.dovecot.command("demo", "store", "1:2", "+FLAGS", "(\\Seen)")
        self.dovecot.command("demo", "store", "3", "+FLAGS", "(\\Deleted)")
        self.dovecot.command("demo", "expunge")
        for _ in range(2):
            crew.startService()
            await self.until(lambda: "MailGone 3" in self.arrived)
            await self.quiet()
            await crew.stopService()
        self.assertEqual({"MailSeen 1", "MailSeen 2", "MailGone 3"} - set(self.arrived), set())
        self.assertEqual(self.journal.head, 7)


class IdleTests(StrategyCase):
    """IDLE without NOTIFY."""

    capability = f"{_BASIC} IDLE"

    async def test_one_round_trip(self) -> None:
        """For the subject the client writes once: DONE, UID FETCH and IDLE."""
        await self.watch("INBOX", "Work", clock=Clock())
        self.assertEqual(self.wire.connections, 2)
        for number in range(5):
            await self.deliver("INBOX", f"told {number}")
            self.assertEqual(len(self.wire.sent), 1, self.wire.sent)
            await self.quiet()

    async def test_over_the_budget(self) -> None:
        """Two connections see three mailboxes."""
        await self.watch("INBOX", "Work", "Lists", most=2, poll_seconds=2.0)
        self.assertEqual(self.wire.connections, 2)
        for mailbox in ("INBOX", "Lists", "Work"):
            await self.deliver(mailbox, mailbox)
        self.assertEqual(self.wire.connections, 2)

    async def test_a_poll(self) -> None:
        """At most four packets and 300 bytes, headers of TCP and IP included."""
        session = await self.open(self.account())
        self.addCleanup(lambda: Deferred.fromCoroutine(session.close()))
        await session.examine("INBOX")
        await self.quiet()
        await session.poll()
        acknowledged = 1  # the server's answer, by an empty packet
        packets = len(self.wire.sent) + len(self.wire.heard) + acknowledged
        size = sum(self.wire.sent) + sum(self.wire.heard) + packets * _HEADER_BYTES
        self.assertEqual((len(self.wire.sent), len(self.wire.heard)), (1, 1))
        self.assertLessEqual(packets, 4)
        self.assertLessEqual(size, 300)


class SweepTests(StrategyCase):
    """No IDLE; the mailboxes are asked about together."""

    capability = f"{_BASIC} LIST-EXTENDED LIST-STATUS"

    async def test_one_question_for_all(self) -> None:
        """One connection, and one write for each sweep that finds nothing."""
        clock = Clock()
        await self.watch("INBOX", "Work", "Lists", clock=clock, poll_seconds=2, safety_seconds=3600)
        for number in range(3):
            self.assertEqual(len(self.wire.sent), number)
            await self._sweep(clock)
        self.assertEqual(len(self.wire.sent), 3)
        self.assertEqual(self.wire.connections, 1)
        for mailbox in ("INBOX", "Lists", "Work"):
            self.dovecot.append("demo", mailbox, letter(mailbox))
            await self._sweep(clock)
            self.assertIn(mailbox, self.arrived)

    async def _sweep(self, clock: Clock) -> None:
        """The next poll is due; return when the one after it is planned."""
        clock.advance(2)
        due = clock.seconds() + 2
        await self.until(lambda: any(each.getTime() <= due for each in clock.getDelayedCalls()))

    async def test_mailbox_that_comes_later(self) -> None:
        """It is watched as soon as it is there."""
        beginning = Deferred.fromCoroutine(
            self.watch(
                "INBOX", "Later", poll_seconds=0.5, idle_poll_seconds=0.5, safety_seconds=3600
            )
        )
        await self.until(lambda: self.journal.cursor("home", "INBOX") is not None)
        self.dovecot.command("demo", "create", "Later")
        await self.until(lambda: self.journal.cursor("home", "Later") is not None)
        await self.deliver("Later", "late")
        await self.deliver("INBOX", "here")
        beginning.addErrback(lambda _: None)
        beginning.cancel()


class StatusSweepTests(SweepTests):
    """The same by one STATUS for each, in one write."""

    capability = _BASIC
