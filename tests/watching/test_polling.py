"""How a watcher asks its server: at intervals, after a sleep, and apart from all hints."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.errors import DeadlinePassed, LoginDenied, NotConnected
from mailnotify.watching.place import Place
from mailnotify.watching.polling import HASTE_SECONDS, SETTLE_SECONDS, SPREAD, Polling
from mailnotify.watching.reading import Reading
from mailnotify.watching.watcher import Watcher
from mailnotify.watching.witness import Witness
from tests.fakes import MemoryJournal
from tests.watching.fake_session import FakeSession, connect, reads

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Listener(Witness):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.proofs = 0
        self.failures: list[BaseException] = []
        self.checks = 0
        self.misses: list[int] = []

    def proved(self) -> None:
        self.proofs += 1

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def checked(self) -> None:
        self.checks += 1

    def missed(self, count: int) -> int:
        self.misses.append(count)
        return sum(self.misses)


class PollingCase(SynchronousTestCase):
    """A mailbox that is polled every minute and compared every ten."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal()
        self.witness = Listener()
        self.others: tuple[str, ...] = ()
        self.is_notified = False

    def watch(self, *outcomes: FakeSession | Exception, **timing: float) -> Watcher:
        def accept(events: object, move: object) -> None:
            self.journal.append(events, move, _NOW)  # type: ignore[arg-type]

        intervals = {
            "poll_seconds": 60.0,
            "idle_poll_seconds": 60.0,
            "safety_seconds": 600.0,
            **timing,
        }
        open_session = connect(*outcomes)
        names = ("INBOX", *self.others)
        self.places = [Place("home", each, self.journal, accept, self.witness) for each in names]

        async def begin() -> Reading:
            session = await open_session()
            return Reading(session, self.places, self.clock, is_notified=self.is_notified)

        watcher = Watcher(
            self.places[0],
            begin,
            timing=Timing(**intervals),
            backoff=Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 0.999),
            clock=self.clock,
            jitter=lambda: 0.0,
            witness=self.witness,
        )
        watcher.startService()
        return watcher

    def watch_settled(self, *outcomes: FakeSession | Exception, **timing: float) -> Watcher:
        """As `watch`, and the first question is behind us."""
        watcher = self.watch(*outcomes, **timing)
        self.clock.advance(SETTLE_SECONDS)
        for outcome in outcomes:
            if isinstance(outcome, FakeSession):
                outcome.calls.clear()
        self.witness.checks = 0
        return watcher

    def announced(self) -> list[int]:
        return [entry.event.uid for entry in self.journal.entries]

    def asked(self, session: FakeSession) -> list[str]:
        """The polls and comparisons, in order."""
        return [call for call in session.calls if call in ("poll", "status")]


