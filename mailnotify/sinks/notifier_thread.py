"""The one place where something blocks: a thread that does nothing but show cards.

It is a daemon thread, of its own rather than of the reactor's pool: a call that never
returns (a frozen D-Bus connection) then delays neither the pool's other work nor the
end of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from mailnotify.sinks.card import Card
from mailnotify.sinks.notifier import Notifier

_JOIN_SECONDS: Final = 1.0
"""The thread has nothing left to do but to return when it is joined."""


class NotifierThread:
    """Runs a notifier in a thread that starts with the first card.

    Args:
        call_from_thread: `IReactorFromThreads.callFromThread`.
    """

    def __init__(self, notifier: Notifier, call_from_thread: Callable[..., object]) -> None:
        self._notifier = notifier
        self._call_from_thread = call_from_thread
        self._jobs: SimpleQueue[tuple[Card, Deferred[None]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._ended: Deferred[None] = Deferred()

    def show(self, card: Card) -> Deferred[None]:
        """Fires when the desktop took the card; fails with what the notifier raised."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name="mailnotify-desktop", daemon=True)
            self._thread.start()
        shown: Deferred[None] = Deferred()
        self._jobs.put((card, shown))
        return shown

    def interrupt(self) -> None:
        """Try to make a call that hangs return."""
        self._notifier.interrupt()

    def close(self) -> Deferred[None]:
        """Fires when the thread is gone; call once, and `show` nothing afterwards."""
        if self._thread is None:
            return succeed(None)
        self._jobs.put(None)
        return self._ended

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            card, shown = job
            try:
                self._notifier.notify(card)
            except (
                Exception
            ):  # whatever plyer and its libraries raise ends this card, not the thread
                self._call_from_thread(shown.errback, Failure())
            else:
                self._call_from_thread(shown.callback, None)
        self._call_from_thread(self._join)

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join(_JOIN_SECONDS)
        self._ended.callback(None)
