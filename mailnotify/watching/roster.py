"""The mailboxes of an account that its patterns bring, as they come and go.

A pattern is looked into when a connection stands, when the server tells that a name
has changed (NOTIFY), when a mailbox is missed, and at an interval. What is there when
a pattern is looked into for the first time has its mail from before, and begins as any
mailbox does: nothing in it is announced. A mailbox that comes later has come with its
mail, often because a filter made it for a letter. So what arrived in it since its
pattern was last looked into is announced too, in this run of the service or the one
before. That the date of arrival decides, and not the mere presence, is for those who
make a folder and move the mail of years into it.

A mailbox that has got another name keeps its place (`core.renames`). One that is gone
is watched no more; its cursor stays, should it come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailnotify.core.patterns import UNOPENABLE, Listing, Wanted
from mailnotify.core.renames import find_renames
from mailnotify.core.sync import Cursor, MailboxStatus
from mailnotify.core.text import clean
from mailnotify.errors import CommandRefused, OperatorError
from mailnotify.imap.responses import ListItem
from mailnotify.imap.surveying import key
from mailnotify.interfaces import IJournal, IMailSession
from mailnotify.watching.place import Place
from mailnotify.watching.witness import Witness

REMEMBER: Final = timedelta(hours=1)
"""So often is stored when a pattern was looked into, where nothing has changed."""

_MOST_NAMED: Final = 5
_MOST_TOLD: Final = 1000
_MOST_IDLE_WORDS: Final = 20
"""Of names that are none, or none that is watched; then we look at the interval only."""
_MOST_EXAMINED: Final = 50
_NAME_BYTES: Final = 200


class NothingMatches(OperatorError):
    """Compare `mailboxes` with the names that the server has; `/` in a pattern is its delimiter."""

    def __init__(self, *, account: str, patterns: Sequence[str], top: Sequence[str]) -> None:
        self.account = account
        self.patterns = patterns
        self.top = top

    def __str__(self) -> str:
        what = ", ".join(self.patterns)
        return f"no mailbox of {self.account} fits {what}; {_described(self.top)}"


class Roster:
    """What the patterns of one account bring.

    Args:
        make_place: makes the place of a mailbox, by its name.
        witness: hears whether new mailboxes would be noticed.
        list_seconds: between two looks.
        now: the time in UTC.

    Attributes:
        places: those that are there, in the order in which they came.
        refusal: why the server does not list; None if it does.
        roots: below these mailboxes lies all that a pattern can bring (`Wanted.roots`).
    """

    _log = Logger()

    def __init__(
        self,
        account: str,
        wanted: Wanted,
        journal: IJournal,
        make_place: Callable[[str], Place],
        *,
        witness: Witness,
        list_seconds: float,
        clock: IReactorTime,
        now: Callable[[], datetime],
    ) -> None:
        self.account = account
        self.witness = witness
        self.places: dict[str, Place] = {}
        self.refusal: CommandRefused | None = None
        self.roots: Sequence[str] = ("",)
        self._wanted = wanted
        self._named = {key(each) for each in wanted.names}
        self._journal = journal
        self._make_place = make_place
        self._list_seconds = list_seconds
        self._clock = clock
        self._now = now
        self._delimiter: str | None = "/"
        self._resolved = dict(journal.resolved(account))
        self._remembered = dict(self._resolved)
        self._is_wanted = False
        self._looked_at: float | None = None
        self._told: dict[str, str] = {}
        self._idle_words: set[str] = set()
        self._come: list[Place] = []
        self._is_owed = False
        self._complaints: set[str] = set()

    # -- when to look

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        if self._is_wanted or self._looked_at is None:
            return True
        return self._clock.seconds() - self._looked_at >= self._list_seconds

    def want(self) -> None:
        """Look the next time somebody asks."""
        self._is_wanted = True

    def told(self, item: ListItem) -> bool:
        """The server said that a name has changed; whether to look."""
        name = key(item.name)
        if item.old_name is not None and len(self._told) < _MOST_TOLD:
            old = key(item.old_name)
            self._told[name] = self._told.pop(old, old)
            if old in self.places:
                self._look_for(f"{old} -> {name}")
        if item.attributes & UNOPENABLE:
            self._is_wanted = self._is_wanted or name in self.places
            return self._is_wanted
        return self.saw(name)

    def saw(self, name: str) -> bool:
        """The server spoke of a mailbox; whether to look, since a pattern brings it."""
        name = key(name)
        is_known = name in self.places or name in self._named
        if not is_known and self._wanted.brought(name, self._delimiter):
            self._look_for(name)
        return self._is_wanted

    def _look_for(self, word: str) -> None:
        """Look because of this word; it may come with every answer, and mean nothing."""
        if word not in self._idle_words and len(self._idle_words) < _MOST_IDLE_WORDS:
            self._idle_words.add(word)
            self._is_wanted = True

    # -- to look

    async def look(self, session: IMailSession) -> bool:
        """See what there is; whether it is other than before.

        Raises:
            CommandRefused: the server does not list.
            NothingMatches: there is nothing to watch.
            JournalUnwritable: a rename could not be stored.
        """
        at = self._now()
        if not self._is_wanted:
            self._idle_words.clear()
        heard = list(self._told)
        self._is_wanted = False  # what is said from now on may be news to the answer
        try:
            listing = await session.list_mailboxes(self._wanted)
        except CommandRefused:
            self._looked_at = self._clock.seconds()  # and asks again at the interval
            raise
        except BaseException:
            self._is_wanted = True
            raise
        self._looked_at, self.refusal = self._clock.seconds(), None
        self._delimiter = listing.delimiter
        self.roots = self._wanted.roots(listing.delimiter)
        names = [each for each in listing.names if each not in self._named]
        before = set(self.places)
        come = [each for each in names if each not in before]
        if come:
            await self._enrol(session, come, listing)
        await self._dismiss(session, sorted(before - set(names)))
        for each in heard:
            self._told.pop(each, None)
        if set(self.places) != before:
            self._idle_words.clear()
        self._resolved = dict.fromkeys(self._wanted.patterns, at)
        oldest = min(self._remembered.values(), default=at - REMEMBER)
        is_other = set(self.places) != before or self._remembered.keys() != self._resolved.keys()
        self._is_owed = self._is_owed or is_other or at - oldest >= REMEMBER
        self.remember()
        self._complain(listing)
        return set(self.places) != before

    async def _enrol(self, session: IMailSession, come: Sequence[str], listing: Listing) -> None:
        """Watch these too: as what they were called before, as known, or as new."""
        cursors = self._journal.cursors(self.account)
        strange = [each for each in come if each not in cursors]
        there = {*listing.there, *self._named}
        renames = await self._find_renames(session, strange, cursors, there) if strange else {}
        for new, old in renames.items():
            self._journal.rename(self.account, old, new)
            self._log.info("{new} was {old} before", new=self._shown(new), old=self._shown(old))
        # Another mailbox may have the old name by now.
        anew = [each for each in renames.values() if each in listing.names and each in self.places]
        for each in anew:
            self.places[each].witness.end()
        fresh = [each for each in come if each not in renames]
        begun = {*strange, *anew} - renames.keys()
        for each in (*come, *anew):
            place = self.places[each] = self._make_place(each)
            if each in begun:
                place.since = self._since(each) or place.since
            self._come.append(place)
        if fresh:
            self._log.info("watching also {names}", names=self._shown(*fresh))

    def _since(self, name: str) -> datetime | None:
        """When this mailbox was not there yet; None if nobody has looked before."""
        times = [
            self._resolved[each]
            for each in self._wanted.bringing(name, self._delimiter)
            if each in self._resolved
        ]
        return max(times, default=None)

    async def _find_renames(
        self,
        session: IMailSession,
        strange: Sequence[str],
        cursors: Mapping[str, Cursor],
        there: set[str],
    ) -> Mapping[str, str]:
        told = self._all_told(strange)
        missed = [each for each in cursors if each not in there or each in told.values()]
        if not missed:
            return {}
        statuses = await session.survey([*strange, *missed])
        gone = {
            each: cursors[each] for each in missed if each not in statuses or each in told.values()
        }
        come = {each: statuses[each] for each in strange if each in statuses}
        if any(each.mailbox_id for each in gone.values()):
            come |= await self._examined(session, list(come)[:_MOST_EXAMINED])
        others = {each.uidvalidity for name, each in cursors.items() if name not in gone}
        return find_renames(gone, come, told=told, uidvalidities=others)

    def _all_told(self, strange: Sequence[str]) -> dict[str, str]:
        """What the server said of names, and so of the names below these."""
        found = dict(self._told)
        for new, old in self._told.items():
            for each in strange:
                if self._delimiter and each.startswith(new + self._delimiter):
                    found.setdefault(each, old + each[len(new) :])
        return found

    async def _examined(
        self, session: IMailSession, names: Sequence[str]
    ) -> dict[str, MailboxStatus]:
        """As a STATUS would say it, and with the id, which some servers say only here."""
        found = {}
        for each in names:
            try:
                found[each] = await session.examine(each)
            except CommandRefused:
                continue
        return found

    def refused(self, error: CommandRefused) -> None:
        """The server does not list: what is named is watched all the same; say so once."""
        if str(error) != str(self.refusal):
            patterns = self._shown(*self._wanted.patterns)
            self._log.warn("not watching {patterns}: {why}", patterns=patterns, why=error.explain())
        self.refusal = error
        self.witness.failed(error)

    async def _dismiss(self, session: IMailSession, lost: Sequence[str]) -> None:
        if not lost:
            return
        there = await session.survey(lost)  # a LIST alone deletes no messages
        for each in lost:
            place = self.places.pop(each)
            if each not in there:
                place.deleted()
            place.witness.end()
        self._log.info("no longer watching {names}: gone", names=self._shown(*lost))

    def begin(self, found: Sequence[tuple[Place, MailboxStatus]]) -> None:
        """These were seen for the first time; of thousands that is one transaction.

        Raises:
            JournalUnwritable: no first cursor is stored.
        """
        self._journal.begin([place.baseline(status) for place, status in found], self._now())

    def remember(self) -> None:
        """Store since when there is nothing new, if all that was brought has been opened.

        Not before: who starts anew has to know what was there at first, and since when
        the rest is new.

        Raises:
            JournalUnwritable: it is not stored.
        """
        if not self._is_owed:
            return
        self._come = [
            each
            for each in self._come
            if self.places.get(each.mailbox) is each and not (each.cursor or each.refusal)
        ]
        if not self._come:
            times = self._resolved
            self._journal.resolve(self.account, times, max(times.values()))
            self._remembered, self._is_owed = dict(times), False

    # -- what a person should know

    def _complain(self, listing: Listing) -> None:
        if not self.places and not self._named:
            raise NothingMatches(
                account=self.account, patterns=self._wanted.patterns, top=listing.top
            )
        for each in listing.barren:
            if self._is_first(f"barren {each}"):
                error = NothingMatches(account=self.account, patterns=[each], top=listing.top)
                self._log.warn("{why}", why=error.explain())
        if listing.passed_over and self._is_first(f"passed over {sorted(listing.passed_over)}"):
            self._log.info(
                "not watching {names}: marked by the server as no place for new mail;"
                " name them in `mailboxes` to watch them",
                names=self._shown(*sorted(listing.passed_over)),
            )
        if listing.unsayable and self._is_first(f"unsayable {listing.unsayable}"):
            self._log.warn(
                "not watching {names}: the server writes these names in a way that cannot be"
                " said to it; rename them by another client",
                names=self._shown(*listing.unsayable),
            )
        if listing.overflow and self._is_first("overflow"):
            self._log.warn(
                "{account} has {count} mailboxes more than patterns may bring ({most}):"
                " they are not watched; write narrower patterns",
                account=self.account,
                count=listing.overflow,
                most=len(listing.names),
            )

    def _is_first(self, complaint: str) -> bool:
        is_first = complaint not in self._complaints
        self._complaints.add(complaint)
        return is_first

    def _shown(self, *names: str) -> str:
        some = [clean(f"{self.account}/{each}", _NAME_BYTES) for each in names[:_MOST_NAMED]]
        rest = len(names) - len(some)
        return ", ".join(some) + (f" and {rest} more" if rest else "")


def _described(top: Sequence[str]) -> str:
    if not top:
        return "the server names no mailbox at all"
    names = ", ".join(clean(each, _NAME_BYTES) for each in top)
    return f"on its first level the server has {names}"
