"""Tests of `mailnotify.core.headers`, `charsets` and `addresses`.

What they read from real headers is tested in `test_message`; here nothing
guards them, so that a fault cannot hide behind a default.
"""

from __future__ import annotations

import encodings
from encodings.aliases import aliases

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core import message
from mailnotify.core.addresses import _USUAL, parse_addresses
from mailnotify.core.charsets import codec_of, decode, guess
from mailnotify.core.dates import read_date
from mailnotify.core.headers import charset_hints, decode_words, fields
from tests.core.test_message import _header, _value

_labels = st.sampled_from(sorted({*aliases, *aliases.values(), "cp874", "utf-8", "us-ascii"}))
_text = _value.map(lambda raw: raw.decode("latin-1"))


class UnguardedTests(SynchronousTestCase):
    """Nothing below `summarise` raises either."""

    @given(_header)
    def test_fields_and_hints_never_raise(self, raw: bytes) -> None:
        """Any bytes have fields, or none."""
        for name, _ in fields(raw):
            self.assertEqual(name, name.lower())
        self.assertTrue(all(codec_of(codec) for codec in charset_hints(raw)))

    @given(_text | st.text(st.characters(exclude_categories=())))
    @settings(max_examples=300)
    def test_words_and_addresses_never_raise(self, text: str) -> None:
        """Any text has words and addresses, or none."""
        decode_words(text)
        self.assertLessEqual(len(parse_addresses(text, 5)), 5)

    @given(_text)
    @settings(max_examples=300)
    def test_the_parsers_of_single_fields_never_raise(self, text: str) -> None:
        """The guard of `summarise` has nothing to do."""
        for parse in (message._subject, message._senders, message._message_id, read_date):
            parse(text)

    def test_the_guard_of_a_field_gives_the_default(self) -> None:
        """A fault of ours would cost one field, not the mailbox."""
        self.assertEqual(message._guarded(b"x", [], lambda text: 1 // len(text[1:]), 7), 7)

    @given(_labels | st.text(max_size=80), st.binary(max_size=60))
    @settings(max_examples=500)
    def test_any_bytes_under_any_label_become_text(self, label: str, raw: bytes) -> None:
        """A label can be a lie, but no trap."""
        self.assertIsInstance(decode(raw, label), str)

    def test_every_codec_survives_every_byte(self) -> None:
        """All charsets we know read all bytes."""
        raw = bytes(range(256)) * 2
        for label in (*aliases, *aliases.values()):
            self.assertIsInstance(decode(raw, label), str)


class CharsetTests(SynchronousTestCase):
    """What labels mean."""

    def test_invented_labels_leave_nothing_in_memory(self) -> None:
        """A flood of labels does not fill the interpreter's cache of codecs."""
        before = len(encodings._cache)
        for number in range(100):
            decode(b"\xff", f"x-invented-{number}")
        self.assertEqual(len(encodings._cache), before)

    def test_no_label_reaches_a_codec_that_is_no_charset(self) -> None:
        """base64, zlib, rot13 and the quadratic ones are unknown."""
        for label in ("base64", "zlib", "hex", "rot13", "punycode", "idna", "unicode_escape"):
            self.assertIsNone(codec_of(label), label)

    def test_case_and_punctuation_of_a_label_do_not_count(self) -> None:
        """Senders write them as they like."""
        for label in ("ISO-8859-15", "iso8859_15", "Iso_8859-15", "x-iso-8859-15", "latin-9"):
            self.assertEqual(codec_of(label), "iso8859_15", label)

    def test_a_hint_decides_what_is_not_utf_8(self) -> None:
        """The charset of the neighbours is tried before Western Europe's."""
        raw = "Счёт".encode("koi8-r")
        self.assertEqual(guess(raw, ["koi8_r"]), "Счёт")
        self.assertEqual(guess("Grüße".encode(), ["koi8_r"]), "Grüße")
        self.assertEqual(guess(b"\x81", ["cp932"]), "\ufffd")

    def test_ascii_stays_what_it_is(self) -> None:
        """An escape character alone makes no Japanese."""
        self.assertEqual(guess(b"a\x1b$Bz"), "a\x1b$Bz")
        self.assertEqual(decode(b"plain", "utf-8"), "plain")

    def test_broken_japanese_shows_what_is_whole(self) -> None:
        """A word cut in the middle of a character keeps its beginning."""
        self.assertEqual(decode(b"\x1b$B2q5", "iso-2022-jp")[:1], "会")


class AddressTests(SynchronousTestCase):
    """Fields that the corpus does not have."""

    @given(st.from_regex(_USUAL, fullmatch=True))
    @settings(max_examples=1000)
    def test_a_lone_mailbox_is_read_as_in_a_list(self, text: str) -> None:
        """The quick way for the usual field and the thorough one for all others agree."""
        self.assertEqual(parse_addresses(text, 3), parse_addresses(text + ",", 3))

    def test_the_most_is_the_most(self) -> None:
        """Reading stops when enough was found."""
        self.assertEqual(parse_addresses("a@x, b@x, c@x", 2), [("", "a@x"), ("", "b@x")])

    def test_an_address_in_the_name_is_only_a_name(self) -> None:
        """Who poses as somebody else in the display name is shown with the real address."""
        self.assertEqual(parse_addresses("you@bank <evil@x>", 2), [("you@bank", "evil@x")])

    def test_a_colon_in_the_brackets_begins_no_group(self) -> None:
        """Only a colon before an address does."""
        self.assertEqual(parse_addresses("Ana <a:b@x>", 2), [("Ana", "a:b@x")])
        self.assertEqual(parse_addresses("<a@x>: <b@x>", 2), [("", "a@x"), ("", "b@x")])

    def test_an_endless_comment_is_the_rest(self) -> None:
        """The address before it is kept."""
        self.assertEqual(parse_addresses("a@x (never, <b@x>", 2), [("never, <b@x", "a@x")])
