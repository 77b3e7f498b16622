"""Tests of `mailnotify.core.message`."""

from __future__ import annotations

import json
import time
import unicodedata
from datetime import UTC
from pathlib import Path

import msgspec
from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import new_mail
from mailnotify.core.message import Fetched, Ref, Summary, summarise

_CORPUS = Path(__file__).parent.parent / "corpus" / "headers"
_NAMES = (b"Subject", b"From", b"To", b"Date", b"Message-ID", b"Content-Type")

# What hostile headers are made of; random bytes alone seldom get past the first check.
_STRUCTURE = rb"""" \ ( ) < > , ; : @ = ? + ~{ a@b.example Ana 1 Jul 2026 12:00 +0200 99999999999"""
_WORDS = b"=?utf-8?Q? =?utf-8?B? =?iso-2022-jp?b? =?gb2312?q? =?utf-7?q? =?hz?q? =?utf-16?b? =? ?="
_CODES = b"=C3 =E2=80=AE =0D=0A =1B[2J R3LDvMOf"
_RAW = [
    b" ",
    b"\t",
    b"\r\n ",
    b"\n",
    b"\0",
    b"\x1b$B",
    b"\x1b(B",
    b"\xc3",
    b"\xa9",
    b"\xff",
    b"\xe2\x80\xa8",
]
_shreds = st.sampled_from([*_STRUCTURE.split(), *_WORDS.split(), *_CODES.split(), *_RAW])
_value = st.lists(_shreds | st.binary(max_size=6), max_size=30).map(b"".join)
_header = st.lists(st.tuples(st.sampled_from(_NAMES), _value), max_size=8).map(
    lambda fields: b"".join(name + b": " + value + b"\r\n" for name, value in fields)
)


class CorpusTests(SynchronousTestCase):
    """Headers of the kinds that are met in mail."""

    def test_each_header_is_read_as_a_person_would(self) -> None:
        """Every pair in tests/corpus/headers holds."""
        headers = sorted(_CORPUS.glob("*.header"))
        self.assertGreater(len(headers), 50)
        for header in headers:
            wanted = json.loads(header.with_suffix(".json").read_text("utf-8"))
            self.assertEqual(
                summarise(header.read_bytes()), msgspec.convert(wanted, Summary), header.stem
            )

    def test_line_feeds_alone_are_enough(self) -> None:
        """A server that sends bare LF is read all the same."""
        for header in _CORPUS.glob("*.header"):
            raw = header.read_bytes()
            self.assertEqual(summarise(raw.replace(b"\r\n", b"\n")), summarise(raw), header.stem)