class SafetyTests(PollingCase):
    """STATUS, against the server's hints."""

    def test_in_place_of_a_poll(self) -> None:
        """Every tenth question is a STATUS: it costs nothing more."""
        session = FakeSession([1])
        self.watch_settled(session)
        self.clock.pump([60.0] * 20)
        self.assertEqual(self.asked(session), (["poll"] * 9 + ["status"]) * 2)
        self.assertEqual((self.witness.checks, self.witness.misses), (2, []))

    def test_more_often_than_polls(self) -> None:
        """Its interval holds, though the polls would be rarer."""
        session = FakeSession([1])
        self.watch_settled(session, idle_poll_seconds=3600.0, safety_seconds=100.0)
        self.clock.pump([10.0] * 30)
        self.assertEqual(self.asked(session), ["status"] * 3)

    def test_finds_what_was_not_hinted_at(self) -> None:
        """It is announced at once, counted, and the log says so."""
        session = FakeSession([1])
        self.watch_settled(session)
        session.uids += [2, 3]  # an IDLE that tells nothing, and a NOOP that neither does
        self.clock.pump([60.0] * 9)
        self.assertEqual(self.announced(), [])
        self.clock.advance(60.0)
        self.assertEqual(self.announced(), [2, 3])
        self.assertEqual(self.witness.misses, [2])
        self.clock.pump([60.0] * 30)
        self.assertEqual(self.witness.misses, [2])

    def test_a_message_that_is_gone_again(self) -> None:
        """UIDNEXT has grown and nothing is there: looked for once, and not counted."""
        session = FakeSession([1])
        self.watch(session)
        session.uids.append(9)
        session.failures.clear()
        original = session.fetch

        async def nothing(first_uid: int) -> object:
            await original(first_uid)
            return ()

        session.fetch = nothing  # type: ignore[method-assign]
        before = session.calls.count("fetch")
        self.clock.pump([60.0] * 40)
        self.assertEqual(session.calls.count("fetch"), before + 1)
        self.assertEqual(self.witness.misses, [])

    def test_a_hint_that_comes_with_the_answer(self) -> None:
        """The server did tell: nothing was missed."""
        session = FakeSession([1])
        self.watch(session)
        gate = session.held["status"] = Deferred[None]()
        self.clock.advance(SETTLE_SECONDS)
        session.arrive(2)
        gate.callback(None)
        self.assertEqual(self.announced(), [2])
        self.assertEqual((self.witness.checks, self.witness.misses), (1, []))

    def test_a_hint_whose_fetch_is_under_way(self) -> None:
        """The answer to STATUS overtakes that to the fetch; nothing was missed."""
        session = FakeSession([1])
        self.watch(session)
        status, fetch = Deferred[None](), Deferred[None]()
        session.held["status"] = status
        self.clock.pump([60.0] * 10)
        session.held["fetch"] = fetch
        session.arrive(2)
        status.callback(None)
        fetch.callback(None)
        self.assertEqual((self.announced(), self.witness.misses), ([2], []))

    def test_mailboxes_that_are_swept(self) -> None:
        """Nobody promised to tell of them: what a comparison finds there was not missed."""
        self.others = ("Lists",)
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.watch(session)
        self.clock.pump([60.0] * 9)
        session.others["Lists"].append(2)
        self.clock.advance(60.0)
        self.assertEqual((self.announced(), self.witness.misses), ([2], []))

    def test_mailboxes_that_are_notified(self) -> None:
        """What NOTIFY should have told of, and did not, counts in its own mailbox."""
        self.others = ("Lists",)
        self.is_notified = True
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.watch(session)
        self.places[1].witness = other = Listener()
        session.others["Lists"].append(2)
        self.clock.pump([60.0] * 9)
        self.assertEqual(self.announced(), [])
        self.clock.advance(60.0)
        self.assertEqual(self.announced(), [2])
        self.assertEqual((self.witness.misses, other.misses), ([], [1]))

    def test_a_server_that_refuses_status(self) -> None:
        """It cannot be compared with itself; the round trip still proves that it is there."""
        session = FakeSession([1])
        session.tells_status = False
        self.watch(session)
        proofs = self.witness.proofs
        session.uids.append(2)
        self.clock.pump([60.0] * 10)
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.witness.proofs, proofs + 10)

    def test_a_status_that_fails(self) -> None:
        """It ends the session like a failed poll."""
        first, second = FakeSession([1]), FakeSession([1])
        self.watch(first, second)
        first.failures["status"] = NotConnected(peer="fake", reason="gone")
        self.clock.pump([60.0] * 10)
        self.assertTrue(first.is_cut)
        self.clock.advance(1.0)
        self.assertEqual(second.calls[0], "examine INBOX")


