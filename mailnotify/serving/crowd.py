"""The subscribers who have had everything so far: one look at the journal for all.

To look for what is new costs as much as to send it, and nearly all subscribers
stand at the same place, the end. So they stand there together: the crowd has one
position, a page is judged once for each distinct wish, and each member costs one
write. Lines are dealt in slices, so that ten thousand members hold up nobody.

What a message costs is mostly the kernel's part of sending it. Of our own part most
is waiting for memory: the kernel's share of ten thousand connections fills the caches,
and every object that is looked at has to be fetched again. So those who are shown the
same stand in a list of what sends to them, which is kept from message to message as
long as nobody comes or goes.

Whoever is not as simple as that leaves with his position and goes on alone: one
who speaks, who does not read, who would be sent too much at once; and all of
them, when something is missing. Who has caught up comes back. The crowd only
saves work: without it nobody would miss anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from mailnotify.core.events import Event, Position
from mailnotify.core.frames import Subscribe
from mailnotify.errors import JournalUnreadable
from mailnotify.hub import Hub, Page

PAGE_ENTRIES: Final = 100
"""The most of a page: one of the journal takes about a millisecond, then others have a turn."""

PAGE_BYTES: Final = 65536
"""No page sends much more, so that a subscriber who stops reading costs no more than this."""

_PAGES: Final = (PAGE_ENTRIES, PAGE_ENTRIES // 10, 1)
"""What is tried until nobody would be sent too much; one entry never is."""


class SomePlain(NamedTuple):
    """Plain lines, but only those of what is asked for here."""

    asked: Subscribe


Wish = Subscribe | SomePlain | None
"""What one is shown; None: all plain lines. Equal wishes are served with the same bytes."""

Topic = tuple[type, str, str, object]
"""See `topic_of`."""

Verdict = tuple[bool, ...]
"""Whether events are shown, not plain lines; and for each topic of a page, whether it is."""

Write = Callable[[bytes], int | None]
"""Sends to one member what he takes at once: so many bytes; None if no rest has to be sent."""

_Member = TypeVar("_Member", bound=Hashable)


class Place(NamedTuple):
    """Where a member stands when he leaves.

    Attributes:
        position: what follows it he has not had.
        told: the last position that the crowd has told him; seq 0 if it has told none.
    """

    position: Position
    told: Position


class Hand(NamedTuple, Generic[_Member]):
    """What is given out in one go.

    Attributes:
        lines: for each of the members; None: they have to `leave`, and find out by themselves.
        members: some of whom may have left meanwhile.
        writes: how to send to them, in the same order; harmless for those who have left.
    """

    lines: bytes | None
    members: Sequence[_Member]
    writes: Sequence[Write]


class _Group(Generic[_Member]):
    """The members with one wish, and what they were told last."""

    __slots__ = ("_judged", "_verdict", "members", "told", "wish")

    def __init__(self, wish: Wish, epoch: str) -> None:
        self.wish = wish
        self.members: dict[_Member, Write] = {}
        self.told = Position(epoch=epoch, seq=0)
        self._judged: Sequence[Topic] | None = None
        self._verdict: Verdict = ()

    def verdict_on(self, topics: Sequence[Topic], events: Iterable[Event]) -> Verdict:
        """Say which of these are wanted; it is judged anew when other topics come."""
        if self._judged is not topics:
            wish = self.wish
            asked = wish.asked if isinstance(wish, SomePlain) else wish
            wanted = [asked is None or asked.wants(each) for each in events]
            self._judged, self._verdict = topics, (isinstance(wish, Subscribe), *wanted)
        return self._verdict


class _Audience(Generic[_Member]):
    """The members who are shown the same, and which of them have not had it yet."""

    __slots__ = ("_begin", "_groups", "_lines", "_members", "_places", "_writes")

    def __init__(self) -> None:
        self._lines: bytes | None = None
        self._groups: list[_Group[_Member]] = []
        self._members: list[_Member] = []
        self._writes: list[Write] = []
        self._begin = 0
        self._places: dict[_Member, int] | None = None

    def add(self, group: _Group[_Member]) -> None:
        """Take in all who have one wish."""
        self._groups.append(group)
        self._members += group.members
        self._writes += group.members.values()

    def lines_of(self, page: Page) -> bytes:
        """What a page means to them."""
        return lines_of(page, self._groups[0].wish)

    def begin(self, lines: bytes, position: Position) -> None:
        """Let everybody wait for these lines, which go up to there."""
        self._lines = lines
        self._begin = 0
        for group in self._groups:
            group.told = position

    @property
    def is_served(self) -> bool:
        """Whether nobody waits."""
        return self._begin >= len(self._members)

    def take(self, most: int) -> Hand[_Member]:
        """Some who wait: they wait no longer."""
        some = slice(self._begin, self._begin + most)
        self._begin += most
        return Hand(self._lines, self._members[some], self._writes[some])

    def strike(self, member: _Member) -> bool:
        """Take out one who waits; return whether he did. Nothing new can begin after that."""
        if self._places is None:
            self._places = {each: place for place, each in enumerate(self._members)}
        place = self._places.pop(member, -1)
        if place < self._begin:
            return False
        self._writes[place] = _keep_silent
        return True


def _keep_silent(_lines: bytes) -> int | None:
    """Stands in the place of one who has left."""
    return None


class Crowd(Generic[_Member]):
    """Those who stand at one position.

    Args:
        hub: where entries come from.
        write_to: finds how to send to a member, when he comes.
    """

    def __init__(self, hub: Hub, write_to: Callable[[_Member], Write]) -> None:
        self._hub = hub
        self._write_to = write_to
        self._position = self._before = hub.head
        self._groups: dict[Wish, _Group[_Member]] = {}
        self._topics: tuple[Topic, ...] = ()
        self._audiences: dict[Verdict, _Audience[_Member]] = {}
        self._waiting: deque[_Audience[_Member]] = deque()
        self._is_behind = False

    def join(self, member: _Member, wish: Wish, position: Position) -> bool:
        """Take one in who stands where the crowd stands; return whether he does.

        Args:
            member: who has no wish here yet.
            wish: what he is shown.
            position: where he stands.
        """
        if not self._groups:
            self._position = position  # nobody is there who could miss anything
        if position != self._position:
            return False
        if wish not in self._groups:
            self._groups[wish] = _Group(wish, position.epoch)
        self._groups[wish].members[member] = self._write_to(member)
        self._audiences = {}
        return True

    def leave(self, member: _Member, wish: Wish) -> Place:
        """Let a member go on alone, from where he stands."""
        group = self._groups[wish]
        del group.members[member]
        if not group.members:
            del self._groups[wish]
        self._audiences = {}
        was_waiting = any(each.strike(member) for each in self._waiting)
        return Place(self._before if was_waiting else self._position, group.told)

    def deal(self, most: int) -> Iterator[Hand[_Member]]:
        """Give out what is new, to about so many members in one call."""
        if not self._waiting:
            self._begin()
        while self._waiting and most > 0:
            audience = self._waiting[0]
            hand = audience.take(most)
            if audience.is_served:
                self._waiting.popleft()
            most -= len(hand.members)
            yield hand

    @property
    def has_more(self) -> bool:
        """Whether `deal` should be called again, even if nothing new comes."""
        return bool(self._waiting) or self._is_behind

    def _begin(self) -> None:
        """Look for what is new, and put down for everybody what he is to be sent."""
        self._before = self._position
        self._is_behind = False
        for most in _PAGES if self._groups else ():
            page = self._look(most)
            if page is None:
                self._disband()
                return
            if not page.copies:
                return
            sheets = [(each, each.lines_of(page)) for each in self._audiences_of(page)]
            if most == 1 or all(len(lines) <= PAGE_BYTES for _, lines in sheets):
                self._put_down(sheets, page.position)
                self._is_behind = page.has_more
                return

    def _put_down(
        self, sheets: Sequence[tuple[_Audience[_Member], bytes]], position: Position
    ) -> None:
        self._position = position
        for audience, lines in sheets:
            if lines:
                audience.begin(lines, position)
                self._waiting.append(audience)

    def _audiences_of(self, page: Page) -> Iterable[_Audience[_Member]]:
        """All members, by what they are shown of a page."""
        events = {topic_of(copy.entry.event): copy.entry.event for copy in page.copies}
        if tuple(events) != self._topics:
            self._topics = tuple(events)
            self._audiences = {}
        if not self._audiences:
            for group in self._groups.values():
                verdict = group.verdict_on(self._topics, events.values())
                self._audiences.setdefault(verdict, _Audience()).add(group)
        return self._audiences.values()

    def _look(self, most: int) -> Page | None:
        """What follows the position, which stays; None if that is not simply a page."""
        try:
            page = self._hub.read(self._position, most)
        except JournalUnreadable:
            return None
        return None if page.gap else page

    def _disband(self) -> None:
        everybody: _Audience[_Member] = _Audience()
        for group in self._groups.values():
            everybody.add(group)
        self._waiting.append(everybody)
        self._audiences = {}


def topic_of(event: Event) -> Topic:
    """All of an event that a wish can look at: who wants one wants all with this topic."""
    priority = getattr(event, "priority", None)
    return type(event), event.account, event.mailbox, priority


def lines_of(page: Page, wish: Wish) -> bytes:
    """What a page means to one who has this wish."""
    if wish is None:
        return page.plain
    if isinstance(wish, SomePlain):
        asked = wish.asked
        return b"".join([copy.plain for copy in page.copies if asked.wants(copy.entry.event)])
    return b"".join([copy.line for copy in page.copies if wish.wants(copy.entry.event)])
