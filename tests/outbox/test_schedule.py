"""Tests of `mailnotify.outbox.schedule`."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.outbox.schedule import next_attempt
from tests.outbox.letters import DAYS, NOON


class ScheduleTests(SynchronousTestCase):
    """When a letter is tried again."""

    def test_the_delays_are_those_of_the_documents(self) -> None:
        """1, 5, 15 and 30 minutes, 1 and 2 hours, and then every 4 hours."""
        minutes = []
        for attempts in range(1, 10):
            due = next_attempt(NOON, attempts=attempts, expires=NOON + DAYS, chance=lambda: 0.0)
            assert due is not None
            minutes.append((due - NOON) // timedelta(minutes=1))
        self.assertEqual(minutes, [1, 5, 15, 30, 60, 120, 240, 240, 240])

    def test_a_letter_is_given_up_at_its_time(self) -> None:
        """The last attempt is made when the time is over, and none after it."""
        expires = NOON + timedelta(seconds=30)
        due = next_attempt(NOON, attempts=1, expires=expires, chance=lambda: 0.0)
        self.assertEqual(due, expires)
        self.assertIsNone(next_attempt(expires, attempts=2, expires=expires, chance=lambda: 0.0))

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
    def test_chance_only_hastens(self, attempts: int, chance: float) -> None:
        """A delay is spread over its last fifth and always lies ahead."""
        latest = next_attempt(NOON, attempts=attempts, expires=NOON + DAYS, chance=lambda: 0.0)
        due = next_attempt(NOON, attempts=attempts, expires=NOON + DAYS, chance=lambda: chance)
        assert latest is not None and due is not None
        self.assertLessEqual(due, latest)
        self.assertGreaterEqual((due - NOON) / (latest - NOON), 0.799)
