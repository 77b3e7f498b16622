"""TCP connections in memory, on an injected clock, and real TLS over them.

Bytes wait in one queue until `Network.pump` carries them, so that nothing is
received from within a write. A connection can be closed, reset, or *vanish*: then
neither end hears of the other again, as when a NAT forgets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.config.schema import Security, Server, Trust
from mailnotify.interfaces import IConnector
from mailnotify.tls import Connector

SEGMENT_BYTES = 65536
"""What a reactor reads at once."""


class Network:
    """Carries bytes between the ends of connections.

    Args:
        clock: flushes what TLS gathers.
        accept: gives the server's protocol for a connection, or None to refuse it.

    Attributes:
        attempts: when each connection was tried.
        is_mute: whether new connections get no answer at all.
    """

    def __init__(self, clock: IReactorTime, accept: Callable[[], Protocol | None]) -> None:
        self.clock = clock
        self.attempts: list[float] = []
        self.is_mute = False
        self._accept = accept
        self._queue: deque[tuple[Callable[..., None], Any]] = deque()

    def later(self, deliver: Callable[..., None], what: Any) -> None:
        """Deliver behind all that is under way."""
        self._queue.append((deliver, what))

    def pump(self, around: Callable[[Callable[[], None]], None]) -> bool:
        """Carry everything that is under way; whether there was anything."""
        was_busy = bool(self._queue)
        while self._queue:
            deliver, what = self._queue.popleft()
            around(lambda deliver=deliver, what=what: deliver(what))  # type: ignore[misc]
        return was_busy

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """One attempt at TCP."""
        self.attempts.append(self.clock.seconds())
        if self.is_mute:
            return Deferred()
        theirs = self._accept()
        if theirs is None:
            return fail(error.ConnectionRefusedError())
        ours = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 993))
        assert ours is not None
        near, far = Socket(self), Socket(self)
        near.other, far.other = far, near
        near.start(ours)
        far.start(theirs)
        return succeed(ours)


@implementer(ITLSTransport)
class Socket:
    """One end of a connection; TLS may begin on it."""

    disconnecting = False

    def __init__(self, network: Network) -> None:
        self.network = network
        self.other: Socket
        self.is_open = True
        self.has_vanished = False
        self._protocol: Any = None
        self._tls: Any = None

    def start(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.makeConnection(self)

    # -- ITLSTransport

    @property
    def is_private(self) -> bool:
        """Whether TLS has begun on it."""
        return self._tls is not None

    def startTLS(self, options: Any, is_client: bool = True) -> None:
        factory = TLSMemoryBIOFactory(options, is_client, Factory(), self.network.clock)
        tls = factory.protocol(factory, self._protocol, False)
        self._protocol = tls
        tls.makeConnection(_BelowTLS(self))
        self._tls = tls

    def write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
        else:
            self.send(data)

    def writeSequence(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def loseConnection(self) -> None:
        if self._tls is not None:
            self._tls.loseConnection()
        else:
            self.close()

    def abortConnection(self) -> None:
        self.network.later(self.lose, ConnectionAborted())
        self._tell_other(ConnectionLost())

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Nothing is ever too fast for a queue in memory."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 993)

    getHost = getPeer

    def getHandle(self) -> Socket:
        return self

    def setsockopt(self, *_: object) -> None:
        """As a socket's."""

    def setTcpNoDelay(self, _: object) -> None:
        """As a TCP transport's."""

    setTcpKeepAlive = setTcpNoDelay

    # -- below TLS

    def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        if self.is_open and not self.has_vanished:
            for start in range(0, len(data), SEGMENT_BYTES):
                self.network.later(self.other.receive, data[start : start + SEGMENT_BYTES])

    def receive(self, data: bytes) -> None:
        if self.is_open and not self.has_vanished:
            self._protocol.dataReceived(data)

    def close(self) -> None:
        """Close in order: what was sent before arrives before."""
        self._tell_other(ConnectionDone())
        self.network.later(self.lose, ConnectionDone())

    def vanish(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self.has_vanished = self.other.has_vanished = True

    def _tell_other(self, reason: Exception) -> None:
        if not self.has_vanished:
            self.network.later(self.other.lose, reason)

    def lose(self, reason: Exception) -> None:
        """The connection is over for this end."""
        if self.is_open:
            self.is_open = False
            self._protocol.connectionLost(Failure(reason))


class _BelowTLS:
    """What TLS writes to once it has begun on a `Socket`."""

    disconnecting = False

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def write(self, data: bytes) -> None:
        self._socket.send(data)

    def loseConnection(self) -> None:
        self._socket.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def server_side_tls(options: Any, protocol: Protocol, clock: IReactorTime) -> Protocol:
    """This protocol behind TLS; each of its writes becomes a record of its own."""
    factory = TLSMemoryBIOFactory(options, False, Factory.forProtocol(lambda: protocol), clock)
    factory.protocol = TLSMemoryBIOProtocol
    wrapped: Protocol = factory.buildProtocol(None)  # type: ignore[assignment]
    return wrapped


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """One attempt to connect to the one server of a network."""

    def __init__(self, network: Network, options: Any) -> None:
        self._network = network
        self._options = options

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self._options is None:
            return self._network.connect(protocolFactory)
        wrapping = TLSMemoryBIOFactory(
            self._options, True, protocolFactory, clock=self._network.clock
        )
        connecting = self._network.connect(wrapping)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)


@implementer(IConnector)
class MemoryConnector:
    """The real verification of certificates on a network in memory."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._real = Connector(network.clock)  # type: ignore[arg-type]

    def endpoint(self, server: Server, trust: Trust) -> IStreamClientEndpoint:
        is_implicit = server.security is Security.IMPLICIT_TLS
        options = self.tls_options(server, trust) if is_implicit else None
        return MemoryEndpoint(self._network, options)

    def tls_options(self, server: Server, trust: Trust) -> object:
        return self._real.tls_options(server, trust)
