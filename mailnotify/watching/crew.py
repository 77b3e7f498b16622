"""The watchers of one account: as many as its mailboxes need and its server takes.

The first one connects, and what its server can do decides how the mailboxes are
shared out (`planning`). Then come the others. A server that says "too many
connections" is taken at its word: the last watcher leaves, and the one before
it sweeps its mailboxes too, so that none is ever without eyes. Once in a while
one more is tried again, since such limits count the connections of others as well.

Where patterns bring mailboxes (`roster`), the first watcher looks for what has come
and gone before it shares out, and again whenever it is time. It takes up changes of
its own share as it goes; the others begin anew with theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import CommandRefused, PeerError
from mailnotify.imap.responses import ListItem
from mailnotify.interfaces import IMailSession
from mailnotify.watching.crowding import is_crowded
from mailnotify.watching.place import Place
from mailnotify.watching.planning import Group, arrange, share_out
from mailnotify.watching.reading import Reading
from mailnotify.watching.roster import Roster
from mailnotify.watching.watcher import Watcher
from mailnotify.watching.witness import Witness

PATIENCE_SECONDS = 5.0
"""After the last of several refusals what was learned of them is said, once."""

ROOM_SECONDS = 1.0
"""After which a server should have noticed that somebody has left."""

REGROW_SECONDS = 3600.0
"""After this a server that found us too many is asked for one connection more."""

_MOST_NAMED = 3

OpenSession = Callable[[], Awaitable[IMailSession]]
"""Connects and logs in; raises a `PeerError` or `OperatorError`."""


class Crew(MultiService):
    """Watches all mailboxes of one account.

    Args:
        places: the mailboxes that are named, the most important first.
        roster: what patterns bring besides.
        open_session: connects and logs in.
        make_watcher: gives a watcher for a seat.
        most_connections: a budget, at least one.
        clock: measures patience.

    Attributes:
        account: whose they are.
    """

    _log = Logger()

    def __init__(
        self,
        places: Sequence[Place],
        open_session: OpenSession,
        make_watcher: Callable[[Seat], Watcher],
        *,
        most_connections: int,
        clock: IReactorTime,
        roster: Roster | None = None,
    ) -> None:
        super().__init__()
        self._named = {each.mailbox: each for each in places}
        self._places = self._named
        self._roster = roster
        self.account = places[0].account if roster is None else roster.account
        self._open_session = open_session
        self._make_watcher = make_watcher
        self._budget = self._most = most_connections
        self._clock = clock
        self._capabilities: Set[str] = frozenset()
        self._groups: tuple[Group, ...] = (Group(mailboxes=tuple(self._places)),)
        self._seats: list[Seat] = []
        self._telling: IDelayedCall | None = None
        self._regrowing: IDelayedCall | None = None
        self._add()

    def startService(self) -> None:
        """As in the base class, but a watcher that starts may bring or dismiss others."""
        Service.startService(self)
        self._regrow_later()
        for each in list(self):
            if each.parent is self and not each.running:
                each.startService()

    def stopService(self) -> Deferred[object]:
        """As in the base class."""
        self._tell_later(None)
        regrowing, self._regrowing = self._regrowing, None
        if regrowing is not None:
            regrowing.cancel()
        stopped: Deferred[object] = super().stopService()
        return stopped

    def check(self) -> None:
        """See after all connections now: the machine has slept."""
        for seat in self._seats:
            seat.watcher.check()

    # -- what a seat asks

    async def begin(self, seat: Seat) -> Reading:
        """Open a session for this seat, and say what it is to do."""
        session = await self._open(seat)
        if seat is self._seats[0]:  # what its server can do holds for all
            self._capabilities = session.capabilities
            await self._look_first(session)
            self._share_out(asking=seat)
        seat.group = self._groups[self._seats.index(seat)]
        return Reading(
            session,
            self.places(seat),
            self._clock,
            is_notified=seat.group.is_notified,
            census=None if self._roster is None else Rounds(self, seat, self._roster),
        )

    async def _open(self, seat: Seat) -> IMailSession:
        """Open a session; where it is one too many, wait until there is room or none needed."""
        while True:
            try:
                session = await self._open_session()
            except PeerError as error:
                if not (is_crowded(error) and self._is_lesson(seat)):
                    raise
                await deferLater(self._clock, ROOM_SECONDS)  # it may be dismissed meanwhile
            else:
                seat.is_replacing = False
                return session

    def places(self, seat: Seat) -> list[Place]:
        """What this seat watches, or is going to."""
        group = self._groups[min(seat.number, len(self._groups) - 1)]
        return [self._places[each] for each in group.mailboxes if each in self._places]

    def witnesses(self, seat: Seat) -> list[Witness]:
        """Who hears of this seat's failures."""
        found = [each.witness for each in self.places(seat)]
        if self._roster is not None and seat.number == 0:
            found.append(self._roster.witness)
        return found

    def refused(self, seat: Seat) -> list[Witness]:
        """Who of these stays in the dark, although the server lets this seat see."""
        found = [each.witness for each in self.places(seat) if each.refusal is not None]
        if self._roster is not None and self._roster.refusal is not None:
            found.append(self._roster.witness)
        return found

    # -- what patterns bring

    async def _look_first(self, session: IMailSession) -> None:
        """See what there is; a session of which nothing comes is not left open."""
        if self._roster is None:
            return
        try:
            await self._look(session, self._roster)
        except BaseException:
            session.abort()
            raise
        self._take_places()

    async def _look(self, session: IMailSession, roster: Roster) -> bool:
        """See what there is; what is watched already does not depend on it."""
        try:
            return await roster.look(session)
        except CommandRefused as error:
            if not self._places:
                raise
            roster.refused(error)
            return False

    async def look(self, seat: Seat, session: IMailSession, home: Place) -> Sequence[Place]:
        """What this seat is to see from now on; it begins anew if that is not with its home."""
        assert self._roster is not None
        before = self.places(seat)
        if await self._look(session, self._roster):
            self._take_places()
            self._share_out(asking=seat)
        places = self.places(seat)
        group = self._groups[seat.number]
        if (
            home in places
            and seat.group is not None
            and seat.group.is_notified == group.is_notified
        ):
            seat.group = group
            return places
        self._clock.callLater(0, seat.restart)
        return before

    def _take_places(self) -> None:
        """What is named comes first, then what was brought, in the order of its coming."""
        assert self._roster is not None
        self._places = {**self._named, **self._roster.places}

    # -- more and fewer

    def _is_lesson(self, seat: Seat) -> bool:
        """Those who were let in, or are under way, are as many as there can be.

        But not if this one has just given up another connection, which may count still.
        """
        is_replacing, seat.is_replacing = seat.is_replacing, False
        if is_replacing or len(self._groups) == 1:
            return is_replacing
        seat.is_refused = True
        self._most = max(sum(not each.is_refused for each in self._seats), 1)
        self._tell_later(PATIENCE_SECONDS)
        self._regrow_later()
        # The seat that was refused is in the middle of its attempt.
        self._clock.callLater(0, self._share_out)
        return True

    def _tell_later(self, seconds: float | None) -> None:
        if self._telling is not None and self._telling.active():
            self._telling.cancel()
        self._telling = None if seconds is None else self._clock.callLater(seconds, self._tell)

    def _tell(self) -> None:
        self._log.info(
            "the server of {account} takes no more than {count} connections of ours now",
            account=self.account,
            count=self._most,
        )

    def _regrow_later(self) -> None:
        if self._regrowing is None and self._most < self._budget:
            self._regrowing = self._clock.callLater(REGROW_SECONDS, self._regrow)

    def _regrow(self) -> None:
        self._regrowing = None
        self._most += 1
        self._regrow_later()
        self._share_out()

    def _share_out(self, asking: Seat | None = None) -> None:
        """Let as many watchers work as there are groups, each on its own."""
        groups = share_out(self._capabilities, tuple(self._places), self._most)
        self._groups = arrange(groups, [each.group for each in self._seats])
        while len(self._seats) > len(self._groups):
            self._seats.pop().watcher.disownServiceParent()
        for seat in self._seats:
            seat.is_refused = False  # there should be room now
        for seat, group in zip(self._seats, self._groups, strict=False):
            if seat.group not in (None, group) and seat is not asking:
                seat.restart()
        while len(self._seats) < len(self._groups):
            self._add()

    def _add(self) -> None:
        seat = Seat(self, len(self._seats))
        seat.watcher = self._make_watcher(seat)
        self._seats.append(seat)
        seat.watcher.setServiceParent(self)


