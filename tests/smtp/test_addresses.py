"""Tests for `mailnotify.smtp.addresses`."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid
from mailnotify.smtp.addresses import parse_address, parse_addresses


def bare(*texts: str) -> list[str]:
    """The addresses in each text."""
    return [each.address for text in texts for each in parse_addresses("to", text)]


class ParseAddressesTests(SynchronousTestCase):
    """One text becomes one address for each recipient in it."""

    def test_list_in_one_text(self) -> None:
        """Two recipients in one option are two recipients, not one that swallows the other."""
        self.assertEqual(bare("a@x.org, c@y.org"), ["a@x.org", "c@y.org"])
        self.assertEqual(bare("a@x.org,c@y.org,"), ["a@x.org", "c@y.org"])

    def test_names(self) -> None:
        """A name may be bare, quoted, hold a comma, or be missing."""
        for text, name in (
            ("Ada Lovelace <ada@x.org>", "Ada Lovelace"),
            ('"Lovelace, Ada" <ada@x.org>', "Lovelace, Ada"),
            ('"The \\"A\\" \\\\" <ada@x.org>', 'The "A" \\'),
            ("Jörg Müller <ada@x.org>", "Jörg Müller"),
            ("<ada@x.org>", ""),
            ("  ada@x.org  ", ""),
        ):
            found = parse_addresses("to", text)
            self.assertEqual(found, (Address(address="ada@x.org", name=name),), text)

    def test_list_with_names(self) -> None:
        """A comma within quotes does not end a recipient."""
        found = parse_addresses("to", '"B, A" <a@x.org>, b@x.org, C <c@x.org>')
        self.assertEqual([each.name for each in found], ["B, A", "", "C"])

    def test_legal_and_odd(self) -> None:
        """What RFC 5321 allows is taken as it is."""
        for text in ("o'b+tag=x@x.org", '"a b"@x.org', '"a@b,c"@x.org', "a@localhost", "a.b@x-y.z"):
            self.assertEqual(bare(text), [text])

    def test_domain(self) -> None:
        """A domain goes out in ASCII and lower case; the part before it stays as written."""
        self.assertEqual(bare("Ada@MÜNCHEN.de"), ["Ada@xn--mnchen-3ya.de"])
        self.assertEqual(bare("Ada@Example.ORG"), ["Ada@example.org"])

    def refuse(self, text: str, *words: str) -> None:
        """This text is refused, with these words in the reason."""
        error = self.assertRaises(LetterInvalid, parse_addresses, "to", text)
        self.assertEqual(error.field, "to")
        for word in words:
            self.assertIn(word, str(error))

    def test_no_address(self) -> None:
        """What is no address is refused before it reaches a server."""
        for text in (
            *("", " ", ",", "ada", "@x.org", "ada@", "a@@x.org", "a b@x.org", "a@x..org"),
            *(".a@x.org", "a.@x.org", "a@-x.org", "a@x.org>", "<a@x.org", "a@x.org b@x.org"),
            *("undisclosed: a@x.org;", "a@[127.0.0.1]", "A <a@x.org> B <b@x.org>", '""@x.org'),
            *('"a@x.org', "a@x.org, ,b@x.org", "a@" + "x" * 64 + ".org", "a" * 65 + "@x.org"),
            "a@" + ".".join(["x" * 60] * 5),
        ):
            self.refuse(text)

    def test_international_local_part(self) -> None:
        """Any script may stand before the @, in one spelling; nothing invisible may."""
        self.assertEqual(bare("jörg@x.org", "用户@例え.jp"), ["jörg@x.org", "用户@xn--r8jz45g.jp"])
        self.assertEqual(bare("jo\u0308rg@x.org"), ["jörg@x.org"])
        for text in ("a\u202eb@x.org", "a\u00a0b@x.org", "a\u200bb@x.org", "a\u3000@x.org"):
            self.refuse(text)
        self.assertEqual(bare("ü" * 32 + "@x.org"), ["ü" * 32 + "@x.org"])
        self.refuse("ü" * 33 + "@x.org")

    def test_ambiguous_domain(self) -> None:
        """A domain that two standards map to two names is not guessed at."""
        self.refuse("a@straße.de", "xn--")

    def test_impossible_domain(self) -> None:
        """A domain that has no ASCII form is refused."""
        self.refuse("a@é..org")

    def test_long_name(self) -> None:
        """A name of a thousand characters is refused."""
        self.refuse(f"{'x' * 1000} <a@x.org>", "1000 characters")

    def test_control_characters(self) -> None:
        """No control character, line separator or lone surrogate gets through."""
        for character in "\r\n\0\t\x1b\x7f\x85\u2028\u2029\ud800":
            self.refuse(f"A{character}B <a@x.org>", f"U+{ord(character):04X}")
        self.refuse("A\udcffB <a@x.org>", "the byte 0xFF, which is no UTF-8")

    @given(st.text(alphabet=st.sampled_from(list('ab@.,<>"\\ ;:()é\r\n')), max_size=40))
    def test_never_a_forged_recipient(self, text: str) -> None:
        """Whatever is written, each address found is safe to put between < and >."""
        try:
            found = bare(text)
        except LetterInvalid:
            return
        for address in found:
            self.assertTrue(address.isprintable())
            self.assertTrue(address.rpartition("@")[2].isascii())
            self.assertEqual(bare(address), [address])


class ParseAddressTests(SynchronousTestCase):
    """Where exactly one address is wanted."""

    def test_one(self) -> None:
        """One address is taken."""
        self.assertEqual(parse_address("sender", "A <a@x.org>").name, "A")

    def test_two(self) -> None:
        """Two are refused."""
        error = self.assertRaises(LetterInvalid, parse_address, "sender", "a@x.org, b@x.org")
        self.assertIn("2 addresses", str(error))
