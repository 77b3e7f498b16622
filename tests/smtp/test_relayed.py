"""Tests of `mailnotify.smtp.relayed`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid
from mailnotify.smtp.relayed import MOST_RECIPIENTS, Defaults, Relayed, adopt

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
DEFAULTS = Defaults(
    sender=Address(address="ada@x.org", name="Ada"), message_id="<new@x.org>", date=NOON
)


def take(raw: bytes, *recipients: str, reads_header: bool = False, name: str = "") -> Relayed:
    """What becomes of a message."""
    return adopt(raw, recipients, DEFAULTS, reads_header=reads_header, name=name)


class AdoptTests(SynchronousTestCase):
    """Mail of other programs, made fit to be submitted."""

    def test_complete(self) -> None:
        """What is complete stays as it is, but for its line ends."""
        raw = (
            b"From: Bob <bob@x.org>\nTo: eve@x.org\nDate: yesterday\n"
            b"Message-ID: <mine@x>\nSubject: Hi\n\n.\nFrom here\n"
        )
        relayed = take(raw, "eve@x.org")
        self.assertEqual(
            relayed.message, raw.replace(b"\n", b"\r\n", 5).replace(b"\n\n", b"\n\r\n", 1)
        )
        self.assertEqual((relayed.message_id, relayed.subject), ("<mine@x>", "Hi"))
        self.assertEqual(relayed.envelope.recipients, ("eve@x.org",))
        self.assertEqual(relayed.envelope.sender, "ada@x.org")

    def test_cron(self) -> None:
        """Cron's letters to root come from the account and go to it."""
        raw = b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@box> false\n\nfailed\n"
        relayed = take(raw, "root")
        self.assertEqual(relayed.envelope.recipients, ("ada@x.org",))
        header = relayed.message.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        self.assertIn("From: Cron Daemon <ada@x.org>", header)
        self.assertIn("Date: Fri, 02 Jan 2026 12:00:00 +0000", header)
        self.assertIn("Message-ID: <new@x.org>", header)
        self.assertEqual(len([each for each in header if each.startswith("From:")]), 1)

    def test_no_header(self) -> None:
        """A text without any header becomes a body."""
        relayed = take(b"disk is full: help\nnow\n", "bob@x.org", name="Disk")
        self.assertTrue(relayed.message.startswith(b"From: Disk <ada@x.org>\r\n"))
        relayed = take(b"hello\n", "bob@x.org")
        self.assertTrue(relayed.message.endswith(b"\r\n\r\nhello\n"))

    def test_header_recipients(self) -> None:
        """With -t the header names recipients beside the arguments, and Bcc goes."""
        raw = b"To: a@x, Bob <b@x>\nCc: c@x\nbCC: d@x,\n e@x\nSubject: s\n\nBcc: in the body\n"
        relayed = take(raw, "f@x", "a@x", reads_header=True)
        expected = ("f@x", "a@x", "b@x", "c@x", "d@x", "e@x")
        self.assertEqual(relayed.envelope.recipients, expected)
        self.assertNotIn(b"d@x", relayed.message)
        self.assertNotIn(b"e@x", relayed.message)
        self.assertIn(b"Bcc: in the body", relayed.message)

    def test_bcc_without_t(self) -> None:
        """Bcc goes in any case, however its lines end."""
        for end in (b"\n", b"\r\n", b"\r"):
            raw = end.join((b"Bcc: secret@x,", b" hidden@x", b"Subject: s", b"", b"text"))
            message = take(raw, "a@x").message
            self.assertNotIn(b"secret", message)
            self.assertNotIn(b"hidden", message)
            self.assertIn(b"Subject: s\r\n", message)

    def test_mbox(self) -> None:
        """The envelope line of an mbox is no header."""
        self.assertNotIn(b"From ada", take(b"From ada Mon\nSubject: s\n\nx", "a@x").message)

    def test_bad_recipients(self) -> None:
        """Nobody, too many, or no address."""
        self.assertRaises(LetterInvalid, take, b"x")
        self.assertRaises(LetterInvalid, take, b"x", "a@x\r\nRCPT TO:<b@x>")
        self.assertRaises(LetterInvalid, take, b"x", "-oQ/tmp@x y")
        many = [f"a{n}@x" for n in range(MOST_RECIPIENTS + 1)]
        self.assertRaises(LetterInvalid, take, b"x", *many)

    def test_hostile_subject(self) -> None:
        """What is shown in lists cannot act."""
        relayed = take(b"Subject: a\x1b[2J\xff\n\nx", "a@x")
        self.assertEqual(relayed.subject, "a[2J\ufffd")

    def test_long(self) -> None:
        """A header of a million lines takes no ages."""
        started = time.process_time()
        take(b"X: y\n" * 300_000 + b"To: " + b"a@x," * 200_000, "a@x", reads_header=False)
        take(b"X: " + b"\n y" * 1_000_000, "a@x")
        self.assertLess(time.process_time() - started, 5.0)

    @given(st.binary(max_size=300))
    def test_anything(self, raw: bytes) -> None:
        """Whatever a program writes, the header has one From and no Bcc."""
        header = take(raw, "bob@x.org").message.partition(b"\r\n\r\n")[0].lower()
        self.assertNotIn(b"\r\nbcc:", b"\r\n" + header)
        self.assertIn(b"\r\nmessage-id:", b"\r\n" + header)
