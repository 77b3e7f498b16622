"""One subscriber's connection: `Subscriber` on a transport.

It moves bytes, pulls when its transport has room (it is the transport's push
producer), and keeps the deadlines of the connection. A subscriber that stops
reading costs what its transport has buffered: a structured one is left alone and
goes on from the journal later, a plain one is cut after a while.

TLS may stand below it from the start, or be begun by STARTTLS; then everything
that was said before is forgotten.

Every deadline ends in `abortConnection`; what is said before is a courtesy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol as Shape

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.core.frames import Bye, Farewell, Refused
from mailnotify.core.wire import Stage
from mailnotify.direct import direct
from mailnotify.serving.crowd import Crowd
from mailnotify.serving.subscriber import SAY_AUTH, House, Subscriber
from mailnotify.serving.tally import Tally
from mailnotify.serving.vigil import Lapse, Vigil


class Home(House, Shape):
    """The factory, as its connections know it."""

    clock: IReactorTime
    tally: Tally
    crowd: Crowd[NotifyProtocol]

    def joined(self, subscriber: NotifyProtocol) -> None:
        """A subscriber is connected."""

    def left(self, subscriber: NotifyProtocol) -> None:
        """A subscriber's connection is gone."""

    def pull_soon(self, subscriber: NotifyProtocol) -> None:
        """Pull for this one in the next turn."""


class _IStream(ITLSTransport, ISSLTransport, IConsumer, IPushProducer):
    """What Twisted's stream transports provide together."""


