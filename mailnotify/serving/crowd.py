"""The subscribers who have had everything so far: one look at the journal for all.

To look for what is new costs as much as to send it, and nearly all subscribers
stand at the same place, the end. So they stand there together: the crowd has one
position, a page is judged once for each distinct wish, and each member costs one
write. Lines are dealt in slices, so that ten thousand members hold up nobody.

Whoever is not as simple as that leaves with his position and goes on alone: one
who speaks, who does not read, who would be sent too much at once; and all of
them, when something is missing. Who has caught up comes back. The crowd only
saves work: without it nobody would miss anything.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from mailnotify.core.events import Event, Position
from mailnotify.core.frames import Subscribe
from mailnotify.errors import JournalUnreadable
from mailnotify.hub import Hub, Page

PAGE_ENTRIES: Final = 100
"""Entries per page: one of the journal takes about a millisecond, then others have a turn."""

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

_Member = TypeVar("_Member", bound=Hashable)


class Place(NamedTuple):
    """Where a member stands when he leaves.

    Attributes:
        position: what follows it he has not had.
        told: the last position that the crowd has told him; seq 0 if it has told none.
    """

    position: Position
    told: Position


class _Group(Generic[_Member]):
    """The members with one wish, and what they were told last."""

    __slots__ = ("_wish", "judged", "members", "told", "verdict")

    def __init__(self, wish: Wish, epoch: str) -> None:
        self.members: dict[_Member, None] = {}
        self.told = Position(epoch=epoch, seq=0)
        self.judged: Sequence[Topic] = ()
        self.verdict: Verdict = (False,)
        self._wish = wish

    def judge(self, topics: Sequence[Topic], events: Iterable[Event]) -> None:
        """Say which of these are wanted; the verdict is kept until other topics come."""
        wish = self._wish
        asked = wish.asked if isinstance(wish, SomePlain) else wish
        wanted = [asked is None or asked.wants(each) for each in events]
        self.judged, self.verdict = topics, (isinstance(wish, Subscribe), *wanted)


class _Sheet(Generic[_Member]):
    """The same lines for all members who have not had them yet."""

    __slots__ = ("lines", "waiting")

    def __init__(self, lines: bytes | None) -> None:
        self.lines = lines
        self.waiting: dict[_Member, None] = {}

    def take(self, most: int) -> list[_Member]:
        """Some who wait: they wait no longer."""
        taken = list(islice(self.waiting, most))
        if len(taken) == len(self.waiting):
            self.waiting = {}
        else:
            for each in taken:
                del self.waiting[each]
        return taken


class Crowd(Generic[_Member]):
    """Those who stand at one position.

    Args:
        hub: where entries come from.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._position = self._before = hub.head
        self._groups: dict[Wish, _Group[_Member]] = {}
        self._sheets: list[_Sheet[_Member]] = []
        self._topics: tuple[Topic, ...] = ()
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
        self._groups[wish].members[member] = None
        return True

    def leave(self, member: _Member, wish: Wish) -> Place:
        """Let a member go on alone, from where he stands."""
        group = self._groups[wish]
        del group.members[member]
        if not group.members:
            del self._groups[wish]
        for sheet in self._sheets:
            if member in sheet.waiting:
                del sheet.waiting[member]
                return Place(self._before, group.told)
        return Place(self._position, group.told)

    def deal(self, most: int) -> Iterator[tuple[Sequence[_Member], bytes | None]]:
        """Give out what is new: members and the lines for each, to about so many in one call.

        None in place of lines: they have to `leave`, and find out by themselves.
        """
        if not self._sheets:
            self._begin()
        while self._sheets and most > 0:
            members = self._sheets[0].take(most)
            lines = self._sheets[0].lines
            if not self._sheets[0].waiting:
                del self._sheets[0]
            most -= len(members)
            yield members, lines

    @property
    def has_more(self) -> bool:
        """Whether `deal` should be called again, even if nothing new comes."""
        return bool(self._sheets) or self._is_behind

    def _begin(self) -> None:
        """Look for what is new, and put down for everybody what he is to be sent."""
        self._before = self._position
        self._is_behind = False
        if not self._groups:
            return
        for most in _PAGES:
            page = self._look(most)
            if page is None:
                self._disband()
                return
            if self._put_down(page) or most == 1:
                self._position = page.position
                self._is_behind = len(page.copies) == most
                return

    def _put_down(self, page: Page) -> bool:
        """Put down who gets what; return whether it is not too much for anybody."""
        events = {topic_of(copy.entry.event): copy.entry.event for copy in page.copies}
        if tuple(events) != self._topics:
            self._topics = tuple(events)
        topics, position = self._topics, page.position
        sheets: dict[Verdict, _Sheet[_Member]] = {}
        for wish, group in self._groups.items():
            if group.judged is not topics:
                group.judge(topics, events.values())
            sheet = sheets.get(group.verdict)
            if sheet is None:
                sheet = sheets[group.verdict] = _Sheet(lines_of(page, wish))
            if sheet.lines:
                group.told = position
                sheet.waiting.update(group.members)
        self._sheets = [each for each in sheets.values() if each.lines]
        return all(len(each.lines or b"") <= PAGE_BYTES for each in self._sheets)

    def _look(self, most: int) -> Page | None:
        """What follows the position, which stays; None if that is not simply a page."""
        try:
            page = self._hub.read(self._position, most)
        except JournalUnreadable:
            return None
        return None if page.gap else page

    def _disband(self) -> None:
        everybody: _Sheet[_Member] = _Sheet(None)
        for group in self._groups.values():
            everybody.waiting.update(group.members)
        self._sheets = [everybody]


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
