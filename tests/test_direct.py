"""A transport that sends at once: what the kernel takes, refuses, or takes half of.

The transport below is Twisted's own `tcp.Connection` on a socket that does as it
is told, so that the play of buffers, producers and closing is the real one. The
tests of real sockets are in `tests.live.test_fanout`.
"""

from __future__ import annotations

import contextlib
from errno import EAGAIN, EPIPE
from pathlib import Path

from hypothesis import given, strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IOpenSSLServerConnectionCreator,
    IPullProducer,
    IPushProducer,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailnotify.direct import Direct, DirectTLSFactory, _Rest, direct, shortest_way
from tests.rigs.certificates import Certificates


class ToldSocket:
    """Takes of each `send` what it was told to: a number of bytes, or an errno."""

    def __init__(self) -> None:
        self.taken = b""
        self.sends = 0
        self.room: list[int | OSError] = []
        self.is_closed = False

    def send(self, data: bytes) -> int:
        self.sends += 1
        room = self.room.pop(0) if self.room else len(data)
        if isinstance(room, OSError):
            raise room
        self.taken += bytes(data[:room])
        return min(room, len(data))

    def setblocking(self, _flag: bool) -> None:
        """Nothing here blocks."""

    def fileno(self) -> int:
        return 99

    def shutdown(self, _how: int) -> None:
        """Nobody is at the other end."""

    def setsockopt(self, *_args: object) -> None:
        """No option matters here."""

    def close(self) -> None:
        self.is_closed = True


class Writers(Clock):
    """The part of a reactor that a connection needs; `turn` lets it write once."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Connection] = set()

    def addWriter(self, writer: Connection) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Connection) -> None:
        self.writers.discard(writer)

    def addReader(self, reader: Connection) -> None:
        """Nobody says anything."""

    def removeReader(self, reader: Connection) -> None:
        """Nobody says anything."""

    def turn(self) -> None:
        self.advance(0)
        for writer in tuple(self.writers):
            trouble = writer.doWrite()
            if trouble:
                self.writers.discard(writer)
                writer.connectionLost(Failure(trouble))


class Ended(Protocol):
    """Keeps why its connection ended."""

    reason: Failure | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class Hearing(Ended):
    """Keeps what it hears, too."""

    heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


@implementer(IPushProducer)
class Source:
    """Notes whether it may go on; says something when it may, if told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.on_resume = lambda: None

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.on_resume()

    def stopProducing(self) -> None:
        self.calls.append("stop")


def server_context(folder: str) -> DefaultOpenSSLContextFactory:
    """What a server needs for TLS; its files are made in a new folder."""
    Path(folder).mkdir()
    files = Certificates(Path(folder))
    return DefaultOpenSSLContextFactory(str(files.key_file), str(files.cert_file))


@implementer(IOpenSSLServerConnectionCreator)
class SmallRecords:
    """TLS with a client that takes no more than 512 bytes in a record."""

    def __init__(self, files: DefaultOpenSSLContextFactory) -> None:
        self._context = files.getContext()

    def serverConnectionForTLS(self, _layer: object) -> SSL.Connection:
        return _InSmallRecords(self._context, None)


class _InSmallRecords(SSL.Connection):
    """Encrypts one record in a call, as OpenSSL does for pyOpenSSL."""

    def send(self, buf: bytes, flags: int = 0) -> int:  # type: ignore[override]  # only bytes here
        return super().send(buf[:512], flags)