class Seat(Witness):
    """One watcher's place in a crew; hears for all mailboxes that it watches.

    Attributes:
        group: what its last session was told to do.
        watcher: who sits here.
        is_refused: the server had no room for it.
        is_replacing: it gave up another connection, which the server may count still.
    """

    watcher: Watcher

    def __init__(self, crew: Crew, number: int) -> None:
        self._crew = crew
        self.number = number
        self.group: Group | None = None
        self.is_refused = self.is_replacing = False

    def __str__(self) -> str:
        seen = [each for each in self._places if each.refusal is None]
        names = [str(each) for each in seen or self._places] or [self._crew.account]
        rest = len(names) - _MOST_NAMED
        return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")

    async def begin(self) -> Reading:
        """Open a session, and say what it is to do."""
        return await self._crew.begin(self)

    def restart(self) -> None:
        """Let the session go; the next one has other mailboxes."""
        self.group = None
        self.is_replacing = True
        self.watcher.stopService().addCallback(self._start_again)

    def _start_again(self, _: None) -> None:
        if self.watcher.parent is not None and self._crew.running:
            self.watcher.startService()

    # -- as a witness

    @property
    def _places(self) -> list[Place]:
        return self._crew.places(self)

    def proved(self) -> None:
        refused = self._crew.refused(self)
        for witness in self._crew.witnesses(self):
            if witness not in refused:
                witness.proved()

    def failed(self, error: BaseException) -> None:
        for witness in self._crew.witnesses(self):
            witness.failed(error)

    def checked(self) -> None:
        for place in self._places:
            place.witness.checked()


class Rounds:
    """A seat's part in looking for mailboxes; see `mailnotify.watching.census.Census`."""

    def __init__(self, crew: Crew, seat: Seat, roster: Roster) -> None:
        self._crew = crew
        self._seat = seat
        self._roster = roster

    @property
    def roots(self) -> Sequence[str]:
        return self._roster.roots

    @property
    def is_due(self) -> bool:
        return self._seat.number == 0 and self._roster.is_due

    def told(self, item: ListItem) -> bool:
        return self._roster.told(item) and self.is_due

    def saw(self, mailbox: str) -> bool:
        return self._roster.saw(mailbox) and self.is_due

    def want(self) -> None:
        self._roster.want()

    async def look(self, session: IMailSession, home: Place) -> Sequence[Place]:
        return await self._crew.look(self._seat, session, home)

    def begin(self, found: Sequence[tuple[Place, MailboxStatus]]) -> None:
        self._roster.begin(found)

    def remember(self) -> None:
        self._roster.remember()
