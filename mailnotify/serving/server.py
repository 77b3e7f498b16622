"""All subscribers of one service: one `NotifyProtocol` for each of them.

The factory is the hub's one pokable for all of them. The first poke in a turn of the
reactor is followed at once: a message that is durable waits for nothing. What comes
later in the same turn is gathered, and leaves in the next in one write for each
subscriber. Those who have had everything stand in the `Crowd`; those who replay get
one page in a turn, and all of them together some milliseconds of it, so that they
never hold up the live ones.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.access.door import OPEN, Door, Forwarded, is_loopback
from mailnotify.access.strangers import Strangers
from mailnotify.access.throttle import network_of
from mailnotify.config.schema import Limits
from mailnotify.core.frames import Bye, Code, Farewell, Refused
from mailnotify.core.lines import encode
from mailnotify.direct import DirectTLS, DirectTLSFactory, shortest_way
from mailnotify.hub import Hub
from mailnotify.interfaces import IPokable
from mailnotify.serving.connection import NotifyProtocol
from mailnotify.serving.crowd import Crowd, Write
from mailnotify.serving.readers import Readers
from mailnotify.serving.submission import Post
from mailnotify.serving.tally import Tally
from mailnotify.serving.vigil import CLOSE_SECONDS

_SLICE: Final = 1000
"""So many live subscribers are served in one turn, in some 5 ms; then others have theirs."""

_REPLAY_SECONDS: Final = 0.002
"""So long all those who replay may take in one turn, and the live wait; one page is always read."""

_SWEEP_SECONDS: Final = 1.0
"""Deadlines are looked at this often, or four times within the shortest of them."""


class _Refusal(Protocol):
    """Tells why nobody can be taken in, and closes."""

    transport: ITCPTransport

    def connectionMade(self) -> None:
        self.transport.write(encode(_BUSY) + encode(Bye(reason=Farewell.BUSY)))
        self.transport.loseConnection()


_BUSY: Final = Refused(code=Code.BUSY, reason="too many subscribers; try again later")


@implementer(IPokable)
class NotifyFactory(Factory):
    """All subscribers of one service.

    Args:
        hub: where entries come from.
        limits: what subscribers may cost.
        clock: for deadlines and for turns.
        node: the name of this service, told to structured subscribers.
        accounts: those that are watched; who asks for another is told. Nobody is, if empty.
        door: who is let in, and for what.
        readers: keeps the positions of named readers; None if none are kept.
        post: takes letters; None if no mail is sent.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        hub: Hub,
        limits: Limits,
        clock: IReactorTime,
        node: str = "",
        *,
        accounts: Collection[str] = (),
        door: Door = OPEN,
        readers: Readers | None = None,
        post: Post | None = None,
    ) -> None:
        self.door = door
        self.post = post
        self.readers = readers
        self.strangers = Strangers(limits)
        self.hub = hub
        self.limits = limits
        self.clock = clock
        self.node = node
        self.accounts = accounts
        self.tally = Tally()
        self._subscribers: dict[NotifyProtocol, str] = {}
        self._per_network: Counter[str] = Counter()
        self.crowd: Crowd[NotifyProtocol] = Crowd(hub, lambda each: shortest_way(each.transport))
        self._due: OrderedDict[NotifyProtocol, None] = OrderedDict()
        self._turn_call: IDelayedCall | None = None
        self._sweep = LoopingCall(self._check_all)
        self._sweep.clock = clock
        self._emptied: Deferred[None] | None = None

    @property
    def open_connections(self) -> int:
        """How many subscribers there are now."""
        return len(self._subscribers)

    def startFactory(self) -> None:
        limits = self.limits
        shortest_seconds = min(limits.step_seconds, limits.ping_seconds, limits.stalled_seconds)
        self.hub.attach(self)
        self._sweep.start(min(_SWEEP_SECONDS, shortest_seconds / 4), now=False)

    def stopFactory(self) -> None:
        self.hub.detach(self)
        self._sweep.stop()
        if self._turn_call is not None:
            self._turn_call.cancel()
            self._turn_call = None

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self.receive(addr)

    def receive(self, addr: IAddress | None, *, is_securing: bool = False) -> Protocol | None:
        """The protocol for one connection; None if it is to be closed without a word."""
        if self._emptied is not None:
            return None
        address = str(getattr(addr, "host", ""))
        if self.door.keeper is None and not is_loopback(address):
            self.tally.foreign += 1
            return None
        if self._is_full(address):
            self.tally.refused += 1
            return None if is_securing else _Refusal()
        is_proxied = isinstance(addr, Forwarded)
        return NotifyProtocol(self, address, is_proxied=is_proxied, is_securing=is_securing)

    def joined(self, subscriber: NotifyProtocol) -> None:
        """A subscriber is connected."""
        self.tally.accepted += 1
        network = self._subscribers[subscriber] = network_of(subscriber.address)
        self._per_network[network] += 1
        if not subscriber.is_stranger:
            subscriber.pull()
            return
        if self.strangers.has_room(network):
            self.strangers.join(subscriber, network)
            return
        self.tally.refused += 1
        subscriber.refuse(_BUSY, Farewell.BUSY)

    def admitted(self, subscriber: NotifyProtocol) -> None:
        """This one is no stranger any more."""
        self.strangers.leave(subscriber)

    def left(self, subscriber: NotifyProtocol) -> None:
        """A subscriber's connection is gone."""
        network = self._subscribers.pop(subscriber)
        self._due.pop(subscriber, None)
        self.strangers.leave(subscriber)
        self._per_network[network] -= 1
        if not self._per_network[network]:
            del self._per_network[network]
        if self._emptied is not None and not self._subscribers:
            self._emptied.callback(None)

    def poke(self) -> None:
        """Serve the crowd, once in this turn of the reactor; the others come by themselves."""
        if self._turn_call is None:
            self._schedule()  # for what comes after this
            self._serve_crowd()

    def pull_soon(self, subscriber: NotifyProtocol) -> None:
        """Pull for this one in the next turn."""
        self._due[subscriber] = None
        self._schedule()

    async def stop(self) -> None:
        """Close every connection, with a word to those who understand it; takes a second at most.

        Stop listening first. Nobody is taken in afterwards.
        """
        self._emptied = Deferred()
        self._for_each(tuple(self._subscribers), lambda each: each.take_leave(Farewell.RESTART))
        if not self._subscribers:
            return
        timer = self.clock.callLater(CLOSE_SECONDS, self._abort_all)
        try:
            await self._emptied
        finally:
            if timer.active():
                timer.cancel()

    def _abort_all(self) -> None:
        self._for_each(tuple(self._subscribers), NotifyProtocol.abort)

    def _is_full(self, address: str) -> bool:
        return (
            len(self._subscribers) >= self.limits.connections
            or self._per_network[network_of(address)] >= self.limits.connections_per_address
        )

    def _schedule(self) -> None:
        if self._turn_call is None:
            self._turn_call = self.clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._turn_call = None
        self._serve_crowd()
        self._serve_due()
        if self._due or self.crowd.has_more:
            self._schedule()

    def _serve_crowd(self) -> None:
        for hand in self.crowd.deal(_SLICE):
            if hand.lines is None:
                self._for_each(hand.members, NotifyProtocol.pull)
            else:
                self._send_to_all(hand.members, hand.writes, hand.lines)

    def _send_to_all(
        self, subscribers: Sequence[NotifyProtocol], writes: Sequence[Write], lines: bytes
    ) -> None:
        """What a message costs is spent here: a call for each subscriber, and no more."""
        size = len(lines)
        for place, write in enumerate(writes):
            try:
                taken = write(lines)
            except Exception:
                taken = 0  # full or broken: the transport finds out which
            if taken != size and taken is not None:
                self._write_rest(subscribers[place], lines[taken:])

    def _write_rest(self, subscriber: NotifyProtocol, rest: bytes) -> None:
        self._for_each((subscriber,), lambda each: each.transport.write(rest))

    def _serve_due(self) -> None:
        until = self.clock.seconds() + _REPLAY_SECONDS
        for _ in range(len(self._due)):
            subscriber, _ = self._due.popitem(last=False)
            self._for_each((subscriber,), NotifyProtocol.take_turn)
            if self.clock.seconds() >= until:
                return

    def _check_all(self) -> None:
        now = self.clock.seconds()
        self._for_each(tuple(self._subscribers), lambda each: each.check(now))
        if self.door.keeper is not None:
            self.door.keeper.patrol()
        if self.readers is not None:
            self.readers.flush()

    def _for_each(
        self, subscribers: Iterable[NotifyProtocol], act: Callable[[NotifyProtocol], None]
    ) -> None:
        for subscriber in subscribers:
            try:
                act(subscriber)
            except Exception:
                self._cut_off(subscriber)

    def _cut_off(self, subscriber: NotifyProtocol) -> None:
        """A fault of ours met one subscriber: the others must not notice."""
        self._log.failure("a subscriber is cut off because of a fault in mailnotify")
        self.tally.failed += 1
        subscriber.abort()


class SecurePort(DirectTLSFactory):
    """The same subscribers, on a port that speaks TLS from the first byte."""

    noisy = False

    def __init__(self, options: IOpenSSLServerConnectionCreator, house: NotifyFactory) -> None:
        super().__init__(options, False, house)
        self._house = house

    def buildProtocol(  # type: ignore[override]  # Twisted's own Factory may return None
        self, addr: IAddress | None
    ) -> DirectTLS | None:
        subscriber = self._house.receive(addr, is_securing=True)
        return None if subscriber is None else DirectTLS(self, subscriber)
