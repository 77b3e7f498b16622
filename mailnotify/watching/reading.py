"""What one session does for its mailboxes: examine them, journal what is new, listen.

This is the straight line of the work; when it happens, and what happens after
a failure, is the watcher's business. One mailbox, the home, is open while we
listen. Another one that has something new is visited: opened and read; and then
the home is opened again, so that nothing that came meanwhile is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import CommandRefused
from mailnotify.imap.responses import ListItem, NumberSet
from mailnotify.imap.surveying import key
from mailnotify.interfaces import IMailSession
from mailnotify.watching.agenda import Agenda
from mailnotify.watching.census import Census
from mailnotify.watching.intake import Intake
from mailnotify.watching.looking_back import look_back
from mailnotify.watching.place import Place

_MOST_TRIED = 10
"""Mailboxes that may be listed and not be read; there can be thousands."""


class Reading:
    """One session at work on the mailboxes of one connection.

    Call `examine`, then `catch_up` at every hint, and `poll` at an interval.

    Args:
        places: the first one is the home: the mailbox that is open while we listen.
        is_notified: the server is to tell of the others; else they are swept.
        census: if patterns bring mailboxes.

    Attributes:
        home: the mailbox that is open while we listen.
        is_misled: the last check said that there is more, and there was nothing.
    """

    _log = Logger()

    def __init__(
        self,
        session: IMailSession,
        places: Sequence[Place],
        clock: IReactorTime,
        *,
        is_notified: bool = False,
        census: Census | None = None,
    ) -> None:
        self.session = session
        self._census = census
        self._missed: set[Place] = set()
        self.home = places[0]
        self._places = {key(each.mailbox): each for each in places}
        self._clock = clock
        self._is_notified = is_notified
        self._open: Place | None = None
        self._entered = self.home
        self._intake = Intake(session, clock)
        self._agenda = Agenda(clock)
        self._is_listening = False
        self._changed: Callable[[], None] = lambda: None
        self._compared_uidnext = 0
        self.is_misled = False

    @property
    def is_told(self) -> bool:
        """Whether the server tells of news in all mailboxes, without being asked."""
        return "IDLE" in self.session.capabilities and (self._is_notified or not self._names())

    async def examine(self) -> None:
        """Look at all mailboxes and open the home; on first sight remember where one ends.

        Raises:
            PeerError: the session is of no more use.
            JournalUnwritable: a first cursor could not be stored.
        """
        await self.session.follow(self._told)
        if self._census is not None:
            self.session.hear_names(self._census.told)
        statuses: Mapping[str, MailboxStatus] = {}
        names = self._names()
        if self._is_notified:
            statuses = await self._be_notified()
        elif names:
            statuses = await self.session.survey(names)
        self._note(statuses)
        await self._open_home(statuses)
        self._agenda.add(self.home)
        self._agenda.admit()

    async def catch_up(self, changed: Callable[[], None]) -> None:
        """Journal all that is new; from the first time on, `changed` tells of more."""
        self._changed = changed
        await self._look_after_held()
        if self._is_look_due:
            await self._look()
        while (place := self._agenda.take(self.home, is_away=self._is_away)) is not None:
            await self._visit(place)
        if self._census is not None:
            self._census.remember()
        if not self._is_listening:
            self._is_listening = True
            if self._census is not None:
                self.session.hear_names(partial(self._hear_name, changed))
            await self.session.listen(partial(self._hear, changed))

    async def poll(self) -> bool:
        """Ask once, in one round trip; whether a mailbox has more than the server tells."""
        if self._is_notified or not self._names():
            await self.session.poll()
        else:
            self._note(await self.session.survey(self._names()))
        if self.session.has_changed:
            self._agenda.add(self.home)
        return self._agenda.admit() or self._is_look_due

    async def compare(self) -> bool:
        """Whether the server has more than it hinted at, in all mailboxes."""
        self._agenda.begin_check()
        for place in self._places.values():
            if place.refusal is not None:
                self._agenda.add(place)
        if names := self._names():
            statuses = await self.session.survey(names)
            before = self._agenda.waiting
            self._note(statuses)
            if self._is_notified:
                self._agenda.found(before)
            self._agenda.admit()
        return await self._compare_home()

    async def compare_home(self) -> bool:
        """Whether the open mailbox has more than the server hinted at."""
        self._agenda.begin_check()
        return await self._compare_home()

    async def _compare_home(self) -> bool:
        """Compare with its STATUS; each UIDNEXT is a reason once.

        A UIDNEXT that no fetch reaches is that of a message that is gone already.
        """
        status = await self.session.status()
        if status is not None:
            known, self._compared_uidnext = self._compared_uidnext, status.uidnext
            is_more = status.uidnext > max(self.home.next_uid, known)
            if is_more and not self._agenda.is_hinted(self.home):
                self._agenda.unhinted.add(self.home)
                self._agenda.add(self.home)
        return bool(self._agenda) or self._is_look_due

    async def _be_notified(self) -> Mapping[str, MailboxStatus]:
        """Let the server tell of all mailboxes; how the others stand.

        One that offers that and cannot has shown it now: a mailbox alone goes on without,
        several are shared out anew (`crew`), with the next attempt.
        """
        names = self._names()
        try:
            if self._census is None:
                return await self.session.notify(names)
            brought = [each for each in names if self._places[key(each)].is_brought]
            named = [each for each in names if each not in set(brought)]
            return await self.session.notify(named, brought, self._census.roots)
        except CommandRefused as error:
            if names:
                raise
            self._log.info("{home}: {why} Asking instead.", home=self.home, why=error.explain())
            self._is_notified = False
            return {}

    def _told(self, uids: NumberSet, is_gone: bool) -> None:
        if self.session.mailbox != self._entered.mailbox:
            return  # of one that was opened to learn its id; it is told again when we read it
        self._entered.told(uids, is_gone=is_gone)
        if self._entered.held:
            self._changed()

    async def _look_after_held(self) -> None:
        """All messages of a mailbox are gone: is it empty, or not there any more?"""
        held = {each.mailbox: each for each in self._places.values() if each.held}
        if not held or self._census is None:
            return
        statuses = await self.session.survey(list(held))
        for mailbox, place in held.items():
            if mailbox in statuses:
                place.release()
            else:
                self._census.want()

    # -- which mailboxes there are

    @property
    def _is_look_due(self) -> bool:
        return self._census is not None and self._census.is_due

    async def _look(self) -> None:
        """Take up what has come, and let go of what is gone."""
        assert self._census is not None
        places = {
            key(each.mailbox): each for each in await self._census.look(self.session, self.home)
        }
        if self._open is None or self.session.mailbox != self._open.mailbox:
            self._open, self._is_listening = None, False  # to look may have opened another one
        if places == self._places:
            return
        before, self._places = self._places, places
        gone = {each for each in before.values() if places.get(key(each.mailbox)) is not each}
        self._agenda.forget(gone)
        self._missed -= gone
        come = [name for name, each in places.items() if before.get(name) is not each]
        if come := [places[name].mailbox for name in come]:
            self._note(await self.session.survey(come), come)

    def _hear_name(self, changed: Callable[[], None], item: ListItem) -> None:
        if self._census is not None and self._census.told(item):
            changed()

    def _refuse(self, place: Place, error: CommandRefused) -> None:
        """It cannot be opened; what a pattern has brought may be gone, so we look first.

        What it was to be looked at for is still a reason to do so.
        """
        self._agenda.forget((place,))
        if self._census is None or not place.is_brought or place in self._missed:
            place.refused(error)
        else:
            self._missed.add(place)
            self._census.want()

    # -- which mailbox is next

    def _names(self) -> list[str]:
        return [each.mailbox for each in self._places.values() if each is not self.home]

    @property
    def _is_away(self) -> bool:
        return self._open is not self.home

    def _hear(
        self, changed: Callable[[], None], mailbox: str, status: MailboxStatus | None
    ) -> None:
        place = self._places.get(key(mailbox))
        if place is None and self._census is not None and self._census.saw(mailbox):
            changed()
        if place is None:
            return
        if status is None:
            self._agenda.add(place)
        elif not self._agenda.hear(place, status):
            if self._agenda.admit():
                changed()
            return
        self._agenda.hint(place)
        changed()

    def _note(
        self, statuses: Mapping[str, MailboxStatus], mailboxes: Sequence[str] | None = None
    ) -> None:
        """Let those wait that deserve to be opened.

        Args:
            mailboxes: that were asked about; default: all but the home.
        """
        first: list[tuple[Place, MailboxStatus]] = []
        for mailbox in self._names() if mailboxes is None else mailboxes:
            place, status = self._places[key(mailbox)], statuses.get(mailbox)
            if status is None:
                # Only an attempt to open it shows what its server has to say.
                if place.refusal is None:
                    self._agenda.add(place)
                continue
            is_known = status.uidvalidity and status.uidnext > status.exists  # else a lie
            if place.cursor is None and is_known and not (place.is_new and status.uidnext > 1):
                first.append((place, status))
            elif place.refusal is not None:
                self._agenda.add(place)
            else:
                self._agenda.hear(place, status)
        if self._census is not None and first:
            self._census.begin(first)
        for place, status in first:
            if self._census is None:
                place.begin(status)
            self._agenda.hear(place, status)

    # -- one mailbox

    async def _open_home(self, statuses: Mapping[str, MailboxStatus]) -> None:
        """The first mailbox that can be opened: a missing one must not hide the others."""
        refused: dict[Place, CommandRefused] = {}
        there = {self.home.mailbox, *statuses}
        places = sorted(self._places.values(), key=lambda each: each.mailbox not in there)
        for place in places[: len(statuses) + _MOST_TRIED]:
            try:
                await self._enter(place)
            except CommandRefused as error:
                refused[place] = error
                continue
            self.home = place
            for each, reason in refused.items():
                self._refuse(each, reason)
            return
        raise refused[self.home]

    async def _visit(self, place: Place) -> None:
        """Open a mailbox if it is not, and read what is new."""
        if place is not self._open:
            try:
                await self._enter(place)
            except CommandRefused as error:
                if place is self.home:
                    raise
                self._refuse(place, error)
                return
        await self._read(place)
        await look_back(self.session, place, self._clock)

    async def _enter(self, place: Place) -> None:
        self._open, self._is_listening = None, False
        self._entered = place
        place.prepare()
        status = await self.session.examine(place.mailbox, place.cursor, place.known())
        self._open = place
        await self._intake.begin(place, status)
        place.looked()
        self._missed.discard(place)

    async def _read(self, place: Place) -> None:
        count = await self._intake.read(place)
        if self.session.has_changed:
            await self.session.inquire(place.known())
        if place in self._agenda.unhinted:
            self._agenda.unhinted.remove(place)
            self.is_misled = not count
            self._tell_missed(place, count)

    def _tell_missed(self, place: Place, count: int) -> None:
        if count:
            self._log.warn(
                "{place}: {count} new without a hint of the server, found by a check;"
                " {total} since the start",
                place=place,
                count=count,
                total=place.witness.missed(count),
            )
