"""Many real sockets: every byte, in order, however anyone reads; plain, structured, TLS."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    optionsForClientTLS,
)
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mailnotify.config.schema import Limits
from mailnotify.direct import Direct, DirectTLSFactory
from mailnotify.hub import Hub
from mailnotify.serving.server import NotifyFactory, NotifyProtocol
from tests.fakes import MemoryJournal, SteppingNow, mail
from tests.rigs.certificates import Certificates

reactor: Any = global_reactor

SUBSCRIBE = b'HELLO 1\r\nSUBSCRIBE {"since":"oldest"}\r\n'
EVENT = re.compile(rb"^EVENT e1:(\d+) ", re.MULTILINE)


class RawReader:
    """A socket that reads when it is told to, with little room of its own."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.digest = sha256()
        self.size_bytes = 0

    def read(self, most: int) -> None:
        """Take up to so many bytes."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return
        self.digest.update(data)
        self.size_bytes += len(data)


class Tls(Protocol):
    """A client that reads in pieces, with pauses."""

    def __init__(self, says: bytes) -> None:
        self.heard = b""
        self.says = says
        self.lost: Failure | None = None
        self.pause: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.transport.write(self.says)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if self.pause is None and random.random() < 0.2:
            self.transport.pauseProducing()
            self.pause = reactor.callLater(0.002, self.go_on)

    def go_on(self) -> None:
        self.pause = None
        self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        if self.pause is not None:
            self.pause.cancel()

    def hang_up(self) -> None:
        """End, unless this is the end already."""
        if self.lost is None:
            self.transport.abortConnection()


async def _turns(is_done: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
    """Turns of the reactor until something is done; the test's own deadline ends it."""
    while not is_done():
        each()
        await deferLater(reactor, 0.0005)


class _Live(TestCase):
    """The real factory on the real reactor."""

    timeout = 300

    def setUp(self) -> None:
        self.hub = Hub(MemoryJournal(), SteppingNow())
        self.factory = NotifyFactory(self.hub, Limits(stalled_seconds=2), reactor, node="here")
        self.port = self.listen(self.factory)
        self.uid = 0

    def listen(self, factory: Factory) -> int:
        """Listen on a free port; it is closed after the test, and so are all connections."""
        port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=500)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.factory.stop()))
        self.addCleanup(port.stopListening)
        # Little room in the kernel, so that whoever does not read is noticed soon.
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return int(port.getHost().port)

    def readers(self, count: int) -> list[RawReader]:
        """Sockets that are connected; `joined` waits until the server knows them."""
        readers = [RawReader(self.port) for _ in range(count)]
        for each in readers:
            self.addCleanup(each.socket.close)
        return readers

    async def joined(self, count: int) -> None:
        """Until so many are connected."""
        await _turns(lambda: self.factory.open_connections == count)

    def publish(self, count: int, size: int = 1000) -> bytes:
        """So many mails; returns the plain lines that everybody is due."""
        lines = b""
        for _ in range(count):
            self.uid += 1
            subject = f"{self.uid} ".ljust(size, "x")
            self.hub.accept([mail(self.uid, subject)])
            lines += b"New Email Received: %b\r\n" % subject.encode()[:1002]
        return lines


