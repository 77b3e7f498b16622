"""Tests of `mailnotify.watching.chorus`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.watching.chorus import INTERVALS, MOST_NAMED, Chorus


class ChorusTests(SynchronousTestCase):
    """A thousand who say the same."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.chorus = Chorus(self.log, "{name}: {why}", "{count} more: {why}", clock=self.clock)

    def log(self, text: str, **fields: Any) -> None:
        self.said.append(text.format(**fields))

    def say(self, first: int, last: int, why: str = "no such host") -> None:
        for number in range(first, last + 1):
            self.chorus.say(why, name=f"a{number}", why=why)

    def take(self) -> list[str]:
        said, self.said = self.said, []
        return said

    def test_few_say_it_by_name(self) -> None:
        """As many as anybody reads; and later again."""
        self.say(1, MOST_NAMED)
        self.assertEqual(len(self.take()), MOST_NAMED)
        self.clock.advance(INTERVALS[0])
        self.assertEqual((self.take(), self.clock.getDelayedCalls()), ([], []))
        self.say(1, 1)
        self.assertEqual(self.take(), ["a1: no such host"])

    def test_many_are_counted(self) -> None:
        """Their number is said, ever more seldom."""
        self.say(1, 1000)
        self.assertEqual(self.take()[-1], f"a{MOST_NAMED}: no such host")
        self.clock.advance(INTERVALS[0])
        self.assertEqual(self.take(), [f"{1000 - MOST_NAMED} more: no such host"])
        for seconds in (*INTERVALS[1:], INTERVALS[-1]):
            self.say(1, 2)
            self.clock.advance(seconds - 1)
            self.assertEqual(self.take(), [])
            self.clock.advance(1)
            self.assertEqual(self.take(), ["2 more: no such host"])
        self.clock.advance(INTERVALS[-1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_troubles(self) -> None:
        """Who says something else says it by name."""
        self.say(1, 1000)
        self.take()
        self.say(1, 1, "wrong password")
        self.assertEqual(self.take(), ["a1: wrong password"])

    def test_end(self) -> None:
        """What is left is said, and no timer is."""
        self.say(1, MOST_NAMED + 2)
        self.take()
        self.chorus.stopService()
        self.assertEqual(self.take(), ["2 more: no such host"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
