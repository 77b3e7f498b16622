"""All mail from a UID on: in one round trip if it can be, and never with a gap.

The usual answer to a hint is a few messages, so ``UID FETCH n:*`` is sent at
once and its answer checked for holes by sequence number (`view`). Where it may
be many, or where the check fails, ``UID SEARCH`` says what there is, a batch is
fetched by its UIDs, and what was not answered is asked for once more by itself.
A message whose header the server still cannot give comes back without one: one
broken letter must neither hide nor hold up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import islice

from twisted.internet.defer import Deferred

from mailnotify.core.message import Fetched
from mailnotify.errors import CommandRefused
from mailnotify.imap.answers import (
    HEADER_FIELDS,
    LEAST_FIELDS,
    NO_FIELDS,
    WHOLE_FIELDS,
    Answers,
    fewer,
)
from mailnotify.imap.commands import Command, uid_set
from mailnotify.imap.pushed import Pushed
from mailnotify.imap.responses import (
    ESearchResult,
    Response,
    SearchResult,
    Status,
    Tagged,
    Unparsed,
)
from mailnotify.imap.view import MailboxView

BATCH = 250
"""Messages in one answer: some 125 KiB, some 25 ms of work, and one transaction.

Two of them may be in memory, and headers made to be long are kept to 256 KiB.
"""

_MOST_FOUND = 1_000_000
"""UIDs taken from one SEARCH; the rest is found by the next."""

_HIGHEST_UID = 2**32 - 1

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

Run = Callable[[Command], Deferred[Tagged]]


class Fetching:
    """Fetches from one examined mailbox.

    Args:
        run: sends one command and gives its answer.
        view: kept up to date by whoever hears the responses.
        peer: how the server is called in errors.
        items: what is asked of each message.

    Attributes:
        pushed: messages that came without being asked for; they need no fetch.
    """

    __slots__ = ("_all_items", "_backlog", "_items", "_peer", "_run", "_view", "pushed")

    def __init__(
        self, run: Run, view: MailboxView, peer: str, items: bytes = HEADER_FIELDS
    ) -> None:
        self._run = run
        self._view = view
        self._peer = peer
        self._backlog = _Backlog([], 0, None)
        self._all_items = self._items = items
        self.pushed = Pushed(view, BATCH)

    def is_in_backlog(self, first_uid: int) -> bool:
        """Whether the next answer comes from a search of before, without what came since."""
        return self._backlog.serves(first_uid)

    async def fetch(self, first_uid: int) -> Sequence[Fetched]:
        """Up to `BATCH` messages from `first_uid` on; fewer only if there are no more.

        Raises:
            CommandRefused: the server will not.
        """
        if not self.is_in_backlog(first_uid):
            pushed = self.pushed.take(first_uid)
            if pushed is not None:
                return pushed
            if self._view.most_waiting(first_uid) <= BATCH:
                fetched = await self._fetch_all(first_uid)
                if fetched is not None:
                    return fetched
            self._backlog = await self._search_backlog(first_uid)
        return await self._fetch_backlog()

    async def fetch_only(self, uids: Sequence[int]) -> Sequence[Fetched]:
        """Exactly these messages, but for those that are gone; at most `BATCH`."""
        return await self._fetch_set(uids) if uids else ()

    async def arrived_since(self, day: date) -> Sequence[int]:
        """The UIDs of messages that arrived on this day or later (RFC 9051 §6.4.4).

        Raises:
            CommandRefused: the server does not search.
        """
        month = _MONTHS[day.month - 1]
        found = await self.search(b"SINCE %d-%b-%04d" % (day.day, month, day.year))
        if found is None:
            raise self._refused("UID SEARCH", "NO", "it does not search by date")
        return sorted(found)

    async def latest(self) -> Fetched | None:
        """The message with the highest UID; None if the mailbox is empty."""
        answers = Answers(range(1, _HIGHEST_UID + 1), 1)
        answer = await self._ask(b"*", answers)
        if answer.status is Status.BAD:  # some know it only as an end
            answer = await self._ask(b"%d:*" % _HIGHEST_UID, answers)
        if answer.status is not Status.OK and self._view.exists:
            raise self._refused("UID FETCH", answer.status.name, answer.text)
        fetched = answers.take() or await self._fetch_singly(answers.bare)
        return next(iter(fetched), None)

    async def _fetch_all(self, first_uid: int) -> list[Fetched] | None:
        """Everything by one command; None if the answer may have holes."""
        view = self._view
        exists, removals = view.exists, view.removals
        answers = Answers(range(first_uid, _HIGHEST_UID + 1), BATCH)
        answer = await self._ask(b"%d:*" % first_uid, answers)
        is_steady = answer.status is Status.OK and view.removals == removals
        if not is_steady or answers.has_overflowed:
            return None
        if not view.is_whole(first_uid, answers.seqs, exists):
            return None
        fetched = answers.take()
        view.showed(answers.seqs)
        if answers.seqs:
            last_uid = max(answers.told_uids(), default=first_uid - 1)
            view.fetched(last_uid, max(answers.seqs))
        return await self._with_bare(fetched, answers)

    async def _with_bare(self, fetched: list[Fetched], answers: Answers) -> list[Fetched]:
        """Those as well whose header was empty: each is asked for once more, by itself."""
        if bare := answers.bare - answers.uids():
            fetched += await self._fetch_singly(bare)
        return sorted(fetched, key=lambda each: each.uid)

    async def _search_backlog(self, first_uid: int) -> _Backlog:
        view = self._view
        exists, removals = view.exists, view.removals
        found = await self.search(b"UID %d:*" % first_uid)
        if found is None:
            said = "it answers neither UID FETCH in full nor UID SEARCH"
            raise self._refused("UID SEARCH", "NO", said)
        uids = sorted(uid for uid in found if uid >= first_uid)
        is_steady = (exists, removals) == (view.exists, view.removals)
        if is_steady:
            view.showed(dict(enumerate(uids, exists - len(uids) + 1)))
        return _Backlog(uids, first_uid, exists - len(uids) if is_steady else None)

    async def _fetch_backlog(self) -> list[Fetched]:
        """A full batch as long as there is a backlog, whatever has been removed meanwhile."""
        fetched: list[Fetched] = []
        removals = self._view.removals
        while len(fetched) < BATCH and (asked := self._backlog.take(BATCH - len(fetched))):
            fetched += await self._fetch_set(asked)
            if self._view.removals != removals:
                self._backlog.below = None
            if self._backlog.below is not None:
                self._view.fetched(asked[-1], self._backlog.below)
        return fetched

    async def _fetch_set(self, asked: Sequence[int]) -> list[Fetched]:
        """Exactly these messages, but for those that are gone."""
        answers = Answers(frozenset(asked), len(asked))
        answer = await self._ask(uid_set(asked), answers)
        if answer.status is Status.BAD:
            raise self._refused("UID FETCH", answer.status.name, answer.text)
        fetched = answers.take()
        if missing := set(asked) - answers.told_uids():
            found = await self.search(b"UID " + uid_set(missing))
            fetched += await self._fetch_singly(missing if found is None else missing & found)
        return await self._with_bare(fetched, answers)

    async def _fetch_singly(self, uids: set[int]) -> list[Fetched]:
        """One by one what a batch did not tell of; by UID alone what has no header at all."""
        fetched = []
        for uid in sorted(uids):
            answers = Answers((uid,), 1)
            for items in (self._all_items, LEAST_FIELDS, WHOLE_FIELDS):
                if not answers.uids():
                    await self._fetch_items(b"%d" % uid, items, answers)
            if not answers.told_uids():
                await self._fetch_items(b"%d" % uid, NO_FIELDS, answers)
            fetched += answers.take() or [answers.told(uid)]
        return fetched

    async def _ask(self, uids: bytes, answers: Answers) -> Tagged:
        """Fetch these; with fewer items from now on if the server does not know them all."""
        answer = await self._fetch_items(uids, self._items, answers)
        while answer.status is Status.BAD and (items := fewer(self._items)) is not None:
            self._items = items
            answer = await self._fetch_items(uids, self._items, answers)
        return answer

    def _fetch_items(self, uids: bytes, items: bytes, answers: Answers) -> Deferred[Tagged]:
        return self._run(Command("UID FETCH", uids + b" " + items, collect=answers))

    async def search(self, criteria: bytes) -> set[int] | None:
        """Which of these there are; None if the server does not say so in words that we know."""
        found: set[int] = set()
        is_readable = True

        def collect(response: Response) -> None:
            nonlocal is_readable
            numbers: Iterable[int] = ()
            if isinstance(response, Unparsed):
                is_readable = is_readable and response.kind not in ("SEARCH", "ESEARCH")
            elif isinstance(response, SearchResult):
                numbers = response.numbers
            elif isinstance(response, ESearchResult):
                numbers = response.everything or ()
            found.update(islice(numbers, _MOST_FOUND - len(found)))

        answer = await self._run(Command("UID SEARCH", criteria, collect=collect))
        return found if answer.status is Status.OK and is_readable else None

    def _refused(self, command: str, status: str, said: str) -> CommandRefused:
        return CommandRefused(peer=self._peer, command=command, status=status, said=said)


class _Backlog:
    """What a SEARCH found and no FETCH has brought yet.

    Args:
        uids: ascending.
        first_uid: nothing that was there from here on is missing in `uids`.
        below: the sequence number of the last message before them, if certain.
    """

    __slots__ = ("_first_uid", "_uids", "below")

    def __init__(self, uids: list[int], first_uid: int, below: int | None) -> None:
        self._uids = uids
        self._first_uid = first_uid
        self.below = below

    def serves(self, first_uid: int) -> bool:
        """Whether a fetch from this UID on goes on where the last one ended."""
        return bool(self._uids) and self._first_uid <= first_uid <= self._uids[0]

    def take(self, most: int) -> list[int]:
        """The next UIDs; empty at the end."""
        taken, self._uids = self._uids[:most], self._uids[most:]
        if taken:
            self._first_uid = taken[-1] + 1
            self.below = None if self.below is None else self.below + len(taken)
        return taken
