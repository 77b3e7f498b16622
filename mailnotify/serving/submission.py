"""The letters that one connection hands over: SEND, its PARTs, and one answer.

A letter is handed to the `Post` as it comes, and answered when it is durable in the
outbox; lines wait meanwhile. What was refused is refused once: the parts that follow,
which a client has perhaps written already, are dropped without a word. A connection
that ends in the middle of a letter leaves nothing; one that ends while its letter is
being stored leaves it stored, or not, and the key makes it safe to ask again.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.core.badge import Badge
from mailnotify.core.frames import Code, Part, Queued, Refused, Send, ServerFrame
from mailnotify.core.parts import Count
from mailnotify.core.wire import ServerPeer
from mailnotify.errors import (
    LetterInvalid,
    MailnotifyError,
    OutboxUnreadable,
    OutboxUnwritable,
    WireError,
)
from mailnotify.serving.admission import Visitor


class Incoming(Protocol):
    """A letter that is on its way in."""

    def write(self, content: bytes) -> None:
        """Take the next bytes. Raises `OutboxUnwritable`."""

    async def queue(self) -> Queued:
        """Put all of it into the outbox; return when it is durable there.

        Cancelling it means only that nobody waits. Raises `LetterInvalid`,
        `OutboxUnreadable` or `OutboxUnwritable`: it is not queued.
        """

    def close(self) -> None:
        """Forget what was written; may be called twice."""


class Post(Protocol):
    """Where letters are handed over."""

    def begin(self, asked: Send, badge: Badge) -> Incoming:
        """Take a letter, if its envelope is good and there is room for it.

        Raises:
            WireError: with the code that says why not.
            LetterInvalid: an address of it is wrong.
            OutboxUnwritable: there is no place to write it to.
        """


_REFUSALS: Final = (WireError, LetterInvalid, OutboxUnreadable, OutboxUnwritable)


class Submission:
    """The letters of one connection, one after the other.

    Attributes:
        has_begun: a letter was taken at least once: this connection is here to send.
    """

    __slots__ = (
        "_count",
        "_is_skipping",
        "_letter",
        "_peer",
        "_post",
        "_queueing",
        "_visitor",
        "has_begun",
    )

    _log = Logger()

    def __init__(self, post: Post | None, visitor: Visitor, peer: ServerPeer) -> None:
        self._post = post
        self._visitor = visitor
        self._peer = peer
        self._letter: Incoming | None = None
        self._count = Count(0)
        self._is_skipping = False
        self._queueing: Deferred[None] | None = None
        self.has_begun = False

    @property
    def is_unfinished(self) -> bool:
        """Whether parts of a letter are still to come."""
        return self._letter is not None and self._count.missing_bytes > 0

    def begin(self, asked: Send, badge: Badge) -> None:
        """Take a letter, or refuse it."""
        self._give_up()
        if self._post is None:
            self.refuse(NO_POST)
            return
        try:
            self._letter = self._post.begin(asked, badge)
        except _REFUSALS as error:
            self.refuse(_refused(error))
            return
        self._count = Count(asked.size)
        self.has_begun, self._is_skipping = True, False

    def refuse(self, refusal: Refused) -> None:
        """Answer SEND by this, and let the parts that follow go by."""
        self._give_up()
        self._is_skipping = True
        self._peer.send(refusal)

    def take(self, part: Part) -> None:
        """Take the next bytes; with the last of them the letter goes into the outbox."""
        letter = self._letter
        if letter is None:
            if not self._is_skipping:
                self.refuse(NO_LETTER)
            return
        try:
            letter.write(self._count.take(part))
        except _REFUSALS as error:
            self._drop()
            self.refuse(_refused(error))
            return
        if not self._count.missing_bytes:
            self._peer.is_waiting = True
            queueing = Deferred.fromCoroutine(self._queue(letter))
            queueing.addErrback(self._failed)
            self._queueing = None if queueing.called else queueing

    def cancel(self) -> None:
        """The connection is gone: nothing of an unfinished letter stays."""
        queueing, self._queueing = self._queueing, None
        if queueing is not None:
            queueing.cancel()
        else:
            self._drop()

    async def _queue(self, letter: Incoming) -> None:
        answer: ServerFrame
        try:
            answer = await letter.queue()
        except _REFUSALS as error:
            answer = _refused(error)
        self._queueing = None
        self._drop()
        self._peer.is_waiting = False
        self._peer.send(answer)
        self._visitor.go_on()

    def _give_up(self) -> None:
        """A letter that did not come to its end is answered before anything else is."""
        if self._letter is not None:
            self._drop()
            reason = f"its last {self._count.missing_bytes} bytes did not come"
            self._peer.send(Refused(code=Code.LETTER, reason=reason))

    def _drop(self) -> None:
        letter, self._letter = self._letter, None
        if letter is not None:
            letter.close()

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("a letter was not queued by a mistake of ours", failure=failure)
            self._drop()
            self._visitor.abort()


NO_POST: Final = Refused(code=Code.DENIED, reason="no mail is sent from here")
NO_LETTER: Final = Refused(code=Code.STATE, reason="PART belongs to no letter; say SEND first")
NO_RIGHT: Final = Refused(code=Code.DENIED, reason="you may not send from here")


def _refused(error: MailnotifyError) -> Refused:
    if isinstance(error, WireError):
        return Refused(code=error.code, reason=error.reason)
    if isinstance(error, LetterInvalid):
        return Refused(code=Code.LETTER, reason=str(error))
    # The path of the outbox is nothing for a stranger's eyes.
    return Refused(code=Code.OUTBOX, reason="the letter is not queued; try again later")
