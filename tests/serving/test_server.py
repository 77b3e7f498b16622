"""The line protocol on a transport: who is told what, who is cut, what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from hypothesis import given, settings, strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.access.door import OPEN, Door
from mailnotify.config.listen import PlainFor
from mailnotify.config.schema import Limits
from mailnotify.core.events import Entry, Position
from mailnotify.core.frames import (
    Announce,
    Bye,
    Edge,
    Gap,
    Hello,
    Live,
    ServerFrame,
    Since,
    Subscribe,
    Subscribed,
    Welcome,
)
from mailnotify.core.wire import ClientPeer
from mailnotify.hub import Hub
from mailnotify.interfaces import IPokable
from mailnotify.serving.connection import NotifyProtocol
from mailnotify.serving.readers import Readers
from mailnotify.serving.server import NotifyFactory
from mailnotify.serving.submission import Post
from tests.access.fakes import Tokens
from tests.fakes import NOON, MemoryJournal, SteppingNow, account_state, mail

LIMITS = Limits(step_seconds=30, ping_seconds=60, stalled_seconds=60)
LOCAL = IPv4Address("TCP", "127.0.0.1", 40000)
BUSY = b'ERR BUSY too many subscribers; try again later\r\nBYE {"reason":"busy"}\r\n'


class Line(StringTransport):
    """A connection in memory that holds bytes back while its reader is asleep.

    Attributes:
        on_write: called after each `write`.
    """

    HIGH_WATER_BYTES = 65536

    def __init__(self, protocol: Protocol) -> None:
        super().__init__(LOCAL, LOCAL)
        self.protocol = protocol
        self.is_asleep = False
        self.writes = 0
        self.was_aborted = False
        self.on_write: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        if not self.connected:
            return  # as Twisted's own transports
        self.writes += 1
        super().write(data)
        self.on_write()
        if self.is_asleep and len(self.value()) >= self.HIGH_WATER_BYTES and self.producer:
            self.producer.pauseProducing()

    def take(self) -> bytes:
        """Read all there is, as a peer that is awake."""
        data = self.value()
        self.clear()
        return data

    def wake(self) -> bytes:
        """Read all there is and make room, as a peer that was asleep."""
        data = self.take()
        self.producer.resumeProducing()
        return data

    def abortConnection(self) -> None:
        self.was_aborted = True
        self.hang_up()

    def hang_up(self) -> None:
        """The connection ends."""
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))


class TurningClock(Clock):
    """A clock that can make one turn of the reactor: what is called for in it waits."""

    def turn(self) -> None:
        """Call what is due now, and nothing that this leads to."""
        for call in [each for each in self.getDelayedCalls() if each.getTime() <= self.seconds()]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class Rig:
    """A factory in memory and everything below it."""

    def __init__(
        self,
        limits: Limits = LIMITS,
        tail_size: int = 1000,
        door: Door = OPEN,
        post: Post | None = None,
    ) -> None:
        self.clock = TurningClock()
        self.door = door
        self.post = post
        self.journal = MemoryJournal()
        self.now = SteppingNow()
        self._limits = limits
        self._tail_size = tail_size
        self.restart()

    def restart(self) -> None:
        """A new life of the service on the same journal."""
        self.hub = Hub(self.journal, self.now, self._tail_size)
        self.readers = Readers(self.journal, now=lambda: NOON, most=3)
        self.factory = NotifyFactory(
            self.hub,
            self._limits,
            self.clock,
            node="here",
            door=self.door,
            readers=self.readers,
            post=self.post,
        )
        self.factory.doStart()

    def connect(self) -> Line:
        """A new connection, plain as yet."""
        protocol = self.factory.buildProtocol(LOCAL)
        assert protocol is not None
        line = Line(protocol)
        protocol.makeConnection(line)
        return line

    def accept(self, *uids: int) -> None:
        """Mail arrives, and the reactor has its turn."""
        for uid in uids:
            self.hub.accept([mail(uid)])
        self.turn()

    def turn(self, times: int = 1) -> None:
        """One turn of the reactor."""
        for _ in range(times):
            self.clock.turn()

    def pass_time(self, seconds: int) -> None:
        """Time goes by, second by second."""
        self.clock.pump([1] * seconds)


class Subscription:
    """A structured client on a connection of a rig."""

    def __init__(self, rig: Rig, since: Since = Edge.NOW, **filters: object) -> None:
        self.peer = ClientPeer("server")
        self.line = rig.connect()
        self.say(Hello(client="test"), Subscribe(since=since, **filters))  # type: ignore[arg-type]

    def say(self, *frames: Hello | Subscribe) -> None:
        """Send frames in one piece."""
        for frame in frames:
            self.peer.send(frame)
        self.line.protocol.dataReceived(self.peer.to_send())

    def heard(self) -> list[ServerFrame]:
        """What the server has sent since the last time."""
        self.peer.receive(self.line.take())
        return list(self.peer.received())


def told(frames: Sequence[ServerFrame]) -> list[object]:
    """Frames in short: the seq of events, the class of the rest."""
    return [each.entry.seq if isinstance(each, Announce) else type(each) for each in frames]


class PlainTests(SynchronousTestCase):
    """A bare `nc`."""

    def setUp(self) -> None:
        self.rig = Rig()

    def test_nothing_is_said_on_connect(self) -> None:
        """Whoever connects hears nothing until mail arrives."""
        self.rig.accept(1)
        line = self.rig.connect()
        self.rig.turn()
        self.assertEqual(line.take(), b"")

    def test_one_line_for_each_new_message(self) -> None:
        """Exactly the line, with CR LF, for mail that came after connecting."""
        self.rig.accept(1)
        line = self.rig.connect()
        self.rig.accept(2, 3)
        self.assertEqual(
            line.take(), b"New Email Received: mail 2\r\nNew Email Received: mail 3\r\n"
        )

    def test_only_mail(self) -> None:
        """The state of an account is no line for a person with `nc`."""
        line = self.rig.connect()
        self.rig.hub.accept([account_state()])
        self.rig.turn()
        self.assertEqual(line.take(), b"")
        self.assertEqual(line.writes, 0)

    def test_hostile_subject(self) -> None:
        """A subject cannot break the line, act on a terminal, or be endless."""
        line = self.rig.connect()
        self.rig.hub.accept([mail(1, "a\r\nNew Email Received: b\x1b[2J\x00\u202e\u2028c")])
        self.rig.hub.accept([mail(2, "\u00e9" * 100_000)])
        self.rig.turn()
        first, second, rest = line.take().split(b"\r\n")
        self.assertEqual(first, b"New Email Received: a New Email Received: b[2Jc")
        self.assertLessEqual(len(second) + 2, 1024)
        self.assertGreater(len(second), 1000)
        self.assertEqual(set(second.decode().removeprefix("New Email Received: ")), {"\u00e9"})
        self.assertEqual(rest, b"")

    def test_the_first_of_a_turn(self) -> None:
        """A mail waits for nothing; those that follow in the same turn leave in one write."""
        line = self.rig.connect()
        for uid in range(1, 33):
            self.rig.hub.accept([mail(uid)])
        self.assertEqual(line.writes, 1)
        self.assertEqual(line.take().count(b"\r\n"), 1)
        self.rig.turn()
        self.assertEqual(line.writes, 2)
        self.assertEqual(line.take().count(b"\r\n"), 31)
        self.rig.hub.accept([mail(33)])
        self.assertEqual(line.take(), b"New Email Received: mail 33\r\n")

    def test_flood(self) -> None:
        """More lines than a page holds come over several turns, all of them."""
        line = self.rig.connect()
        self.rig.accept(*range(1, 1001))
        self.rig.turn(20)
        expected = [f"New Email Received: mail {uid}" for uid in range(1, 1001)]
        self.assertEqual(line.take().decode().splitlines(), expected)

    def test_enter_is_nothing(self) -> None:
        """Pressing Enter in `nc` changes nothing."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"\n\r\n")
        self.rig.accept(1)
        self.assertEqual(line.take(), b"New Email Received: mail 1\r\n")

    def test_a_wrong_word_does_not_end_it(self) -> None:
        """A line that is no verb is answered, and mail goes on to be told."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"hi\n")
        self.assertTrue(line.take().startswith(b"ERR UNKNOWN "))
        self.rig.accept(1)
        self.assertEqual(line.take(), b"New Email Received: mail 1\r\n")

    def test_stalled_reader_is_cut(self) -> None:
        """A plain reader that takes nothing for a minute is cut and counted."""
        line = self.rig.connect()
        line.is_asleep = True
        self.rig.hub.accept([mail(uid, "x" * 1000) for uid in range(1, 2000)])
        self.rig.turn(20)
        self.assertLess(len(line.value()), 3 * 65536)
        self.rig.pass_time(59)
        self.assertFalse(line.was_aborted)
        self.rig.pass_time(2)
        self.assertTrue(line.was_aborted)
        self.assertEqual(self.rig.factory.tally.stalled, 1)
        self.assertEqual(self.rig.factory.open_connections, 0)

    def test_slow_reader_misses_nothing(self) -> None:
        """A plain reader that wakes in time gets all of it, from the journal if need be."""
        self.rig = Rig(tail_size=10)
        line = self.rig.connect()
        line.is_asleep = True
        for uid in range(1, 2000):
            self.rig.hub.accept([mail(uid, f"{uid} " + "x" * 900)])
        lines = b""
        for _ in range(200):
            self.rig.turn(5)
            lines += line.wake()
        uids = [int(each.split()[3]) for each in lines.splitlines()]
        self.assertEqual(uids, list(range(1, 2000)))
        self.rig.pass_time(120)
        self.assertFalse(line.was_aborted)


class StructuredTests(SynchronousTestCase):
    """A client that says HELLO and SUBSCRIBE."""

    def setUp(self) -> None:
        self.rig = Rig()

    def test_hello_tells_the_server(self) -> None:
        """The answer to HELLO says who, which journal, and what the limits are."""
        self.rig.accept(1, 2)
        client = Subscription(self.rig)
        welcome = client.heard()[0]
        assert isinstance(welcome, Welcome)
        self.assertEqual((welcome.node, welcome.epoch), ("here", "e1"))
        self.assertEqual((welcome.head, welcome.oldest), (2, 1))
        self.assertEqual((welcome.ping_seconds, welcome.max_line), (60, 4096))
        self.assertEqual(welcome.auth, ())

    def test_live(self) -> None:
        """From now on: nothing of before, all that comes."""
        self.rig.accept(1)
        client = Subscription(self.rig)
        self.assertEqual(told(client.heard()), [Welcome, Subscribed, Live])
        self.rig.accept(2, 3)
        self.assertEqual(told(client.heard()), [2, 3])

    def test_nothing_between_hello_and_subscribe(self) -> None:
        """Who has said HELLO hears no plain line any more."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"HELLO 1 {}\r\n")
        line.take()
        self.rig.accept(1)
        self.assertEqual(line.take(), b"")

    def test_replay(self) -> None:
        """From a position: what followed it, LIVE, then live."""
        self.rig.accept(*range(1, 251))
        client = Subscription(self.rig, Position(epoch="e1", seq=30))
        self.rig.turn(5)
        self.assertEqual(told(client.heard()), [Welcome, Subscribed, *range(31, 251), Live])
        self.rig.accept(251)
        self.assertEqual(told(client.heard()), [251])

    def test_replay_of_a_whole_page(self) -> None:
        """LIVE comes also when the replay ends with a page."""
        self.rig.accept(*range(1, 101))
        client = Subscription(self.rig, Edge.OLDEST)
        self.rig.turn()
        self.assertEqual(told(client.heard())[2:], [*range(1, 101), Live])

    def test_replay_in_small_portions(self) -> None:
        """LIVE comes at the end also when the journal gives less at once than it was asked for."""
        rig = Rig(tail_size=1)
        rig.accept(*range(1, 10))
        rig.journal.portion = 2
        client = Subscription(rig, Edge.OLDEST)
        rig.turn(4)
        self.assertEqual(told(client.heard())[2:], [*range(1, 10), Live])

    def test_replay_takes_turns(self) -> None:
        """A replay of many pages gives the live ones their turn between two pages."""
        self.rig.accept(*range(1, 501))
        live, behind = self.rig.connect(), Subscription(self.rig, Edge.OLDEST)
        self.assertEqual(len(behind.heard()), 102)
        self.rig.accept(501)
        self.assertEqual(live.take(), b"New Email Received: mail 501\r\n")
        self.assertEqual(len(behind.heard()), 100)

    def test_many_replays_share_a_turn(self) -> None:
        """However many replay: two milliseconds of a turn for all of them, each in its turn."""
        rig = Rig(tail_size=1)
        rig.accept(*range(1, 501))
        behind = [Subscription(rig, Edge.OLDEST) for _ in range(6)]
        for each in behind:
            each.heard()
        read = rig.journal.read

        def read_slowly(after: int, most: int) -> Sequence[Entry]:
            rig.clock.rightNow += 0.0015
            return read(after, most)

        rig.journal.read = read_slowly  # type: ignore[method-assign]
        for turn in range(1, 4):
            rig.clock.turn()
            pages = [len(each.line.value()) > 0 for each in behind]
            self.assertEqual(pages, [number < 2 * turn for number in range(6)])

    def test_poll(self) -> None:
        """A poll ends after the replay."""
        self.rig.accept(1)
        client = Subscription(self.rig, Edge.OLDEST, poll=True)
        self.rig.turn()
        frames = client.heard()
        self.assertEqual(told(frames), [Welcome, Subscribed, 1, Live, Bye])
        self.assertEqual(frames[-1], Bye(reason="polled"))
        self.assertTrue(client.line.disconnecting)
        self.rig.accept(2)
        self.assertEqual(client.heard(), [])

    def test_poll_of_a_slow_reader(self) -> None:
        """Its last words come when all before them has been taken, and may take their time."""
        self.rig.accept(*range(1, 300))
        client = Subscription(self.rig, Edge.OLDEST, poll=True)
        client.line.is_asleep = True
        self.rig.turn(5)
        self.assertEqual(told(client.heard())[2:], list(range(1, 300)))
        self.rig.pass_time(30)
        self.assertFalse(client.line.was_aborted)
        client.line.wake()
        self.rig.turn(5)
        self.assertEqual(told(client.heard()), [Live, Bye])
        self.rig.pass_time(59)
        self.assertFalse(client.line.was_aborted)
        self.rig.pass_time(2)
        self.assertTrue(client.line.was_aborted)

    def test_half_closed(self) -> None:
        """Who says no more, as `nc -N`, is told what he has asked for, and then sent away."""
        self.rig.accept(*range(1, 500))
        for poll in (True, False):
            client = Subscription(self.rig, Edge.OLDEST, poll=poll)
            protocol = client.line.protocol
            assert isinstance(protocol, NotifyProtocol)
            protocol.readConnectionLost()
            self.rig.turn(10)
            frames = client.heard()
            self.assertEqual(told(frames), [Welcome, Subscribed, *range(1, 500), Live, Bye])
            self.assertEqual(frames[-1], Bye(reason="polled" if poll else "quit"))
            self.assertTrue(client.line.disconnecting)

    def test_half_closed_without_a_word(self) -> None:
        """Who only listened has gone, as far as we know."""
        live, plain = Subscription(self.rig), self.rig.connect()
        live.heard()
        for line in (live.line, plain):
            assert isinstance(line.protocol, NotifyProtocol)
            line.protocol.readConnectionLost()
            self.assertTrue(line.disconnecting)
        self.assertEqual((live.heard(), plain.take()), ([Bye(reason="quit")], b""))

    def test_filters(self) -> None:
        """Accounts, mailboxes and kinds that were not asked for are not told."""
        work = Subscription(self.rig, accounts=("work",))
        lists = Subscription(self.rig, mailboxes=("Lists",))
        states = Subscription(self.rig, kinds=("account", "of tomorrow"))
        for each in (work, lists, states):
            each.heard()
        self.rig.hub.accept([mail(1), mail(2, account="work"), mail(3, mailbox="Lists")])
        self.rig.hub.accept([account_state("work")])
        self.rig.turn()
        self.assertEqual(told(work.heard()), [2, 4])
        self.assertEqual(told(lists.heard()), [3])
        self.assertEqual(told(states.heard()), [4])

    def test_gap(self) -> None:
        """What retention has taken is told first, then the rest is replayed."""
        self.rig = Rig(tail_size=1)
        self.rig.accept(*range(1, 11))
        self.rig.journal.forget(5)
        client = Subscription(self.rig, Position(epoch="e1", seq=2))
        frames = client.heard()
        self.assertEqual(told(frames), [Welcome, Subscribed, Gap, 6, 7, 8, 9, 10, Live])
        lost = Gap(
            since=Position(epoch="e1", seq=2), to=Position(epoch="e1", seq=5), reason="expired"
        )
        self.assertEqual(frames[2], lost)

    def test_giant_events(self) -> None:
        """Events of 50 KiB each come two by two as there is room, none missing."""
        events = [mail(uid, to=1400) for uid in range(1, 8)]
        self.rig.hub.accept(events)
        client = Subscription(self.rig, Edge.OLDEST)
        client.line.is_asleep = True
        frames = client.heard()
        for _ in range(20):
            self.rig.turn()
            self.assertLess(len(client.line.value()), 2 * 65536)
            client.peer.receive(client.line.wake())
            frames += client.peer.received()
        self.assertEqual(told(frames)[2:], [*range(1, 8), Live])

    def test_asleep_and_back(self) -> None:
        """A structured reader that stops reading is not cut, and misses nothing."""
        self.rig = Rig(tail_size=10)
        client = Subscription(self.rig)
        client.line.is_asleep = True
        frames = client.heard()
        for uid in range(1, 2001):
            self.rig.hub.accept([mail(uid)])
        self.rig.turn(30)
        self.assertLess(len(client.line.value()), 3 * 65536)
        self.rig.pass_time(61)
        self.assertFalse(client.line.was_aborted)
        for _ in range(40):
            client.peer.receive(client.line.wake())
            frames += client.peer.received()
            self.rig.turn(5)
        self.assertEqual(told(frames)[3:], list(range(1, 2001)))

    def test_one_who_does_not_read_is_not_listened_to(self) -> None:
        """Commands whose answers are not taken wait in the kernel, not here."""
        client = Subscription(self.rig)
        client.heard()
        client.line.is_asleep = True
        client.line.protocol.dataReceived(b"x\n" * 32768)
        self.assertEqual(client.line.producerState, "paused")
        self.assertLess(len(client.line.value()), 65536 + 8192)
        answers = 0
        while client.line.producerState == "paused":
            answers += client.line.wake().count(b"ERR UNKNOWN")
        answers += client.line.take().count(b"ERR UNKNOWN")
        self.assertEqual(answers, 32768)

    def test_much_at_once(self) -> None:
        """Who says a lot is answered all of it, some of it in each turn, and then listened to."""
        client = Subscription(self.rig)
        other = self.rig.connect()
        client.heard()
        client.line.protocol.dataReceived(b"PING x\n" * 1000)
        answers = [client.line.take().count(b"PONG x")]
        self.assertEqual(client.line.producerState, "paused")
        while client.line.producerState == "paused":
            self.rig.accept(len(answers))
            answers.append(client.line.take().count(b"PONG x"))
            self.assertEqual(other.take().count(b"New Email"), 1)
        self.assertEqual((sum(answers), max(answers)), (1000, 50))

    def test_a_stranger_who_says_much(self) -> None:
        """The same for one who is shown nothing."""
        rig = Rig(door=Door(plain=PlainFor.NOBODY, keeper=Tokens(Clock()).keeper))
        line = rig.connect()
        line.protocol.dataReceived(b"PING x\n" * 1000 + b"QUIT\n")
        self.assertEqual(line.take().count(b"PONG x"), 50)
        rig.turn(30)
        said = line.take()
        self.assertEqual(said.count(b"PONG x"), 950)
        self.assertTrue(said.endswith(b'BYE {"reason":"quit"}\r\n'))
        self.assertTrue(line.disconnecting)

    def test_quit(self) -> None:
        """QUIT is answered with BYE, and the connection closes."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"QUIT\r\n")
        self.assertEqual(line.take(), b'BYE {"reason":"quit"}\r\n')
        self.assertTrue(line.disconnecting)
        self.assertIsNone(line.producer)

    def test_damaged_journal(self) -> None:
        """When the journal cannot be read, a reader is told, not left in silence."""
        self.rig = Rig(tail_size=1)
        self.rig.accept(1, 2, 3)
        self.rig.journal.is_damaged = True
        by_position = Subscription(self.rig, Edge.OLDEST)
        by_time = Subscription(self.rig, self.rig.journal.entries[0].at)
        self.assertEqual(by_position.heard()[-1], Bye(reason="journal"))
        self.assertEqual(by_time.heard()[-1], Bye(reason="journal"))
        self.assertTrue(by_time.line.disconnecting)


class DeadlineTests(SynchronousTestCase):
    """Nobody can hold a connection for ever by doing nothing."""

    def setUp(self) -> None:
        self.rig = Rig()

    def test_plain_silence_is_fine(self) -> None:
        """A plain reader may be silent for ever."""
        line = self.rig.connect()
        self.rig.pass_time(1000)
        self.assertEqual((line.take(), line.disconnecting), (b"", False))

    def test_ping_then_cut(self) -> None:
        """A silent structured reader is pinged after a minute and cut after two."""
        client = Subscription(self.rig)
        client.line.take()
        self.rig.pass_time(59)
        self.assertEqual(client.line.take(), b"")
        self.rig.pass_time(2)
        self.assertEqual(client.line.take(), b"PING\r\n")
        self.rig.pass_time(57)
        self.assertFalse(client.line.disconnecting)
        self.rig.pass_time(2)
        self.assertEqual(client.line.take(), b'BYE {"reason":"silent"}\r\n')
        self.assertTrue(client.line.disconnecting)
        self.assertFalse(client.line.was_aborted)
        self.rig.pass_time(2)
        self.assertTrue(client.line.was_aborted)
        self.assertEqual(self.rig.factory.tally.silent, 1)

    def test_position_of_what_was_not_wanted(self) -> None:
        """With a ping comes the position, if only unwanted events have moved it."""
        client = Subscription(self.rig, accounts=("work",))
        client.heard()
        self.rig.accept(1, 2)
        self.assertEqual(client.heard(), [])
        self.rig.pass_time(61)
        self.assertEqual(client.heard(), [Live(position=Position(epoch="e1", seq=2))])
        client.line.protocol.dataReceived(client.peer.to_send())
        self.rig.pass_time(61)
        self.assertEqual(client.line.take(), b"PING\r\n")

    def test_no_position_before_the_end_of_the_replay(self) -> None:
        """LIVE is not said in the middle of a replay that nothing of was wanted."""
        self.rig.accept(*range(1, 301))
        client = Subscription(self.rig, Edge.OLDEST, accounts=("work",))
        client.line.producer.pauseProducing()
        self.assertEqual(told(client.heard()), [Welcome, Subscribed])
        self.rig.pass_time(61)
        self.assertEqual(client.line.value(), b"PING\r\n")

    def test_any_byte_is_life(self) -> None:
        """A reader that says anything at all within two minutes stays."""
        client = Subscription(self.rig)
        for _ in range(5):
            self.rig.pass_time(100)
            client.heard()
            client.line.protocol.dataReceived(client.peer.to_send() or b"\n")
        self.assertFalse(client.line.disconnecting)

    def test_half_a_line(self) -> None:
        """A line has to be finished within its deadline, byte by byte or not."""
        line = self.rig.connect()
        for _ in range(29):
            line.protocol.dataReceived(b"H")
            self.rig.pass_time(1)
        self.assertFalse(line.disconnecting)
        self.rig.pass_time(2)
        self.assertTrue(line.disconnecting)
        self.assertEqual(line.take(), b"")
        self.assertEqual(self.rig.factory.tally.slow, 1)

    def test_lines_that_never_end_at_a_packet(self) -> None:
        """Whoever finishes lines is not cut because the next one has begun already."""
        line = self.rig.connect()
        for _ in range(100):
            line.protocol.dataReceived(b"G\nPIN")
            self.rig.pass_time(1)
        self.assertFalse(line.disconnecting)

    def test_hello_and_then_nothing(self) -> None:
        """Who says HELLO has to subscribe in time; pings do not buy more."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"HELLO 1\n")
        for _ in range(30):
            line.protocol.dataReceived(b"PING\n")
            self.rig.pass_time(1)
        self.assertTrue(line.take().endswith(b'BYE {"reason":"slow"}\r\n'))
        self.assertTrue(line.disconnecting)

    def test_overlong_line(self) -> None:
        """A line over the limit is answered once and ends the connection."""
        line = self.rig.connect()
        line.protocol.dataReceived(b"x" * 100_000)
        line.protocol.dataReceived(b"x" * 100_000)
        self.assertEqual(
            line.take(), b'ERR TOOLONG over 4096 bytes in a line\r\nBYE {"reason":"overlong"}\r\n'
        )
        self.assertTrue(line.disconnecting)

    def test_short_limits_are_kept(self) -> None:
        """Deadlines under a second are looked at often enough."""
        self.rig = Rig(Limits(step_seconds=0.2, ping_seconds=60, stalled_seconds=60))
        line = self.rig.connect()
        line.protocol.dataReceived(b"H")
        self.rig.clock.pump([0.05] * 6)
        self.assertTrue(line.disconnecting)


