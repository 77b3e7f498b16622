"""What the kernel counts of a connection, beside what was really sent."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.config.schema import Security, Server, SystemTrust
from mailnotify.interfaces import IConnector
from mailnotify.metering import TCP_INFO_BYTES, Meter, MeteredConnector, read_counters, unpack
from mailnotify.tls import Connector, VerifyingClient


def connected(case: SynchronousTestCase) -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname(), timeout=300)
        theirs, _ = listening.accept()
    theirs.settimeout(300)
    case.addCleanup(ours.close)
    case.addCleanup(theirs.close)
    return ours, theirs


def over(handle: object) -> Any:
    """A protocol with this below it."""
    return SimpleNamespace(transport=SimpleNamespace(getHandle=lambda: handle))


class CountersTests(SynchronousTestCase):
    """`read_counters` and `Meter`."""

    def test_bytes_and_packets(self) -> None:
        """Each byte is counted on its way, and so are packets with data and all packets."""
        if sys.platform != "linux":
            raise SkipTest("only Linux counts")
        ours, theirs = connected(self)
        ours.sendall(b"x" * 1000)
        self.assertEqual(len(theirs.recv(1000, socket.MSG_WAITALL)), 1000)
        for _ in range(2):
            theirs.sendall(b"y" * 10)
            ours.recv(10, socket.MSG_WAITALL)
        meter = Meter()
        meter.made(over(ours))
        counted = meter.read()
        assert counted is not None
        self.assertEqual((counted.bytes_sent, counted.bytes_received), (1000, 20))
        self.assertEqual((counted.data_packets_sent, counted.data_packets_received), (1, 2))
        self.assertGreaterEqual(counted.packets_sent, 3)  # SYN, ACK, data
        self.assertGreaterEqual(counted.packets_received, 3)  # SYN ACK, data, data
        self.assertTrue(0 < counted.rtt_seconds < 1)

    def test_closed(self) -> None:
        """A socket that is gone is unknown, not an error."""
        ours, _ = connected(self)
        ours.close()
        self.assertIsNone(read_counters(ours))

    def test_old_kernel(self) -> None:
        """One that tells less than we read is unknown."""
        self.assertIsNone(unpack(bytes(TCP_INFO_BYTES - 1)))

    def test_another_system(self) -> None:
        """Where nobody counts, nothing is asked."""
        self.assertIsNone(read_counters(connected(self)[0], platform="darwin"))

    def test_nothing_connected(self) -> None:
        """Before a connection, and on one that is no socket, nothing is known."""
        meter = Meter()
        self.assertIsNone(meter.read())
        meter.made(over(object()))
        self.assertIsNone(meter.read())


class MeteredConnectorTests(SynchronousTestCase):
    """`MeteredConnector`; that its ways lead somewhere is for the live tests."""

    def test_contract(self) -> None:
        """It stands in for the connector that it was made of, with TLS and without."""
        metered = MeteredConnector(Connector(MemoryReactorClock()), Meter())
        self.assertTrue(verifyObject(IConnector, metered))
        for security in Security:
            server = Server(host="mx.example.org", port=465, security=security, user="ada")
            endpoint = metered.endpoint(server, SystemTrust())
            self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))
            self.assertIsInstance(metered.tls_options(server, SystemTrust()), VerifyingClient)
