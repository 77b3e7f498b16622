"""Tests of `mailnotify.taps.waking`."""

from __future__ import annotations

import random
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.taps.waking import (
    LONGEST_STAGGER_SECONDS,
    LOOK_SECONDS,
    STAGGER_SECONDS,
    Waking,
    read_clocks,
)


class WakingTests(SynchronousTestCase):
    """A machine that sleeps when the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.slept = 0.0
        self.checked: list[tuple[int, float]] = []

    def clocks(self) -> tuple[float, float]:
        return self.clock.seconds(), self.clock.seconds() + self.slept

    def waking(self, count: int = 2, jitter: object = None) -> Waking:
        checks = [self.check(number) for number in range(count)]
        chance = random.Random(1).random if jitter is None else jitter
        waking = Waking(checks, clocks=self.clocks, clock=self.clock, jitter=chance)
        waking.startService()
        return waking

    def check(self, number: int) -> object:
        return lambda: self.checked.append((number, self.clock.seconds()))

    def pass_by(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds * 100))

    def test_awake(self) -> None:
        """Nothing is checked while the machine is awake."""
        self.waking()
        self.clock.pump([LOOK_SECONDS] * 1000)
        self.assertEqual(self.checked, [])

    def test_after_a_sleep(self) -> None:
        """Everybody is checked once, within seconds of waking, and not all together."""
        self.waking(count=100)
        self.pass_by(10)
        self.slept += 3600
        woken_at = self.clock.seconds()
        self.pass_by(60)
        self.assertEqual(sorted(number for number, _ in self.checked), list(range(100)))
        times = [at for _, at in self.checked]
        self.assertLess(max(times), woken_at + LOOK_SECONDS + 100 * STAGGER_SECONDS + 0.1)
        self.assertGreater(len(set(times)), 50)

    def test_thousands(self) -> None:
        """However many there are, it does not take for ever."""
        self.waking(count=1000, jitter=lambda: 0.999)
        self.slept += 60
        self.pass_by(LOOK_SECONDS + LONGEST_STAGGER_SECONDS + 0.1)
        self.assertEqual(len(self.checked), 1000)

    def test_a_second_sleep_begins_anew(self) -> None:
        """Who was not checked yet is checked after the second, and only then."""
        self.waking(count=1000, jitter=lambda: 0.999)
        self.slept += 60
        self.pass_by(LOOK_SECONDS + 0.1)
        self.slept += 60
        self.pass_by(LOOK_SECONDS + LONGEST_STAGGER_SECONDS + 0.1)
        self.assertEqual(len(self.checked), 1000)

    def test_stopped(self) -> None:
        """No timer and no check is left."""
        waking = self.waking(count=100, jitter=lambda: 0.999)
        self.slept += 60
        self.pass_by(LOOK_SECONDS + 0.1)
        self.assertTrue(self.clock.getDelayedCalls())
        waking.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_clocks_of_this_machine(self) -> None:
        """The first is the one that timers run on, and the second never goes slower."""
        before = time.monotonic()
        awake, always = read_clocks()
        again, later = read_clocks()
        self.assertLessEqual(before, awake)
        self.assertLessEqual(awake, again)
        self.assertLess(abs((later - again) - (always - awake)), 0.5)
