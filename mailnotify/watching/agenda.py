"""Which mailboxes of one connection wait to be looked at, and why.

One waits because there may be something new in it: that is looked at now. Or because
known messages in it were read or removed by another client, of which STATUS shows no more
than that something has changed (`freshness`). Or because nobody has looked at what lay in it
before (`looking_back`). For that nobody is kept waiting: few are opened between two
moments of listening, and each once in a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from mailnotify.core.sync import MailboxStatus, has_news
from mailnotify.watching.place import Place

MOST_STALE: Final = 5
"""Opened in one go, away from the home; at 100 ms a round trip that is two seconds."""

_MOST_LOOKED_INTO: Final = 50
"""What one mailbox's STATUS said; more than that has not been said by mistake."""

_Said = tuple[int, int, int]


class Agenda:
    """What one connection has to look at.

    Args:
        clock: measures how long ago a mailbox was looked at.

    Attributes:
        unhinted: of these only a check has found that they deserve it.
    """

    __slots__ = ("_clock", "_hinted", "_looked_into", "_stale", "_waiting", "unhinted")

    def __init__(self, clock: IReactorTime) -> None:
        self.unhinted: set[Place] = set()
        self._clock = clock
        self._waiting: dict[Place, None] = {}
        self._looked_into: dict[Place, set[_Said]] = {}
        self._stale: dict[Place, None] = {}
        self._hinted: dict[Place, None] = {}  # an empty set has 200 bytes

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._waiting)

    # -- who waits

    def add(self, place: Place) -> None:
        """There may be something new in this one."""
        self._waiting[place] = None

    def hear(self, place: Place, status: MailboxStatus) -> bool:
        """What a server says of a mailbox that is not open; whether that may be new mail."""
        place.freshness.hear(status)
        if self._is_reason(place, status):
            self.add(place)
            return True
        if place not in self._stale and (place.is_stale(status) or _is_unknown(place, status)):
            self._stale[place] = None
        return False

    def admit(self) -> bool:
        """Let those wait, too, in which messages were read or removed, if it is their turn."""
        now = self._clock.seconds()
        room = MOST_STALE - sum(each in self._stale for each in self._waiting)
        for place in self._stale:
            if room > 0 and place not in self._waiting and place.freshness.is_due(now):
                self._waiting[place] = None
                room -= 1
        return bool(self._waiting)

    def take(self, home: Place, *, is_away: bool) -> Place | None:
        """Who is looked at next: the home first, and last, so that we listen to it."""
        place = home if home in self._waiting or is_away else None
        if place is None or (is_away and self._waiting):
            place = next(iter(self._waiting), None)
        if place is None:
            return None
        self._waiting.pop(place, None)
        if place in self._stale:
            del self._stale[place]
            place.freshness.begin(self._clock.seconds())
        return place

    def forget(self, places: Iterable[Place]) -> None:
        """These are gone, or cannot be opened: what is heard of them counts anew."""
        gone = set(places)
        for each in gone:
            self._waiting.pop(each, None)
            self._looked_into.pop(each, None)
            self._stale.pop(each, None)
        self.unhinted -= gone

    def _is_reason(self, place: Place, status: MailboxStatus) -> bool:
        """Whether this deserves a look, which each STATUS does once.

        Where the last message was removed before we saw it, it stays as it is; and
        some servers say one, true or not, with every answer.
        """
        said = (status.uidvalidity, status.uidnext, status.exists)
        looked_into = self._looked_into.setdefault(place, set())
        if status.is_of_flags or said in looked_into or not has_news(place.cursor, status):
            return False
        if len(looked_into) == _MOST_LOOKED_INTO:
            looked_into.clear()
        looked_into.add(said)
        return True

    # -- who has told us

    @property
    def waiting(self) -> frozenset[Place]:
        """All who wait now."""
        return frozenset(self._waiting)

    def begin_check(self) -> None:
        """From now on it is of interest who tells by himself."""
        self._hinted.clear()

    def hint(self, place: Place) -> None:
        """The server has told of this one by itself."""
        self._hinted[place] = None

    def is_hinted(self, place: Place) -> bool:
        """Whether it has, since the check began."""
        return place in self._hinted

    def found(self, before: frozenset[Place]) -> None:
        """Those who wait now, and did not before, were found by the check unless told of."""
        self.unhinted.update(self.waiting - before - self._hinted.keys())


def _is_unknown(place: Place, status: MailboxStatus) -> bool:
    """Whether nobody has looked at what lies there."""
    return status.exists > 0 and place.cursor is not None and place.lacks_past
