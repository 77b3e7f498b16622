"""One session and several mailboxes: who is opened when, and what that finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import MailSeen
from mailnotify.core.sync import Cursor, CursorMove, MailboxStatus
from mailnotify.errors import CommandRefused
from mailnotify.imap.responses import NumberSet
from mailnotify.imap.session import BATCH
from mailnotify.watching.agenda import MOST_STALE
from mailnotify.watching.freshness import PAUSE_SECONDS
from mailnotify.watching.place import Place
from mailnotify.watching.reading import Reading
from mailnotify.watching.witness import Witness
from tests.fakes import MemoryJournal
from tests.watching.fake_session import FakeSession

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def refusal(mailbox: str) -> CommandRefused:
    return CommandRefused(peer="fake", command="EXAMINE", status="NO", said=f"no {mailbox}")


class Recorder(Witness):
    """Counts the failures that it hears of."""

    def __init__(self) -> None:
        self.failures = 0

    def failed(self, error: BaseException) -> None:
        self.failures += 1


class ReadingCase(SynchronousTestCase):
    """An account with INBOX, Work and Lists."""

    is_notified = False
    mailboxes: Sequence[str] = ("INBOX", "Work", "Lists")

    def setUp(self) -> None:
        self.journal = MemoryJournal()
        self.session = FakeSession([3])
        self.session.others = {"Work": [5], "Lists": []}
        self.hints = 0
        self.places = [
            Place("home", name, self.journal, self.accept, Recorder()) for name in self.mailboxes
        ]
        self.clock = Clock()
        self.reading = Reading(self.session, self.places, self.clock, is_notified=self.is_notified)

    def accept(self, events, move) -> None:
        self.journal.append(events, move, _NOW)

    def changed(self) -> None:
        self.hints += 1

    def begin(self) -> None:
        self.result(self.reading.examine())
        self.catch_up()

    def catch_up(self) -> None:
        self.result(self.reading.catch_up(self.changed))

    def result(self, coroutine):
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def take_calls(self) -> list[str]:
        calls, self.session.calls = self.session.calls, []
        return calls

    def known_up_to(self, mailbox: str, uid: int, uidvalidity: int = 7) -> None:
        cursor = Cursor(uidvalidity=uidvalidity, last_uid=uid)
        self.journal.append((), CursorMove(account="home", mailbox=mailbox, cursor=cursor), _NOW)

    def announced(self) -> list[tuple[str, int]]:
        return [(each.event.mailbox, each.event.uid) for each in self.journal.read(0, 100)]


class SweepTests(ReadingCase):
    """A server that tells of one mailbox only."""

    def test_first_sight_opens_only_the_home(self) -> None:
        """What lies in all mailboxes is known from one survey, and silent."""
        self.begin()
        self.assertEqual(self.take_calls(), ["survey", "examine INBOX", "fetch", "listen"])
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "Work").last_uid, 5)
        self.assertEqual(self.journal.cursor("home", "Lists").last_uid, 0)

    def test_first_sight_of_a_server_that_cannot_count(self) -> None:
        """A UIDNEXT in STATUS that cannot be right makes no old mail new: it is looked at."""
        self.session.others = {"Work": [5, 6, 9], "Lists": [2]}
        honest, self.session.survey = self.session.survey, self.understated  # type: ignore[method-assign]
        self.begin()
        self.session.survey = honest  # type: ignore[method-assign]
        self.assertIn("examine Work", self.session.calls)
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "Work").last_uid, 9)
        self.assertEqual(self.journal.cursor("home", "Lists").last_uid, 2)

    async def understated(self, mailboxes: Sequence[str]) -> Mapping[str, MailboxStatus]:
        """STATUS of a server whose UIDNEXT is 1, and of one where it is 0."""
        found = await type(self.session).survey(self.session, mailboxes)
        low = {"Work": 1, "Lists": 0}
        return {each: structs.replace(found[each], uidnext=low[each]) for each in found}

    def test_quiet_sweep(self) -> None:
        """A poll is one question for all mailboxes, and opens none."""
        self.begin()
        self.take_calls()
        self.assertFalse(self.result(self.reading.poll()))
        self.assertEqual(self.take_calls(), ["survey"])

    def test_sweep_finds_mail(self) -> None:
        """Only the mailbox that changed is opened, and then the home again."""
        self.begin()
        self.session.arrive_in("Lists", 1, 2)
        self.take_calls()
        self.assertTrue(self.result(self.reading.poll()))
        self.catch_up()
        self.assertEqual(self.announced(), [("Lists", 1), ("Lists", 2)])
        self.assertEqual(
            self.take_calls(),
            ["survey", "examine Lists", "fetch", "examine INBOX", "fetch", "listen"],
        )

    def test_mail_at_home_meanwhile(self) -> None:
        """What comes into the home while another mailbox is open is found on the way back."""
        self.begin()
        self.session.arrive_in("Work", 6)
        self.session.uids.append(4)
        self.result(self.reading.poll())
        self.catch_up()
        self.assertEqual(self.announced(), [("Work", 6), ("INBOX", 4)])

    def test_hint_from_home_comes_first(self) -> None:
        """The mailbox that is open is read before any other is opened."""
        self.begin()
        self.session.arrive_in("Work", 6)
        self.result(self.reading.poll())
        self.session.arrive(4)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4), ("Work", 6)])
        self.assertEqual(self.hints, 1)

    def test_absence(self) -> None:
        """What came while nobody watched is found in all mailboxes."""
        for mailbox in ("INBOX", "Work", "Lists"):
            self.known_up_to(mailbox, 2)
        self.begin()
        self.assertEqual(self.announced(), [("INBOX", 3), ("Work", 5)])

    def test_removed_before_we_saw_it(self) -> None:
        """A UIDNEXT that no message has is looked into once."""
        self.begin()
        self.known_up_to("Work", 4)
        self.session.others["Work"] = [5]
        self.result(self.reading.poll())
        self.session.others["Work"] = []
        self.catch_up()
        self.session.others["Work"] = [5]
        self.assertFalse(self.result(self.reading.poll()))
        self.session.arrive_in("Work", 6)
        self.assertTrue(self.result(self.reading.poll()))

    def test_rebuilt_mailbox(self) -> None:
        """Another UIDVALIDITY of a swept mailbox is a new beginning, without a flood."""
        self.known_up_to("Work", 2, uidvalidity=6)
        self.session.dates = dict.fromkeys(self.session.others["Work"], _NOW - timedelta(days=9))
        self.begin()
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "Work").uidvalidity, 7)

    def test_missing_mailbox(self) -> None:
        """It is told of once, in the server's words, hides no other, and is seen when it comes."""
        self.session.lists_all = True
        self.session.others["INBOX"] = self.session.uids
        del self.session.others["Lists"]
        self.begin()
        lists = self.places[2]
        self.assertIn("none such", str(lists.refusal))
        for _ in range(3):
            self.assertFalse(self.result(self.reading.poll()))
        self.assertEqual(lists.witness.failures, 1)
        self.session.others["Lists"] = []
        self.result(self.reading.poll())
        self.session.arrive_in("Lists", 1)
        self.result(self.reading.poll())
        self.catch_up()
        self.assertEqual(self.announced(), [("Lists", 1)])
        self.assertIsNone(lists.refusal)

    def test_refused_and_back(self) -> None:
        """A known mailbox that was missing is seen again when it is there, without new mail."""
        self.begin()
        self.session.lists_all = True
        self.session.others["INBOX"] = self.session.uids
        work = self.session.others.pop("Work")
        self.assertTrue(self.result(self.reading.poll()))
        self.catch_up()
        self.assertIsNotNone(self.places[1].refusal)
        self.session.others["Work"] = work
        self.assertTrue(self.result(self.reading.poll()))
        self.catch_up()
        self.assertIsNone(self.places[1].refusal)

    def test_a_status_that_does_not_come(self) -> None:
        """No words are put into a server's mouth: what can be opened is there, and read."""
        self.session.survey = self._silent  # type: ignore[method-assign]
        self.known_up_to("Work", 4)
        self.begin()
        self.assertEqual([each.refusal for each in self.places], [None, None, None])
        self.assertEqual(self.announced(), [("Work", 5)])
        self.session.arrive_in("Lists", 1)
        self.assertTrue(self.result(self.reading.poll()))
        self.catch_up()
        self.assertEqual(self.announced(), [("Work", 5), ("Lists", 1)])

    def test_refused_without_status(self) -> None:
        """Who says nothing of a mailbox, and refused it once, is tried again with each check."""
        self.session.survey = self._silent  # type: ignore[method-assign]
        self.session.failures["examine Lists"] = refusal("Lists")
        self.begin()
        self.assertIsNotNone(self.places[2].refusal)
        self.result(self.reading.poll())
        self.catch_up()
        self.assertIsNotNone(self.places[2].refusal)
        self.assertTrue(self.result(self.reading.compare()))
        self.catch_up()
        self.assertIsNone(self.places[2].refusal)

    async def _silent(self, mailboxes: Sequence[str]) -> Mapping[str, MailboxStatus]:
        return {}

    def test_home_is_missing(self) -> None:
        """Then the next mailbox is the home, and the missing one is swept."""
        self.session.failures["examine"] = refusal("INBOX")
        self.begin()
        self.assertEqual(str(self.reading.home), "home/Work")
        self.session.arrive(6)
        self.assertIsNotNone(self.places[0].refusal)

    def test_no_mailbox_can_be_opened(self) -> None:
        """Then the attempt fails with the reason of the first."""
        self.session.examine = self._refuse
        attempt = Deferred.fromCoroutine(self.reading.examine())
        error = self.failureResultOf(attempt, CommandRefused).value
        self.assertEqual(error.said, "no INBOX")

    async def _refuse(self, mailbox: str, *since: object) -> MailboxStatus:
        raise refusal(mailbox)

    def test_vanished_before_the_visit(self) -> None:
        """A mailbox that was deleted after the survey is told of, and the home listened to."""
        self.begin()
        self.session.arrive_in("Work", 6)
        self.result(self.reading.poll())
        self.session.failures["examine"] = refusal("Work")
        self.take_calls()
        self.catch_up()
        self.assertIsNotNone(self.places[1].refusal)
        self.assertEqual(self.take_calls()[-3:], ["examine INBOX", "fetch", "listen"])

    def test_home_vanishes(self) -> None:
        """Then the session is of no more use."""
        self.begin()
        self.session.arrive_in("Work", 6)
        self.result(self.reading.poll())
        self.session.others.pop("Lists")

        async def examine(mailbox: str, *since: object) -> MailboxStatus:
            if mailbox == "INBOX":
                raise refusal(mailbox)
            return await FakeSession.examine(self.session, mailbox)

        self.session.examine = examine
        attempt = Deferred.fromCoroutine(self.reading.catch_up(self.changed))
        self.failureResultOf(attempt, CommandRefused)

    def test_compare_looks_everywhere(self) -> None:
        """The check of what was hinted at is one of all mailboxes."""
        self.begin()
        self.assertFalse(self.result(self.reading.compare()))
        self.session.others["Work"].append(6)
        self.session.uids.append(4)
        self.assertTrue(self.result(self.reading.compare()))
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4), ("Work", 6)])


