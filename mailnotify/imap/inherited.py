"""The verbs of `IMAP4Client` (noop, list, status …) carried on our own path.

They build `twisted.mail.imap4.Command` objects and give them to `sendCommand`.
Here such an object becomes one of our commands: framed, queued and timed as
all others are. Its answer is read by Twisted's own parser; what that parser
cannot read fails the Deferred of the verb, and nothing else.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.mail import imap4
from twisted.python.failure import Failure

from mailnotify.errors import PeerError
from mailnotify.imap.commands import Command
from mailnotify.imap.framer import Framed
from mailnotify.imap.responses import Status, Tagged


class Inherited(Command):
    """One of Twisted's commands, in the form of ours."""

    __slots__ = ("_result", "_theirs")

    def __init__(self, theirs: imap4.Command, result: Deferred[object]) -> None:
        super().__init__(theirs.command.decode("ascii"), theirs.args or b"", reply=self._continue)
        self._theirs = theirs
        self._result = result
        theirs.defer = result  # type: ignore[assignment]

    def heard(self, framed: Framed) -> None:
        """Keep an untagged response in the form that Twisted parses."""
        if len(framed) % 2 == 0:  # too long to be kept
            return
        self._theirs.lines.append(_unframed(framed).split(b" ", 1)[-1])

    def end(self, tagged: Tagged, framed: Framed) -> None:
        """Fire the verb's Deferred."""
        words = framed[0].split(b" ", 1)[-1]
        try:
            if tagged.status is not Status.OK:
                raise imap4.IMAP4Exception(words.split(b" ", 1)[-1])
            self._theirs.finish(words, lambda unused: None)
        except Exception:
            if not self._result.called:
                self._result.errback(Failure())

    def fail(self, error: PeerError) -> None:
        """The connection ended first."""
        if not self._result.called:
            self._result.errback(Failure(error))

    def _continue(self, text: str) -> None:
        self._theirs.continuation(text.encode("utf-8", "surrogateescape"))


def _unframed(framed: Framed) -> bytes:
    """Put the announcements of literals back in."""
    parts = [framed[0]]
    for literal, text in zip(framed[1::2], framed[2::2], strict=True):
        parts.append(b"{%d}\r\n%b%b" % (len(literal), literal, text))
    return b"".join(parts)