class LimitTests(SynchronousTestCase):
    """How many there may be, and from where."""

    def test_connections_in_all(self) -> None:
        """One too many is told so and closed; the others notice nothing."""
        rig = Rig(Limits(connections=2))
        first, _second, third = rig.connect(), rig.connect(), rig.connect()
        self.assertEqual(third.take(), BUSY)
        self.assertTrue(third.disconnecting)
        rig.accept(1)
        self.assertEqual(first.take(), b"New Email Received: mail 1\r\n")
        self.assertEqual(third.take(), b"")
        self.assertEqual((rig.factory.tally.accepted, rig.factory.tally.refused), (2, 1))
        first.hang_up()
        self.assertEqual(rig.connect().take(), b"")

    def test_connections_of_an_address(self) -> None:
        """One address cannot take the places of another."""
        door = Door(keeper=Tokens(Clock()).keeper)
        rig = Rig(Limits(connections_per_address=1), door=door)
        first = rig.connect()
        self.assertEqual(rig.connect().take(), BUSY)
        first.hang_up()
        self.assertEqual(rig.connect().take(), b"")
        self.assertEqual(rig.connect().take(), BUSY)
        other = rig.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        self.assertIsInstance(other, NotifyProtocol)

    def test_connections_of_a_network(self) -> None:
        """Who owns a /64 of IPv6 has no more places than who owns one address."""
        door = Door(keeper=Tokens(Clock()).keeper)
        rig = Rig(Limits(connections_per_address=3, strangers_per_address=1), door=door)

        def come(host: str) -> bytes:
            protocol = rig.factory.buildProtocol(IPv6Address("TCP", host, 1))
            assert protocol is not None
            line = Line(protocol)
            protocol.makeConnection(line)
            return line.take()

        self.assertEqual(come("2001:db8::1"), b"")
        for _ in range(4):  # first no room for a stranger, then no place
            self.assertEqual(come("2001:db8::2"), BUSY)
        self.assertEqual(come("2001:db8:0:1::1"), b"")

    def test_loopback_only(self) -> None:
        """Who comes from beyond loopback is not served, whatever the listener is."""
        rig = Rig()
        self.assertIsNone(rig.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)))
        self.assertIsNone(rig.factory.buildProtocol(IPv6Address("TCP", "2001:db8::1", 1)))
        self.assertIsNone(rig.factory.buildProtocol(IPv6Address("TCP", "::ffff:192.0.2.1", 1)))
        self.assertEqual(rig.factory.tally.foreign, 3)

    def test_every_kind_of_loopback(self) -> None:
        """IPv4, IPv6, IPv4 in IPv6 and UNIX sockets are all this machine."""
        rig = Rig()
        for address in (
            IPv4Address("TCP", "127.8.9.1", 1),
            IPv6Address("TCP", "::1", 1),
            IPv6Address("TCP", "::ffff:127.0.0.1", 1),
            UNIXAddress("/run/mailnotify"),
        ):
            self.assertIsInstance(rig.factory.buildProtocol(address), NotifyProtocol)


