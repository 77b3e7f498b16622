"""The letters that a client has for its server, until each is answered.

They go in their order, and so come their answers. A connection that ends in between
leaves it open whether a letter was queued: it goes again over the next one, with the
same key, which makes it the same letter. So a letter is queued once, however often
the line breaks, as long as this process lives. A letter at whose hands ten connections
have ended without an answer is given up: it might be what ends them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from mailnotify.core.frames import SENT_LINE_BYTES, ClientFrame, Part, Queued, Refused, Send
from mailnotify.core.lines import encode
from mailnotify.core.parts import cut
from mailnotify.errors import CommandRefused, LetterInvalid, MailnotifyError, OutcomeUnknown


class Stream(Protocol):
    """A connection that stands."""

    def send_all(self, frames: Iterable[ClientFrame]) -> None:
        """Say these."""


MOST_ATTEMPTS: Final = 10

_LEAST_LINE_BYTES: Final = 512
"""No server may want shorter lines (``limits.line_bytes``)."""


class _Letter(Struct):
    asked: Send
    message: bytes
    answer: Deferred[Queued]
    attempts: int = 0


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
        self._stream = stream
        self._line_bytes = min(max(line_bytes, _LEAST_LINE_BYTES), SENT_LINE_BYTES)
        letters, self._letters = self._letters, deque()
        for letter in letters:
            if not letter.answer.called:
                self._letters.append(letter)
                self._write(letter)

    def closed(self) -> None:
        """The connection is gone."""
        if self._stream is None:
            return
        self._stream = None
        if self._letters:
            first = self._letters[0]
            first.attempts += 1
            if first.attempts == MOST_ATTEMPTS:
                reason = f"{MOST_ATTEMPTS} connections ended before it answered"
                self.answered(OutcomeUnknown(peer=self._peer_name, reason=reason))

    def answered(self, answer: Queued | Refused | MailnotifyError) -> bool:
        """Take an answer; return whether a letter has waited for it."""
        if not self._letters:
            return False
        waiting = self._letters.popleft().answer
        if waiting.called:
            return True
        if isinstance(answer, Queued):
            waiting.callback(answer)
            return True
        if isinstance(answer, Refused):
            answer = CommandRefused(
                peer=self._peer_name, command="SEND", status=answer.code, said=answer.reason
            )
        waiting.errback(answer)
        return True

    def give_up(self, why: MailnotifyError) -> None:
        """There will be no further connection."""
        letters, self._letters = self._letters, deque()
        for each in letters:
            if not each.answer.called:
                each.answer.errback(why)

    def _write(self, letter: _Letter) -> None:
        if self._stream is None:
            return
        length = len(encode(letter.asked))
        if length > self._line_bytes:  # the server would end the connection
            self._letters.remove(letter)
            expected = f"at most {self._line_bytes}: fewer recipients"
            found = f"{length} bytes as a line"
            letter.answer.errback(LetterInvalid(field="to", found=found, expected=expected))
            return
        parts: Iterable[Part] = cut(letter.message, self._line_bytes)
        self._stream.send_all((letter.asked, *parts))
