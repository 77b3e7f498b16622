"""The journal in one SQLite file: the usual one.

`append` is where a message becomes real: its entry and the cursor of its
mailbox are in one transaction, fsynced before `append` returns, and only then
may anybody hear of it. A message that was journalled before is refused: it is looked
up in the same transaction, and behind that stands a unique index. So the watcher may
ask for the same range twice.

All calls run in the reactor's thread: a transaction takes a fraction of a
millisecond plus one fsync. What is asked at every turn (`head`, `oldest`) is
kept in memory.

Each row carries a checksum, since SQLite does not see a bit that flipped in a
value. A journal found damaged while it runs says so with `JournalUnreadable`,
and is moved aside at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from zope.interface import implementer

from mailnotify.config.schema import Retention
from mailnotify.core.events import AccountState, Entry, Event, NewMail
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.interfaces import IJournal
from mailnotify.journal.batches import Batches
from mailnotify.journal.draft import Draft
from mailnotify.journal.high_water import HighWater
from mailnotify.journal.kind import JOURNAL, begin_life
from mailnotify.journal.mailboxes import MOVE, Mailboxes, cursor_row
from mailnotify.journal.marks import Marks
from mailnotify.journal.places import Places
from mailnotify.storage.columns import checksum, micros
from mailnotify.storage.database import Database

_SLICE: Final = 1000
"""Entries forgotten by one call of `prune`, so that it holds the reactor for milliseconds."""

_READ_BYTES: Final = 65_536
"""No more is read at once, but for one row: to decode so much takes a millisecond."""

_STATES: Final = "SELECT account, mailbox, event, crc FROM states"
_STATE: Final = """
    INSERT INTO states (account, mailbox, event, crc) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, mailbox) DO UPDATE SET event = excluded.event, crc = excluded.crc
"""

_encoder = msgspec.json.Encoder()
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
        self._retention = retention
        self._database = database
        self._high_water = high_water
        self._marks = Marks(database)
        self._mailboxes = Mailboxes(database)
        self._batches = Batches(database, path)
        self._places = Places(database, self._batches)
        self._connection = database.connection
        epoch, pruned, last = self._connection.execute(
            "SELECT epoch, pruned, (SELECT max(last) FROM batches) FROM journal"
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
        with self._database.writing():
            self._mailboxes.rename(account, old, new)
            self._places.rename(account, old, new)
        self._mailboxes.forget()

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
        return self._mailboxes.last_moved(account, mailbox)

    def begun(self, account: str) -> datetime | None:
        """When the first mailbox of an account was first seen; None if none was."""
        return self._mailboxes.begun(account)

    def mails(self, account: str, mailbox: str) -> Iterator[NewMail]:
        """The messages of a mailbox that are kept, in order."""
        return self._places.mails(account, mailbox)

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
            if crc != checksum(account, mailbox, event):
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
        draft, moment = Draft(self._batches, self.head, at), micros(at)
        try:
            with self._database.writing():
                self._places.settle(events, draft, announce_copies=announce_copies)
                draft.flush()
                states = [_state_row(each) for each in events if isinstance(each, AccountState)]
                if states:
                    self._connection.executemany(_STATE, states)
                if move is not None:
                    self._connection.execute(MOVE, cursor_row(move, moment))
        except BaseException:
            self._places.undo(self.head + 1)
            raise
        if move is not None:
            self._mailboxes.moved(move)
        entries = _entries(self.head + 1, at, draft.told)
        if entries:
            self.head += len(entries)
            self._high_water.rise(self.epoch, self.head)
        return entries

    def read(self, after: int, most: int) -> Sequence[Entry]:
        """The next entries with a seq above `after`, in order: `most`, or fewer large ones.

        Raises:
            JournalUnreadable: an entry is damaged or missing.
        """
        entries: list[Entry] = []
        size_bytes = 0
        last = max(after, self.oldest - 1)
        with self._database.reading():
            for row in self._batches.rows_after(last):
                size_bytes += len(row[-1])
                if entries and (len(entries) >= most or size_bytes > _READ_BYTES):
                    break
                batch = self._batches.open(row)
                if batch.first > last + 1 or (entries and batch.first != last + 1):
                    raise self._database.damaged(f"entries after {last} are missing")
                entries += _entries(last + 1, batch.at, batch.events[last + 1 - batch.first :])
                last = batch.last
            else:
                if last < self.head:
                    raise self._database.damaged(f"entries after {last} are missing")
        return entries[:most]

    def seq_before(self, moment: datetime) -> int:
        """The seq of the last entry journalled before `moment`; 0 if there is none kept.

        Where the clock was set back meanwhile, every entry from `moment` on comes
        after that seq, and perhaps some that are older: none is left out.
        """
        with self._database.reading():
            before = self._batches.before(moment, self.oldest, self.head)
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
        oldest_kept = micros(now) - int(self._retention.days * 86_400_000_000)
        last, most = self.oldest - 1, self.oldest - 1 + _SLICE
        with self._database.reading():
            for end, at in self._batches.times_after(last):
                if at >= oldest_kept and too_many < end:
                    last = max(last, too_many)
                    break
                last = end
                if last >= most:
                    break
        return min(last, most)

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


def _entries(first: int, at: datetime, events: Sequence[Event]) -> list[Entry]:
    return [Entry(seq=seq, at=at, event=event) for seq, event in enumerate(events, first)]


def _state_row(state: AccountState) -> tuple[object, ...]:
    row = (state.account, state.mailbox, _encoder.encode(state).decode())
    return (*row, checksum(*row))
