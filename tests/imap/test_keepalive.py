"""Tests of `mailnotify.imap.keepalive`; tests/live/test_half_open.py pulls the cable."""

from __future__ import annotations

import socket
from unittest import mock

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mailnotify.imap.keepalive import keep_alive


@implementer(ITCPTransport)
class SocketTransport(StringTransport):
    """A transport with a socket that is connected to nothing."""

    def __init__(self, handle: socket.socket) -> None:
        super().__init__()
        self.handle = handle

    def getHandle(self) -> socket.socket:
        return self.handle


class TlsLayer(ProtocolWrapper):
    """What it calls its handle is no socket, as with Twisted's TLS."""

    def getHandle(self) -> object:
        return object()


class KeepAliveTests(SynchronousTestCase):
    """What the kernel is told."""

    def setUp(self) -> None:
        self.handle = socket.socket()
        self.addCleanup(self.handle.close)
        self.transport = SocketTransport(self.handle)

    def option(self, name: str) -> int:
        return self.handle.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    def assert_kept_within(self, seconds: float) -> None:
        self.assertTrue(self.handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        probes = self.option("TCP_KEEPINTVL") * self.option("TCP_KEEPCNT")
        self.assertLessEqual(self.option("TCP_KEEPIDLE") + probes, max(seconds, 5))
        self.assertEqual(self.option("TCP_USER_TIMEOUT"), int(seconds * 1000))

    def test_tcp(self) -> None:
        """Quiet and probes together, and unacknowledged data, take so long at most."""
        for seconds in (2, 7.5, 60, 32767):
            keep_alive(self.transport, seconds)
            self.assert_kept_within(seconds)

    def test_under_tls(self) -> None:
        """The socket is found below what wraps it."""
        wrapper = TlsLayer(WrappingFactory(Factory.forProtocol(Protocol)), Protocol())
        wrapper.makeConnection(self.transport)
        keep_alive(wrapper, 60)
        self.assert_kept_within(60)

    def test_other_transports(self) -> None:
        """A pipe, or a transport of a test, is let be."""
        keep_alive(StringTransport(), 60)
        keep_alive(object(), 60)

    def test_a_platform_that_lacks_them(self) -> None:
        """What there is, is used."""
        with mock.patch.object(socket, "TCP_USER_TIMEOUT", create=True):
            del socket.TCP_USER_TIMEOUT
            keep_alive(self.transport, 60)
        self.assertTrue(self.handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        self.assertEqual(self.option("TCP_USER_TIMEOUT"), 0)
