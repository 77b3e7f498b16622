"""What is learned of a host, and what a session does with it."""

from __future__ import annotations

from math import inf

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import CommandRefused, ProtocolViolated
from mailnotify.imap.habits import LONGEST_IDLE_SECONDS, Habits
from mailnotify.imap.session import Session
from tests.imap.scripted import Letters, ScriptedServer
from tests.imap.test_session import SessionCase


class SilenceTests(SynchronousTestCase):
    """When IDLE is to be renewed."""

    def setUp(self) -> None:
        self.habits = Habits()

    def test_at_most_28_minutes(self) -> None:
        """Whatever is configured; a server may log us out after 30."""
        self.assertEqual(self.habits.idle_seconds(1740), LONGEST_IDLE_SECONDS)
        self.assertEqual(self.habits.idle_seconds(540), 540)

    def test_known_before(self) -> None:
        """What is known of a provider needs no connection that is cut; less is learned."""
        habits = Habits(idle_seconds=240)
        self.assertEqual((habits.idle_seconds(540), habits.idle_seconds(60)), (240, 60))
        self.assertEqual(Habits(idle_seconds=inf).idle_seconds(1740), LONGEST_IDLE_SECONDS)
        habits.cut_after(100)
        habits.cut_after(101)
        self.assertEqual(habits.idle_seconds(540), 80)

    def test_cut_twice(self) -> None:
        """What happens twice after the same time is prevented."""
        self.habits.cut_after(300)
        self.assertEqual(self.habits.idle_seconds(540), 540)
        self.habits.cut_after(310)
        self.assertEqual(self.habits.idle_seconds(540), 240)
        self.assertEqual(self.habits.idle_seconds(60), 60)

    def test_cut_at_other_times(self) -> None:
        """A network that breaks now and then teaches nothing."""
        for seconds in (300, 100, 500, 30):
            self.habits.cut_after(seconds)
        self.assertEqual(self.habits.idle_seconds(540), 540)

    def test_not_silent(self) -> None:
        """A connection that breaks while there is talk was not cut for silence."""
        for _ in range(5):
            self.habits.cut_after(3)
        self.assertEqual(self.habits.idle_seconds(540), 540)

    def test_still_too_long(self) -> None:
        """A NAT that says nothing is found by going down step by step, and never up."""
        for seconds in (300, 300, 240, 240, 290, 290):
            self.habits.cut_after(seconds)
        self.assertAlmostEqual(self.habits.idle_seconds(540), 192)


class BurstTests(SynchronousTestCase):
    """Whether several commands may leave in one write."""

    def test_broken_before_it_ever_worked(self) -> None:
        """Then it never will."""
        habits = Habits()
        self.assertTrue(habits.broke_at_burst())
        self.assertTrue(habits.is_stepwise)

    def test_broken_after_it_worked(self) -> None:
        """Then the cause is another."""
        habits = Habits()
        habits.took_burst()
        self.assertFalse(habits.broke_at_burst())
        for _ in range(5):
            habits.hung_at_burst()
        self.assertFalse(habits.is_stepwise)

    def test_one_hang(self) -> None:
        """It may have been the network; the second time it was not."""
        habits = Habits()
        habits.hung_at_burst()
        self.assertFalse(habits.is_stepwise)
        habits.hung_at_burst()
        self.assertTrue(habits.is_stepwise)


