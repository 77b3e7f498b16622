"""Names are looked up beside the reactor, and hold up nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from mailnotify.taps.resolving import MOST_AT_ONCE, DaemonResolver
from tests.rigs import child_environment
from tests.rigs.service import Service

_ACCOUNT = """
[accounts.home]
server = "imaps://ada@imap.example.org"
password = {env = "HOME"}
"""
_SILENT = """
import socket, time
socket.getaddrinfo = lambda host, *_: print(f"asked for {host}", flush=True) or time.sleep(600)
"""
_HANGING = f"""
{_SILENT}
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from mailnotify.taps.resolving import resolve_in_daemons
resolve_in_daemons(reactor)
HostnameEndpoint(reactor, "imap.example.org", 993).connect(Factory())
reactor.callLater(0.1, reactor.stop)
reactor.run()
"""
_FOUND = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 993, 0, 0)),
    (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("nonsense",)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 993)),
]


@implementer(IResolutionReceiver)
class Receiver:
    """Keeps what it is told; `complete` fires at the end."""

    def __init__(self) -> None:
        self.resolution: IHostResolution | None = None
        self.found: list[IAddress] = []
        self.complete: Deferred[None] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.resolution = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        self.found.append(address)

    def resolutionComplete(self) -> None:
        self.complete.callback(None)


class DaemonResolverTests(TestCase):
    """`DaemonResolver` as endpoints use it."""

    async def addresses(self, found: Any, *kinds: type[IAddress]) -> list[IAddress]:
        receiver = Receiver()
        DaemonResolver(reactor, found).resolveHostName(receiver, "a.example", 993, kinds or None)
        assert receiver.resolution is not None and receiver.resolution.name == "a.example"
        await receiver.complete
        return receiver.found

    async def test_addresses(self) -> None:
        """Both kinds come in the system's order, or the one that was asked for."""
        six = IPv6Address("TCP", "2001:db8::1", 993, 0, 0)
        four = IPv4Address("TCP", "192.0.2.1", 993)
        self.assertEqual(await self.addresses(lambda *_: _FOUND), [six, four])
        self.assertEqual(await self.addresses(lambda *_: _FOUND, IPv4Address), [four])

    async def test_no_such_name(self) -> None:
        """A name that does not exist, or cannot be one, has no address."""
        for name in ("nothing.invalid", "a" * 64 + ".example", "a..example"):
            receiver = Receiver()
            DaemonResolver(reactor).resolveHostName(receiver, name)
            await receiver.complete
            self.assertEqual(receiver.found, [])

    async def test_cancelled(self) -> None:
        """Who no longer wants an answer hears nothing, and the turn is free again."""
        go_on = threading.Event()
        resolver = DaemonResolver(reactor, lambda *_: [] if go_on.wait(10) else _FOUND)
        given_up = [Receiver() for _ in range(MOST_AT_ONCE)]
        for receiver in given_up:
            resolver.resolveHostName(receiver, "a.example").cancel()
        last = Receiver()
        resolver.resolveHostName(last, "b.example")
        go_on.set()
        await last.complete
        self.assertFalse(any(each.complete.called for each in given_up))

    async def test_few_at_once(self) -> None:
        """However many ask, a silent name server costs a bounded number of threads."""
        go_on, asked = threading.Event(), []

        def look_up(*words: object) -> list[Any]:
            asked.append(words)
            go_on.wait(10)
            return []

        resolver = DaemonResolver(reactor, look_up)
        receivers = [Receiver() for _ in range(2 * MOST_AT_ONCE)]
        for receiver in receivers:
            resolver.resolveHostName(receiver, "a.example")
        self.assertLessEqual(len(asked), MOST_AT_ONCE)
        go_on.set()
        for receiver in receivers:
            await receiver.complete
        self.assertEqual(len(asked), 2 * MOST_AT_ONCE)

    def test_a_silent_name_server_does_not_delay_the_exit(self) -> None:
        """A process that still waits for an address ends at once."""
        subprocess.run(
            [sys.executable, "-c", _HANGING], check=True, timeout=300, env=child_environment()
        )


class SilentNameServerTests(TestCase):
    """The service, where no name is ever resolved."""

    def test_ends_in_time(self) -> None:
        """SIGTERM ends it within two seconds all the same."""
        service = Service(_ACCOUNT)
        service.prelude = _SILENT
        self.addCleanup(service.stop)
        service.start()
        service.await_log("asked for imap.example.org")
        self.assertLess(service.terminate(), 2.0)
