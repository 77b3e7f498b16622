"""A journal at rest, one wound, and what readers are told afterwards.

The journal has lived: entries, cursors, states, marks of readers, and some that
were pruned. It is kept as a clean stop leaves it, and as a kill does, with a quarter
of it in the write-ahead log only. A wound is one bit that flipped, or the end of a
file that is gone. `outcome` opens the wounded journal as the service does, twice
if need be, asks it for everything, and judges what every reader would be told.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from mailnotify.config.schema import Retention
from mailnotify.core.events import Entry, Event, NewMail, Position
from mailnotify.core.frames import Lacking
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor
from mailnotify.errors import JournalUnreadable
from mailnotify.hub import Hub, Reader
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, everything, mail, move, state

EPOCH = "life"
MAILS = 400
PRUNED = 20
IN_FILE = 300
"""What comes later stands in the write-ahead log; after 1,000 pages SQLite would empty that."""
FILES = ("", "-wal", ".high")


@dataclass(frozen=True)
class Wound:
    """Where a journal is damaged.

    Attributes:
        suffix: of the file.
        place: the byte that is changed, or the new length of the file.
        bit: which of it flips; None if the file is cut.
    """

    suffix: str
    place: int
    bit: int | None

    def inflict(self, path: Path) -> None:
        """Damage the file."""
        file = Path(f"{path}{self.suffix}")
        content = bytearray(file.read_bytes())
        if self.bit is None:
            del content[self.place :]
        else:
            content[self.place] ^= 1 << self.bit
        file.write_bytes(content)


class Specimen:
    """A journal as a stop has left it, to be damaged again and again.

    Args:
        folder: is made, and holds everything.
        is_clean: the service was stopped, rather than killed.
    """

    def __init__(self, folder: Path, *, is_clean: bool) -> None:
        self._kept, self._used = folder / "kept", folder / "used"
        self._kept.mkdir(parents=True)
        path = folder / "living" / "journal.sqlite"
        journal = _open(path, Retention(entries=MAILS - PRUNED))
        for uid in range(1, MAILS + 1):
            journal.append([mail(uid)], move(uid), NOON)
            if uid == IN_FILE:
                journal.append([state("blind")], None, NOON)
                journal.keep_readers([ReaderMark(owner="demo", name="desk", seq=uid)], NOON)
                journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.told = {entry.seq: entry for entry in everything(journal)}
        while journal.prune(NOON):
            pass
        self.head = journal.head
        if is_clean:
            journal.close()
        for suffix in FILES:
            if Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", f"{self._kept}/journal.sqlite{suffix}")
        if not is_clean:
            journal.close()

    def find(self, words: bytes) -> int:
        """Where in the main file these words stand."""
        return self._kept.joinpath("journal.sqlite").read_bytes().index(words)

    def size(self, suffix: str) -> int:
        """How long a file is, in bytes."""
        return self._kept.joinpath(f"journal.sqlite{suffix}").stat().st_size

    def wounds(self, chance: random.Random, count: int) -> Iterator[Wound]:
        """Wounds anywhere in any of the files; the small one is met one time in twenty."""
        lengths = {s: self.size(s) for s in FILES if self._has(s)}
        weights = [1 if suffix == ".high" else 10 for suffix in lengths]
        for _ in range(count):
            (suffix,) = chance.choices(list(lengths), weights)
            place = chance.randrange(lengths[suffix])
            yield Wound(suffix, place, chance.choice((None, *range(8))) if place else None)

    def _has(self, suffix: str) -> bool:
        return self._kept.joinpath(f"journal.sqlite{suffix}").exists()

    def outcome(self, wound: Wound | None) -> str:
        """Open a fresh copy with this wound, and judge.

        Returns:
            "unchanged", "epoch" (a new epoch with what is left) or "quarantined".

        Raises:
            AssertionError: somebody is told what is not so, or nothing.
            Exception: the service would not start.
        """
        shutil.rmtree(self._used, ignore_errors=True)
        shutil.copytree(self._kept, self._used)
        path = self._used / "journal.sqlite"
        if wound is not None:
            wound.inflict(path)
        try:
            journal = _open(path)
            try:
                self._judge(journal)
            finally:
                journal.close()
        except JournalUnreadable:  # found while it runs: the service ends, and starts again
            journal = _open(path)
            try:
                self._judge(journal)
            finally:
                journal.close()
            assert list(self._used.glob("*.damaged-*")), "condemned, but not moved aside"
        if list(self._used.glob("*.damaged-*")):
            assert journal.epoch != EPOCH, "quarantined within the same epoch"
            return "quarantined"
        return "unchanged" if journal.epoch == EPOCH else "epoch"

    def _judge(self, journal: SqliteJournal) -> None:
        """Every reader is told exactly what there was, or that something lacks."""
        entries = everything(journal)
        for entry in entries:
            assert entry == self.told[entry.seq], f"entry {entry.seq} is altered"
        journal.state("home", "INBOX")
        journal.reader("demo", "desk")
        cursor = journal.cursor("home", "INBOX") or Cursor(uidvalidity=7, last_uid=0)
        journalled = [each.event.uid for each in entries if isinstance(each.event, NewMail)]
        assert cursor.last_uid <= max(journalled, default=0), "the cursor is ahead of the mail"
        self._judge_readers(journal)

    def _judge_readers(self, journal: SqliteJournal) -> None:
        hub = Hub(journal, lambda: NOON)
        for seq in (0, PRUNED, PRUNED + 1, MAILS // 2, self.head - 1, self.head):
            entries, lacking = _follow(hub.reader(Position(epoch=EPOCH, seq=seq)))
            if journal.epoch != EPOCH:
                assert lacking == Lacking.EPOCH, f"a reader at {seq} is not told of the new epoch"
            elif lacking is None:
                expected = list(range(seq + 1, self.head + 1))
                assert [each.seq for each in entries] == expected, f"a hole after {seq}"
        new: Event = structs.replace(mail(MAILS + 1), account="another")
        (added,) = hub.accept([new])
        assert journal.epoch != EPOCH or added.seq == self.head + 1, "a position is used twice"


def _follow(reader: Reader) -> tuple[list[Entry], str | None]:
    """All that a reader is told, and why something before it lacks."""
    entries: list[Entry] = []
    lacking: str | None = None
    while True:
        page = reader.pull(100)
        lacking = page.gap.reason if page.gap else lacking
        if not page.copies:
            return entries, lacking
        entries += [copy.entry for copy in page.copies]


def _open(path: Path, retention: Retention | None = None) -> SqliteJournal:
    """As the service does; the first life is `EPOCH`, each later one another."""
    is_first = not path.parent.exists()
    return SqliteJournal.open(
        path,
        retention=retention or Retention(),
        make_epoch=lambda: EPOCH if is_first else "another",
        now=NOON,
    )
