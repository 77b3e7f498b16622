"""What lay in a mailbox at first sight, and is moved later."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailnotify.errors import CommandRefused
from mailnotify.imap.session import BATCH
from mailnotify.watching.place import Place
from mailnotify.watching.reading import Reading
from tests.watching.test_reading import ReadingCase, Recorder


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
        """Each mailbox is looked at once, when it is opened."""
        self.begin()
        self.assertEqual(
            self.take_calls(), ["survey", "examine INBOX", "fetch", "fetch_only", "listen"]
        )
        self.begin_with(has_others=True)
        self.begin()
        self.assertNotIn("fetch_only", self.take_calls())

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
        self.assertNotIn("fetch_only", self.take_calls())

    def test_refused(self) -> None:
        """A server that does not give them is watched all the same."""
        refusal = CommandRefused(peer="fake", command="UID FETCH", status="BAD", said="no")
        self.session.failures["fetch_only"] = refusal
        self.begin()
        self.session.arrive(4)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 4)])