class ReadElsewhereTests(ReadingCase):
    """Messages that are read or removed in mailboxes that are not open."""

    mailboxes = ("INBOX", *(f"M{number}" for number in range(2 * MOST_STALE)))

    def setUp(self) -> None:
        super().setUp()
        self.session.others = {name: [] for name in self.mailboxes[1:]}

    def begin_with_mail(self, *mailboxes: str) -> None:
        """A message was announced in each of these."""
        self.begin()
        for each in mailboxes:
            self.session.arrive_in(each, 1)
            self.session.unseen[each] = 1
        self.poll()
        self.assertEqual(self.announced(), [(each, 1) for each in mailboxes])

    def poll(self) -> list[str]:
        """One poll and what it leads to; the mailboxes that were visited."""
        self.take_calls()
        if self.result(self.reading.poll()):
            self.catch_up()
        words = [each.split(" ") for each in self.take_calls()]
        return [word[1] for word in words if word[0] == "examine" and word[1] != "INBOX"]

    def test_number_of_unread(self) -> None:
        """It changes: the mailbox is opened, once, and asked about what is known."""
        self.begin_with_mail("M0")
        self.assertEqual(self.poll(), [])
        self.session.unseen["M0"] = 0
        self.assertEqual(self.poll(), ["M0"])
        self.assertEqual(self.session.since[-2][1], (1,))
        self.assertEqual(self.poll(), [])

    def test_not_to_be_journalled(self) -> None:
        """What is found there and cannot be stored is looked for again."""
        self.begin_with_mail("M0")
        self.session.unseen["M0"] = 0
        self.session.examine = self._telling  # type: ignore[method-assign]
        self.journal.is_full = True
        self.assertEqual(self.poll(), ["M0"])
        self.journal.is_full = False
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.poll(), ["M0"])
        self.assertIsInstance(self.journal.entries[-1].event, MailSeen)
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.poll(), [])

    async def _telling(self, mailbox: str, *since: object) -> MailboxStatus:
        status = await FakeSession.examine(self.session, mailbox, *since)  # type: ignore[arg-type]
        if mailbox == "M0":
            self.session.told(NumberSet(((1, 1),)), False)
        return status

    def test_removed(self) -> None:
        """So it is when there are fewer."""
        self.begin_with_mail("M0")
        self.session.arrive_in("M0", 2)
        self.poll()
        self.session.others["M0"].remove(1)
        self.assertEqual(self.poll(), ["M0"])
        self.assertEqual(self.poll(), [])

    def test_mod_sequence(self) -> None:
        """Where there is one it alone tells, also of what was read while we were away."""
        self.session.modseqs = dict.fromkeys(self.mailboxes, 5)
        self.begin_with_mail("M0")
        self.session.unseen["M0"] = 0
        self.assertEqual(self.poll(), [])
        self.session.modseqs["M0"] = 6
        places = [Place("home", each, self.journal, self.accept) for each in self.mailboxes]
        self.reading = Reading(self.session, places, self.clock)
        self.result(self.reading.examine())
        self.take_calls()
        self.catch_up()
        self.assertIn("examine M0", self.take_calls())
        self.assertEqual(self.poll(), [])

    def test_mod_sequence_that_is_another_when_opened(self) -> None:
        """A server that contradicts itself is looked at once for each of its words."""
        self.session.modseqs = dict.fromkeys(self.mailboxes, 5)
        self.begin_with_mail("M0")
        honest, self.session.examine = self.session.examine, self._unordered  # type: ignore[method-assign]
        self.session.modseqs["M0"] = 6
        self.assertEqual(self.poll(), ["M0"])
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.poll(), [])
        self.session.examine = honest  # type: ignore[method-assign]

    async def _unordered(self, mailbox: str, *since: object) -> MailboxStatus:
        status = await FakeSession.examine(self.session, mailbox, *since)  # type: ignore[arg-type]
        return structs.replace(status, modseq=0)

    def test_nothing_known(self) -> None:
        """Where nothing was announced nobody cares."""
        self.session.unseen = dict.fromkeys(self.mailboxes, 3)
        self.begin()
        self.session.unseen = dict.fromkeys(self.mailboxes, 2)
        self.assertEqual(self.poll(), [])

    def test_not_all_the_time(self) -> None:
        """Who reads a mailbox for an hour makes us look once in a while."""
        self.begin_with_mail("M0")
        self.session.unseen["M0"] = 7
        self.assertEqual(self.poll(), ["M0"])
        self.session.unseen["M0"] = 6
        self.assertEqual(self.poll(), [])
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.poll(), ["M0"])

    def test_a_few_at_a_time(self) -> None:
        """Between two of them we listen at home; none is forgotten."""
        names = self.mailboxes[1:]
        self.begin_with_mail(*names)
        self.session.unseen = dict.fromkeys(names, 0)
        self.assertEqual(self.poll(), list(names[:MOST_STALE]))
        self.assertEqual(self.poll(), list(names[MOST_STALE:]))

    def test_mail_is_more_urgent(self) -> None:
        """New mail is fetched at once, however recently somebody read there."""
        self.begin_with_mail("M0")
        self.session.unseen["M0"] = 0
        self.poll()
        self.session.arrive_in("M0", 2)
        self.assertEqual(self.poll(), ["M0"])