class DirectTests(SynchronousTestCase):
    """On a TCP connection."""

    def setUp(self) -> None:
        self.reactor = Writers()
        self.socket = ToldSocket()
        self.ended = Ended()
        self.tcp = Connection(self.socket, self.ended, self.reactor)  # type: ignore[arg-type]
        self.tcp.connected = 1
        self.direct = Direct(self.tcp, self.socket)  # type: ignore[arg-type]
        self.source = Source()
        self.direct.registerProducer(self.source, True)

    def test_interfaces(self) -> None:
        """It is what protocols expect of a transport."""
        verifyObject(IConsumer, self.direct)
        verifyObject(IPushProducer, self.direct)
        verifyObject(ITLSTransport, self.direct)
        verifyObject(IPullProducer, _Rest(self.direct))

    def test_at_once(self) -> None:
        """What the kernel takes is gone before `write` returns, without a turn of the reactor."""
        self.direct.write(b"one")
        self.direct.writeSequence([b"two", b"three"])
        self.assertEqual((self.socket.taken, self.socket.sends), (b"onetwothree", 2))
        self.assertEqual(self.reactor.writers, set())
        self.assertEqual(self.source.calls, [])

    def test_a_part(self) -> None:
        """What the kernel does not take leaves later, and then it is direct again."""
        self.socket.room = [3]
        self.direct.write(b"onetwo")
        self.assertEqual((self.socket.taken, self.source.calls), (b"one", ["pause"]))
        self.reactor.turn()
        self.assertEqual((self.socket.taken, self.source.calls), (b"onetwo", ["pause", "resume"]))
        self.direct.write(b"three")
        self.assertEqual(self.socket.taken, b"onetwothree")
        self.assertEqual(self.reactor.writers, set())

    def test_full(self) -> None:
        """A kernel that takes nothing is no error."""
        self.socket.room = [BlockingIOError(EAGAIN, "full"), BlockingIOError(EAGAIN, "full")]
        self.direct.write(b"one")
        self.reactor.turn()
        self.assertEqual((self.socket.taken, self.source.calls), (b"", ["pause"]))
        self.reactor.turn()
        self.assertEqual((self.socket.taken, self.source.calls), (b"one", ["pause", "resume"]))

    def test_nothing_overtakes(self) -> None:
        """While something waits, what comes later waits behind it."""
        self.socket.room = [1]
        self.direct.write(b"one")
        self.direct.write(b"two")
        self.assertEqual((self.socket.taken, self.socket.sends), (b"o", 1))
        self.reactor.turn()
        self.assertEqual(self.socket.taken, b"onetwo")
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_more_on_resume(self) -> None:
        """A producer that goes on when it is resumed is heard at once, and may be paused again."""
        self.socket.room = [1, 2, 4]
        self.source.on_resume = lambda: self.direct.write(b"more and more")
        self.direct.write(b"one")
        self.reactor.turn()
        self.assertEqual(self.socket.taken, b"onemore")
        self.assertEqual(self.source.calls, ["pause", "resume", "pause"])

    def test_broken(self) -> None:
        """An error of the socket ends the connection in the next turn, not within `write`."""
        self.socket.room = [BrokenPipeError(EPIPE, "gone"), BrokenPipeError(EPIPE, "gone")]
        self.direct.write(b"one")
        self.assertIsNone(self.ended.reason)
        self.reactor.turn()
        assert self.ended.reason is not None
        self.ended.reason.trap(ConnectionLost)
        self.assertTrue(self.socket.is_closed)
        self.direct.write(b"two")
        self.assertEqual(self.socket.taken, b"")

    def test_lose_connection(self) -> None:
        """Closing waits for what waits; nothing is asked of the producer any more."""
        self.socket.room = [1]
        self.direct.write(b"one")
        self.direct.loseConnection()
        self.reactor.turn()
        assert self.ended.reason is not None
        self.ended.reason.trap(ConnectionDone)
        self.assertEqual((self.socket.taken, self.source.calls), (b"one", ["pause"]))

    def test_lose_connection_when_idle(self) -> None:
        """With nothing to send, closing takes a turn, as with Twisted."""
        self.direct.loseConnection()
        self.assertIsNone(self.ended.reason)
        self.reactor.turn()
        self.assertTrue(self.socket.is_closed)

    def test_abort(self) -> None:
        """After an abort nothing is sent, whether something waited or not."""
        for room in ([], [1]):
            self.setUp()
            self.socket.room = list(room)
            self.direct.write(b"one")
            sent = self.socket.taken
            self.direct.abortConnection()
            self.direct.write(b"two")
            self.reactor.turn()
            assert self.ended.reason is not None
            self.ended.reason.trap(ConnectionAborted)
            self.assertEqual(self.socket.taken, sent)

    def test_the_shortest_way(self) -> None:
        """It tells what the kernel takes, and keeps no rest; a full kernel is the caller's."""
        send = shortest_way(self.direct)
        self.socket.room = [6, 2, BlockingIOError(EAGAIN, "full")]
        self.assertEqual([send(b"onetwo"), send(b"three")], [6, 2])
        self.assertRaises(BlockingIOError, send, b"four")
        self.assertEqual((self.socket.taken, self.source.calls), (b"onetwoth", []))

    def test_one_push_producer(self) -> None:
        """A second producer, or one that wants to be pulled, is a mistake of the caller's."""
        self.assertRaises(RuntimeError, self.direct.registerProducer, Source(), True)
        self.direct.unregisterProducer()
        self.assertRaises(RuntimeError, self.direct.registerProducer, Source(), False)
        self.socket.room = [1]
        self.direct.write(b"one")
        self.reactor.turn()
        self.assertEqual((self.socket.taken, self.source.calls), (b"one", []))

    @given(st.lists(st.binary(min_size=1, max_size=9)), st.lists(st.integers(0, 9)), st.data())
    def test_any_kernel(self, pieces: list[bytes], room: list[int], data: st.DataObject) -> None:
        """Whatever the kernel takes whenever: every byte arrives once and in order."""
        self.setUp()
        self.socket.room = list(room)
        for piece in pieces:
            self.direct.write(piece)
            for _ in range(data.draw(st.integers(0, 2))):
                self.reactor.turn()
        for _ in range(len(room) + 1):
            self.reactor.turn()
        self.assertEqual(self.socket.taken, b"".join(pieces))
        self.assertEqual(self.source.calls.count("pause"), self.source.calls.count("resume"))
        self.assertEqual(self.reactor.writers, set())


