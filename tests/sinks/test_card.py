"""What stands in a notification, and what never does."""

from __future__ import annotations

import unicodedata

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.sinks.card import BODY_UNITS, TITLE_UNITS, Card, card, card_of_more
from tests.sinks.fakes import blind, mail

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=400)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


class CardTests(SynchronousTestCase):
    """`card` and `card_of_more`."""

    def test_names_sender_subject_and_place(self) -> None:
        """A notification says who wrote what, and where it lies."""
        self.assertEqual(card(mail()), Card(title="Ann", body="Lunch? [home/INBOX]"))

    def test_address_without_a_name(self) -> None:
        """Who has no name is shown by the address."""
        self.assertEqual(card(mail(sender="")).title, "ann@example.org")

    def test_first_sender_that_can_be_shown(self) -> None:
        """A message from nobody is still announced."""
        self.assertEqual(card(mail(sender="", address="")).title, "New mail")

    def test_no_subject(self) -> None:
        """A message without a subject says so."""
        self.assertEqual(card(mail(subject="\x1b\u202e")).body, "(no subject) [home/INBOX]")

    def test_blind_account(self) -> None:
        """An account that went blind is told with its cause and its remedy."""
        shown = card(blind())
        self.assertEqual(shown.title, "blind: home/INBOX")
        self.assertEqual(shown.body, "no connection Check the network.")

    def test_connected_account(self) -> None:
        """A state without a cause still makes a body: some daemons refuse an empty one."""
        self.assertEqual(card(blind(cause="", remedy="")).body, "blind.")

    def test_option_is_no_option(self) -> None:
        """A sender called --wait cannot become an option of notify-send."""
        shown = card(mail(sender="--wait", subject="--icon=/etc/passwd"))
        self.assertEqual(shown.title, " --wait")
        self.assertEqual(shown.body, " --icon=/etc/passwd [home/INBOX]")

    def test_long_subject_keeps_its_place(self) -> None:
        """A long subject is cut before the name of the mailbox, not after."""
        body = card(mail(subject="x" * 5000)).body
        self.assertTrue(body.endswith("x… [home/INBOX]"), body)
        self.assertLessEqual(units(body), BODY_UNITS)

    def test_long_text_of_two_units_a_character(self) -> None:
        """Letters that take two UTF-16 units are never cut in half."""
        shown = card(mail(sender="😀" * 100, subject="😀" * 500))
        self.assertEqual(shown.title, "😀" * 29 + "…")
        self.assertLessEqual(units(shown.body), BODY_UNITS)

    def test_more(self) -> None:
        """A burst is summed up."""
        self.assertEqual(card_of_more(37).body, "and 37 more messages")
        self.assertEqual(card_of_more(1).body, "and 1 more message")

    @given(subject=ANYTHING, sender=ANYTHING, address=ANYTHING)
    def test_any_mail(self, subject: str, sender: str, address: str) -> None:
        """Whatever stands in a mail, its card keeps every rule of the desktop."""
        self.assert_safe(card(mail(subject, sender, address)))

    @given(cause=ANYTHING, remedy=ANYTHING)
    def test_any_state(self, cause: str, remedy: str) -> None:
        """Whatever a server said, the card of the account keeps every rule too."""
        self.assert_safe(card(blind(cause, remedy)))

    def assert_safe(self, shown: Card) -> None:
        for text, most_units in ((shown.title, TITLE_UNITS), (shown.body, BODY_UNITS)):
            self.assertTrue(text.strip())
            self.assertFalse(text.startswith("-"))
            self.assertLessEqual(units(text), most_units)
            unsafe = [each for each in text if unicodedata.category(each) in ("Cc", "Cs", "Zl")]
            self.assertEqual(unsafe, [])
            self.assertFalse(set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2069"))
