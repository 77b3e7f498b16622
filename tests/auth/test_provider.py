"""Asking a provider over a real connection, whatever it does."""

from __future__ import annotations

import resource
import traceback
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import URI
from twisted.web.server import Site
from zope.interface import implementer

from mailnotify.auth.oauth import Answer, read_grant
from mailnotify.auth.provider import ASK_SECONDS, MOST_BYTES, Provider
from mailnotify.config.schema import CaFile, Security, Server, SystemTrust, Trust
from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    DeadlinePassed,
    NotConnected,
    PeerError,
    ProtocolViolated,
)
from mailnotify.tls import Connector
from tests.rigs.certificates import Certificates, shown
from tests.rigs.oauth import (
    Handler,
    OAuthServer,
    dribble,
    flood,
    hang_up,
    redirect,
    saying,
    stall,
)

FORM = {"grant_type": "refresh_token", "refresh_token": "hush", "client_id": "id"}


class ProviderCase(TestCase):
    """A provider on loopback, with a clock that the test moves."""

    timeout = 300

    def setUp(self) -> None:
        self.server = OAuthServer().start()
        self.addCleanup(self.server.stop)
        self.clock = Clock()
        self.lost: list[object] = []
        self.provider = Provider(self.endpoint, self.clock)

    def endpoint(self, uri: URI) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(reactor, "127.0.0.1", uri.port)

    async def fails(self, asked: Any, kind: type[PeerError]) -> PeerError:
        """The error that a question ends with; it never holds the form."""
        try:
            await asked
        except kind as error:
            self.assertNotIn("hush", "".join(traceback.format_exception(error)) + repr(error))
            return error
        raise AssertionError(f"no {kind.__name__}")

    def ask(self, *answers: Handler) -> Deferred[Answer]:
        self.server.answers["/token"] += answers
        url = f"{self.server.url}/token"
        return Deferred.fromCoroutine(self.provider.ask(url, FORM))

    def serve(self, protocol: Protocol) -> int:
        """The port of somebody who may be no HTTP server."""
        any_reactor: Any = reactor
        factory = Factory.forProtocol(lambda: protocol)
        port = any_reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def until(self, condition: Any) -> None:
        """Let the reactor turn until that holds; the test's own deadline ends it."""
        while not condition():
            await deferLater(reactor, 0.01, lambda: None)


