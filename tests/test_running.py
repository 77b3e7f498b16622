"""The tests of what runs the tests."""

from __future__ import annotations

import gc
import socket
import unittest
import warnings
from collections import Counter

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase

from tests.__main__ import closing_line, counts_in, modules
from tests.worker import swept


class ClosingTests(SynchronousTestCase):
    """One closing line for all processes."""

    def test_sums(self) -> None:
        """The numbers are added up; what is nought is not named."""
        parts = [counts_in("skips=1, successes=5"), counts_in("successes=7")]
        self.assertEqual(closing_line(list(parts)), "PASSED (skips=1, successes=12)")

    def test_one_failure(self) -> None:
        """One failure anywhere fails all."""
        parts = [counts_in("failures=1, successes=5"), counts_in("successes=7")]
        self.assertEqual(closing_line(list(parts)), "FAILED (failures=1, successes=12)")

    def test_a_process_without_a_word(self) -> None:
        """A process that ended too early is an error, and so is a run of nothing."""
        part = Counter(successes=5)
        self.assertEqual(closing_line([part, None]), "FAILED (errors=1, successes=5)")
        self.assertEqual(closing_line([Counter(), Counter()]), "FAILED ()")

    def test_names(self) -> None:
        """A package means its modules; those of real servers come first."""
        self.assertEqual(modules(["tests.test_running"]), ["tests.test_running"])
        self.assertIn("tests.core.test_wire", modules(["tests.core"]))
        self.assertTrue(modules(["tests"])[0].startswith("tests.live."))
        self.assertEqual(modules(["tests.cor"]), [])


class SweptTests(SynchronousTestCase):
    """What a test leaves to the garbage collector."""

    def errors(self, forgets: bool) -> list[str]:
        """The errors of a test that forgets a socket, or does not."""

        class Inner(SynchronousTestCase):
            def test(self) -> None:
                ring: list[object] = []
                ring.append(ring)
                with socket.socket() as closed:
                    ring.append(closed)
                if forgets:
                    ring.append(socket.socket())

        gc.collect()
        result = TestResult()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as in the Makefile
            swept(unittest.TestSuite([Inner("test")]))(result)
        self.assertEqual(result.testsRun, 1)
        return [str(failure) for _, failure in result.errors]

    def test_a_forgotten_socket(self) -> None:
        """It fails the test that has forgotten it, even in a circle of references."""
        self.assertEqual(self.errors(forgets=False), [])
        (said,) = self.errors(forgets=True)
        self.assertIn("unclosed <socket", said)
