"""A `ClientPeer` on a transport, to be read frame by frame: ``await stream.next_frame()``.

The reader sets the pace. While it is busy with a frame, the transport is paused, so that
what the server has to say waits at the server; what was read already is one chunk of the
transport. Silence is broken by `PING`, and twice in vain means that the server is gone.
While the reader is busy the pings go on, as a sign of our life, but nothing is expected:
nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NoReturn, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from mailnotify.core.frames import (
    Admitted,
    Auth,
    ClientFrame,
    Hello,
    Mechanism,
    Ping,
    Quit,
    Refused,
    Secured,
    ServerFrame,
    StartTls,
    Welcome,
)
from mailnotify.core.wire import ClientPeer
from mailnotify.errors import (
    CommandRefused,
    DeadlinePassed,
    PeerError,
    ProtocolViolated,
)
from mailnotify.loss import explain

SILENCE_SECONDS: Final = 60.0
"""As the server's own default: after so long without a byte we ask."""

STEP_SECONDS: Final = 20.0
"""For the answer to HELLO or SUBSCRIBE; a server answers from memory."""

QUIT_SECONDS: Final = 0.5
"""For the server to close after QUIT; `twistd` shall end within two."""

_MISSED_PINGS: Final = 2

Answer = TypeVar("Answer")


class FrameStream(Protocol):
    """One connection to a server.

    Args:
        peer_name: the server in errors and logs.
        when_made: called with this stream when it is connected, to start its reader.
    """

    def __init__(
        self,
        peer_name: str,
        when_made: Callable[[FrameStream], object],
        *,
        clock: IReactorTime,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._peer_name = peer_name
        self._when_made = when_made
        self._peer = ClientPeer(peer_name)
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._silence: IDelayedCall | None = None
        self._quitting: IDelayedCall | None = None
        self._missed_pings = 0
        self._asking: Deferred[ServerFrame] | None = None
        self._is_paused = False
        self._has_heard = False
        self._lost: PeerError | None = None

    # --- for the reader ---------------------------------------------------------------

    def send(self, frame: ClientFrame) -> None:
        """Say something; nothing happens on a lost connection."""
        self._peer.send(frame)
        self._flush()

    def send_all(self, frames: Iterable[ClientFrame]) -> None:
        """Say several things in one write."""
        for frame in frames:
            self._peer.send(frame)
        self._flush()

    def next_frame(self) -> Deferred[ServerFrame]:
        """The next thing that the server says; ask again only when this has fired.

        Fails with NotConnected when the connection is lost (CertificateRefused when it never
        stood for that): what was received but not yet asked for is lost with it, and comes
        again by position. Fails with ProtocolViolated
        when the server sends nonsense.
        """
        asking: Deferred[ServerFrame] = Deferred(self._stop_asking)
        self._asking = asking
        self._serve()
        is_leaving = self._lost is not None or self._quitting is not None
        if self._asking is not None and self._is_paused and not is_leaving:
            self._is_paused = False
            cast(IPushProducer, self.transport).resumeProducing()
        return asking

    async def answer(self, kind: type[Answer], step: str) -> Answer:
        """The next frame, which has to be of this kind and to come soon.

        Raises:
            CommandRefused: the server said ERR.
            DeadlinePassed: it said nothing.
            NotConnected, ProtocolViolated: as for `next_frame`, and for any other frame.
        """

        def too_late(_: object, seconds: float) -> NoReturn:
            raise DeadlinePassed(peer=self._peer_name, step=step, seconds=seconds)

        asking = self.next_frame()
        asking.addTimeout(STEP_SECONDS, self._clock, onTimeoutCancel=too_late)
        frame = await asking
        if isinstance(frame, kind):
            return frame
        if isinstance(frame, Refused):
            raise CommandRefused(
                peer=self._peer_name, command=step, status=frame.code, said=frame.reason
            )
        raise ProtocolViolated(
            peer=self._peer_name, found=type(frame).__name__, expected=f"the answer to {step}"
        )

    async def introduce(
        self,
        client: str,
        *,
        starttls: IOpenSSLClientConnectionCreator | None = None,
        token: str = "",
        has_certificate: bool = False,
    ) -> Welcome:
        """Begin TLS, say HELLO, and prove who we are, as far as that was agreed on.

        Args:
            client: the program and its version.
            starttls: how to go on in TLS; None to stay as it is.
            token: what to show; empty for none.
            has_certificate: TLS shows a certificate, which the server may know.

        Raises:
            CommandRefused: the server has no TLS here, or does not let us in.
            DeadlinePassed, NotConnected, ProtocolViolated: as for `answer`.
        """
        if starttls is not None:
            await self._start_tls(starttls)
        self.send(Hello(client=client))
        welcome = await self.answer(Welcome, "HELLO")
        if token or has_certificate:
            mechanism = Mechanism.TOKEN if token else Mechanism.EXTERNAL
            self.send(Auth(mechanism=mechanism, credential=token))
            await self.answer(Admitted, "AUTH")
        return welcome

    async def _start_tls(self, options: IOpenSSLClientConnectionCreator) -> None:
        """Nothing of what came before counts."""
        self.send(StartTls())
        await self.answer(Secured, "STARTTLS")
        self._peer = ClientPeer(self._peer_name)
        self._has_heard = False
        cast(ITLSTransport, self.transport).startTLS(options)

    def quit(self) -> None:
        """Say QUIT and close; what is left after QUIT_SECONDS is cut."""
        if self._lost is None and self._quitting is None:
            self.send(Quit())
            self._quitting = self._clock.callLater(QUIT_SECONDS, self.abort)
            self._tcp.loseConnection()

    def abort(self) -> None:
        """Cut the connection now; no deadline may end in anything softer."""
        if self._lost is None:
            self._tcp.abortConnection()

    # --- for Twisted ------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin to listen for silence, and to read."""
        self._heard()
        self._when_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Hand on what is asked for; pause the server if nobody asks."""
        self._has_heard = True
        self._heard()
        self._peer.receive(data)
        self._serve()
        if self._asking is None and not self._is_paused:
            self._is_paused = True
            cast(IPushProducer, self.transport).pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever waits, and stop every timer."""
        self._lost = explain(reason, self._peer_name, is_secure=self._has_heard)
        for timer in (self._silence, self._quitting):
            if timer is not None and timer.active():
                timer.cancel()
        self._serve()

    # --- inside -----------------------------------------------------------------------

    @property
    def _tcp(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)

    def _serve(self) -> None:
        """Answer whoever asks, if there is a frame or there will never be one."""
        if self._asking is None:
            return
        try:
            frame = self._lost or next(self._peer.received(), None)
        except ProtocolViolated as violation:
            frame = violation
        self._flush()
        if frame is None:
            return
        asking, self._asking = self._asking, None
        if isinstance(frame, PeerError):
            asking.errback(frame)
        else:
            asking.callback(frame)

    def _stop_asking(self, _: Deferred[ServerFrame]) -> None:
        self._asking = None

    def _flush(self) -> None:
        """Write what the peer has to say, its answers to PING included."""
        out = self._peer.to_send()
        if out and self._lost is None:
            self._tcp.write(out)

    def _heard(self) -> None:
        self._missed_pings = 0
        if self._silence is not None and self._silence.active():
            self._silence.reset(self._silence_seconds)
        else:
            self._silence = self._clock.callLater(self._silence_seconds, self._silent)

    def _silent(self) -> None:
        if not self._is_paused:
            if self._missed_pings == _MISSED_PINGS:
                self.abort()
                return
            self._missed_pings += 1
        self.send(Ping())
        self._silence = self._clock.callLater(self._silence_seconds, self._silent)
