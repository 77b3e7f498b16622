"""A reader sees what he picks, and nothing else."""

from __future__ import annotations

from hypothesis import given, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.pick import Pick
from tests.sinks.fakes import blind, mail

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


class PickTests(SynchronousTestCase):
    """`Pick.wants`."""

    def test_everything(self) -> None:
        """Who picks nothing gets all."""
        for event in (mail(), blind()):
            self.assertTrue(Pick().wants(event))

    def test_sender(self) -> None:
        """A part of the name or of the address, in capitals or not."""
        for part in ("ann", "ANN <", "@Example.org", "ann@"):
            self.assertTrue(Pick(senders=("bob", part)).wants(mail()), part)
        for part in ("bob", "Lunch"):
            self.assertFalse(Pick(senders=(part,)).wants(mail()), part)
        self.assertFalse(Pick(senders=("ann",)).wants(mail("x", "", "")))

    def test_words(self) -> None:
        """A part of the subject or of the first words of the text."""
        event = structs.replace(mail("Straße"), preview="See you at NOON.")
        for part in ("STRASSE", "noon"):
            self.assertTrue(Pick(words=(part,)).wants(event), part)
        self.assertFalse(Pick(words=("ann",)).wants(event))

    def test_both(self) -> None:
        """What is asked for in two ways has to be so in both."""
        self.assertTrue(Pick(senders=("ann",), words=("lunch",)).wants(mail()))
        self.assertFalse(Pick(senders=("bob",), words=("lunch",)).wants(mail()))

    def test_a_state(self) -> None:
        """It has no sender and no subject, so it is not what was asked for."""
        self.assertFalse(Pick(words=("blind",)).wants(blind()))

    @given(texts, texts, texts)
    def test_any_part(self, before: str, part: str, after: str) -> None:
        """Whatever stands in a subject finds it."""
        self.assertTrue(Pick(words=(part,)).wants(mail(before + part + after)))
