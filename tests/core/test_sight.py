"""Tests of `mailnotify.core.sight`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.condition import BLIND, CONNECTED, DENIED, THROTTLED, Condition
from mailnotify.core.events import AccountState
from mailnotify.core.sight import RECONNECT_SECONDS, Bounds, Instant, Sight

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
NETWORK = Condition(state=BLIND, cause="no route", remedy="Look at the cable.")
WAIT = Condition(state=THROTTLED, cause="too many logins", remedy="Wait.")
REFUSED = Condition(state=DENIED, cause="wrong password", remedy="Correct it.")


def at(seconds: float) -> Instant:
    """So many seconds after the watching began."""
    return Instant(seconds=seconds, at=NOON + timedelta(seconds=seconds))


class SightCase(SynchronousTestCase):
    """One mailbox: 300 s in the dark are too long, 120 s of quiet are usual."""

    def setUp(self) -> None:
        self.events: list[AccountState] = []

    def sight(self, told: AccountState | None = None, blind_seconds: float = 300.0) -> Sight:
        bounds = Bounds(blind_seconds=blind_seconds, quiet_seconds=120.0)
        return Sight("home", "INBOX", bounds=bounds, now=at(0), told=told)

    def look(self, sight: Sight, seconds: float) -> str:
        """What is told at this time; empty if nothing is due."""
        event = sight.due(at(seconds))
        if event is None:
            return ""
        sight.told(event)
        self.events.append(event)
        return event.state


class TellingTests(SightCase):
    """When readers are told what."""

    def test_a_mailbox_that_is_seen_is_no_news(self) -> None:
        """Nobody was told otherwise, so the first proof says nothing."""
        sight = self.sight()
        self.assertEqual(self.look(sight, 1), "")
        sight.proved(at(2))
        self.assertEqual(self.look(sight, 2), "")
        self.assertEqual(sight.state, CONNECTED)

    def test_blind_after_the_bound(self) -> None:
        """Told when the bound is over, with the cause, the remedy and the last proof."""
        sight = self.sight()
        sight.proved(at(10))
        sight.failed(at(20), NETWORK)
        self.assertEqual(self.look(sight, 309.9), "")
        self.assertEqual(self.look(sight, 310), BLIND)
        expected = AccountState(
            account="home",
            mailbox="INBOX",
            state=BLIND,
            since=at(10).at,
            cause="no route",
            remedy="Look at the cable.",
        )
        self.assertEqual(self.events, [expected])

    def test_told_once(self) -> None:
        """Every further failure, whatever it is, is the same darkness."""
        sight = self.sight()
        for seconds in range(0, 4000, 7):
            sight.failed(at(seconds), Condition(state=BLIND, cause=f"no route at {seconds}"))
            self.look(sight, seconds)
        self.assertEqual([event.state for event in self.events], [BLIND])

    def test_seen_again(self) -> None:
        """The first proof in the dark is told at once, and has no cause."""
        sight = self.sight()
        sight.failed(at(0), NETWORK)
        self.look(sight, 300)
        sight.proved(at(400))
        self.assertEqual(self.look(sight, 400), CONNECTED)
        seen = self.events[-1]
        self.assertEqual((seen.since, seen.cause, seen.remedy), (at(400).at, "", ""))
        self.assertEqual(self.look(sight, 401), "")

    def test_a_short_failure_is_not_told(self) -> None:
        """A reconnect within the bound is nobody's business, and the bound begins anew."""
        sight = self.sight()
        for seconds in range(0, 3000, 250):
            sight.failed(at(seconds), NETWORK)
            self.assertEqual(self.look(sight, seconds + 249), "")
            sight.proved(at(seconds + 249))
        self.assertEqual(self.events, [])

    def test_a_rarely_polled_mailbox_has_time_to_reconnect(self) -> None:
        """The last proof may be older than the bound when the first failure comes."""
        sight = self.sight()
        sight.proved(at(0))
        sight.failed(at(3600), NETWORK)
        self.assertEqual(self.look(sight, 3600 + RECONNECT_SECONDS - 0.1), "")
        self.assertEqual(self.look(sight, 3600 + RECONNECT_SECONDS), BLIND)
        self.assertEqual(self.events[0].since, at(0).at)

    def test_a_short_bound_is_kept(self) -> None:
        """Who wants to know after two seconds is told after two seconds."""
        sight = self.sight(blind_seconds=2)
        sight.proved(at(100))
        sight.failed(at(100.5), NETWORK)
        self.assertEqual(self.look(sight, 102.4), "")
        self.assertEqual(self.look(sight, 102.5), BLIND)

    def test_silence_without_a_failure_is_noticed(self) -> None:
        """What hangs without a word is blind too, after a healthy server's longest quiet."""
        sight = self.sight(blind_seconds=2)
        sight.proved(at(0))
        self.assertEqual(self.look(sight, 119.9), "")
        self.assertEqual(self.look(sight, 120), BLIND)
        self.assertIn("nothing", self.events[0].cause)
        self.assertTrue(self.events[0].remedy)

    def test_never_seen_at_all(self) -> None:
        """A server that could not be reached since the start is blind since then."""
        sight = self.sight()
        sight.failed(at(5), NETWORK)
        self.assertEqual(self.look(sight, 300), BLIND)
        self.assertEqual(self.events[0].since, at(0).at)

    @given(st.lists(st.tuples(st.sampled_from("plfrd"), st.integers(0, 400)), max_size=12))
    def test_nothing_is_due_before_it_may_be(self, history: list[tuple[str, int]]) -> None:
        """Who looks no sooner than `due_at` misses nothing, whatever happened."""
        sight, seconds = self.sight(), 0
        troubles = {"f": NETWORK, "r": REFUSED}
        for what, later in history:
            if seconds + later < sight.due_at:
                self.assertIsNone(sight.due(at(seconds + later)))
            seconds += later
            if what == "p":
                sight.proved(at(seconds))
            elif what == "l":
                self.look(sight, seconds)
            elif what in troubles:
                sight.failed(at(seconds), troubles[what])


