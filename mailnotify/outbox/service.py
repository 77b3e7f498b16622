"""Carries letters out of the outbox: claims, submits, settles, and tells who has failed.

Nothing here is remembered that is not in the store: what is due is asked for
whenever there may be something to do (a ring, an end of an attempt, a moment
that has come), so a letter that another process has queued, cancelled or put
back is treated like any other. At most a few letters are in memory, one for
each connection, however many are queued.

The order that makes the promises true:

* `claim` has committed the state sending before a byte goes out;
* the result is committed before anybody hears of it, some milliseconds after it
  is known at the latest (`outbox.ledger`); while a disk refuses it, this
  connection sends nothing more;
* a failure stands in the journal before the store forgets to tell of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailnotify.core.events import Event
from mailnotify.errors import (
    JournalUnwritable,
    MailnotifyError,
    OutboxUnwritable,
    OutcomeUnknown,
    StoreUnreadable,
)
from mailnotify.outbox.lane import Lane, Route
from mailnotify.outbox.ledger import UNWRITABLE_SECONDS, Ledger
from mailnotify.outbox.letter import Settlement, State, Ticket, Wish
from mailnotify.outbox.notice import sent_failed
from mailnotify.outbox.schedule import next_attempt
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Verdict, accepted, judge

Submit = Callable[[Ticket, bytes, Ticket | None], Awaitable[str]]
"""Submits a letter with these bytes, once; returns the server's words. The last argument
is the letter that goes next over the same connection, if that is known and has its bytes
with it. Raises as `mailnotify.smtp.submit.submit` does. Cancelling it cuts
the connection."""

LOOK_SECONDS: Final = 30.0
"""The longest that nobody looks: a clock that was set back costs no more."""

STOP_SECONDS: Final = 8.0
"""How long a letter that is under way may take to end when the service stops."""


class Outbox(Service):
    """Sends what is in a store, as long as it runs.

    Args:
        store: open; whoever opened it closes it.
        routes: one for each account that sends.
        tell: journals events; raises `JournalUnwritable` if it could not.
        now: the time in UTC.
        clock: for timers; its seconds have nothing to do with `now`.
        chance: gives a number in [0, 1).
        when_sent: called with the account of a letter that was sent.
    """

    _log = Logger()

    def __init__(
        self,
        store: SqliteOutbox,
        routes: Sequence[Route],
        *,
        submit: Submit,
        tell: Callable[[Sequence[Event]], object],
        now: Callable[[], datetime],
        clock: IReactorTime,
        chance: Callable[[], float],
        when_sent: Callable[[str], object] = lambda account: None,
    ) -> None:
        self._store = store
        self._lanes = {each.account: Lane(each, chance) for each in routes}
        self._submit = submit
        self._tell = tell
        self._now = now
        self._clock = clock
        self._chance = chance
        self._when_sent = when_sent
        self._alarm: IDelayedCall | None = None
        self._carrying: set[Deferred[None]] = set()
        self._has_recovered = False
        self._ledger = Ledger(store, clock, self._settled)

    def startService(self) -> None:
        """Begin, in the next turn of the reactor."""
        super().startService()
        self._has_recovered = False
        self._wake_in(0)

    def stopService(self) -> Deferred[None]:
        """Take no more letters; give those under way some seconds, then cut them off."""
        super().stopService()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        late = self._clock.callLater(STOP_SECONDS, self._cut)
        await DeferredList(list(self._carrying))
        if late.active():
            late.cancel()

    def _cut(self) -> None:
        for each in tuple(self._carrying):
            each.cancel()

    def rung(self, is_urgent: bool = False) -> None:
        """There may be something new in the store; it is looked at in the next turn.

        Args:
            is_urgent: a person wants it to be tried now, even where an account rests.
        """
        if is_urgent:
            for lane in self._lanes.values():
                lane.wake()
        self._wake_in(0)

    def forget(self, kept_days: float) -> None:
        """Delete some letters that have been over for that long."""
        self._store.forget(self._now() - timedelta(days=kept_days))

    # What there is to do now.

    def _wake_in(self, seconds: float) -> None:
        """Look into the store after so long, or earlier if that was decided already."""
        if not self.running:
            return
        if self._alarm is not None:
            if self._alarm.getTime() <= self._clock.seconds() + seconds:
                return
            self._alarm.cancel()
        self._alarm = self._clock.callLater(seconds, self._turn)

    def _turn(self) -> None:
        self._alarm = None
        seconds = LOOK_SECONDS
        try:
            self._recover()
            if self._store.expire(self._now()):
                seconds = 0.0  # perhaps there are more
            self._tell_of_failures()
            for lane in self._lanes.values():
                self._staff(lane)
            seconds = min(seconds, self._seconds_to_next())
        except OutboxUnwritable:
            seconds = UNWRITABLE_SECONDS * 5
        except StoreUnreadable as error:
            self._log.critical("no mail is sent: {error}", error=error.explain())
        self._wake_in(seconds)

    def _recover(self) -> None:
        """Put back what the last run left in the middle; nothing is sent before."""
        if self._has_recovered:
            return
        count = self._store.recover(self._now())
        self._has_recovered = True
        if count:
            self._log.warn(
                "{count} letters were being sent when the last run ended; they are sent again, "
                "with the same Message-ID",
                count=count,
            )

    def _staff(self, lane: Lane) -> None:
        """Let as many connections carry letters as may, and as there are letters for."""
        while most := lane.room(self._clock.seconds()):
            tickets = self._store.claim(lane.account, most, self._now())
            if not tickets:
                return
            carrying = Deferred.fromCoroutine(self._carry(lane, tickets))
            if not carrying.called:
                self._carrying.add(carrying)
                carrying.addBoth(partial(_discard, self._carrying, carrying))

    def _seconds_to_next(self) -> float:
        """Until something is due that nobody will report."""
        now, seconds = self._now(), self._clock.seconds()
        waits = [LOOK_SECONDS]
        expiry = self._store.next_expiry()
        if expiry is not None:
            waits.append((expiry - now).total_seconds())
        for lane in self._lanes.values():
            due = self._store.next_due(lane.account)
            if due is not None and (not lane.busy or lane.room(seconds)):
                rest = lane.opens_at(seconds) - seconds
                waits.append(max((due - now).total_seconds(), rest))
        return max(min(waits), 0.0)

    def _tell_of_failures(self) -> None:
        letters = self._store.untold()
        if not letters:
            return
        try:
            self._tell([sent_failed(each) for each in letters])
        except JournalUnwritable as error:
            self._log.warn("a failed letter is told later: {error}", error=error.explain())
        else:
            self._store.tell(letters)
            self._wake_in(0)  # perhaps there are more

    # One connection's work.

    async def _carry(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """Send letters one after the other, as long as there are some."""
        lane.busy += 1
        try:
            while tickets:
                for index, ticket in enumerate(tickets):
                    seconds = self._clock.seconds()
                    if index and not (self.running and lane.may_go_on(seconds)):
                        await self._release(tickets[index:])
                        break
                    lane.went(seconds)
                    await self._send(lane, ticket, _following(tickets, index))
                tickets = await self._ledger.flush(self._wish(lane, 2 * len(tickets)))
                if tickets and not self.running:
                    await self._release(tickets)
                    tickets = ()
        except StoreUnreadable as error:
            self._log.critical("no mail is sent: {error}", error=error.explain())
        except CancelledError:
            pass  # the service stops, and the store refuses: `recover` puts it right
        except Exception:
            self._log.failure("a bug: a connection for {account} ends", account=lane.account)
        finally:
            lane.busy -= 1
            self._wake_in(0)

    def _wish(self, lane: Lane, most: int) -> Wish | None:
        """More letters for the same connection; busy as it is, it may have no other."""
        lane.busy -= 1
        most = lane.room(self._clock.seconds(), most) if self.running else 0
        lane.busy += 1
        return Wish(account=lane.account, most=most, now=self._now()) if most else None

    async def _send(self, lane: Lane, ticket: Ticket, following: Ticket | None) -> None:
        """One attempt, from the bytes on the disk to the result on the disk."""
        verdict = await self._attempt(ticket, following)
        now = self._now()
        rest = lane.heard(verdict.trouble, self._clock.seconds())
        attempts, due = self._plan(ticket, verdict, now)
        if rest:
            self._log.warn(
                "sending for {account} rests for {rest:.0f} s: {reason}",
                account=lane.account,
                rest=rest,
                reason=verdict.reason,
            )
        await self._ledger.enter(
            Settlement(
                ticket=ticket,
                results=verdict.results,
                reason=verdict.reason,
                due=due,
                attempts=attempts,
                at=now,
            )
        )

    def _plan(self, ticket: Ticket, verdict: Verdict, now: datetime) -> tuple[int, datetime | None]:
        """How many attempts count, and when to try those again who are pending."""
        attempts, expires = ticket.attempts, ticket.expires
        if all(each.fate is not Fate.PENDING for each in verdict.results):
            return attempts, None
        if verdict.was_tried:
            due = next_attempt(now, attempts=attempts, expires=expires, chance=self._chance)
            return attempts, due
        if now < expires:
            return attempts - 1, now  # behind those that are due already
        return attempts, None

    async def _attempt(self, ticket: Ticket, following: Ticket | None) -> Verdict:
        recipients = ticket.envelope.recipients
        try:
            message = ticket.message
            if message is None:
                message = self._store.message(ticket.number)
            said = await self._submit(ticket, message, following)
        except StoreUnreadable:
            raise
        except MailnotifyError as error:
            return judge(recipients, error)
        except CancelledError:  # before anything was sent, else `submit` tells what was
            return judge(recipients, _Stopped())
        except Exception as error:
            self._log.failure("a bug: letter {number} is tried again", number=ticket.number)
            reason = f"a bug of mailnotify: {type(error).__name__}"
            return judge(recipients, OutcomeUnknown(peer="the server", reason=reason))
        return accepted(recipients, said)

    async def _release(self, tickets: Sequence[Ticket]) -> None:
        """Give back what was claimed and not begun, however often it takes."""
        while True:
            try:
                self._store.release(tickets)
                return
            except OutboxUnwritable:
                await deferLater(self._clock, UNWRITABLE_SECONDS)

    def _settled(self, settlement: Settlement, state: State) -> None:
        """A result is on the disk."""
        ticket = settlement.ticket
        if state is State.SENT:
            self._log.info(
                "letter {number} of {account} is sent",
                number=ticket.number,
                account=ticket.account,
            )
            self._when_sent(ticket.account)
            return
        self._log.warn(
            "letter {number} of {account} is {state}: {reason}",
            number=ticket.number,
            account=ticket.account,
            state=state.value,
            reason=settlement.reason,
        )
        if state is State.FAILED:
            self._wake_in(0)


def _following(tickets: Sequence[Ticket], index: int) -> Ticket | None:
    """The letter after this one, if it is small enough to be at hand."""
    after = tickets[index + 1] if index + 1 < len(tickets) else None
    return after if after is not None and after.message is not None else None


def _discard(carrying: set[Deferred[None]], each: Deferred[None], _: object) -> None:
    carrying.discard(each)


class _Stopped(MailnotifyError):
    """Nothing need be done: the letter is sent after the next start."""

    def __str__(self) -> str:
        return "the service was stopped before the letter went out"