class FactoryTests(SynchronousTestCase):
    """All subscribers together."""

    def setUp(self) -> None:
        self.rig = Rig()

    def test_interfaces(self) -> None:
        """The factory can be poked, the protocol can be paused."""
        verifyObject(IPokable, self.rig.factory)
        verifyObject(IPushProducer, NotifyProtocol(self.rig.factory, ""))
        verifyObject(IHalfCloseableProtocol, NotifyProtocol(self.rig.factory, ""))

    def test_a_fault_meets_one(self) -> None:
        """A fault in one subscriber's connection does not reach the next."""
        broken, sound = self.rig.connect(), self.rig.connect()
        broken.on_write = None  # type: ignore[assignment]
        self.rig.accept(1)
        self.assertEqual(sound.take(), b"New Email Received: mail 1\r\n")
        self.assertTrue(broken.was_aborted)
        self.assertEqual(self.rig.factory.tally.failed, 1)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_gone_before_its_turn(self) -> None:
        """A subscriber that leaves between the poke and the turn is not written to."""
        line = self.rig.connect()
        self.rig.hub.accept([mail(1)])
        self.rig.hub.accept([mail(2)])
        line.hang_up()
        self.rig.turn()
        self.assertEqual(line.take(), b"New Email Received: mail 1\r\n")

    def test_lost_by_another(self) -> None:
        """A subscriber that is lost during a turn in which it is due does no harm."""
        first, second = self.rig.connect(), self.rig.connect()
        first.on_write = second.hang_up
        self.rig.accept(1)
        self.assertEqual((second.take(), self.rig.factory.tally.failed), (b"", 0))

    def test_stop(self) -> None:
        """Before a restart the structured are told; who does not go is cut after a second."""
        plain, client = self.rig.connect(), Subscription(self.rig)
        client.heard()
        stopping = Deferred.fromCoroutine(self.rig.factory.stop())
        self.assertEqual(client.heard(), [Bye(reason="restart")])
        self.assertEqual((plain.take(), plain.disconnecting), (b"", True))
        self.assertIsNone(self.rig.factory.buildProtocol(LOCAL))
        plain.hang_up()
        self.assertNoResult(stopping)
        self.rig.clock.advance(1)
        self.assertTrue(client.line.was_aborted)
        self.assertFalse(plain.was_aborted)
        self.successResultOf(stopping)
        self.assertEqual(self.rig.factory.open_connections, 0)

    def test_stop_when_all_go(self) -> None:
        """When the last one has gone, the stop is complete and no timer is left."""
        line = self.rig.connect()
        stopping = Deferred.fromCoroutine(self.rig.factory.stop())
        line.hang_up()
        self.successResultOf(stopping)
        self.rig.factory.doStop()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_stop_without_subscribers(self) -> None:
        """With nobody connected there is nothing to wait for."""
        self.successResultOf(Deferred.fromCoroutine(self.rig.factory.stop()))

    def test_no_timer_is_left(self) -> None:
        """A factory that is stopped with a turn to come leaves no timer and no poke."""
        self.rig.connect()
        self.rig.hub.accept([mail(1)])
        self.rig.factory.doStop()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])
        self.rig.hub.accept([mail(2)])
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])


