"""Connections in memory with real TLS inside, so that time stands still in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IProtocolFactory,
    ISSLTransport,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from mailnotify.config.schema import Security, Server, Trust
from mailnotify.direct import DirectTLSFactory
from mailnotify.interfaces import IConnector
from mailnotify.tls import Connector

_ADDRESS = IPv4Address("TCP", "127.0.0.1", 0)


@implementer(ITransport)
class MemoryTransport:
    """One end; what is written waits in `outgoing` until `Link.run` carries it over.

    Attributes:
        is_frozen: nothing more is carried to the other end, nor is its end noticed.
        room_bytes: what the other end takes before a producer is told to pause.
    """

    def __init__(self, clock: Clock, is_client: bool) -> None:
        self.outgoing = b""
        self.room_bytes: int | None = None
        self.is_frozen = False
        self.is_closing = False
        self.is_aborted = False
        self.is_lost = False
        self.has_no_delay = False
        self.protocol: Any = None
        self.producer: Any = None
        self._tls: Any = None
        self._clock = clock
        self._is_client = is_client

    def startTLS(self, context: Any, normal: bool = True) -> None:
        factory = TLSMemoryBIOFactory(context, self._is_client, None, clock=self._clock)
        self._tls = factory.protocol(factory, self.protocol, False)
        self.protocol = self._tls
        alsoProvides(self, ISSLTransport)
        self._tls.makeConnection(_Below(self))

    def write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
        else:
            self.write_raw(data)

    def write_raw(self, data: bytes) -> None:
        if not (self.is_closing or self.is_aborted or self.is_lost):
            self.outgoing += data
            is_full = self.room_bytes is not None and len(self.outgoing) > self.room_bytes
            if is_full and self.producer is not None:
                self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.has_no_delay = bool(enabled)

    def loseConnection(self) -> None:
        if self._tls is not None:
            self._tls.loseConnection()
        else:
            self.is_closing = True

    def abortConnection(self) -> None:
        if self._tls is not None:
            self._tls.abortConnection()
        else:
            self.is_aborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._tls is not None:
            self._tls.registerProducer(producer, streaming)
        else:
            self.producer = producer

    def unregisterProducer(self) -> None:
        if self._tls is not None:
            self._tls.unregisterProducer()
        else:
            self.producer = None

    def getPeer(self) -> IPv4Address:
        return _ADDRESS

    def getHost(self) -> IPv4Address:
        return _ADDRESS

    def lose(self, reason: Exception) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connectionLost(Failure(reason))


class _Below:
    """The plain transport beneath TLS."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport

    @property
    def disconnecting(self) -> bool:
        return self._transport.is_closing

    def write(self, data: bytes) -> None:
        self._transport.write_raw(data)

    def loseConnection(self) -> None:
        self._transport.is_closing = True

    def abortConnection(self) -> None:
        self._transport.is_aborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._transport.producer = producer

    def unregisterProducer(self) -> None:
        self._transport.producer = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Link:
    """Two ends, and the hands that carry bytes between them.

    Attributes:
        watch: called before each turn of `run`.
    """

    def __init__(self, clock: Clock, client: Any, server: Any) -> None:
        self._clock = clock
        self.watch: Callable[[], object] = lambda: None
        self.client = MemoryTransport(clock, is_client=True)
        self.server = MemoryTransport(clock, is_client=False)
        self.client.protocol, self.server.protocol = client, server

    def begin(self) -> None:
        self.client.protocol.makeConnection(self.client)
        self.server.protocol.makeConnection(self.server)

    def run(self) -> None:
        """Carry until nothing moves any more."""
        for _ in range(100_000):
            self._clock.advance(0)
            self.watch()
            moved = self._carry(self.client, self.server)
            moved = self._carry(self.server, self.client) or moved
            if not moved and not any(
                call.getTime() <= self._clock.seconds() for call in self._clock.getDelayedCalls()
            ):
                return
        raise AssertionError("the two ends never come to rest")

    def _carry(self, source: MemoryTransport, target: MemoryTransport) -> bool:
        if source.is_lost:
            return False
        if source.is_aborted:
            source.outgoing = b""
            source.lose(ConnectionAborted())
            if not source.is_frozen:
                target.lose(ConnectionDone())
            return True
        if source.is_frozen:
            return False
        data, source.outgoing = source.outgoing, b""
        if data and source.producer is not None:
            source.producer.resumeProducing()
        if data and not target.is_lost:
            target.protocol.dataReceived(data)
        if source.is_closing and not source.outgoing:
            source.lose(ConnectionDone())
            target.lose(ConnectionDone())
            return True
        return bool(data)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to a fresh server each time.

    Args:
        links: each connection is added here.
        make_server: makes the protocol of the other end.
        wrap: puts TLS around the client's factory.
    """

    def __init__(
        self,
        clock: Clock,
        links: list[Link],
        make_server: Callable[[], Any],
        wrap: Callable[[Any], Any],
    ) -> None:
        self._clock, self._links = clock, links
        self._make_server, self._wrap = make_server, wrap

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        client = self._wrap(protocolFactory).buildProtocol(_ADDRESS)
        link = Link(self._clock, client, self._make_server())
        self._links.append(link)
        link.begin()
        result: Deferred[Any] = Deferred()
        result.callback(getattr(client, "wrappedProtocol", client))
        return result


@implementer(IStreamClientEndpoint)
class DeadEndpoint:
    """Never connects, or fails at once."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.is_cancelled = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self._error is not None:
            return fail(self._error)
        return Deferred(lambda _: setattr(self, "is_cancelled", True))


@implementer(IConnector)
class MemoryConnector:
    """The real verification of certificates, over connections in memory."""

    def __init__(self, clock: Clock, make_server: Callable[[], Any]) -> None:
        self._clock, self._make_server = clock, make_server
        self.links: list[Link] = []
        self.instead: DeadEndpoint | None = None

    def endpoint(self, server: Server, trust: Trust) -> Any:
        if self.instead is not None:
            return self.instead
        is_tls = server.security is Security.IMPLICIT_TLS

        def wrap(factory: Any) -> Any:
            if not is_tls:
                return factory
            options = self.tls_options(server, trust)
            return DirectTLSFactory(options, True, factory, clock=self._clock)

        return MemoryEndpoint(self._clock, self.links, self._make_server, wrap)

    def tls_options(self, server: Server, trust: Trust) -> Any:
        return Connector(None).tls_options(server, trust)  # type: ignore[arg-type]
