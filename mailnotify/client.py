"""Follows a server's stream of entries for ever, and hands each to the sinks.

The journey of an entry here: server → `FrameStream` → each sink in turn → the position
on disk. One entry at a time; a slow sink slows the server down and fills no memory.

Guarantee: no entry is left out, and by default one can be shown again after a crash in
the moment between showing and storing. With `store_first` none is shown twice, and a
crash in that moment leaves one out. A repeated entry (its seq is not above the position,
in the same epoch) is ignored.

The connection is kept by Twisted's `ClientService`, with delays of our own: only a
session that reached LIVE proves that the server is well, not a TCP connection.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Final

from msgspec import Struct
from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)
from twisted.python.failure import Failure

from mailnotify import __version__
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import Position
from mailnotify.core.frames import (
    Announce,
    Bye,
    Edge,
    Gap,
    Lacking,
    Live,
    Queued,
    Refused,
    Send,
    ServerFrame,
    Since,
    Subscribe,
    Subscribed,
    Unreadable,
)
from mailnotify.core.text import clean
from mailnotify.errors import MailnotifyError, NotConnected, PositionUnwritable
from mailnotify.interfaces import ISink
from mailnotify.outgoing import Outgoing
from mailnotify.position import PositionFile
from mailnotify.stream import SILENCE_SECONDS, FrameStream

GRACE_SECONDS: Final = 0.5
"""How long a stopping client waits for the entry on display; `twistd` shall end within 2 s."""

_NAMES_BYTES: Final = 500
"""Of the names of accounts in one line."""


_LACKING: Final[Mapping[str, str]] = {
    Lacking.EXPIRED: "they are older than what is kept",
    Lacking.EPOCH: "the journal was rebuilt, or restored from a copy; all it has is shown",
    Lacking.AHEAD: "an older copy of the journal was restored",
}


class Notice(enum.Enum):
    """What a person should know of the connection itself."""

    BLIND = "blind"
    SEEING = "seeing"
    REMARK = "remark"


class Following(Struct, frozen=True, kw_only=True):
    """What a client follows, and how.

    Attributes:
        peer_name: the server in notices and errors.
        since: where to start without a kept position.
        accounts: only these; all if empty.
        store_first: keep the position before an entry is shown, not after.
        has_certificate: the connection shows a certificate, which the server may know.
        silence_seconds: after so long without a byte the server is asked for a sign of life.
    """

    peer_name: str
    since: Since = Edge.NOW
    accounts: tuple[str, ...] = ()
    store_first: bool = False
    has_certificate: bool = False
    silence_seconds: float = SILENCE_SECONDS


class _Connections(ClientService):
    """Twisted's, without its line in the log for each attempt: what is of use, we say."""

    _log = Logger(
        observer=FilteringLogObserver(globalLogPublisher, [LogLevelFilterPredicate(LogLevel.warn)])
    )


