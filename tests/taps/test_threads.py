"""Blocking calls run beside the reactor and never hold it up."""

from __future__ import annotations

import subprocess
import sys
import threading

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from mailnotify.taps.threads import defer_to_daemon
from tests.rigs import child_environment

_HANGING = """
import time
from twisted.internet import reactor
from mailnotify.taps.threads import defer_to_daemon
defer_to_daemon(reactor, time.sleep, 600)
reactor.callLater(0.1, reactor.stop)
reactor.run()
"""


class DeferToDaemonTests(TestCase):
    """A function in a thread of its own."""

    async def test_result(self) -> None:
        """What the function returns arrives, and it ran elsewhere."""
        name = await defer_to_daemon(reactor, lambda: threading.current_thread().name)
        self.assertNotEqual(name, threading.current_thread().name)

    async def test_failure(self) -> None:
        """What the function raises arrives."""
        with self.assertRaises(ZeroDivisionError):
            await defer_to_daemon(reactor, lambda: 1 // 0)

    async def test_cancelled(self) -> None:
        """A result that comes after we stopped waiting is dropped."""
        go_on, gone = threading.Event(), threading.Event()

        def wait() -> None:
            go_on.wait(10)
            gone.set()

        waiting = defer_to_daemon(reactor, wait)
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        go_on.set()
        await defer_to_daemon(reactor, gone.wait, 10)

    def test_a_hanging_call_does_not_delay_the_exit(self) -> None:
        """A process whose keyring hangs ends at once all the same."""
        subprocess.run(
            [sys.executable, "-c", _HANGING], check=True, timeout=300, env=child_environment()
        )
