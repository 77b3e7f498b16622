"""How many connections fit into what the system allows."""

from __future__ import annotations

import resource

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.taps.open_files import room_for


class System:
    """The limits of a system, in place of the module `resource`."""

    def __init__(self, soft: int, hard: int, *, is_stubborn: bool = False) -> None:
        self.limits = (soft, hard)
        self._is_stubborn = is_stubborn

    def getrlimit(self, _which: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        if self._is_stubborn:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits


class RoomTests(SynchronousTestCase):
    """Raising the limit of open files."""

    def setUp(self) -> None:
        self.warnings: list[object] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        if event["log_namespace"] == "mailnotify.taps.open_files":
            self.warnings.append(event["room"])

    def test_enough(self) -> None:
        """A limit that is high enough, or none at all, is left alone."""
        for soft in (20_000, resource.RLIM_INFINITY):
            system = System(soft, soft)
            self.assertEqual(room_for(10_000, system), 10_000)
            self.assertEqual(system.limits, (soft, soft))
        self.assertEqual(self.warnings, [])

    def test_raised(self) -> None:
        """A low soft limit is raised as far as needed; the hard one stays."""
        for hard in (524_288, resource.RLIM_INFINITY):
            system = System(1024, hard)
            self.assertEqual(room_for(10_000, system), 10_000)
            self.assertEqual(system.limits, (10_256, hard))
        self.assertEqual(self.warnings, [])

    def test_a_low_hard_limit(self) -> None:
        """Where the system does not allow it, fewer are taken, and the log says what to do."""
        system = System(1024, 4096)
        self.assertEqual(room_for(10_000, system), 3840)
        self.assertEqual(system.limits, (4096, 4096))
        self.assertEqual(self.warnings, [3840])

    def test_a_system_that_refuses(self) -> None:
        """A limit that cannot be changed is no reason not to start."""
        self.assertEqual(room_for(10_000, System(1024, 524_288, is_stubborn=True)), 768)
        self.assertEqual(room_for(10_000, System(100, 100)), 16)
        self.assertEqual(room_for(5, System(100, 100)), 5)
        self.assertEqual(self.warnings, [768, 16, 16])
