"""IDLE for as long as somebody listens (RFC 2177).

One IDLE follows another: behind every command, in the same write, and by itself
when its time is over, since servers and NATs cut what is silent for too long.
A server that refuses IDLE is no longer asked: its hints come with the polls.
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

from mailnotify.errors import CommandRefused
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Idle
from mailnotify.imap.habits import Habits
from mailnotify.imap.responses import Tagged

PAUSE_SECONDS = 1.0
"""Before the next IDLE when a server ended one by itself: no hammering, not blind for long."""


class Idling:
    """Keeps a connection in IDLE.

    Args:
        renewal_seconds: how long one IDLE lasts at most.
        habits: of the host.
        hint: called when there may be news that the server did not tell.
    """

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
        self._burst: Idle | None = None
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
        started: Deferred[None] = Deferred()
        self._is_wanted = True
        self._client.submit(self._make(started))
        return started

    def next(self) -> tuple[Idle, ...]:
        """What has to follow a command: the next IDLE, or nothing."""
        return (self._make(),) if self._is_wanted else ()

    @property
    def is_in_burst(self) -> bool:
        """Whether an IDLE was sent behind another command, and has not begun."""
        return self._burst is not None

    def stop(self) -> None:
        """No IDLE shall follow any more, until the next `start`."""
        self._is_wanted = False
        self._cancel_timer()

    def _make(self, started: Deferred[None] | None = None) -> Idle:
        """An IDLE that looks after its own renewal; fires `started` once."""
        is_burst = started is None and not self._habits.is_stepwise
        if started is None:
            started = Deferred()
            started.addErrback(lambda _: None)  # whoever awaits the connection is told

        def begun() -> None:
            if idle is self._burst:
                self._burst = None
                self._habits.took_burst()
            self._schedule(self._habits.idle_seconds(self._renewal_seconds))
            started.callback(None)

        def lost(failure: Failure) -> None:
            if not started.called:
                started.errback(failure)

        idle = Idle(begun)
        if is_burst:
            self._burst = idle
        self._client.expect(idle).addCallbacks(self._ended, lost, (idle, started))
        return idle

    def _ended(self, tagged: Tagged, idle: Idle, started: Deferred[None]) -> None:
        if not idle.is_running and idle is self._burst and self._habits.broke_at_burst():
            self._give_up_bursts(tagged)
        elif not idle.is_running:
            self._log.info("{peer} refuses IDLE: {said}", peer=self._client.peer, said=tagged.text)
            self._is_refused = True
            self.stop()
            started.callback(None)
        elif not idle.is_ended and self._is_wanted:
            self._schedule(PAUSE_SECONDS)
            self._hint()

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
        self._client.submit(self._make())

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
