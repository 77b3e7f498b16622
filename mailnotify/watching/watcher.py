"""The life of one connection and of the mailboxes on it, through all its attempts.

A watcher opens a session, journals what its mailboxes gained since their cursors,
and then listens: by IDLE where the server offers it, and always by a polling
LoopingCall, which is also the proof that the connection is alive. A hint only
ever means "look again"; what is new is decided by UID (`mailnotify.core.sync`).

::

    Resting ──start──▶ Opening ──opened──▶ CatchingUp ──changed──▶ Behind
                       ▲  ▲  │              ▲   │  ▲                 │
                       │  │  denied         │   │  └────caught up────┘
               resumed │  │  │       changed│   │ caught up
                       │  │  ▼              │   ▼
                 Pausing  Denied           Listening

``failed`` leads to Pausing from wherever there is a session, and ``stop`` to
Resting from everywhere. ``check`` is for when the machine has slept: it asks the
server at once, or ends a pause, since a delay of before means nothing then.

A session that caught up and lasted proved useful and makes the back-off forget. One that
is lost soon after it caught up, again and again, is opened less often each time, but often
enough for its mail. A refused login has slow delays of its own, which the mailboxes of an
account share (`mailnotify.watching.gate`), so that no account gets locked. A journal that
cannot be written is tried again soon: the mail is safe where it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from automat import TypeMachineBuilder
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.text import gist
from mailnotify.errors import (
    JournalUnwritable,
    LoginDeferred,
    LoginDenied,
    MailnotifyError,
    PeerError,
)
from mailnotify.watching.polling import Polling
from mailnotify.watching.reading import Reading
from mailnotify.watching.witness import Witness

COMPLAINT = "not watching {name}: {why} Trying again in {delay:.1f} s."

JOURNAL_RETRY_SECONDS = 5.0
"""The mail waits on its server, so a full disk is worth a frequent look."""

STEADY_SECONDS = 60.0
"""A session that was listened to for so long is none that is always thrown out."""

LONGEST_FLAKY_SECONDS = 30.0
"""Between two sessions that catch up and are thrown out: the delay is how late mail is told."""


class _Watching(Protocol):
    """What can happen to a watcher."""

    def start(self) -> None:
        """Begin to watch."""

    def stop(self) -> Deferred[None]:
        """Let go of everything; fires when nothing is left."""

    def opened(self) -> None:
        """A session stands and its mailbox is examined."""

    def changed(self) -> None:
        """The server hints that there is more."""

    def caught_up(self) -> None:
        """The journal has all that the server told of."""

    def failed(self, error: BaseException) -> None:
        """The attempt or the session ended."""

    def denied(self, error: LoginDenied) -> None:
        """The server refused the login."""

    def resumed(self) -> None:
        """The pause is over."""

    def check(self) -> None:
        """The connection may be gone without a word, as after a sleep."""


Begin = Callable[[], Coroutine[Deferred[Any], Any, Reading]]
"""Connects, logs in, and says what the session is to do."""


Complain = Callable[..., object]
"""Says in the log that something is not watched; see `mailnotify.watching.chorus.Chorus.say`."""


class _Core:
    """What the states share: one reading, one running step, one timer each.

    Whatever ends late (a step that was cancelled, the loss of a session that was
    let go) is dropped here, by identity, and is no input of the machine.
    """

    __slots__ = (
        *("_backoff", "_begin_reading", "_caught_up_at", "_clock", "_complain", "_complaint"),
        *("_jitter", "_name", "_pause", "_polling", "_reading", "_step", "_timing", "_witness"),
        *("machine",),
    )

    _log = Logger()
    machine: _Watching

    def __init__(
        self,
        name: object,
        begin: Begin,
        timing: Timing,
        backoff: Backoff,
        clock: IReactorTime,
        jitter: Callable[[], float],
        witness: Witness,
        complain: Complain | None,
    ) -> None:
        self._name = name
        self._complain = complain or self._say
        self._begin_reading = begin
        self._timing = timing
        self._backoff = backoff
        self._clock = clock
        self._jitter = jitter
        self._witness = witness
        self._reading: Reading | None = None
        self._step: Deferred[None] | None = None
        self._pause: IDelayedCall | None = None
        self._polling: Polling | None = None
        self._complaint: str | None = ""
        self._caught_up_at: float | None = None

    # -- one step at a time, whose end is an input of the machine

    def _begin(self, step: Coroutine[Deferred[Any], Any, None], done: Callable[[], None]) -> None:
        running = self._step = Deferred.fromCoroutine(step)

        def finish(result: Failure | None) -> None:
            if self._step is not running:
                return
            self._step = None
            if isinstance(result, Failure):
                self._tell(result)
            else:
                done()

        running.addBoth(finish)

    def _tell(self, failure: Failure) -> None:
        error = failure.value
        assert error is not None
        if not isinstance(error, MailnotifyError):
            self._log.failure("watching {name} broke", failure, name=self._name)
        if isinstance(error, LoginDenied):
            self.machine.denied(error)
        else:
            self.machine.failed(error)

    def open(self) -> None:
        """Connect, log in, examine."""
        self._end_pause()
        self._begin(self._open(), self.machine.opened)

    async def _open(self) -> None:
        reading = self._reading = await self._begin_reading()
        reading.session.when_lost(partial(self._lost, reading))
        await reading.examine()
        self._polling = self._make_polling(reading)

    def _make_polling(self, reading: Reading) -> Polling:
        def failed(failure: Failure) -> None:
            if reading is self._reading:
                self._tell(failure)

        return Polling(
            reading,
            timing=self._timing,
            witness=self._witness,
            clock=self._clock,
            jitter=self._jitter,
            failed=failed,
            behind=self.machine.changed,
        )

    def _lost(self, reading: Reading, reason: PeerError) -> None:
        if reading is self._reading:
            self.machine.failed(reason)

    def catch_up(self) -> None:
        """Journal what lies beyond the cursor, then listen."""
        reading = self._reading
        assert reading is not None

        def changed() -> None:
            if reading is self._reading:
                self.machine.changed()

        self._begin(reading.catch_up(changed), self.machine.caught_up)

    # -- the timer of Listening

    def start_polling(self) -> None:
        """Ask the server at the configured interval until the next hint."""
        if self._caught_up_at is None:
            self._caught_up_at = self._clock.seconds()
        if self._complaint is not None:
            self._log.info("watching {name}", name=self._name)
        self._complaint = None
        assert self._polling is not None
        self._polling.start()

    def check(self) -> None:
        """Ask the server at once."""
        assert self._polling is not None
        self._polling.hasten()

    def stop_polling(self) -> None:
        """The session goes on to hint by itself."""
        if self._polling is not None:
            self._polling.stop()

    # -- the timers of Pausing and Denied

    def pause(self, error: BaseException) -> None:
        """Let the session go; come back when the back-off says so."""
        if isinstance(error, JournalUnwritable):
            self._rest(error, JOURNAL_RETRY_SECONDS)
        elif isinstance(error, LoginDeferred) and error.retry_seconds is not None:
            self._rest(error, error.retry_seconds)
        else:
            self._rest(error, self._delay_seconds())

    def _delay_seconds(self) -> float:
        """Until the next attempt: less is to be feared of a server that has let us in."""
        if self._caught_up_at is None:
            return self._backoff.failed()
        if self._clock.seconds() - self._caught_up_at >= STEADY_SECONDS:
            self._backoff.proved()
            return self._backoff.failed()
        longest_seconds = max(LONGEST_FLAKY_SECONDS, self._timing.first_retry_seconds)
        return min(self._backoff.failed(), longest_seconds)

    def pause_long(self, error: LoginDenied) -> None:
        """Let the session go; come back when a login may be tried again."""
        seconds = error.retry_seconds
        self._rest(error, self._timing.denied_retry_seconds if seconds is None else seconds)

    def _rest(self, error: BaseException, delay_seconds: float) -> None:
        self._let_go()
        self._witness.failed(error)
        complaint = gist(str(error))
        if complaint != self._complaint:
            why = error.explain() if isinstance(error, MailnotifyError) else f"{error!r}."
            self._complain(gist(why), name=self._name, why=why, delay=delay_seconds)
        self._complaint = complaint
        self._pause = self._clock.callLater(delay_seconds, self.machine.resumed)

    def _say(self, key: str, **fields: object) -> None:
        self._log.warn(COMPLAINT, **fields)

    # -- letting go

    def _let_go(self) -> None:
        self.stop_polling()
        self._polling = self._caught_up_at = None
        reading, self._reading = self._reading, None
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
        if reading is not None:
            reading.session.abort()

    def close(self) -> Deferred[None]:
        """Log out where nothing is under way; cut what is."""
        self._end_pause()
        reading = self._reading
        if reading is None or self._step is not None:
            self._let_go()
            return succeed(None)
        self._reading = None
        self.stop_polling()
        return Deferred.fromCoroutine(_result(reading.session.close()))

    def _end_pause(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None and pause.active():
            pause.cancel()


# -- the edges; each function is what is done on the way

_builder = TypeMachineBuilder(_Watching, _Core)
_resting = _builder.state("Resting")
_opening = _builder.state("Opening")
_catching_up = _builder.state("CatchingUp")
_behind = _builder.state("Behind")
_listening = _builder.state("Listening")
_pausing = _builder.state("Pausing")
_denied = _builder.state("Denied")


@_resting.upon(_Watching.start).to(_opening)
@_pausing.upon(_Watching.resumed).to(_opening)
@_pausing.upon(_Watching.check).to(_opening)
@_denied.upon(_Watching.resumed).to(_opening)
def _open(_: _Watching, core: _Core) -> None:
    core.open()


@_opening.upon(_Watching.opened).to(_catching_up)
@_behind.upon(_Watching.caught_up).to(_catching_up)
def _catch_up(_: _Watching, core: _Core) -> None:
    core.catch_up()


@_listening.upon(_Watching.changed).to(_catching_up)
def _look_again(_: _Watching, core: _Core) -> None:
    core.stop_polling()
    core.catch_up()


@_catching_up.upon(_Watching.caught_up).to(_listening)
def _listen(_: _Watching, core: _Core) -> None:
    core.start_polling()


@_listening.upon(_Watching.check).loop()
def _check(_: _Watching, core: _Core) -> None:
    core.check()


# What is under way has a deadline; and a refused login is no better for a sleep.
_resting.upon(_Watching.check).loop().returns(None)
_opening.upon(_Watching.check).loop().returns(None)
_catching_up.upon(_Watching.check).loop().returns(None)
_behind.upon(_Watching.check).loop().returns(None)
_denied.upon(_Watching.check).loop().returns(None)

# A hint during the fetch may be of mail that came after it was answered.
_catching_up.upon(_Watching.changed).to(_behind).returns(None)
_behind.upon(_Watching.changed).loop().returns(None)


@_opening.upon(_Watching.failed).to(_pausing)
@_catching_up.upon(_Watching.failed).to(_pausing)
@_behind.upon(_Watching.failed).to(_pausing)
@_listening.upon(_Watching.failed).to(_pausing)
def _pause(_: _Watching, core: _Core, error: BaseException) -> None:
    core.pause(error)


@_opening.upon(_Watching.denied).to(_denied)
def _pause_long(_: _Watching, core: _Core, error: LoginDenied) -> None:
    core.pause_long(error)


@_opening.upon(_Watching.stop).to(_resting)
@_catching_up.upon(_Watching.stop).to(_resting)
@_behind.upon(_Watching.stop).to(_resting)
@_listening.upon(_Watching.stop).to(_resting)
@_pausing.upon(_Watching.stop).to(_resting)
@_denied.upon(_Watching.stop).to(_resting)
def _close(_: _Watching, core: _Core) -> Deferred[None]:
    return core.close()


@_resting.upon(_Watching.stop).loop()
def _stay(_: _Watching, core: _Core) -> Deferred[None]:
    return succeed(None)


_machine = _builder.build()


class Watcher(Service):
    """Watches what one connection serves for as long as the service runs.

    Args:
        name: of that, for the log; asked for its ``str`` each time.
        begin: connects, logs in, and says what the session is to do; raises a
            `PeerError` or `OperatorError`.
        timing: the account's intervals.
        backoff: the delays between attempts, of this watcher alone.
        clock: runs the polling and the pauses.
        jitter: gives a number in [0, 1), for the intervals of the polls.
        witness: hears how it stands.
        complain: says why nothing is watched; default: the log.
    """

    def __init__(
        self,
        name: object,
        begin: Begin,
        *,
        timing: Timing,
        backoff: Backoff,
        clock: IReactorTime,
        jitter: Callable[[], float],
        witness: Witness | None = None,
        complain: Complain | None = None,
    ) -> None:
        heard = witness or Witness()
        core = _Core(name, begin, timing, backoff, clock, jitter, heard, complain)
        self._machine = core.machine = _machine(core)

    def startService(self) -> None:
        super().startService()
        self._machine.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self._machine.stop()

    def check(self) -> None:
        """See after the connection now: the machine has slept."""
        self._machine.check()


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
