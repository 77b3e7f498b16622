"""A transport that sends at once what the kernel takes at once.

Twisted's `write` keeps bytes until the next turn of the reactor and asks epoll
twice for each of them: for a short line to a thousand subscribers that costs as
much again as the sending. `Direct` stands in front of a TCP transport and sends
on its socket, as long as the transport itself holds nothing. What the kernel does
not take waits in the transport, which sends it in its own time.

Three rules keep that sound:

- Nothing overtakes. While a rest waits, everything goes to the transport, and
  `Direct` is the transport's pull producer: it is asked for more exactly when the
  last byte has left. So nobody else may write to that transport.
- One who does not read costs a page. The producer registered here is paused as
  soon as anything waits, and not only behind 64 KiB.
- Errors stay the transport's. What the socket refuses, for whatever reason, the
  transport tries again, meets the same error, and reports it as it always does.

`DirectTLS` is Twisted's TLS on top of it: a record is encrypted, taken out of
OpenSSL and sent in one go. It stands there from the first byte, or is put between
by `Direct.startTLS`. Where there is no socket to send on (in memory) everything is
as Twisted has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socket import socket
from typing import Any, Final

from OpenSSL.SSL import Connection, Error, WantReadError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IPullProducer,
    IPushProducer,
    IStreamClientEndpoint,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

_RECORD_BYTES: Final = 2**14
"""The most that TLS encrypts at once (RFC 8446 §5.1)."""

_OVERHEAD_BYTES: Final = 512
"""More than any record adds: header, authentication, padding (at most 255)."""


def direct(transport: Any) -> Any:
    """The same transport, sending at once if it can; call it before anything was written."""
    if ITCPTransport.providedBy(transport) and ISystemHandle.providedBy(transport):
        handle = transport.getHandle()
        if isinstance(handle, socket):
            return Direct(transport, handle)
    return transport


def shortest_way(transport: Any) -> Callable[[bytes], int | None]:
    """How to send as long as nothing waits and nothing is closing; for one who sends to thousands.

    It returns how many bytes were taken, and the rest has to be written; or None, if it
    keeps the rest itself.
    """
    return transport.past if isinstance(transport, Direct | DirectTLS) else transport.write


class _TheTransports:
    """An attribute of the transport's own.

    Not `__getattr__`, which would slow down every look at any attribute, in `write` too.
    """

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, direct: Any, _owner: type) -> Any:
        return self if direct is None else getattr(direct._transport, self._name)


@implementer(ITLSTransport, IConsumer, IPushProducer)
class Direct:
    """Sends on the socket of a TCP transport; everything else is the transport's.

    Args:
        transport: nobody else writes to it.
        handle: its socket, which does not block.
    """

    __slots__ = (
        *("_handle", "_is_direct", "_is_secured", "_producer", "_rest", "_send", "_transport"),
    )

    connected: Any = _TheTransports()
    disconnecting: Any = _TheTransports()
    getHandle: Any = _TheTransports()
    getHost: Any = _TheTransports()
    getPeer: Any = _TheTransports()
    getPeerCertificate: Any = _TheTransports()
    getTcpKeepAlive: Any = _TheTransports()
    getTcpNoDelay: Any = _TheTransports()
    loseWriteConnection: Any = _TheTransports()
    pauseProducing: Any = _TheTransports()
    resumeProducing: Any = _TheTransports()
    setTcpKeepAlive: Any = _TheTransports()
    setTcpNoDelay: Any = _TheTransports()
    stopProducing: Any = _TheTransports()

    def __init__(self, transport: Any, handle: socket) -> None:
        self._transport = transport
        self._handle = handle
        self._send = handle.send
        self._is_direct = True
        self._is_secured = False
        self._producer: IPushProducer | None = None
        self._rest: _Rest | None = None

    @property
    def past(self) -> Callable[[bytes], int | None]:
        """See `shortest_way`: past this object, which may be far off in memory."""
        return shortest_way(self._transport) if self._is_secured else self._send

    def write(self, data: bytes) -> None:
        """Send, and leave to the transport what cannot be sent now."""
        if not self._is_direct:
            self._transport.write(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # full or broken: the transport finds out which
        if sent < len(data):
            self._leave(data[sent:])

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """The same for several pieces, in one."""
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pause and resume this one; it has to be a push producer."""
        if not streaming or self._producer is not None:
            raise RuntimeError("expected one push producer")
        self._producer = producer
        if self._is_secured:
            self._transport.registerProducer(producer, True)

    def unregisterProducer(self) -> None:
        """Pause and resume nobody."""
        self._producer = None
        if self._is_secured:
            self._transport.unregisterProducer()

    def loseConnection(self) -> None:
        """Close when everything is sent, whether or not a producer would have more."""
        self._is_direct = False
        self._release()
        self._transport.loseConnection()

    def abortConnection(self) -> None:
        """Cut, and send nothing any more."""
        self._is_direct = False
        self._release()
        self._transport.abortConnection()

    def startTLS(
        self, context: IOpenSSLServerConnectionCreator | IOpenSSLClientConnectionCreator
    ) -> None:
        """Put TLS between this and the transport; from now on no byte goes past it."""
        producer, was_held = self._producer, self._rest is not None
        self.unregisterProducer()
        self._is_direct, self._is_secured = False, True
        self._release()
        below = Direct(self._transport, self._handle)
        if was_held:
            below._leave(b"")  # behind what waits in clear
        factory = DirectTLSFactory(context, False, None)  # type: ignore[arg-type]  # as Twisted
        layer = DirectTLS(factory, self._transport.protocol, False)
        self._transport.protocol = layer
        self._transport = layer
        layer.makeConnection(below)
        if producer is not None:
            self.registerProducer(producer, True)
            if was_held:
                producer.resumeProducing()

    def _leave(self, rest: bytes) -> None:
        self._is_direct = False
        self._rest = _Rest(self)
        self._transport.registerProducer(self._rest, False)
        self._transport.write(rest)
        if self._producer is not None:
            self._producer.pauseProducing()

    def _release(self) -> None:
        if self._rest is not None:
            self._rest = None
            self._transport.unregisterProducer()

    def drained(self) -> None:
        """The transport has sent all it had."""
        self._release()
        self._is_direct = True
        if self._producer is not None:
            self._producer.resumeProducing()


