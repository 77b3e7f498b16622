"""COMPRESS=DEFLATE (RFC 4978) between a client and its transport.

One piece is pressed out in each turn of the reactor, and the transport is not
read meanwhile: a stream that grows a hundredfold takes its turns like any other.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITLSTransport

from mailnotify.core.deflate import PIECE_BYTES, Deflated
from mailnotify.errors import PeerError


class Compression:
    """What lies between the bytes of a transport and those of a client.

    Args:
        transport: is written to, and paused.
        deliver: takes the server's own bytes.
        refuse: is told why there are no more.
        clock: gives the turns.
    """

    def __init__(
        self,
        transport: ITLSTransport,
        *,
        peer: str,
        deliver: Callable[[bytes], None],
        refuse: Callable[[PeerError], None],
        clock: IReactorTime,
    ) -> None:
        self._transport = transport
        self._deflated = Deflated(peer)
        self._deliver = deliver
        self._refuse = refuse
        self._clock = clock
        self._next: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        """Send, compressed."""
        self._transport.write(self._deflated.press(data))

    def receive(self, data: bytes) -> None:
        """Take what the transport read."""
        self._deflated.receive(data)
        if self._next is None:
            self._press_out()

    def stop(self) -> None:
        """Deliver nothing more."""
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _press_out(self) -> None:
        was_paused, self._next = self._next is not None, None
        try:
            piece = self._deflated.received()
        except PeerError as error:
            self._refuse(error)
            return
        if len(piece) == PIECE_BYTES:
            self._next = self._clock.callLater(0, self._press_out)
            if not was_paused:
                IPushProducer(self._transport).pauseProducing()
        elif was_paused:
            IPushProducer(self._transport).resumeProducing()
        self._deliver(piece)