class ToldOfReadingTests(ReadingCase):
    """A server that tells of flags in all mailboxes (NOTIFY)."""

    is_notified = True

    def setUp(self) -> None:
        super().setUp()
        self.begin()
        self.session.arrive_in("Work", 6)
        self.catch_up()
        self.take_calls()

    def flag(self, modseq: int) -> None:
        """What Dovecot says of it."""
        self.session.changed(
            "Work", MailboxStatus(uidvalidity=0, uidnext=0, exists=0, modseq=modseq)
        )

    def test_at_once(self) -> None:
        """A flag is a reason to look, without a poll."""
        self.hints = 0
        self.flag(8)
        self.assertEqual(self.hints, 1)
        self.catch_up()
        self.assertEqual(self.take_calls()[0], "examine Work")

    def test_a_storm_of_flags(self) -> None:
        """More of them are looked into with a later poll."""
        self.flag(8)
        self.catch_up()
        self.hints = 0
        for modseq in range(9, 100):
            self.flag(modseq)
        self.assertEqual(self.hints, 0)
        self.assertFalse(self.result(self.reading.poll()))
        self.clock.advance(PAUSE_SECONDS)
        self.assertTrue(self.result(self.reading.poll()))


class Surveyor:
    """A census that opens another mailbox when it looks, as for the id of a new one."""

    roots = ("",)
    is_due = True

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    def told(self, item: object) -> bool:
        return False

    saw = told

    def want(self) -> None:
        self.is_due = True

    async def look(self, session: FakeSession, home: Place) -> Sequence[Place]:
        self.is_due = False
        await session.examine("Lists")
        session.told(NumberSet(((4, 4),)), True)
        return self._places

    def begin(self, found: Sequence[tuple[Place, MailboxStatus]]) -> None:
        for place, status in found:
            place.begin(status)

    def remember(self) -> None:
        pass


