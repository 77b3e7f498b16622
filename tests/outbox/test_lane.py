"""Tests of `mailnotify.outbox.lane`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.outbox.lane import BATCH, FIRST_BATCH, Lane, Route
from mailnotify.outbox.verdict import Trouble

TIMING = Timing(first_retry_seconds=1, longest_retry_seconds=8, denied_retry_seconds=900)


def lane(per_minute: float = 0.0) -> Lane:
    """An account with two connections, without chance."""
    route = Route(account="home", timing=TIMING, connections=2, letters_per_minute=per_minute)
    return Lane(route, lambda: 1 - 2**-53)


class LaneTests(SynchronousTestCase):
    """How fast an account sends, and when it rests."""

    def test_connections(self) -> None:
        """Each connection takes a batch; there are no more of them than configured."""
        one = lane()
        self.assertEqual(one.room(0), FIRST_BATCH)
        self.assertEqual((one.room(0, 32), one.room(0, 1000)), (32, BATCH))
        one.busy = 2
        self.assertEqual(one.room(0), 0)

    def test_rate(self) -> None:
        """With six letters a minute one goes every ten seconds, whatever the connections."""
        one = lane(per_minute=6)
        self.assertEqual(one.room(100), 1)
        one.went(100)
        self.assertEqual((one.room(109.9), one.room(110)), (0, 1))
        self.assertEqual(one.opens_at(105), 110)
        one.went(150)
        self.assertEqual(one.opens_at(150), 160)

    def test_rests(self) -> None:
        """Without a connection the pauses double up to a bound; a letter that went ends them."""
        one = lane()
        rests = [round(one.heard(Trouble.CONNECTION, 0)) for _ in range(5)]
        self.assertEqual(rests, [1, 2, 4, 8, 8])
        self.assertEqual((one.room(7.9), one.room(8.0)), (0, FIRST_BATCH))
        self.assertFalse(one.may_go_on(7.9))
        self.assertEqual(one.heard(Trouble.NONE, 9), 0)
        self.assertEqual(round(one.heard(Trouble.CONNECTION, 9)), 1)

    def test_denied(self) -> None:
        """A refused login is repeated rarely, so that nothing gets locked."""
        one = lane()
        self.assertEqual(round(one.heard(Trouble.DENIED, 0)), 900)
        self.assertEqual(round(one.opens_at(5)), 900)

    def test_woken(self) -> None:
        """A person who has mended something need not wait."""
        one = lane()
        one.heard(Trouble.DENIED, 0)
        one.wake()
        self.assertEqual(one.room(1), FIRST_BATCH)
