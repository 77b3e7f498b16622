"""Tests of the names of mailboxes: modified UTF-7 and quoting."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.imap.mailbox_names import decode, encode, is_quotable, literal, quoted

_NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)

_PAIRS = {
    "INBOX": b"INBOX",
    "Entwürfe": b"Entw&APw-rfe",
    "A&B": b"A&-B",
    "&": b"&-",
    "~peter/mail/台北/日本語": b"~peter/mail/&U,BTFw-/&ZeVnLIqe-",  # RFC 3501 §5.1.3
    "草稿箱": b"&g0l6P3ux-",
    "😀 &ü": b"&2D3eAA- &-&APw-",
    "": b"",
}


class CodecTests(SynchronousTestCase):
    """Modified UTF-7."""

    def test_known_names(self) -> None:
        """Names are written as RFC 3501 and real servers write them."""
        for name, raw in _PAIRS.items():
            self.assertEqual((encode(name), decode(raw)), (raw, name))

    @given(_NAMES)
    def test_round_trip(self, name: str) -> None:
        """Every name without controls comes back as it was, through printable ASCII."""
        raw = encode(name)
        self.assertTrue(raw.isascii() and raw.decode().isprintable())
        self.assertEqual(decode(raw), name)

    @given(st.text(st.characters(categories=["Cc", "Cs"]), min_size=1, max_size=1), _NAMES, _NAMES)
    def test_controls_are_refused(self, bad: str, before: str, after: str) -> None:
        """TRAPS 18: CR, LF, TAB, NUL, other controls and surrogates never reach the wire."""
        self.assertRaises(ValueError, encode, before + bad + after)

    def test_bad_input_stays_as_it_is(self) -> None:
        """TRAPS 18: what no encoder wrote is shown as it stands, without an exception."""
        for raw in (
            b"&bad-",  # half a UTF-16 unit
            b"&AOk",  # never shifted back
            b"&AGEAYg-",  # printable ASCII in base64
            b"&2D0-",  # half a surrogate pair
            b"&AAo-",  # a line feed
            b"&APw-&APw-",  # two runs where one is right
            b"&*-",
            b"tab\tx",
            encode("ü" * 2000),  # far too long for a name
        ):
            self.assertEqual(decode(raw), raw.decode())

    def test_utf_8(self) -> None:
        """A server with UTF8=ACCEPT sends names in UTF-8; other bytes are replaced."""
        self.assertEqual(decode("Grüße & co".encode()), "Grüße & co")
        self.assertEqual(decode(b"Gr\xfc\xdfe"), "Gr\ufffd\ufffde")

    @given(st.binary(max_size=40) | st.text("&AOk-,+b=", max_size=12).map(str.encode))
    def test_anything(self, raw: bytes) -> None:
        """Any bytes have a name, always the same, that can be written as JSON."""
        name = decode(raw)
        self.assertEqual(name, decode(raw))
        name.encode("utf-8")


class QuotingTests(SynchronousTestCase):
    """Strings in commands."""

    def test_quoted(self) -> None:
        """Quotes and backslashes are escaped."""
        self.assertEqual(quoted(rb'a "b\c"'), rb'"a \"b\\c\""')

    def test_what_cannot_be_quoted(self) -> None:
        """CR, LF, NUL and 8-bit bytes are refused: they would end the command or lie in it."""
        for raw in (b"a\rb", b"a\nb", b"a\0b", b"\xc3\xbc", b"x" * 1001):
            self.assertFalse(is_quotable(raw))
            self.assertRaises(ValueError, quoted, raw)
        self.assertTrue(is_quotable(b"x" * 1000))

    def test_literal(self) -> None:
        """8-bit strings go as literals, with or without waiting."""
        self.assertEqual(literal("ü".encode()), (b"{2}", "ü".encode()))
        self.assertEqual(literal(b"ab", is_synchronising=False), (b"{2+}", b"ab"))

    def test_what_no_literal_holds(self) -> None:
        """TRAPS 28: a password with a line break is refused, however it would be sent."""
        for raw in (b"a\r\nX DELETE INBOX", b"a\nb", b"\0"):
            self.assertRaises(ValueError, literal, raw)
