"""Stand-ins for the journal and its readers, held to their interfaces by a test.

`MemoryJournal` keeps the promises of `IJournal` without a file, and can be made
to fail, to forget and to be restored, as a disk can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import structs
from zope.interface import implementer

from mailnotify.config.schema import Retention
from mailnotify.core.events import (
    AccountState,
    Entry,
    Event,
    MailFiled,
    MailGone,
    MailSeen,
    NewMail,
    new_mail,
)
from mailnotify.core.message import REUSED, Address, Fetched, Ref, Summary
from mailnotify.core.reader import ReaderMark
from mailnotify.core.rematch import is_other
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.core.twins import Twin, judge, past_key, twin_key
from mailnotify.errors import JournalUnreadable, JournalUnwritable
from mailnotify.interfaces import IJournal, IPokable

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
"""When the time of a test begins."""


@implementer(IJournal)
class MemoryJournal:
    """The order of events, in a list.

    Attributes:
        portion: `read` gives no more at once.
    """

    def __init__(self, epoch: str = "e1", retention: Retention | None = None) -> None:
        self.epoch = epoch
        self.retention = retention
        self.head = 0
        self.places: dict[tuple[str, str], Cursor] = {}
        self.homes: dict[str, str] = {}
        self.patterns: dict[str, dict[str, datetime]] = {}
        self.moves: dict[tuple[str, str], datetime] = {}
        self.begins: dict[str, datetime] = {}
        self._states: dict[tuple[str, str], AccountState] = {}
        self.marks: dict[tuple[str, str], tuple[int, datetime]] = {}
        self.is_full = False
        self.is_damaged = False
        self.reads = 0
        self.portion = 10**9
        self.bygone: set[int | None] = set()
        self.entries = []

    @property
    def entries(self) -> list[Entry]:
        return self._entries

    @entries.setter
    def entries(self, entries: list[Entry]) -> None:
        """Other ones: what was known from those of before is forgotten with them."""
        self._entries = entries
        self._lying: dict[_Place, _Lying] = {}
        self._mails: dict[str, NewMail] = {}
        self._twins: dict[int | None, list[_Lying]] = {}
        self._read_ids: set[str] = set()
        for each in entries:
            self._remember(each.event)

    @property
    def oldest(self) -> int:
        return self.entries[0].seq if self.entries else self.head + 1

    def cursor(self, account: str, mailbox: str) -> Cursor | None:
        return self.places.get((account, mailbox))

    def cursors(self, account: str) -> dict[str, Cursor]:
        return {name: each for (owner, name), each in self.places.items() if owner == account}

    def begin(self, moves: Sequence[CursorMove], at: datetime) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        for move in moves:
            self.places[move.account, move.mailbox] = move.cursor
            self.moves[move.account, move.mailbox] = at
            self.begins.setdefault(move.account, at)

    def rename(self, account: str, old: str, new: str) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        if (account, old) in self.places:
            self.places[account, new] = self.places.pop((account, old))
            self.moves[account, new] = self.moves.pop((account, old))
        for each in self.mails(account, old):
            self.homes[each.id] = new
        for place in [each for each in self._lying if each[:2] == (account, old)]:
            lying = self._lying.pop(place)
            lying.place = (account, new, *place[2:])
            self._lying[lying.place] = lying

    def resolved(self, account: str) -> dict[str, datetime]:
        return self.patterns.get(account, {})

    def resolve(self, account: str, patterns: Collection[str], at: datetime) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        self.patterns[account] = dict.fromkeys(patterns, at)

    def _home(self, mail: NewMail) -> tuple[str, str]:
        """Where it lies now, whatever its mailbox was called when it came."""
        return mail.account, self.homes.get(mail.id, mail.mailbox)

    def moved(self, account: str, mailbox: str) -> datetime | None:
        return self.moves.get((account, mailbox))

    def begun(self, account: str) -> datetime | None:
        return self.begins.get(account)

    def mails(self, account: str, mailbox: str) -> Iterator[NewMail]:
        for each in self.entries:
            event = each.event
            if isinstance(event, NewMail) and self._home(event) == (account, mailbox):
                yield event

    def state(self, account: str, mailbox: str) -> AccountState | None:
        return self._states.get((account, mailbox))

    def states(self) -> Sequence[AccountState]:
        return list(self._states.values())

    def append(
        self,
        events: Sequence[Event],
        move: CursorMove | None,
        at: datetime,
        *,
        announce_copies: bool = False,
    ) -> Sequence[Entry]:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        added = []
        for event in events:
            told = self._settle(event, announce_copies=announce_copies)
            if told is None:
                continue
            self.head += 1
            added.append(Entry(seq=self.head, at=at, event=told))
            self._remember(told)
        self._entries += added
        if move is not None:
            self.places[move.account, move.mailbox] = move.cursor
            self.moves[move.account, move.mailbox] = at
            self.begins.setdefault(move.account, at)
        return added

    def _settle(self, event: Event, *, announce_copies: bool) -> Event | None:
        """As what this is told; None if it is known."""
        if isinstance(event, MailSeen | MailGone):
            return self._fate(event)
        if not isinstance(event, NewMail):
            return event
        key = twin_key(event)
        if key is not None and not announce_copies:
            twins = [each.twin() for each in self._twins.get(key, ())]
            told = None if key in self.bygone and not twins else judge(event, twins)
            if not isinstance(told, NewMail):
                return told
        while (lying := self._lying.get(self._place(event))) is not None:
            if not is_other(event, lying.mail):
                return None
            uidvalidity = event.uidvalidity + REUSED
            names = {"account": event.account, "mailbox": event.mailbox, "uid": event.uid}
            ref = Ref(uidvalidity=uidvalidity, **names)
            event = structs.replace(event, id=ref.id, uidvalidity=uidvalidity)
        return event

    def has_past(self, account: str, mailbox: str, uidvalidity: int) -> bool:
        return past_key(account, mailbox, uidvalidity) in self.bygone

    def keep_past(
        self, account: str, mailbox: str, uidvalidity: int, mails: Sequence[NewMail]
    ) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        self.bygone |= {past_key(account, mailbox, uidvalidity), *map(twin_key, mails)}

    def pass_over(self, mails: Sequence[NewMail]) -> None:
        if self.is_full:
            raise JournalUnwritable(path="memory", reason="no space left")
        self.bygone |= {key for key in map(twin_key, mails) if key is not None}

    def _fate(self, event: MailSeen | MailGone) -> MailSeen | MailGone | None:
        lying = self._latest(self._place(event))
        if lying is None or (isinstance(event, MailGone) and lying.is_gone):
            return None
        mail = lying.mail
        if isinstance(event, MailGone):
            return structs.replace(event, id=mail.id, uidvalidity=lying.place[2])
        if mail.id in self._read_ids or "\\Seen" in mail.flags:
            return None
        names = ("id", "account", "mailbox", "uidvalidity", "uid")
        return MailSeen(**{name: getattr(mail, name) for name in names})

    def _latest(self, place: _Place) -> _Lying | None:
        lying = None
        while place in self._lying:
            lying = self._lying[place]
            place = (*place[:2], place[2] + REUSED, place[3])
        return lying

    def _remember(self, event: Event) -> None:
        if isinstance(event, AccountState):
            self._states[event.account, event.mailbox] = event
        elif isinstance(event, MailSeen):
            self._read_ids.add(event.id)
        elif isinstance(event, MailGone):
            self._lying[self._place(event)].is_gone = True
        elif isinstance(event, NewMail | MailFiled):
            mail = event if isinstance(event, NewMail) else self._mails[event.id]
            self._mails[mail.id] = mail
            lying = _Lying(self._place(event), mail, is_filed=mail is not event)
            self._lying[lying.place] = lying
            self._twins.setdefault(twin_key(mail), []).append(lying)

    def _place(self, event: NewMail | MailFiled | MailSeen | MailGone) -> _Place:
        return event.account, event.mailbox, event.uidvalidity, event.uid

    def mail(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> NewMail | None:
        lying = self._latest((account, mailbox, uidvalidity, uid))
        return None if lying is None or lying.is_filed else lying.mail

    def known(self, account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        uids = [
            place[3]
            for place, lying in self._lying.items()
            if place[:3] == (account, mailbox, uidvalidity) and not lying.is_gone
        ]
        return sorted(uids)[-most:]

    def read(self, after: int, most: int) -> Sequence[Entry]:
        if self.is_damaged:
            raise JournalUnreadable(path="memory", reason="a bit fell over")
        self.reads += 1
        return [each for each in self.entries if each.seq > after][: min(most, self.portion)]

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
        self.bygone |= {key for key, places in self._twins.items() if places}
        count = len(self.entries) - len(kept)
        self.entries = kept
        return count

    def restore(self, head: int) -> None:
        """Go back to an earlier copy of the journal."""
        self.entries = [each for each in self.entries if each.seq <= head]
        self.head = head


_Place = tuple[str, str, int, int]


class _Lying:
    """A message in one of its places."""

    def __init__(self, place: _Place, mail: NewMail, *, is_filed: bool) -> None:
        self.place = place
        self.mail = mail
        self.is_filed = is_filed
        self.is_gone = False

    def twin(self) -> Twin:
        _, mailbox, uidvalidity, uid = self.place
        return Twin(
            id=self.mail.id,
            mailbox=mailbox,
            uidvalidity=uidvalidity,
            uid=uid,
            is_gone=self.is_gone,
        )


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
