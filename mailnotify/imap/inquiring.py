"""What became of known messages, asked of a server that does not tell (no QRESYNC).

Two questions answer it, one round trip each, however long we were away: a SEARCH
for the UIDs that we know shows which of them are left, and which of these were read
is shown by FETCH with CHANGEDSINCE (CONDSTORE, RFC 7162 §3.1.4.1), which is not asked
where the mod-sequence is that of before, or by SEARCH SEEN. They are asked when a
mailbox is opened, and when the server hints that something was read or removed: it
names messages by sequence number then, and those we do not keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailnotify.imap.commands import Command, uid_set
from mailnotify.imap.responses import Expunged, FetchData, NumberSet, Response, Status, Tagged
from mailnotify.imap.resync import Told, is_read

MOST_ASKED: Final = 1000
"""The newest; who removes an older message has seen its alert long ago."""

PAUSE_SECONDS: Final = 10.0
"""Between two looks that only such hints lead to."""

_MOST_BYTES: Final = 4000
"""Of the UIDs in a command; of more than that, all from the first to the last are meant."""

Run = Callable[[Command], Deferred[Tagged]]
Search = Callable[[bytes], Awaitable[set[int] | None]]
"""Finds UIDs; None if the server will not search."""


class Inquiry:
    """What one connection has to ask of the mailbox that is open.

    Args:
        clock: measures the pause between two looks.

    Attributes:
        is_due: something was read or removed, and nobody knows what.
    """

    __slots__ = ("_clock", "_has_known", "_hinted_at", "_modseq", "_told", "is_due")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._hinted_at = -PAUSE_SECONDS
        self.is_due = False
        self._told: Told = _pass_over
        self._has_known = False
        self._modseq = 0

    def follow(self, told: Told) -> None:
        """Have this called with what was found out."""
        self._told = told

    def opened(self, since: int, *, has_known: bool) -> None:
        """Another mailbox is open.

        Args:
            since: the mod-sequence up to which its changes are known; 0 if it has none.
            has_known: there is something to ask about.
        """
        self.is_due = False
        self._has_known = has_known
        self._modseq = since

    def has_known(self) -> None:
        """From now on there is something to ask about."""
        self._has_known = True

    def heard(self, response: Response, command: Command | None) -> bool:
        """Take one untagged response; whether it is worth a look by itself.

        What comes in an answer to us is looked into when we have read it all: some
        servers say the same with each. And while another client is at work, not every
        change is, but once in a while; the last one with the next poll.
        """
        if not self._has_known:
            return False
        is_ours = command is not None and command.name.startswith("UID ")
        is_flag = isinstance(response, FetchData) and not is_ours and is_read(response)
        is_change = is_flag or isinstance(response, Expunged)
        self.is_due = self.is_due or is_change
        if not is_change or is_ours:
            return False
        now = self._clock.seconds()
        if now < self._hinted_at + PAUSE_SECONDS:
            return False
        self._hinted_at = now
        return True

    async def ask(self, run: Run, search: Search, known: Sequence[int], *, now: int = 0) -> None:
        """Ask about these UIDs, and tell; nothing where the server will not answer.

        Args:
            known: ascending; of more than `MOST_ASKED` only the newest count.
            now: the mod-sequence of the mailbox; 0 if it is not known.
        """
        self.is_due = False
        if not known:
            return
        asked = known[-MOST_ASKED:]
        words = uid_set(asked)
        if len(words) > _MOST_BYTES:
            words = b"%d:%d" % (asked[0], asked[-1])
        there = await search(b"UID " + words)
        if there is None:
            return
        read: set[int] = set()
        if not self._modseq:
            read = await search(b"UID " + words + b" SEEN") or read
        elif self._modseq != now:
            read, modseq = await _changed(run, words, self._modseq)
            self._modseq = max(self._modseq, modseq)
        gone = [uid for uid in asked if uid not in there]
        self._told(_set(sorted(read & there.intersection(asked))), False)
        self._told(_set(gone), True)


async def _changed(run: Run, words: bytes, since: int) -> tuple[set[int], int]:
    """Those that have \\Seen and were changed since then, and the last change."""
    read: set[int] = set()
    modseqs = [0]

    def collect(response: Response) -> None:
        if isinstance(response, FetchData) and response.uid:
            modseqs.append(response.modseq or 0)
            if "\\seen" in map(str.lower, response.flags or ()):
                read.add(response.uid)

    asked = words + b" (UID FLAGS) (CHANGEDSINCE %d)" % since
    answer = await run(Command("UID FETCH", asked, collect=collect))
    return (read, max(modseqs)) if answer.status is Status.OK else (set(), 0)


def _pass_over(uids: NumberSet, is_gone: bool) -> None:
    """Nobody wants to know."""


def _set(uids: Sequence[int]) -> NumberSet:
    return NumberSet(tuple((uid, uid) for uid in uids))