class IntervalTests(PollingCase):
    """Who must be asked often, and who tells by himself."""

    def polls(self, session: FakeSession) -> int:
        """How often the server was asked in an hour."""
        self.watch_settled(session, poll_seconds=60.0, idle_poll_seconds=180.0)
        self.clock.pump([60.0] * 60)
        return sum(call in ("poll", "status", "survey") for call in session.calls)

    def test_in_idle(self) -> None:
        """A server that tells has only to prove now and then that it still would."""
        self.assertEqual(self.polls(FakeSession([1])), 20)

    def test_without_idle(self) -> None:
        """One that does not is asked at each interval of the polls."""
        session = FakeSession([1])
        session.capabilities = frozenset({"IMAP4REV1"})
        self.assertEqual(self.polls(session), 60)

    def test_mailboxes_that_are_swept(self) -> None:
        """IDLE tells of the open mailbox alone; the others cannot wait that long."""
        self.others = ("Lists",)
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.assertGreaterEqual(self.polls(session), 60)

    def test_mailboxes_that_are_notified(self) -> None:
        """With NOTIFY the server tells of all."""
        self.others, self.is_notified = ("Lists",), True
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.assertLess(self.polls(session), 30)


class BusyTests(PollingCase):
    """A home that gets mail more often than anybody would poll."""

    def be_busy(self, session: FakeSession, *, every_seconds: float = 40.0) -> None:
        """Half an hour of it."""
        session.capabilities = frozenset({"IMAP4REV1", "IDLE"})
        uid = max(session.uids)
        for _ in range(round(1800 / every_seconds)):
            self.clock.pump([1.0] * round(every_seconds - 1) or [every_seconds])
            uid += 1
            session.arrive(uid)
            self.clock.advance(1.0)

    def test_others_are_swept(self) -> None:
        """The other mailboxes are asked about all the same."""
        self.others = ("Lists",)
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.watch_settled(session, poll_seconds=60.0, safety_seconds=3600.0)
        self.be_busy(session)
        self.assertIn(session.calls.count("survey"), range(15, 31))
        self.assertGreater(session.calls.count("status"), 30)
        session.calls.clear()
        self.be_busy(session, every_seconds=0.5)
        self.assertGreaterEqual(session.calls.count("survey"), 15)

    def test_it_is_compared(self) -> None:
        """And the hints are compared with STATUS in their time."""
        session = FakeSession([1])
        self.watch_settled(session, idle_poll_seconds=60.0, safety_seconds=300.0)
        self.witness.checks = 0
        self.be_busy(session, every_seconds=0.5)
        self.assertGreaterEqual(self.witness.checks, 5)


class SettleTests(PollingCase):
    """The first question in an IDLE."""

    def test_a_letter_that_came_before_idle_began(self) -> None:
        """Of what came between the fetch and the IDLE some servers never tell; we ask, once."""
        session = FakeSession([1])
        self.watch(session)
        session.uids.append(2)
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual((self.announced(), self.witness.misses), ([2], [1]))
        self.clock.advance(SETTLE_SECONDS)
        self.clock.advance(50.0)
        self.assertEqual(self.asked(session), ["status", "status"])

    def test_after_each_letter(self) -> None:
        """Each fetch begins an IDLE, and each of these is asked about."""
        session = FakeSession([1])
        self.watch_settled(session)
        session.arrive(2)
        session.uids.append(3)
        self.assertEqual(self.asked(session), [])
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual((self.announced(), self.asked(session)), ([2, 3], ["status"]))

    def test_a_flood(self) -> None:
        """Letters that come one upon another do not each bring a question."""
        session = FakeSession([1])
        self.watch_settled(session)
        for uid in range(2, 40):
            session.arrive(uid)
            self.clock.advance(SETTLE_SECONDS / 2)
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(self.asked(session), ["status"])

    def test_without_idle(self) -> None:
        """Who only polls has no such gap: the polls themselves ask."""
        session = FakeSession([1])
        session.capabilities = frozenset({"IMAP4REV1"})
        self.watch(session)
        self.clock.pump([1.0] * 120)
        self.assertEqual(self.asked(session), ["poll", "poll"])

    def test_the_polls_keep_their_beat(self) -> None:
        """The first question takes nothing of the interval, nor adds to it."""
        session = FakeSession([1])
        self.watch(session)
        self.clock.pump([SETTLE_SECONDS, 58.9])
        self.assertEqual(self.asked(session), ["status"])
        self.clock.advance(0.1)
        self.assertEqual(self.asked(session), ["status", "poll"])

    def test_other_mailboxes(self) -> None:
        """They are not open, so there is no IDLE that could have begun too late for them."""
        self.others = ("Lists",)
        session = FakeSession([1])
        session.others["Lists"] = [1]
        self.watch(session)
        session.calls.clear()
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(session.calls, ["status"])


