"""Reads what the kernel counts of a TCP connection: TCP_INFO, which needs no right at all.

A capture needs root or a group, sees the traffic of others too, and has to be taken
apart. The kernel counts the same for each socket and tells whoever owns it. Linux
only (4.19 and later); elsewhere there are no counters, and `Meter.read` says None.

Where the socket is: a `Meter` stands around the endpoint that makes the TCP
connection, below any TLS, and looks at the transport when it is made. After STARTTLS
its handle would be OpenSSL's.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any, Final

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from mailnotify.config.schema import Security, Server, Trust
from mailnotify.core.measured import Counters
from mailnotify.direct import OverTLS
from mailnotify.interfaces import IConnector

# struct tcp_info of <linux/tcp.h>, which only grows at its end. From the start:
# tcpi_rtt in microseconds; bytes_received, segs_out, segs_in; data_segs_in and _out;
# bytes_sent. (bytes_acked would count the SYN as a byte.)
_RTT: Final = struct.Struct("=68xI")
_RECEIVED: Final = struct.Struct("=128xQII")
_DATA: Final = struct.Struct("=152xII")
_SENT: Final = struct.Struct("=200xQ")

TCP_INFO_BYTES: Final = 208
"""Up to bytes_sent and the end of what we read; kernels before 4.19 tell less."""


def unpack(info: bytes) -> Counters | None:
    """Read a ``struct tcp_info``; None if the kernel is too old."""
    if len(info) < TCP_INFO_BYTES:
        return None
    received, packets_sent, packets_received = _RECEIVED.unpack_from(info)
    data_packets_received, data_packets_sent = _DATA.unpack_from(info)
    return Counters(
        packets_sent=packets_sent,
        packets_received=packets_received,
        data_packets_sent=data_packets_sent,
        data_packets_received=data_packets_received,
        bytes_sent=_SENT.unpack_from(info)[0],
        bytes_received=received,
        rtt_seconds=_RTT.unpack_from(info)[0] / 1e6,
    )


def read_counters(connected: socket.socket, platform: str = sys.platform) -> Counters | None:
    """What was counted so far; None if nobody counts, or the socket is closed."""
    if platform != "linux":
        return None
    try:
        return unpack(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES))
    except OSError:
        return None


class Meter:
    """Reads the connection that was made last."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def around(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """The same endpoint, whose connection is read; it makes TCP without TLS."""
        return _Metered(endpoint, self)

    def made(self, protocol: Any) -> Any:
        """A connection stands."""
        # Not by ISystemHandle: `direct` has the method without promising it.
        handle = protocol.transport.getHandle()
        self._socket = handle if isinstance(handle, socket.socket) else None
        return protocol

    def read(self) -> Counters | None:
        """What was counted so far; None if that is not known. Read before it is closed."""
        return None if self._socket is None else read_counters(self._socket)


@implementer(IStreamClientEndpoint)
class _Metered:
    """Shows a meter what it connected."""

    def __init__(self, endpoint: IStreamClientEndpoint, meter: Meter) -> None:
        self._endpoint = endpoint
        self._meter = meter

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See `IStreamClientEndpoint.connect`."""
        return self._endpoint.connect(protocolFactory).addCallback(self._meter.made)


@implementer(IConnector)
class MeteredConnector:
    """Makes the same ways as another connector, and reads them."""

    def __init__(self, connector: IConnector, meter: Meter) -> None:
        self._connector = connector
        self._meter = meter

    def endpoint(self, server: Server, trust: Trust) -> IStreamClientEndpoint:
        """See `IConnector.endpoint`; TLS goes around what is read."""
        bare = structs.replace(server, security=Security.STARTTLS)
        metered = self._meter.around(self._connector.endpoint(bare, trust))
        if server.security is Security.IMPLICIT_TLS:
            options: Any = self._connector.tls_options(server, trust)
            return OverTLS(metered, options)
        return metered

    def tls_options(self, server: Server, trust: Trust) -> object:
        """See `IConnector.tls_options`."""
        return self._connector.tls_options(server, trust)