class ResumeTests(SynchronousTestCase):
    """From mail to the client's own bytes, over connections that break anywhere."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_each_event_once(self, data: st.DataObject) -> None:
        """Cut after any byte, resumed from the last event that arrived: each one once."""
        rig = Rig(tail_size=data.draw(st.integers(1, 9)))
        saved, seen = Position(epoch="e1", seq=0), list[int]()
        total = 0
        for count in data.draw(st.lists(st.integers(0, 150), max_size=8)):
            client = Subscription(rig, saved)
            rig.accept(*range(total + 1, total + count + 1))
            total += count
            rig.turn(data.draw(st.integers(0, 3)))
            stream = client.line.take()
            client.peer.receive(stream[: data.draw(st.integers(0, len(stream)))])
            for frame in client.peer.received():
                if isinstance(frame, Announce):
                    seen.append(frame.entry.seq)
                if isinstance(frame, Announce | Live):
                    saved = frame.position
            client.line.hang_up()
        last = Subscription(rig, saved, poll=True)
        rig.turn(total)
        seen += [each.entry.seq for each in last.heard() if isinstance(each, Announce)]
        self.assertEqual(seen, list(range(1, total + 1)))


class Listener(Protocol):
    """A client that keeps what it hears."""

    def __init__(self, says: bytes = b"") -> None:
        self.heard = b""
        self._says = says

    def connectionMade(self) -> None:
        self.transport.write(self._says)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class TransportTests(SynchronousTestCase):
    """Both ends on Twisted's own pump."""

    def test_dialogue(self) -> None:
        """Hello, subscribe, an event, quit: the connection ends cleanly at both ends."""
        rig = Rig()
        server = rig.factory.buildProtocol(LOCAL)
        client = Listener(b"HELLO 1\nSUBSCRIBE {}\n")
        _, _, pump = iosim.connectedServerAndClient(lambda: server, lambda: client, clock=rig.clock)
        rig.hub.accept([mail(1, "h\u00e9llo")])
        pump.flush()
        client.transport.write(b"QUIT\n")
        pump.flush()
        verbs = [each.split(b" ")[0] for each in client.heard.split(b"\r\n")]
        self.assertEqual(verbs, [b"OK", b"OK", b"LIVE", b"EVENT", b"BYE", b""])
        event = client.heard.split(b"\r\n")[3].split(b" ", 2)[2]
        self.assertEqual(json.loads(event)["subject"], "h\u00e9llo")
        self.assertEqual(rig.factory.open_connections, 0)
