"""What lay in a mailbox at first sight, and is moved later."""

from __future__ import annotations

from datetime import timedelta

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from mailnotify.core.bulk import FLOOD
from mailnotify.errors import CommandRefused
from mailnotify.imap.session import BATCH
from mailnotify.watching.agenda import MOST_STALE
from mailnotify.watching.place import Place
from mailnotify.watching.reading import Reading
from tests.watching.test_reading import _NOW, ReadingCase, Recorder


class LookingBackTests(ReadingCase):
    """An account with several mailboxes; messages of one name are one message."""

    def setUp(self) -> None:
        super().setUp()
        self.begin_with(has_others=True)

    def begin_with(self, *, has_others: bool) -> None:
        self.places = [
            Place("home", name, self.journal, self.accept, Recorder(), has_others=has_others)
            for name in ("INBOX", "Work", "Lists")
        ]
        self.clock = Clock()
        self.reading = Reading(self.session, self.places, self.clock)

    def move_to_lists(self, uid: int) -> None:
        """A message of INBOX, with its date, under the UID that it has there."""
        self.session.uids.remove(uid)
        self.session.names[uid + 10] = uid
        self.session.dates[uid + 10] = self.session.received(uid)
        self.session.arrive_in("Lists", uid + 10)
        self.result(self.reading.poll())
        self.catch_up()

    def test_moved(self) -> None:
        """It is no news in another mailbox; what nobody has met is."""
        self.begin()
        self.move_to_lists(3)
        self.assertEqual(self.announced(), [])
        self.session.arrive_in("Lists", 99)
        self.result(self.reading.poll())
        self.catch_up()
        self.assertEqual(self.announced(), [("Lists", 99)])

    def test_once(self) -> None:
        """Each mailbox is looked at once, at first sight, if it has mail."""
        self.begin()
        self.assertEqual(
            self.take_calls(),
            [
                *("survey", "examine INBOX", "fetch", "fetch_only"),
                *("examine Work", "fetch", "fetch_only"),
                *("examine INBOX", "fetch", "listen"),
            ],
        )
        self.begin_with(has_others=True)
        self.begin()
        self.assertNotIn("fetch_only", self.take_calls())
        self.assertFalse(self.result(self.reading.poll()))

    def test_a_few_at_a_time(self) -> None:
        """Of many mailboxes the others come with the next polls."""
        names = [f"M{number}" for number in range(MOST_STALE + 1)]
        self.session.others = {each: [1] for each in names}
        self.places[1:] = [
            Place("home", each, self.journal, self.accept, has_others=True) for each in names
        ]
        self.reading = Reading(self.session, self.places, self.clock)
        for count in (MOST_STALE + 1, 1):
            self.begin() if count > 1 else self.poll()
            self.assertEqual(self.take_calls().count("fetch_only"), count)

    def poll(self) -> None:
        self.assertTrue(self.result(self.reading.poll()))
        self.catch_up()

    def test_the_newest(self) -> None:
        """Of very many the newest, in one question."""
        self.session.uids = list(range(1, BATCH + 3))
        self.result(self.reading.examine())
        catching_up = Deferred.fromCoroutine(self.reading.catch_up(self.changed))
        self.clock.pump([0.0] * BATCH)
        self.successResultOf(catching_up)
        self.move_to_lists(2)
        self.move_to_lists(3)
        self.assertEqual(self.announced(), [("Lists", 12)])

    def test_alone(self) -> None:
        """An account with one mailbox has no use for that."""
        self.begin_with(has_others=False)
        self.begin()
        self.assertFalse(self.result(self.reading.poll()))
        self.assertNotIn("fetch_only", self.take_calls())

    def test_refused(self) -> None:
        """A server that does not give them is watched all the same."""
        refusal = CommandRefused(peer="fake", command="UID FETCH", status="BAD", said="no")
        self.session.failures["fetch_only"] = refusal
        self.begin()
        self.session.arrive(4)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4)])


class TidyingUpTests(ReadingCase):
    """Somebody moves the mail of years, of which only the newest were looked at."""

    def setUp(self) -> None:
        super().setUp()
        self.session.is_dated = True
        self.begin()

    def move(self, mailbox: str, *uids: int, years: int = 9) -> None:
        """These come into a mailbox, and are so old."""
        received = _NOW - timedelta(days=365 * years)
        self.session.dates.update(dict.fromkeys(uids, received))
        self.session.arrive_in(mailbox, *uids)
        self.result(self.reading.poll())
        catching_up = Deferred.fromCoroutine(self.reading.catch_up(self.changed))
        self.clock.pump([0.0] * (2 * BATCH))
        self.successResultOf(catching_up)

    def test_many(self) -> None:
        """They are no news, and all are behind us; the log says how many."""
        with capturedLogs() as logged:
            self.move("Lists", *range(1, BATCH + 3))
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "Lists").last_uid, BATCH + 2)
        said = [formatEvent(each) or "" for each in logged]
        self.assertEqual([each for each in said if f"{BATCH + 2} messages" in each], said)

    def test_copies(self) -> None:
        """Who wants to hear of each copy does not want to hear of these."""

        def accept(events, move):
            self.journal.append(events, move, _NOW, announce_copies=True)

        self.places = [
            Place("home", each, self.journal, accept, announces_copies=True)
            for each in self.mailboxes
        ]
        self.reading = Reading(self.session, self.places, self.clock)
        self.begin()
        self.move("Lists", *range(1, FLOOD + 2))
        self.assertEqual(self.announced(), [])
        self.assertEqual(self.journal.cursor("home", "Lists").last_uid, FLOOD + 1)

    def test_without_a_name(self) -> None:
        """Nor are such by which the journal could not know them."""
        self.session.is_named = False
        self.move("Lists", *range(1, FLOOD + 2))
        self.assertEqual(self.announced(), [])

    def test_moved_again(self) -> None:
        """One of them that is moved on by itself is no news either."""
        self.move("Lists", *range(1, FLOOD + 2))
        self.session.names[7] = 1
        self.move("Work", 7)
        self.assertEqual(self.announced(), [])

    def test_few(self) -> None:
        """Single letters are announced, however old."""
        self.move("Lists", 1, 2)
        self.assertEqual(self.announced(), [("Lists", 1), ("Lists", 2)])

    def test_mail_of_an_outage(self) -> None:
        """However much has come since we have watched is news."""
        self.move("Lists", *range(1, FLOOD + 2), years=0)
        self.assertEqual(len(self.announced()), FLOOD + 1)
