"""Tests of `mailnotify.core.slumber`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.slumber import LEAST_SECONDS, Slumber


class SlumberTests(SynchronousTestCase):
    """Two clocks, of which one stands still in a sleep."""

    def test_awake(self) -> None:
        """Time that passes on both is no sleep, however much it is."""
        slumber = Slumber(10, 1010)
        self.assertEqual(slumber.slept(13, 1013), 0)
        self.assertEqual(slumber.slept(9999, 10999), 0)

    def test_each_sleep_counts_once(self) -> None:
        """An hour asleep is told at the next look, and not at the one after it."""
        slumber = Slumber(10, 10)
        self.assertEqual(slumber.slept(13, 3613), 3600)
        self.assertEqual(slumber.slept(16, 3616), 0)
        self.assertEqual(slumber.slept(19, 3719), 100)

    def test_a_nap_does_not_count(self) -> None:
        """What no connection can have died of is left alone."""
        slumber = Slumber(0, 0)
        self.assertEqual(slumber.slept(3, 3 + LEAST_SECONDS * 0.9), 0)
        self.assertEqual(slumber.slept(6, 6 + LEAST_SECONDS * 2), LEAST_SECONDS * 1.1)
