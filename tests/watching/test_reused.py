"""UIDs that a server gives out anew under the same UIDVALIDITY: restored backups."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

from twisted.internet.task import Clock

from mailnotify.core.events import NewMail
from mailnotify.core.sync import MailboxStatus
from mailnotify.watching.reading import Reading
from tests.watching.test_reading import _NOW, ReadingCase


class ReusedTests(ReadingCase):
    """A mailbox whose last messages were lost, and their UIDs given to others."""

    def setUp(self) -> None:
        super().setUp()
        self.session.others = {}
        self.places = self.places[:1]
        self.known_up_to("INBOX", 2)
        self.session.uids = [3, 4, 5]
        self.begin_anew()

    def begin_anew(self) -> None:
        """A session that opens the mailbox."""
        self.session.changed = None
        self.reading = Reading(self.session, self.places, Clock())
        self.begin()

    def restore(self, *names: int) -> None:
        """UIDs from 4 on belong to messages of these names, which came after all others."""
        self.session.uids = [3, *range(4, 4 + len(names))]
        for uid, name in enumerate(names, 4):
            self.session.names[uid] = name
            self.session.dates[uid] = _NOW + timedelta(days=30 + name, hours=name)

    def subjects(self) -> list[str]:
        events = [each.event for each in self.journal.read(0, 100)]
        return [each.subject for each in events if isinstance(each, NewMail)]

    def test_as_many_as_before(self) -> None:
        """UIDNEXT says that nothing is new; the last message says otherwise."""
        self.restore(14, 15)
        self.begin_anew()
        self.assertEqual(self.subjects(), ["3", "4", "5", "14", "15"])
        ids = [each.event.id for each in self.journal.read(0, 100)]
        self.assertEqual(len(set(ids)), 5)

    def test_more_than_before(self) -> None:
        """Those above the cursor come, and those below it, once."""
        self.restore(14, 15, 16, 17)
        for _ in range(2):
            self.begin_anew()
            self.assertEqual(sorted(self.subjects()), ["14", "15", "16", "17", "3", "4", "5"])

    def test_fewer_than_before(self) -> None:
        """UIDNEXT goes back: what has the UID of a known message is another one."""
        self.restore(14)
        self.begin_anew()
        self.assertEqual(self.subjects(), ["3", "4", "5", "14"])
        self.session.names[5] = 15
        self.session.dates[5] = _NOW + timedelta(days=60)
        self.session.arrive(5)
        self.catch_up()
        self.assertEqual(self.subjects(), ["3", "4", "5", "14", "15"])

    def test_the_same_as_before(self) -> None:
        """Nothing is asked for twice where nothing has changed, and nothing is told again."""
        self.take_calls()
        self.begin_anew()
        self.session.arrive(6)
        self.catch_up()
        self.assertEqual(self.subjects(), ["3", "4", "5", "6"])
        self.assertEqual(self.take_calls(), ["examine INBOX", "fetch", "listen", "fetch"])

    def test_known_messages_in_other_places(self) -> None:
        """A backup that numbers the same messages otherwise brings no news."""
        self.session.names = {3: 5, 4: 3, 5: 4}
        self.session.dates = {
            uid: self.session.received(n) for uid, n in {3: 5, 4: 3, 5: 4}.items()
        }
        for _ in range(2):
            self.begin_anew()
        self.assertEqual(self.subjects(), ["3", "4", "5"])

    def test_looked_into_once(self) -> None:
        """A difference that stays is a reason to search once, not at each opening."""
        self.session.names = {5: 4}
        self.session.dates = {5: self.session.received(4)}
        self.begin_anew()
        self.take_calls()
        self.begin_anew()
        self.assertNotIn("arrived_since", self.take_calls())

    def test_removed(self) -> None:
        """A last message that is gone proves nothing."""
        self.session.uids = [3, 6]
        self.take_calls()
        self.begin_anew()
        self.assertEqual(self.subjects(), ["3", "4", "5", "6"])
        self.assertNotIn("arrived_since", self.take_calls())


class PromisedTests(ReadingCase):
    """A UIDNEXT that no message reaches."""

    def test_gone_before_it_was_read(self) -> None:
        """It is said once, whoever repeats it, and holds nothing up."""
        said: list[object] = []
        self.places[0]._log = SimpleNamespace(info=lambda *_, **fields: said.append(fields))
        self.known_up_to("INBOX", 2)
        self.session._status = lambda mailbox: MailboxStatus(
            uidvalidity=7, uidnext=9, exists=len(self.session.uids)
        )
        for _ in range(3):
            self.reading = Reading(self.session, self.places[:1], Clock())
            self.begin()
        self.assertEqual([(each["first"], each["last"]) for each in said], [(4, 8)])
        self.session.arrive(9)
        self.catch_up()
        self.assertEqual(self.announced(), [("INBOX", 3), ("INBOX", 9)])
