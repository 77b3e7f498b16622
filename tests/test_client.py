"""The client against a server in memory: order, positions, slow sinks, and every kind of end."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.client import GRACE_SECONDS, Following, Notice, NotifyClient
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import Entry, Position
from mailnotify.core.frames import (
    Admitted,
    Auth,
    Bye,
    Edge,
    Gap,
    Hello,
    Live,
    Mechanism,
    Part,
    Ping,
    Plain,
    Pong,
    Queued,
    Quit,
    Refused,
    Secured,
    Send,
    StartTls,
    Subscribe,
    Subscribed,
    Welcome,
)
from mailnotify.errors import (
    CommandRefused,
    LetterInvalid,
    NotConnected,
    OutcomeUnknown,
    PositionBusy,
    PositionUnwritable,
)
from mailnotify.interfaces import ISink
from mailnotify.outgoing import MOST_ATTEMPTS
from mailnotify.position import PositionFile
from mailnotify.stream import QUIT_SECONDS, SILENCE_SECONDS, STEP_SECONDS
from tests.fake_server import EPOCH, Connection, FakeEndpoint, at
from tests.sinks.fakes import FakeSink, entry

FIRST_SECONDS = 1.0


class BrokenPositions(PositionFile):
    """A position file on a disk that is full while `is_full`."""

    is_full = False

    def save(self, position: Position) -> None:
        if self.is_full:
            raise PositionUnwritable(path="x", reason="No space left on device")
        super().save(position)


class CrashingSink(FakeSink):
    """A sink with a mistake in it."""

    async def deliver(self, entry: Entry, position: Position) -> None:
        raise RuntimeError("a mistake of ours")


class ClientCase(SynchronousTestCase):
    """A client with one sink, a position file and a clock of the test."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = FakeEndpoint(self.clock)
        self.sink = FakeSink()
        self.notices: list[tuple[Notice, str]] = []
        self.path = Path(self.mktemp()).absolute() / "client" / "x.position"
        self.positions = BrokenPositions(self.path)
        self.client = self.new_client()

    def new_client(self, sinks: Sequence[ISink] = (), **following: Any) -> NotifyClient:
        return NotifyClient(
            Following(peer_name="fake:5050", **following),
            endpoint=self.endpoint,
            sinks=sinks or [self.sink],
            positions=self.positions,
            backoff=Backoff(first_seconds=FIRST_SECONDS, most_seconds=60.0, jitter=lambda: 1.0),
            clock=self.clock,
            notice=lambda notice, line: self.notices.append((notice, line)),
        )

    def start(self, client: NotifyClient | None = None) -> Connection:
        """Start and connect."""
        self.client = client or self.client
        self.client.startService()
        self.addCleanup(self.stop)
        return self.connection

    def stop(self) -> None:
        """Stop, and leave nothing."""
        if self.client.running:
            stopped = self.client.stopService()
            self.clock.pump([0.1] * 30)
            self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def turn(self) -> None:
        """Let the reactor turn: after a position was saved the client waits for that."""
        self.clock.pump([0.0] * 20)

    def reconnect(self) -> Connection:
        """Wait for the next connection."""
        self.clock.pump([0.0, FIRST_SECONDS])
        return self.connection

    @property
    def connection(self) -> Connection:
        return self.endpoint.connections[-1]

    def shown(self) -> list[int]:
        return [each.seq for each in self.sink.entries]

    def said(self, notice: Notice) -> list[str]:
        return [line for each, line in self.notices if each is notice]

    def saved(self) -> Position | None:
        return PositionFile(self.path).read()