class SecuredTests(SynchronousTestCase):
    """TLS that begins on the connection."""

    def setUp(self) -> None:
        self.reactor = Writers()
        self.socket = ToldSocket()
        self.hearing = Hearing()
        self.tcp = Connection(self.socket, self.hearing, self.reactor)  # type: ignore[arg-type]
        self.tcp.connected = 1
        self.direct = Direct(self.tcp, self.socket)  # type: ignore[arg-type]
        self.source = Source()
        self.direct.registerProducer(self.source, True)

    def test_nothing_goes_past_it(self) -> None:
        """After STARTTLS not one byte is sent in clear, and what was said is heard."""
        self.direct.write(b"clear")
        self.direct.startTLS(server_context(self.mktemp()))
        self.direct.write(b"secret")
        self.assertEqual(self.socket.taken, b"clear")
        client = self._shake_hands(clear=b"clear")
        self.assertEqual(client.recv(100), b"secret")
        client.send(b"heard")
        self.tcp.protocol.dataReceived(client.bio_read(2**16))
        self.assertEqual(self.hearing.heard, b"heard")

    def test_at_once(self) -> None:
        """A line is a record, and is gone before `write` returns."""
        self.direct.startTLS(server_context(self.mktemp()))
        client = self._shake_hands()
        before = self.socket.sends
        self.direct.write(b"line")
        self.assertEqual(self.socket.sends, before + 1)
        self._carry(client)
        self.assertEqual((client.recv(100), self.reactor.writers), (b"line", set()))

    def test_the_shortest_way(self) -> None:
        """It leads into TLS, never past it."""
        self.direct.startTLS(server_context(self.mktemp()))
        client = self._shake_hands()
        before = self.socket.sends
        self.assertEqual(shortest_way(self.direct)(b"line"), 4)
        self.assertEqual((self.socket.sends, self.reactor.writers), (before + 1, set()))
        self._carry(client)
        self.assertEqual(client.recv(100), b"line")

    def test_the_shortest_way_is_full(self) -> None:
        """What the kernel does not take of a record is kept: half a record would end TLS."""
        for room in (3, BlockingIOError(EAGAIN, "full")):
            self.setUp()
            self.direct.startTLS(server_context(self.mktemp()))
            client = self._shake_hands()
            self.socket.room = [room, BlockingIOError(EAGAIN, "full")]
            self.assertEqual(shortest_way(self.direct)(b"line"), 4)
            self.assertEqual(self.source.calls, ["pause"])
            self.reactor.turn()
            self.assertEqual(self.source.calls, ["pause", "resume"])
            self._carry(client)
            self.assertEqual(client.recv(100), b"line")

    def test_much_on_the_shortest_way(self) -> None:
        """What is more than a record is no concern of the caller's either."""
        self.direct.startTLS(server_context(self.mktemp()))
        client = self._shake_hands()
        lines = bytes(range(256)) * 200
        self.assertIsNone(shortest_way(self.direct)(lines))
        self._carry(client)
        self.assertEqual(self._heard(client), lines)

    def test_small_records(self) -> None:
        """A client may want records smaller than a line (RFC 6066 §4): it gets all of it."""
        lines = bytes(range(256)) * 10
        for is_short in (False, True):
            self.setUp()
            self.direct.startTLS(SmallRecords(server_context(self.mktemp())))
            client = self._shake_hands()
            taken = shortest_way(self.direct)(lines) if is_short else 0
            self.assertEqual(taken, 512 if is_short else 0)
            self.direct.write(lines[taken:])
            self._carry(client)
            self.assertEqual(self._heard(client), lines)

    def test_who_does_not_read(self) -> None:
        """The producer is paused by a full socket in TLS too, and goes on when it drains."""
        self.direct.startTLS(server_context(self.mktemp()))
        client = self._shake_hands()
        self.socket.room = [3]
        self.direct.write(b"line")
        self.assertEqual(self.source.calls, ["pause"])
        self.reactor.turn()
        self.assertEqual(self.source.calls, ["pause", "resume"])
        self._carry(client)
        self.assertEqual(client.recv(100), b"line")

    def test_the_producer_is_the_layer_s(self) -> None:
        """The producer can be taken away from TLS, and is called no more."""
        self.direct.startTLS(server_context(self.mktemp()))
        self._shake_hands()
        self.direct.unregisterProducer()
        self.socket.room = [3]
        self.direct.write(b"line")
        self.assertEqual((self.socket.room, self.source.calls), ([], []))

    def test_when_something_waits(self) -> None:
        """What waits in clear leaves before TLS; a producer that was paused goes on."""
        self.socket.room = [1]
        self.direct.write(b"one")
        self.direct.startTLS(server_context(self.mktemp()))
        self.assertEqual(self.source.calls, ["pause", "resume"])
        self.direct.write(b"secret")
        client = self._shake_hands(clear=b"one")
        self.assertEqual(client.recv(100), b"secret")
        self.assertEqual(self.reactor.writers, set())

    def test_without_a_producer(self) -> None:
        """TLS needs none."""
        self.direct.unregisterProducer()
        self.direct.startTLS(server_context(self.mktemp()))
        self.direct.write(b"secret")
        self.assertEqual(self._shake_hands().recv(100), b"secret")

    def test_closing(self) -> None:
        """It ends as TLS ends, or at once."""
        for end in (Direct.loseConnection, Direct.abortConnection):
            self.setUp()
            self.direct.startTLS(server_context(self.mktemp()))
            client = self._shake_hands()
            self.direct.unregisterProducer()
            end(self.direct)
            self._carry(client)
            with contextlib.suppress(SSL.ZeroReturnError, SSL.WantReadError):
                client.recv(100)
            with contextlib.suppress(SSL.Error):
                client.shutdown()
            if self.hearing.reason is None and self.tcp.connected:
                self.tcp.protocol.dataReceived(client.bio_read(2**16))
            self.reactor.turn()
            self.assertIsNotNone(self.hearing.reason)
            self.assertTrue(self.socket.is_closed)

    def _heard(self, client: SSL.Connection) -> bytes:
        """All that the client has got."""
        heard = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                heard += client.recv(2**16)
        return heard

    def _shake_hands(self, clear: bytes = b"") -> SSL.Connection:
        """A client that has heard this before TLS, if only because it is still on its way."""
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        for before in (clear, b"", b""):
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                self.tcp.protocol.dataReceived(client.bio_read(2**16))
            self._carry(client, before)
        return client

    def _carry(self, client: SSL.Connection, before: bytes = b"") -> None:
        self.reactor.turn()
        self.assertTrue(self.socket.taken.startswith(before))
        record = self.socket.taken.removeprefix(before)
        self.socket.taken = b""
        if record:
            client.bio_write(record)


