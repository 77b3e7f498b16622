"""What became of messages, where it has to be asked: from the wire to whoever follows."""

from __future__ import annotations

from typing import Any

from mailnotify.core.sync import Cursor
from mailnotify.imap.inquiring import MOST_ASKED, PAUSE_SECONDS
from mailnotify.imap.responses import NumberSet
from tests.imap.scripted import Letters
from tests.imap.test_session import SessionCase
from tests.watching.test_reading import ReadingCase

SINCE = Cursor(uidvalidity=7, last_uid=5, modseq=40)


class InquiryTests(SessionCase):
    """A server without QRESYNC."""

    def setUp(self) -> None:
        super().setUp()
        self.letters = Letters(3, 5)
        self.letters.install(self.server)
        self.answer(b"NOOP", b"TAG OK\r\n")
        self.read = b""
        self.answer(
            b"EXAMINE",
            b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 6]\r\n"
            b"* OK [HIGHESTMODSEQ 50]\r\nTAG OK\r\n",
        )
        self.server.answers[b"UID SEARCH"] = self.search
        self.told: list[tuple[str, list[int]]] = []

    def search(self, words: bytes) -> Any:
        if words.endswith(b"SEEN"):
            return [b"* SEARCH%b\r\nTAG OK\r\n" % self.read]
        return self.letters.search(words)

    def open_for(self, offered: str, *known: int, since: Cursor | None = SINCE) -> None:
        """Open the mailbox of a server that offers this."""
        self.session = self.open()
        self.session.capabilities = frozenset({"IDLE", *offered.split()})
        self.result(self.session.follow(self.tell))
        self.result(self.session.examine("INBOX", since, known))

    def tell(self, uids: NumberSet, is_gone: bool) -> None:
        if uids:
            self.told.append(("gone" if is_gone else "read", list(uids)))

    def test_neither(self) -> None:
        """A server that has nothing is searched twice, for what we know alone."""
        self.read = b" 3 5 77"
        self.open_for("", 2, 3, 4)
        asked = [b"UID SEARCH UID 2:4", b"UID SEARCH UID 2:4 SEEN"]
        self.assertEqual(self.heard(b"UID SEARCH"), asked)
        self.assertEqual(self.told, [("read", [3]), ("gone", [2, 4])])

    def test_condstore(self) -> None:
        """With mod-sequences only what was changed since then is shown."""
        self.answer(
            b"UID FETCH",
            b"* 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (45))\r\n"
            b"* 2 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ (46))\r\nTAG OK\r\n",
        )
        self.open_for("CONDSTORE", 3, 4, 5)
        asked = [b"UID FETCH 3:5 (UID FLAGS) (CHANGEDSINCE 40)"]
        self.assertEqual(self.heard(b"UID FETCH"), asked)
        self.assertEqual(self.told, [("read", [3]), ("gone", [4])])
        self.result(self.session.inquire([3, 5]))
        self.assertIn(b"CHANGEDSINCE 46", self.heard(b"UID FETCH")[-1])

    def test_nothing_changed(self) -> None:
        """Where the mod-sequence is that of before, no flag is asked for."""
        self.open_for("CONDSTORE", 3, 5, since=Cursor(uidvalidity=7, last_uid=5, modseq=50))
        self.assertEqual(self.heard(b"UID FETCH"), [])
        self.assertEqual(self.heard(b"UID SEARCH"), [b"UID SEARCH UID 3,5"])
        self.assertEqual(self.told, [])

    def test_nothing_known(self) -> None:
        """Who has announced nothing asks nothing."""
        self.open_for("")
        self.assertEqual(self.heard(b"UID "), [])

    def test_many_known(self) -> None:
        """The newest alone, and a range where their list would be too long."""
        self.open_for("", *range(1, 8000, 2))
        first = 7999 - 2 * (MOST_ASKED - 1)
        self.assertEqual(self.heard(b"UID SEARCH")[0], b"UID SEARCH UID %d:7999" % first)
        self.assertEqual(len(self.told[-1][1]), MOST_ASKED)

    def test_no_search(self) -> None:
        """A server that will not answer has not said that all is gone."""
        self.answer(b"UID SEARCH", b"TAG NO\r\n")
        self.open_for("", 3, 5)
        self.assertEqual(self.told, [])

    def test_live(self) -> None:
        """A number that is removed, or read, is a reason to look; what else there is, is none."""
        self.open_for("", 3, 5)
        hints: list[object] = []
        self.result(self.session.listen(lambda *hint: hints.append(hint)))
        for said, is_reason in (
            (b"* 1 FETCH (FLAGS (\\Flagged))\r\n", False),
            (b"* 1 FETCH (FLAGS (\\Seen))\r\n", True),
            (b"* 1 EXPUNGE\r\n", True),
        ):
            self.server.say(said)
            self.assertEqual((self.session.has_changed, bool(hints)), (is_reason, is_reason))
            self.result(self.session.inquire([3, 5]))
            self.assertFalse(self.session.has_changed)
            hints.clear()
            self.clock.advance(PAUSE_SECONDS)

    def test_another_client_at_work(self) -> None:
        """Not each of its changes leads to a look; that there was one is not forgotten."""
        self.open_for("", 3, 5)
        hints: list[object] = []
        self.result(self.session.listen(lambda *hint: hints.append(hint)))
        for _ in range(5):
            self.server.say(b"* 1 FETCH (FLAGS (\\Seen))\r\n")
            self.result(self.session.inquire([3, 5]))
        self.server.say(b"* 1 EXPUNGE\r\n")
        self.assertEqual(len(hints), 1)
        self.assertTrue(self.session.has_changed)

    def test_in_an_answer(self) -> None:
        """What comes with our own command is looked into afterwards, and is no hint."""
        self.open_for("", 3, 5)
        hints: list[object] = []
        self.result(self.session.listen(lambda *hint: hints.append(hint)))
        self.letters.pushed = b"* 1 EXPUNGE\r\n"
        self.result(self.session.fetch(6))
        self.assertTrue(self.session.has_changed)
        self.assertEqual(hints, [])

    def test_nobody_knows_any(self) -> None:
        """Where nothing was announced, a removal is nobody's business."""
        self.open_for("")
        self.server.say(b"* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
        self.assertFalse(self.session.has_changed)


class ReadingTests(ReadingCase):
    """When it is asked while we listen."""

    def test_after_what_is_new(self) -> None:
        """New mail first; then about all that is known, also what has just come."""
        self.known_up_to("INBOX", 2)
        self.begin()
        self.session.has_changed = True
        self.take_calls()
        self.session.arrive(4)
        self.catch_up()
        self.assertEqual(self.take_calls(), ["fetch", "inquire 3,4"])
        self.session.arrive(5)
        self.catch_up()
        self.assertEqual(self.take_calls(), ["fetch"])

    def test_with_the_next_poll(self) -> None:
        """What no hint led to is looked into then."""
        self.known_up_to("INBOX", 2)
        self.begin()
        self.assertFalse(self.result(self.reading.poll()))
        self.session.has_changed = True
        self.assertTrue(self.result(self.reading.poll()))
