"""Tests of `mailnotify.outbox.copying`."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import CommandRefused, LetterInvalid, NotConnected
from mailnotify.outbox.copying import FIRST_RETRY_SECONDS, WAIT_SECONDS, Copying
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from tests.outbox.letters import NOON, draft, settle


class Drawer:
    """A Sent mailbox that the test looks into."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.opened = 0
        self.closed = 0
        self.error: Exception | None = None
        self.no_way: Exception | None = None
        self.wait: Deferred[None] | None = None

    async def open(self) -> Drawer:
        if self.no_way is not None:
            raise self.no_way
        self.opened += 1
        return self

    async def keep(self, message: bytes, message_id: str) -> None:
        if self.wait is not None:
            await self.wait
        if self.error is not None:
            raise self.error
        self.kept.append(message_id)

    async def close(self) -> None:
        self.closed += 1


def _full(seconds: str) -> CommandRefused:
    """As Dovecot says it, each time in other words."""
    said = f"full ({seconds} + 0.000 secs)."
    return CommandRefused(peer="x", command="APPEND", status="NO", said=said)


class CopyingTests(SynchronousTestCase):
    """Copies of what was sent."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.drawer = Drawer()
        self.store = SqliteOutbox.open(Path(self.mktemp()) / "outbox.sqlite", NOON)
        self.addCleanup(self.store.close)
        self.copying = Copying(
            "home",
            self.store,
            open_cabinet=self.drawer.open,
            clock=self.clock,
            jitter=lambda: 1 - 2**-53,
        )

    def sent(self, *subjects: str) -> None:
        """These letters were sent."""
        self.store.enqueue([draft(each, wants_copy=True) for each in subjects], NOON)
        for ticket in self.store.claim("home", 9, NOON):
            result = Result(recipient="bob@x.org", fate=Fate.ACCEPTED)
            settle(self.store, ticket, result)
        self.copying.wake()

    def test_copied(self) -> None:
        """All that was sent is copied over one connection, some seconds later, once."""
        self.copying.startService()
        self.sent("1", "2")
        self.clock.advance(WAIT_SECONDS - 0.1)
        self.assertEqual(self.drawer.opened, 0)
        self.clock.advance(0.1)
        self.assertEqual(self.drawer.kept, ["<1@x.org>", "<2@x.org>"])
        self.assertEqual((self.drawer.opened, self.drawer.closed), (1, 1))
        self.copying.wake()
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(self.drawer.opened, 1)

    def test_left_over(self) -> None:
        """What the last run has not copied is copied after the start."""
        self.sent("1")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.copying.startService()
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(self.drawer.kept, ["<1@x.org>"])

    def test_no_connection(self) -> None:
        """Without a connection the copies are made later, ever more rarely tried."""
        self.drawer.no_way = NotConnected(peer="x", reason="gone")
        self.copying.startService()
        self.sent("1")
        self.clock.advance(WAIT_SECONDS)
        self.drawer.no_way = None
        self.clock.advance(FIRST_RETRY_SECONDS - 1)
        self.assertEqual(self.drawer.kept, [])
        self.clock.advance(1)
        self.assertEqual(self.drawer.kept, ["<1@x.org>"])

    def test_refused(self) -> None:
        """A server that takes no copy is asked once for each letter, and that is said once."""
        self.drawer.error = _full("0.001")
        self.copying.startService()
        self.sent("1", "2")
        with capturedLogs() as logs:
            self.clock.advance(WAIT_SECONDS)
            self.drawer.error = _full("0.002")
            self.sent("3")
            self.clock.advance(WAIT_SECONDS)
        (told,) = [each for each in logs if each["log_level"] is LogLevel.warn]
        self.assertIn("`submission.sent_copy`", formatEvent(told) or "")
        self.drawer.error = None
        self.sent("4")
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(self.drawer.kept, ["<4@x.org>"])

    def test_a_letter_that_no_copy_can_hold(self) -> None:
        """It was sent all the same, and nobody is told otherwise."""
        self.drawer.error = LetterInvalid(field="body", found="with NUL", expected="text")
        self.copying.startService()
        self.sent("1")
        with capturedLogs() as logs:
            self.clock.advance(WAIT_SECONDS)
        (warning,) = [formatEvent(each) for each in logs if each["log_level"] is LogLevel.warn]
        self.assertIn("no copy is kept of letter 1", warning)
        self.assertIn("with NUL", warning)
        self.assertNotIn("nothing has been sent", warning)

    def test_bug(self) -> None:
        """A bug of ours is logged, and the copy made later."""
        self.drawer.error = ZeroDivisionError()
        self.copying.startService()
        self.sent("1")
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.drawer.error = None
        self.clock.advance(FIRST_RETRY_SECONDS)
        self.assertEqual(self.drawer.kept, ["<1@x.org>"])

    def test_stopped(self) -> None:
        """A copy that is under way is cut off; it is made after the next start."""
        self.drawer.wait = Deferred()
        self.copying.startService()
        self.sent("1")
        self.clock.advance(WAIT_SECONDS)
        stopping = self.copying.stopService()
        assert stopping is not None
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.drawer.wait = None
        self.copying.startService()
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(self.drawer.kept, ["<1@x.org>"])

    def test_stopped_idle(self) -> None:
        """Nothing under way, nothing to wait for."""
        self.copying.startService()
        self.assertIsNone(self.copying.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
