"""A mail session that exists in memory only, for tests of what stands above it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mailnotify.core.message import Fetched
from mailnotify.core.patterns import Listing, Wanted
from mailnotify.core.sync import Cursor, MailboxStatus
from mailnotify.errors import CommandRefused, NotConnected, PeerError
from mailnotify.imap.moment import Moment
from mailnotify.imap.responses import ListItem, NumberSet
from mailnotify.imap.session import BATCH
from mailnotify.interfaces import IMailSession
from mailnotify.watching.place import Place
from mailnotify.watching.reading import Reading


@implementer(IMailSession)
class FakeSession:
    """A mailbox with UIDs from 1 on; every answer can be held back or made to fail.

    Attributes:
        uids: what lies in the mailbox.
        calls: what was asked, in order.
        failures: method name, or the whole call → the exception that the next one fails with.
        held: method name → Deferreds that the test fires to let the answer go.
        tells_status: whether it answers STATUS.
        dates: UID → when the message came, where that is not the usual.
        names: UID → the number in its Message-ID and subject, where that is not the UID.
        others: the UIDs in mailboxes besides the one that `uids` is of.
        hidden: of these, what LIST leaves out.
        unseen: how many of these are unread, where it says so.
        modseqs: of these, where it has them.
        uidvalidities: of mailboxes that have not the usual one.
    """

    capabilities = frozenset({"IMAP4REV1", "IDLE"})
    is_dated = False
    """Whether the senders give a date, that of the arrival."""
    is_named = True
    """Whether they give a Message-ID."""
    lists_all = False
    """Whether what is not in `others` does not exist."""

    def __init__(self, uids: Sequence[int] = (), uidvalidity: int = 7) -> None:
        self.uids = list(uids)
        self.was_there = 0
        self.has_changed = False
        self.uidvalidity = uidvalidity
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.held: dict[str, Deferred[None]] = {}
        self.changed: Callable[[str, MailboxStatus | None], None] | None = None
        self.is_cut = False
        self.dates: dict[int, datetime] = {}
        self.names: dict[int, int] = {}
        self.others: dict[str, list[int]] = {}
        self.hidden: set[str] = set()
        self.unseen: dict[str, int] = {}
        self.modseqs: dict[str, int] = {}
        self.mailbox = "INBOX"
        self.modseq = 0
        self.since: list[tuple[Cursor | None, tuple[int, ...]]] = []
        self.notified: tuple[str, ...] | None = None
        self.roots: tuple[str, ...] = ()
        self.uidvalidities: dict[str, int] = {}
        self.name_told: Callable[[ListItem], object] | None = None
        self.tells_status = True
        self._lost: Moment[PeerError] = Moment()

    async def _answer(self, name: str) -> None:
        self.calls.append(name.partition(" ")[0] if name.startswith("fetch") else name)
        method = name.partition(" ")[0]
        if method in self.held:
            await self.held[method]
        for each in (name, method):
            if each in self.failures:
                raise self.failures.pop(each)

    async def follow(self, told: Callable[[NumberSet, bool], None]) -> None:
        self.told = told

    async def examine(
        self, mailbox: str, since: Cursor | None = None, known: Sequence[int] = ()
    ) -> MailboxStatus:
        self.since.append((since, tuple(known)))
        self.mailbox = mailbox
        await self._answer(f"examine {mailbox}")
        if self.lists_all and mailbox not in self.others:
            raise CommandRefused(peer="fake", command="EXAMINE", status="NO", said="none such")
        modseq = self.modseqs.get(mailbox, self.modseq)
        return structs.replace(self._status(mailbox), modseq=modseq)

    async def inquire(self, known: Sequence[int]) -> None:
        await self._answer(f"inquire {','.join(map(str, known))}")
        self.has_changed = False

    async def survey(self, mailboxes: Sequence[str]) -> Mapping[str, MailboxStatus]:
        await self._answer("survey")
        return {each: self._status(each) for each in mailboxes if each in self.others}

    async def notify(
        self, mailboxes: Sequence[str], below: Sequence[str] = (), roots: Sequence[str] = ()
    ) -> Mapping[str, MailboxStatus]:
        await self._answer("notify")
        self.notified = (*mailboxes, *below)
        self.roots = tuple(roots)
        return {each: self._status(each) for each in self.notified if each in self.others}

    async def list_mailboxes(self, wanted: Wanted) -> Listing:
        listed = [each for each in self.others if each not in self.hidden]
        names = tuple(each for each in listed if wanted.brought(each, "/"))
        brought = {pattern for each in names for pattern in wanted.bringing(each, "/")}
        barren = tuple(each for each in wanted.patterns if each not in brought)
        top = tuple(self.others) if barren else ()
        await self._answer("list_mailboxes")
        return Listing(names=names, there=frozenset(names), barren=barren, top=top)

    def hear_names(self, told: Callable[[ListItem], object]) -> None:
        self.name_told = told

    async def fetch(self, first_uid: int) -> Sequence[Fetched]:
        uids = self.others.get(self.mailbox, self.uids)
        wanted = sorted(uid for uid in uids if uid >= first_uid)[:BATCH]
        await self._answer("fetch")
        return tuple(self._fetched(uid) for uid in wanted)

    async def arrived_since(self, day: date) -> Sequence[int]:
        await self._answer("arrived_since")
        uids = self.others.get(self.mailbox, self.uids)
        return sorted(uid for uid in uids if self.received(uid).date() >= day)

    async def fetch_only(self, uids: Sequence[int]) -> Sequence[Fetched]:
        await self._answer("fetch_only")
        there = set(self.others.get(self.mailbox, self.uids))
        return tuple(self._fetched(uid) for uid in uids if uid in there)

    def received(self, uid: int) -> datetime:
        """Messages come an hour apart, unless `dates` says otherwise."""
        return self.dates.get(uid, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=uid))

    def _fetched(self, uid: int) -> Fetched:
        name = self.names.get(uid, uid)
        header = b"Subject: %d\r\n" % name
        if self.is_named:
            header += b"Message-ID: <%d@example.org>\r\n" % name
        if self.is_dated:
            header += b"Date: " + format_datetime(self.received(uid)).encode() + b"\r\n"
        return Fetched(uid=uid, header=header, received=self.received(uid), size=100)

    async def poll(self) -> None:
        await self._answer("poll")

    async def status(self) -> MailboxStatus | None:
        await self._answer("status")
        return self._status(self.mailbox) if self.tells_status else None

    def _status(self, mailbox: str) -> MailboxStatus:
        uids = self.others.get(mailbox, self.uids)
        uidnext = max(uids, default=0) + 1
        uidvalidity = self.uidvalidities.get(mailbox, self.uidvalidity)
        return MailboxStatus(
            uidvalidity=uidvalidity,
            uidnext=uidnext,
            exists=len(uids),
            modseq=self.modseqs.get(mailbox, 0),
            unseen=self.unseen.get(mailbox),
        )

    async def listen(self, changed: Callable[[str, MailboxStatus | None], None]) -> None:
        await self._answer("listen")
        self.changed = changed

    async def close(self) -> None:
        await self._answer("close")
        self.is_cut = True

    def abort(self) -> None:
        self.is_cut = True

    def when_lost(self, told: Callable[[PeerError], object]) -> None:
        self._lost.tell(told)

    def lose(self, reason: PeerError | None = None) -> None:
        """The connection breaks."""
        self._lost.happen(reason or NotConnected(peer="fake", reason="reset"))

    def arrive(self, *uids: int) -> None:
        """Messages come in; the server hints if it is listened to."""
        self.uids += uids
        if self.changed is not None:
            self.changed(self.mailbox, None)

    def arrive_in(self, mailbox: str, *uids: int) -> None:
        """Messages come into another mailbox; a server with NOTIFY tells of it."""
        self.others[mailbox] += uids
        if self.changed is not None and self.notified is not None:
            self.changed(mailbox, self._status(mailbox))


def connect(*outcomes: FakeSession | Exception) -> Callable[[], Deferred[FakeSession]]:
    """An `open_session` that has these outcomes, one for each attempt."""
    left = list(outcomes)

    async def attempt() -> FakeSession:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return await succeed(outcome)

    return attempt  # type: ignore[return-value]


def reads(
    place: Place, opened: Callable[[], Awaitable[IMailSession]], clock: Clock
) -> Callable[[], Coroutine[Deferred[Any], Any, Reading]]:
    """What a watcher of one mailbox begins with."""

    async def begin() -> Reading:
        return Reading(await opened(), [place], clock)

    return begin
