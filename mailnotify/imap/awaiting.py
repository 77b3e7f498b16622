"""Holds a hint back until the message that it is about has come by itself.

With NOTIFY (RFC 5465) a server pushes each new message of the open mailbox right
after its EXISTS. To ask for it at once would be a round trip for nothing; not to
ask at all would be to believe that every server keeps its word. And to ask while it
pushes is worse: a Dovecot that gets DONE in the middle of a long push forgets it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailnotify.imap.client import MailboxClient
from mailnotify.imap.pushed import Pushed
from mailnotify.imap.responses import FetchData

PUSH_SECONDS = 2.0
"""How long after an EXISTS we wait for the message itself before we fetch it.

Dovecot reads a letter before it pushes it: 20 MB of recipients take it 0.6 s.
"""


class Awaiting:
    """Waits for what should be pushed.

    Args:
        client: stays in IDLE meanwhile.
        hint: called when a fetch has something to find.
    """

    __slots__ = ("_client", "_clock", "_hint", "_timer")

    def __init__(
        self, clock: IReactorTime, client: MailboxClient, hint: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._client = client
        self._hint = hint
        self._timer: IDelayedCall | None = None

    def exists(self) -> None:
        """There are more messages; they should follow."""
        if self._timer is None:
            self._wait()
            self._client.await_push(True)

    def _wait(self) -> None:
        self._timer = self._clock.callLater(PUSH_SECONDS, self._late)

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
        timer, self._timer = self._timer, None
        if timer is not None:
            if timer.active():
                timer.cancel()
            self._client.await_push(False)

    def _late(self) -> None:
        if self._client.is_hearing():
            self._wait()
        else:
            self._fire()

    def _fire(self) -> None:
        self.stop()
        self._hint()