class LearningTests(SessionCase):
    """Sessions with one host, one after another."""

    def setUp(self) -> None:
        super().setUp()
        self.habits = Habits()
        self.begin_session()

    def begin_session(self) -> Session:
        """The next session, listening to a mailbox."""
        self.server = ScriptedServer()
        self.connector.servers = [self.server]
        self.letters = Letters(3, 5)
        self.letters.install(self.server)
        self.server.answers[b"AUTHENTICATE"] = [b"TAG OK [CAPABILITY IMAP4rev1 IDLE NOTIFY] in\r\n"]
        self.server.answers[b"EXAMINE"] = [
            b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 6]\r\nTAG OK\r\n"
        ]
        self.session = self.open(habits=self.habits)
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(lambda *_: None))
        self.server.all_writes.clear()
        return self.session

    def fetch(self) -> list[bytes]:
        """Fetch; what was written for it, a write each."""
        self.server.all_writes.clear()
        self.fetching = self.start(self.session.fetch(6))
        return self.server.all_writes

    def test_bad_to_a_burst(self) -> None:
        """A server that does not understand it is spoken to step by step from then on."""
        self.answer(b"UID FETCH", b"TAG BAD one at a time\r\n")
        self.fetch()
        self.failureResultOf(self.fetching, CommandRefused)
        self.assertTrue(self.server.transport.is_lost)
        self.begin_session()
        self.assertEqual(len(self.fetch()), 3)
        self.successResultOf(self.fetching)

    def test_no_idle_behind_a_command(self) -> None:
        """One that refuses IDLE there, though it began one by itself, is the same."""
        self.answer(b"IDLE", b"TAG NO not now\r\n")
        self.fetch()
        self.assertTrue(self.habits.is_stepwise)
        self.assertTrue(self.server.transport.is_lost)

    def test_hang_at_a_burst(self) -> None:
        """One that never answers is found out the second time."""
        for is_stepwise in (False, True):
            self.server.is_frozen = True
            self.fetch()
            self.clock.advance(60)
            self.failureResultOf(self.fetching)
            self.assertEqual(self.habits.is_stepwise, is_stepwise)
            self.begin_session()

    def test_a_server_that_takes_bursts(self) -> None:
        """What worked once is not given up for one bad answer."""
        self.assertEqual(len(self.fetch()), 1)
        self.answer(b"NOOP", b"TAG BAD what?\r\n")
        self.failureResultOf(self.start(self.session.poll()), CommandRefused)
        self.assertFalse(self.habits.is_stepwise)

    def test_notify_refused(self) -> None:
        """It is offered in vain: the next session does not see it any more."""
        self.answer(b"NOTIFY", b"TAG NO [BADEVENT] what?\r\n")
        self.assertIn("NOTIFY", self.session.capabilities)
        self.start(self.session.notify(["Work"])).addErrback(lambda _: None)
        self.assertNotIn("NOTIFY", self.begin_session().capabilities)
        self.assertIn("IDLE", self.session.capabilities)

    def test_notify_overflows(self) -> None:
        """A server that stops to tell says so, and is not trusted again."""
        lost = self.start(self.session.client.lost.wait())
        self.server.say(b"* OK [NOTIFICATIONOVERFLOW] too much\r\n")
        self.assertIsInstance(self.successResultOf(lost), ProtocolViolated)
        self.assertNotIn("NOTIFY", self.begin_session().capabilities)

    def cut_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.server.lose(ConnectionDone())
        self.begin_session()

    def test_cut_while_idle(self) -> None:
        """A server that closes silent connections is renewed before that."""
        self.cut_after(300)
        self.cut_after(300)
        self.clock.advance(239)
        self.assertEqual(self.heard(b"DONE"), [])
        self.clock.advance(1)
        self.server.pump()
        self.assertEqual(self.heard(b"DONE"), [b"DONE"])

    def test_goodbye_for_silence(self) -> None:
        """The server's BYE is no sign of life."""
        for _ in range(2):
            self.clock.advance(300)
            self.server.transport.abortConnection = lambda: None  # a real one ends later
            self.server.say(b"* BYE Autologout; idle for too long\r\n")
            self.server.lose(ConnectionDone())
            self.begin_session()
        self.assertEqual(self.habits.idle_seconds(540), 240)

    def test_nat_that_forgets(self) -> None:
        """Where nobody answers any more, the silence before our question counts."""
        for _ in range(2):
            self.clock.advance(200)
            self.server.is_frozen = True
            self.start(self.session.poll()).addErrback(lambda _: None)
            self.clock.advance(60)
            self.begin_session()
        self.assertEqual(self.habits.idle_seconds(540), 160)

    def test_our_own_end(self) -> None:
        """What we have ended ourselves teaches nothing."""
        for _ in range(2):
            self.clock.advance(300)
            self.session.abort()
            self.begin_session()
            self.clock.advance(300)
            self.result(self.session.close())
            self.begin_session()
        self.assertEqual(self.habits.idle_seconds(540), 540)

    def test_still_here(self) -> None:
        """Whatever a server says ends a silence."""
        for _ in range(2):
            self.clock.advance(290)
            self.server.say(b"* OK Still here\r\n")
            self.cut_after(10)
        self.assertEqual(self.habits.idle_seconds(540), 540)
