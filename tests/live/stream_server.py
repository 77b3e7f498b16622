"""A small server of the line protocol over a list: what a real client is tested against.

It is made of the product's own `ServerPeer`, and of nothing else of the product.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall

from mailnotify.core.events import Position
from mailnotify.core.frames import Announce, Hello, Live, Subscribe, Subscribed, Welcome
from mailnotify.core.wire import ServerPeer, Stage
from tests.sinks.fakes import entry

EPOCH = "live1"


class StreamProtocol(Protocol):
    """One subscriber."""

    factory: StreamServer

    def __init__(self) -> None:
        self._peer = ServerPeer()
        self._sent = 0

    def dataReceived(self, data: bytes) -> None:
        self._peer.receive(data)
        for frame in self._peer.received():
            if isinstance(frame, Hello):
                self._peer.send(
                    Welcome(
                        server="test",
                        epoch=EPOCH,
                        head=self.factory.head,
                        oldest=1,
                        ping_seconds=60.0,
                    )
                )
            else:
                self._subscribe(frame)
        self._flush()

    def push(self) -> None:
        """Send what is new."""
        if self._peer.stage is Stage.SUBSCRIBED:
            while self._sent < self.factory.head:
                self._sent += 1
                self._peer.send(Announce(epoch=EPOCH, entry=entry(self._sent)))
        self._flush()

    def connectionLost(self, reason: object = None) -> None:
        self.factory.subscribers.discard(self)

    def _subscribe(self, frame: Subscribe) -> None:
        since = frame.since
        if isinstance(since, Position):
            self._sent = since.seq
        else:
            self._sent = 0 if since == "oldest" else self.factory.head
        self._peer.send(Subscribed(position=self._here()))
        self.factory.subscribers.add(self)
        self.push()
        self._peer.send(Live(position=self._here()))

    def _here(self) -> Position:
        return Position(epoch=EPOCH, seq=self._sent)

    def _flush(self) -> None:
        transport: Any = self.transport
        transport.write(self._peer.to_send())


class StreamServer(Factory):
    """The entries 1 to `head`, and who follows them."""

    protocol = StreamProtocol
    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self.head = 0
        self.subscribers: set[StreamProtocol] = set()
        self._flow = LoopingCall(self.add)
        self._flow.clock = clock

    def add(self, count: int = 1) -> None:
        """Journal new entries, and tell everybody."""
        self.head += count
        for each in list(self.subscribers):
            each.push()

    def start_flow(self, every_seconds: float) -> None:
        """Journal an entry again and again."""
        self._flow.start(every_seconds)

    def stop_flow(self) -> None:
        """Journal no more."""
        if self._flow.running:
            self._flow.stop()
