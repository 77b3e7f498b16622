"""A server of port 5050 in memory: the test says its lines, one connection after another."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.core.events import Position
from mailnotify.core.frames import Announce, ClientFrame, Live, ServerFrame, Subscribed, Welcome
from mailnotify.core.lines import FROM_CLIENT, decode, encode
from tests.sinks.fakes import entry

EPOCH = "e1"


def at(seq: int, epoch: str = EPOCH) -> Position:
    """A position of the fake server."""
    return Position(epoch=epoch, seq=seq)


class Connection(StringTransport):
    """One connection, seen from the server.

    Attributes:
        was_aborted: the client cut it.
        tls: what the client went on in TLS with, if it did.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.protocol: Any = None
        self.is_open = True
        self.was_aborted = False
        self.tls: object = None

    def say(self, *frames: ServerFrame) -> None:
        """Send these lines in one segment."""
        self.protocol.dataReceived(b"".join(map(encode, frames)))

    def heard(self) -> list[ClientFrame]:
        """What the client said since the last call."""
        lines = self.value().splitlines()
        self.clear()
        return [decode(line, FROM_CLIENT) for line in lines]

    def welcome(self, position: Position) -> None:
        """Answer HELLO and SUBSCRIBE."""
        self.say(Welcome(server="fake", epoch=EPOCH, head=0, oldest=1, ping_seconds=60.0))
        self.say(Subscribed(position=position))

    def go_live(self, position: Position) -> None:
        """Answer, with nothing to replay."""
        self.welcome(position)
        self.say(Live(position=position))

    def announce(self, *seqs: int, epoch: str = EPOCH) -> None:
        """Send these entries in one segment."""
        self.say(*(Announce(epoch=epoch, entry=entry(seq)) for seq in seqs))

    @property
    def is_paused(self) -> bool:
        return self.producerState == "paused"

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection."""
        if self.is_open:
            self.is_open = False
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def startTLS(self, options: object) -> None:
        self.tls = options

    def loseConnection(self) -> None:
        super().loseConnection()
        self._clock.callLater(0, self.lose)

    def abortConnection(self) -> None:
        self.was_aborted = True
        self._clock.callLater(0, self.lose, ConnectionAborted())


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Where the client connects to; refuses while `is_down`.

    Attributes:
        attempts: how often the client tried.
        connections: those that were made.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_down = False
        self.attempts = 0
        self.connections: list[Connection] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        if self.is_down:
            return fail(ConnectError(string="refused"))
        connection = Connection(self._clock)
        protocol: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5050))
        connection.protocol = protocol
        self.connections.append(connection)
        protocol.makeConnection(connection)
        return succeed(protocol)
