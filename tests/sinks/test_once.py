"""What two servers tell is shown once."""

from __future__ import annotations

from msgspec import structs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.core.events import Entry, MailGone, MailSeen, Position
from mailnotify.errors import PositionUnwritable
from mailnotify.interfaces import ISink
from mailnotify.shown import Shown
from mailnotify.sinks.once import Once
from tests.sinks.fakes import HERE, FakeSink, blind, entry, mail

THERE = Position(epoch="e2", seq=1)


def numbered(number: int) -> Entry:
    """An entry with an id of its own."""
    return entry(number, structs.replace(mail(), id=str(number)))


class OnceTests(SynchronousTestCase):
    """`Once`."""

    def setUp(self) -> None:
        self.inner = FakeSink()
        self.sink = Once([self.inner], 2, Shown(most=3))

    def told(self, *entries: Entry) -> list[int]:
        """Tell these; give the seqs that were shown so far."""
        for each in entries:
            self.successResultOf(Deferred.fromCoroutine(self.sink.deliver(each, THERE)))
        return [each.seq for each in self.inner.entries]

    def test_is_a_sink(self) -> None:
        """It is one."""
        verifyObject(ISink, self.sink)

    def test_twice(self) -> None:
        """The second word is taken and not shown, by whatever number it goes there."""
        self.assertEqual(self.told(numbered(1), structs.replace(numbered(1), seq=99)), [1])

    def test_another_kind(self) -> None:
        """That a message was read is not the message."""
        seen = MailSeen(id="1", account="home", mailbox="INBOX", uidvalidity=1, uid=7)
        self.assertEqual(self.told(numbered(1), entry(2, seen), entry(3, seen)), [1, 2])

    def test_each_place(self) -> None:
        """A message that leaves two mailboxes has left two."""
        gone = MailGone(id="1", account="home", mailbox="INBOX", uidvalidity=1, uid=7)
        there = structs.replace(gone, mailbox="Lists", uid=3)
        told = self.told(entry(1, gone), entry(2, there), entry(3, gone), entry(4, there))
        self.assertEqual(told, [1, 2])

    def test_all_sinks(self) -> None:
        """What is shown is shown by each of them, in their order, and then remembered."""
        second = FakeSink()
        self.sink = Once([self.inner, second], 1, Shown())
        self.told(numbered(1), numbered(1))
        self.assertEqual([each.seq for each in second.entries], [1])
        second.holds = True
        cut = Deferred.fromCoroutine(self.sink.deliver(numbered(2), HERE))
        cut.cancel()
        self.failureResultOf(cut, CancelledError)
        second.holds = False
        self.assertEqual(self.told(numbered(2)), [1, 2, 2])

    def test_without_an_id(self) -> None:
        """A state is what one service sees: it is shown for each."""
        self.assertEqual(self.told(entry(1, blind()), entry(2, blind())), [1, 2])

    def test_memory_is_bounded(self) -> None:
        """The oldest is forgotten first."""
        self.told(*(numbered(n) for n in range(1, 5)))
        self.assertEqual(self.told(numbered(4), numbered(2), numbered(1)), [1, 2, 3, 4, 1])

    def test_one_at_a_time(self) -> None:
        """While one is on display the other's word waits; it is not shown then."""
        self.inner.holds = True
        first = Deferred.fromCoroutine(self.sink.deliver(numbered(1), HERE))
        second = Deferred.fromCoroutine(self.sink.deliver(numbered(1), THERE))
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.inner.held[0].callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.told(), [1])

    def test_what_was_not_shown_comes_again(self) -> None:
        """An entry whose display was given up is nobody's."""
        self.inner.holds = True
        first = Deferred.fromCoroutine(self.sink.deliver(numbered(1), HERE))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.inner.holds = False
        self.inner.entries.clear()
        self.assertEqual(self.told(numbered(1)), [1])

    def test_closes_with_the_last(self) -> None:
        """As long as one client goes on, there is something to show it."""
        for is_closed in (False, True):
            self.successResultOf(Deferred.fromCoroutine(self.sink.close()))
            self.assertEqual(self.inner.is_closed, is_closed)


class BrokenShown(Shown):
    """A memory whose disk is full while `is_full`."""

    is_full = True

    def keep(self, name: str) -> None:
        if self.is_full:
            raise PositionUnwritable(path="shown", reason="no space left on device")


class FullDiskTests(SynchronousTestCase):
    """What cannot be remembered over a restart."""

    def setUp(self) -> None:
        self.inner = FakeSink()
        self.shown = BrokenShown()

    def tell(self, sink: Once) -> Deferred[None]:
        return Deferred.fromCoroutine(sink.deliver(numbered(1), HERE))

    def test_shown_all_the_same(self) -> None:
        """It is shown, known until the end, and complained of once."""
        sink = Once([self.inner], 1, self.shown)
        with capturedLogs() as logged:
            self.successResultOf(self.tell(sink))
            self.successResultOf(self.tell(sink))
            self.successResultOf(Deferred.fromCoroutine(sink.deliver(numbered(2), HERE)))
        self.assertEqual([each.seq for each in self.inner.entries], [1, 2])
        self.assertEqual([each["log_level"] for each in logged], [LogLevel.warn])

    def test_store_first(self) -> None:
        """It is not shown until it can be remembered, and then it is."""
        sink = Once([self.inner], 1, self.shown, store_first=True)
        self.failureResultOf(self.tell(sink), PositionUnwritable)
        self.assertEqual(self.inner.entries, [])
        self.shown.is_full = False
        self.successResultOf(self.tell(sink))
        self.assertEqual([each.seq for each in self.inner.entries], [1])