class JitterTests(SynchronousTestCase):
    """Many accounts with one interval."""

    def test_they_do_not_beat_in_step(self) -> None:
        """A thousand that began together are spread over the interval within a few polls."""
        clock = Clock()
        asked: list[float] = []
        chance = Random(1)

        class Nothing:
            """A session that takes note of its polls."""

            capabilities = frozenset({"IMAP4REV1"})

            async def poll(self) -> None:
                asked.append(clock.seconds())

        def accept(events: object, move: object) -> None:
            """Nothing is journalled here."""

        for number in range(1000):
            place = Place(f"account {number}", "INBOX", MemoryJournal(), accept)
            polling = Polling(
                Reading(Nothing(), [place], clock),  # type: ignore[arg-type]
                timing=Timing(poll_seconds=60.0, idle_poll_seconds=60.0, safety_seconds=86400.0),
                witness=Witness(),
                clock=clock,
                jitter=chance.random,
                failed=lambda failure: None,
                behind=lambda: None,
            )
            polling.start()
            self.addCleanup(polling.stop)
        clock.pump([1.0] * 600)
        per_second = Counter(int(at) for at in asked)
        self.assertLess(max(per_second.values()), 150)
        self.assertLess(max(per_second[second] for second in range(400, 600)), 50)
        self.assertGreaterEqual(min(asked), 60.0 * (1 - SPREAD))
        self.assertLessEqual(len(asked), 1000 * 600 / 60 / (1 - SPREAD))

    def test_never_later_than_configured(self) -> None:
        """Chance only shortens: what was configured is a bound."""
        clock = Clock()
        session = FakeSession([1])
        place = Place("home", "INBOX", MemoryJournal(), lambda events, move: None)
        for chance, seconds in ((0.0, 60.0), (0.999999, 48.001)):
            session.calls.clear()
            polling = Polling(
                Reading(session, [place], clock),
                timing=Timing(poll_seconds=60.0, idle_poll_seconds=60.0),
                witness=Witness(),
                clock=clock,
                jitter=lambda chance=chance: chance,
                failed=lambda failure: None,
                behind=lambda: None,
            )
            session.tells_status = False
            polling.start()
            clock.pump([SETTLE_SECONDS, seconds - SETTLE_SECONDS])
            self.assertEqual(session.calls, ["status", "poll"])
            polling.stop()


class ProofTests(PollingCase):
    """What the witness hears."""

    def test_proofs(self) -> None:
        """Having caught up is one, and each answered poll."""
        session = FakeSession([1])
        self.watch(session)
        self.assertEqual(self.witness.proofs, 1)
        self.clock.pump([60.0] * 3)
        self.assertEqual(self.witness.proofs, 4)
        session.arrive(2)
        self.assertEqual(self.witness.proofs, 5)

    def test_connecting_proves_nothing(self) -> None:
        """A server that lets us in and then says no more has not shown that it would tell."""
        session = FakeSession([1])
        session.held["fetch"] = Deferred()
        self.watch(session)
        self.assertEqual(self.witness.proofs, 0)

    def test_failures(self) -> None:
        """Each attempt that failed, and the loss of a session, with its cause."""
        refused = NotConnected(peer="fake", reason="refused")
        denied = LoginDenied(peer="fake", user="ada", said="no")
        session = FakeSession([1])
        self.watch(refused, denied, session)
        self.clock.advance(1.0)
        self.clock.advance(900.0)
        self.assertEqual(self.witness.failures, [refused, denied])
        lost = NotConnected(peer="fake", reason="reset")
        session.lose(lost)
        self.assertEqual(self.witness.failures[2:], [lost])

    def test_a_stop_is_no_failure(self) -> None:
        """Who ends the service has not gone blind."""
        session = FakeSession([1])
        watcher = self.watch(session)
        self.successResultOf(watcher.stopService())
        self.assertEqual(self.witness.failures, [])