class LimitTests(SynchronousTestCase):
    """However much there is, it costs little."""

    def test_a_subject_of_100_kib_is_clipped_at_a_word(self) -> None:
        """A long subject keeps its beginning."""
        subject = summarise(b"Subject: " + b"\xe6\x97\xa5 " * 30_000 + b"\r\n\r\n").subject
        self.assertTrue(subject.startswith("日 日 "))
        self.assertLessEqual(len(subject.encode()), 1024)
        self.assertGreater(len(subject.encode()), 1000)

    def test_what_follows_a_long_subject_is_read(self) -> None:
        """A long subject hides no sender."""
        raw = b"Subject: " + b"x" * 102_400 + b"\r\nFrom: ana@example.org\r\n\r\n"
        self.assertEqual(summarise(raw).sender[0].address, "ana@example.org")

    def test_addresses_that_come_again(self) -> None:
        """What was read before is not read again; but only short fields are remembered."""
        short, long = (b"From: Ana <ana@example.org>%b\r\n\r\n" % (b" " * n) for n in (1, 300))
        self.assertIs(summarise(short).sender, summarise(short).sender)
        self.assertEqual(summarise(short).sender, summarise(long).sender)
        self.assertIsNot(summarise(long).sender, summarise(long).sender)

    def test_a_thousand_recipients_are_cut_between_two(self) -> None:
        """No half address is shown."""
        raw = b"To: " + b", ".join(b"user%d@example.org" % each for each in range(1000))
        recipients = summarise(raw).to
        self.assertEqual(len(recipients), 32)
        self.assertTrue(all(each.address.endswith("@example.org") for each in recipients))

    def test_many_fields_cannot_grow_one(self) -> None:
        """A thousand To fields cost no more than one."""
        began = time.process_time()
        summary = summarise(b"To: a@example.org\r\n" * 14_000)
        self.assertEqual(len(summary.to), 32)
        self.assertLess(time.process_time() - began, 2)

    def test_the_worst_event_fits_one_line_of_the_protocol(self) -> None:
        """64 KiB hold whatever a header says, however JSON escapes it."""
        name, address = b'\\"' * 300, b"\\\\" * 200
        mailbox = b'"' + name + b'" <"' + address + b'"@x>'
        raw = b"Subject: " + b'"' * 2000 + b"\r\nMessage-ID: <" + b'"' * 2000 + b">\r\n"
        raw += b"".join(b"%s: %s\r\n" % (field, mailbox) for field in (b"From", b"To") * 40)
        raw += b"From: " + b", ".join([mailbox] * 20) + b"\r\n"
        ref = Ref(account="a" * 64, mailbox='"' * 255, uidvalidity=2**32 - 1, uid=2**32 - 1)
        event = new_mail(ref, summarise(raw), Fetched(uid=1, size=2**63))
        self.assertLess(len(msgspec.json.encode(event)), 65_536)

    def test_a_quarter_megabyte_of_anything_is_quick(self) -> None:
        """No pattern makes the reading slow."""
        bricks = [b"=?a?q?", b'"', b'"\\', b"\\", b"(", b"<", b",", b":", b";", b"@ ", b" @", b" "]
        bricks += [
            b"=?utf-8?q?=C3?= ",
            b"=",
            b"\xc3",
            b"\x1b$B",
            b"a@b,",
            b"charset=",
            b"\r\n ",
            b"a:\n",
        ]
        for brick in bricks:
            for name in (*_NAMES, b""):
                began = time.process_time()
                summarise(name + b": " + brick * (262_144 // len(brick)))
                self.assertLess(time.process_time() - began, 1, (name, brick))


class AnyBytesTests(SynchronousTestCase):
    """Whatever a stranger sends."""

    def assert_harmless(self, raw: bytes) -> None:
        summary = summarise(raw)
        people = (*summary.sender, *summary.to)
        texts = [summary.subject, summary.message_id]
        texts += [text for each in people for text in (each.name, each.address)]
        for text in texts:
            self.assertEqual(text.encode().decode(), text)
            for character in text:
                self.assertNotIn(unicodedata.category(character), ("Cc", "Cs", "Zl", "Zp"))
                self.assertNotEqual(unicodedata.bidirectional(character)[-1:], "E")
        self.assertTrue(all(each.name or each.address for each in people))
        if summary.date is not None:
            self.assertIs(summary.date.tzinfo, UTC)

    @given(st.binary(max_size=400))
    def test_random_bytes_are_harmless(self, raw: bytes) -> None:
        """No bytes raise, and what comes out can be shown."""
        self.assert_harmless(raw)

    @given(_header)
    @settings(max_examples=500)
    def test_shreds_of_headers_are_harmless(self, raw: bytes) -> None:
        """No ill-formed header raises, and what comes out can be shown."""
        self.assert_harmless(raw)

    @given(st.sampled_from(sorted(_CORPUS.glob("*.header"))), st.data())
    @settings(max_examples=300)
    def test_damaged_headers_are_harmless(self, path: Path, data: st.DataObject) -> None:
        """A real header with bytes replaced, cut out or put in."""
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(raw)))
            raw[place : place + data.draw(st.integers(0, 3))] = data.draw(_shreds)
        self.assert_harmless(bytes(raw))
