"""How one letter goes over an open connection, in as few turns as the server allows.

=============  ======================================================  ==========
`Way`          what is written at once                                 turns
=============  ======================================================  ==========
``STEPWISE``   each command by itself, then the letter                 4 or more
``GROUPED``    MAIL, every RCPT, DATA; then the letter (RFC 2920)      2
``CHUNKED``    MAIL, every RCPT, BDAT and the letter (RFC 3030)        1
=============  ======================================================  ==========

Where it is known which letter comes next, ``GROUPED`` takes one turn as well: that
letter is *announced*, its group up to DATA goes with the end of this one, as RFC 2920
§3.1 allows in so many words. Still no more than one letter is ever out without an answer.

* If every recipient was refused and DATA is allowed all the same, a lone dot
  ends it, and nothing is delivered (RFC 2920 §3.1).
* With BDAT the letter is out before the first reply is in: it goes to those
  recipients who are not refused, and a connection that ends in between leaves
  the outcome unknown. Who wants all recipients or none, or sends much, asks
  first: MAIL and RCPT go in one write, and the letter in the next.
* An acceptance is a 2yz after our own end of the letter, and with nothing
  unasked around it.

RFC 5321 §3.3, RFC 2920 §3, RFC 3030 §2 and §3.
"""

from __future__ import annotations

import enum
from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct

from mailnotify.errors import NotConnected, OutcomeUnknown, PeerError, ProtocolViolated
from mailnotify.smtp.dialogue import CLOSING, MOST_COMMANDS, Dialogue, from_now
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.parcel import Parcel
from mailnotify.smtp.tally import Tally
from mailnotify.smtp.wire import Reply, chunk, data_block

#: A letter that goes slower than this, in bytes per second, is not going at all: one
#: of 25 MB has 3.5 hours.
LEAST_RATE = 2048

#: A letter bigger than this is not sent before the server has agreed to its envelope.
MOST_UNASKED_BYTES = 262_144

_GO_AHEAD = 354
_GOODBYE = 221
_QUIT = b"QUIT\r\n"


class Way(enum.Enum):
    """How much is said before the server is heard."""

    STEPWISE = "stepwise"
    GROUPED = "grouped"
    CHUNKED = "chunked"


class Receipt(Struct, frozen=True, kw_only=True):
    """A server has taken responsibility for a message, for every recipient.

    Attributes:
        peer: ``host:port``.
        recipients: the addresses that it was accepted for.
        said: the server's words, which often hold its name for the message.
        orders_reports: whether the server was asked for reports, and knows what they are.
    """

    peer: str
    recipients: tuple[str, ...]
    said: str
    orders_reports: bool = False


class _Command(NamedTuple):
    """One line and what it asks for."""

    verb: str
    line: bytes
    recipient: str = ""


