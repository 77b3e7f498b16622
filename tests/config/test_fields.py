"""What the schema says of a field, in words."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.fields import fields_of
from mailnotify.config.layout import home_of, sections


class Various(Struct, kw_only=True):
    """One field of each sort."""

    between: Annotated[float, Meta(description="Between.", ge=0.05, le=86400)] = 60.0
    up: Annotated[int, Meta(description="Up.", ge=1)] = 1
    above: Annotated[float, Meta(description="Above.", gt=0)] = 1.5
    both: Annotated[float, Meta(description="Both.", gt=0, le=10)] = 1.0
    text: Annotated[str, Meta(description="Text.")]
    bare: int
    other: Annotated[tuple[str, ...], Meta(description="Other.")] = ()


class FieldsOfTests(SynchronousTestCase):
    """`fields_of` puts a class of the schema into words."""

    def test_words(self) -> None:
        """Types and bounds become phrases, defaults become literals of TOML."""
        self.assertEqual(
            [
                (each.name, each.description, each.takes, each.default)
                for each in fields_of(Various)
            ],
            [
                ("between", "Between.", "a number from 0.05 to 86400", "60"),
                ("up", "Up.", "a whole number from 1 up", "1"),
                ("above", "Above.", "a number above 0", "1.5"),
                ("both", "Both.", "a number above 0, at most 10", "1"),
                ("text", "Text.", "a text", None),
                ("bare", "", "a whole number", None),
                ("other", "Other.", "", "[]"),
            ],
        )

    def test_plain(self) -> None:
        """Numbers and texts are plain; other values have readers of their own."""
        self.assertEqual([each.name for each in fields_of(Various) if not each.is_plain], ["other"])


class LayoutTests(SynchronousTestCase):
    """The tables of the document."""

    def test_every_field_is_described(self) -> None:
        """No key stands in the documents without a sentence that says what it does."""
        for section in sections():
            self.assertTrue(section.meaning.endswith("."), section.heading)
            for field in section.fields:
                self.assertTrue(field.description.endswith("."), field.name)

    def test_home_of(self) -> None:
        """A key knows its table."""
        self.assertEqual(home_of("poll_seconds"), "[timing]")
        self.assertEqual(home_of("mailboxes"), "[accounts.NAME]")
        self.assertEqual(home_of("xyzzy"), "")
