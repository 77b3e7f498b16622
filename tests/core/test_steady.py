"""When the time of day may be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.steady import Steadiness

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class SteadinessTests(SynchronousTestCase):
    """`Steadiness`."""

    def test_looks(self) -> None:
        """Not at first; then while both clocks go on alike; not after a step of either kind."""
        steadiness = Steadiness()
        looks = [
            (0, 0, False),
            (3600, 3600, True),
            (7230, 7200, True),  # set right by half a minute
            (7230 + 86400, 7300, False),
            (7330 + 86400, 7400, True),
            (7430, 7500, False),
            (7430 - 315_360_000, 7500, False),
        ]
        for wall, passed, expected in looks:
            now = NOON + timedelta(seconds=wall)
            self.assertEqual(steadiness.holds(now, passed), expected, (wall, passed))
