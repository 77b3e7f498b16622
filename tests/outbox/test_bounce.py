"""Tests of `mailnotify.outbox.bounce` and `mailnotify.outbox.returned`."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.outbox.bounce import MOST_BYTES, Bounce, may_be_bounce, recognise
from mailnotify.outbox.letter import State
from mailnotify.outbox.returned import Returned
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from tests.outbox.letters import NOON, draft, settle

TYPE = 'multipart/report; report-type=delivery-status; boundary="B/17.mail"'

POSTFIX = """\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: ada@x.org
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="B/17.mail"

This is a MIME-encapsulated message.

--B/17.mail
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you

--B/17.mail
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Original-Envelope-Id: Lunch?@x.org
Arrival-Date: Fri,  2 Jan 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; bob@y.org
Original-Recipient: rfc822;bob@x.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.y.org
Diagnostic-Code: smtp; 550 5.1.1 <bob@y.org>: Recipient address
    rejected: User unknown

Final-Recipient: rfc822; carol@y.org
Action: delayed
Status: 4.4.1

Final-Recipient: rfc822; dan@y.org
Action: failed (because)
Status: 5.2.2

--B/17.mail
Content-Description: Undelivered Message
Content-Type: message/rfc822

Received: from [127.0.0.1]
From: ada@x.org
Message-ID: <Lunch?@x.org>
Subject: Lunch?

At one?
Message-ID: <in-the-body@x.org>

--B/17.mail--
"""


def read(text: str) -> Bounce:
    """A message that is a bounce."""
    bounce = recognise(text.replace("\n", "\r\n").encode())
    assert bounce is not None
    return bounce


class RecogniseTests(SynchronousTestCase):
    """What is a bounce, and what it says."""

    def test_postfix(self) -> None:
        """Each failed recipient, as we had named it, with the server's words."""
        bounce = read(POSTFIX)
        self.assertEqual(bounce.message_id, "<Lunch?@x.org>")
        self.assertEqual(bounce.envelope_id, "Lunch?@x.org")
        words = "550 5.1.1 <bob@y.org>: Recipient address    rejected: User unknown"
        bob, dan = bounce.results
        self.assertEqual((bob.recipient, bob.code), ("bob@x.org", 550))
        self.assertEqual(" ".join(bob.said.split()), " ".join(words.split()))
        self.assertEqual((dan.recipient, dan.code, dan.said), ("dan@y.org", 550, "5.2.2"))
        self.assertEqual({bob.fate, dan.fate}, {Fate.REFUSED})

    def test_any_line_ends(self) -> None:
        """The same with the line ends of a file."""
        self.assertEqual(recognise(POSTFIX.encode()), read(POSTFIX))

    def test_header_only(self) -> None:
        """A report that brings back the header alone."""
        text = POSTFIX.replace("message/rfc822", "text/rfc822-headers")
        self.assertEqual(read(text).message_id, "<Lunch?@x.org>")
        text = POSTFIX.partition("--B/17.mail\nContent-Description: Undelivered")[0]
        self.assertEqual(read(text).message_id, "")

    def test_no_bounce(self) -> None:
        """A delay, a receipt, a letter that only speaks of bounces."""
        for text in (
            POSTFIX.replace("Action: failed", "Action: delayed"),
            POSTFIX.replace("Action: failed", "Action: delivered"),
            POSTFIX.replace("multipart/report", "multipart/mixed"),
            POSTFIX.replace("report-type=delivery-status;", ""),
            POSTFIX.replace("message/delivery-status", "text/plain"),
            POSTFIX.replace('boundary="B/17.mail"', ""),
            POSTFIX.replace("@", " at "),
            "",
            "Subject: x",
        ):
            self.assertIsNone(recognise(text.encode()), text[:300])

    def test_worth_fetching(self) -> None:
        """The header alone tells which bodies are worth a look."""
        self.assertTrue(may_be_bounce(TYPE))
        self.assertTrue(may_be_bounce('Multipart/Report; Report-Type="delivery-status"'))
        self.assertFalse(may_be_bounce("multipart/report; report-type=disposition-notification"))
        self.assertFalse(may_be_bounce("text/plain; x=multipart/report delivery-status"))

    def test_hostile_words(self) -> None:
        """Nothing in a reason acts on a terminal, and no reason is endless."""
        text = POSTFIX.replace("User unknown", "\x1b[2J\u202e" + "x" * 5000)
        said = read(text).results[0].said
        self.assertNotIn("\x1b", said)
        self.assertNotIn("\u202e", said)
        self.assertLessEqual(len(said), 1000)

    def test_endless(self) -> None:
        """Neither many parts nor many groups nor long lines take long."""
        head, _, _ = POSTFIX.partition("--B/17.mail")
        status = "--B/17.mail\nContent-Type: message/delivery-status\n\n"
        started = time.process_time()
        for filling in (
            "--B/17.mail\n" * 200_000,
            status + "Action: failed\n\n" * 200_000,
            status + ("Final-Recipient: rfc822; a@b\nAction: failed\n\n" * 50_000),
            status + "X" * 3_000_000,
            status + "Action: failed" + "\n " * 1_000_000,
            status + ":" * 3_000_000,
        ):
            recognise((head + filling).encode())
        self.assertLess(time.process_time() - started, 5.0)

    @given(st.binary(max_size=400), st.integers(0, len(POSTFIX)), st.integers(0, 200))
    def test_anything(self, noise: bytes, at: int, cut: int) -> None:
        """Whatever the bytes are, nothing is raised."""
        raw = POSTFIX.encode()
        recognise(raw[:at] + noise + raw[at + cut :])
        self.assertGreater(MOST_BYTES, len(raw))


