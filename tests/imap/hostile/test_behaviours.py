"""Every behaviour of every kind of server, one test each."""

from __future__ import annotations

import re
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.hostile import (
    of_idle,
    of_long_times,
    of_manners,
    of_providers,
    of_the_door,
    of_the_fetch,
    of_the_login,
    of_the_mailbox,
    of_the_names,
)
from tests.imap.hostile.simulation import Behaviour, World

LEAST_SECONDS_BETWEEN = 0.5
"""Between two attempts to connect, whatever happened: half of the first delay."""


class Played(SynchronousTestCase):
    """What every behaviour is held to."""

    def hold(self, behaviour: Behaviour) -> None:
        world = World(behaviour)
        outcome = world.play()
        told = [subject for subject, _ in outcome.journalled]
        expected = list(world.arrived) if behaviour.subjects is None else [*behaviour.subjects]
        self.assertEqual(told, [] if behaviour.is_blind else expected, outcome.complaints)
        for subject, at in outcome.journalled:
            late = at - world.arrived.get(subject, at)
            self.assertLessEqual(late, behaviour.late_seconds, f"{subject} came late")
        self.assertEqual(outcome.failures, [])
        self.assertEqual(outcome.left_over, 0, "timers are left")
        self.assertEqual(outcome.leaks, 0, "the password was sent over an unverified channel")
        self.hold_attempts(behaviour, outcome.attempts, outcome.logins)
        self.assertIn(behaviour.complaint, outcome.complaints)
        if behaviour.commands is not None:
            self.assertLessEqual(outcome.commands, behaviour.commands)
        if behaviour.states is not None:
            self.assertEqual(outcome.states, behaviour.states)
        self.assertLess(outcome.slowest_seconds, behaviour.turn_seconds)
        self.assertLess(outcome.growth_bytes, behaviour.growth_bytes)

    def hold_attempts(self, behaviour: Behaviour, attempts: list[float], logins: int) -> None:
        self.assertLessEqual(len(attempts), behaviour.connections, attempts)
        self.assertGreaterEqual(len(attempts), 1)
        gaps = [later - earlier for earlier, later in pairwise(attempts)]
        self.assertGreaterEqual(min(gaps, default=1.0), LEAST_SECONDS_BETWEEN, attempts)
        most = len(attempts) if behaviour.logins is None else behaviour.logins
        self.assertLessEqual(logins, most, "the password was sent too often")


def _tests_of(module: object, behaviours: tuple[Behaviour, ...]) -> type[SynchronousTestCase]:
    """A test case with a test for each behaviour."""
    tests = {}
    for behaviour in behaviours:
        name = "test_" + re.sub(r"\W+", "_", behaviour.name.lower()).strip("_")
        assert name not in tests, name

        def test(self: Played, behaviour: Behaviour = behaviour) -> None:
            self.hold(behaviour)

        test.__name__, test.__doc__ = name, f"{behaviour.name} ({behaviour.seen})."
        tests[name] = test
    return type(Played.__name__, (Played,), {"__doc__": module.__doc__, **tests})


DoorTests = _tests_of(of_the_door, of_the_door.BEHAVIOURS)
LoginTests = _tests_of(of_the_login, of_the_login.BEHAVIOURS)
MailboxTests = _tests_of(of_the_mailbox, of_the_mailbox.BEHAVIOURS)
FetchTests = _tests_of(of_the_fetch, of_the_fetch.BEHAVIOURS)
IdleTests = _tests_of(of_idle, of_idle.BEHAVIOURS)
MannersTests = _tests_of(of_manners, of_manners.BEHAVIOURS)
ProviderTests = _tests_of(of_providers, of_providers.BEHAVIOURS)
NameTests = _tests_of(of_the_names, of_the_names.BEHAVIOURS)
LongTests = _tests_of(of_long_times, of_long_times.BEHAVIOURS)
