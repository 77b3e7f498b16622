"""Guessing is slow for whoever guesses, and for nobody else."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.throttle import (
    _MOST_ADDRESSES,
    DELAYS_SECONDS,
    FORGET_SECONDS,
    MOST_TRIES,
    WINDOW_SECONDS,
    Throttle,
)


class ThrottleTests(SynchronousTestCase):
    """`Throttle`, with any time one likes."""

    def setUp(self) -> None:
        self.throttle = Throttle()

    def tries(self, address: str, count: int, now: float) -> int:
        """How many of so many attempts may reach the hash."""
        return sum(self.throttle.may_try(address, now) for _ in range(count))

    def test_ten_in_a_minute(self) -> None:
        """No window of a minute, wherever it begins, has more than ten."""
        moments = [tenth / 10 for tenth in range(3000)]
        granted = [each for each in moments if self.throttle.may_try("192.0.2.1", each)]
        self.assertEqual(len(granted), 50)
        for begin in granted:
            within = [each for each in granted if begin <= each < begin + WINDOW_SECONDS]
            self.assertLessEqual(len(within), MOST_TRIES)

    def test_others_are_not_affected(self) -> None:
        """However much one address fails, another has all its attempts."""
        self.assertEqual(self.tries("192.0.2.1", 1000, 0), 10)
        self.assertEqual(self.tries("192.0.2.2", 1000, 0), 10)

    def test_a_network_of_ipv6_is_one(self) -> None:
        """Who owns a /64 has as many attempts as who owns one address."""
        self.assertEqual(
            sum(self.throttle.may_try(f"2001:db8:1:2::{n:x}", 0) for n in range(1, 500)), 10
        )
        self.assertTrue(self.throttle.may_try("2001:db8:1:3::1", 0))
        self.assertEqual(self.tries("::ffff:192.0.2.1", 10, 0), 10)
        self.assertFalse(self.throttle.may_try("192.0.2.1", 0))
        self.assertEqual(self.tries("fe80::1%eth0", 11, 0), 10)
        self.assertEqual(self.tries("no address", 11, 0), 10)

    def test_this_machine_is_one(self) -> None:
        """Loopback has sixteen million addresses, and every user of the machine has them."""
        places = [*(f"127.0.{n}.1" for n in range(20)), "::1", "::ffff:127.9.9.9"]
        self.assertEqual(sum(self.throttle.may_try(each, 0) for each in places), 10)

    def test_success_is_no_attempt(self) -> None:
        """Fifty clients behind one address, all with right tokens, are all let in."""
        for _ in range(50):
            self.assertTrue(self.throttle.may_try("192.0.2.1", 0))
            self.throttle.succeeded("192.0.2.1")
        self.throttle.succeeded("192.0.2.9")  # who never tried

    def test_delays_grow_and_are_forgotten(self) -> None:
        """2, 4, 8, 15, 15 seconds; after a quarter of an hour of peace from the start."""
        delays = [self.throttle.failed("192.0.2.1", n) for n in range(6)]
        self.assertEqual(delays, [*DELAYS_SECONDS, 15.0, 15.0])
        self.assertEqual(self.throttle.failed("192.0.2.2", 6), 2.0)
        self.assertEqual(self.throttle.failed("192.0.2.1", 5 + FORGET_SECONDS), 15.0)
        self.assertEqual(self.throttle.failed("192.0.2.1", 2 * FORGET_SECONDS + 6), 2.0)

    def test_memory_is_bounded(self) -> None:
        """A botnet costs some megabytes; the latest are remembered."""
        for n in range(2 * _MOST_ADDRESSES):
            self.throttle.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0)
        self.assertEqual(len(self.throttle._records), _MOST_ADDRESSES)
        last = 2 * _MOST_ADDRESSES - 1
        self.assertEqual(self.throttle.failed(f"10.0.{last >> 8 & 255}.{last & 255}", 0), 4.0)
