"""Tests of `mailnotify.core.text`."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.text import clean

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_ROOM = 1000

# Every code point there is, surrogates and noncharacters included.
_anything = st.text(st.characters(exclude_categories=()))


def _is_noncharacter(character: str) -> bool:
    return 0xFDD0 <= ord(character) <= 0xFDEF or ord(character) & 0xFFFE == 0xFFFE


class OneLineTests(SynchronousTestCase):
    """What comes out is one line that does nothing."""

    def test_line_breaks_become_one_space(self) -> None:
        """A subject of several lines reads as one."""
        self.assertEqual(clean("one\r\n\t two\nthree\tfour", _ROOM), "one  two three four")

    def test_controls_vanish(self) -> None:
        """No terminal is steered: NUL, BEL, ESC, DEL and C1 are gone."""
        self.assertEqual(clean("a\x00b\x07c\x1b[31md\x7fe\x9b2Jf\x85g", _ROOM), "abc[31mde2Jfg")

    def test_unicode_line_separators_vanish(self) -> None:
        """U+2028 and U+2029 end no line of ours."""
        self.assertEqual(clean("a\u2028b\u2029c", _ROOM), "abc")

    def test_bidi_controls_vanish(self) -> None:
        """Text is not shown backwards."""
        self.assertEqual(clean(f"invoice{_BIDI}fdp.exe", _ROOM), "invoicefdp.exe")

    def test_surrogates_and_noncharacters_vanish(self) -> None:
        """What comes out can always be encoded."""
        self.assertEqual(clean("a\ud83db\udcffc\ufffed\U0001ffffe\ufdd0f", _ROOM), "abcdef")

    def test_invisible_characters_vanish(self) -> None:
        """A word cannot hide another: zero-width space, BOM, soft hyphen, fillers, tags."""
        hidden = "\u200b\ufeff\u00ad\u2060\u180e\u3164\u115f\uffa0\u034f\U000e0041\U000e0100"
        self.assertEqual(clean(f"pay{hidden}pal", _ROOM), "paypal")

    def test_a_text_of_nothing_but_tricks_is_empty(self) -> None:
        """Blank is blank, so a caller can say `no subject`."""
        self.assertEqual(clean(" \r\n\u200b\u3164\u200d ", _ROOM), "")

    def test_the_ends_are_stripped(self) -> None:
        """No blank stands at either end."""
        self.assertEqual(clean("\r\n  hello \u3000\t", _ROOM), "hello")


class KeptTests(SynchronousTestCase):
    """What honest text needs stays as it is."""

    def test_scripts_and_emoji_are_untouched(self) -> None:
        """Persian, Sinhala, Hebrew, accents, families and keycaps keep their form."""
        for text in (
            "می\u200cخواهم",
            "ක්\u200dරමය",
            "שלום",
            "e\u0301te\u0301",
            "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3",
            "日本語 한국어 ไทย",
        ):
            self.assertEqual(clean(text, _ROOM), text)

    def test_joiners_after_ascii_vanish(self) -> None:
        """An invisible joiner does not make `paypal` another word."""
        self.assertEqual(clean("pay\u200dpal\u200c\u200d", _ROOM), "paypal")

    def test_runs_of_joiners_and_selectors_shrink_to_one(self) -> None:
        """Bytes cannot be smuggled in a run of invisible characters."""
        self.assertEqual(clean("é\u200d\u200c\u200dé❤\ufe0f\ufe00\ufe01", _ROOM), "é\u200dé❤\ufe0f")


class CutTests(SynchronousTestCase):
    """Long text ends at a character."""

    def test_text_that_fits_is_whole(self) -> None:
        """The limit itself still fits."""
        self.assertEqual(clean("éé", 4), "éé")

    def test_a_character_is_not_split(self) -> None:
        """Half a letter is left out."""
        self.assertEqual(clean("éé", 3), "é")

    def test_an_accent_goes_with_its_letter(self) -> None:
        """A letter is not shown without its marks."""
        self.assertEqual(clean("abe\u0301", 3), "ab")

    def test_an_emoji_family_is_not_torn(self) -> None:
        """A cut inside a joined emoji leaves the whole out."""
        family = "👩\u200d👧"
        for most_bytes in range(1, len(family.encode()) + 1):
            self.assertEqual(clean(f"a{family}", most_bytes), "a")

    def test_a_skin_tone_goes_with_its_emoji(self) -> None:
        """A hand does not change its colour."""
        self.assertEqual(clean("a👋🏽", 6), "a")

    def test_a_tower_of_marks_does_not_empty_the_line(self) -> None:
        """A letter with a thousand marks is cut among them."""
        self.assertEqual(clean("a" + "\u0301" * 1000, 101), "a" + "\u0301" * 50)

    def test_no_room_gives_nothing(self) -> None:
        """A limit of zero or less is no error."""
        self.assertEqual((clean("abc", 0), clean("abc", -5)), ("", ""))

    def test_the_end_is_stripped_after_the_cut(self) -> None:
        """No blank is left where the text was cut."""
        self.assertEqual(clean("ab cd", 3), "ab")


class AnyTextTests(SynchronousTestCase):
    """Whatever comes in."""

    @given(_anything, st.integers(-1, 60))
    def test_the_rules_hold(self, text: str, most_bytes: int) -> None:
        """Always one encodable line within its limit, without anything that acts."""
        line = clean(text, most_bytes)
        self.assertLessEqual(len(line.encode()), max(most_bytes, 0))
        self.assertEqual(line, line.strip())
        for character in line:
            self.assertNotIn(unicodedata.category(character), ("Cc", "Cs", "Zl", "Zp"))
            self.assertNotIn(character, _BIDI)
            self.assertFalse(_is_noncharacter(character))

    @given(_anything)
    def test_cleaning_twice_changes_nothing(self, text: str) -> None:
        """Clean text passes through."""
        line = clean(text, _ROOM)
        self.assertEqual(clean(line, _ROOM), line)

    @given(st.text("ab \t\r\x1b~", max_size=20), st.integers(-1, 20))
    def test_what_hides_behind_ascii_changes_nothing(self, text: str, most_bytes: int) -> None:
        """The quick way for printable ASCII and the thorough one agree."""
        self.assertEqual(clean(text, most_bytes), clean(text + "\u200b", most_bytes))

    def test_a_megabyte_of_tricks_is_quick(self) -> None:
        """The time grows with the length only."""
        began = time.process_time()
        for trick in ("\u200d", "\ufe0f", "\r\n ", "\u0301", "\x1b", "é\u200d", " "):
            clean(trick * 1_000_000, _ROOM)
        self.assertLess(time.process_time() - began, 10)
