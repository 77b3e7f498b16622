"""What a person would call an attachment."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.structure import MOST_PARTS, count_attachments


def part(kind: str, subtype: str, disposition: str = "") -> tuple[Any, ...]:
    """A leaf as servers send it (RFC 9051 §7.5.2)."""
    lines = ("5",) if kind == "TEXT" else ()
    ending = (None, (disposition, (b"FILENAME", b"x")) if disposition else None, None)
    return (kind.encode(), subtype.encode(), None, None, None, b"7BIT", "100", *lines, *ending)


TEXT, HTML = part("TEXT", "PLAIN"), part("TEXT", "HTML")
PICTURE = part("IMAGE", "PNG")


class CountTests(SynchronousTestCase):
    """From a parsed BODYSTRUCTURE."""

    def check(self, expected: int, structure: object) -> None:
        self.assertEqual(count_attachments(structure), expected, structure)

    def test_no_attachment(self) -> None:
        """Text, and text in two forms."""
        self.check(0, TEXT)
        self.check(0, (TEXT, HTML, b"ALTERNATIVE"))

    def test_called_so(self) -> None:
        """What its sender calls an attachment is one, text too."""
        self.check(1, (TEXT, part("TEXT", "PLAIN", "ATTACHMENT"), b"MIXED"))
        self.check(2, (TEXT, part("IMAGE", "PNG", "attachment"), PICTURE, b"MIXED"))

    def test_of_its_own(self) -> None:
        """A document alone, and a letter in a letter."""
        self.check(1, part("APPLICATION", "PDF"))
        self.check(1, (TEXT, part("MESSAGE", "RFC822"), b"MIXED"))

    def test_what_only_serves(self) -> None:
        """Pictures of a page, signatures, the parts of a report."""
        self.check(0, ((TEXT, HTML, b"ALTERNATIVE"), PICTURE, b"RELATED"))
        self.check(0, (TEXT, part("APPLICATION", "PGP-SIGNATURE", "ATTACHMENT"), b"SIGNED"))
        self.check(0, (TEXT, part("APPLICATION", "PKCS7-SIGNATURE"), b"SIGNED"))
        self.check(0, (TEXT, part("MESSAGE", "DELIVERY-STATUS"), b"REPORT"))

    def test_nested(self) -> None:
        """However deep they lie."""
        structure: object = part("APPLICATION", "ZIP", "ATTACHMENT")
        for _ in range(500):
            structure = (structure, b"MIXED")
        self.check(1, structure)

    def test_no_sense(self) -> None:
        """What cannot be read counts for nothing."""
        for structure in (None, (), b"x", "NIL", ((),), (None, None), ("TEXT",), (1, 2)):
            self.check(0, structure)

    def test_made_to_hurt(self) -> None:
        """A structure of a million parts is looked at in part."""
        self.check(MOST_PARTS - 1, (*([part("APPLICATION", "PDF")] * 100_000), b"MIXED"))

    @given(
        st.recursive(
            st.none() | st.text(max_size=9) | st.binary(max_size=9),
            lambda inner: st.lists(inner, max_size=9).map(tuple),
        )
    )
    def test_anything(self, structure: object) -> None:
        """Never an exception."""
        self.assertGreaterEqual(count_attachments(structure), 0)