class BackfillTests(ReadingCase):
    """Mailboxes of whose mail the last days are wanted at first sight."""

    def setUp(self) -> None:
        super().setUp()
        self.session.uids, self.session.others["Work"] = [3, 4], [5, 6]
        for uid in (3, 5):
            self.session.dates[uid] = _NOW - timedelta(days=9)
        for uid in (4, 6):
            self.session.dates[uid] = _NOW - timedelta(days=2)
        for place in self.places:
            place.since = _NOW - timedelta(days=3)

    def test_first_sight(self) -> None:
        """What is younger is announced, in all mailboxes, once; then what comes."""
        for _ in range(2):
            self.begin()
            self.assertEqual(sorted(self.announced()), [("INBOX", 4), ("Work", 6)])
            self.reading = Reading(self.session, self.places, self.clock)
        self.session.arrive(7)
        self.catch_up()
        self.assertEqual(self.announced()[2:], [("INBOX", 7)])


class LookingTests(ReadingCase):
    """A look for mailboxes that leaves another one open."""

    def test_back_home(self) -> None:
        """The home is opened again, though nothing has come or gone; its mail is its own."""
        surveyor = Surveyor(self.places)
        self.reading = Reading(self.session, self.places, self.clock, census=surveyor)
        self.begin()
        self.session.arrive(4)
        self.catch_up()
        surveyor.want()
        self.take_calls()
        self.session.others["Lists"] = [7]
        self.catch_up()
        self.assertEqual(self.take_calls(), ["examine Lists", "examine INBOX", "fetch", "listen"])
        self.session.arrive(5)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4), ("INBOX", 5)])


