"""What one open mailbox has for the journal: all beyond the cursor, and no old message again.

Mail enters the journal in order of UID, a batch in one transaction with the cursor
that covers it: a cut at any point costs nothing but the rest. A batch is decoded in
turns short enough for everybody else (`turns`), while the server gathers the next one.

Where UIDs have lost their meaning (the mailbox is new, was rebuilt, or its UIDs were given
out anew) the messages themselves are compared with what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailnotify.core.bulk import FLOOD, Bulk
from mailnotify.core.message import Fetched
from mailnotify.core.sync import MailboxStatus, is_rebuilt
from mailnotify.errors import CommandRefused
from mailnotify.imap.session import BATCH
from mailnotify.interfaces import IMailSession
from mailnotify.watching.place import Place
from mailnotify.watching.turns import in_turns


class Intake:
    """Takes in the mailboxes of one session. Call `begin` for each that was opened, then `read`."""

    _log = Logger()

    def __init__(self, session: IMailSession, clock: IReactorTime) -> None:
        self.session = session
        self._clock = clock
        self._just_opened: MailboxStatus | None = None
        self._is_first_sight = False

    async def begin(self, place: Place, status: MailboxStatus) -> None:
        """This mailbox is open now, and was found like this.

        Raises:
            JournalUnwritable: its first cursor could not be stored.
        """
        self._just_opened = status
        self._is_first_sight = place.cursor is None and not place.is_new
        if place.is_new or is_rebuilt(place.cursor, status):
            await self._recognise(place, status)
        place.begin(status)

    async def read(self, place: Place) -> int:
        """Journal what is new in the mailbox that is open; return how much.

        Raises:
            JournalUnwritable: what is left is fetched the next time.
        """
        count, status = 0, self._just_opened
        fetched = await self._fetch_first(place)
        bulk = Bulk(place.begun) if len(fetched) > FLOOD else Bulk(None)
        while fetched:
            following = self._fetch_behind(fetched)
            try:
                count += await self._store(place, fetched, bulk)
            except BaseException:
                following.addErrback(lambda _: None)
                following.cancel()
                raise
            fetched = await following
        if bulk.count:
            self._log.info(
                "{place}: {count} messages that are older than our watching came together:"
                " not announced",
                place=place,
                count=bulk.count,
            )
        if status is not None:
            place.ended(status)
        return count

    async def _recognise(self, place: Place, status: MailboxStatus) -> None:
        """The mailbox is new, or was rebuilt: journal what came in, and no old message again.

        The cursor follows at the end, so that a cut repeats this; what was journalled
        by then is known by its new identity.
        """
        known = place.remembered()
        try:
            uids = await self.session.arrived_since((known.until - timedelta(days=1)).date())
        except CommandRefused as error:
            self._log.info("{place}: {why} Looking at the last.", place=place, why=error.explain())
            uids = range(max(status.uidnext - BATCH, 1), status.uidnext)
        count = 0
        for start in range(0, len(uids), BATCH):
            fetched = await self.session.fetch_only(uids[start : start + BATCH])
            events = await in_turns(place.events(fetched, status.uidvalidity), self._clock)
            count += place.store_unknown(known, events)
        if place.is_new:
            self._log.info("{place} has come with {count} messages", place=place, count=count)
            return
        self._log.warn(
            "{place} was rebuilt by its server: {count} messages in it are new",
            place=place,
            count=count,
        )

    async def _fetch_first(self, place: Place) -> Sequence[Fetched]:
        """What is new; just after the mailbox was opened, from the last known message on.

        That shows whether it is still the one that we know: backups give out UIDs anew.
        """
        status, self._just_opened = self._just_opened, None
        landmark = place.landmark if status is not None else None
        if status is None or landmark is None:
            return await self._fetch_at_first_sight(place)
        fetched = await self.session.fetch(landmark.uid)
        if place.is_replaced(landmark, fetched):
            await self._recognise(place, status)
        return fetched

    async def _fetch_at_first_sight(self, place: Place) -> Sequence[Fetched]:
        """What is new; where a UIDNEXT that was too low makes old mail new, not that."""
        fetched = await self.session.fetch(place.next_uid)
        is_first_sight, self._is_first_sight = self._is_first_sight, False
        if not (is_first_sight and self.session.was_there >= place.next_uid):
            return fetched
        self._log.info("{place}: UIDNEXT is too low; what lies there is known", place=place)
        place.end_at(self.session.was_there)
        return await self.session.fetch(place.next_uid)

    def _fetch_behind(self, fetched: Sequence[Fetched]) -> Deferred[Sequence[Fetched]]:
        """Ask for what follows a batch; nothing follows one that is not full."""
        if len(fetched) < BATCH:
            return succeed(())
        return Deferred.fromCoroutine(self.session.fetch(fetched[-1].uid + 1))

    async def _store(self, place: Place, fetched: Sequence[Fetched], bulk: Bulk) -> int:
        """Decode a batch, and journal what is new in it; return how much."""
        next_uid = place.next_uid
        new = [each for each in fetched if each.uid >= next_uid]
        events = await in_turns(place.events(new), self._clock)
        if events:
            place.store(events, bulk.bygone(events))
        return len(events)