@implementer(IPullProducer)
class _Rest:
    """What waits in a transport; it says when that is gone."""

    __slots__ = ("_is_written", "_owner")

    def __init__(self, owner: Direct) -> None:
        self._owner = owner
        self._is_written = False

    def resumeProducing(self) -> None:
        """All is sent; but the first call comes from `registerProducer`, before the rest is."""
        if self._is_written:
            self._owner.drained()
        self._is_written = True

    def stopProducing(self) -> None:
        """The transport is gone; the protocol hears of it by `connectionLost`."""


class DirectTLS(TLSMemoryBIOProtocol):
    """TLS over `Direct`; writes are not gathered, since ours are gathered already."""

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(direct(transport))

    @property
    def past(self) -> Callable[[bytes], int | None]:
        """See `shortest_way`: what it needs lies beside it, as its defaults, not far off here."""
        tls, below = self.getHandle(), self.transport
        if tls is None or not isinstance(below, Direct):
            return self.write
        handle = below.getHandle()

        def past(
            data: bytes,
            encrypt: Callable[[bytes], int] = tls.send,
            take: Callable[[int], bytes] = tls.bio_read,
            send: Callable[[bytes], int] = handle.send,
            layer: DirectTLS = self,
        ) -> int | None:
            if len(data) > _RECORD_BYTES:
                return layer.write(data)
            encrypted = encrypt(data)
            record = take(encrypted + _OVERHEAD_BYTES)
            try:
                sent = send(record)
            except OSError:
                sent = 0  # full or broken: the transport finds out which
            if sent != len(record):
                layer.transport.write(record[sent:])
            return encrypted

        return past

    def write(self, data: bytes) -> None:
        """Encrypt what fits in one record, and send it; all that is unusual is Twisted's."""
        tls = self.getHandle()
        if tls is None or self.disconnecting or not 0 < len(data) <= _RECORD_BYTES:
            super().write(data)
            return
        try:
            encrypted = tls.send(data)
        except Error:
            encrypted = 0  # Twisted meets the same: no handshake yet, or no TLS any more
        else:
            self._send_all(tls, encrypted + _OVERHEAD_BYTES)
        if encrypted < len(data):
            super().write(data[encrypted:])  # the peer takes smaller records (RFC 6066 §4)

    def _send_all(self, tls: Connection, room: int) -> None:
        """Move what OpenSSL has written to the transport: one record, as good as always."""
        taken = room
        while taken == room:
            try:
                record = tls.bio_read(room)
            except WantReadError:
                return
            taken = len(record)
            self.transport.write(record)  # type: ignore[union-attr]  # it was connected


class DirectTLSFactory(TLSMemoryBIOFactory):
    """Adds TLS to the connections of another factory, as its base class does."""

    protocol = DirectTLS


@implementer(IStreamClientEndpoint)
class OverTLS:
    """TLS from the first byte on, each record sent in the turn in which it was written."""

    def __init__(
        self, plain: IStreamClientEndpoint, options: IOpenSSLClientConnectionCreator
    ) -> None:
        self._plain = plain
        self._options = options

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory = DirectTLSFactory(self._options, True, protocolFactory)
        return self._plain.connect(factory).addCallback(_wrapped)


def _wrapped(layer: IProtocol) -> IProtocol:
    assert isinstance(layer, DirectTLS) and layer.wrappedProtocol is not None
    return layer.wrappedProtocol
