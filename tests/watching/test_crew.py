"""As many connections as an account needs and its server takes."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.errors import CommandRefused, LoginDeferred, NotConnected
from mailnotify.interfaces import IMailSession
from mailnotify.watching.crew import REGROW_SECONDS, Crew, Seat
from mailnotify.watching.place import Place
from mailnotify.watching.watcher import Watcher
from mailnotify.watching.witness import Witness
from tests.fakes import MemoryJournal
from tests.watching.fake_session import FakeSession

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_CROWDED = LoginDeferred(peer="fake", user="ada", said="Too many simultaneous connections")


class Server:
    """Hands out sessions, up to a limit.

    Attributes:
        sessions: all that were opened, in order.
        limit: of those that are open at a time.
        capabilities: of the sessions.
    """

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.mailboxes: dict[str, list[int]] = {"INBOX": [], "Work": [], "Lists": [], "Old": []}
        self.limit = 100
        self.capabilities = frozenset({"IDLE"})
        self.refusals = 0
        self.error: Exception = _CROWDED
        self.refuses_notify = False

    @property
    def open(self) -> list[FakeSession]:
        return [each for each in self.sessions if not each.is_cut]

    async def connect(self) -> IMailSession:
        if len(self.open) >= self.limit:
            self.refusals += 1
            raise self.error
        session = FakeSession()
        session.capabilities = self.capabilities
        session.others = self.mailboxes
        if self.refuses_notify and "NOTIFY" in self.capabilities:
            self.capabilities -= {"NOTIFY"}  # as the habits of the host do
            session.failures["notify"] = CommandRefused(
                peer="fake", command="NOTIFY", status="NO", said="no"
            )
        self.sessions.append(session)
        return session

    def homes(self) -> list[str]:
        """Which mailboxes are open."""
        return [each.mailbox for each in self.open]


class Recorder(Witness):
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def proved(self) -> None:
        self.heard.append("proved")

    def failed(self, error: BaseException) -> None:
        self.heard.append("failed")

    def checked(self) -> None:
        self.heard.append("checked")


class CrewCase(SynchronousTestCase):
    """An account with four mailboxes."""

    budget = 9

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.journal = MemoryJournal()
        self.witnesses = {each: Recorder() for each in self.server.mailboxes}

    def start(self, budget: int = 9) -> Crew:
        places = [
            Place("home", each, self.journal, self.accept, self.witnesses[each])
            for each in self.server.mailboxes
        ]
        crew = Crew(
            places,
            self.server.connect,
            self.make_watcher,
            most_connections=budget,
            clock=self.clock,
        )
        crew.startService()
        self.addCleanup(self.stop, crew)
        return crew

    def stop(self, crew: Crew) -> None:
        if crew.running:
            self.successResultOf(crew.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def make_watcher(self, seat: Seat) -> Watcher:
        return Watcher(
            seat,
            seat.begin,
            timing=Timing(idle_poll_seconds=60.0),
            backoff=Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 0.999),
            clock=self.clock,
            jitter=lambda: 0.0,
            witness=seat,
        )

    def accept(self, events, move) -> None:
        self.journal.append(events, move, _NOW)

    def announced(self) -> list[tuple[str, int]]:
        return [(each.event.mailbox, each.event.uid) for each in self.journal.read(0, 100)]

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(2 * seconds))


class CrewTests(CrewCase):
    """What the first session can do decides."""

    def test_idle(self) -> None:
        """Each mailbox has a connection of its own."""
        self.start()
        self.assertEqual(self.server.homes(), ["INBOX", "Work", "Lists", "Old"])

    def test_a_mailbox_that_is_not_there(self) -> None:
        """It is said not to be watched, and not in the same breath to be."""
        crew = self.start(budget=1)
        (seat,) = crew._seats
        self.assertEqual(str(seat), "home/INBOX, home/Work, home/Lists and 1 more")
        no = CommandRefused(peer="fake", command="STATUS", status="NO", said="no")
        crew._places["Work"].refusal = no
        self.assertEqual(str(seat), "home/INBOX, home/Lists, home/Old")

    def test_notify(self) -> None:
        """One connection is told of all."""
        self.server.capabilities = frozenset({"IDLE", "NOTIFY"})
        self.start()
        (session,) = self.server.sessions
        self.assertEqual(session.notified, ("Work", "Lists", "Old"))
        session.arrive_in("Old", 1)
        self.assertEqual(self.announced(), [("Old", 1)])

    def test_notify_refused(self) -> None:
        """Then each mailbox has a connection of its own, as with IDLE alone."""
        self.server.capabilities = frozenset({"IDLE", "NOTIFY"})
        self.server.refuses_notify = True
        self.start()
        self.advance(2)
        self.assertEqual(self.server.homes(), ["INBOX", "Work", "Lists", "Old"])

    def test_without_idle(self) -> None:
        """One connection asks about all, at each poll."""
        self.server.capabilities = frozenset()
        self.start()
        (session,) = self.server.sessions
        session.arrive_in("Old", 1)
        self.assertEqual(self.announced(), [])
        self.clock.advance(60)
        self.assertEqual(self.announced(), [("Old", 1)])

    def test_over_the_budget(self) -> None:
        """The last connection sweeps what has none."""
        self.start(budget=2)
        self.assertEqual(self.server.homes(), ["INBOX", "Work"])
        self.server.mailboxes["Old"].append(1)
        self.advance(60)
        self.assertEqual(self.announced(), [("Old", 1)])
        self.assertEqual(self.server.homes(), ["INBOX", "Work"])

    def test_all_are_proved(self) -> None:
        """Each mailbox of a connection is known to be seen, or not."""
        self.start(budget=2)
        for witness in self.witnesses.values():
            self.assertIn("proved", witness.heard)
        self.server.open[1].lose()
        self.assertEqual(self.witnesses["Old"].heard[-1], "failed")
        self.assertEqual(self.witnesses["INBOX"].heard[-1], "proved")

    def test_names(self) -> None:
        """The log names what a connection watches, but not a hundred mailboxes."""
        crew = self.start(budget=1)
        (watcher,) = [each for each in crew if isinstance(each, Watcher)]
        seat = Seat(crew, 0)
        self.assertEqual(str(seat), "home/INBOX, home/Work, home/Lists and 1 more")
        self.assertIsNotNone(watcher)

    def test_another_server_behind_the_same_name(self) -> None:
        """When the first connection comes back with NOTIFY, it takes over from the others."""
        self.start()
        self.server.capabilities = frozenset({"IDLE", "NOTIFY"})
        self.server.sessions[0].lose()
        self.advance(2)
        (session,) = self.server.open
        self.assertEqual(session.notified, ("Work", "Lists", "Old"))

    def test_stop_and_start(self) -> None:
        """All connections end with the service, and come again with it."""
        crew = self.start()
        self.successResultOf(crew.stopService())
        self.assertEqual(self.server.open, [])
        crew.startService()
        self.assertEqual(len(self.server.open), 4)

    def test_check(self) -> None:
        """After a sleep of the machine every connection is asked."""
        crew = self.start()
        crew.check()
        self.assertEqual([each.calls.count("poll") for each in self.server.open], [1] * 4)


class CrowdedTests(CrewCase):
    """A server that takes fewer connections than there are mailboxes."""

    def test_learned_from_refusals(self) -> None:
        """In the end as many are open as it takes, and no mailbox is without eyes."""
        for limit in (1, 2, 3):
            self.setUp()
            self.server.limit = limit
            crew = self.start()
            self.advance(60)
            self.assertEqual(len(self.server.open), limit)
            for each in self.server.mailboxes.values():
                each.append(1)
            for session in self.server.open:
                session.changed(session.mailbox, None)
            self.advance(61)
            self.assertEqual(len(self.announced()), 4, self.announced())
            self.stop(crew)

    def test_refusals_end(self) -> None:
        """What was learned is kept for an hour; then one more is tried."""
        self.server.limit = 2
        self.start()
        self.advance(60)
        before = self.server.refusals
        self.advance(REGROW_SECONDS - 70)
        self.assertEqual(self.server.refusals, before)
        self.server.limit = 100
        self.advance(REGROW_SECONDS)
        self.assertEqual(len(self.server.open), 3)

    def test_one_more_after_a_pause(self) -> None:
        """That one more is tried does not end with a stop in between, and goes on to the last."""
        self.server.limit = 2
        crew = self.start()
        self.advance(60)
        self.stop(crew)
        self.server.limit = 100
        crew.startService()
        self.advance(2 * REGROW_SECONDS + 60)
        self.assertEqual(len(self.server.open), 4)

    def test_learned_at_once(self) -> None:
        """Whoever was refused leaves, and those who were let in see all: nobody tries again."""
        for limit in (1, 2, 3):
            self.setUp()
            self.server.limit = limit
            crew = self.start()
            self.assertEqual(self.server.refusals, 4 - limit)
            self.advance(0.5)
            self.assertEqual(self.server.homes(), ["INBOX", "Work", "Lists"][:limit])
            self.advance(600)
            self.assertEqual(self.server.refusals, 4 - limit)
            self.stop(crew)

    def test_said_once(self) -> None:
        """One line for all refusals, and none for the watchers that left."""
        self.server.limit = 2
        with capturedLogs() as logged:
            self.start()
            self.advance(600)
        said = [formatEvent(each) or "" for each in logged]
        told = [each for each in said if "no more than 2 connections" in each]
        self.assertEqual((len(told), [each for each in said if "not watching" in each]), (1, []))
        heard = [each for witness in self.witnesses.values() for each in witness.heard]
        self.assertNotIn("failed", heard)

    def test_a_connection_that_was_just_given_up(self) -> None:
        """A server that counts it still does not make us give up another one."""
        self.server.limit = 2
        crew = self.start()
        self.assertEqual(self.server.homes()[:1], ["INBOX"])
        self.server.limit = 1  # the second one begins anew with more mailboxes
        self.advance(0.5)
        self.server.limit = 2
        self.advance(5)
        self.assertEqual(self.server.homes(), ["INBOX", "Work"])
        self.stop(crew)

    def test_refused_altogether(self) -> None:
        """Where not even one is taken, fewer would not help: it is tried again."""
        self.server.limit = 0
        self.start(budget=2)
        self.advance(60)
        self.server.limit = 100
        self.advance(60)
        self.assertEqual(self.server.homes(), ["INBOX", "Work"])

    def test_other_errors_teach_nothing(self) -> None:
        """A network that fails is no reason to give up a connection."""
        self.server.limit = 2
        self.server.error = NotConnected(peer="fake", reason="refused")
        self.start()
        self.advance(60)
        self.server.limit = 4
        self.advance(60)
        self.assertEqual(len(self.server.open), 4)