class NotifyClient(Service):
    """A client of port 5050.

    Args:
        positions: where the position is kept; None forgets it with the process.
        notice: told in one line what a person should know of the connection; the log if None.
        token: what to show to the server, asked for each connection; empty if nothing.
        starttls: how to go on in TLS over an endpoint in clear; None to stay as it is.
    """

    _log = Logger()

    def __init__(
        self,
        following: Following,
        *,
        endpoint: IStreamClientEndpoint,
        sinks: Sequence[ISink],
        positions: PositionFile | None,
        backoff: Backoff,
        clock: IReactorTime,
        notice: Callable[[Notice, str], object] | None = None,
        token: Callable[[], str] | None = None,
        starttls: IOpenSSLClientConnectionCreator | None = None,
    ) -> None:
        self._following = following
        self._sinks = sinks
        self._positions = positions
        self._backoff = backoff
        self._clock = clock
        self._token = token
        self._starttls = starttls
        self._notice = notice or self._log_notice
        self._position: Position | None = None
        self._stream: FrameStream | None = None
        self._follower: Deferred[None] = succeed(None)
        self._is_seen: bool | None = None
        self._is_unkept = False
        self._outgoing = Outgoing(following.peer_name)
        factory = Factory.forProtocol(self._new_stream)
        factory.noisy = False
        self._connections = _Connections(
            endpoint,
            factory,
            retryPolicy=lambda _: self._backoff.failed(),
            clock=clock,
        )

    def startService(self) -> None:
        """Read the position and connect.

        Raises:
            PositionBusy, PositionUnwritable: this client cannot keep its position.
        """
        if self._positions is not None:
            self._positions.open()
            self._position = self._positions.read()
        super().startService()
        # Only the first failure needs this: a connection that is lost says so itself.
        self._connections.whenConnected(failAfterFailures=1).addErrback(self._not_connected)
        self._connections.startService()

    def stopService(self) -> Deferred[None]:
        """Close the connection, the sinks and the position; fires when nothing is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def send(
        self, message: bytes, *to: str, sender: str = "", account: str = "", key: str = ""
    ) -> Deferred[Queued]:
        """Queue a letter in the outbox of the server, whose mail this client follows.

        It goes as soon as there is a connection, and again over the next one if that ends
        before the answer.

        Args:
            message: header and body; From, Date and Message-ID are added if they are missing.
            to: the recipients.
            sender: an identity of the account; its usual one if empty.
            account: the one with that identity, or the only one, if empty.
            key: with the same key it is the same letter, also in another run of the program.

        Returns:
            Fires when the letter is durable there. Fails with CommandRefused, whose `status`
            is a code as in docs/protocol.rst; LetterInvalid (too many recipients for a line);
            OutcomeUnknown after ten connections without an answer; NotConnected when this
            client stops.
        """
        key = key or token_hex(16)
        asked = Send(size=len(message), to=to, sender=sender, account=account, key=key)
        return self._outgoing.send(asked, message)

    async def _stop(self) -> None:
        grace = self._clock.callLater(GRACE_SECONDS, self._follower.cancel)
        if self._stream is not None:
            self._stream.quit()
        await self._connections.stopService()
        await self._follower
        if grace.active():
            grace.cancel()
        stopped = NotConnected(peer=self._following.peer_name, reason="the client was stopped")
        self._outgoing.give_up(stopped)
        for sink in self._sinks:
            await sink.close()
        if self._positions is not None:
            self._positions.close()

    # --- the connection ---------------------------------------------------------------

    def _new_stream(self) -> FrameStream:
        return FrameStream(
            self._following.peer_name,
            self._connected,
            clock=self._clock,
            silence_seconds=self._following.silence_seconds,
        )

    def _connected(self, stream: FrameStream) -> None:
        self._stream = stream
        before = self._follower
        self._follower = Deferred.fromCoroutine(self._keep_following(stream, before))

    def _not_connected(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # else the service was stopped
            self._say_blind(failure.getErrorMessage())

    async def _keep_following(self, stream: FrameStream, before: Deferred[None]) -> None:
        """Follow one connection to its end, whatever end that is."""
        try:
            await before  # an entry of the connection before may still be on display
            await self._follow(stream)
        except NotConnected as failure:
            self._say_blind(failure.reason)  # whose connection it was is said before it
        except MailnotifyError as failure:
            self._say_blind(str(failure))
        except CancelledError:  # stopped while an entry was on display; it comes again
            pass
        except Exception:
            self._log.failure("The client goes on with a new connection after a mistake of ours")
        self._outgoing.closed()
        stream.abort()

    def _say_blind(self, why: str) -> None:
        """Say once that nothing is seen any more, or not yet."""
        if self._is_seen is not False and self.running:
            self._is_seen = False
            self._notice(Notice.BLIND, f"{self._following.peer_name} is out of sight: {why}")

    # --- one session ------------------------------------------------------------------

    async def _follow(self, stream: FrameStream) -> None:
        welcome = await stream.introduce(
            f"mailnotify/{__version__}",
            starttls=self._starttls,
            token=self._token() if self._token is not None else "",
            has_certificate=self._following.has_certificate,
        )
        since = self._position or self._following.since
        stream.send(Subscribe(since=since, accounts=self._following.accounts))
        subscribed = await stream.answer(Subscribed, "SUBSCRIBE")
        if subscribed.unknown:
            names = clean(", ".join(subscribed.unknown), _NAMES_BYTES)
            self._remark(f"{self._following.peer_name} knows no account {names}")
        if self._position is None:
            # From now on a restart resumes here, even if no entry ever comes.
            await self._move(subscribed.position)
        self._outgoing.opened(stream, welcome.max_line)
        while not isinstance(frame := await stream.next_frame(), Bye):
            await self._take(frame)
        raise NotConnected(peer=self._following.peer_name, reason=f"BYE {frame.reason}")

    async def _take(self, frame: ServerFrame) -> None:
        match frame:
            case Announce():
                await self._show(frame)
            case Unreadable():
                self._remark(f"an event of a newer mailnotify ({frame.kind}) cannot be shown")
                await self._move_up(frame.position)
            case Gap():
                why = _LACKING.get(frame.reason, frame.reason)
                self._remark(f"messages from {frame.since} to {frame.to} cannot be shown: {why}")
                await self._move(frame.to)
            case Live():
                self._went_live()
                await self._move_up(frame.position)
            case Queued() | Refused() if self._outgoing.answered(frame):
                pass
            case Refused():
                self._remark(f"the server refused: {frame.code} {frame.reason}")

    def _went_live(self) -> None:
        self._backoff.proved()
        if not self._is_seen:
            self._is_seen = True
            self._notice(Notice.SEEING, f"{self._following.peer_name} is in sight")

    async def _show(self, announce: Announce) -> None:
        if self._is_known(announce.position):
            return
        if self._following.store_first:
            await self._move(announce.position)
        for sink in self._sinks:
            await sink.deliver(announce.entry, announce.position)
        if not self._following.store_first:
            await self._move(announce.position)

    def _is_known(self, position: Position) -> bool:
        known = self._position
        return known is not None and known.epoch == position.epoch and position.seq <= known.seq

    async def _move_up(self, position: Position) -> None:
        """Go on from here, unless that would be going back; only GAP may tell us to."""
        if not self._is_known(position):
            await self._move(position)

    async def _move(self, position: Position) -> None:
        """Go on from here; with a turn of the reactor, since a disk takes its time.

        Raises:
            PositionUnwritable: with `store_first`, where going on would risk to show twice.
        """
        if position == self._position:
            return
        if self._positions is not None:
            try:
                self._positions.save(position)
                self._is_unkept = False
            except PositionUnwritable as failure:
                self._complain(failure)
                if self._following.store_first:
                    raise
            await deferLater(self._clock, 0)
        self._position = position

    def _complain(self, failure: PositionUnwritable) -> None:
        if not self._is_unkept:
            self._is_unkept = True
            self._remark(f"{failure}. {failure.remedy}")

    def _remark(self, line: str) -> None:
        self._notice(Notice.REMARK, line)

    def _log_notice(self, notice: Notice, line: str) -> None:
        level = LogLevel.info if notice is Notice.SEEING else LogLevel.warn
        self._log.emit(level, "{line}", line=line)
