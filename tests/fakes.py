"""Stand-ins for the journal and its readers, held to their interfaces by a test.

`MemoryJournal` keeps the promises of `IJournal` without a file, and can be made
to fail, to forget and to be restored, as a disk can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from zope.interface import implementer

from mailnotify.config.schema import Retention
from mailnotify.core.events import AccountState, Entry, Event, MailGone, MailSeen, NewMail, new_mail
from mailnotify.core.message import Address, Fetched, Ref, Summary
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.errors import JournalUnreadable, JournalUnwritable
from mailnotify.interfaces import IJournal, IPokable

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
"""When the time of a test begins."""


@implementer(IJournal)
class MemoryJournal:
    """The order of events, in a list."""

    def __init__(self, epoch: str = "e1", retention: Retention | None = None) -> None:
        self.epoch = epoch
        self.retention = retention
        self.entries: list[Entry] = []
        self.head = 0
        self.cursors: dict[tuple[str, str], Cursor] = {}
        self.moves: dict[tuple[str, str], datetime] = {}
        self.states: dict[tuple[str, str], AccountState] = {}
        self.marks: dict[tuple[str, str], tuple[int, datetime]] = {}
        self.is_full = False
        self.is_damaged = False
        self.reads = 0

    @property
    def oldest(self) -> int:
        return self.entries[0].seq if self.entries else self.head + 1

    def cursor(self, account: str, mailbox: str) -> Cursor | None:
        return self.cursors.get((account, mailbox))

    def moved(self, account: str, mailbox: str) -> datetime | None:
        return self.moves.get((account, mailbox))

    def mails(self, account: str, mailbox: str) -> Iterator[NewMail]:
        for each in self.entries:
            event = each.event
            if isinstance(event, NewMail) and (event.account, event.mailbox) == (account, mailbox):
                yield event

    def state(self, account: str, mailbox: str) -> AccountState | None:
        return self.states.get((account, mailbox))

    def append(
        self, events: Sequence[Event], move: CursorMove | None, at: datetime
    ) -> Sequence[Entry]:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        known = {_key(each.event): each.event for each in self.entries}
        added = []
        for event in events:
            if isinstance(event, NewMail | MailSeen | MailGone) and _key(event) in known:
                continue
            mail = known.get((NewMail, getattr(event, "id", "")))
            if isinstance(event, MailSeen | MailGone) and mail is None:
                continue
            if isinstance(event, MailSeen) and "\\Seen" in mail.flags:
                continue
            self.head += 1
            added.append(Entry(seq=self.head, at=at, event=event))
            if isinstance(event, AccountState):
                self.states[event.account, event.mailbox] = event
            known[_key(event)] = event
        self.entries += added
        if move is not None:
            self.cursors[move.account, move.mailbox] = move.cursor
            self.moves[move.account, move.mailbox] = at
        return added

    def known(self, account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        events = [each.event for each in self.entries]
        gone = {each.id for each in events if isinstance(each, MailGone)}
        uids = [
            each.uid
            for each in events
            if isinstance(each, NewMail)
            and (each.account, each.mailbox, each.uidvalidity) == (account, mailbox, uidvalidity)
            and each.id not in gone
        ]
        return sorted(uids)[-most:]

    def read(self, after: int, most: int) -> Sequence[Entry]:
        if self.is_damaged:
            raise JournalUnreadable(path="memory", reason="a bit fell over")
        self.reads += 1
        return [each for each in self.entries if each.seq > after][:most]

    def seq_before(self, moment: datetime) -> int:
        if self.is_damaged:
            raise JournalUnreadable(path="memory", reason="a bit fell over")
        first = min((each.seq for each in self.entries if each.at >= moment), default=self.head + 1)
        return first - 1 if first > self.oldest else 0

    def prune(self, now: datetime) -> int:
        """Forget what the retention does not keep; everything if there is none."""
        if self.retention is None:
            return self.forget(self.head)
        too_many = self.head - self.retention.entries
        limit = now - timedelta(days=self.retention.days)
        kept = (each.seq for each in self.entries if each.seq > too_many and each.at >= limit)
        return self.forget(min(kept, default=self.head + 1) - 1)

    def reader(self, owner: str, name: str) -> int | None:
        if self.is_damaged:
            raise JournalUnreadable(path="memory", reason="a bit fell over")
        return self.marks[owner, name][0] if (owner, name) in self.marks else None

    def count_readers(self) -> int:
        return len(self.marks)

    def keep_readers(self, marks: Sequence[ReaderMark], now: datetime) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        self.marks.update({(each.owner, each.name): (each.seq, now) for each in marks})

    def forget_readers(self, before: datetime) -> int:
        idle = [key for key, (_, seen) in self.marks.items() if seen < before]
        for key in idle:
            del self.marks[key]
        return len(idle)

    def close(self) -> None:
        self.entries = []

    def forget(self, up_to: int) -> int:
        """Drop entries up to this seq, as retention does."""
        kept = [each for each in self.entries if each.seq > up_to]
        count = len(self.entries) - len(kept)
        self.entries = kept
        return count

    def restore(self, head: int) -> None:
        """Go back to an earlier copy of the journal."""
        self.entries = [each for each in self.entries if each.seq <= head]
        self.head = head


@implementer(IPokable)
class CountingPokable:
    """Counts its pokes; fails at them if told so."""

    def __init__(self, fails: bool = False) -> None:
        self.pokes = 0
        self._fails = fails

    def poke(self) -> None:
        self.pokes += 1
        if self._fails:
            raise RuntimeError("a reader's own trouble")


class SteppingNow:
    """A clock for entries: one second later at each reading."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self) -> datetime:
        self.readings += 1
        return NOON + timedelta(seconds=self.readings - 1)


def mail(
    uid: int, subject: str = "", account: str = "home", mailbox: str = "INBOX", to: int = 0
) -> NewMail:
    """A new message; its subject is ``mail UID`` unless it is given."""
    ref = Ref(account=account, mailbox=mailbox, uidvalidity=1, uid=uid)
    summary = Summary(
        subject=subject or f"mail {uid}",
        to=tuple(Address(address=f"person{each}@example.org") for each in range(to)),
    )
    return new_mail(ref, summary, Fetched(uid=uid))


def account_state(account: str = "home", state: str = "blind", cause: str = "") -> AccountState:
    """An account that is seen no longer."""
    return AccountState(account=account, mailbox="INBOX", state=state, since=NOON, cause=cause)


def _key(event: Event) -> tuple[type, str]:
    return type(event), getattr(event, "id", "")
