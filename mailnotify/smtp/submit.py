"""Submits letters: one by itself, or one after the other over a connection that is held.

There is no second attempt here: whoever makes it has to know whether the first
one may have worked (`OutcomeUnknown`), and must wait in between. A `Submitter`
connects when there is something to send and no connection stands; a letter is
never given to two of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.auth.sasl import Credentials
from mailnotify.config.schema import Server, Timing, Trust
from mailnotify.errors import DeadlinePassed, LetterInvalid, LoginDeferred, LoginDenied
from mailnotify.interfaces import IConnector
from mailnotify.loss import explain
from mailnotify.smtp.addresses import parse_address
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.handover import Receipt
from mailnotify.smtp.parcel import Wishes
from mailnotify.smtp.sender import Following, LetterSender, LetterSenderFactory

#: How long a connection without a letter is kept. Servers drop it after 5 minutes (RFC
#: 5321 §4.5.3.2.7), and routers forget it without a word somewhat later.
IDLE_SECONDS = 30.0

_NO_WISHES = Wishes()


async def submit(
    envelope: Envelope,
    message: bytes,
    *,
    server: Server,
    trust: Trust,
    credentials: Credentials,
    connector: IConnector,
    clock: IReactorTime,
    deadlines: Timing,
    wishes: Wishes = _NO_WISHES,
) -> Receipt:
    """Submit a message; return when it is accepted and the connection is closed.

    Cancelling cuts the connection; what had become of the letter by then is still
    told, by the receipt or one of the errors.

    Args:
        message: header and body; any line ends.
        credentials: of `server.user`.
        deadlines: those for connecting, for a command and for accepting count.

    Raises:
        LetterInvalid: this server cannot take it as it is; nothing was sent.
        SubmissionFailed: refused for some recipients; accepted for its `accepted`.
        LoginDenied, LoginDeferred, CertificateRefused, ChannelInsecure: nothing was sent.
        NotConnected, DeadlinePassed, ProtocolViolated: nothing was sent.
        OutcomeUnknown: the server had all of it, and did not say what it did.
    """
    check_envelope(envelope)
    factory = LetterSenderFactory(
        server=server,
        credentials=credentials,
        tls_options=connector.tls_options(server, trust),
        clock=clock,
        deadlines=deadlines,
        habits=Habits(),
    )
    sender = await _connect(factory, server, trust, connector, clock)
    try:
        return await sender.send(envelope, message, wishes, is_last=True)
    finally:
        await sender.close()


class Submitter:
    """Submits letters of one account, one at a time, over one connection.

    It is opened for the first letter, kept for the next ones, and closed after a
    while without any, or by `close`.

    Args:
        credentials: fetches what logs in, for each connection anew: tokens expire.
        idle_seconds: how long the connection is kept without a letter.
        habits: what is known of servers; share it between submitters.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        server: Server,
        trust: Trust,
        credentials: Callable[[], Awaitable[Credentials]],
        connector: IConnector,
        clock: IReactorTime,
        deadlines: Timing,
        habits: Habits,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._server = server
        self._trust = trust
        self._credentials = credentials
        self._connector = connector
        self._clock = clock
        self._deadlines = deadlines
        self._habits = habits
        self._idle_seconds = idle_seconds
        self._sender: LetterSender | None = None
        self._turn = DeferredLock()
        self._used_at = 0.0
        self._idling: IDelayedCall | None = None
        self._following: bytes | None = None

    @property
    def is_open(self) -> bool:
        """Whether the next letter needs no new connection, as far as is known."""
        return self._sender is not None and self._sender.is_quiet

    def awaits(self, message: bytes) -> bool:
        """Whether this very letter was named as `following` last, and no other has come."""
        return self._following is message

    @property
    def is_reserved(self) -> bool:
        """Whether some letter was."""
        return self._following is not None

    async def submit(
        self,
        envelope: Envelope,
        message: bytes,
        wishes: Wishes = _NO_WISHES,
        following: Following | None = None,
    ) -> Receipt:
        """Submit a message; return when it is accepted. One that is under way goes first.

        A connection that turns out to be dead fails the letter, which was then not
        sent: `is_open` is False after that, and the next letter connects anew.
        Cancelling cuts the connection, as in the function `submit`.

        Args:
            following: the letter that will be submitted next, here: the server is told of it
                along with this one, where that saves a turn. Another letter costs a connection.

        Raises: as the function `submit`, and what `credentials` raises.
        """
        check_envelope(envelope)
        await self._turn.acquire()
        try:
            self._following = None
            sender = await self._ready()
            following = _sound(following)
            try:
                return await sender.send(
                    envelope, message, wishes, is_last=False, following=following
                )
            finally:
                if following is not None and sender.is_reserved:
                    self._following = following.message
        finally:
            self._used_at = self._clock.seconds()
            self._watch_idling()
            self._turn.release()

    async def close(self) -> None:
        """Say goodbye; returns when no connection and no timer is left. Never fails."""
        await self._turn.acquire()
        try:
            await self._let_go()
        finally:
            idling, self._idling = self._idling, None
            if idling is not None:
                idling.cancel()
            self._turn.release()

    async def _ready(self) -> LetterSender:
        """The connection that stands, or a new one."""
        if self._sender is not None and not self._sender.is_quiet:
            await self._let_go()
        if self._sender is None:
            factory = LetterSenderFactory(
                server=self._server,
                credentials=await self._credentials(),
                tls_options=self._connector.tls_options(self._server, self._trust),
                clock=self._clock,
                deadlines=self._deadlines,
                habits=self._habits,
            )
            self._sender = await _connect(
                factory, self._server, self._trust, self._connector, self._clock
            )
        return self._sender

    async def _let_go(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    def _watch_idling(self) -> None:
        """See that the connection is closed in the end: one timer for all its letters."""
        if self._sender is not None and self._idling is None:
            self._idling = self._clock.callLater(self._idle_seconds, self._look_idle)

    def _look_idle(self) -> None:
        """Close the connection, or wait for what is missing since it was used last."""
        self._idling = None
        left = self._used_at + self._idle_seconds - self._clock.seconds()
        if self._turn.locked or left > 0:
            delay = self._idle_seconds if self._turn.locked else left
            self._idling = self._clock.callLater(delay, self._look_idle)
            return
        closing = Deferred.fromCoroutine(self.close())
        closing.addErrback(lambda failure: self._log.failure("a bug", failure=failure))


async def _connect(
    factory: LetterSenderFactory,
    server: Server,
    trust: Trust,
    connector: IConnector,
    clock: IReactorTime,
) -> LetterSender:
    """Get a connection that is logged in."""
    sender = await _reach(factory, server, trust, connector, clock)
    try:
        await sender.opened
    except (LoginDenied, LoginDeferred):
        await sender.close()
        raise
    except BaseException:
        await sender.gone()
        raise
    return sender


async def _reach(
    factory: LetterSenderFactory,
    server: Server,
    trust: Trust,
    connector: IConnector,
    clock: IReactorTime,
) -> LetterSender:
    """Get a TCP connection; TLS and greeting are on the same deadline, in the sender."""
    opening = factory.opening
    connecting = connector.endpoint(server, trust).connect(factory)
    alarm = clock.callLater(opening.seconds, connecting.cancel)
    try:
        made = await connecting
    except CancelledError:
        if alarm.active():
            raise
        raise DeadlinePassed(peer=str(server), step=opening.step, seconds=opening.seconds) from None
    except Exception as error:
        raise explain(Failure(error), str(server), is_secure=False) from None
    finally:
        if alarm.active():
            alarm.cancel()
    assert isinstance(made, LetterSender)
    return made


def check_envelope(envelope: Envelope) -> None:
    """An envelope may come from elsewhere than `compose.address`: nothing forged in it.

    Raises:
        LetterInvalid: something is, or there is no recipient.
    """
    if envelope.sender:
        _check_address("sender", envelope.sender)
    for recipient in envelope.recipients:
        _check_address("recipient", recipient)
    if not envelope.recipients:
        raise LetterInvalid(field="recipient", found="missing", expected="at least one")


def _sound(following: Following | None) -> Following | None:
    """A letter that may be announced; one that is wrong hears so in its turn."""
    if following is not None:
        with suppress(LetterInvalid):
            check_envelope(following.envelope)
            return following
    return None


@lru_cache(maxsize=4096)  # most letters go to somebody who got one before
def _check_address(field: str, address: str) -> None:
    if parse_address(field, address).address != address:
        raise LetterInvalid(field=field, found=repr(address), expected="a bare address")
