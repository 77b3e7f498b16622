"""Runs one errand in the reactor, and brings back what came of it.

`twisted.internet.task.react` ends the process by itself: whatever went wrong is a line in
the log and exit code 1. Here an error comes back to who asked, so that `mailnotify.cli` has
one way to say it, and an output that cannot be written is told like that of any command.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from mailnotify.taps.outcome import INTERRUPTED
from mailnotify.taps.resolving import resolve_in_daemons
from mailnotify.taps.timebase import keep_time_monotonic


def run_errand(begin: Callable[[Any], Deferred[int]]) -> int:
    """Run it to its end; return its exit code. Runs the reactor, so once in a process.

    Args:
        begin: takes the reactor; fires with the exit code.

    Raises:
        Exception: what the errand failed with.
    """
    keep_time_monotonic()
    ended: list[int | Failure] = []

    def attempt(reactor: Any) -> Deferred[None]:
        resolve_in_daemons(reactor)
        return begin(reactor).addBoth(ended.append)

    with suppress(SystemExit):  # react always says that it has ended; how, we know better
        react(attempt)
    outcome = ended[0] if ended else INTERRUPTED
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome
