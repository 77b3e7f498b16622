"""The watcher's whole life, with a session and a journal in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.errors import (
    CommandRefused,
    JournalUnwritable,
    LoginDeferred,
    LoginDenied,
    NotConnected,
)
from mailnotify.imap.session import BATCH
from mailnotify.interfaces import IMailSession
from mailnotify.watching.place import Place
from mailnotify.watching.watcher import JOURNAL_RETRY_SECONDS, STEADY_SECONDS, Watcher
from tests.fakes import MemoryJournal
from tests.watching.fake_session import FakeSession, connect, reads

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LONG_AGO = _NOW - timedelta(days=30)
_DENIAL = LoginDenied(peer="imap.example.org:993", user="ada", said="wrong password")


class WatcherTests(SynchronousTestCase):
    """One mailbox of one account."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal()
        self.full_disk: JournalUnwritable | None = None

    def accept(self, events, move) -> None:
        if self.full_disk is not None:
            raise self.full_disk
        self.journal.append(events, move, _NOW)

    def watch(self, open_session, **timing: float) -> Watcher:
        place = Place("home", "INBOX", self.journal, self.accept)
        watcher = Watcher(
            place,
            reads(place, open_session, self.clock),
            timing=Timing(idle_poll_seconds=60.0, denied_retry_seconds=900.0, **timing),
            backoff=Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 0.999),
            clock=self.clock,
            jitter=lambda: 0.0,
        )
        watcher.startService()
        return watcher

    def known_up_to(self, uid: int, uidvalidity: int = 7) -> None:
        cursor = Cursor(uidvalidity=uidvalidity, last_uid=uid)
        self.journal.append((), CursorMove(account="home", mailbox="INBOX", cursor=cursor), _NOW)

    def announced(self) -> list[int]:
        return [entry.event.uid for entry in self.journal.read(0, 10_000)]

    def test_fake_is_a_session(self) -> None:
        """The session of these tests has all that a real one has."""
        verifyObject(IMailSession, FakeSession())

    def test_first_sight_announces_nothing(self) -> None:
        """What lay in the mailbox before us is known and silent."""
        session = FakeSession([3, 9])
        self.watch(connect(session))
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "INBOX").last_uid, 9)
        self.assertEqual(session.calls, ["examine INBOX", "fetch", "listen"])

    def test_hint_announces_the_new_mail(self) -> None:
        """The server hints, and the message stands in the journal."""
        session = FakeSession([3])
        self.watch(connect(session))
        session.arrive(4)
        session.arrive(6, 5)
        self.assertEqual(self.announced(), [4, 5, 6])

    def test_absence_is_caught_up(self) -> None:
        """What came while nobody watched is announced first."""
        self.known_up_to(2)
        self.watch(connect(FakeSession([1, 2, 3, 5])))
        self.assertEqual(self.announced(), [3, 5])

    def test_hint_during_the_fetch_is_not_lost(self) -> None:
        """Mail that came after the answer was made is fetched right after."""
        session = FakeSession([])
        self.watch(connect(session))
        gate = session.held["fetch"] = Deferred[None]()
        session.arrive(1)
        session.arrive(2)
        del session.held["fetch"]
        gate.callback(None)
        self.assertEqual(self.announced(), [1, 2])

    def test_flood_comes_in_batches_and_slices(self) -> None:
        """Many messages never hold the reactor: a slice in each turn."""
        self.known_up_to(0)
        self.watch(connect(FakeSession(range(1, 2 * BATCH + 2))))
        in_first_turn = len(self.announced())
        self.assertLess(in_first_turn, BATCH)
        self.clock.pump([0] * (2 * BATCH))
        self.assertEqual(self.announced(), list(range(1, 2 * BATCH + 2)))

    def test_polls_at_its_interval(self) -> None:
        """A LoopingCall asks the server, whether it can hint or not."""
        session = FakeSession([])
        self.watch(connect(session))
        self.clock.pump([59.0, 1.0, 60.0])
        self.assertEqual(session.calls.count("poll"), 2)

    def test_a_slow_poll_is_not_doubled(self) -> None:
        """The next poll waits for the answer of the one before."""
        session = FakeSession([])
        self.watch(connect(session))
        session.held["poll"] = Deferred()
        self.clock.pump([60.0] * 5)
        self.assertEqual(session.calls.count("poll"), 1)

    def test_failed_poll_reconnects(self) -> None:
        """A session that does not answer is cut and replaced."""
        first, second = FakeSession([]), FakeSession([1])
        self.watch(connect(first, second))
        first.failures["poll"] = NotConnected(peer="fake", reason="gone")
        self.clock.pump([1.0, 59.0])
        self.assertTrue(first.is_cut)
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [1])

    def test_thrown_out_again_and_again(self) -> None:
        """Who is let in and thrown out at once comes back less often each time, up to a bound."""
        sessions = [FakeSession([]) for _ in range(12)]
        self.watch(connect(*sessions), longest_retry_seconds=300.0)
        delays = []
        for session, following in pairwise(sessions[:9]):
            session.lose(NotConnected(peer="fake", reason="thrown out"))
            waited = 0
            while not following.calls:
                self.clock.advance(1.0)
                waited += 1
            delays.append(waited)
        self.assertEqual(delays, [1, 2, 4, 8, 16, 30, 30, 30])
        self.clock.advance(STEADY_SECONDS)
        sessions[8].lose(NotConnected(peer="fake", reason="an accident"))
        self.clock.advance(1.0)
        self.assertTrue(sessions[9].calls)

    def test_lost_connection_reconnects(self) -> None:
        """A reset leads to a new session after the first delay, and nothing is lost."""
        first, second = FakeSession([]), FakeSession([1])
        self.watch(connect(first, second))
        first.lose()
        self.assertEqual(second.calls, [])
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [1])

    def test_lost_during_the_fetch_reconnects_once(self) -> None:
        """The late answer of a dead session changes nothing."""
        first, second = FakeSession([]), FakeSession([1, 2])
        self.watch(connect(first, second))
        gate = first.held["fetch"] = Deferred[None]()
        first.arrive(1)
        first.lose()
        gate.callback(None)
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [1, 2])
        self.assertEqual(second.calls.count("examine INBOX"), 1)

    def test_hint_of_a_dead_session_is_nothing(self) -> None:
        """A session that was let go can no longer wake us."""
        first, second = FakeSession([]), FakeSession([])
        self.watch(connect(first, second))
        first.lose()
        first.arrive(1)
        self.clock.advance(1.0)
        first.arrive(2)
        self.assertEqual(second.calls.count("fetch"), 1)

    def test_delays_grow_until_a_session_proves_useful(self) -> None:
        """Connecting alone forgets no failure; catching up does."""
        attempts: list[float] = []

        async def refuse() -> IMailSession:
            attempts.append(self.clock.seconds())
            raise NotConnected(peer="fake", reason="refused")

        self.watch(refuse)
        self.clock.pump([0.5] * 100)
        gaps = [round(b - a) for a, b in pairwise(attempts)]
        self.assertEqual(gaps[:5], [1, 2, 4, 8, 16])

    def test_wrong_password_is_not_hammered(self) -> None:
        """In five minutes a refused login is tried once, in an hour five times."""
        attempts: list[float] = []

        async def deny() -> IMailSession:
            attempts.append(self.clock.seconds())
            raise _DENIAL

        self.watch(deny)
        self.clock.pump([1.0] * 300)
        self.assertEqual(len(attempts), 1)
        self.clock.pump([1.0] * 3301)
        self.assertEqual(len(attempts), 5)

    def test_login_that_must_wait(self) -> None:
        """Who has decided when the next login is allowed is obeyed, for both kinds of no."""
        later = LoginDeferred(peer="fake", user="ada", said="later", retry_seconds=70.0)
        denied = LoginDenied(peer="fake", user="ada", said="no", retry_seconds=2000.0)
        session = FakeSession([])
        self.watch(connect(later, denied, session))
        self.clock.advance(69.0)
        self.clock.advance(1.0)
        self.clock.advance(1999.0)
        self.assertEqual(session.calls, [])
        self.clock.advance(1.0)
        self.assertIn("listen", session.calls)

    def test_accept_then_drop_is_not_hammered(self) -> None:
        """A server that takes the login and drops us at EXAMINE keeps its delays growing."""
        sessions: list[FakeSession] = []

        async def opened() -> IMailSession:
            sessions.append(FakeSession())
            sessions[-1].failures["examine"] = NotConnected(peer="fake", reason="dropped")
            return sessions[-1]

        self.watch(opened)
        self.clock.pump([1.0] * 600)
        self.assertLess(len(sessions), 20)
        self.assertTrue(all(session.is_cut for session in sessions))

    def test_full_disk_loses_nothing(self) -> None:
        """What cannot be journalled is not announced, and comes when there is room."""
        session = FakeSession([])
        self.watch(connect(session, FakeSession([1, 2])))
        self.full_disk = JournalUnwritable(path="/j", reason="no space")
        session.arrive(1)
        self.assertEqual(self.announced(), [])
        self.full_disk = None
        self.clock.advance(JOURNAL_RETRY_SECONDS)
        self.assertEqual(self.announced(), [1, 2])

    def test_full_disk_is_looked_at_often(self) -> None:
        """However long the disk was full, room is found within ten seconds."""
        self.known_up_to(0)
        self.full_disk = JournalUnwritable(path="/j", reason="no space")
        self.watch(connect(FakeSession([1]), *(FakeSession([1]) for _ in range(200))))
        self.clock.pump([JOURNAL_RETRY_SECONDS] * 100)
        self.full_disk = None
        self.clock.advance(10.0)
        self.assertEqual(self.announced(), [1])

    def test_rebuilt_mailbox_does_not_flood(self) -> None:
        """Another UIDVALIDITY: what was known is not told again, and goes on from there."""
        first, session = FakeSession([1, 2]), FakeSession([11, 12, 13], uidvalidity=8)
        self.watch(connect(first, session))
        first.arrive(3)
        session.names = {11: 1, 12: 2, 13: 3}
        session.dates = {11: _LONG_AGO, 12: _LONG_AGO, 13: first.received(3)}
        first.lose()
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [3])
        session.arrive(14)
        self.assertEqual(self.announced(), [3, 14])

    def test_mail_that_came_while_a_mailbox_was_rebuilt(self) -> None:
        """It is announced, once, also where the first attempt at it breaks."""
        first = FakeSession([1])
        broken, session = (FakeSession([11, 12], uidvalidity=8) for _ in range(2))
        self.watch(connect(first, broken, session))
        broken.dates = session.dates = {11: _LONG_AGO}
        broken.failures["fetch_only"] = NotConnected(peer="fake", reason="cut")
        first.lose()
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [])
        self.clock.advance(2.0)
        self.assertEqual(self.announced(), [12])
        self.assertEqual(self.journal.cursor("home", "INBOX").uidvalidity, 8)

    def test_rebuilt_on_a_server_that_does_not_search(self) -> None:
        """The last messages are looked at then."""
        first, session = FakeSession([1]), FakeSession([1, 2], uidvalidity=8)
        session.failures["arrived_since"] = CommandRefused(
            peer="fake", command="UID SEARCH", status="BAD", said="no"
        )
        session.dates = {1: _LONG_AGO}
        self.watch(connect(first, session))
        first.lose()
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [2])

    def test_missing_mailbox_is_tried_again(self) -> None:
        """A mailbox that does not exist yet is watched once it does."""
        refused = CommandRefused(peer="fake", command="EXAMINE", status="NO", said="no mailbox")
        first, second = FakeSession([]), FakeSession([])
        first.failures["examine"] = refused
        self.watch(connect(first, second))
        self.assertTrue(first.is_cut)
        self.clock.advance(1.0)
        second.arrive(1)
        self.assertEqual(self.announced(), [1])

    def test_a_defect_of_ours_is_logged_and_retried(self) -> None:
        """An unexpected exception ends in the log, not in silence."""
        first, second = FakeSession([]), FakeSession([])
        first.failures["fetch"] = ZeroDivisionError("a defect")
        self.watch(connect(first, second))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(1.0)
        second.arrive(1)
        self.assertEqual(self.announced(), [1])

    def test_stop_logs_out(self) -> None:
        """A quiet session ends with LOGOUT, and no timer is left."""
        session = FakeSession([])
        watcher = self.watch(connect(session))
        self.successResultOf(watcher.stopService())
        self.assertEqual(session.calls[-1], "close")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_cuts_what_is_under_way(self) -> None:
        """While a fetch waits for its answer there is no polite way out."""
        session = FakeSession([])
        watcher = self.watch(connect(session))
        session.held["fetch"] = Deferred()
        session.arrive(1)
        self.successResultOf(watcher.stopService())
        self.assertTrue(session.is_cut)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_connecting(self) -> None:
        """An attempt that still runs is given up."""
        never: Deferred[FakeSession] = Deferred()

        async def opened() -> IMailSession:
            return await never

        watcher = self.watch(opened)
        self.successResultOf(watcher.stopService())
        self.assertTrue(never.called)

    def test_stop_while_pausing(self) -> None:
        """A pause ends with the service."""
        watcher = self.watch(connect(NotConnected(peer="fake", reason="refused")))
        self.successResultOf(watcher.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_can_be_started_again(self) -> None:
        """After a stop everything begins anew."""
        first, second = FakeSession([]), FakeSession([1])
        watcher = self.watch(connect(first, second))
        self.successResultOf(watcher.stopService())
        self.successResultOf(watcher.stopService())
        watcher.startService()
        self.assertEqual(self.announced(), [1])
