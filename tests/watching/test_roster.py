"""Mailboxes by pattern: what comes, what goes, and what only got another name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import MailGone, NewMail
from mailnotify.core.patterns import read_wanted
from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import CommandRefused
from mailnotify.imap.responses import ListItem, NumberSet
from mailnotify.interfaces import IMailSession
from mailnotify.watching.crew import Crew, Seat
from mailnotify.watching.place import Place
from mailnotify.watching.polling import SETTLE_SECONDS
from mailnotify.watching.roster import REMEMBER, Roster
from mailnotify.watching.watcher import Watcher
from mailnotify.watching.witness import Witness
from tests.fakes import MemoryJournal
from tests.watching.fake_session import FakeSession

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LIST_SECONDS = 300.0
_POLL_SECONDS = 60.0


class Server:
    """Hands out sessions of one account.

    Attributes:
        mailboxes: UIDs by mailbox.
        uidvalidities: of each; a mailbox that is made anew gets another one.
        hidden: are there, and LIST does not say so.
        sessions: all that were opened.
    """

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.mailboxes: dict[str, list[int]] = {}
        self.uidvalidities: dict[str, int] = {}
        self.dates: dict[int, datetime] = {}
        self.capabilities = frozenset({"IDLE", "NOTIFY"})
        self.list_error: Exception | None = None
        self.hidden: set[str] = set()
        self.is_down = False

    @property
    def open(self) -> list[FakeSession]:
        return [each for each in self.sessions if not each.is_cut]

    @property
    def lists(self) -> int:
        """How often somebody looked."""
        return sum(each.calls.count("list_mailboxes") for each in self.sessions)

    async def connect(self) -> IMailSession:
        session = FakeSession()
        session.capabilities = self.capabilities
        session.others, session.uidvalidities = self.mailboxes, self.uidvalidities
        session.dates, session.lists_all = self.dates, True
        session.hidden = self.hidden
        if self.list_error is not None:
            session.failures["list_mailboxes"] = self.list_error
        self.sessions.append(session)
        return session

    def create(self, name: str, *uids: int) -> None:
        self.mailboxes[name] = list(uids)
        self.uidvalidities[name] = 100 + len(self.uidvalidities)

    def rename(self, old: str, new: str) -> None:
        self.mailboxes[new] = self.mailboxes.pop(old)
        self.uidvalidities[new] = self.uidvalidities.pop(old)
        self.uidvalidities[f"once {old}"] = 0

    def delete(self, name: str) -> None:
        del self.mailboxes[name]
        self.uidvalidities[f"once {name}"] = self.uidvalidities.pop(name)

    def tell(self, name: str, *, is_gone: bool = False, old: str | None = None) -> None:
        """As NOTIFY says it."""
        attributes = frozenset({"\\nonexistent"} if is_gone else ())
        item = ListItem(
            attributes=attributes, delimiter="/", name=name, raw=name.encode(), old_name=old
        )
        for session in self.open:
            if session.name_told is not None:
                session.name_told(item)


class Recorder(Witness):
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def proved(self) -> None:
        self.heard.append("proved")

    def failed(self, error: BaseException) -> None:
        self.heard.append(f"failed {error}")

    def end(self) -> None:
        self.heard.append("end")


class RosterCase(SynchronousTestCase):
    """An account that watches INBOX and all lists but one."""

    mailboxes = ("INBOX", "Lists/*", "!Lists/spam")
    capabilities = frozenset({"IDLE", "NOTIFY"})
    since: datetime | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.server.capabilities = self.capabilities
        self.journal = MemoryJournal()
        self.witnesses: dict[str, Recorder] = {}
        self.names: dict[int, int] = {}
        self.server.dates |= dict.fromkeys((1, 2), _START - timedelta(days=9))
        for each in ("INBOX", "Lists/a", "Lists/b", "Lists/spam", "Work"):
            self.server.create(each, 1, 2)

    def now(self) -> datetime:
        return _START + timedelta(seconds=self.clock.seconds())

    def arrive(self, mailbox: str, *uids: int) -> None:
        """Messages arrive now; the server hints if it was asked to."""
        self.server.dates |= dict.fromkeys(uids, self.now())
        if not self.server.open:
            self.server.mailboxes[mailbox] += uids
        for session in self.server.open[:1]:
            session.arrive_in(mailbox, *uids)
        for session in self.server.open:
            if session.mailbox == mailbox and session.changed is not None:
                session.changed(mailbox, None)

    def place(self, name: str) -> Place:
        witness = self.witnesses[name] = Recorder()
        return Place("home", name, self.journal, self.accept, witness)

    def accept(self, events, move) -> None:
        self.journal.append(events, move, self.now())

    def start(self, budget: int = 9) -> Crew:
        wanted = read_wanted(self.mailboxes)

        def brought(name: str) -> Place:
            place = self.place(name)
            place.is_brought, place.since = True, self.since
            return place

        self.witness = Recorder()
        self.roster = Roster(
            "home",
            wanted,
            self.journal,
            brought,
            witness=self.witness,
            list_seconds=_LIST_SECONDS,
            clock=self.clock,
            now=self.now,
        )
        crew = Crew(
            [self.place(each) for each in wanted.names],
            self.server.connect,
            self.make_watcher,
            most_connections=budget,
            clock=self.clock,
            roster=self.roster,
        )
        crew.startService()
        self.addCleanup(self.stop, crew)
        self.advance(2 * SETTLE_SECONDS)
        return crew

    def stop(self, crew: Crew) -> None:
        if crew.running:
            self.successResultOf(crew.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def make_watcher(self, seat: Seat) -> Watcher:
        return Watcher(
            seat,
            seat.begin,
            timing=Timing(poll_seconds=_POLL_SECONDS, idle_poll_seconds=_POLL_SECONDS),
            backoff=Backoff(first_seconds=1.0, most_seconds=60.0, jitter=lambda: 0.999),
            clock=self.clock,
            jitter=lambda: 0.0,
            witness=seat,
        )

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(2 * seconds))

    def watched(self) -> set[str]:
        return {*self.roster.places}

    def announced(self) -> list[tuple[str, int]]:
        """All that was told since the last time."""
        events = [each.event for each in self.journal.read(0, 10_000)][self.count_of_told() :]
        self._told = self.count_of_told() + len(events)
        return [(each.mailbox, each.uid) for each in events if isinstance(each, NewMail)]

    def count_of_told(self) -> int:
        return getattr(self, "_told", 0)


class FirstSightTests(RosterCase):
    """What is there when a pattern is looked into for the first time."""

    def test_what_there_is(self) -> None:
        """Watched is what a pattern brings; nothing in it is announced."""
        self.start()
        self.assertEqual(self.watched(), {"Lists/a", "Lists/b"})
        self.assertEqual(self.announced(), [])
        (session,) = self.server.open
        self.assertEqual(session.notified, ("Lists/a", "Lists/b"))
        self.assertEqual(session.roots, ("Lists",))

    def test_arrival(self) -> None:
        """Mail in any of them is announced, in no other."""
        self.start()
        for uid, each in enumerate(("INBOX", "Lists/a", "Lists/b", "Lists/spam", "Work"), 3):
            self.arrive(each, uid)
        self.assertEqual(set(self.announced()), {("INBOX", 3), ("Lists/a", 4), ("Lists/b", 5)})

    def test_no_mailbox_at_all(self) -> None:
        """That is an error with the remedy, told once, and tried again."""
        self.mailboxes = ("Nope/*",)
        self.start()
        self.advance(600)
        failures = {each for each in self.witness.heard if each.startswith("failed")}
        self.assertEqual(len(failures), 1, failures)
        (said,) = failures
        self.assertIn("no mailbox of home fits Nope/*; on its first level the server has", said)
        self.assertIn("INBOX", said)
        self.assertEqual(self.server.open, [])
        self.server.create("Nope/a")
        self.arrive("Nope/a", 1)
        self.advance(60)
        self.assertEqual(self.announced(), [("Nope/a", 1)])
        self.assertEqual(self.witness.heard[-1], "proved")

    def test_one_pattern_of_several(self) -> None:
        """The others are watched."""
        self.mailboxes = ("INBOX", "Nope/*", "Lists/%")
        self.start()
        self.assertEqual(self.watched(), {"Lists/a", "Lists/b", "Lists/spam"})

    def test_only_patterns(self) -> None:
        """An account needs no mailbox by name."""
        self.mailboxes = ("*", "!Lists/*")
        self.start()
        self.assertEqual(self.watched(), {"INBOX", "Work"})
        self.arrive("Work", 3)
        self.assertEqual(self.announced(), [("Work", 3)])

    def test_list_is_refused(self) -> None:
        """What is named is watched all the same, and the rest known not to be."""
        self.server.list_error = CommandRefused(peer="x", command="LIST", status="NO", said="no")
        self.start()
        self.arrive("INBOX", 3)
        self.assertEqual(self.announced(), [("INBOX", 3)])
        self.assertIn("failed x answered LIST with NO: no", self.witness.heard)


class ComingTests(RosterCase):
    """Mailboxes that come while they are watched."""

    def create(self, name: str, *uids: int) -> None:
        """A filter makes a mailbox for a letter."""
        self.server.create(name, *uids)
        self.server.dates |= dict.fromkeys(uids, self.now())
        self.server.tell(name)

    def test_with_mail_in_it(self) -> None:
        """The letter for which it was made is announced, and each one after it, once."""
        self.start()
        self.create("Lists/new", 71, 72)
        self.assertEqual(self.announced(), [("Lists/new", 71), ("Lists/new", 72)])
        self.arrive("Lists/new", 73)
        self.advance(_LIST_SECONDS + _POLL_SECONDS)
        self.assertEqual(self.announced(), [("Lists/new", 73)])
        self.assertEqual(len(self.server.sessions), 1)

    def test_empty(self) -> None:
        """What comes into it later is announced."""
        self.start()
        self.create("Lists/new")
        self.assertIn("Lists/new", self.watched())
        self.arrive("Lists/new", 1)
        self.assertEqual(self.announced(), [("Lists/new", 1)])

    def test_with_mail_of_old(self) -> None:
        """Who makes a folder for the mail of years is not flooded."""
        self.start()
        self.advance(10)
        self.server.create("Lists/new", *range(1000, 1600))
        dates = {uid: _START - timedelta(days=uid) for uid in range(1000, 1600)}
        self.server.dates |= dates | {1599: self.now()}
        self.server.tell("Lists/new")
        self.assertEqual(self.announced(), [("Lists/new", 1599)])

    def test_what_nobody_wants(self) -> None:
        """Other names are passed over without a question."""
        self.start()
        before = self.server.lists
        for each in ("Work/new", "Lists/spam", "INBOX", "Lists/a"):
            self.server.tell(each)
        self.server.tell("Work", is_gone=True)
        self.assertEqual(self.server.lists, before)

    def test_idle_words(self) -> None:
        """A server that names what it has not is not asked for ever."""
        self.start()
        before = self.server.lists
        for number in range(1000):
            self.server.tell(f"Lists/none {number}")
        self.assertLess(self.server.lists - before, 25)
        self.create("Lists/real", 71)
        self.advance(_LIST_SECONDS + _POLL_SECONDS)
        self.assertEqual(self.announced(), [("Lists/real", 71)])

    def test_status_of_a_new_one(self) -> None:
        """A server that tells of mail in it and not of its name is understood."""
        self.start()
        self.server.create("Lists/new")
        self.arrive("Lists/new", 71)
        self.assertEqual(self.announced(), [("Lists/new", 71)])

    def test_while_the_service_is_away(self) -> None:
        """What came into it meanwhile is announced after the restart, once."""
        crew = self.start()
        self.successResultOf(crew.stopService())
        self.advance(7200)
        self.server.create("Lists/new")
        self.arrive("Lists/new", 71)
        self.advance(36000)
        crew = self.start()
        self.assertEqual(self.announced(), [("Lists/new", 71)])
        self.successResultOf(crew.stopService())
        self.start()
        self.assertEqual(self.announced(), [])

    def test_a_crash_before_it_was_read(self) -> None:
        """Since when it is new is known as long as it was not read."""
        crew = self.start()
        self.successResultOf(crew.stopService())
        self.server.create("Lists/new")
        self.arrive("Lists/new", 71)
        self.advance(86400)
        connect = self.server.connect

        async def failing() -> IMailSession:
            session = await connect()
            session.failures["arrived_since"] = RuntimeError("cut")
            return session

        self.server.connect = failing
        crew = self.start()
        self.flushLoggedErrors(RuntimeError)
        self.successResultOf(crew.stopService())
        self.assertEqual(self.announced(), [])
        self.server.connect = connect
        self.start()
        self.assertEqual(self.announced(), [("Lists/new", 71)])

    def test_a_crash_at_first_sight(self) -> None:
        """What was there at first, and was not opened in time, is as it was."""
        self.server.dates |= dict.fromkeys((1, 2), self.now())
        connect = self.server.connect

        async def failing() -> IMailSession:
            session = await connect()
            session.failures |= {"survey": RuntimeError("cut"), "notify": RuntimeError("cut")}
            return session

        self.server.connect = failing
        crew = self.start()
        self.flushLoggedErrors(RuntimeError)
        self.successResultOf(crew.stopService())
        self.server.connect = connect
        self.start()
        self.assertEqual(self.announced(), [])

    def test_a_new_pattern(self) -> None:
        """What it brings is seen for the first time, whatever other patterns know."""
        crew = self.start()
        self.successResultOf(crew.stopService())
        self.mailboxes = (*self.mailboxes, "Work*")
        self.advance(60)
        self.arrive("Work", 3)
        self.start()
        self.assertEqual(self.announced(), [])
        self.arrive("Work", 4)
        self.assertEqual(self.announced(), [("Work", 4)])

    def test_remembered_now_and_then(self) -> None:
        """The journal is not written to at every look."""
        self.start()
        first = self.journal.resolved("home")["Lists/*"]
        self.advance(_LIST_SECONDS + _POLL_SECONDS)
        self.assertEqual(self.journal.resolved("home")["Lists/*"], first)
        self.advance(REMEMBER.total_seconds() + _LIST_SECONDS)
        self.assertGreater(self.journal.resolved("home")["Lists/*"], first)

    def test_thousands(self) -> None:
        """One connection sees them all, and asks once for what came together."""
        for number in range(3000):
            self.server.create(f"Lists/{number}", 1)
        self.start()
        self.assertEqual(len(self.watched()), 3002)
        self.assertEqual(len(self.server.sessions), 1)
        self.arrive("Lists/2999", 2)
        self.assertEqual(self.announced(), [("Lists/2999", 2)])


class WithoutNotifyTests(ComingTests):
    """The same where each mailbox has a connection, or is swept."""

    capabilities = frozenset({"IDLE"})

    def start(self, budget: int = 2) -> Crew:
        return super().start(budget)

    def create(self, name: str, *uids: int) -> None:
        super().create(name, *uids)
        self.advance(_LIST_SECONDS + 2 * _POLL_SECONDS)

    def arrive(self, mailbox: str, *uids: int) -> None:
        super().arrive(mailbox, *uids)
        if self.server.open:
            self.advance(_POLL_SECONDS + _LIST_SECONDS + 1)

    def test_with_mail_in_it(self) -> None:
        """The letter for which it was made is announced, and each one after it, once."""
        self.start()
        self.create("Lists/new", 71, 72)
        self.assertEqual(self.announced(), [("Lists/new", 71), ("Lists/new", 72)])
        self.arrive("Lists/new", 73)
        self.assertEqual(self.announced(), [("Lists/new", 73)])

    def test_with_mail_of_old(self) -> None:
        """Who makes a folder for the mail of years is not flooded."""
        self.start()
        self.server.create("Lists/new", *range(1000, 1600))
        dates = {uid: _START - timedelta(days=uid) for uid in range(1000, 1600)}
        self.server.dates |= dates | {1599: self.now()}
        self.advance(_LIST_SECONDS + 2 * _POLL_SECONDS)
        self.assertEqual(self.announced(), [("Lists/new", 1599)])

    def test_thousands(self) -> None:
        """Two connections see them all."""
        for number in range(3000):
            self.server.create(f"Lists/{number}", 1)
        self.start()
        self.assertEqual(len(self.watched()), 3002)
        self.assertEqual(len(self.server.open), 2)
        self.arrive("Lists/2999", 2)
        self.assertEqual(self.announced(), [("Lists/2999", 2)])

    def test_the_others_stay(self) -> None:
        """Connections that have the same to see as before are left alone."""
        self.start(budget=9)
        self.assertEqual(len(self.server.sessions), 3)
        self.create("Lists/new")
        self.assertEqual(len(self.server.sessions), 4)
        self.server.delete("Lists/a")
        self.advance(_LIST_SECONDS + 2 * _POLL_SECONDS)
        homes = [each.mailbox for each in self.server.open]
        self.assertEqual(sorted(homes), ["INBOX", "Lists/b", "Lists/new"])
        self.assertEqual(homes[0], "INBOX")
        self.assertEqual(len(self.server.sessions), 5)


class VanishedTests(RosterCase):
    """All messages of an open mailbox are gone at once, as some servers tell a rename."""

    capabilities = frozenset({"IDLE"})

    def vanish(self, change: Callable[[], None]) -> list[tuple[str, str]]:
        """What is told of two announced messages of Lists/a after this has happened to it."""
        self.start()
        self.arrive("Lists/a", 5, 6)
        self.assertEqual(len(self.announced()), 2)
        (lists,) = [each for each in self.server.open if each.mailbox == "Lists/a"]
        change()
        lists.told(NumberSet(((5, 6),)), True)
        self.advance(2 * _POLL_SECONDS)
        events = [each.event for each in self.journal.read(0, 100)]
        return [(each.mailbox, type(each).__name__) for each in events if each.uid == 5][1:]

    def test_renamed(self) -> None:
        """They are where they were, and nothing is told; what becomes of them later is."""
        self.assertEqual(self.vanish(lambda: self.server.rename("Lists/a", "Lists/z")), [])
        self.assertEqual(list(self.roster.places["Lists/z"].known()), [5, 6])

    def test_emptied(self) -> None:
        """A mailbox that is still there has lost them."""
        self.assertEqual(
            self.vanish(lambda: self.server.mailboxes["Lists/a"].clear()), [("Lists/a", "MailGone")]
        )

    def test_one_of_several(self) -> None:
        """What is removed beside others is told at once."""
        self.start()
        self.arrive("Lists/a", 5, 6)
        (lists,) = [each for each in self.server.open if each.mailbox == "Lists/a"]
        lists.calls.clear()
        lists.told(NumberSet(((6, 6),)), True)
        self.assertIsInstance(self.journal.entries[-1].event, MailGone)
        self.assertEqual(lists.calls, [])

    def test_deleted(self) -> None:
        """So has one that is gone for good."""
        self.assertEqual(
            self.vanish(lambda: self.server.delete("Lists/a")), [("Lists/a", "MailGone")]
        )
        self.assertNotIn("Lists/a", self.watched())


class SweepTests(WithoutNotifyTests):
    """The same without IDLE: one connection asks about all."""

    capabilities = frozenset()

    def test_thousands(self) -> None:
        """One connection sees them all."""
        for number in range(3000):
            self.server.create(f"Lists/{number}", 1)
        self.start()
        self.assertEqual(len(self.watched()), 3002)
        self.arrive("Lists/2999", 2)
        self.assertEqual(self.announced(), [("Lists/2999", 2)])
        self.assertEqual(len(self.server.sessions), 1)

    def test_the_others_stay(self) -> None:
        """There are none."""


class BackfillTests(RosterCase):
    """An account that wants the mail of the last days at first sight."""

    since = _START - timedelta(days=30)

    def test_first_sight(self) -> None:
        """Also of what its patterns bring; a letter that lies in two of them is one."""
        self.start()
        self.assertEqual(self.announced(), [("Lists/a", 1), ("Lists/a", 2)])


class GoingTests(RosterCase):
    """Mailboxes that go, or get another name."""

    def test_deleted(self) -> None:
        """It is watched no more, without an error; its cursor stays."""
        self.start()
        self.server.delete("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.assertEqual(self.watched(), {"Lists/b"})
        self.assertEqual(self.witnesses["Lists/a"].heard[-1], "end")
        self.advance(2000)
        self.assertEqual(self.failures(), [])
        self.assertIsNotNone(self.journal.cursor("home", "Lists/a"))
        self.assertEqual(len(self.server.sessions), 1)

    def failures(self) -> list[str]:
        said = [*self.witness.heard]
        for each in self.witnesses.values():
            said += each.heard
        return [each for each in said if each.startswith("failed")]

    def test_deleted_without_a_word(self) -> None:
        """A mailbox that is missed is looked for before it is said to fail."""
        self.server.capabilities = frozenset()
        self.start()
        self.server.delete("Lists/a")
        self.advance(2 * _POLL_SECONDS + 1)
        self.assertEqual(self.watched(), {"Lists/b"})
        self.assertEqual(self.failures(), [])

    def test_not_to_be_opened_once(self) -> None:
        """What is refused once is opened with the next question: its mail waits no longer."""
        self.server.capabilities = frozenset()
        self.start()
        (session,) = self.server.open
        session.failures["examine Lists/a"] = CommandRefused(
            peer="fake", command="EXAMINE", status="NO", said="[INUSE] later"
        )
        self.arrive("Lists/a", 3)
        self.advance(2 * _POLL_SECONDS + 1)
        self.assertEqual(self.announced(), [("Lists/a", 3)])
        self.assertEqual(self.failures(), [])

    def test_never_to_be_opened(self) -> None:
        """What tells of itself and refuses to be opened is said to fail, and looked for once."""
        self.server.capabilities = frozenset()
        self.start()
        (session,) = self.server.open
        examine = session.examine

        async def refuse(mailbox: str, *rest: object) -> MailboxStatus:
            if mailbox == "Lists/a":
                raise CommandRefused(peer="fake", command="EXAMINE", status="NO", said="not you")
            return await examine(mailbox, *rest)

        session.examine = refuse
        self.arrive("Lists/a", 3)
        before = self.server.lists
        self.advance(10 * _POLL_SECONDS)
        self.assertIn("EXAMINE with NO: not you", "".join(self.witnesses["Lists/a"].heard))
        self.assertLess(self.server.lists - before, 5)

    def test_listed_and_not_to_be_opened(self) -> None:
        """What is there and refuses to be opened is said to fail, and looked for once."""
        self.server.capabilities = frozenset()
        self.start()
        for session in self.server.open:
            session.others = {k: v for k, v in session.others.items() if k != "Lists/a"}
            held = session.list_mailboxes
            session.list_mailboxes = lambda wanted, held=held: self.with_a(held, wanted)
        before = self.server.lists
        self.advance(10 * _POLL_SECONDS)
        self.assertIn("EXAMINE with NO: none such", "".join(self.witnesses["Lists/a"].heard))
        self.assertLess(self.server.lists - before, 5)

    async def with_a(self, held, wanted):
        listing = await held(wanted)
        names = (*listing.names, "Lists/a")
        return type(listing)(names=names, there=frozenset(names))

    def test_made_anew(self) -> None:
        """With another UIDVALIDITY it is another mailbox, and its mail is announced."""
        self.start()
        self.server.delete("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.advance(4000)
        self.server.create("Lists/a", 1, 71)
        self.server.dates[71] = self.now()
        self.server.tell("Lists/a")
        self.assertEqual(self.announced(), [("Lists/a", 71)])

    def test_renamed_as_told(self) -> None:
        """Nothing is announced twice, nothing is lost."""
        self.start()
        self.arrive("Lists/a", 3)
        self.server.rename("Lists/a", "Lists/z")
        self.server.tell("Lists/z", old="Lists/a")
        self.arrive("Lists/z", 4)
        self.assertEqual(self.announced(), [("Lists/a", 3), ("Lists/z", 4)])
        self.assertEqual(self.watched(), {"Lists/b", "Lists/z"})

    def test_renamed_without_a_word(self) -> None:
        """UIDVALIDITY tells, also if mail came meanwhile, and across a restart."""
        crew = self.start()
        self.arrive("Lists/a", 3)
        self.successResultOf(crew.stopService())
        self.server.rename("Lists/a", "Lists/z")
        self.arrive("Lists/z", 4)
        self.start()
        self.assertEqual(self.announced(), [("Lists/a", 3), ("Lists/z", 4)])

    def test_renamed_and_made_anew(self) -> None:
        """The cursor goes with the old one, and the new one is new."""
        self.start()
        self.arrive("Lists/a", 3)
        self.server.rename("Lists/a", "Lists/z")
        self.server.create("Lists/a", 71)
        self.server.dates[71] = self.now()
        self.server.tell("Lists/z", old="Lists/a")
        self.advance(_LIST_SECONDS + _POLL_SECONDS)
        self.arrive("Lists/z", 4)
        self.assertEqual(set(self.announced()), {("Lists/a", 3), ("Lists/a", 71), ("Lists/z", 4)})

    def test_told_while_something_is_asked(self) -> None:
        """Whatever is under way, what was told of meanwhile is noticed soon after it."""
        changes = {
            "Lists/new": lambda: (
                self.server.create("Lists/new", 71),
                self.server.tell("Lists/new"),
            ),
            "Lists/z": lambda: (
                self.server.rename("Lists/a", "Lists/z"),
                self.server.tell("Lists/z", old="Lists/a"),
            ),
            "Lists/b": lambda: (
                self.server.delete("Lists/b"),
                self.server.tell("Lists/b", is_gone=True),
            ),
        }
        questions = ("list_mailboxes", "survey", "examine", "fetch")
        for question, name in itertools.product(questions, changes):
            self.setUp()
            crew = self.start()
            [session] = self.server.open
            there = name in self.watched()
            answer = session.held[question] = Deferred()
            self.server.create("Lists/other", 61)
            self.server.tell("Lists/other")
            self.assertIn(question, " ".join(session.calls))
            changes[name]()
            del session.held[question]
            answer.callback(None)
            self.advance(2 * SETTLE_SECONDS)
            self.assertEqual(name in self.watched(), not there, f"{name} while {question}")
            self.stop(crew)

    def test_told_in_each_answer(self) -> None:
        """A server that tells the same of a name with each list is not asked for ever."""
        self.start()
        [session] = self.server.open
        before = self.server.lists
        for _ in range(100):
            answer = session.held["list_mailboxes"] = Deferred()
            self.server.tell("Lists/a/b", old="Lists/a")
            del session.held["list_mailboxes"]
            answer.callback(None)
        self.advance(2 * SETTLE_SECONDS)
        self.assertLess(self.server.lists - before, 5)

    def test_renamed_twice(self) -> None:
        """Between two looks a mailbox may have had three names."""
        self.start()
        self.arrive("Lists/a", 3)
        self.server.rename("Lists/a", "Lists/z")
        del self.server.uidvalidities["Lists/z"]  # so that only words can tell
        item = {"attributes": frozenset(), "delimiter": "/", "raw": b""}
        self.roster.told(ListItem(name="Other", old_name="Lists/a", **item))
        self.server.tell("Lists/z", old="Other")
        self.assertIn("Lists/z", self.watched())
        self.assertIsNone(self.journal.cursor("home", "Lists/a"))

    def test_the_parent_is_renamed(self) -> None:
        """What lies below it is renamed with it."""
        self.mailboxes = ("INBOX", "*/a", "*/x")
        self.server.create("Lists", 1)
        self.server.create("Lists/x", 1)
        self.start()
        for each in ("Lists/a", "Lists/x"):
            self.server.rename(each, each.replace("Lists", "Old"))
        self.server.uidvalidities |= {"Old/a": 5, "Old/x": 5}  # so that only words can tell
        before = self.journal.cursor("home", "Lists/a")
        self.server.tell("Old", old="Lists")
        self.server.tell("Old/a")
        self.assertEqual(self.watched(), {"Old/a", "Old/x"})
        self.assertIsNone(self.journal.cursor("home", "Lists/a"))
        self.assertIsNotNone(before)

    def test_messages_of_a_deleted_mailbox(self) -> None:
        """They are gone with it."""
        self.start()
        self.arrive("Lists/a", 5)
        self.server.delete("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.assertEqual(self.watched(), {"Lists/b"})
        event = self.journal.entries[-1].event
        self.assertIsInstance(event, MailGone)
        self.assertEqual((event.mailbox, event.uid), ("Lists/a", 5))

    def test_messages_of_a_mailbox_that_is_listed_no_more(self) -> None:
        """A LIST that leaves one out tells nothing of its messages."""
        self.start()
        self.arrive("Lists/a", 5)
        self.server.hidden.add("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.assertEqual(self.watched(), {"Lists/b"})
        self.assertIsInstance(self.journal.entries[-1].event, NewMail)

    def test_renamed_out_of_the_pattern(self) -> None:
        """It is gone, as far as we are concerned, and comes back as it went."""
        self.start()
        self.server.rename("Lists/a", "Work/a")
        self.server.tell("Work/a", old="Lists/a")
        self.assertEqual(self.watched(), {"Lists/b"})
        self.arrive("Work/a", 3)
        self.assertEqual(self.announced(), [])

    def test_the_home_is_deleted(self) -> None:
        """Another one becomes the home."""
        self.mailboxes = ("Lists/*",)
        self.start()
        self.assertEqual(self.server.open[0].mailbox, "Lists/a")
        self.server.delete("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.advance(5)
        self.assertEqual(self.watched(), {"Lists/b", "Lists/spam"})
        self.arrive("Lists/spam", 3)
        self.arrive("Lists/b", 4)
        self.assertEqual(self.announced(), [("Lists/spam", 3), ("Lists/b", 4)])
        self.assertEqual(self.failures(), [])

    def test_the_last_one_is_deleted(self) -> None:
        """Then nothing is watched, which is told; the next one that comes is."""
        self.mailboxes = ("Lists/a*",)
        self.start()
        self.server.delete("Lists/a")
        self.server.tell("Lists/a", is_gone=True)
        self.advance(5)
        self.assertIn("no mailbox of home fits Lists/a*", "".join(self.failures()))
        self.server.create("Lists/aa")
        self.arrive("Lists/aa", 71)
        self.advance(120)
        self.assertEqual(self.announced(), [("Lists/aa", 71)])
