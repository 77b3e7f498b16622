"""Long work, and how long anybody has to wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.watching.turns import TURN_SECONDS, in_turns


class TurnsTests(SynchronousTestCase):
    """Items that take their time."""

    def setUp(self) -> None:
        self.clock = Clock()

    def made(self, count: int, seconds: float) -> Iterator[int]:
        """So many items that each take so long."""
        for number in range(count):
            self.clock.rightNow += seconds
            yield number

    def turns(self, count: int, seconds: float) -> list[float]:
        """How long each turn of the reactor took until all were made."""
        started = self.clock.seconds()
        making = Deferred.fromCoroutine(in_turns(self.made(count, seconds), self.clock))
        taken = [self.clock.seconds() - started]
        while not making.called:
            started = self.clock.seconds()
            (turn,) = self.clock.getDelayedCalls()  # `advance` would go on with those it brings
            self.clock.calls.remove(turn)
            turn.called = 1
            turn.func(*turn.args, **turn.kw)
            taken.append(self.clock.seconds() - started)
        self.assertEqual(self.successResultOf(making), list(range(count)))
        return taken

    def test_two_hundred_hostile_pages(self) -> None:
        """Nobody waits for more than one of them."""
        taken = self.turns(200, 0.026)
        self.assertEqual(len(taken), 201)
        self.assertLess(max(taken), 0.027)

    def test_usual_letters(self) -> None:
        """They are made together as far as the time goes."""
        taken = self.turns(1000, 0.00005)
        self.assertLess(max(taken), TURN_SECONDS + 0.0001)
        self.assertLess(len(taken), 15)

    def test_few(self) -> None:
        """What takes no time is made at once, unless it is very much."""
        self.assertEqual(self.turns(99, 0.0), [0.0])
        self.assertEqual(len(self.turns(500, 0.0)), 6)
        self.assertEqual(self.turns(0, 0.0), [0.0])

    def test_given_up(self) -> None:
        """Whoever is cancelled makes no more of them."""
        making = Deferred.fromCoroutine(in_turns(self.made(100, 0.02), self.clock))
        making.addErrback(lambda _: None)
        making.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
