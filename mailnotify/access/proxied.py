"""Connections that come through a proxy: their first bytes tell whose they are.

Twisted's own wrapper (twisted.protocols.haproxy) believes every peer, takes version
1, closes when the first segment is short, has no deadline, and counts all clients
as the proxy. Here only the proxies that are listed may, and have to, send a header;
within a deadline; and then the transport belongs to the real protocol, which is
built with the client's address. Nothing of this stays behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.access.door import Forwarded
from mailnotify.core.proxy_header import BadHeader, Header, parse_header

HEADER_SECONDS: Final = 5.0
"""A proxy sends it with its first segment."""


class HeaderProtocol(Protocol):
    """Reads the header of one connection, and hands the connection over."""

    _log = Logger()

    def __init__(self, port: ProxiedPort, proxy: IAddress) -> None:
        self._port = port
        self._proxy = proxy
        self._data = b""
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._port.waiting.add(self)
        self._deadline = self._port.clock.callLater(HEADER_SECONDS, self.give_up, "no header came")

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        try:
            header = parse_header(self._data)
        except BadHeader as error:
            self.give_up(str(error))
            return
        if header is not None:
            self._stop_waiting()
            self._hand_over(header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()

    def _hand_over(self, header: Header) -> None:
        transport: Any = self.transport
        # A proxy that speaks for itself checks whether we live.
        address = Forwarded(host=header.host or _host(self._proxy), port=header.port)
        protocol: IProtocol | None = self._port.inner.buildProtocol(address)
        if protocol is None:
            transport.abortConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if header.rest:
            protocol.dataReceived(header.rest)

    def give_up(self, why: str) -> None:
        """Cut the connection."""
        self._stop_waiting()
        self._log.warn("the proxy at {proxy} is cut off: {why}", proxy=_host(self._proxy), why=why)
        transport: Any = self.transport
        transport.abortConnection()

    def _stop_waiting(self) -> None:
        self._port.waiting.discard(self)
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


class ProxiedPort(Factory):
    """Reads headers where a listed proxy connects; everybody else is who he is.

    Args:
        proxies: addresses and networks.
        inner: builds the protocols.
    """

    noisy = False

    def __init__(
        self, proxies: Sequence[str], inner: IProtocolFactory, clock: IReactorTime
    ) -> None:
        self._networks = [ip_network(each) for each in proxies]
        self.inner = inner
        self.clock = clock
        self.waiting: set[HeaderProtocol] = set()

    def doStart(self) -> None:
        super().doStart()
        self.inner.doStart()

    def doStop(self) -> None:
        super().doStop()
        self.inner.doStop()

    def stopFactory(self) -> None:
        for each in tuple(self.waiting):
            each.give_up("the service stops")

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if addr is None:
            return None
        if self._is_listed(_host(addr)):
            return HeaderProtocol(self, addr)
        return self.inner.buildProtocol(addr)

    def _is_listed(self, host: str) -> bool:
        try:
            ip = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self._networks)


def _host(address: IAddress) -> str:
    return str(getattr(address, "host", ""))
