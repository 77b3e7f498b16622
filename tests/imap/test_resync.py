"""What becomes of messages elsewhere, from the wire to the journal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import MailGone, MailSeen
from mailnotify.core.sync import Cursor
from mailnotify.errors import JournalUnwritable
from mailnotify.imap.responses import Exists, NumberSet, Vanished
from mailnotify.imap.view import MailboxView
from tests.imap.scripted import Letters
from tests.imap.test_session import SessionCase
from tests.watching.test_reading import ReadingCase

SINCE = Cursor(uidvalidity=7, last_uid=5, modseq=40)


class SessionTests(SessionCase):
    """A server with QRESYNC (RFC 7162)."""

    capabilities = b"IMAP4rev1 IDLE ENABLE CONDSTORE QRESYNC"
    changes = b""

    def setUp(self) -> None:
        super().setUp()
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY %b] in\r\n" % self.capabilities)
        self.answer(b"ENABLE", b"* ENABLED QRESYNC\r\nTAG OK\r\n")
        self.letters = Letters(3, 5)
        self.letters.install(self.server)
        self.told: list[tuple[list[int], bool]] = []
        self.session = self.open()

    def follow(self) -> None:
        self.result(self.session.follow(self.tell))

    def tell(self, uids: NumberSet, is_gone: bool) -> None:
        self.told.append((list(uids), is_gone))

    def examine(self, before: bytes = b"", modseq: bytes = b"50", **since: object) -> bytes:
        """Open INBOX; the command."""
        self.answer(
            b"EXAMINE",
            before + b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 6]\r\n"
            b"* OK [HIGHESTMODSEQ %b]\r\n" % modseq + self.changes + b"TAG OK\r\n",
        )
        self.status = self.result(self.session.examine("INBOX", **since))
        return self.heard(b"EXAMINE")[-1]

    def test_enabled_once(self) -> None:
        """It is asked for before a mailbox is opened, and only where it is offered."""
        self.follow()
        self.assertEqual(self.heard(b"ENABLE"), [b"ENABLE QRESYNC"])

    def test_not_offered(self) -> None:
        """A server that does not offer it is not asked."""
        self.session.capabilities = frozenset({"ENABLE", "CONDSTORE"})
        self.follow()
        self.assertEqual(self.heard(b"ENABLE"), [])

    def test_catching_up(self) -> None:
        """What happened since a mod-sequence is asked for with the mailbox, of what we know."""
        self.follow()
        self.changes = (
            b"* VANISHED (EARLIER) 1:2,4\r\n* 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (45))\r\n"
            b"* 2 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ (46))\r\n"
        )
        command = self.examine(since=SINCE, known=[1, 2, 3, 5])
        self.assertEqual(command, b'EXAMINE "INBOX" (QRESYNC (7 40 1:3,5))')
        self.assertEqual(self.told, [([3], False), ([1, 2, 4], True)])
        self.assertEqual((self.status.modseq, self.status.exists), (50, 2))

    def test_nothing_to_ask_since(self) -> None:
        """Without a mod-sequence, or a server that enabled it, EXAMINE is as ever."""
        self.assertEqual(self.examine(since=SINCE, known=[3]), b'EXAMINE "INBOX"')
        self.follow()
        unknown = Cursor(uidvalidity=7, last_uid=5)
        self.assertEqual(self.examine(since=unknown, known=[3]), b'EXAMINE "INBOX"')

    def test_many_known(self) -> None:
        """A line stays bearable: the server is asked about all then."""
        self.follow()
        command = self.examine(since=SINCE, known=range(1, 9000, 2))
        self.assertEqual(command, b'EXAMINE "INBOX" (QRESYNC (7 40))')

    def test_live(self) -> None:
        """While we listen it is told at once, and is no hint at new mail."""
        self.follow()
        self.examine()
        hints: list[object] = []
        self.result(self.session.listen(lambda *hint: hints.append(hint)))
        self.server.say(b"* 1 FETCH (UID 3 FLAGS (\\seen))\r\n* VANISHED 5\r\n")
        self.assertEqual(self.told, [([3], False), ([5], True)])
        self.assertEqual(hints, [])

    def test_our_own_fetch(self) -> None:
        """What we asked for is no change."""
        self.follow()
        self.examine()
        self.result(self.session.fetch(3))
        self.assertEqual(self.told, [])

    def test_the_mailbox_before(self) -> None:
        """Until CLOSED a server speaks of the mailbox that was open: UIDs of another."""
        self.follow()
        self.examine()
        before = b"* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n* OK [CLOSED]\r\n"
        self.changes = b"* VANISHED (EARLIER) 4\r\n"
        self.examine(before, since=SINCE)
        self.assertEqual(self.told, [([4], True)])

    def test_without_it(self) -> None:
        """A server that will not enable it is not believed to name messages for certain."""
        self.answer(b"ENABLE", b"TAG NO\r\n")
        self.follow()
        self.examine()
        self.server.say(b"* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n")
        self.assertEqual(self.told, [])

    def test_impossible_modseq(self) -> None:
        """More than 63 bits are no mod-sequence."""
        self.follow()
        self.examine(modseq=b"%d" % 2**63)
        self.assertEqual(self.status.modseq, 0)

    def test_one_round_trip_after_a_removal(self) -> None:
        """VANISHED tells who went, so that the next fetch still needs no SEARCH."""
        self.follow()
        self.examine()
        self.result(self.session.fetch(6))
        self.server.say(b"* VANISHED 3\r\n")
        self.letters.uids = [5, 6]
        self.server.say(b"* 2 EXISTS\r\n")
        fetched = self.result(self.session.fetch(6))
        self.assertEqual([each.uid for each in fetched], [6])
        self.assertEqual(self.heard(b"UID SEARCH"), [])


class ViewTests(SynchronousTestCase):
    """Sequence numbers after VANISHED."""

    def test_old_messages(self) -> None:
        """Those below what was read move it down."""
        view = MailboxView(5, 12)
        view.heard(Vanished(uids=NumberSet(((3, 4),))))
        view.heard(Exists(count=4))
        self.assertEqual((view.exists, view.most_waiting(12)), (4, 1))

    def test_new_messages(self) -> None:
        """Those above make it unknown."""
        view = MailboxView(5, 12)
        view.heard(Vanished(uids=NumberSet(((13, 13),))))
        self.assertEqual((view.exists, view.most_waiting(12)), (4, 4))


class AmongTests(SynchronousTestCase):
    """`NumberSet.among`."""

    def test_among(self) -> None:
        """A huge set costs nothing, an unordered one repeats nothing."""
        numbers = [1, 3, 5, 9]
        self.assertEqual(NumberSet(((4, 2**32), (1, 1), (5, 5))).among(numbers), [1, 5, 9])
        self.assertEqual(NumberSet(((1, 9), (2, 4), (3, 2**32))).among(numbers), numbers)
        self.assertEqual(NumberSet().among(numbers), [])


class PlaceTests(ReadingCase):
    """What is told, in the journal."""

    def setUp(self) -> None:
        super().setUp()
        self.is_full = False
        for mailbox in ("INBOX", "Work", "Lists"):
            self.known_up_to(mailbox, 2)
        self.session.modseq = 50
        self.begin()
        self.before = self.journal.head

    def accept(self, events, move) -> None:
        if self.is_full:
            raise JournalUnwritable(path="/j", reason="no space")
        super().accept(events, move)

    def fates(self) -> list[tuple[type, str, int]]:
        entries = self.journal.read(self.before, 100)
        return [(type(each.event), each.event.mailbox, each.event.uid) for each in entries]

    def tell(self, uids: NumberSet, is_gone: bool) -> None:
        self.session.told(uids, is_gone)

    def test_read_and_removed(self) -> None:
        """Each is told once, of the mailbox that is open, under the id of its mail."""
        for _ in range(2):
            self.tell(NumberSet(((3, 3),)), False)
            self.tell(NumberSet(((3, 3),)), True)
        self.assertEqual(self.fates(), [(MailSeen, "INBOX", 3), (MailGone, "INBOX", 3)])
        first = self.journal.read(0, 1)[0].event
        self.assertEqual(self.journal.read(self.before, 1)[0].event.id, first.id)

    def test_never_announced(self) -> None:
        """What nobody was told of is passed over, also if it is very much."""
        self.tell(NumberSet(((1, 2),)), True)
        self.tell(NumberSet(((1, 2**32 - 1),)), True)
        self.assertEqual(self.fates(), [(MailGone, "INBOX", 3)])

    def test_mod_sequence(self) -> None:
        """How far it was told is kept, and asked from there the next time."""
        cursor = self.journal.cursor("home", "INBOX")
        self.assertEqual((cursor.modseq, cursor.last_uid), (50, 3))
        self.result(self.reading.examine())
        self.assertEqual(self.session.since[-1], (cursor, (3,)))

    def test_full_disk(self) -> None:
        """What could not be journalled is asked for again: the mod-sequence stays."""
        self.session.modseq = 60
        answer = self.session._answer

        async def full(name: str) -> None:
            await answer(name)
            if name == "examine INBOX":
                self.is_full = True
                self.tell(NumberSet(((3, 3),)), False)
                self.is_full = False

        self.session._answer = full
        self.result(self.reading.examine())
        self.assertEqual(self.journal.cursor("home", "INBOX").modseq, 50)
        self.session._answer = answer
        self.result(self.reading.examine())
        self.assertEqual(self.journal.cursor("home", "INBOX").modseq, 60)
