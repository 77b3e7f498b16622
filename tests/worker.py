"""One of the processes that run the tests: ``python -m tests.worker FOLDER``.

The folder holds an empty file for each module that is still to be run, under its
name. Whoever gets to move the file away runs that module, so that all processes
are busy to the end, however long a module takes.

After each test all garbage is collected, so that what a test leaves behind is told
as its own error. What was imported is kept out of that: to go through all of it
twice for each of thousands of tests would take longer than the tests.
"""

from __future__ import annotations

import gc
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.python.failure import Failure
from twisted.trial import itrial
from twisted.trial._asyncrunner import TestDecorator, _ForceGarbageCollectionDecorator
from twisted.trial.reporter import VerboseTextReporter
from twisted.trial.runner import TestLoader, TrialRunner
from twisted.trial.unittest import decorate

WAITING, TAKEN = "waiting", "taken"


class Swept(TestDecorator):  # type: ignore[misc]
    """A test that also fails by what Python cannot raise: errors in a finaliser.

    With ``-W error`` a socket that nobody has closed is one.
    """

    def run(self, result: Any) -> None:
        failures: list[Failure] = []

        def keep(told: Any) -> None:
            failures.append(Failure(told.exc_value, told.exc_type, told.exc_traceback))

        usual, sys.unraisablehook = sys.unraisablehook, keep
        try:
            super().run(result)
        finally:
            sys.unraisablehook = usual
        for each in failures:
            result.addError(self, each)


class Share(unittest.TestSuite):
    """The modules that this process gets to take, loaded one after the other."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder

    def run(self, result: Any, debug: bool = False) -> Any:
        for name in self._take():
            if result.shouldStop:
                break
            suite = swept(TestLoader().loadByNames([name]))
            gc.collect()
            gc.freeze()
            suite(result)
        return result

    def _take(self) -> Iterator[str]:
        assert self._folder is not None
        for path in sorted((self._folder / WAITING).iterdir()):
            try:
                path.rename(self._folder / TAKEN / path.name)
            except FileNotFoundError:
                continue  # another process was first
            yield path.name.partition(" ")[2]


def swept(suite: unittest.TestSuite) -> Any:
    """The same tests, each of which collects its garbage."""
    for decorator in (itrial.ITestCase, _ForceGarbageCollectionDecorator, Swept):
        suite = decorate(suite, decorator)
    return suite


def main(folder: str) -> int:
    """Run modules until none is left; trial's report goes to standard output."""
    result = TrialRunner(VerboseTextReporter).run(Share(Path(folder)))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