class FloodTests(ReadingCase):
    """More than one batch."""

    def setUp(self) -> None:
        super().setUp()
        self.session = FakeSession(range(1, 2 * BATCH + 2))
        self.reading = Reading(self.session, self.places[:1], self.clock)
        self.known_up_to("INBOX", 0)
        self.result(self.reading.examine())
        self.gate = self.session.held["fetch"] = Deferred()
        self.catching_up = Deferred.fromCoroutine(self.reading.catch_up(self.changed))

    def answer(self) -> None:
        """The server answers the fetch that is under way, and no other."""
        gate, self.gate = self.gate, Deferred()
        self.session.held["fetch"] = self.gate
        gate.callback(None)

    def last_uid(self) -> int:
        return self.journal.cursor("home", "INBOX").last_uid

    def test_next_batch_is_asked_for_at_once(self) -> None:
        """The server gathers a batch while the one before it is decoded and journalled."""
        self.answer()
        self.assertEqual(self.session.calls.count("fetch"), 2)
        self.assertEqual((self.journal.head, self.last_uid()), (0, 0))
        self.clock.pump([0] * BATCH)
        self.assertEqual((self.journal.head, self.last_uid()), (BATCH, BATCH))
        for _ in range(3):
            self.answer()
            self.clock.pump([0] * BATCH)
        self.successResultOf(self.catching_up)
        self.assertEqual(self.journal.head, 2 * BATCH + 1)

    def test_cut_costs_only_the_rest(self) -> None:
        """What ends the work ends the fetch that was asked for ahead; the cursor fits."""
        self.answer()
        self.clock.pump([0] * BATCH)
        self.answer()
        ahead = self.gate
        self.catching_up.cancel()
        self.failureResultOf(self.catching_up)
        self.assertTrue(ahead.called)
        self.assertEqual((self.journal.head, self.last_uid()), (BATCH, BATCH))


