"""Where events become entries, and entries find their readers.

`Hub.accept` journals events, keeps the newest entries encoded in the `Tail`, and
pokes whoever reads. A poke says only "there may be more": a `Reader` is a number,
the position after which it wants to read, and takes entries when its connection
has room for them. So live delivery and resuming after a week are the same code,
and a slow reader costs no buffer.

Nothing is poked before it is durable. What cannot be shown any more is told: a
position that is older than what is kept, of another epoch, or ahead of the head
leads to a `Gap`, at the start of a subscription as well as in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from twisted.logger import Logger

from mailnotify.core.copies import Copy
from mailnotify.core.events import Entry, Event, Position
from mailnotify.core.frames import Edge, Gap, Lacking, Since
from mailnotify.core.sync import CursorMove
from mailnotify.interfaces import IJournal, IPokable


class Page:
    """What a reader is to be shown next; shared by all readers at the same position.

    Attributes:
        copies: the next entries; none if the reader has all there are.
        position: where the reader stands after them.
        has_more: whether entries follow that are there already.
        gap: what it has to be told before them.
    """

    __slots__ = ("_plain", "copies", "gap", "has_more", "position")

    def __init__(
        self, copies: Sequence[Copy], after: Position, head_seq: int, gap: Gap | None = None
    ) -> None:
        self.copies = copies
        self.position = after
        self.gap = gap
        self._plain: bytes | None = None
        if copies:
            self.position = Position(epoch=after.epoch, seq=copies[-1].entry.seq)
        self.has_more = self.position.seq < head_seq

    @property
    def plain(self) -> bytes:
        """All plain lines together, joined once for everybody."""
        if self._plain is None:
            self._plain = b"".join([copy.plain for copy in self.copies])
        return self._plain


class Tail:
    """The newest entries of the journal, encoded at most once.

    Args:
        size: so many entries at least are kept, and less than twice as many.
        head: where the journal ends now.
    """

    def __init__(self, size: int, head: Position) -> None:
        self._size = size
        # Live readers mostly stand at one position: the page made for one serves the next.
        self._latest: tuple[Position, int, Page] | None = None
        self._restart(head.epoch, head.seq + 1)

    def remember(self, epoch: str, entries: Sequence[Entry]) -> None:
        """Append entries; if they do not follow the last one, begin anew with them."""
        next_seq = self._first_seq + len(self._copies)
        if epoch != self._epoch or entries[0].seq != next_seq:
            self._restart(epoch, entries[0].seq)
        self._copies += [Copy(entry, epoch) for entry in entries]
        self._latest = None
        surplus = len(self._copies) - self._size
        if surplus >= self._size:
            del self._copies[:surplus]
            self._first_seq += surplus

    def after(self, position: Position, most: int) -> Page | None:
        """Up to `most` entries after a position, or None if some of them are not here."""
        if self._latest is not None and self._latest[:2] == (position, most):
            return self._latest[2]
        begin = position.seq + 1 - self._first_seq
        if position.epoch != self._epoch or not 0 <= begin <= len(self._copies):
            return None
        head_seq = self._first_seq + len(self._copies) - 1
        page = Page(self._copies[begin : begin + most], position, head_seq)
        self._latest = position, most, page
        return page

    def _restart(self, epoch: str, first_seq: int) -> None:
        self._epoch = epoch
        self._first_seq = first_seq
        self._copies: list[Copy] = []
        self._latest = None


class Hub:
    """Journal, remember, poke.

    Args:
        journal: the durable order of events; nobody else appends to it.
        now: the time in UTC, for the entries.
        tail_size: how many entries are kept encoded; readers within them never
            touch the journal.
    """

    _log = Logger()

    def __init__(
        self, journal: IJournal, now: Callable[[], datetime], tail_size: int = 500
    ) -> None:
        self._journal = journal
        self._now = now
        self._tail = Tail(tail_size, self.head)
        self._pokables: dict[IPokable, None] = {}

    @property
    def head(self) -> Position:
        """The position of the newest entry."""
        return Position(epoch=self._journal.epoch, seq=self._journal.head)

    @property
    def oldest(self) -> Position:
        """The position just before the oldest entry that is kept."""
        return Position(epoch=self._journal.epoch, seq=self._journal.oldest - 1)

    def accept(
        self,
        events: Sequence[Event],
        move: CursorMove | None = None,
        *,
        announce_copies: bool = False,
    ) -> Sequence[Entry]:
        """Journal events with the cursor that covers them, then poke every reader.

        Args:
            announce_copies: see `IJournal.append`.

        Returns:
            The new entries; mail that was known is left out.

        Raises:
            JournalUnwritable: nothing was stored and nobody was poked; try again.
        """
        entries = self._journal.append(events, move, self._now(), announce_copies=announce_copies)
        if entries:
            self._tail.remember(self._journal.epoch, entries)
            self._poke()
        return entries

    def attach(self, pokable: IPokable) -> None:
        """Poke this one from now on whenever there is more."""
        self._pokables[pokable] = None

    def detach(self, pokable: IPokable) -> None:
        """Poke this one no longer."""
        self._pokables.pop(pokable, None)

    def resolve(self, since: Since) -> Position:
        """The position that a subscriber means; it need not be one that is kept."""
        if isinstance(since, Edge):
            return self.head if since is Edge.NOW else self.oldest
        if isinstance(since, datetime):
            return Position(epoch=self._journal.epoch, seq=self._journal.seq_before(since))
        return since

    def reader(self, since: Since) -> Reader:
        """A reader that begins there; if that cannot be, its first page says so."""
        return Reader(self, self.resolve(since))

    def read(self, position: Position, most: int) -> Page:
        """Entries after a position: from the tail if it reaches back so far, or the journal.

        Raises:
            JournalUnreadable: the journal is damaged.
        """
        page = self._tail.after(position, most)
        if page is not None:
            return page
        gap = self._gap_after(position)
        begin = gap.to if gap else position
        copies = [Copy(entry, begin.epoch) for entry in self._journal.read(begin.seq, most)]
        return Page(copies, begin, self._journal.head, gap)

    def _gap_after(self, asked: Position) -> Gap | None:
        """What is lacking after a position that may be no place in this journal."""
        if asked.epoch != self._journal.epoch:
            return Gap(since=asked, to=self.oldest, reason=Lacking.EPOCH)
        if asked.seq < self._journal.oldest - 1:
            return Gap(since=asked, to=self.oldest, reason=Lacking.EXPIRED)
        if asked.seq > self._journal.head:
            return Gap(since=asked, to=self.head, reason=Lacking.AHEAD)
        return None

    def _poke(self) -> None:
        for pokable in tuple(self._pokables):
            try:
                pokable.poke()
            except Exception:
                # The entry is durable and others wait for it: this one's trouble is its own.
                self._log.failure("a reader failed when it was poked; the others go on")


class Reader:
    """A position in the journal that moves by `pull`."""

    __slots__ = ("_hub", "position")

    def __init__(self, hub: Hub, position: Position) -> None:
        self._hub = hub
        self.position = position

    def pull(self, most: int) -> Page:
        """The next entries, at most so many, and the gap before them if there is one.

        Raises:
            JournalUnreadable: the journal is damaged; the position stays.
        """
        page = self._hub.read(self.position, most)
        self.position = page.position
        return page
