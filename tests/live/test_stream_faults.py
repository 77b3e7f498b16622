"""Kills, a hostile crowd, and a damaged journal: nothing lost, nobody disturbed.

These are small; ``python -m benchmarks.faults`` runs the same in full size.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.live.journal_damage import Specimen, Wound
from tests.live.stream_faults import besiege, kill_under_load

WOUNDS = 60
MOST_GROWTH_BYTES = 50_000_000


class KillTests(SynchronousTestCase):
    """The process is gone from one moment to the next, again and again."""

    def test_ten_kills_before_ten_readers(self) -> None:
        """Each reader, coming back each time, has every letter once and in order."""
        killed = kill_under_load(10, 10)
        self.assertGreater(killed.letters, 20, "there was no load")


class SiegeTests(SynchronousTestCase):
    """Hostile connections beside honest ones."""

    def test_five_hundred_beside_fifty(self) -> None:
        """Honest readers get all in time, the hostile are cut, and memory stays bounded."""
        siege = besiege(Path(self.mktemp()).absolute(), 500, 50)
        self.assertLess(siege.rss_peak_bytes - siege.rss_before_bytes, MOST_GROWTH_BYTES)


class DamageTests(SynchronousTestCase):
    """A journal that was damaged while nobody looked."""

    def specimen(self, *, is_clean: bool) -> Specimen:
        return Specimen(Path(self.mktemp()), is_clean=is_clean)

    def test_after_a_clean_stop(self) -> None:
        """Whatever is damaged: unchanged, or a new epoch, and every reader is told."""
        self._wound(self.specimen(is_clean=True))

    def test_after_a_kill(self) -> None:
        """The same with a write-ahead log: entries that it loses are a new epoch."""
        self._wound(self.specimen(is_clean=False))

    def test_text_that_is_none(self) -> None:
        """A bit that makes text undecodable is damage, not a reason to fail at every start."""
        specimen = self.specimen(is_clean=True)
        place = specimen.find(b'"account":"home"')
        self.assertEqual(specimen.outcome(Wound("", place, 7)), "quarantined")

    def test_a_name_that_is_none(self) -> None:
        """The same in the schema, where SQLite's own complaint cannot be decoded."""
        specimen = self.specimen(is_clean=True)
        for name in (b"tablecursors", b"CREATE TABLE entries"):
            place = specimen.find(name)
            for offset in range(len(name)):
                wound = Wound("", place + offset, 7)
                self.assertEqual(specimen.outcome(wound), "quarantined", wound)

    def test_a_log_without_its_end(self) -> None:
        """A tail that is gone loses entries that were told: the epoch is new, never the same."""
        specimen = self.specimen(is_clean=False)
        self.assertEqual(specimen.outcome(Wound("-wal", specimen.size("-wal") // 2, None)), "epoch")

    def _wound(self, specimen: Specimen) -> None:
        self.assertEqual(specimen.outcome(None), "unchanged")
        wounds = specimen.wounds(random.Random(5050), WOUNDS // 2)
        outcomes = Counter(map(specimen.outcome, wounds))
        self.assertGreater(outcomes["quarantined"], 0, outcomes)
        self.assertGreater(outcomes["epoch"], 0, outcomes)
