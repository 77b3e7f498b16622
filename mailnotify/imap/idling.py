"""IDLE for as long as somebody listens (RFC 2177).

One IDLE follows another: behind every command, in the same write, and by itself
when its time is over, since servers and NATs cut what is silent for too long.
A server that refuses IDLE is no longer asked: its hints come with the polls. One that
ends it by itself is left alone for a while, longer each time.
Nothing that a server says before an IDLE, or while one is ended, can be passed
over by it: every response is heard at once, whatever is under way.

An IDLE that follows another command in one write is a *burst*, and some servers
cannot take one. What becomes of it is noted in the host's `habits`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.errors import CommandRefused, PeerError
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Idle
from mailnotify.imap.habits import Habits
from mailnotify.imap.responses import Tagged

PAUSE_SECONDS = 1.0
"""Before the next IDLE when a server ended one by itself: no hammering, not blind for long."""

LONGEST_PAUSE_SECONDS = 60.0
"""The same where it does so each time: from there on we poll, by IDLE."""

_STEADY_SECONDS = 60.0
"""An IDLE that lasted so long was no failure."""


class _Kept(Idle):
    """An IDLE that another one follows."""

    __slots__ = ("_idling",)

    def __init__(self, idling: Idling) -> None:
        super().__init__()
        self._idling = idling

    def begin(self) -> None:
        super().begin()
        self._idling.begun(self)

    def end(self, tagged: Tagged) -> None:
        self._idling.ended(self, tagged)

    def fail(self, error: PeerError) -> None:
        self._idling.lost(error)


class Idling:
    """Keeps a connection in IDLE.

    Args:
        renewal_seconds: how long one IDLE lasts at most.
        habits: of the host.
        hint: called when there may be news that the server did not tell.
    """

    __slots__ = (
        *("_begun_at", "_burst", "_client", "_clock", "_habits", "_hint", "_is_pausing"),
        *("_is_refused", "_is_wanted", "_pause_seconds", "_renewal_seconds", "_started", "_timer"),
    )

    _log = Logger()

    def __init__(
        self,
        client: MailboxClient,
        clock: IReactorTime,
        renewal_seconds: float,
        habits: Habits,
        hint: Callable[[], None],
    ) -> None:
        self._client = client
        self._clock = clock
        self._renewal_seconds = renewal_seconds
        self._habits = habits
        self._hint = hint
        self._is_wanted = False
        self._is_refused = False
        self._is_pausing = False
        self._pause_seconds = PAUSE_SECONDS
        self._begun_at = 0.0
        self._burst: Idle | None = None
        self._started: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether an IDLE follows every command."""
        return self._is_wanted

    def start(self) -> Deferred[None]:
        """Enter IDLE; fires when the server has begun it or refused it.

        Raises (in the Deferred):
            PeerError: the connection ended first.
        """
        if self._is_refused:
            return succeed(None)
        started = self._started = Deferred()
        self._is_wanted = True
        self._client.submit(_Kept(self))
        return started

    def next(self) -> tuple[Idle, ...]:
        """What has to follow a command: the next IDLE, or nothing."""
        if not self._is_wanted or self._is_pausing:
            return ()
        idle = _Kept(self)
        if not self._habits.is_stepwise:
            self._burst = idle
        return (idle,)

    @property
    def is_in_burst(self) -> bool:
        """Whether an IDLE was sent behind another command, and has not begun."""
        return self._burst is not None

    def stop(self) -> None:
        """No IDLE shall follow any more, until the next `start`."""
        self._is_wanted = self._is_pausing = False
        self._cancel_timer()

    # -- what becomes of an IDLE

    def begun(self, idle: Idle) -> None:
        """The server listens."""
        if idle is self._burst:
            self._burst = None
            self._habits.took_burst()
        self._begun_at = self._clock.seconds()
        self._schedule(self._habits.idle_seconds(self._renewal_seconds))
        self._tell_started(None)

    def ended(self, idle: Idle, tagged: Tagged) -> None:
        """The server listens no more, or will not."""
        if not idle.is_running and idle is self._burst and self._habits.broke_at_burst():
            self._give_up_bursts(tagged)
        elif not idle.is_running:
            self._log.info("{peer} refuses IDLE: {said}", peer=self._client.peer, said=tagged.text)
            self._is_refused = True
            self.stop()
            self._tell_started(None)
        elif not idle.is_ended and self._is_wanted:
            self._rest()

    def _rest(self) -> None:
        """It may have ended for what it has to tell, or it does so each time."""
        if self._clock.seconds() - self._begun_at >= _STEADY_SECONDS:
            self._pause_seconds = PAUSE_SECONDS
        self._is_pausing = True
        self._schedule(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        self._hint()

    def lost(self, error: PeerError) -> None:
        """The connection is gone; whoever awaits that is told by it."""
        self._tell_started(Failure(error))

    def _tell_started(self, outcome: Failure | None) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.callback(outcome)

    def _give_up_bursts(self, tagged: Tagged) -> None:
        """It began an IDLE by itself before, and will not behind another command."""
        self._client.abort(
            CommandRefused(
                peer=self._client.peer,
                command="IDLE behind another command",
                status=tagged.status.name,
                said=tagged.text,
            )
        )

    def _schedule(self, seconds: float) -> None:
        self._cancel_timer()
        if self._is_wanted:
            self._timer = self._clock.callLater(seconds, self._renew)

    def _renew(self) -> None:
        self._is_pausing = False
        self._client.submit(*self.next())

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
