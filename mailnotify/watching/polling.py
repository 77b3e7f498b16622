"""Asks a server at intervals, for news and as a proof that it is still there.

The usual question is a NOOP: the server tells what changed, and has proved that
it would have told. Where it cannot tell of all mailboxes, they are asked about in
the same round trip. Now and then it is a STATUS instead, which costs the same:
if that knows of more than the server has hinted at, IDLE is not to be relied on
here, so what it missed is fetched at once, and counted.

The first question in an IDLE comes soon, and is a STATUS too: of a message that
came after the fetch was answered and before the IDLE began, some servers never tell.
Where the last such question led to a fetch of nothing, it is left out.
Hints begin the waiting anew, and a mailbox that gets mail all the time hints all the time:
a question that was due meanwhile is asked as soon as we listen again, for the sake of the
other mailboxes, and of the check.

Intervals are shortened by chance, so that a thousand accounts that began together
do not go on together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailnotify.config.schema import Timing
from mailnotify.errors import DeadlinePassed
from mailnotify.watching.reading import Reading
from mailnotify.watching.witness import Witness

SETTLE_SECONDS: Final = 1.0
"""In IDLE until its first question; of several letters that come together it is one."""

SPREAD: Final = 0.2
"""Of an interval, left to chance: never more than was configured."""

HASTE_SECONDS: Final = 10.0
"""For an answer after a sleep: the other end, or a NAT, has probably forgotten us."""


class Polling:
    """The questions to one session, as long as it is listened to.

    Args:
        reading: the session and its mailboxes.
        witness: hears of each proof.
        jitter: gives a number in [0, 1).
        failed: called when the server did not answer.
        behind: called when it has more than it told of; `start` comes after the fetch.
    """

    __slots__ = (
        *("_asked_at", "_behind", "_clock", "_compared_at", "_failed", "_jitter", "_loop"),
        *("_reading", "_timing", "_witness"),
    )

    def __init__(
        self,
        reading: Reading,
        *,
        timing: Timing,
        witness: Witness,
        clock: IReactorTime,
        jitter: Callable[[], float],
        failed: Callable[[Failure], None],
        behind: Callable[[], None],
    ) -> None:
        self._reading = reading
        self._timing = timing
        self._witness = witness
        self._clock = clock
        self._jitter = jitter
        self._failed = failed
        self._behind = behind
        self._asked_at = self._compared_at = clock.seconds()  # all has just been examined
        self._loop: LoopingCall | None = None

    def start(self) -> None:
        """All that is known of is journalled: ask at the interval from now on."""
        self._witness.proved()
        is_due = self._clock.seconds() - self._asked_at >= self._interval_seconds
        has_idle = "IDLE" in self._reading.session.capabilities
        if not has_idle or self._reading.is_misled:
            self._run(self._once, self._shortened(), now=is_due)
        elif is_due:
            self._run(self._once_before, SETTLE_SECONDS, now=True)
        else:
            self._run(self._once_settled, SETTLE_SECONDS)

    def hasten(self) -> None:
        """Ask at once, and do not wait for long."""
        self.stop()
        self._run(self._once_hastily, self._shortened(), now=True)

    def stop(self) -> None:
        """Ask no more; the session goes on to hint by itself."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()

    @property
    def _interval_seconds(self) -> float:
        """Where the server tells of all by itself, only its silence is to be looked into."""
        timing = self._timing
        usual = timing.idle_poll_seconds if self._reading.is_told else timing.poll_seconds
        return min(usual, timing.safety_seconds)

    def _shortened(self) -> float:
        return self._interval_seconds * (1 - SPREAD * self._jitter())

    def _run(self, ask: Callable[[], Deferred[None]], seconds: float, *, now: bool = False) -> None:
        loop = self._loop = LoopingCall(ask)
        loop.clock = self._clock
        loop.start(min(seconds, self._interval_seconds), now=now)

    def _once_before(self) -> Deferred[None]:
        loop = self._loop
        assert loop is not None
        loop.f = self._once_settled
        return self._once()

    def _once_settled(self) -> Deferred[None]:
        loop = self._loop
        assert loop is not None
        loop.f, loop.interval = self._once, self._shortened()
        return Deferred.fromCoroutine(self._settle(loop)).addErrback(self._failed)

    async def _settle(self, loop: LoopingCall) -> None:
        is_behind = await self._reading.compare_home()
        self._compared(loop, is_behind)

    def _once_hastily(self) -> Deferred[None]:
        loop = self._loop
        assert loop is not None
        loop.f = self._once
        seconds = min(HASTE_SECONDS, self._timing.command_seconds)

        def too_late(_: object, seconds: float) -> None:
            peer = f"the server of {self._reading.home}"
            raise DeadlinePassed(peer=peer, step="the answer to a check", seconds=seconds)

        asking = Deferred.fromCoroutine(self._ask(loop))
        return asking.addTimeout(seconds, self._clock, too_late).addErrback(self._failed)

    def _once(self) -> Deferred[None]:
        assert self._loop is not None
        return Deferred.fromCoroutine(self._ask(self._loop)).addErrback(self._failed)

    async def _ask(self, loop: LoopingCall) -> None:
        now = self._asked_at = self._clock.seconds()
        is_time = now - self._compared_at > self._timing.safety_seconds - self._interval_seconds / 2
        if not is_time:
            is_behind = await self._reading.poll()
            self._witness.proved()
            if is_behind and loop is self._loop:
                self._behind()
            return
        self._compared_at = now
        is_behind = await self._reading.compare()
        self._compared(loop, is_behind)

    def _compared(self, loop: LoopingCall, is_behind: bool) -> None:
        self._witness.proved()
        self._witness.checked()
        if is_behind and loop is self._loop:  # else a hint has come after all
            self._behind()
