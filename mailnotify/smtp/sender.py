"""One connection to a submission server, from the greeting to the farewell.

Greeting, EHLO, STARTTLS if the connection is not inside TLS already, EHLO
again, AUTH; then any number of letters (`handover`); QUIT (RFC 5321, RFC 6409).
Nothing but EHLO and STARTTLS is said before TLS stands and the certificate was
verified; there is no setting that changes this.

The rules that make the result true:

* accepted is what got a 2yz *after* our own end of the letter, asked for by us;
* before that end every failure means "not sent"; from there on an end without
  a reply is `OutcomeUnknown`, and never called anything else;
* each recipient has an outcome of its own;
* no error holds a secret, not even one that the server said back to us.

Whether to connect again is for those who hold the connection to decide: only
they know what is in doubt.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.mail.smtp import ESMTPSenderFactory

from mailnotify.auth.sasl import Credentials
from mailnotify.config.schema import Server, Timing
from mailnotify.errors import ChannelInsecure, LetterInvalid, NotConnected, PeerError
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.dialogue import MOST_COMMANDS, Deadline, Dialogue, from_now
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.handover import Handover, Receipt, Way
from mailnotify.smtp.login import log_in
from mailnotify.smtp.offer import Offer, read_offer
from mailnotify.smtp.parcel import Parcel, Wishes, pack
from mailnotify.smtp.wire import Reply

__all__ = ["FAREWELL_SECONDS", "LetterSender", "LetterSenderFactory", "Receipt"]

#: How long the server may take to say goodbye. The letter is in safety by then.
FAREWELL_SECONDS = 5.0

#: After this silence a server may have gone without a word: the first letter asks before
#: it is sent, so that no outcome is in doubt that need not be.
FRESH_SECONDS = 10.0

#: Our name in EHLO: an address literal (RFC 5321 §4.1.3) that tells nothing about
#: this machine, since the server writes it into the header of each letter.
OUR_NAME = b"[127.0.0.1]"


class Following(Struct, frozen=True, kw_only=True):
    """The letter that will be sent next, as `LetterSender.send` takes it."""

    envelope: Envelope
    message: bytes
    wishes: Wishes


class LetterSender(Dialogue):
    """Sends letters, one after the other.

    Attributes:
        opened: fires when letters can be sent, or with the reason why not.
        offer: what the server offers; of use once it is opened.
    """

    opened: Deferred[None]
    offer: Offer

    factory: LetterSenderFactory

    def connectionMade(self) -> None:
        """Start to talk."""
        super().connectionMade()
        self.offer = Offer()
        self._announced: Parcel | None = None
        self.opened = Deferred.fromCoroutine(self._open())

    @property
    def is_quiet(self) -> bool:
        """See `Dialogue.is_quiet`; the replies to what was announced may be there."""
        return super().is_quiet if self._announced is None else self.is_standing

    @property
    def is_reserved(self) -> bool:
        """Whether the server awaits one certain letter."""
        return self._announced is not None

    async def send(
        self,
        envelope: Envelope,
        message: bytes,
        wishes: Wishes,
        *,
        is_last: bool,
        following: Following | None = None,
    ) -> Receipt:
        """Hand one letter over; nothing else may be under way.

        Args:
            message: header and body; any line ends.
            is_last: whether nothing will be sent after it.
            following: what will be sent next; any other letter would cost the connection.

        Raises:
            LetterInvalid: this server cannot take it as it is; nothing was sent.
            SubmissionFailed: refused for some recipients; accepted for its `accepted`.
            OutcomeUnknown: the server had all of it, and did not say what it did.
            PeerError: not sent; the connection is of no more use.
        """
        parcel = pack(envelope, message, offer=self.offer, wishes=wishes, peer=self.peer)
        is_announced = self._is_announced(parcel)
        way = Way.GROUPED if is_announced else self._way()
        handover = Handover(
            self,
            parcel,
            way=way,
            habits=self.factory.habits,
            accept_seconds=self.factory.accept_seconds,
            is_last=is_last,
            is_announced=is_announced,
            following=self._pack_ahead(following) if way is Way.GROUPED else None,
        )
        try:
            return await handover.run()
        finally:
            self._announced = handover.announced

    async def close(self) -> None:
        """Say goodbye if there is anybody to say it to; returns when nothing is left.

        What was accepted stays so, whatever the server answers. Never fails.
        """
        if self._announced is not None:  # the server awaits a letter, and would take QUIT for it
            await self.gone()
            return
        with suppress(PeerError):
            if not self.has_quit:
                self.say(b"QUIT\r\n")
                self.has_quit = True
            await self.part(FAREWELL_SECONDS)
        await self.gone()

    def _way(self) -> Way:
        offer, now = self.offer, self.clock.seconds()
        if not offer.has_pipelining or self.factory.habits.is_stepwise(self.peer, now):
            return Way.STEPWISE
        is_fresh = self.silent_seconds < FRESH_SECONDS
        return Way.CHUNKED if offer.has_chunking and is_fresh else Way.GROUPED

    def _is_announced(self, parcel: Parcel) -> bool:
        """Whether the server was told of this letter.

        Raises:
            NotConnected: it was told of another one, and awaits that.
        """
        announced, self._announced = self._announced, None
        if announced is not None and announced != parcel:
            why = NotConnected(peer=self.peer, reason="it awaits a letter that does not come")
            self.end(why)
            raise why
        return announced is not None

    def _pack_ahead(self, following: Following | None) -> Parcel | None:
        """What can be announced: one group, and no gain where BDAT does as well."""
        if following is None or self.offer.has_chunking:
            return None
        try:
            parcel = pack(
                following.envelope,
                following.message,
                offer=self.offer,
                wishes=following.wishes,
                peer=self.peer,
            )
        except LetterInvalid:  # it will hear that in its turn
            return None
        is_one_group = len(parcel.rcpts) + 2 <= MOST_COMMANDS
        return parcel if is_one_group and not parcel.all_or_nothing else None

    async def _open(self) -> None:
        """Get to where mail can be sent."""
        greeting = await self.reply(self.factory.opening)
        self._expect(greeting.code == 220, greeting, "the connection")
        offer = await self._hello()
        if not self.is_private:
            await self._start_tls(offer)
            offer = await self._hello()  # what was offered in clear proves nothing
        await log_in(self, self.factory.credentials, offer.mechanisms)
        self.offer = offer

    async def _hello(self) -> Offer:
        reply = await self.ask(b"EHLO " + self.identity, "EHLO")
        self._expect(reply.is_positive, reply, "EHLO")
        return read_offer(reply)

    def _expect(self, is_good: bool, reply: Reply, what: str) -> None:
        if not is_good:
            raise NotConnected(peer=self.peer, reason=f"it refused {what}: {reply}")

    async def _start_tls(self, offer: Offer) -> None:
        if not offer.has_starttls:
            raise ChannelInsecure(peer=self.peer, reason="it does not offer STARTTLS")
        reply = await self.ask(b"STARTTLS", "STARTTLS")
        if reply.code != 220:
            raise ChannelInsecure(peer=self.peer, reason=f"it refused STARTTLS: {reply}")
        await self.secure(from_now(self.clock, "the TLS handshake", self.factory.opening.seconds))


class LetterSenderFactory(ESMTPSenderFactory):
    """Makes one connection.

    Attributes:
        credentials: what logs in there.
        opening: the deadline for TCP, TLS and greeting together.
        accept_seconds: how long the server may take over the end of a letter.
        habits: what is known of servers.
    """

    protocol = LetterSender
    domain = OUR_NAME
    noisy = False

    def __init__(
        self,
        *,
        server: Server,
        credentials: Credentials,
        tls_options: object,
        clock: IReactorTime,
        deadlines: Timing,
        habits: Habits,
    ) -> None:
        self.credentials = credentials
        self.habits = habits
        self.opening: Deadline = from_now(clock, "connecting", deadlines.connect_seconds)
        self.accept_seconds = deadlines.accept_seconds
        self._peer = str(server)
        self._clock = clock
        self._command_seconds = deadlines.command_seconds
        super().__init__(
            credentials.user.encode(),
            credentials.secret.encode(),
            # The letters come later, one by one, and each has an outcome of its own.
            fromEmail="",
            toEmail=[],
            file=BytesIO(),
            deferred=Deferred(),
            retries=0,  # whoever tries again must know whether this may have worked
            contextFactory=tls_options,
            requireAuthentication=True,
            requireTransportSecurity=True,
        )

    def buildProtocol(self, addr: IAddress | None) -> LetterSender:  # type: ignore[override]
        """The sender for this connection."""
        sender: LetterSender = super().buildProtocol(addr)
        sender.clock = self._clock
        sender.peer = self._peer
        sender.command_seconds = self._command_seconds
        return sender