class WorseTests(SightCase):
    """Refused and throttled logins."""

    def test_denied_after_the_bound(self) -> None:
        """A wrong password is told as such, since the first refusal."""
        sight = self.sight()
        sight.failed(at(3), REFUSED)
        self.assertEqual(self.look(sight, 299), "")
        self.assertEqual(self.look(sight, 300), DENIED)
        told = self.events[0]
        self.assertEqual((told.since, told.cause), (at(3).at, "wrong password"))

    def test_dark_states_only_get_worse(self) -> None:
        """A refused login is still refused when the network fails: no to and fro."""
        sight = self.sight()
        troubles = [NETWORK, WAIT, NETWORK, REFUSED, WAIT, NETWORK, REFUSED]
        for number, trouble in enumerate(troubles):
            sight.failed(at(300 + number), trouble)
            self.look(sight, 400 + number)
        self.assertEqual([each.state for each in self.events], [BLIND, THROTTLED, DENIED])
        self.assertEqual(self.events[1].since, at(301).at)
        self.assertEqual(self.events[2].cause, "wrong password")

    def test_the_worst_is_told_with_its_own_cause(self) -> None:
        """Refused, then unreachable, all within the bound: the refusal is what counts."""
        sight = self.sight()
        sight.failed(at(1), REFUSED)
        sight.failed(at(2), NETWORK)
        self.look(sight, 300)
        self.assertEqual(
            [(each.state, each.cause) for each in self.events], [(DENIED, REFUSED.cause)]
        )
        self.assertEqual(sight.health().cause, "no route")

    def test_a_proof_forgives(self) -> None:
        """After a login that worked, the next darkness begins with blind."""
        sight = self.sight()
        sight.failed(at(0), REFUSED)
        sight.proved(at(10))
        sight.failed(at(20), NETWORK)
        self.assertEqual(self.look(sight, 320), BLIND)


class RestartTests(SightCase):
    """What was told in another life of the service."""

    def blind(self, state: str = BLIND) -> AccountState:
        return AccountState(account="home", mailbox="INBOX", state=state, since=NOON, cause="x")

    def test_seen_after_a_restart(self) -> None:
        """Readers who heard "blind" hear "connected", though this life never was blind."""
        sight = self.sight(told=self.blind())
        self.assertEqual(self.look(sight, 0), "")
        sight.proved(at(1))
        self.assertEqual(self.look(sight, 1), CONNECTED)

    def test_still_blind_after_a_restart(self) -> None:
        """It is not told again."""
        sight = self.sight(told=self.blind())
        sight.failed(at(1), NETWORK)
        self.assertEqual(self.look(sight, 10_000), "")
        self.assertEqual(sight.health().since, NOON)

    def test_denied_before_the_restart(self) -> None:
        """A network that fails now takes nothing back: the login is still refused."""
        sight = self.sight(told=self.blind(DENIED))
        sight.failed(at(1), NETWORK)
        self.assertEqual(self.look(sight, 10_000), "")
        self.assertEqual(sight.state, DENIED)

    def test_seen_before_the_restart(self) -> None:
        """Nothing is told until the new life has been in the dark for the whole bound."""
        sight = self.sight(told=self.blind(CONNECTED))
        sight.failed(at(1), NETWORK)
        self.assertEqual(self.look(sight, 299), "")
        self.assertEqual(self.look(sight, 300), BLIND)

    def test_a_state_of_a_newer_mailnotify(self) -> None:
        """A word that we do not know gives way to what we see."""
        sight = self.sight(told=self.blind("paused"))
        sight.proved(at(1))
        self.assertEqual(self.look(sight, 1), CONNECTED)
        sight = self.sight(told=self.blind("paused"))
        sight.failed(at(1), NETWORK)
        self.assertEqual(self.look(sight, 300), BLIND)

    def test_what_was_not_journalled_stays_due(self) -> None:
        """A full disk does not swallow the event."""
        sight = self.sight()
        sight.failed(at(0), NETWORK)
        self.assertIsNotNone(sight.due(at(300)))
        self.assertEqual(self.look(sight, 400), BLIND)


class HealthTests(SightCase):
    """What a health page shows."""

    def test_before_anything(self) -> None:
        """Nothing was proved, and nothing was told."""
        health = self.sight().health()
        self.assertEqual((health.state, health.since, health.last_proof), (CONNECTED, NOON, None))
        self.assertEqual((health.cause, health.checks, health.missed), ("", 0, 0))

    def test_trouble_is_shown_before_it_is_told(self) -> None:
        """The last proof, what is in the way now, and what the checks have found."""
        sight = self.sight()
        sight.proved(at(7))
        sight.failed(at(8), WAIT)
        sight.checks += 3
        sight.missed += 2
        health = sight.health()
        self.assertEqual(
            (health.account, health.mailbox, health.state), ("home", "INBOX", CONNECTED)
        )
        self.assertEqual(health.last_proof, at(7).at)
        self.assertEqual((health.cause, health.remedy), (WAIT.cause, WAIT.remedy))
        self.assertEqual((health.checks, health.missed), (3, 2))
