"""Who may speak for others, and how long he may take."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.door import Forwarded
from mailnotify.access.proxied import HEADER_SECONDS, HeaderProtocol, ProxiedPort
from tests.core.test_proxy_header import header

PROXY = IPv4Address("TCP", "10.0.0.7", 1)


class Inner(Factory):
    """Notes what it builds."""

    def __init__(self) -> None:
        self.starts = 0
        self.built: list[Any] = []
        self.is_full = False

    def startFactory(self) -> None:
        self.starts += 1

    def stopFactory(self) -> None:
        self.starts -= 1

    def buildProtocol(self, addr: Any) -> Protocol | None:
        self.built.append(addr)
        return None if self.is_full else Hearing()


class Hearing(Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class ProxiedTests(SynchronousTestCase):
    """`ProxiedPort`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = Inner()
        self.port = ProxiedPort(("10.0.0.0/24", "fd00::/8"), self.inner, self.clock)

    def connect(self, address: Any = PROXY) -> StringTransport:
        transport = StringTransport(peerAddress=address)
        transport.protocol = self.port.buildProtocol(address)  # type: ignore[attr-defined]
        transport.protocol.makeConnection(transport)  # type: ignore[attr-defined]
        return transport

    def test_who_is_listed(self) -> None:
        """By address and network, of both families, mapped or not; nobody else."""
        for host, is_listed in (
            ("10.0.0.255", True),
            ("10.0.1.1", False),
            ("127.0.0.1", False),
            ("::ffff:10.0.0.9", True),
            ("fd12::1%eth0", True),
            ("2001:db8::1", False),
        ):
            kind = IPv6Address if ":" in host else IPv4Address
            built = self.port.buildProtocol(kind("TCP", host, 1))
            self.assertEqual(isinstance(built, HeaderProtocol), is_listed, host)
        self.assertIsInstance(self.port.buildProtocol(UNIXAddress(None)), Hearing)
        self.assertIsNone(self.port.buildProtocol(None))

    def test_hands_over(self) -> None:
        """The transport belongs to the real protocol, with the client's address and words."""
        transport = self.connect()
        for byte in header("192.0.2.9", 77) + b"HELLO":
            transport.protocol.dataReceived(bytes([byte]))  # type: ignore[attr-defined]
        self.assertEqual(self.inner.built, [Forwarded(host="192.0.2.9", port=77)])
        self.assertEqual(transport.protocol.heard, b"HELLO")  # type: ignore[attr-defined]
        self.assertEqual((self.clock.getDelayedCalls(), self.port.waiting), ([], set()))

    def test_words_in_the_same_segment(self) -> None:
        """What came with the header is heard once."""
        transport = self.connect()
        transport.protocol.dataReceived(header() + b"HELLO")  # type: ignore[attr-defined]
        self.assertEqual(transport.protocol.heard, b"HELLO")  # type: ignore[attr-defined]

    def test_a_proxy_that_looks_whether_we_live(self) -> None:
        """Is known by its own address, and is not local either."""
        transport = self.connect()
        local = header()[:12] + b"\x20\x00\x00\x00"
        transport.protocol.dataReceived(local)  # type: ignore[attr-defined]
        self.assertEqual(self.inner.built, [Forwarded(host="10.0.0.7", port=0)])

    def test_no_header(self) -> None:
        """Nonsense at once, silence after some seconds: cut, and never handed over."""
        transport = self.connect()
        transport.protocol.dataReceived(b"HELLO 1\r\n")  # type: ignore[attr-defined]
        self.assertTrue(transport.disconnected)
        transport = self.connect()
        transport.protocol.dataReceived(header()[:-1])  # type: ignore[attr-defined]
        self.clock.advance(HEADER_SECONDS)
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.inner.built, [])

    def test_no_room(self) -> None:
        """Where nobody is built, the connection ends."""
        self.inner.is_full = True
        transport = self.connect()
        transport.protocol.dataReceived(header())  # type: ignore[attr-defined]
        self.assertTrue(transport.disconnected)

    def test_nothing_is_left(self) -> None:
        """Neither by who hangs up, nor when the service stops."""
        self.port.doStart()
        self.assertEqual(self.inner.starts, 1)
        transport = self.connect()
        transport.protocol.connectionLost()  # type: ignore[attr-defined]
        self.assertEqual(self.clock.getDelayedCalls(), [])
        waiting = self.connect()
        self.port.doStop()
        self.assertTrue(waiting.disconnected)
        self.assertEqual((self.inner.starts, self.clock.getDelayedCalls()), (0, []))
