"""A desktop that shows, refuses, hangs, and is flooded."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.core.events import MailFiled, MailGone, MailSeen
from mailnotify.errors import DesktopUnavailable
from mailnotify.interfaces import ISink
from mailnotify.sinks.desktop import (
    BURST_CARDS,
    BURST_SECONDS,
    CLOSE_SECONDS,
    DEADLINE_SECONDS,
    MOST_WAITING,
    DesktopSink,
)
from tests.sinks.fakes import HERE, FakeShower, FakeSink, entry


class DesktopSinkTests(SynchronousTestCase):
    """`DesktopSink` above a desktop of which the test is master."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.shower = FakeShower()
        self.sink = DesktopSink(shower=self.shower, clock=self.clock)

    def deliver(self, seq: int = 1) -> Deferred[None]:
        return Deferred.fromCoroutine(self.sink.deliver(entry(seq), HERE))

    def bodies(self) -> list[str]:
        return [card.body for card in self.shower.cards]

    def stall(self) -> None:
        """Let the desktop hang with one card."""
        self.deliver(0)
        self.clock.advance(DEADLINE_SECONDS)

    def warnings(self, captured: list[dict[str, object]]) -> int:
        return sum(event["log_level"] is LogLevel.warn for event in captured)

    def test_is_a_sink(self) -> None:
        """The desktop can stand wherever a sink can; so can the tests' own sink."""
        verifyObject(ISink, self.sink)
        verifyObject(ISink, FakeSink())

    def test_delivered_when_shown(self) -> None:
        """An entry counts as delivered when it is on the screen, not before."""
        delivered = self.deliver()
        self.assertNoResult(delivered)
        self.shower.shown[0].callback(None)
        self.successResultOf(delivered)
        self.assertEqual(self.bodies(), ["subject 1 [home/INBOX]"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_read_elsewhere(self) -> None:
        """What was read or removed elsewhere interrupts nobody."""
        for kind in (MailFiled, MailSeen, MailGone):
            event = kind(id="x", account="home", mailbox="INBOX", uidvalidity=1, uid=7)
            shown = Deferred.fromCoroutine(self.sink.deliver(entry(event=event), HERE))
            self.successResultOf(shown)
        self.assertEqual(self.shower.cards, [])

    def test_one_at_a_time(self) -> None:
        """The next card waits for the one before."""
        self.deliver(1)
        second = self.deliver(2)
        self.assertEqual(len(self.shower.cards), 1)
        self.shower.shown[0].callback(None)
        self.assertEqual(len(self.shower.cards), 2)
        self.shower.shown[1].callback(None)
        self.successResultOf(second)

    def test_no_service_is_said_once(self) -> None:
        """Without a notification service each entry goes on at once, and one warning tells why."""
        with capturedLogs() as captured:
            for seq in range(3):
                delivered = self.deliver(seq)
                self.shower.shown[seq].errback(DesktopUnavailable(reason="no session bus"))
                self.successResultOf(delivered)
        self.assertEqual(self.warnings(captured), 1)
        self.assertIn("no session bus", str(captured[0]["reason"]))
        self.assertIn("--no-desktop", str(captured[0]["remedy"]))

    def test_service_comes_back(self) -> None:
        """A service that was missing and is back is told, and may be missed once more."""
        with capturedLogs() as captured:
            for seq, fails in enumerate((True, False, True)):
                self.deliver(seq)
                shown = self.shower.shown[seq]
                if fails:
                    shown.errback(DesktopUnavailable(reason="none"))
                else:
                    shown.callback(None)
        levels = [event["log_level"] for event in captured]
        self.assertEqual(levels, [LogLevel.warn, LogLevel.info, LogLevel.warn])

    def test_hostile_failure(self) -> None:
        """What plyer raises may quote the mail; the log line is clean all the same."""
        with capturedLogs() as captured:
            self.deliver()
            self.shower.shown[0].errback(ValueError("bad \x1b[31m\n text"))
        self.assertEqual(captured[0]["reason"], "ValueError: bad [31m  text")

    def test_hung_desktop_is_given_up_at_the_deadline(self) -> None:
        """A desktop that never answers delays one entry by the deadline, once."""
        delivered = self.deliver(1)
        self.clock.advance(DEADLINE_SECONDS - 0.1)
        self.assertNoResult(delivered)
        with capturedLogs() as captured:
            self.clock.advance(0.1)
        self.successResultOf(delivered)
        self.assertEqual(self.shower.interruptions, 1)
        self.assertEqual(self.warnings(captured), 1)
        self.successResultOf(self.deliver(2))

    def test_hung_desktop_is_interrupted_again(self) -> None:
        """A call that survives its first interruption gets another one."""
        self.stall()
        self.clock.advance(DEADLINE_SECONDS)
        self.assertEqual(self.shower.interruptions, 2)

    def test_those_who_wait_behind_a_hung_call_go_on_too(self) -> None:
        """Nobody waits for the second card when the first one hangs."""
        self.deliver(1)
        second = self.deliver(2)
        self.clock.advance(DEADLINE_SECONDS)
        self.successResultOf(second)

    def test_interrupted_is_not_shown(self) -> None:
        """plyer calls a killed notify-send a success; we do not."""
        self.stall()
        with capturedLogs() as captured:
            self.shower.shown[0].callback(None)
        self.assertEqual(captured, [])
        self.successResultOf(self.deliver(1))

    def test_recovers(self) -> None:
        """A desktop that answers again gets what waited, and is waited for again."""
        self.stall()
        self.deliver(1)
        self.shower.shown[0].callback(None)
        with capturedLogs() as captured:
            self.shower.shown[1].callback(None)
        self.assertEqual(len(captured), 1)
        self.assertNoResult(self.deliver(2))

    def test_overflow_is_summed_up(self) -> None:
        """What does not fit into the queue of a hung desktop is counted, and told later."""
        self.stall()
        for seq in range(MOST_WAITING + 37):
            self.successResultOf(self.deliver(seq))
        at = 0
        while at < len(self.shower.shown):
            self.shower.shown[at].callback(None)
            at += 1
        self.assertEqual(len(self.shower.cards), 1 + MOST_WAITING)
        self.clock.advance(BURST_SECONDS)
        self.assertEqual(self.bodies()[-1], "and 37 more messages")

    def test_burst_is_summed_up(self) -> None:
        """A week's mail at once shows a handful of cards and one that counts the rest."""
        for seq in range(BURST_CARDS + 490):
            delivered = self.deliver(seq)
            if seq < BURST_CARDS:
                self.shower.shown[seq].callback(None)
            self.successResultOf(delivered)
        self.assertEqual(len(self.shower.cards), BURST_CARDS)
        self.clock.advance(BURST_SECONDS)
        self.assertEqual(self.bodies()[-1], "and 490 more messages")
        self.shower.shown[-1].callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sum_waits_for_a_busy_desktop(self) -> None:
        """The sum of a burst comes after the cards that are still to be shown."""
        self.stall()
        for seq in range(MOST_WAITING + 1):
            self.deliver(seq)
        self.clock.advance(BURST_SECONDS)
        self.assertEqual(len(self.shower.cards), 1)
        self.assertGreater(len(self.clock.getDelayedCalls()), 1)

    def test_close_leaves_nothing(self) -> None:
        """A closed sink has no timer, waits for nobody, and shows nothing more."""
        delivered = self.deliver(1)
        self.stall()
        for seq in range(MOST_WAITING + 1):
            self.deliver(seq)
        self.successResultOf(Deferred.fromCoroutine(self.sink.close()))
        self.successResultOf(delivered)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.shower.shown[0].callback(None)
        self.successResultOf(self.deliver(99))
        self.assertEqual(len(self.shower.cards), 1)

    def test_close_interrupts_until_the_thread_is_gone(self) -> None:
        """A call that hangs is interrupted at once when we end, and again until it is over."""
        self.deliver()
        self.shower.ended = Deferred()
        closed = Deferred.fromCoroutine(self.sink.close())
        self.assertEqual(self.shower.interruptions, 1)
        self.clock.advance(0.1)
        self.assertEqual(self.shower.interruptions, 2)
        self.assertNoResult(closed)
        self.shower.shown[0].callback(None)
        self.shower.ended.callback(None)
        self.successResultOf(closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_does_not_wait_for_ever(self) -> None:
        """A thread that cannot be ended is left behind after a second, and that is said."""
        self.deliver()
        self.shower.ended = Deferred()
        closed = Deferred.fromCoroutine(self.sink.close())
        with capturedLogs() as captured:
            self.clock.pump([0.1] * round(CLOSE_SECONDS * 10 + 1))
        self.successResultOf(closed)
        self.assertEqual(self.warnings(captured), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