class PlainTests(_Live):
    """Subscribers on bare TCP."""

    async def test_two_hundred_who_read_in_pieces(self) -> None:
        """Each of 200 who read any number of bytes at any time gets the very same stream."""
        readers = self.readers(200)
        await self.joined(200)
        chance = random.Random(4)
        sent = b""
        was_held = 0

        def some_read() -> None:
            for each in chance.sample(readers, 60):
                each.read(chance.choice((1, 7, 500, 4096, 65536)))

        for _ in range(40):
            sent += self.publish(chance.randint(1, 12), chance.randint(20, 900))
            for _ in range(chance.randint(0, 3)):
                some_read()
                await deferLater(reactor, 0)
            was_held += self._held()
        self.assertGreater(was_held, 200, "nobody was ever slow: nothing was tested")

        def all_read() -> None:
            for each in readers:
                each.read(65536)

        await _turns(lambda: all(each.size_bytes >= len(sent) for each in readers), all_read)
        expected = sha256(sent).hexdigest()
        self.assertEqual({each.digest.hexdigest() for each in readers}, {expected})

    def _held(self) -> int:
        return sum(each._is_held for each in self.factory._subscribers)

    async def test_the_stalled_are_cut_and_the_others_served(self) -> None:
        """Ten who never read are cut after the limit; forty others get every byte meanwhile."""
        readers, stalled = self.readers(40), self.readers(10)
        await self.joined(50)
        sent = b""

        def read() -> None:
            for each in readers:
                each.read(65536)

        while self.factory.tally.stalled < 10:
            sent += self.publish(10)
            read()
            await deferLater(reactor, 0.005)
            self.assertLess(len(sent), 50_000_000)
        await _turns(lambda: all(each.size_bytes >= len(sent) for each in readers), read)
        expected = sha256(sent).hexdigest()
        self.assertEqual({each.digest.hexdigest() for each in readers}, {expected})
        self.assertEqual(self.factory.open_connections, 40)
        self.assertLess(max(each.size_bytes for each in stalled), 1)

    async def test_gone_in_the_middle_of_a_burst(self) -> None:
        """Connections that end, cleanly or not, while lines are on the way disturb nobody."""
        readers, leaving = self.readers(50), self.readers(50)
        await self.joined(100)
        sent = b""
        for number, each in enumerate(leaving):
            if number % 2:  # a reset, not an end
                linger = b"\1\0\0\0\0\0\0\0"
                each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sent += self.publish(5)
            each.socket.close()
            sent += self.publish(5)
            await deferLater(reactor, 0)
            for reader in readers:
                reader.read(65536)

        def read() -> None:
            for each in readers:
                each.read(65536)

        await _turns(lambda: all(each.size_bytes >= len(sent) for each in readers), read)
        self.assertEqual({each.digest.hexdigest() for each in readers}, {sha256(sent).hexdigest()})
        await self.joined(50)
        self.assertEqual(self.factory.tally.failed, 0)

    async def test_structured_beside_plain(self) -> None:
        """Structured readers with and without filters, joining at any time: every event once."""
        chance = random.Random(5)
        readers: list[tuple[RawReader, bytearray]] = []
        for _ in range(30):
            self.publish(chance.randint(0, 9), 300)
            reader = self.readers(1)[0]
            reader.socket.send(SUBSCRIBE)
            readers.append((reader, bytearray()))
            await deferLater(reactor, 0)

        def read() -> None:
            for reader, heard in readers:
                try:
                    heard += reader.socket.recv(chance.choice((100, 4096, 65536)))
                except BlockingIOError:
                    continue

        for _ in range(100):
            self.publish(chance.randint(0, 9), 300)
            read()
            await deferLater(reactor, 0)
        last = b"EVENT e1:%d " % self.uid
        await _turns(lambda: all(last in heard for _, heard in readers), read)
        for _, heard in readers:
            self.assertEqual([int(seq) for seq in EVENT.findall(heard)], [*range(1, self.uid + 1)])


class TlsTests(_Live):
    """Subscribers over TLS that sends at once."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificates = Certificates(folder)
        cert, key = self.certificates.cert_file, self.certificates.key_file
        context = DefaultOpenSSLContextFactory(str(key), str(cert))
        self.tls_port = self.listen(DirectTLSFactory(context, False, self.factory, reactor))

    async def test_plain_lines(self) -> None:
        """Thirty who read with pauses get every plain line, and nothing but that."""
        clients = await self._connected(b"", 30)
        sent = b""
        for _ in range(60):
            sent += self.publish(5)
            await deferLater(reactor, 0)
        await _turns(lambda: all(len(each.heard) >= len(sent) for each in clients))
        self.assertEqual({each.heard for each in clients}, {sent})

    async def test_replay_and_live(self) -> None:
        """A replay of megabytes and what comes meanwhile, each event once."""
        self.publish(2000)
        clients = await self._connected(SUBSCRIBE, 5)
        for _ in range(100):
            self.publish(2)
            await deferLater(reactor, 0)
        last = b"EVENT e1:%d " % self.uid
        await _turns(lambda: all(last in each.heard for each in clients))
        for each in clients:
            self.assertEqual(
                [int(seq) for seq in EVENT.findall(each.heard)], [*range(1, self.uid + 1)]
            )

    async def test_it_sends_at_once(self) -> None:
        """The layer below TLS is the direct one, and the connection ends cleanly."""
        client = (await self._connected(b"", 1))[0]
        (server,) = self.factory._subscribers
        self.assertIsInstance(server.transport.transport, Direct)  # type: ignore[attr-defined]
        client.transport.write(b"QUIT\r\n")
        await _turns(lambda: client.lost is not None)
        self.assertEqual(client.heard, b'BYE {"reason":"quit"}\r\n')

    async def _connected(self, says: bytes, count: int) -> list[Tls]:
        pem = self.certificates.ca_file.read_bytes()
        options = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(pem))
        clients = [Tls(says) for _ in range(count)]
        for each in clients:
            factory = ClientFactory.forProtocol(lambda each=each: each)
            factory.noisy = False
            reactor.connectSSL("127.0.0.1", self.tls_port, factory, options)
        await self.joined(count)
        for each in clients:
            self.addCleanup(each.hang_up)
        await _turns(lambda: all(_is_ready(each) for each in self.factory._subscribers))
        return clients


def _is_ready(subscriber: NotifyProtocol) -> bool:
    handle = subscriber.transport.getHandle()  # type: ignore[attr-defined]
    return handle.get_finished() is not None and handle.get_peer_finished() is not None
