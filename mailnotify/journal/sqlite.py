"""The journal in one SQLite file: the usual one.

`append` is where a message becomes real: its entry and the cursor of its
mailbox are in one transaction, fsynced before `append` returns, and only then
may anybody hear of it. A message that was journalled before is refused by a
unique index, so the watcher may ask for the same range twice.

All calls run in the reactor's thread: a transaction takes a fraction of a
millisecond plus one fsync. What is asked at every turn (`head`, `oldest`) is
kept in memory.

Each row carries a checksum, since SQLite does not see a bit that flipped in a
value. A journal found damaged while it runs says so with `JournalUnreadable`,
and is moved aside at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec
from msgspec import structs
from zope.interface import implementer

from mailnotify.config.schema import Retention
from mailnotify.core.events import AccountState, Entry, Event, NewMail
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.errors import JournalUnreadable
from mailnotify.interfaces import IJournal
from mailnotify.journal.high_water import HighWater
from mailnotify.journal.kind import JOURNAL, begin_life
from mailnotify.journal.mailboxes import MOVE, Mailboxes, cursor_row
from mailnotify.journal.marks import Marks
from mailnotify.journal.places import Located, Places, place_of
from mailnotify.storage.database import Database

_SLICE: Final = 1000
"""Entries forgotten by one call of `prune`, so that it holds the reactor for milliseconds."""

_READ_BYTES: Final = 65_536
"""Nothing more is read at once after this: to decode so much takes a millisecond."""

_READ: Final = "SELECT seq, at, event, crc FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
_INSERT: Final = """
    INSERT INTO entries (seq, at, event, crc, kind, account, mailbox, uidvalidity, uid, twin)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (account, mailbox, uidvalidity, uid, kind) WHERE uid IS NOT NULL DO NOTHING
"""
_STATES: Final = "SELECT account, mailbox, event, crc FROM states"
_STATE: Final = """
    INSERT INTO states (account, mailbox, event, crc) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, mailbox) DO UPDATE SET event = excluded.event, crc = excluded.crc
"""

_MAILS: Final = """
    SELECT seq, at, event, crc FROM entries
    WHERE account = ? AND mailbox = ? AND uid IS NOT NULL AND kind = 'mail' ORDER BY seq
