"""The thread that shows cards, with the real reactor and real processes that hang."""

from __future__ import annotations

import subprocess
import threading
import time

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from mailnotify.errors import DesktopUnavailable
from mailnotify.sinks.card import Card
from mailnotify.sinks.desktop import DesktopSink
from mailnotify.sinks.notifier import PlyerNotifier
from mailnotify.sinks.notifier_thread import NotifierThread
from tests.sinks.fakes import HERE, entry

CARD = Card(title="title", body="body")


class FakeNotifier:
    """Notes the threads that it is called from; fails if told to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.cards: list[Card] = []
        self.threads: set[int] = set()
        self.interruptions = 0

    def notify(self, card: Card) -> None:
        self.cards.append(card)
        self.threads.add(threading.get_ident())
        if self.failure is not None:
            raise self.failure

    def interrupt(self) -> None:
        self.interruptions += 1


def sleep_for_ever(**fields: object) -> None:
    """What a notify-send does whose title is `--wait`."""
    subprocess.call(["sleep", "60"])


class NotifierThreadTests(TestCase):
    """`NotifierThread`."""

    async def test_shows_in_one_thread_of_its_own(self) -> None:
        """Every card is shown from the same thread, which is not the reactor's."""
        notifier = FakeNotifier()
        thread = NotifierThread(notifier, reactor.callFromThread)
        await thread.show(CARD)
        await thread.show(CARD)
        await thread.close()
        self.assertEqual(notifier.cards, [CARD, CARD])
        self.assertEqual(len(notifier.threads), 1)
        self.assertNotIn(threading.get_ident(), notifier.threads)

    async def test_failure_ends_a_card_not_the_thread(self) -> None:
        """Whatever plyer raises, the next card is shown."""
        notifier = FakeNotifier(OSError("too long"))
        thread = NotifierThread(notifier, reactor.callFromThread)
        await self.assertFailure(thread.show(CARD), OSError)
        notifier.failure = DesktopUnavailable(reason="none")
        await self.assertFailure(thread.show(CARD), DesktopUnavailable)
        notifier.failure = None
        await thread.show(CARD)
        await thread.close()

    async def test_close_ends_the_thread(self) -> None:
        """When `close` has fired there is no thread of ours."""
        thread = NotifierThread(FakeNotifier(), reactor.callFromThread)
        await thread.show(CARD)
        await thread.close()
        names = [each.name for each in threading.enumerate()]
        self.assertNotIn("mailnotify-desktop", names)

    async def test_close_before_the_first_card(self) -> None:
        """A client that never showed anything has no thread to end."""
        await NotifierThread(FakeNotifier(), reactor.callFromThread).close()

    async def test_hung_process_is_ended(self) -> None:
        """A notify-send that never returns is killed, and the thread goes on."""
        notifier = PlyerNotifier(notify=sleep_for_ever, spell=str, ensure_service=lambda: None)
        thread = NotifierThread(notifier, reactor.callFromThread)
        sink = DesktopSink(shower=thread, clock=reactor, deadline_seconds=0.2)
        begun = time.monotonic()
        await ensureDeferred(sink.deliver(entry(), HERE))
        await ensureDeferred(sink.close())
        self.assertLess(time.monotonic() - begun, 60)
        self.flushLoggedErrors()
        names = [each.name for each in threading.enumerate()]
        self.assertNotIn("mailnotify-desktop", names)