class Handover:
    """One letter on one connection; of use once.

    Args:
        habits: what is known of the server, and learns from this.
        accept_seconds: how long the server may take over the end of the letter.
        is_last: whether QUIT goes along, for it costs no turn there.
        is_announced: whether the letter before has announced this one.
        following: what comes next, for certain, in groups; None if nobody knows.

    Attributes:
        announced: `following`, once it was announced.
    """

    def __init__(
        self,
        line: Dialogue,
        parcel: Parcel,
        *,
        way: Way,
        habits: Habits,
        accept_seconds: float,
        is_last: bool,
        is_announced: bool = False,
        following: Parcel | None = None,
    ) -> None:
        self.announced: Parcel | None = None
        self._is_announced = is_announced
        self._following = following
        self._line = line
        self._parcel = parcel
        self._way = way
        self._habits = habits
        self._accept_seconds = accept_seconds
        self._farewell = _QUIT if is_last and way is not Way.STEPWISE else b""
        self._tally = Tally(parcel.recipients, is_grouped=way is not Way.STEPWISE)
        self._is_in_group = False

    async def run(self) -> Receipt:
        """Hand the letter over.

        Raises:
            SubmissionFailed: refused for some recipients; accepted for its `accepted`.
            OutcomeUnknown: the server had all of it, and did not say what it did.
            PeerError: not sent; the connection is of no more use.
        """
        tally, peer = self._tally, self._line.peer
        try:
            reply = await self._converse()
        except PeerError as error:
            self._learn(error)
            raise
        if reply is not None and not reply.is_positive:
            tally.take_refusal(reply, is_in_group=self._is_in_group)
        self._learn(None)
        if reply is None or tally.refusals:
            raise tally.failure(peer)
        return Receipt(
            peer=peer,
            recipients=tuple(tally.accepted),
            said=reply.said,
            orders_reports=self._parcel.orders_reports,
        )

    def _learn(self, error: PeerError | None) -> None:
        """Remember a server with which a group went wrong."""
        peer, now = self._line.peer, self._line.clock.seconds()
        if self._tally.is_out_of_step:
            self._habits.broke(peer, now, is_certain=True)
        elif error is not None and self._is_in_group:
            is_certain = isinstance(error, ProtocolViolated)
            self._habits.broke(peer, now, is_certain=is_certain)
        elif error is None and self._way is not Way.STEPWISE:
            self._habits.held(peer)

    async def _converse(self) -> Reply | None:
        """Everything up to the reply that decides; None if it did not get so far."""
        line, tally, parcel = self._line, self._tally, self._parcel
        if self._is_announced:
            await self._hear(_group(parcel))
            return await self._after_data(await self._answer("DATA"))
        *before, last = self._groups()
        for group in before:
            await self._exchange(group)
            if tally.denied is not None:
                return None
        if self._way is Way.GROUPED and not parcel.all_or_nothing:
            await self._exchange([*last, _Command("DATA", b"DATA")])
            return await self._after_data(await self._answer("DATA"))
        is_small = len(parcel.content) <= MOST_UNASKED_BYTES
        if self._way is Way.CHUNKED and is_small and not parcel.all_or_nothing:
            return await self._all_at_once(last)
        await self._exchange(last)
        if tally.is_hopeless or (tally.refusals and parcel.all_or_nothing):
            tally.accepted.clear()
            return None
        if self._way is Way.CHUNKED:
            return await self._send(chunk(parcel.content))
        return await self._after_data(await line.ask(b"DATA", "DATA"))

    # The envelope.

    def _groups(self) -> list[list[_Command]]:
        """RSET if need be, MAIL, each RCPT, in groups that may each be one write."""
        parcel = self._parcel
        commands = [_Command("RSET", b"RSET")] if self._line.is_unfinished else []
        commands += _group(parcel)[:-1]
        size = 1 if self._way is Way.STEPWISE else MOST_COMMANDS
        return [commands[start : start + size] for start in range(0, len(commands), size)]

    async def _exchange(self, group: list[_Command]) -> None:
        """Say a group and take the replies; that to DATA is left to be taken.

        Raises:
            NotConnected: one of them was 421; the letter is not out yet.
        """
        self._line.say(_joined(group))
        await self._hear(group)

    async def _hear(self, group: list[_Command]) -> None:
        """Take the replies to a group that was said; that to DATA is left to be taken."""
        self._is_in_group = len(group) > 1
        for command in group:
            if command.verb != "DATA":
                self._take(command, await self._answer(command.verb))
        self._is_in_group = group[-1].verb == "DATA"

    async def _answer(self, verb: str) -> Reply:
        reply = await self._line.next_reply(verb)
        if reply.code == CLOSING:
            self._is_in_group = False  # an end in good order says nothing against groups
            raise self._line.closing(reply)
        return reply

    def _take(self, command: _Command, reply: Reply) -> None:
        if command.verb == "RCPT":
            self._tally.take_rcpt(command.recipient, reply)
        elif command.verb == "MAIL":
            self._tally.take_mail(reply)
            self._line.is_unfinished = reply.is_positive

    # The letter.

    async def _after_data(self, go_ahead: Reply) -> Reply | None:
        """Send the letter if we may; return the reply that decides its fate."""
        line, tally = self._line, self._tally
        if go_ahead.is_positive:
            raise ProtocolViolated(peer=line.peer, found=f"{go_ahead} to DATA", expected="354")
        if tally.is_hopeless:
            if go_ahead.code == _GO_AHEAD:
                await self._send_nothing()
            return None
        if go_ahead.code != _GO_AHEAD:
            return go_ahead
        self._is_in_group = False
        return await self._send(data_block(self._parcel.content))

    async def _send_nothing(self) -> None:
        """End a letter for nobody by a lone dot; the outcome is known whatever comes."""
        if self._tally.denied is not None:  # then whose letter would that be?
            self._line.end(NotConnected(peer=self._line.peer, reason="it is out of step"))
            return
        with suppress(PeerError):
            self._line.say(b".\r\n")
            await self._verdict()

    async def _send(self, block: bytes) -> Reply:
        """Write the letter at the pace of the line, with QUIT behind it."""
        line = self._line
        line.refuse_unasked()
        seconds = line.command_seconds + len(block) / LEAST_RATE
        deadline = from_now(line.clock, "taking the letter", seconds)
        following = None if self._farewell else self._following
        rider = _joined(_group(following)) if following is not None else self._farewell
        if not await line.write(block, deadline, rider=rider):
            return await self._interrupted()
        line.has_quit, self.announced = bool(self._farewell), following
        return await self._verdict()

    async def _interrupted(self) -> Reply:
        """The server spoke while we did: it can only have refused."""
        line = self._line
        line.end(NotConnected(peer=line.peer, reason="it interrupted the letter"))
        reply = await line.next_reply("DATA")
        if reply.is_temporary or reply.is_permanent:
            return reply
        raise ProtocolViolated(
            peer=line.peer, found=f"{reply} before the end of the letter", expected="silence"
        )

    async def _all_at_once(self, group: list[_Command]) -> Reply | None:
        """Say the last group with the letter behind it, and take every reply."""
        line = self._line
        line.say(_joined(group) + chunk(self._parcel.content) + self._farewell)
        line.has_quit = bool(self._farewell)
        self._is_in_group = True
        closing: Reply | None = None
        try:
            for command in group:
                reply = await line.next_reply(command.verb)
                self._take(command, reply)
                closing = reply if reply.code == CLOSING else closing
            reply = await self._verdict()
        except PeerError as error:
            if closing is not None:  # RFC 5321 §3.8: that was the end, and no letter came in
                self._is_in_group = False
                raise line.closing(closing) from error
            if self._tally.is_hopeless:
                return None
            if isinstance(error, OutcomeUnknown):
                raise
            raise OutcomeUnknown(peer=line.peer, reason=str(error)) from error
        self._refuse_extra()
        return reply

    def _refuse_extra(self) -> None:
        """With a reply too many, the last one may belong to a command before the letter."""
        extra = self._line.waiting_reply
        if extra is not None and not (self._farewell and extra.code in (_GOODBYE, CLOSING)):
            raise OutcomeUnknown(
                peer=self._line.peer, reason=f"it answered once too often: {extra}"
            )

    async def _verdict(self) -> Reply:
        """The reply to the end of the letter; without it nobody knows."""
        line = self._line
        deadline = from_now(line.clock, "accepting the letter", self._accept_seconds)
        try:
            reply = await line.reply(deadline)
        except PeerError as error:
            raise OutcomeUnknown(peer=line.peer, reason=str(error)) from error
        if reply.code < 400 and not reply.is_positive:
            raise OutcomeUnknown(peer=line.peer, reason=f"it answered {reply}")
        # After a refused BDAT the server's state is undefined (RFC 3030 §2).
        line.is_unfinished = self._way is Way.CHUNKED and not reply.is_positive
        return reply


def _rcpt(recipient: str, line: bytes) -> _Command:
    return _Command("RCPT", line, recipient)


def _group(parcel: Parcel) -> list[_Command]:
    """MAIL, each RCPT and DATA."""
    rcpts = map(_rcpt, parcel.recipients, parcel.rcpts)
    return [_Command("MAIL", parcel.mail), *rcpts, _Command("DATA", b"DATA")]


def _joined(group: list[_Command]) -> bytes:
    return b"\r\n".join([command.line for command in group]) + b"\r\n"
