"""Tests of `mailnotify.core.dates`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.dates import read_date

_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_SECONDS = st.integers(86_400, 7_257_000_000)  # into the last days of 2199, in every zone
_MOMENTS = st.builds(datetime.fromtimestamp, _SECONDS, _ZONES)


class DateTests(SynchronousTestCase):
    """The Date of a message."""

    @given(_MOMENTS)
    def test_any_spelling(self, moment: datetime) -> None:
        """A moment is the same in the usual form, and with odd blanks, day, zone or comment."""
        usual = format_datetime(moment)
        _, _, bare = usual.partition(", ")
        for text in (usual, f" {usual}\r", bare, f"{usual} (CET)", f"{bare}  (odd) "):
            self.assertEqual(read_date(text), moment, text)
        self.assertEqual(read_date(usual.replace(" ", "  ").upper()), moment)
        found = read_date(usual)
        assert found is not None
        self.assertEqual(found.tzinfo, UTC)

    def test_leap_second(self) -> None:
        """The sixtieth second is the last one of its minute."""
        self.assertEqual(
            read_date("Sat, 31 Dec 2016 23:59:60 +0000"),
            datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),
        )

    def test_named_zone(self) -> None:
        """RFC 5322 §4.3: a zone may have a name; one that nobody knows is UTC."""
        expected = datetime(2024, 1, 15, 15, 20, 30, tzinfo=UTC)
        self.assertEqual(read_date("Mon, 15 Jan 2024 10:20:30 EST"), expected)
        self.assertEqual(read_date("Mon, 15 Jan 2024 15:20:30 XYZ"), expected)

    def test_no_date(self) -> None:
        """What is no date, or of no believable year or zone, is none."""
        for text in (
            *("", "yesterday", "Mon, 31 Feb 2024 10:20:30 +0100", "1 Jan 2024 25:00:00 +0000"),
            *("1 Jan 1969 10:00:00 +0000", "1 Jan 2200 10:00:00 +0000"),
            *("1 Jan 2024 10:00:00 +1600", "1 Jan 2024 10:00:00 -9900"),
        ):
            self.assertIsNone(read_date(text), text)
