"""The logins of one account."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.errors import LoginDeferred, LoginDenied, NotConnected
from mailnotify.watching.gate import LoginGate

DENIED = LoginDenied(peer="p", user="ada", said="no", advice="do this")
DEFERRED = LoginDeferred(peer="p", user="ada", said="later")


class GateTests(SynchronousTestCase):
    """`LoginGate.enter`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.gate = LoginGate(Timing(), jitter=lambda: 1.0, clock=self.clock)
        self.attempts: list[Deferred[str]] = []

    def enter(self) -> Deferred[str]:
        async def attempt() -> str:
            self.attempts.append(Deferred())
            return await self.attempts[-1]

        return Deferred.fromCoroutine(self.gate.enter(attempt))

    def end(self, result: str | Exception) -> None:
        """The attempt that is under way ends like this."""
        if isinstance(result, Exception):
            self.attempts[-1].errback(result)
        else:
            self.attempts[-1].callback(result)

    def retry_seconds(self, error: LoginDenied | LoginDeferred) -> float | None:
        """Try once, end like this; how long to wait now."""
        entered = self.enter()
        self.end(error)
        found = self.failureResultOf(entered, type(error)).value
        assert isinstance(found, LoginDenied | LoginDeferred)
        return found.retry_seconds

    def test_through(self) -> None:
        """A login that works is let through."""
        entered = self.enter()
        self.end("session")
        self.assertEqual(self.successResultOf(entered), "session")

    def test_one_wrong_password_is_one_attempt(self) -> None:
        """Ten mailboxes with a wrong password make one attempt, and all know why."""
        entered = [self.enter() for _ in range(10)]
        self.assertEqual(len(self.attempts), 1)
        self.end(DENIED)
        for each in entered:
            error = self.failureResultOf(each, LoginDenied).value
            assert isinstance(error, LoginDenied)
            self.assertEqual((error.said, error.advice), ("no", "do this"))
            self.assertEqual(error.retry_seconds, 900.0)
        self.assertEqual(len(self.attempts), 1)

    def test_closed(self) -> None:
        """Until the delay is over nobody connects; then one does."""
        self.retry_seconds(DENIED)
        self.clock.advance(899)
        error = self.failureResultOf(self.enter(), LoginDenied).value
        assert isinstance(error, LoginDenied)
        self.assertEqual(error.retry_seconds, 1.0)
        self.clock.advance(1)
        entered = [self.enter() for _ in range(3)]
        self.assertEqual(len(self.attempts), 2)
        self.end("session")
        self.assertEqual(self.successResultOf(entered[0]), "session")
        self.assertEqual(len(self.attempts), 4)

    def test_delays_grow(self) -> None:
        """Each refusal doubles the delay, up to hours; a login that works forgets them."""
        found = []
        for _ in range(7):
            found.append(self.retry_seconds(DENIED))
            self.clock.advance(21600)
        self.assertEqual(found, [900, 1800, 3600, 7200, 14400, 21600, 21600])
        self.enter()
        self.end("session")
        self.assertEqual(self.retry_seconds(DENIED), 900)

    def test_not_now(self) -> None:
        """A server that cannot judge is waited for with patience, and never for hours."""
        found = []
        for _ in range(9):
            found.append(self.retry_seconds(DEFERRED))
            self.clock.advance(900)
        self.assertEqual(found[:4], [10, 20, 40, 80])
        self.assertEqual(found[-1], 900)

    def test_too_many_connections(self) -> None:
        """That says nothing of the login: others, and those who give up one, are let through."""
        crowded = LoginDeferred(peer="p", user="ada", said="Too many simultaneous connections")
        self.assertIsNone(self.retry_seconds(crowded))
        entered = self.enter()
        self.end("session")
        self.assertEqual(self.successResultOf(entered), "session")

    def test_suggested_pause(self) -> None:
        """A server that says how long is given so long, and at least our own patience."""
        asks = LoginDeferred(peer="p", user="ada", said="later", retry_seconds=299.0)
        self.assertEqual(self.retry_seconds(asks), 299.0)
        self.clock.advance(299.0)
        hasty = LoginDeferred(peer="p", user="ada", said="later", retry_seconds=0.001)
        self.assertEqual(self.retry_seconds(hasty), 20.0)

    def test_in_parallel_once_proved(self) -> None:
        """After one login that worked, the others need not wait for one another."""
        self.enter()
        self.end("session")
        for _ in range(3):
            self.enter()
        self.assertEqual(len(self.attempts), 4)

    def test_denied_together(self) -> None:
        """Several that were under way when the password changed count as one refusal."""
        self.enter()
        self.end("session")
        entered = [self.enter() for _ in range(3)]
        for attempt in self.attempts[1:]:
            attempt.errback(DENIED)
        for each in entered:
            error = self.failureResultOf(each, LoginDenied).value
            assert isinstance(error, LoginDenied)
            self.assertEqual(error.retry_seconds, 900.0)
        self.clock.advance(900)
        self.assertEqual(self.retry_seconds(DENIED), 1800)

    def test_network_failures(self) -> None:
        """A connection that fails says nothing of the login: the next one tries."""
        first, second = self.enter(), self.enter()
        self.end(NotConnected(peer="p", reason="no"))
        self.failureResultOf(first, NotConnected)
        self.assertEqual(len(self.attempts), 2)
        self.end("session")
        self.assertEqual(self.successResultOf(second), "session")

    def test_leaving(self) -> None:
        """A watcher that is stopped while it waits holds nobody up."""
        first, second, third = self.enter(), self.enter(), self.enter()
        second.cancel()
        self.failureResultOf(second)
        first.cancel()
        self.failureResultOf(first)
        self.assertEqual(len(self.attempts), 2)
        self.end("session")
        self.assertEqual(self.successResultOf(third), "session")
