"""A connection to a submission server, as questions and answers with deadlines.

`Dialogue` is Twisted's `ESMTPSender` with another data path: bytes go through a
`ReplyFramer`, and a coroutine asks (`ask`) and awaits the reply, instead of a
ladder of callbacks that counts replies by their order alone. What is kept of
the base class is its place between a factory and a transport, its settings
(user, secret, TLS options, what is required) and how a line is written.

Every wait has a deadline for the whole of it, which no dribble of bytes can
extend, and which ends in `abortConnection`: `loseConnection` waits for a frozen
peer for ever. However the connection ends, whoever waits is told why, here in
the protocol: a factory behind an endpoint never hears of it. Whoever waits and
is cancelled cuts the connection, and is told that by the same way, so that what
had become of a letter by then is not lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.mail.smtp import ESMTPSender
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.errors import (
    DeadlinePassed,
    NotConnected,
    PeerError,
    ProtocolViolated,
)
from mailnotify.loss import explain
from mailnotify.smtp.wire import Reply, ReplyFramer


class Deadline(Struct, frozen=True, kw_only=True):
    """When a step must be finished, and how it is called if it is not.

    Attributes:
        seconds: how long the step may take in all.
        at: the moment on the clock of the dialogue.
    """

    step: str
    seconds: float
    at: float


def from_now(clock: IReactorTime, step: str, seconds: float) -> Deadline:
    """A deadline for a step that begins now."""
    return Deadline(step=step, seconds=seconds, at=clock.seconds() + seconds)


#: Bytes handed to the transport at once; it says "pause" above 64 KiB of its own.
_CHUNK_BYTES = 65_536

#: Commands in one write at most; RFC 5321 §4.5.3.1.8 wants room for 100 recipients.
MOST_COMMANDS = 104

#: Replies that nobody has taken yet. More than commands in a group are a lie.
_MOST_REPLIES = 2 * MOST_COMMANDS

#: The reply of a server that closes the connection, to whatever was asked.
CLOSING = 421


@implementer(IHandshakeListener, IPushProducer)
class Dialogue(ESMTPSender):
    """One connection; `clock`, `peer` and `command_seconds` are set before it is made.

    Attributes:
        clock: measures the deadlines.
        peer: how the server is called in errors.
        command_seconds: the deadline for one command and its whole reply.
        is_private: whether a TLS handshake with verification has completed.
        is_unfinished: whether a transaction was begun that only RSET ends.
        has_quit: whether we have said QUIT.
    """

    # The base class would keep a log of the dialogue, password included, and put
    # it into its exceptions.
    debug = False
    timeout = None

    transport: Any  # what it can do depends on who connected us
    clock: IReactorTime
    peer: str
    command_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_private = False
        self.is_unfinished = False
        self.has_quit = False
        self._framer = ReplyFramer("")
        self._replies: deque[Reply] = deque()
        self._ended: PeerError | None = None
        self._is_lost = False
        self._is_paused = False
        self._changed: Deferred[None] | None = None
        self._heard = 0.0
        self._lost: list[Deferred[None]] = []

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Begin to listen; the base class would begin its own dialogue."""
        self._framer = ReplyFramer(self.peer)
        self._heard = self.clock.seconds()
        # Nagle's algorithm would hold the end of a letter back for an acknowledgement.
        self.transport.setTcpNoDelay(True)

    def handshakeCompleted(self) -> None:
        """TLS is up, and the certificate was the right one."""
        self.is_private = True
        self._tell()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; the first that are no reply are the last that count."""
        self._heard = self.clock.seconds()
        self._framer.receive(data)
        try:
            self._replies.extend(self._framer.received())
        except ProtocolViolated as error:
            self.end(error)
        if len(self._replies) > _MOST_REPLIES:
            found, expected = f"over {_MOST_REPLIES} replies", "one for each command"
            self.end(ProtocolViolated(peer=self.peer, found=found, expected=expected))
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever waits."""
        super().connectionLost(reason)
        self._is_lost = True
        self._finish(explain(reason, self.peer, is_secure=self.is_private))
        waiting, self._lost = self._lost, []
        for each in waiting:
            each.callback(None)

    def pauseProducing(self) -> None:
        """The transport has enough for now."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._is_paused = False
        self._tell()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so too."""

    # What the conversation calls.

    @property
    def is_quiet(self) -> bool:
        """Whether the connection stands, and the server has said nothing unasked."""
        return self._ended is None and not self._replies and self._framer.is_between_replies

    @property
    def is_standing(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._ended is None

    @property
    def waiting_reply(self) -> Reply | None:
        """The next reply that came and was not taken yet."""
        return self._replies[0] if self._replies else None

    @property
    def silent_seconds(self) -> float:
        """How long nothing was heard."""
        return self.clock.seconds() - self._heard

    def end(self, why: PeerError) -> None:
        """Cut the connection now; whoever waits, or asks later, gets `why`."""
        self._finish(why)
        if not self._is_lost:
            self.transport.abortConnection()

    def conceal(self, secret: bytes) -> None:
        """See that no error quotes the server saying this."""
        self._framer.conceal(secret)

    async def ask(self, line: bytes, step: str) -> Reply:
        """Send one command and await its reply.

        Args:
            line: without line end; may hold a secret.
            step: how the command is called in an error.

        Raises:
            NotConnected: the server is closing (421), or gone.
            PeerError: there will be no reply; the connection is of no more use.
        """
        self.say(line + b"\r\n")
        return await self.answer(step)

    def say(self, flight: bytes) -> None:
        """Write commands, to be followed by one `answer` for each.

        Args:
            flight: with line ends.

        Raises:
            PeerError: as `refuse_unasked`.
        """
        self.refuse_unasked()
        self.transport.write(flight)

    async def answer(self, step: str) -> Reply:
        """Await the reply to the next command that has none yet.

        Raises:
            NotConnected: it is 421, or there is none.
            PeerError: there will be no reply; the connection is of no more use.
        """
        reply = await self.next_reply(step)
        if reply.code == CLOSING:
            raise self.closing(reply)
        return reply

    async def next_reply(self, step: str) -> Reply:
        """Await the reply to the next command that has none yet, whatever it is.

        Raises:
            PeerError: it did not come in time.
        """
        if self._replies:
            return self._replies.popleft()
        return await self.reply(from_now(self.clock, step, self.command_seconds))

    async def reply(self, deadline: Deadline) -> Reply:
        """Await the next reply, whatever it is.

        Raises:
            PeerError: it did not come.
        """
        await self.until(lambda: bool(self._replies), deadline)
        return self._replies.popleft()

    def refuse_unasked(self) -> None:
        """See that every reply so far was asked for.

        One too many would be taken for the answer to the next command, and each
        answer from there on for that to another question.

        Raises:
            NotConnected: it is the server's farewell.
            ProtocolViolated: it is anything else.
        """
        if self._replies and self._replies[0].code == CLOSING:
            raise self.closing(self._replies[0])
        if self._replies or not self._framer.is_between_replies:
            found = str(self._replies[0]) if self._replies else "part of a reply"
            raise ProtocolViolated(
                peer=self.peer, found=f"{found}, unasked", expected="answers to commands only"
            )
        if self._ended is not None:
            raise self._ended

    async def secure(self, deadline: Deadline) -> None:
        """Start TLS and await its verified handshake.

        Raises:
            ProtocolViolated: bytes in clear came along, to be taken for private ones.
            CertificateRefused: it is not the server that was meant.
            PeerError: there is no TLS with it.
        """
        self.refuse_unasked()
        self.transport.startTLS(self.context)
        await self.until(lambda: self.is_private, deadline)

    async def write(self, block: bytes, deadline: Deadline, *, rider: bytes = b"") -> bool:
        """Write at the pace of the transport.

        Whatever this raises, the end of the block has not left us.

        Args:
            rider: goes with the end of the block.

        Returns:
            False if the server spoke before it was given the end.
        """
        if len(block) <= _CHUNK_BYTES and not self._replies:
            self.transport.write(block + rider)
            return True
        *before, last = range(0, len(block), _CHUNK_BYTES)
        self.transport.registerProducer(self, True)
        try:
            for start in (*before, last):
                await self.until(lambda: bool(self._replies) or not self._is_paused, deadline)
                if self._replies:
                    return False
                piece = block[start : start + _CHUNK_BYTES]
                self.transport.write(piece + rider if start == last else piece)
        finally:
            self.transport.unregisterProducer()
        return True

    async def until(self, ready: Callable[[], bool], deadline: Deadline) -> None:
        """Wait for something to be true.

        Raises:
            PeerError: why it will not become true any more.
        """
        if ready():
            return
        delay = max(0.0, deadline.at - self.clock.seconds())
        alarm = self.clock.callLater(delay, self._expire, deadline)
        try:
            while not ready():
                if self._ended is not None:
                    raise self._ended
                self._changed = Deferred(self._give_up)
                await self._changed
        finally:
            if alarm.active():
                alarm.cancel()

    async def part(self, seconds: float) -> None:
        """Let the server answer QUIT, or close the connection; then cut it.

        After that answer neither side has anything to say (RFC 5321 §4.1.1.10), so nobody
        waits for the other to close. Returns when nothing is left. Never fails.
        """
        with suppress(PeerError):
            deadline = from_now(self.clock, "closing", seconds)
            await self.until(lambda: self._is_lost or bool(self._replies), deadline)
        await self.gone()

    async def gone(self) -> None:
        """Cut the connection if it still stands; return when nothing is left of it."""
        self._finish(NotConnected(peer=self.peer, reason="the conversation is over"))
        if not self._is_lost:
            # Below TLS, whose own farewell would be one more packet to nobody.
            wrapped = isinstance(self.transport, ProtocolWrapper)
            (self.transport.transport if wrapped else self.transport).abortConnection()
            self._lost.append(Deferred(self._let_go))
            await self._lost[-1]

    def closing(self, reply: Reply) -> NotConnected:
        """What a 421 means, wherever it comes (RFC 5321 §3.8)."""
        return NotConnected(peer=self.peer, reason=f"it is closing: {reply}")

    def _give_up(self, _: Deferred[None]) -> None:
        """Whoever waited was cancelled: cut the connection, and tell them that."""
        self.end(NotConnected(peer=self.peer, reason="it was cut by us"))

    def _let_go(self, waiting: Deferred[None]) -> None:
        """Whoever awaited the end was cancelled: it is coming, and need not be awaited."""
        self._lost.remove(waiting)
        waiting.callback(None)

    def _expire(self, deadline: Deadline) -> None:
        self.end(DeadlinePassed(peer=self.peer, step=deadline.step, seconds=deadline.seconds))

    def _finish(self, why: PeerError) -> None:
        if self._ended is None:
            self._ended = why
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)