class AskTests(ProviderCase):
    """One form, one answer."""

    async def test_answer(self) -> None:
        """The form arrives as it was, and the answer comes back whole."""
        self.server.refresh_token = "hush"
        answer = await self.ask()
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.server.forms["/token"], [FORM])
        self.assertEqual(answer.hidden, ("hush",))
        self.assertTrue(read_grant(answer, now=0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_status(self) -> None:
        """An error of the provider's is an answer."""
        answer = await self.ask(saying(b"<html>no", 503))
        self.assertEqual((answer.status, answer.body), (503, b"<html>no"))

    async def test_stall(self) -> None:
        """A provider that says nothing, or never comes to an end, is cut off in time."""
        for handler in (stall, dribble):
            asked = self.ask(handler)
            before = len(self.server.forms["/token"])
            await self.until(lambda before=before: len(self.server.forms["/token"]) >= before)
            await self.until(lambda: not self.server.answers["/token"])
            self.clock.advance(ASK_SECONDS - 1)
            self.assertNoResult(asked)
            self.clock.advance(1)
            error = await self.fails(asked, DeadlinePassed)
            self.assertIn("answering for a token within 30 s", str(error))

    async def test_unreachable_for_long(self) -> None:
        """The deadline holds for the connection too."""
        never = _Never()
        self.provider = Provider(lambda uri: never, self.clock)
        asked = self.ask()
        self.clock.advance(ASK_SECONDS)
        await self.fails(asked, DeadlinePassed)
        self.assertTrue(never.is_cancelled)

    async def test_flood(self) -> None:
        """100 MB cost a connection, and next to no memory."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        chunk = 64 * 1024
        flooding = _Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b" " * chunk)
        error = await self.fails(self.ask_raw(flooding), ProtocolViolated)
        self.assertIn(f"over {MOST_BYTES} bytes", str(error))
        await self.until(lambda: flooding.is_lost)
        self.assertLess(flooding.sent_bytes, 16 * MOST_BYTES)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertLess(after - before, 16 * 1024)

    async def test_flood_of_headers(self) -> None:
        """The limit is for headers too, which nobody else bounds."""
        flooding = _Flood(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"b" * 1000 + b"\r\n")
        await self.fails(self.ask_raw(flooding), ProtocolViolated)
        await self.until(lambda: flooding.is_lost)

    async def test_small_excess(self) -> None:
        """One byte too many is too many."""
        await self.fails(self.ask(flood(MOST_BYTES)), ProtocolViolated)
        answer = await self.ask(saying(b" " * (MOST_BYTES - 1024)))
        self.assertEqual(len(answer.body), MOST_BYTES - 1024)

    async def test_redirect(self) -> None:
        """A form with secrets goes where the configuration says, or nowhere."""
        answer = await self.ask(redirect(f"{self.server.url}/elsewhere"))
        self.assertEqual(answer.status, 307)
        self.assertEqual(self.server.forms["/elsewhere"], [])

    async def test_lost(self) -> None:
        """A connection that is closed, or refused, or speaks something else, is told."""
        await self.fails(self.ask(hang_up), NotConnected)
        error = await self.fails(self.ask_raw(_Flood(b"220 smtp hush\r\n", b"")), NotConnected)
        self.assertIn("no HTTP", str(error))
        await self.server.stop()
        error = await self.fails(self.ask(), NotConnected)
        self.assertIn("refused", str(error))

    async def test_answer_without_a_length(self) -> None:
        """It ends with its connection; one with a length that ends before is none."""
        body = b'{"access_token": "x"}'
        for length, kind in ((b"", None), (b"Content-Length: 99\r\n", NotConnected)):
            raw = _Once(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + body)
            if kind is None:
                self.assertEqual((await self.ask_raw(raw)).body, body)
            else:
                await self.fails(self.ask_raw(raw), kind)
        self.assertEqual(self.flushWarnings(), [])

    async def test_cancelled(self) -> None:
        """A question that nobody waits for any more is cut."""
        asked = self.ask(stall)
        await self.until(lambda: bool(self.server.forms["/token"]))
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def ask_raw(self, protocol: Protocol) -> Any:
        """Ask somebody who may be no HTTP server."""
        return self.provider.ask(f"http://127.0.0.1:{self.serve(protocol)}/token", FORM)


class TlsTests(ProviderCase):
    """Only the right host, with a certificate, gets a form."""

    def listen(self, *names: str) -> None:
        certificates = Certificates(self.folder())
        cert_file, key_file = certificates.issue("p", *names)
        options = shown(cert_file.read_bytes(), key_file.read_bytes())
        any_reactor: Any = reactor
        site = Site(self.server)
        site.log = lambda request: None  # type: ignore[method-assign]
        port = any_reactor.listenSSL(0, site, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"https://localhost:{port.getHost().port}/token"
        self.trust = CaFile(ca_file=str(certificates.ca_file))

    def folder(self) -> Any:
        folder = Path(self.mktemp())
        folder.mkdir()
        return folder

    def by(self, trust: Trust) -> Any:
        """Ask with this trust, as the service does with the system's."""
        connector = Connector(reactor)

        def endpoint(uri: URI) -> IStreamClientEndpoint:
            host = uri.host.decode()
            server = Server(host=host, port=uri.port, security=Security.IMPLICIT_TLS, user="")
            return connector.endpoint(server, trust)

        return Provider(endpoint, self.clock).ask(self.url, FORM)

    async def test_good(self) -> None:
        """A certificate for the host, by an authority that is trusted."""
        self.listen("localhost")
        self.assertEqual((await self.by(self.trust)).status, 400)

    async def test_unknown_authority(self) -> None:
        """Anybody's own authority is nobody's."""
        self.listen("localhost")
        await self.fails(self.by(SystemTrust()), CertificateRefused)
        self.assertEqual(self.server.forms["/token"], [])

    async def test_other_name(self) -> None:
        """The right authority and the wrong host."""
        self.listen("other.example")
        await self.fails(self.by(self.trust), CertificateRefused)
        self.assertEqual(self.server.forms["/token"], [])

    async def test_no_tls(self) -> None:
        """A server in clear gets nothing to read."""
        self.listen("localhost")
        port = self.serve(_Flood(b"220 hello\r\n", b""))
        self.url = f"https://localhost:{port}/token"
        await self.fails(self.by(self.trust), ChannelInsecure)


@implementer(IStreamClientEndpoint)
class _Never:
    """Connects for ever."""

    is_cancelled = False

    def connect(self, protocolFactory: object) -> Deferred[Any]:
        return Deferred(lambda _: setattr(self, "is_cancelled", True))


class _Once(Protocol):
    """Says something to whoever asks, and is gone."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(self._said)
        transport.loseConnection()


class _Flood(Protocol):
    """Says one thing once, and another for ever."""

    def __init__(self, first: bytes, again: bytes) -> None:
        self._first, self._again = first, again
        self.is_lost = False
        self.sent_bytes = 0

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self._first)
        if self._again:
            self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.sent_bytes += len(self._again)
        self.transport.write(self._again)

    def stopProducing(self) -> None:
        """The connection is gone."""

    def connectionLost(self, reason: object = None) -> None:
        self.is_lost = True