class SessionTests(ClientCase):
    """What the client says and shows in one session."""

    def test_fakes(self) -> None:
        """The fake endpoint is one."""
        verifyObject(IStreamClientEndpoint, self.endpoint)

    def secured(self, **following: Any) -> Connection:
        """A connection that goes on in TLS, with `self.client` to speak there."""
        self.client = self.new_client(**following)
        self.client._starttls = self.tls = cast(IOpenSSLClientConnectionCreator, object())
        return self.start(self.client)

    def test_starttls(self) -> None:
        """Nothing is said before TLS stands, and nothing of before counts."""
        connection = self.secured()
        connection.say(Plain(subject="x"))
        self.assertEqual((connection.heard(), connection.tls), ([StartTls()], None))
        connection.say(Secured())
        self.assertIs(connection.tls, self.tls)
        (hello,) = connection.heard()
        self.assertIsInstance(hello, Hello)
        connection.go_live(at(3))
        self.turn()
        self.assertEqual(self.saved(), at(3))

    def test_starttls_refused(self) -> None:
        """A server without TLS hears nothing more."""
        connection = self.secured(has_certificate=True)
        connection.heard()
        connection.say(Refused(code="STATE", reason="STARTTLS is not offered here"))
        self.assertEqual((connection.heard(), connection.was_aborted), ([], True))
        self.assertIn("STARTTLS is not offered here", self.said(Notice.BLIND)[0])

    def test_starttls_injection(self) -> None:
        """Words in clear behind the answer are refused, with the connection."""
        connection = self.secured()
        connection.say(Secured(), Live(position=at(9)))
        self.assertEqual((connection.tls, connection.was_aborted), (None, True))

    def test_certificate(self) -> None:
        """It is referred to when the server has said hello; nothing is asked for before OK."""
        connection = self.start(self.new_client(has_certificate=True))
        connection.heard()
        connection.say(Welcome(server="s", epoch="", head=0, oldest=1, ping_seconds=60.0))
        self.assertEqual(connection.heard(), [Auth(mechanism=Mechanism.EXTERNAL)])
        connection.say(Admitted(name="laptop", epoch=EPOCH, head=0, oldest=1))
        self.assertEqual(connection.heard(), [Subscribe(since=Edge.NOW)])

    def test_an_account_that_is_not_there(self) -> None:
        """Whoever waits for it in vain is told, with nothing in the name that acts."""
        connection = self.start(self.new_client(accounts=("home", "ho\x1bne")))
        connection.say(Welcome(server="s", epoch=EPOCH, head=9, oldest=1, ping_seconds=60.0))
        connection.say(Subscribed(position=at(9), unknown=("ho\x1bne",)))
        self.assertEqual(self.said(Notice.REMARK), ["fake:5050 knows no account hone"])

    def test_first_start_is_from_now(self) -> None:
        """The first start announces nothing of the past, and remembers where it began."""
        connection = self.start()
        (hello,) = connection.heard()
        self.assertIsInstance(hello, Hello)
        connection.say(Welcome(server="s", epoch=EPOCH, head=9, oldest=1, ping_seconds=60.0))
        self.assertEqual(connection.heard(), [Subscribe(since=Edge.NOW)])
        connection.say(Subscribed(position=at(9)), Live(position=at(9)))
        self.assertEqual(self.said(Notice.REMARK), [])
        self.turn()
        self.assertEqual(self.saved(), at(9))

    def test_shows_in_order_and_keeps_the_position(self) -> None:
        """Entries are shown in order, and after each its position is kept."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.announce(1, 2, 3)
        self.turn()
        self.assertEqual(self.shown(), [1, 2, 3])
        self.assertEqual(self.saved(), at(3))

    def test_resumes(self) -> None:
        """A client that was away asks for what it has not shown."""
        self.positions.open()
        self.positions.save(at(41))
        self.positions.close()
        connection = self.start()
        connection.say(Welcome(server="s", epoch=EPOCH, head=50, oldest=1, ping_seconds=60.0))
        self.assertEqual(connection.heard()[-1], Subscribe(since=at(41)))

    def test_only_some_accounts(self) -> None:
        """A client can follow some accounts only."""
        connection = self.start(self.new_client(accounts=("home",), since=Edge.OLDEST))
        connection.say(Welcome(server="s", epoch=EPOCH, head=50, oldest=1, ping_seconds=60.0))
        subscribe = Subscribe(since=Edge.OLDEST, accounts=("home",))
        self.assertEqual(connection.heard()[-1], subscribe)

    def test_repeated_entry_is_shown_once(self) -> None:
        """What was shown is not shown again, whatever the server repeats."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.announce(1, 2, 1, 2, 3)
        self.turn()
        self.assertEqual(self.shown(), [1, 2, 3])

    def test_another_epoch_counts_anew(self) -> None:
        """After the journal was rebuilt low numbers are new messages, and the gap is said."""
        connection = self.start()
        connection.go_live(at(10))
        self.turn()
        connection.say(Gap(since=at(10), to=at(0, "e2"), reason="epoch"))
        connection.announce(1, epoch="e2")
        self.turn()
        self.assertEqual(self.shown(), [1])
        self.assertEqual(self.saved(), at(1, "e2"))
        self.assertIn("e1:10 to e2:0 cannot be shown: the journal was", self.said(Notice.REMARK)[0])

    def test_gap_may_go_back(self) -> None:
        """A server whose journal is behind us has the last word."""
        connection = self.start()
        connection.go_live(at(10))
        self.turn()
        connection.say(Gap(since=at(10), to=at(4), reason="ahead"))
        connection.announce(5)
        self.turn()
        self.assertEqual(self.shown(), [5])

    def test_live_never_goes_back(self) -> None:
        """LIVE with an older position does not make us show anything again."""
        connection = self.start()
        connection.go_live(at(10))
        self.turn()
        connection.say(Live(position=at(3)))
        connection.announce(4)
        self.turn()
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.saved(), at(10))

    def test_event_of_a_newer_server(self) -> None:
        """An event that we cannot read is said, and passed."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.protocol.dataReceived(
            b'EVENT e1:1 {"at":"2026-01-31T08:00:00Z","kind":"dance"}\r\n'
        )
        self.turn()
        self.assertEqual(self.saved(), at(1))
        self.assertIn("(dance)", self.said(Notice.REMARK)[0])

    def test_refusal_in_a_session(self) -> None:
        """What the server refuses later is said."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.say(Refused(code="BUSY", reason="later"))
        self.assertIn("BUSY later", self.said(Notice.REMARK)[0])

    def test_ping_is_answered(self) -> None:
        """The server's PING gets its PONG."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.heard()
        connection.say(Ping(token="x"))
        self.assertEqual(connection.heard(), [Pong(token="x")])

    def test_plain_lines_before_the_answer(self) -> None:
        """Lines of the plain stream that come before the answer are not shown twice."""
        connection = self.start()
        connection.say(Plain(subject="early"))
        connection.go_live(at(0))
        self.turn()
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.said(Notice.BLIND), [])

    def test_two_sinks(self) -> None:
        """Each sink gets each entry, in the order of the sinks."""
        slow, fast = FakeSink(holds=True), FakeSink()
        connection = self.start(self.new_client([slow, fast]))
        connection.go_live(at(0))
        self.turn()
        connection.announce(1)
        self.assertEqual(fast.entries, [])
        slow.held[0].callback(None)
        self.assertEqual(fast.entries, [entry(1)])
        self.turn()


class SlowSinkTests(ClientCase):
    """A sink sets the pace."""

    def start_holding(self) -> Connection:
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        self.sink.holds = True
        connection.announce(1, 2)
        return connection

    def test_server_is_paused(self) -> None:
        """While a sink is busy nothing more is read, and then it goes on."""
        connection = self.start_holding()
        self.assertTrue(connection.is_paused)
        self.assertEqual(self.shown(), [1])
        self.sink.held[0].callback(None)
        self.turn()
        self.assertTrue(connection.is_paused)
        self.sink.held[1].callback(None)
        self.turn()
        self.assertFalse(connection.is_paused)
        self.assertEqual(self.shown(), [1, 2])

    def test_position_waits_for_the_sink(self) -> None:
        """The position is kept after an entry was shown, not before."""
        self.start_holding()
        self.turn()
        self.assertEqual(self.saved(), at(0))
        self.sink.held[0].callback(None)
        self.assertEqual(self.saved(), at(1))
        self.turn()
        self.sink.held[1].callback(None)

    def test_store_first(self) -> None:
        """With store-first the position is kept before."""
        self.client = self.new_client(store_first=True)
        self.start_holding()
        self.assertEqual(self.shown(), [])
        self.turn()
        self.assertEqual(self.saved(), at(1))
        self.assertEqual(self.shown(), [1])

    def test_signs_of_life_while_busy(self) -> None:
        """While a sink is busy the server hears of us, and is not taken for dead."""
        connection = self.start_holding()
        connection.heard()
        self.clock.pump([SILENCE_SECONDS] * 10)
        self.assertEqual(connection.heard(), [Ping()] * 10)
        self.assertFalse(connection.was_aborted)

    def test_connection_lost_while_busy(self) -> None:
        """The next session begins when the entry on display is done, and repeats nothing."""
        self.start_holding().lose()
        connection = self.reconnect()
        self.assertEqual(connection.heard(), [])
        self.sink.holds = False
        self.sink.held[0].callback(None)
        self.turn()
        connection.say(Welcome(server="s", epoch=EPOCH, head=2, oldest=1, ping_seconds=60.0))
        self.assertEqual(connection.heard()[-1], Subscribe(since=at(1)))
        self.assertEqual(self.shown(), [1])

    def test_stopped_while_busy(self) -> None:
        """A client that is stopped waits half a second for the entry on display, no longer."""
        self.start_holding()
        stopped = self.client.stopService()
        self.turn()
        self.assertNoResult(stopped)
        self.assertFalse(self.sink.is_closed)
        self.clock.advance(GRACE_SECONDS)
        self.successResultOf(stopped)
        self.assertTrue(self.sink.is_closed)
        self.assertEqual(self.saved(), at(0))

    def test_shown_within_the_grace(self) -> None:
        """An entry that is shown while we stop is kept as shown."""
        self.start_holding()
        stopped = self.client.stopService()
        self.turn()
        self.sink.held[0].callback(None)
        self.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.saved(), at(1))
        self.assertEqual(self.shown(), [1])


class TroubleTests(ClientCase):
    """Servers that vanish, refuse, keep silent or talk nonsense."""

    def test_no_server(self) -> None:
        """A server that is not there is said once, and asked ever less often."""
        self.endpoint.is_down = True
        self.client.startService()
        self.addCleanup(self.stop)
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.endpoint.attempts, 7)  # at 0, 1, 3, 7, 15, 31, 63 s
        self.assertEqual(len(self.said(Notice.BLIND)), 1)
        self.assertIn("refused", self.said(Notice.BLIND)[0])

    def test_back_in_sight(self) -> None:
        """A server that comes back is said, when its stream is live again."""
        self.endpoint.is_down = True
        self.client.startService()
        self.addCleanup(self.stop)
        self.endpoint.is_down = False
        connection = self.reconnect()
        self.assertEqual(self.said(Notice.SEEING), [])
        connection.go_live(at(0))
        self.turn()
        self.assertEqual(len(self.said(Notice.SEEING)), 1)

    def test_accept_and_drop_is_no_proof(self) -> None:
        """A server that accepts and drops is not hammered: only LIVE resets the delay."""
        self.start()
        for _ in range(600):
            if self.connection.is_open:
                self.connection.lose()
            self.clock.advance(1.0)
        self.assertLess(self.endpoint.attempts, 20)
        self.assertEqual(len(self.said(Notice.BLIND)), 1)

    def test_live_is_proof(self) -> None:
        """After a session that was live the next attempt comes soon."""
        self.start()
        for _ in range(5):  # delays grow to 16 s
            self.connection.lose()
            while not self.connection.is_open:
                self.clock.advance(1.0)
        self.connection.go_live(at(0))
        self.turn()
        before = self.endpoint.attempts
        self.connection.lose()
        self.clock.advance(FIRST_SECONDS)
        self.assertEqual(self.endpoint.attempts, before + 1)

    def test_silent_handshake(self) -> None:
        """A server that does not answer HELLO is cut."""
        connection = self.start()
        self.clock.advance(STEP_SECONDS)
        self.assertTrue(connection.was_aborted)
        self.turn()
        self.assertIn("did not finish HELLO within 20 s", self.said(Notice.BLIND)[0])

    def test_attempts_are_no_news(self) -> None:
        """An outage is told once; the log does not get a line for each attempt."""
        self.endpoint.is_down = True
        with capturedLogs() as logged:
            self.client.startService()
            self.addCleanup(self.stop)
            self.clock.pump([FIRST_SECONDS, 5.0, 10.0, 30.0])
        self.assertGreater(self.endpoint.attempts, 3)
        self.assertEqual(len(self.said(Notice.BLIND)), 1)
        self.assertEqual([each["log_format"] for each in logged], [])

    def test_refused_handshake(self) -> None:
        """A server that refuses us is quoted."""
        connection = self.start()
        connection.say(Refused(code="VERSION", reason="this server speaks version 2"))
        self.assertTrue(connection.was_aborted)
        self.assertIn("version 2", self.said(Notice.BLIND)[0])
        self.turn()

    def test_wrong_answer(self) -> None:
        """An answer to something else ends the session."""
        connection = self.start()
        connection.say(Bye(reason="busy"))
        self.assertTrue(connection.was_aborted)
        self.assertIn("sent Bye, expected the answer to HELLO", self.said(Notice.BLIND)[0])
        self.turn()

    def test_not_our_protocol(self) -> None:
        """A web server on that port is cut, and quoted without its control characters."""
        connection = self.start()
        connection.protocol.dataReceived(b"HTTP/1.1 400 \x1b[31m\r\n\r\n")
        self.assertTrue(connection.was_aborted)
        self.assertTrue(self.said(Notice.BLIND)[0].isprintable())
        self.turn()

    def test_endless_line(self) -> None:
        """A line without an end is cut at 64 KiB."""
        connection = self.start()
        for _ in range(70):
            connection.protocol.dataReceived(b"x" * 1024)
        self.assertTrue(connection.was_aborted)
        self.turn()

    def test_dead_server(self) -> None:
        """A server that is silent is asked twice for a sign of life, then cut."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.heard()
        self.clock.pump([SILENCE_SECONDS] * 2)
        self.assertEqual(connection.heard(), [Ping(), Ping()])
        self.assertFalse(connection.was_aborted)
        self.clock.advance(SILENCE_SECONDS)
        self.assertTrue(connection.was_aborted)
        self.turn()
        self.assertEqual(len(self.said(Notice.BLIND)), 1)

    def test_quiet_server(self) -> None:
        """A server that answers our PINGs is never cut."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        for _ in range(10):
            self.clock.advance(SILENCE_SECONDS)
            connection.say(Pong())
        self.assertFalse(connection.was_aborted)

    def test_bye(self) -> None:
        """A server that restarts says so, and we come back to it."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.say(Bye(reason="restart"))
        self.assertEqual(self.said(Notice.BLIND), ["fake:5050 is out of sight: BYE restart"])
        self.assertIsNot(self.reconnect(), connection)

    def test_mistake_of_ours(self) -> None:
        """A sink with a mistake in it costs a session, is logged, and the client goes on."""
        connection = self.start(self.new_client([CrashingSink()]))
        connection.go_live(at(0))
        self.turn()
        connection.announce(1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.saved(), at(0))
        self.reconnect().say(Welcome(server="s", epoch=EPOCH, head=2, oldest=1, ping_seconds=60.0))
        self.assertEqual(self.connection.heard()[-1], Subscribe(since=at(0)))

    def test_full_disk(self) -> None:
        """With a full disk messages are still shown, and that is said once."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        self.positions.is_full = True
        connection.announce(1, 2)
        self.turn()
        self.assertEqual(self.shown(), [1, 2])
        self.assertEqual(len(self.said(Notice.REMARK)), 1)
        self.positions.is_full = False
        connection.announce(3)
        self.turn()
        self.assertEqual(self.saved(), at(3))

    def test_full_disk_with_store_first(self) -> None:
        """With store-first nothing is shown that is not kept: it comes when there is room."""
        self.client = self.new_client(store_first=True)
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        self.positions.is_full = True
        connection.announce(1)
        self.turn()
        self.assertEqual(self.shown(), [])
        self.assertTrue(connection.was_aborted)
        self.positions.is_full = False
        again = self.reconnect()
        again.welcome(at(0))
        again.announce(1)
        self.turn()
        self.assertEqual(self.shown(), [1])

    def test_notices_go_to_the_log(self) -> None:
        """Without somebody to tell, the log is told."""
        client = NotifyClient(
            Following(peer_name="fake:5050"),
            endpoint=self.endpoint,
            sinks=[],
            positions=None,
            backoff=Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 1.0),
            clock=self.clock,
        )
        self.endpoint.is_down = True
        with capturedLogs() as captured:
            client.startService()
            self.endpoint.is_down = False
            self.clock.advance(1.0)
            self.connection.go_live(at(0))
        lines = [str(event.get("line")) for event in captured if "line" in event]
        self.assertEqual(len(lines), 2)
        self.client = client
        self.addCleanup(self.stop)


class LifeTests(ClientCase):
    """Start and stop."""

    def test_stop_says_quit(self) -> None:
        """A client that is stopped says QUIT, and leaves nothing."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        connection.heard()
        stopped = self.client.stopService()
        self.assertEqual(connection.heard(), [Quit()])
        self.turn()
        self.successResultOf(stopped)
        self.assertTrue(self.sink.is_closed)
        self.assertEqual([notice for notice, _ in self.notices], [Notice.SEEING])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_of_a_frozen_connection(self) -> None:
        """A connection that does not close is cut after half a second."""
        connection = self.start()
        connection.loseConnection = lambda: None  # type: ignore[method-assign]
        stopped = self.client.stopService()
        self.turn()
        self.assertNoResult(stopped)
        self.clock.pump([QUIT_SECONDS, 0.0])
        self.assertTrue(connection.was_aborted)
        self.successResultOf(stopped)

    def test_stop_while_waiting(self) -> None:
        """A client between two attempts stops at once."""
        self.endpoint.is_down = True
        self.client.startService()
        self.successResultOf(self.client.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_position_is_released(self) -> None:
        """A stopped client leaves its position to the next one."""
        self.start()
        self.stop()
        self.start(self.new_client())

    def test_second_client(self) -> None:
        """Two clients do not share a position."""
        self.start()
        second = PositionFile(self.path)
        self.assertRaises(PositionBusy, second.open)


class LetterTests(ClientCase):
    """Letters for the server's outbox."""

    letter = b"Subject: Lunch?\r\n\r\n" + b"x" * 5000

    def said_letters(self, connection: Connection) -> list[tuple[Send, bytes]]:
        """The letters that the client has sent, whole."""
        letters: list[tuple[Send, bytes]] = []
        for frame in connection.heard():
            if isinstance(frame, Send):
                letters.append((frame, b""))
            elif isinstance(frame, Part):
                asked, content = letters[-1]
                letters[-1] = asked, content + a2b_base64(frame.text)
        return letters

    def test_queued(self) -> None:
        """It goes at once on a connection that stands, and is answered."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        queued = self.client.send(self.letter, "bob@x.org", sender="ada@x.org", key="k")
        ((asked, content),) = self.said_letters(connection)
        self.assertEqual(content, self.letter)
        expected = Send(size=len(self.letter), to=("bob@x.org",), sender="ada@x.org", key="k")
        self.assertEqual(asked, expected)
        self.assertNoResult(queued)
        connection.say(Queued(letter=7, message_id="<1@x>"))
        self.assertEqual(self.successResultOf(queued).letter, 7)

    def test_refused(self) -> None:
        """Each letter has the answer that is its own."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        first, second = (self.client.send(self.letter, each) for each in ("bob", "eve@x.org"))
        connection.say(Refused(code="LETTER", reason="bob is nobody"))
        self.turn()
        connection.say(Queued(letter=1))
        self.turn()
        self.assertEqual(self.failureResultOf(first, CommandRefused).value.status, "LETTER")
        self.assertEqual(self.successResultOf(second), Queued(letter=1))
        self.assertEqual(self.said(Notice.REMARK), [])

    def test_before_and_between_connections(self) -> None:
        """It waits for a connection, and goes again, the same, when one has ended."""
        queued = self.client.send(self.letter, "bob@x.org")
        gone = self.client.send(self.letter, "eve@x.org")
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        first, _ = self.said_letters(connection)
        self.assertTrue(first[0].key)
        gone.addErrback(lambda _: None)
        gone.cancel()
        connection.lose()
        connection = self.reconnect()
        connection.go_live(at(0))
        self.turn()
        self.assertEqual(self.said_letters(connection), [first])
        connection.say(Queued(letter=1))
        self.turn()
        self.assertEqual(self.successResultOf(queued), Queued(letter=1))

    def test_too_many_recipients(self) -> None:
        """A letter whose first line no server takes fails by itself."""
        connection = self.start()
        connection.go_live(at(0))
        self.turn()
        wrong = self.client.send(self.letter, *(f"{n}@example.org" for n in range(1000)))
        right = self.client.send(self.letter, "bob@x.org")
        self.failureResultOf(wrong, LetterInvalid)
        self.assertEqual(len(self.said_letters(connection)), 1)
        connection.say(Queued(letter=1))
        self.turn()
        self.assertEqual(self.successResultOf(right), Queued(letter=1))

    def test_never_answered(self) -> None:
        """A letter that may be what ends the connections does not do so for ever."""
        first, second = (self.client.send(self.letter, each) for each in ("a@x.org", "b@x.org"))
        connection = self.start()
        for _ in range(MOST_ATTEMPTS):
            connection.go_live(at(0))
            self.turn()
            self.assertEqual(len(self.said_letters(connection)), 2)
            connection.lose()
            connection = self.reconnect()
        self.failureResultOf(first, OutcomeUnknown)
        self.assertNoResult(second)
        connection.go_live(at(0))
        self.turn()
        connection.say(Queued(letter=1))
        self.turn()
        self.assertEqual(self.successResultOf(second), Queued(letter=1))

    def test_stopped(self) -> None:
        """Who waits is told when nothing more will come."""
        self.start()
        queued = self.client.send(self.letter, "bob@x.org")
        self.stop()
        self.failureResultOf(queued, NotConnected)
