"""The first bytes of a body on their way from the server to the event."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import NewMail
from mailnotify.core.message import Fetched
from mailnotify.core.preview import MOST_BODY_BYTES
from mailnotify.core.sync import MailboxStatus
from mailnotify.imap.answers import Answers
from mailnotify.imap.responses import FetchData
from mailnotify.imap.session import Session
from mailnotify.watching.place import Place, Preview, no_preview
from tests.fakes import MemoryJournal
from tests.imap.test_session import SessionCase, account

ASKED = (
    b"(UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS"
    b" (FROM TO SUBJECT DATE MESSAGE-ID REPLY-TO LIST-ID CONTENT-TYPE CONTENT-TRANSFER-ENCODING)]"
    b"<0.262144> BODY.PEEK[TEXT]<0.16384>)"
)
HEADER = b"BODY[HEADER.FIELDS (SUBJECT)] {6}\r\nA: b\r\n"


class SessionPreviewTests(SessionCase):
    """A session for an account that wants previews."""

    def examined(self) -> Session:
        session = self.open(account=structs.replace(account(), preview_bytes=100))
        self.result(session.examine("INBOX"))
        self.server.heard.clear()
        return session

    def fetched(self, *lines: bytes) -> list[Fetched]:
        """What a server that answers the first FETCH so is understood to have said."""
        self.answer(b"UID FETCH", b"".join(lines) + b"TAG OK\r\n")
        session = self.examined()
        self.server.say(b"* 3 EXISTS\r\n")
        return list(self.result(session.fetch(12)))

    def test_one_round_trip(self) -> None:
        """The text comes with the header, and no flag is set."""
        (fetched,) = self.fetched(
            b"* 3 FETCH (UID 12 " + HEADER + b" BODY[TEXT]<0> {5}\r\nHello)\r\n"
        )
        self.assertEqual(fetched.text, b"Hello")
        self.assertEqual(self.server.heard, [b"UID FETCH 12:* " + ASKED])

    def test_no_text(self) -> None:
        """NIL, or nothing, is an empty text: the message is told all the same."""
        for said in (b" BODY[TEXT]<0> NIL", b""):
            self.setUp()
            (fetched,) = self.fetched(b"* 3 FETCH (UID 12 " + HEADER + said + b")\r\n")
            self.assertEqual((fetched.uid, fetched.text), (12, b""))

    def test_two_responses(self) -> None:
        """Text and header may come one by one, in any order."""
        text = b"* 3 FETCH (UID 12 BODY[TEXT]<0> {5}\r\nHello)\r\n"
        header = b"* 3 FETCH (UID 12 " + HEADER + b")\r\n"
        for lines in ((text, header), (header, text)):
            self.setUp()
            (fetched,) = self.fetched(*lines)
            self.assertEqual((fetched.header, fetched.text), (b"A: b\r\n", b"Hello"))

    def test_server_that_cannot(self) -> None:
        """One that takes the question for an error is asked for the least, and nothing is lost."""

        def fetch(words: bytes) -> list[bytes]:
            if b"TEXT" in words:
                return [b"TAG BAD what\r\n"]
            return [b"* 3 FETCH (UID 12 " + HEADER + b")\r\nTAG OK\r\n"]

        self.server.answers[b"UID FETCH"] = fetch
        session = self.examined()
        self.server.say(b"* 3 EXISTS\r\n")
        (fetched,) = self.result(session.fetch(12))
        self.assertEqual((fetched.uid, fetched.text), (12, b""))
        self.assertEqual(len(self.server.heard), 2)

    def test_left_out_once(self) -> None:
        """A message that a batch left out has its text when it is asked for by itself."""
        answers = [
            b"* 4 FETCH (UID 13 " + HEADER + b")\r\nTAG OK\r\n",
            b"* 4 FETCH (UID 13 " + HEADER + b")\r\nTAG OK\r\n",
            b"* 3 FETCH (UID 12 " + HEADER + b" BODY[TEXT]<0> {5}\r\nHello)\r\nTAG OK\r\n",
        ]
        self.server.answers[b"UID FETCH"] = lambda words: [answers.pop(0)]
        self.answer(b"UID SEARCH", b"* SEARCH 12 13\r\nTAG OK\r\n")
        session = self.examined()
        self.server.say(b"* 4 EXISTS\r\n")
        told = self.result(session.fetch(12))
        self.assertEqual([each.text for each in told], [b"Hello", b""])
        self.assertEqual(self.heard(b"UID FETCH")[-1], b"UID FETCH 12 " + ASKED)

    def test_notify(self) -> None:
        """A server that tells by itself tells the text too."""
        self.answer(b"NOTIFY", b"TAG OK\r\n")
        session = self.examined()
        self.result(session.notify(["INBOX"]))
        (asked,) = self.heard(b"NOTIFY")
        self.assertIn(b"(MessageNew " + ASKED + b" MessageExpunge", asked)


class AnswersTests(SynchronousTestCase):
    """What is kept of a body."""

    def test_bounded(self) -> None:
        """A server that sends all of it, though it was asked for a part, fills no memory."""
        answers = Answers((1,), 1)
        sections = {"BODY[HEADER]": b"A: b", "BODY[TEXT]": b"x" * 100_000}
        answers(FetchData(seq=1, uid=1, sections=sections))
        (fetched,) = answers.take()
        self.assertEqual(fetched.text, b"x" * MOST_BODY_BYTES)


class PlaceTests(SynchronousTestCase):
    """Where a text becomes words."""

    def told(self, preview: Preview) -> NewMail:
        journal, told = MemoryJournal(), []

        def accept(events, move) -> None:
            told.extend(events)
            journal.append(events, move, datetime(2026, 1, 1, tzinfo=UTC))

        place = Place("home", "INBOX", journal, accept, preview=preview)
        place.begin(MailboxStatus(uidvalidity=7, uidnext=1, exists=0))
        fetched = Fetched(uid=1, header=b"Subject: s\r\n\r\n", text=b"Hello")
        place.store(list(place.events([fetched])))
        (event,) = told
        return event

    def test_told(self) -> None:
        """Header and text make the words of the event."""
        event = self.told(lambda header, body: f"{header!r} {body!r}")
        self.assertEqual(event.preview, r"b'Subject: s\r\n\r\n' b'Hello'")

    def test_not_told(self) -> None:
        """An account that asks for none has none."""
        self.assertEqual(self.told(no_preview).preview, "")
