"""Tests of `mailnotify.watching.turnstile`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.watching.turnstile import SPREAD_SECONDS, Turnstile


class TurnstileTests(SynchronousTestCase):
    """Two at a host, five in all."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turnstile = Turnstile(per_host=2, in_all=5, jitter=lambda: 0.5, clock=self.clock)
        self.under_way: list[tuple[str, Deferred[str]]] = []
        self.most = 0

    def begin(self, host: str) -> Deferred[str]:
        """An attempt that ends when the test says so."""

        async def attempt() -> str:
            ending: Deferred[str] = Deferred()
            entry = (host, ending)
            self.under_way.append(entry)
            self.most = max(self.most, len(self.under_way))
            try:
                return await ending
            finally:
                self.under_way.remove(entry)

        result = Deferred.fromCoroutine(self.turnstile.enter(host, attempt))
        self.addCleanup(self._give_up, result)
        return result

    def _give_up(self, result: Deferred[str]) -> None:
        """Leave no attempt to the collector: closing one would let in another that is closed."""
        result.addErrback(lambda _: None)
        result.cancel()

    def end(self, index: int = 0) -> None:
        """The attempt that began first (of those under way) ends; who follows may begin."""
        self.under_way[index][1].callback("done")
        self.clock.advance(SPREAD_SECONDS)

    def hosts(self) -> list[str]:
        return [host for host, _ in self.under_way]

    def test_one_host(self) -> None:
        """Two are under way, the third begins when one of them ends."""
        results = [self.begin("a") for _ in range(4)]
        self.assertEqual(self.hosts(), ["a", "a"])
        self.end()
        self.assertEqual(self.successResultOf(results[0]), "done")
        self.assertNoResult(results[2])
        self.assertEqual(self.hosts(), ["a", "a"])

    def test_in_all(self) -> None:
        """However many hosts there are, no more than five."""
        for number in range(20):
            self.begin(f"host{number}")
        self.assertEqual(len(self.under_way), 5)
        while self.under_way:
            self.end()
        self.assertEqual(self.most, 5)

    def test_hosts_take_turns(self) -> None:
        """A host with many accounts holds up nobody: the others come in between."""
        self.turnstile = Turnstile(per_host=2, in_all=1, jitter=lambda: 0.0, clock=self.clock)
        for host in "aaaabc":
            self.begin(host)
        order = []
        while self.under_way:
            order += self.hosts()
            self.end()
        self.assertEqual("".join(order), "aabcaa")

    def test_first_come_first_served(self) -> None:
        """Within a host the order is that of arrival, and nobody overtakes the queue."""
        results = [self.begin("a") for _ in range(5)]
        self.end()
        results.append(self.begin("a"))
        done = []
        for number, result in enumerate(results):
            result.addCallback(lambda _, number=number: done.append(number))
        while self.under_way:
            self.end()
        self.assertEqual(done, [0, 1, 2, 3, 4, 5])

    def test_who_waited_begins_a_little_later(self) -> None:
        """By chance, so that those who were let in together do not begin together."""
        for _ in range(3):
            self.begin("a")
        self.under_way[0][1].callback("done")
        self.assertEqual(len(self.under_way), 1)
        self.clock.advance(SPREAD_SECONDS / 2)
        self.assertEqual(len(self.under_way), 2)

    def test_a_failed_attempt_makes_room(self) -> None:
        """Its error goes to who made it."""
        first, _, third = (self.begin("a") for _ in range(3))
        self.under_way[0][1].errback(ZeroDivisionError())
        self.clock.advance(SPREAD_SECONDS)
        self.failureResultOf(first, ZeroDivisionError)
        self.assertEqual(len(self.under_way), 2)
        self.assertNoResult(third)

    def test_cancelled_in_the_queue(self) -> None:
        """It leaves the queue, and takes nobody's place."""
        results = [self.begin("a") for _ in range(4)]
        results[2].cancel()
        self.failureResultOf(results[2], CancelledError)
        self.end()
        self.end()
        self.end()
        self.assertEqual(self.successResultOf(results[3]), "done")
        self.assertEqual(self.hosts(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_as_the_last_of_its_host(self) -> None:
        """A host whose queue has become empty has no turn."""
        for _ in range(2):
            self.begin("a")
        waiting = self.begin("a")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.end()
        self.end()
        self.begin("a")
        self.assertEqual(self.hosts(), ["a"])

    def test_cancelled_between_turn_and_attempt(self) -> None:
        """Its place goes to the next."""
        results = [self.begin("a") for _ in range(4)]
        self.under_way[0][1].callback("done")
        results[2].cancel()
        self.failureResultOf(results[2], CancelledError)
        self.clock.advance(SPREAD_SECONDS)
        self.assertEqual(len(self.under_way), 2)

    def test_cancelled_inside(self) -> None:
        """The attempt is cancelled, and its place is free."""
        results = [self.begin("a") for _ in range(3)]
        results[0].cancel()
        self.failureResultOf(results[0], CancelledError)
        self.clock.advance(SPREAD_SECONDS)
        self.assertEqual(len(self.under_way), 2)

    def test_a_thousand_accounts(self) -> None:
        """All of them get through, never more than two at their host together."""
        results = [self.begin("a") for _ in range(1000)]
        while self.under_way:
            self.end()
        self.assertEqual([self.successResultOf(each) for each in results], ["done"] * 1000)
        self.assertEqual(self.most, 2)
