"""Tests of `mailnotify.outbox.doorbell`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.errors import OutboxUnwritable
from mailnotify.outbox.doorbell import Doorbell, ring


class Readers:
    """The part of a reactor that reads."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class DoorbellTests(SynchronousTestCase):
    """How a command wakes the service."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "outbox.bell"
        self.reactor = Readers()
        self.rung: list[bool] = []
        self.bell = Doorbell(self.path, self.rung.append, self.reactor)  # type: ignore[arg-type]
        self.addCleanup(self.bell.close)

    def test_rings(self) -> None:
        """Any number of rings is one; an urgent one among them is not missed."""
        self.bell.open()
        self.assertTrue(verifyObject(IReadDescriptor, self.bell))
        self.assertTrue(all(ring(self.path) for _ in range(3)))
        self.bell.doRead()
        self.bell.doRead()
        self.assertEqual(self.rung, [False])
        self.assertTrue(ring(self.path, is_urgent=True))
        ring(self.path)
        self.bell.doRead()
        self.assertEqual(self.rung, [False, True])

    def test_nobody(self) -> None:
        """Without a service nothing answers: before it ran, and after it has gone."""
        self.assertFalse(ring(self.path))
        self.bell.open()
        self.bell.close()
        self.assertFalse(ring(self.path))
        self.assertEqual(self.reactor.readers, [])

    def test_again(self) -> None:
        """What a killed service has left is used again."""
        self.bell.open()
        self.bell.connectionLost(Failure(Exception()))
        self.bell.open()
        self.assertTrue(ring(self.path))

    def test_full(self) -> None:
        """A service that is slow to answer is there all the same."""
        self.bell.open()
        self.assertTrue(all(ring(self.path) for _ in range(70_000)))

    def test_private(self) -> None:
        """Nobody else can ring."""
        self.bell.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(self.bell.logPrefix(), "mailnotify-outbox")

    def test_something_else(self) -> None:
        """A file in its place is not taken for it, nor a link followed."""
        self.path.write_bytes(b"")
        self.assertRaises(OutboxUnwritable, self.bell.open)
        self.path.unlink()
        os.mkfifo(self.path.with_name("elsewhere"))
        self.path.symlink_to("elsewhere")
        self.assertRaises(OutboxUnwritable, self.bell.open)
        self.assertFalse(ring(self.path))
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(OutboxUnwritable, ring, self.path)
