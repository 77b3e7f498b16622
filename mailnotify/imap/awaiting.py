"""Holds a hint back until the message that it is about has come by itself.

With NOTIFY (RFC 5465) a server pushes each new message of the open mailbox right
after its EXISTS. To ask for it at once would be a round trip for nothing; not to
ask at all would be to believe that every server keeps its word.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailnotify.imap.pushed import Pushed
from mailnotify.imap.responses import FetchData

PUSH_SECONDS = 0.5
"""How long after an EXISTS we wait for the message itself before we fetch it."""


class Awaiting:
    """Waits for what should be pushed.

    Args:
        hint: called when a fetch has something to find.
    """

    def __init__(self, clock: IReactorTime, hint: Callable[[], None]) -> None:
        self._clock = clock
        self._hint = hint
        self._timer: IDelayedCall | None = None

    def exists(self) -> None:
        """There are more messages; they should follow."""
        if self._timer is None:
            self._timer = self._clock.callLater(PUSH_SECONDS, self._fire)

    def heard(self, data: FetchData, pushed: Pushed) -> None:
        """A message came by itself."""
        if pushed.heard(data):
            self._fire()

    def hurry(self) -> None:
        """Wait no longer for what is awaited."""
        if self._timer is not None:
            self._fire()

    def stop(self) -> None:
        """Nothing is awaited any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _fire(self) -> None:
        self.stop()
        self._hint()