class ReturnedTests(SynchronousTestCase):
    """A bounce meets the letter that it is about."""

    def setUp(self) -> None:
        self.store = SqliteOutbox.open(Path(self.mktemp()) / "outbox.sqlite", NOON)
        self.addCleanup(self.store.close)
        (self.number,) = self.store.enqueue([draft("Lunch?")], NOON)
        (ticket,) = self.store.claim("home", 1, NOON)
        settle(self.store, ticket, Result(recipient="bob@x.org", fate=Fate.ACCEPTED))
        self.news: list[int] = []
        self.returned = Returned(
            self.store,
            now=lambda: NOON + timedelta(hours=1),
            when_news=lambda: self.news.append(1),
        )

    def mail(self, text: str, hours: float = 1) -> bool:
        """Let this message arrive."""

        async def fetch() -> bytes:
            return text.encode()

        looking = Deferred.fromCoroutine(
            self.returned.on_mail(NOON + timedelta(hours=hours), fetch)
        )
        result: bool = self.successResultOf(looking)
        return result

    def test_came_back(self) -> None:
        """The letter has failed after all, and that is news once."""
        self.assertTrue(self.mail(POSTFIX))
        self.assertFalse(self.mail(POSTFIX))
        self.assertEqual(self.news, [1])
        self.assertIs(self.store.letter(self.number).state, State.FAILED)
        (letter,) = self.store.untold()
        self.assertEqual([each.recipient for each in letter.results], ["bob@x.org"])

    def test_by_one_of_two_names(self) -> None:
        """The envelope id is enough, and so is the returned header."""
        without_id = POSTFIX.replace("Original-Envelope-Id: Lunch?@x.org\n", "")
        self.assertTrue(self.mail(without_id))
        self.store.retry(self.number, NOON, NOON + timedelta(days=1))
        (ticket,) = self.store.claim("home", 1, NOON)
        settle(self.store, ticket, Result(recipient="bob@x.org", fate=Fate.ACCEPTED))
        without_header = POSTFIX.replace("Message-ID: <Lunch?@x.org>\n", "")
        self.assertTrue(self.mail(without_header))

    def test_of_somebody_else(self) -> None:
        """A bounce of a letter that we did not send, or to others, is no news."""
        self.assertFalse(self.mail(POSTFIX.replace("Lunch?@x.org", "other@x.org")))
        self.assertFalse(self.mail(POSTFIX.replace("bob@x.org", "eve@x.org")))
        self.assertEqual(self.news, [])

    def test_of_an_earlier_sending(self) -> None:
        """A bounce from before a letter was sent again says nothing of this sending."""
        self.assertFalse(self.mail(POSTFIX, hours=-1))
        self.assertEqual(self.news, [])
