"""Asks an OAuth2 provider over HTTPS: one form, one answer, within bounds.

The certificate is verified for the host of the URL; no redirect is followed,
since a form with secrets goes where the configuration says, or nowhere. Each
question has a connection of its own, with one deadline for the whole of it and
one limit for all of its bytes, headers included; both end in `abortConnection`,
for which `twisted.web.client` has no way of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, FileBodyProducer, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from mailnotify.auth.oauth import Answer, Form, hidden
from mailnotify.errors import DeadlinePassed, NotConnected, PeerError, ProtocolViolated
from mailnotify.loss import explain

ASK_SECONDS: Final = 30.0
"""For name, TCP, TLS and the whole answer: providers take a tenth of a second."""

MOST_BYTES: Final = 256 * 1024
"""Of an answer; the largest tokens of Microsoft have some 10 KiB."""

_HEADERS = {
    b"accept": [b"application/json"],
    b"content-type": [b"application/x-www-form-urlencoded"],
}


_TELLING = (PeerError, VerificationError, SSL.Error, ConnectError, ConnectionClosed, DNSLookupError)


class Provider:
    """The endpoints of an OAuth2 provider.

    Args:
        endpoint: makes the way to the host of a URL, in TLS with verification
            where its scheme is https.
        clock: runs the deadlines.
    """

    def __init__(
        self, endpoint: Callable[[URI], IStreamClientEndpoint], clock: IReactorTime
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock

    async def ask(self, url: str, form: Form) -> Answer:
        """Post a form; return whatever was answered, also an error of the provider's.

        Cancelling cuts the connection.

        Raises:
            PeerError: there is no answer.
        """
        peer = urlsplit(url).netloc
        line = _Line(self._endpoint, peer)

        def too_late(result: object, seconds: float) -> Answer:
            raise DeadlinePassed(peer=peer, step="answering for a token", seconds=seconds)

        # Not the request is cancelled, but its line cut: `Agent` would make another
        # error of the one, and `readBody` fire twice.
        answered: Deferred[Answer] = Deferred(lambda _: line.cut())
        self._begin(url, form, line, answered)
        try:
            return await answered.addTimeout(ASK_SECONDS, self._clock, too_late)
        finally:
            line.cut()

    def _begin(self, url: str, form: Form, line: _Line, answered: Deferred[Answer]) -> None:
        def finish(result: Answer | Failure) -> None:
            if line.is_cut and line.overflow is None:
                return  # nobody waits any more
            if isinstance(result, Failure):
                answered.errback(Failure(line.overflow or _explain(line, result)))
            else:
                answered.callback(result)

        Deferred.fromCoroutine(self._ask(url, form, line)).addBoth(finish)

    async def _ask(self, url: str, form: Form, line: _Line) -> Answer:
        agent = Agent.usingEndpointFactory(self._clock, line)
        content = FileBodyProducer(BytesIO(urlencode(form).encode("ascii")))
        response = await agent.request(b"POST", url.encode("ascii"), Headers(_HEADERS), content)
        body = _Body()
        response.deliverBody(body)
        read = await body.read
        return Answer(peer=line.peer, status=response.code, body=read, hidden=hidden(form))


class _Body(Protocol):
    """The rest of an answer; `readBody` wants a transport that `Agent` does not give it.

    Attributes:
        read: fires with it, or with what broke it off.
    """

    def __init__(self) -> None:
        self.read: Deferred[bytes] = Deferred()
        self._received = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._received += data  # `_Bounded` counts

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):  # an answer may end with its connection
            self.read.callback(bytes(self._received))
        else:
            self.read.errback(reason)


@implementer(IAgentEndpointFactory)
class _Line:
    """The way of one question: its one connection, which can be cut at any time.

    Attributes:
        overflow: set when more came than any honest provider has to say.
        reason: why the connection was lost, which `Agent` hides behind errors of its own.
    """

    def __init__(self, endpoint: Callable[[URI], IStreamClientEndpoint], peer: str) -> None:
        self._endpoint = endpoint
        self.peer = peer
        self.overflow: ProtocolViolated | None = None
        self.reason: Failure | None = None
        self.is_cut = False
        self._connecting: Deferred[Any] | None = None
        self._connection: _Bounded | None = None

    def endpointForURI(self, uri: URI) -> _BoundedEndpoint:
        """What `Agent` asks for."""
        return _BoundedEndpoint(self._endpoint(uri), self)

    def begun(self, connecting: Deferred[Any]) -> None:
        """There will be a connection."""
        self._connecting = connecting

    def opened(self, connection: _Bounded) -> None:
        """There is a connection now."""
        self._connection = connection

    def flooded(self) -> None:
        """The other end says too much."""
        found, expected = f"over {MOST_BYTES} bytes", "an answer of OAuth2 (RFC 6749)"
        self.overflow = ProtocolViolated(peer=self.peer, found=found, expected=expected)
        self.cut()

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self.reason = reason
        self._connection = None

    def cut(self) -> None:
        """End the connection, if it is still there."""
        self.is_cut = True
        if self._connection is not None:
            self._connection.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()  # harmless if it is over


class _Bounded(ProtocolWrapper):
    """Counts what comes in."""

    factory: _BoundedFactory
    received_bytes = 0

    def connectionMade(self) -> None:
        self.factory.line.opened(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.received_bytes <= MOST_BYTES:
            super().dataReceived(data)
        elif self.factory.line.overflow is None:
            self.factory.line.flooded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.line.lost(reason)
        super().connectionLost(reason)


class _BoundedFactory(WrappingFactory):
    noisy = False
    protocol = _Bounded

    def __init__(self, wrapped: IProtocolFactory, line: _Line) -> None:
        super().__init__(wrapped)
        self.line = line


@implementer(IStreamClientEndpoint)
class _BoundedEndpoint:
    """Another endpoint, whose connections are bounded."""

    def __init__(self, endpoint: IStreamClientEndpoint, line: _Line) -> None:
        self._endpoint = endpoint
        self._line = line

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory = _BoundedFactory(protocolFactory, self._line)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        self._line.begun(connecting)
        return connecting.addCallback(lambda bounded: bounded.wrappedProtocol)


def _explain(line: _Line, failure: Failure) -> PeerError:
    """Say in our own terms why there was no answer."""
    # What was never a connection has only the failure; of a lost one `Agent` says less.
    cause = failure if line.reason is None else line.reason
    if cause.check(*_TELLING):
        return explain(cause, line.peer, is_secure=False)
    # Only their kind: a server's words may quote the form.
    reason = f"it speaks no HTTP that we know ({type(cause.value).__name__})"
    return NotConnected(peer=line.peer, reason=reason)
