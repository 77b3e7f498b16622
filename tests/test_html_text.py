"""The visible text of HTML pages, most of them hostile."""

from __future__ import annotations

import sys
import time
from unittest.mock import patch

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.preview import preview
from mailnotify.html_text import MOST_LETTERS, is_installed, visible_text

HTML = b"Content-Type: text/html; charset=utf-8\r\n"


def words(page: str) -> str:
    return " ".join(visible_text(page).split())


class InstalledTests(SynchronousTestCase):
    """Whether the extra is there."""

    def test_there_and_missing(self) -> None:
        """It is asked for before the first page comes."""
        self.assertTrue(is_installed())
        with patch.dict(sys.modules, {"selectolax": None}):
            self.assertFalse(is_installed())


class VisibleTextTests(SynchronousTestCase):
    """What a reader of the page would see."""

    def test_paragraphs_and_cells(self) -> None:
        """Their edges part words; what only changes the look does not."""
        page = "<p>H<b>el</b>lo <a href=x>Ada</a></p>and<br>Bo<table><tr><td>1<td>2</table>3"
        self.assertEqual(words(page), "Hello Ada and Bo 1 2 3")

    def test_comment_within_a_word(self) -> None:
        """It is not there."""
        self.assertEqual(words("Hel<!-- x -->lo"), "Hello")

    def test_entities(self) -> None:
        """They are the letters that they stand for."""
        self.assertEqual(words("Gr&uuml;&#223;e &amp; &lt;b&gt;"), "Grüße & <b>")

    def test_what_nobody_sees(self) -> None:
        """Scripts, styles and the head are no text, wherever they stand."""
        page = (
            "<head><title>t</title><style>p{}</style></head><body><script>f()</script>"
            "seen<style>i{}</style><template>no</template><noscript>no</noscript>"
        )
        self.assertEqual(words(page), "seen")

    def test_no_body(self) -> None:
        """Nothing, and a page of frames, have no text."""
        self.assertEqual(words(""), "")
        self.assertEqual(words("<frameset><frame src=x></frameset>"), "")

    def test_cut_in_a_tag(self) -> None:
        """What was whole before is kept."""
        self.assertEqual(words("<p>Hello <a href='http://exam"), "Hello")

    def test_only_so_much(self) -> None:
        """What lies beyond the bound is not read."""
        self.assertEqual(visible_text("a" * (MOST_LETTERS + 1)).strip(), "a" * MOST_LETTERS)

    @given(st.text(alphabet="<>/!-&;= \0\ud800ab'\"pitdscrle", max_size=200))
    def test_anything(self, page: str) -> None:
        """Whatever the page is, there is a text."""
        self.assertIsInstance(visible_text(page), str)


class HostilePageTests(SynchronousTestCase):
    """Pages that were made to cost much, through the whole of the preview."""

    def cost(self, piece: str) -> float:
        """Seconds of processor time for 8 KiB of this; the best of three, as others run too."""
        body = (piece * 8192)[:8192].encode()
        return min(self.once(body) for _ in range(3))

    def once(self, body: bytes) -> float:
        began = time.process_time()
        preview(HTML, body, 1000, visible_text)
        return time.process_time() - began

    def test_time(self) -> None:
        """Nested tags, comments that never end, broken tables: none takes 50 ms."""
        visible_text("<p>")  # the import is not the page's fault
        pieces = "<div> <b> <a> <p><b> <a><b><i> <font><p> <table> <table><tr><td> <!-- <! < & "
        pieces += "</p> <b></p> <svg> <math><mi> <select><option> <script> <style> &amp; <a&#0;"
        for piece in pieces.split():
            self.assertLess(self.cost(piece), 0.05, piece)
