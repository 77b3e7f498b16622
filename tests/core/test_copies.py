"""Entries as bytes: whatever they hold, the lines keep within their length."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.copies import PLAIN_LINE_BYTES, Copy
from mailnotify.core.events import Entry, Event
from mailnotify.core.frames import SENT_LINE_BYTES, Announce
from mailnotify.core.lines import FROM_SERVER, decode
from mailnotify.core.message import Address
from tests.fakes import NOON, account_state, mail


def copy_of(event: Event) -> Copy:
    """A copy of an entry with this event."""
    return Copy(Entry(seq=1, at=NOON, event=event), "e1")


def announced(copy: Copy) -> Announce:
    """What a client reads."""
    frame = decode(copy.line.removesuffix(b"\r\n"), FROM_SERVER)
    assert isinstance(frame, Announce)
    return frame


lengths = st.sampled_from([0, 1, 20, 999, 1001, 30_000, 70_000])
letters = st.characters(codec="utf-8")


class CopyTests(SynchronousTestCase):
    """Both forms of an entry."""

    def test_encoded_once(self) -> None:
        """All subscribers are sent the very same bytes."""
        copy = copy_of(mail(1))
        self.assertIs(copy.line, copy.line)
        self.assertIs(copy.plain, copy.plain)

    def test_plain_line_without_subject(self) -> None:
        """A message without a subject is a line without one."""
        self.assertEqual(copy_of(replace(mail(1), subject="")).plain, b"New Email Received: \r\n")

    def test_event_that_fits_is_whole(self) -> None:
        """Nothing is cut from an event that has room."""
        event = mail(1, to=1000)
        frame = announced(copy_of(event))
        self.assertEqual((frame.entry.event, frame.is_shortened), (event, False))

    def test_recipients_go_first(self) -> None:
        """A letter to thousands names the first twenty, and says that it was cut."""
        event = mail(1, to=5000)
        frame = announced(copy_of(event))
        self.assertTrue(frame.is_shortened)
        self.assertEqual(frame.entry.event, replace(event, to=event.to[:20]))

    def test_then_the_other_names(self) -> None:
        """Twenty names that are too long leave one sender."""
        people = tuple(Address(address="a" * 4000) for _ in range(20))
        event = replace(mail(1), to=people, sender=people)
        frame = announced(copy_of(event))
        self.assertEqual(frame.entry.event, replace(event, to=(), sender=people[:1]))

    def test_texts_go_last(self) -> None:
        """A text without end is cut at a character."""
        frame = announced(copy_of(mail(1, "\u2603" * 40_000)))
        self.assertEqual(frame.entry.event, mail(1, "\u2603" * 333))
        state = announced(copy_of(account_state(cause="x" * 70_000)))
        self.assertEqual(state.entry.event, account_state(cause="x" * 1000))

    @settings(max_examples=60, deadline=None)
    @given(letters, lengths, lengths, lengths, st.sampled_from([0, 1, 3, 30]))
    def test_no_line_is_too_long(
        self, letter: str, first: int, second: int, third: int, people: int
    ) -> None:
        """No event, whatever is in it, makes a line that is over its limit."""
        one, two, three = letter * first, letter * second, letter * third
        crowd = tuple(Address(address=one, name=two) for _ in range(people))
        event = replace(
            mail(1, one),
            id=two,
            account=three,
            mailbox=two,
            message_id=three,
            sender=crowd,
            to=crowd,
        )
        for each in (event, replace(account_state(one, two, three), remedy=one, mailbox=two)):
            copy = copy_of(each)
            self.assertLessEqual(len(copy.line), SENT_LINE_BYTES)
            self.assertLessEqual(len(copy.plain), PLAIN_LINE_BYTES)
            self.assertEqual(announced(copy).entry.seq, 1)
            self.assertEqual(copy.line, copy_of(each).line)