class CheckTests(PollingCase):
    """After a sleep of the machine."""

    def test_listening(self) -> None:
        """The server is asked at once, and the interval begins anew."""
        session = FakeSession([1])
        watcher = self.watch_settled(session)
        self.clock.advance(30.0)
        watcher.check()
        self.assertEqual(self.asked(session), ["poll"])
        self.clock.advance(59.0)
        self.assertEqual(self.asked(session), ["poll"])
        self.clock.advance(1.0)
        self.assertEqual(self.asked(session), ["poll", "poll"])

    def test_a_dead_connection(self) -> None:
        """Noticed within seconds, whatever a command may take otherwise."""
        first, second = FakeSession([1]), FakeSession([1, 2])
        watcher = self.watch(first, second)
        first.held["poll"] = Deferred()
        watcher.check()
        self.clock.advance(HASTE_SECONDS - 0.1)
        self.assertFalse(first.is_cut)
        self.clock.advance(0.1)
        self.assertTrue(first.is_cut)
        self.assertIsInstance(self.witness.failures[0], DeadlinePassed)
        self.clock.advance(1.0)
        self.assertEqual(self.announced(), [2])

    def test_only_that_answer_is_hurried(self) -> None:
        """The next poll has its usual time."""
        session = FakeSession([1])
        watcher = self.watch(session)
        watcher.check()
        session.held["poll"] = Deferred()
        self.clock.advance(60.0)
        self.clock.advance(HASTE_SECONDS + 1)
        self.assertFalse(session.is_cut)

    def test_pausing(self) -> None:
        """The network may be back: the pause ends."""
        refused = NotConnected(peer="fake", reason="refused")
        session = FakeSession([1])
        watcher = self.watch(refused, session)
        watcher.check()
        self.assertEqual(session.calls[:1], ["examine INBOX"])
        self.clock.advance(1.0)
        self.assertEqual(session.calls.count("examine INBOX"), 1)

    def test_denied(self) -> None:
        """A refused login is no better for a sleep."""
        session = FakeSession([1])
        watcher = self.watch(LoginDenied(peer="fake", user="ada", said="no"), session)
        watcher.check()
        self.assertEqual(session.calls, [])

    def test_under_way(self) -> None:
        """What has a deadline of its own is let be."""
        session = FakeSession([1])
        gate = session.held["fetch"] = Deferred[None]()
        watcher = self.watch(session)
        watcher.check()
        session.uids.append(2)
        del session.held["fetch"]
        gate.callback(None)
        session.held["fetch"] = Deferred[None]()
        session.arrive(3)
        session.arrive(4)
        watcher.check()
        self.assertEqual(self.asked(session), [])
        self.assertFalse(session.is_cut)

    def test_opening_and_resting(self) -> None:
        """Nothing is begun that was not, or twice."""
        never: Deferred[FakeSession] = Deferred()
        attempts = []

        async def opened() -> FakeSession:
            attempts.append(never)
            return await never

        watcher = self.watch(FakeSession([1]))
        self.successResultOf(watcher.stopService())
        watcher.check()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        place = Place("home", "Lists", self.journal, lambda events, move: None)
        backoff = Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 0.999)
        opening = Watcher(
            place,
            reads(place, opened, self.clock),
            timing=Timing(),
            backoff=backoff,
            clock=self.clock,
            jitter=lambda: 0.0,
        )
        opening.startService()
        opening.check()
        self.assertEqual(len(attempts), 1)

    def test_while_a_poll_is_under_way(self) -> None:
        """Its answer still counts, and the check has a question of its own."""
        session = FakeSession([1])
        watcher = self.watch_settled(session)
        gate = session.held["poll"] = Deferred[None]()
        self.clock.advance(60.0)
        watcher.check()
        self.assertEqual(self.asked(session), ["poll", "poll"])
        gate.callback(None)
        self.assertFalse(session.is_cut)