class ChoiceTests(SynchronousTestCase):
    """Which transports can send at once."""

    def test_no_socket(self) -> None:
        """Where there is no socket, everything stays as it is."""
        for transport in (StringTransport(), iosim.FakeTransport(Protocol(), True)):
            self.assertIs(direct(transport), transport)
            self.assertEqual(shortest_way(transport), transport.write)


class TlsTests(SynchronousTestCase):
    """TLS on top; over real sockets it is in `tests.live.test_fanout`."""

    def setUp(self) -> None:
        context = server_context(self.mktemp())
        factory = DirectTLSFactory(context, False, Factory.forProtocol(Ended), Clock())
        self.layer = factory.buildProtocol(None)
        self.below = StringTransport()
        self.layer.makeConnection(self.below)

    def test_before_the_handshake(self) -> None:
        """What is written before the handshake waits for it, and is never sent in clear."""
        self.layer.write(b"too early")
        self.assertEqual(self.below.value(), b"")
        client = self._shake_hands()
        self.assertEqual(client.recv(100), b"too early")

    def test_any_size(self) -> None:
        """Nothing, a line, exactly a record, and several records: all of it, in order."""
        client = self._shake_hands()
        for size in (0, 1, 120, 2**14, 2**14 + 1, 100_000):
            self.layer.write(b"x" * size)
            self._carry(client)
            heard = b""
            while len(heard) < size:
                heard += client.recv(2**17)
            self.assertEqual(heard, b"x" * size)

    def test_after_the_end(self) -> None:
        """Whoever writes to a connection that is gone is not heard, and does no harm."""
        self._shake_hands()
        self.layer.connectionLost(Failure(ConnectionDone()))
        self.below.clear()
        self.layer.write(b"too late")
        self.assertEqual(self.below.value(), b"")

    def _shake_hands(self) -> SSL.Connection:
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        for _ in range(3):
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                self.layer.dataReceived(client.bio_read(2**16))
            self._carry(client)
        return client

    def _carry(self, client: SSL.Connection) -> None:
        if self.below.value():
            client.bio_write(self.below.value())
            self.below.clear()
