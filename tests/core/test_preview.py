"""The first words of a message, whatever was cut off."""

from __future__ import annotations

import time
from base64 import b64encode

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.preview import MOST_BODY_BYTES, preview

ALTERNATIVE = b"Content-Type: multipart/alternative; boundary=b\r\n"
PARTS = (
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n"
)


class PreviewTests(SynchronousTestCase):
    """One line for a person."""

    def test_plain_text(self) -> None:
        """A message without a Content-Type is text."""
        self.assertEqual(preview(b"Subject: x\r\n", b"Hello\r\nAda\r\n", 100), "Hello Ada")

    def test_plain_part_is_preferred(self) -> None:
        """Of two alternatives the plain one is shown."""
        self.assertEqual(preview(ALTERNATIVE, PARTS, 100, lambda page: "page"), "Grüße")

    def test_html_alone(self) -> None:
        """HTML is shown by the parser that was given, or not at all."""
        header, body = b"Content-Type: text/html; charset=koi8-r\r\n", "<b>Привет".encode("koi8-r")
        self.assertEqual(preview(header, body, 100, lambda page: page[3:]), "Привет")
        self.assertEqual(preview(header, body, 100), "")

    def test_an_empty_plain_part_is_passed_over(self) -> None:
        """Some programs send one beside the page that they mean."""
        body = PARTS.replace(b"Gr\xc3\xbc\xc3\x9fe", b" ")
        self.assertEqual(preview(ALTERNATIVE, body, 100, lambda page: "page"), "page")

    def test_cut_anywhere(self) -> None:
        """However little of the body came, what came is read."""
        text = "Ein längerer Text mit Umlauten: äöü"
        header = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
        encoded = b64encode(text.encode())
        for end in range(len(encoded) + 1):
            shown = preview(header, encoded[:end], 100)
            self.assertEqual(shown.rstrip("\ufffd"), text[: len(shown.rstrip("\ufffd"))].strip())
        self.assertEqual(preview(header, encoded, 100), text)

    def test_monstrous_fields(self) -> None:
        """A Content-Type of a megabyte would take the standard library 8 s."""
        parameters = b'; a="b"' * 150_000
        for header in (
            b"Content-Type: text/plain" + parameters,
            b"Content-Type: text/plain;" + parameters.replace(b" ", b"\r\n "),
            b'Content-Type: multipart/mixed; boundary="' + b"(" * 900_000 + b'"',
            b"Content-Type: text/plain\r\nX: " + parameters,
        ):
            started = time.process_time()
            preview(header + b"\r\n", b"text", 100)
            self.assertLess(time.process_time() - started, 0.25)

    def test_clipped(self) -> None:
        """No more bytes than asked for, at a character."""
        self.assertEqual(preview(b"", "äöü".encode(), 5), "äö")
        self.assertEqual(preview(b"", b"text", 0), "")

    def test_quotations_are_left_out(self) -> None:
        """What the other one wrote is no news."""
        body = b"On Monday Bob wrote:\r\n> old\r\nnew\r\n"
        self.assertEqual(preview(b"", body.replace(b"\r\n", b"\n"), 100), "new")

    def test_attached_text_is_no_preview(self) -> None:
        """A file is not what its sender says."""
        header = b'Content-Type: text/plain; name="notes.txt"\r\n'
        self.assertEqual(preview(header, b"secret notes", 100), "")

    def test_end_of_base64(self) -> None:
        """The last letters are there, however many bytes the last group has."""
        header = b"Content-Transfer-Encoding: base64\r\n"
        for text in (b"a", b"ab", b"abc", b"abcd"):
            self.assertEqual(preview(header, b64encode(text), 100), text.decode())

    def test_nothing_acts(self) -> None:
        """Escapes and bidi controls are gone."""
        self.assertEqual(preview(b"", "a\x1b[31mb\u202ec\r\nd\0".encode(), 100), "a[31mbc d")

    def test_a_parser_that_fails(self) -> None:
        """An exception of the HTML parser costs the preview only."""

        def fail(page: str) -> str:
            raise RecursionError

        self.assertEqual(preview(b"Content-Type: text/html\r\n", b"<p>", 100, fail), "")

    def test_deep_nesting_takes_no_time(self) -> None:
        """A body of boundaries is read in a moment."""
        header = b"Content-Type: multipart/mixed; boundary=b0\r\n"
        body = b"".join(
            b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1)
            for n in range(2000)
        )
        began = time.process_time()
        preview(header, body, 100)
        self.assertLess(time.process_time() - began, 2.0)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300), st.binary(max_size=600), st.integers(0, 200))
    def test_any_bytes(self, header: bytes, body: bytes, most: int) -> None:
        """Never an exception, never too long, never a control character."""
        shown = preview(header, body, most)
        self.assertLessEqual(len(shown.encode()), most)
        self.assertTrue(all(each.isprintable() or each.isspace() for each in shown[:50]) or shown)
        self.assertNotIn("\n", shown)
        self.assertLess(len(body), MOST_BODY_BYTES)