@implementer(IPushProducer, IHandshakeListener, IHalfCloseableProtocol)
class NotifyProtocol(Protocol):
    """One subscriber's connection.

    Args:
        house: the factory, for all that subscribers share.
        address: where the subscriber comes from, for the limit of each address.
        is_proxied: a proxy has told the address.
        is_securing: a handshake of TLS comes first.

    Attributes:
        is_secure: TLS is established.
        is_stranger: nobody has let him in yet.
        is_in_crowd: the factory sends him what is new.
    """

    transport: _IStream
    _has_fallen_silent = False
    _has_more_lines = False

    def __init__(
        self,
        house: Home,
        address: str,
        *,
        is_proxied: bool = False,
        is_securing: bool = False,
    ) -> None:
        self.address = address
        self.is_proxied = is_proxied
        self.is_secure = False
        self._is_securing = is_securing
        self._house = house
        self._subscriber = Subscriber(house, self)
        self._peer = self._subscriber.peer
        self._is_held = False
        self.is_in_crowd = False
        self._vigil = Vigil(house.limits)

    def makeConnection(self, transport: ITransport) -> None:
        super().makeConnection(direct(transport))

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            # The lines of a turn are gathered here; Nagle would only hold back the next turn's.
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        if not self._is_securing:
            self._subscriber.arrive()
        self._house.joined(self)
        self._note(has_progressed=False)

    def handshakeCompleted(self) -> None:
        self.is_secure, self._is_securing = True, False
        self._subscriber.arrive()
        self.go_on()

    def dataReceived(self, data: bytes) -> None:
        self.step_out()
        self._peer.receive(data)
        self._converse(has_progressed=b"\n" in data)

    def pauseProducing(self) -> None:
        self._is_held = True
        self.step_out()
        self._vigil.held(self._peer, self._house.clock.seconds())

    def resumeProducing(self) -> None:
        self._is_held = False
        self._vigil.released()
        self.transport.resumeProducing()
        self._converse(has_progressed=True)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def readConnectionLost(self) -> None:
        """He will say no more, as ``nc -N`` and ``socat``: what he has asked for he is told."""
        self._has_fallen_silent = True
        self.pull()

    def writeConnectionLost(self) -> None:
        """We never close one side alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_held = True  # nothing goes out any more
        self.step_out()
        self._subscriber.leave()
        self._house.left(self)

    @property
    def is_stranger(self) -> bool:
        return self._subscriber.is_stranger

    def fingerprint(self) -> str:
        """Of the certificate that the client has shown, in lower case hex; empty without one."""
        certificate: Any = self.transport.getPeerCertificate() if self.is_secure else None
        return certificate.digest("sha256").decode().replace(":", "").lower() if certificate else ""

    def go_on(self) -> None:
        """Take the lines that waited for an answer."""
        self.step_out()
        if not self._is_held:
            self.transport.resumeProducing()
        self._converse(has_progressed=True)

    def refuse(self, refusal: Refused, reason: Farewell) -> None:
        """Say why to anybody, whether he has spoken or not, and close."""
        self._peer.send(refusal)
        self._peer.send(Bye(reason=reason))
        self._flush()

    def pull(self) -> None:
        """Send the next page if there is room; then come again soon, or join the crowd."""
        self.step_out()
        if self._is_held:
            return
        has_more = self._subscriber.pull()
        self._flush()
        if self._is_held:
            return
        has_done = not (has_more or self._has_more_lines or self._peer.is_waiting)
        if self._has_fallen_silent and has_done:
            self.take_leave(Farewell.QUIT)
        else:
            self._step_in(has_more=has_more)

    def take_turn(self) -> None:
        """Go on with what waited for this turn: lines, or else a page."""
        if not self._has_more_lines:
            self.pull()
        elif not self._is_held:
            self.go_on()

    def take_leave(self, reason: Farewell) -> None:
        """Say why, to one who understands that, and close within a second."""
        self.step_out()
        self._peer.close(reason)
        self._flush()

    def check(self, now: float) -> None:
        """Act on the deadlines that have passed."""
        while (lapse := self._vigil.lapsed(now)) is not None:
            _LAPSED[lapse](self, self._house.tally)

    def abort(self) -> None:
        """Cut the connection now."""
        self.transport.abortConnection()
        self.step_out()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.step_out()
        self._subscriber.ping()
        self._flush()
        self.pull()

    def _step_in(self, *, has_more: bool) -> None:
        """Join the crowd, if there is nothing to catch up with."""
        if self._peer.stage is Stage.CLOSED:
            return
        if self._has_more_lines:
            self._house.pull_soon(self)
            return
        feed = self._subscriber.feed
        if feed is None:
            return
        crowd = self._house.crowd
        self.is_in_crowd = not has_more and crowd.join(self, feed.wish, feed.position)
        if not self.is_in_crowd:
            self._house.pull_soon(self)

    def step_out(self) -> None:
        """Stand alone, where the crowd stood."""
        feed = self._subscriber.feed
        if self.is_in_crowd and feed is not None:
            self.is_in_crowd = False
            feed.go_on(self._house.crowd.leave(self, feed.wish))

    def _converse(self, *, has_progressed: bool) -> None:
        """Answer some of the lines that are there; many have to wait for the next turn."""
        self._has_more_lines = not self._is_held and self._subscriber.answer()
        self._flush()
        if self._is_held or self._peer.is_waiting or self._has_more_lines:
            # Who says much, or takes no answers, or waits for one, is not listened to meanwhile.
            self.transport.pauseProducing()
        if self._peer.stage is not Stage.CLOSED:
            self._note(has_progressed=has_progressed)
            self.pull()

    def _note(self, *, has_progressed: bool) -> None:
        self._vigil.heard(
            self._peer,
            self._house.clock.seconds(),
            has_progressed=has_progressed,
            is_owing=self._subscriber.is_owing,
            is_unfinished=self._subscriber.is_unfinished,
        )

    def _secure(self) -> None:
        """Begin TLS, and carry nothing of the dialogue so far into it."""
        options = self._house.door.tls
        assert options is not None, "it was offered"
        self._subscriber.leave()
        self._subscriber = Subscriber(self._house, self)
        self._peer = self._subscriber.peer
        self._vigil = Vigil(self._house.limits)
        self._is_securing = True
        self.transport.startTLS(options)

    def _flush(self) -> None:
        lines = self._peer.to_send()
        if lines:
            self.transport.write(lines)
        if self._peer.stage is Stage.SECURING:
            self._secure()
        if self._peer.stage is not Stage.CLOSED:
            return
        if not self._vigil.closing(self._house.clock.seconds(), self._peer.farewell):
            # A paused producer would keep the transport from closing when it has drained.
            self.transport.unregisterProducer()
            self.transport.loseConnection()


def _cut_slow(subscriber: NotifyProtocol, tally: Tally) -> None:
    tally.slow += 1
    if subscriber.is_stranger:
        subscriber.refuse(SAY_AUTH, Farewell.SLOW)
    subscriber.take_leave(Farewell.SLOW)


def _cut_silent(subscriber: NotifyProtocol, tally: Tally) -> None:
    tally.silent += 1
    subscriber.take_leave(Farewell.SILENT)


def _cut_stalled(subscriber: NotifyProtocol, tally: Tally) -> None:
    tally.stalled += 1
    subscriber.abort()


_LAPSED: Final[Mapping[Lapse, Callable[[NotifyProtocol, Tally], None]]] = {
    Lapse.STEP: _cut_slow,
    Lapse.PING: lambda subscriber, _: subscriber.ping(),
    Lapse.SILENCE: _cut_silent,
    Lapse.STALL: _cut_stalled,
    Lapse.CLOSE: lambda subscriber, _: subscriber.abort(),
}
"""What happens when a deadline has passed."""
