"""Tells the desktop, and lets the desktop hold up nothing.

`deliver` returns when the card is on the screen, so that a client which then stores its
position has shown what it says it has shown. Three things end that wait early, each with
one log line:

- nobody shows notifications here: said once, until somebody does again;
- the desktop does not answer within the deadline: the call is interrupted, and nothing is
  waited for any more until a card gets through; a few cards stay queued;
- a burst, such as a week's mail at once: a handful is shown, the rest is counted, and one
  card says "and 37 more" when it is quiet again.

In each of these the other sinks (a line in the log or the terminal) show every message.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.core.events import Entry, MailFiled, MailGone, MailSeen, Position
from mailnotify.core.text import clean
from mailnotify.errors import DesktopUnavailable
from mailnotify.interfaces import ISink
from mailnotify.sinks.card import Card, card, card_of_more

DEADLINE_SECONDS: Final = 5.0
"""A daemon answers in milliseconds; one that is being started by the bus in a second or two."""

MOST_WAITING: Final = 20
"""Cards kept for a desktop that hangs: about what a screen can hold."""

BURST_CARDS: Final = 10
BURST_SECONDS: Final = 10.0
"""No more cards than this in so many seconds: nobody reads more."""

CLOSE_SECONDS: Final = 1.0
"""How long `close` waits for a thread whose call was interrupted."""

_INTERRUPT_SECONDS: Final = 0.1
"""How often `close` interrupts until then."""


_REASON_BYTES: Final = 300
"""Enough for a sentence of a log."""


class Shower(Protocol):
    """What shows the cards; see `NotifierThread`."""

    def show(self, card: Card) -> Deferred[None]: ...
    def interrupt(self) -> None: ...
    def close(self) -> Deferred[None]: ...


class _Waiting:
    """A card, and who waits for it to be shown."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.settled: Deferred[None] = Deferred()

    def settle(self) -> None:
        if not self.settled.called:
            self.settled.callback(None)


@implementer(ISink)
class DesktopSink:
    """Shows each entry as a notification, one at a time."""

    _log = Logger()

    def __init__(
        self,
        *,
        shower: Shower,
        clock: IReactorTime,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._shower = shower
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._queue: deque[_Waiting] = deque()
        self._begun_at: deque[float] = deque(maxlen=BURST_CARDS)
        self._more = 0
        self._showing: _Waiting | None = None
        self._deadline: IDelayedCall | None = None
        self._lull: IDelayedCall | None = None
        self._complaint = ""
        self._is_stalled = False
        self._is_closed = False

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        if self._is_closed or isinstance(entry.event, MailFiled | MailSeen | MailGone):
            return  # what was read, filed or removed interrupts nobody
        if self._is_burst() or len(self._queue) >= MOST_WAITING:
            self._more += 1
            self._await_lull()
            return
        waiting = _Waiting(card(entry.event))
        self._queue.append(waiting)
        self._advance()
        if not self._is_stalled:
            await waiting.settled

    async def close(self) -> None:
        """Interrupt what is being shown, end the thread; after a second leave it behind.

        Only a call into the desktop's own library can be left: it is in a daemon thread
        and ends with the process.
        """
        self._is_closed = True
        self._settle_all()
        if self._lull is not None:
            self._lull.cancel()
        ended = self._shower.close()
        ended.addTimeout(CLOSE_SECONDS, self._clock, onTimeoutCancel=self._leave_behind)
        self._interrupt_again()
        await ended
        self._stop_deadline()

    def _leave_behind(self, _: object, seconds: float) -> None:
        self._log.warn("A call to the desktop hangs, and ends with the process only")

    def _interrupt_again(self) -> None:
        """Interrupt until the thread is gone: the call may be between two processes just now."""
        self._stop_deadline()
        self._deadline = self._clock.callLater(_INTERRUPT_SECONDS, self._interrupt_again)
        self._shower.interrupt()

    def _is_burst(self) -> bool:
        """Whether this moment has had all the cards that a person can read."""
        begun = self._begun_at
        return len(begun) == BURST_CARDS and self._clock.seconds() - begun[0] < BURST_SECONDS

    def _await_lull(self) -> None:
        if self._lull is None:
            self._lull = self._clock.callLater(BURST_SECONDS, self._lulled)

    def _lulled(self) -> None:
        self._lull = None
        if self._more and not self._queue and not self._showing:
            count, self._more = self._more, 0
            self._queue.append(_Waiting(card_of_more(count)))
            self._advance()
        elif self._more:
            self._await_lull()

    def _advance(self) -> None:
        """Show the next card, if none is being shown."""
        if self._showing is not None or not self._queue or self._is_closed:
            return
        self._showing = self._queue.popleft()
        self._begun_at.append(self._clock.seconds())
        self._deadline = self._clock.callLater(self._deadline_seconds, self._overdue)
        self._shower.show(self._showing.card).addCallbacks(self._shown, self._not_shown)

    def _overdue(self) -> None:
        """The desktop hangs: stop waiting for it, and interrupt it until it returns."""
        self._deadline = self._clock.callLater(self._deadline_seconds, self._overdue)
        self._is_stalled = True
        self._settle_all()
        self._complain(f"the desktop did not answer within {self._deadline_seconds:g} s")
        self._shower.interrupt()

    def _settle_all(self) -> None:
        for waiting in (self._showing, *self._queue):
            if waiting is not None:
                waiting.settle()

    def _shown(self, _: None) -> None:
        assert self._showing is not None
        was_in_time = not self._showing.settled.called
        if was_in_time:
            self._is_stalled = False
        if was_in_time and self._complaint:
            self._complaint = ""
            self._log.info("Desktop notifications are shown again")
        self._finished()

    def _not_shown(self, failure: Failure) -> None:
        reason = failure.value
        # What plyer raises may quote the text that it was given, or a daemon's words.
        if isinstance(reason, DesktopUnavailable):
            words = reason.reason
        else:
            words = f"{type(reason).__name__}: {reason}"
        self._complain(clean(words, _REASON_BYTES))
        self._finished()

    def _finished(self) -> None:
        assert self._showing is not None
        showing, self._showing = self._showing, None
        if not self._is_closed:
            self._stop_deadline()
        showing.settle()
        self._advance()

    def _stop_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _complain(self, reason: str) -> None:
        """Say why the desktop shows nothing, once for each time that it stops showing."""
        if not self._complaint:
            self._complaint = reason
            remedy = DesktopUnavailable(reason=reason).remedy
            self._log.warn(
                "Messages are not shown on the desktop, only printed: {reason}. {remedy}",
                reason=reason,
                remedy=remedy,
            )