"""
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_state_decoder = msgspec.json.Decoder(AccountState)


@implementer(IJournal)
class SqliteJournal:
    """See `IJournal`. Made by `open`, and by nothing else.

    Attributes:
        epoch: the name of this journal's life.
        head: the seq of the newest entry; 0 in a new journal.
        oldest: the seq of the oldest entry kept; head + 1 if there is none.
    """

    def __init__(
        self, path: Path, retention: Retention, database: Database, high_water: HighWater
    ) -> None:
        self._path = path
        self._retention = retention
        self._database = database
        self._high_water = high_water
        self._marks = Marks(database)
        self._mailboxes = Mailboxes(database)
        self._places = Places(database)
        self._connection = database.connection
        epoch, pruned, last = self._connection.execute(
            "SELECT epoch, pruned, (SELECT max(seq) FROM entries) FROM journal"
        ).fetchone()
        self.epoch: str = epoch
        self.head: int = pruned if last is None else last
        self.oldest: int = pruned + 1
        high_water.rise(self.epoch, self.head)

    @classmethod
    def open(
        cls, path: Path, *, retention: Retention, make_epoch: Callable[[], str], now: datetime
    ) -> SqliteJournal:
        """Open a journal, or begin one; a damaged one is moved aside and begun anew.

        Call it after a daemon has forked. `close` releases what it holds.

        Args:
            path: its file; the folder is made if there is none.
            make_epoch: names the life of a new journal, in letters and digits.
            now: goes into the name of a damaged file.

        Raises:
            JournalBusy: another process has this journal open.
            JournalUnreadable: it is from a newer mailnotify, or another program's file.
            JournalUnwritable: the disk is full, read-only or failing.
        """
        high_water = HighWater(Path(f"{path}.high"))
        database = Database.open(
            path, JOURNAL, lambda new: begin_life(new, make_epoch, high_water), now
        )
        return cls(path, retention, database, high_water)

    def cursor(self, account: str, mailbox: str) -> Cursor | None:
        """How far this mailbox is journalled; None at first sight."""
        return self._mailboxes.cursor(account, mailbox)

    def cursors(self, account: str) -> Mapping[str, Cursor]:
        """How far each mailbox of an account is journalled, also such that are gone."""
        return self._mailboxes.cursors(account)

    def begin(self, moves: Sequence[CursorMove], at: datetime) -> None:
        """Store the first cursors of mailboxes, in one transaction.

        Raises:
            JournalUnwritable: all stands as before.
        """
        self._mailboxes.begin(moves, at)

    def rename(self, account: str, old: str, new: str) -> None:
        """What is known of a mailbox is known of it under another name from now on.

        Raises:
            JournalUnwritable: all stands as before.
        """
        self._mailboxes.rename(account, old, new)

    def resolved(self, account: str) -> Mapping[str, datetime]:
        """When each pattern of mailboxes of an account was last looked into."""
        return self._mailboxes.resolved(account)

    def resolve(self, account: str, patterns: Collection[str], at: datetime) -> None:
        """These patterns of an account, and no others, were looked into now.

        Raises:
            JournalUnwritable: all stands as before.
        """
        self._mailboxes.resolve(account, patterns, at)

    def known(self, account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        """The newest UIDs of messages that are known and were not told gone, ascending."""
        return self._places.known(account, mailbox, uidvalidity, most)

    def moved(self, account: str, mailbox: str) -> datetime | None:
        """When this mailbox's cursor was last stored; None at first sight."""
        with self._database.reading():
            row = self._connection.execute(
                "SELECT moved FROM cursors WHERE account = ? AND mailbox = ?", (account, mailbox)
            ).fetchone()
        return None if row is None else _ZERO + row[0] * _MICROSECOND

    def begun(self, account: str) -> datetime | None:
        """When the first mailbox of an account was first seen; None if none was."""
        return self._mailboxes.begun(account)

    def mails(self, account: str, mailbox: str) -> Iterator[NewMail]:
        """The messages of a mailbox that are kept, in order."""
        with self._database.reading():
            for row in self._connection.execute(_MAILS, (account, mailbox)):
                event = self._entry(row[0], row).event
                assert isinstance(event, NewMail)
                yield event

    def mail(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> NewMail | None:
        """What was last announced under this UID; None if nothing was, or it is forgotten."""
        return self._places.mail(account, mailbox, uidvalidity, uid)

    def has_past(self, account: str, mailbox: str, uidvalidity: int) -> bool:
        """Whether `keep_past` was called for this mailbox."""
        return self._places.has_past(account, mailbox, uidvalidity)

    def keep_past(
        self, account: str, mailbox: str, uidvalidity: int, mails: Sequence[NewMail]
    ) -> None:
        """These lay in a mailbox when it was first seen: found in another, they are no news.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._places.keep_past(account, mailbox, uidvalidity, mails)

    def pass_over(self, mails: Sequence[NewMail]) -> None:
        """These are no news, wherever they are found.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._places.pass_over(mails)

    def state(self, account: str, mailbox: str) -> AccountState | None:
        """What was last told of this mailbox, however long ago; None if nothing was."""
        found = self._told(f"{_STATES} WHERE account = ? AND mailbox = ?", account, mailbox)
        return found[0] if found else None

    def states(self) -> Sequence[AccountState]:
        """The same of all mailboxes of which something was told."""
        return self._told(f"{_STATES} ORDER BY account, mailbox")

    def _told(self, question: str, *values: str) -> Sequence[AccountState]:
        with self._database.reading() as connection:
            rows = connection.execute(question, values).fetchall()
        for account, mailbox, event, crc in rows:
            if crc != _crc(account, mailbox, event):
                raise self._database.damaged(
                    f"the state of {mailbox!r} of {account!r} has changed by itself"
                )
        return [_state_decoder.decode(event) for _, _, event, _ in rows]

    def append(
        self,
        events: Sequence[Event],
        move: CursorMove | None,
        at: datetime,
        *,
        announce_copies: bool = False,
    ) -> Sequence[Entry]:
        """Store events and a cursor in one transaction; leave out mail that is known.

        Raises:
            JournalUnwritable: nothing was stored; try again later.
        """
        entries: list[Entry] = []
        with self._database.writing():
            for event in events:
                entry = Entry(seq=self.head + len(entries) + 1, at=at, event=event)
                stored = self._insert(entry, announce_copies=announce_copies)
                entries += [] if stored is None else [stored]
                if isinstance(event, AccountState):
                    self._connection.execute(_STATE, _state_row(event))
            if move is not None:
                self._connection.execute(MOVE, (*cursor_row(move), _microseconds(at)))
        if move is not None:
            self._mailboxes.moved(move)
        if entries:
            self.head += len(entries)
            self._high_water.rise(self.epoch, self.head)
        return entries

    def _insert(self, entry: Entry, *, announce_copies: bool) -> Entry | None:
        """Store an entry as what it turns out to be; None if it is known."""
        event, twin = entry.event, None
        if isinstance(event, Located):
            settled, twin = self._places.settle(event, announce_copies=announce_copies)
            if settled is None:
                return None
            if settled is not event:
                entry = structs.replace(entry, event=settled)
        if self._connection.execute(_INSERT, _row(entry, twin)).rowcount == 1:
            return entry
        mail = entry.event
        renamed = self._places.under_a_used_uid(mail) if isinstance(mail, NewMail) else None
        if renamed is None:
            return None
        entry = structs.replace(entry, event=renamed)
        self._connection.execute(_INSERT, _row(entry, twin))
        return entry

    def read(self, after: int, most: int) -> Sequence[Entry]:
        """The next entries with a seq above `after`, in order: `most`, or fewer large ones.

        Raises:
            JournalUnreadable: an entry is damaged or missing.
        """
        rows: list[tuple[int, int, str, int]] = []
        size_bytes = 0
        with self._database.reading():
            for row in self._connection.execute(_READ, (after, most)):
                rows.append(row)
                size_bytes += len(row[2])
                if size_bytes >= _READ_BYTES:
                    break
        first = max(after + 1, self.oldest)
        due = max(min(most, self.head - first + 1), 0)
        if len(rows) != due and size_bytes < _READ_BYTES:
            raise self._database.damaged(f"entries after {after} are missing")
        return [self._entry(seq, row) for seq, row in enumerate(rows, first)]

    def seq_before(self, moment: datetime) -> int:
        """The seq of the last entry journalled before `moment`; 0 if there is none kept.

        Where the clock was set back meanwhile, every entry from `moment` on comes
        after that seq, and perhaps some that are older: none is left out.
        """
        with self._database.reading():
            (first,) = self._connection.execute(
                "SELECT min(seq) FROM entries WHERE at >= ?", (_microseconds(moment),)
            ).fetchone()
        before = self.head if first is None else first - 1
        return before if before >= self.oldest else 0

    def prune(self, now: datetime) -> int:
        """Forget up to 1,000 entries beyond the retention; call again until it returns 0.

        Raises:
            JournalUnwritable: nothing was forgotten.
        """
        last = self._last_expired(now)
        count = last - self.oldest + 1
        if count > 0:
            with self._database.writing():
                self._places.forget(last)
                self._connection.execute("UPDATE journal SET pruned = ?", (last,))
            self.oldest = last + 1
        return max(count, 0)

    def _last_expired(self, now: datetime) -> int:
        """The last seq of the next slice of entries that are too many or too old."""
        too_many = self.head - self._retention.entries
        oldest_kept = _microseconds(now) - int(self._retention.days * 86_400_000_000)
        last = self.oldest - 1
        with self._database.reading():
            rows = self._connection.execute(
                "SELECT seq, at FROM entries ORDER BY seq LIMIT ?", (_SLICE,)
            )
            for seq, at in rows:
                if seq > too_many and at >= oldest_kept:
                    break
                last = seq
        return last

    def reader(self, owner: str, name: str) -> int | None:
        """The seq that this named reader has acknowledged; None if it is not known."""
        return self._marks.find(owner, name)

    def count_readers(self) -> int:
        """How many named readers are known."""
        return self._marks.count()

    def keep_readers(self, marks: Sequence[ReaderMark], now: datetime) -> None:
        """Store what named readers have acknowledged, in one transaction.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._marks.keep(marks, now)

    def forget_readers(self, before: datetime) -> int:
        """Forget readers that were last kept before this moment; return how many."""
        return self._marks.forget(before)

    def close(self) -> None:
        """Release the file. Nothing may be called after this."""
        self._high_water.close()
        self._database.close()

    def _entry(self, seq: int, row: tuple[int, int, str, int]) -> Entry:
        found, at, event, crc = row
        if found != seq or crc != _crc(seq, at, event):
            raise self._database.damaged(f"entry {seq} has changed by itself")
        try:
            return Entry(seq=seq, at=_ZERO + at * _MICROSECOND, event=_decoder.decode(event))
        except msgspec.MsgspecError as problem:
            reason = f"entry {seq} is of a kind that only a newer mailnotify knows"
            raise JournalUnreadable(path=str(self._path), reason=reason) from problem


def _row(entry: Entry, twin: int | None) -> tuple[object, ...]:
    at, event = _microseconds(entry.at), _encoder.encode(entry.event).decode()
    kind = entry.event.__struct_config__.tag
    place: tuple[object, ...] = (None, None, None, None)
    if isinstance(entry.event, Located):
        place = place_of(entry.event)
    return (entry.seq, at, event, _crc(entry.seq, at, event), kind, *place, twin)


def _state_row(state: AccountState) -> tuple[object, ...]:
    row = (state.account, state.mailbox, _encoder.encode(state).decode())
    return (*row, _crc(*row))


def _crc(*values: object) -> int:
    """A checksum of values that stand in one row."""
    return crc32("\0".join(map(str, values)).encode())


def _microseconds(moment: datetime) -> int:
    return (moment - _ZERO) // _MICROSECOND
