"""Output into pipes that are read, not read, and closed."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.sinks.outlet import LOOK_SECONDS, Outlet, OutletClosed


class OutletTests(SynchronousTestCase):
    """`Outlet` on a real pipe."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.reader, self.writer = os.pipe()
        self.open = {self.reader, self.writer}
        self.addCleanup(lambda: [os.close(each) for each in self.open])
        self.outlet = Outlet(self.writer, self.clock)

    def write(self, data: bytes) -> Deferred[None]:
        return Deferred.fromCoroutine(self.outlet.write(data))

    def close(self, descriptor: int) -> None:
        self.open.remove(descriptor)
        os.close(descriptor)

    def test_writes(self) -> None:
        """What there is room for is written at once."""
        self.successResultOf(self.write(b"hello\n"))
        self.assertEqual(os.read(self.reader, 100), b"hello\n")
        self.assertFalse(self.outlet.is_closed())

    def test_waits_for_a_slow_reader(self) -> None:
        """A reader that pauses holds up the writer, not the reactor; nothing is lost."""
        data = os.urandom(200_000)
        written = self.write(data)
        self.assertNoResult(written)
        got = b""
        while len(got) < len(data):
            got += os.read(self.reader, 65536)
            self.clock.advance(LOOK_SECONDS)
        self.successResultOf(written)
        self.assertEqual(got, data)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waiting_can_be_cancelled(self) -> None:
        """Whoever stops waiting for a slow reader leaves no timer."""
        written = self.write(b"x" * 200_000)
        written.cancel()
        self.failureResultOf(written)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_reader(self) -> None:
        """A reader that has gone is noticed without a write, and by one."""
        self.close(self.reader)
        self.assertTrue(self.outlet.is_closed())
        self.failureResultOf(self.write(b"x"), OutletClosed)

    def test_reader_goes_while_we_wait(self) -> None:
        """A pager that is quit in the middle ends the waiting."""
        written = self.write(b"x" * 200_000)
        self.close(self.reader)
        self.clock.advance(LOOK_SECONDS)
        self.failureResultOf(written, OutletClosed)

    def test_failing_device(self) -> None:
        """A full disk behind our output ends it as well."""
        with Path("/dev/full").open("wb", buffering=0) as full:
            outlet = Outlet(full.fileno(), self.clock)
            self.failureResultOf(Deferred.fromCoroutine(outlet.write(b"x")), OutletClosed)

    def test_shared_file_made_non_blocking(self) -> None:
        """Another program that makes the shared pipe non-blocking loses us no byte."""
        os.set_blocking(self.writer, False)
        data = os.urandom(100_000)
        written = self.write(data)
        got = b""
        while len(got) < len(data):
            got += os.read(self.reader, 1000)
            self.clock.advance(LOOK_SECONDS)
        self.successResultOf(written)
        self.assertEqual(got, data)
