"""The letters that a client has for its server, until each is answered.

They go in their order, and so come their answers. A connection that ends in between
leaves it open whether a letter was queued: it goes again over the next one, with the
same key, which makes it the same letter. So a letter is queued once, however often
the line breaks, as long as this process lives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from mailnotify.core.frames import ClientFrame, Part, Queued, Refused, Send
from mailnotify.core.parts import cut
from mailnotify.errors import CommandRefused, MailnotifyError


class Stream(Protocol):
    """A connection that stands."""

    def send_all(self, frames: Iterable[ClientFrame]) -> None:
        """Say these."""


class _Letter(Struct, frozen=True):
    asked: Send
    message: bytes
    answer: Deferred[Queued]


class Outgoing:
    """Letters that have no answer yet.

    Args:
        peer_name: the server in errors.
    """

    def __init__(self, peer_name: str) -> None:
        self._peer_name = peer_name
        self._letters: deque[_Letter] = deque()
        self._stream: Stream | None = None
        self._line_bytes = 0

    def send(self, asked: Send, message: bytes) -> Deferred[Queued]:
        """Send a letter now, or as soon as there is a connection.

        Cancelling it means that nobody waits; the letter may be queued all the same.
        """
        letter = _Letter(asked, message, Deferred())
        self._letters.append(letter)
        self._write(letter)
        return letter.answer

    def opened(self, stream: Stream, line_bytes: int) -> None:
        """This connection takes letters: those first that have waited for it."""
        self._stream, self._line_bytes = stream, line_bytes
        self._letters = deque(each for each in self._letters if not each.answer.called)
        for letter in self._letters:
            self._write(letter)

    def closed(self) -> None:
        """The connection is gone."""
        self._stream = None

    def answered(self, answer: Queued | Refused) -> bool:
        """Take an answer; return whether a letter has waited for it."""
        if not self._letters:
            return False
        waiting = self._letters.popleft().answer
        if waiting.called:
            return True
        if isinstance(answer, Queued):
            waiting.callback(answer)
        else:
            waiting.errback(
                CommandRefused(
                    peer=self._peer_name, command="SEND", status=answer.code, said=answer.reason
                )
            )
        return True

    def give_up(self, why: MailnotifyError) -> None:
        """There will be no further connection."""
        letters, self._letters = self._letters, deque()
        for each in letters:
            if not each.answer.called:
                each.answer.errback(why)

    def _write(self, letter: _Letter) -> None:
        if self._stream is not None:
            parts: Iterable[Part] = cut(letter.message, self._line_bytes)
            self._stream.send_all((letter.asked, *parts))