class NotifiedTests(ReadingCase):
    """A server that tells of all mailboxes."""

    is_notified = True

    def test_beginning(self) -> None:
        """The request to be told is also the survey."""
        self.begin()
        self.assertEqual(self.take_calls(), ["notify", "examine INBOX", "fetch", "listen"])
        self.assertEqual(self.session.notified, ("Work", "Lists"))
        self.assertEqual(self.journal.cursor("home", "Work").last_uid, 5)

    def test_mail_elsewhere(self) -> None:
        """A STATUS leads to that mailbox, and back home."""
        self.begin()
        self.take_calls()
        self.session.arrive_in("Work", 6)
        self.assertEqual(self.hints, 1)
        self.catch_up()
        self.assertEqual(self.announced(), [("Work", 6)])
        self.assertEqual(self.take_calls()[:2], ["examine Work", "fetch"])

    def test_status_without_news(self) -> None:
        """A STATUS that tells what is known wakes nobody; neither does a strange mailbox."""
        self.begin()
        known = MailboxStatus(uidvalidity=0, uidnext=6, exists=1)
        self.session.changed("Work", known)
        self.session.changed("Elsewhere", None)
        self.assertEqual(self.hints, 0)
        self.session.changed("Work", MailboxStatus(uidvalidity=8, uidnext=6, exists=1))
        self.assertEqual(self.hints, 1)

    def test_inbox_in_any_case(self) -> None:
        """INBOX is the one name whose case means nothing."""
        self.begin()
        self.session.changed("Inbox", None)
        self.assertEqual(self.hints, 1)

    def test_refused(self) -> None:
        """Several mailboxes are shared out anew; one alone goes on without."""
        self.session.failures["notify"] = refusal("NOTIFY")
        attempt = Deferred.fromCoroutine(self.reading.examine())
        self.failureResultOf(attempt, CommandRefused)
        self.session.failures["notify"] = refusal("NOTIFY")
        self.reading = Reading(self.session, self.places[:1], Clock(), is_notified=True)
        self.begin()
        self.session.arrive(4)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4)])

    def test_poll_is_a_noop(self) -> None:
        """Nobody needs to ask about mailboxes that are told of."""
        self.begin()
        self.take_calls()
        self.assertFalse(self.result(self.reading.poll()))
        self.assertEqual(self.take_calls(), ["poll"])
