"""The hub: what is journalled reaches every reader, once, or is told to be lacking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.core.events import Position
from mailnotify.core.frames import Edge, Gap
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.errors import JournalUnreadable, JournalUnwritable
from mailnotify.hub import Hub, Reader
from mailnotify.interfaces import IJournal, IPokable
from tests.fakes import NOON, CountingPokable, MemoryJournal, SteppingNow, mail


def at(seq: int, epoch: str = "e1") -> Position:
    """A position."""
    return Position(epoch=epoch, seq=seq)


def seqs(reader: Reader, most: int = 100) -> list[int]:
    """Pull once, and name what came."""
    return [each.entry.seq for each in reader.pull(most).copies]


class FakesTests(SynchronousTestCase):
    """The stand-ins keep to the interfaces."""

    def test_interfaces(self) -> None:
        """A journal in memory is a journal."""
        verifyObject(IJournal, MemoryJournal())
        verifyObject(IPokable, CountingPokable())


class AcceptTests(SynchronousTestCase):
    """From an event to an entry."""

    def setUp(self) -> None:
        self.journal = MemoryJournal()
        self.hub = Hub(self.journal, SteppingNow(), tail_size=10)

    def test_journalled_with_cursor_and_time(self) -> None:
        """Events and the cursor are journalled together, with the time of the hub's clock."""
        move = CursorMove(account="home", mailbox="INBOX", cursor=Cursor(uidvalidity=1, last_uid=2))
        entries = self.hub.accept([mail(1), mail(2)], move)
        self.assertEqual([(each.seq, each.at) for each in entries], [(1, NOON), (2, NOON)])
        self.assertEqual(self.journal.cursor("home", "INBOX"), move.cursor)

    def test_poked_when_durable(self) -> None:
        """A reader is poked once for a batch, when it can be read already."""
        pokable = CountingPokable()
        self.hub.attach(pokable)
        self.hub.accept([mail(1), mail(2), mail(3)])
        self.assertEqual(pokable.pokes, 1)

    def test_nothing_new_pokes_nobody(self) -> None:
        """Known mail is no news, and a cursor alone is none."""
        self.hub.accept([mail(1)])
        pokable = CountingPokable()
        self.hub.attach(pokable)
        self.assertEqual(list(self.hub.accept([mail(1)])), [])
        self.hub.accept([])
        self.assertEqual(pokable.pokes, 0)

    def test_full_disk(self) -> None:
        """What cannot be journalled is told to nobody; it can be tried again."""
        pokable = CountingPokable()
        self.hub.attach(pokable)
        reader = self.hub.reader(Edge.NOW)
        self.journal.is_full = True
        self.assertRaises(JournalUnwritable, self.hub.accept, [mail(1)])
        self.assertEqual((pokable.pokes, seqs(reader)), (0, []))
        self.journal.is_full = False
        self.hub.accept([mail(1)])
        self.assertEqual((pokable.pokes, seqs(reader)), (1, [1]))

    def test_trouble_of_one_reader(self) -> None:
        """A reader that fails when poked harms neither the others nor the caller."""
        broken, sound = CountingPokable(fails=True), CountingPokable()
        self.hub.attach(broken)
        self.hub.attach(sound)
        self.assertEqual(len(self.hub.accept([mail(1)])), 1)
        self.assertEqual((broken.pokes, sound.pokes), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_detached(self) -> None:
        """Who has left is poked no more, and may leave twice."""
        pokable = CountingPokable()
        self.hub.attach(pokable)
        self.hub.detach(pokable)
        self.hub.detach(pokable)
        self.hub.accept([mail(1)])
        self.assertEqual(pokable.pokes, 0)


class ResolveTests(SynchronousTestCase):
    """Where a subscriber starts."""

    def setUp(self) -> None:
        self.journal = MemoryJournal()
        self.hub = Hub(self.journal, SteppingNow(), tail_size=1)
        for uid in range(1, 11):
            self.hub.accept([mail(uid)])
        self.journal.forget(3)

    def test_edges(self) -> None:
        """Now is after the last entry, oldest before the first that is kept; neither is a gap."""
        self.assertEqual(self.hub.resolve(Edge.NOW), at(10))
        self.assertEqual(self.hub.resolve(Edge.OLDEST), at(3))
        page = self.hub.reader(Edge.OLDEST).pull(100)
        self.assertEqual((page.gap, len(page.copies)), (None, 7))

    def test_moments(self) -> None:
        """A time starts with the first entry journalled at it or later."""
        self.assertEqual(seqs(self.hub.reader(NOON + timedelta(seconds=6))), [7, 8, 9, 10])
        self.assertEqual(seqs(self.hub.reader(NOON + timedelta(days=1))), [])

    def test_a_moment_before_what_is_kept(self) -> None:
        """A time from which entries may have been forgotten is a gap, not silence."""
        page = self.hub.reader(datetime(2020, 1, 1, tzinfo=UTC)).pull(100)
        self.assertEqual(page.gap, Gap(since=at(0), to=at(3), reason="expired"))
        self.assertEqual(len(page.copies), 7)

    def test_a_new_journal(self) -> None:
        """In an empty journal, now and oldest are the same, and nothing is lacking."""
        hub = Hub(MemoryJournal(), SteppingNow())
        for since in (*Edge, NOON, at(0)):
            page = hub.reader(since).pull(100)
            self.assertEqual((page.gap, list(page.copies), page.position), (None, [], at(0)))


class ReaderTests(SynchronousTestCase):
    """A position that moves."""

    def setUp(self) -> None:
        self.journal = MemoryJournal()
        self.hub = Hub(self.journal, SteppingNow(), tail_size=4)
        for uid in range(1, 11):
            self.hub.accept([mail(uid)])

    def test_tail_serves_the_live(self) -> None:
        """A reader within the tail never touches the journal."""
        self.assertEqual(seqs(self.hub.reader(at(7)), most=2), [8, 9])
        reader = self.hub.reader(at(10))
        self.assertEqual(seqs(reader), [])
        self.hub.accept([mail(11)])
        self.assertEqual(seqs(reader), [11])
        self.assertEqual(self.journal.reads, 0)

    def test_same_bytes_for_all(self) -> None:
        """Two live readers are given the very same copy."""
        first, second = self.hub.reader(at(9)).pull(1), self.hub.reader(at(9)).pull(1)
        self.assertIs(first.copies[0], second.copies[0])

    def test_journal_serves_those_behind(self) -> None:
        """A reader from far back walks through the journal into the tail."""
        reader = self.hub.reader(at(0))
        self.assertEqual(
            [seqs(reader, most=4) for _ in range(4)], [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10], []]
        )
        self.assertEqual(self.journal.reads, 1)

    def test_a_page_knows_its_end(self) -> None:
        """However short a page is, from the tail or the journal, it says whether more is there."""
        self.journal.portion = 2
        reader = self.hub.reader(at(0))
        pages = [reader.pull(3) for _ in range(5)]
        self.assertEqual([len(each.copies) for each in pages], [2, 2, 3, 3, 0])
        self.assertEqual([each.has_more for each in pages], [True] * 3 + [False] * 2)

    def test_a_small_tail_forgets(self) -> None:
        """However much is accepted at once, the tail stays small and right."""
        self.hub.accept([mail(uid) for uid in range(11, 1011)])
        self.assertEqual(seqs(self.hub.reader(at(1008))), [1009, 1010])
        self.assertEqual(self.journal.reads, 0)
        self.assertEqual(seqs(self.hub.reader(at(5)), most=3), [6, 7, 8])
        self.assertEqual(self.journal.reads, 1)

    def test_after_a_restart(self) -> None:
        """A hub on a journal with a past serves the past from the journal, the rest from memory."""
        hub = Hub(self.journal, SteppingNow())
        live, behind = hub.reader(Edge.NOW), hub.reader(at(8))
        hub.accept([mail(11)])
        self.assertEqual((seqs(live), self.journal.reads), ([11], 0))
        self.assertEqual((seqs(behind), self.journal.reads), ([9, 10, 11], 1))

    def test_overtaken_by_retention(self) -> None:
        """A reader that is so slow that entries are forgotten before it is told so."""
        reader = self.hub.reader(at(0))
        self.assertEqual(seqs(reader, most=2), [1, 2])
        self.journal.forget(5)
        page = reader.pull(2)
        self.assertEqual(page.gap, Gap(since=at(2), to=at(5), reason="expired"))
        self.assertEqual([each.entry.seq for each in page.copies], [6, 7])
        self.assertIsNone(reader.pull(2).gap)

    def test_everything_forgotten(self) -> None:
        """When nothing is kept any more, the gap reaches to the head."""
        self.journal.prune(NOON)
        hub = Hub(self.journal, SteppingNow())
        page = hub.reader(at(4)).pull(100)
        self.assertEqual(page.gap, Gap(since=at(4), to=at(10), reason="expired"))
        self.assertEqual((list(page.copies), page.position), ([], at(10)))

    def test_another_epoch(self) -> None:
        """A position of another journal: told, then all that is kept."""
        page = self.hub.reader(at(7, "old")).pull(100)
        self.assertEqual(page.gap, Gap(since=at(7, "old"), to=at(0), reason="epoch"))
        self.assertEqual(len(page.copies), 10)
        self.assertEqual(page.position, at(10))

    def test_ahead(self) -> None:
        """A position that this journal has not reached: told, then what comes."""
        self.journal.restore(8)
        hub = Hub(self.journal, SteppingNow())
        reader = hub.reader(at(10))
        page = reader.pull(100)
        self.assertEqual(page.gap, Gap(since=at(10), to=at(8), reason="ahead"))
        self.assertEqual(list(page.copies), [])
        hub.accept([mail(20)])
        self.assertEqual(seqs(reader), [9])

    def test_a_journal_rebuilt_under_us(self) -> None:
        """When the journal begins a new epoch, old copies are not shown as new ones."""
        reader = self.hub.reader(at(9))
        self.journal.entries, self.journal.head, self.journal.epoch = [], 0, "e2"
        self.hub.accept([mail(1, "of the new epoch")])
        page = reader.pull(100)
        # The copies in memory are of the old epoch; a reader there has them, or is told.
        self.assertEqual(page.gap, Gap(since=at(9), to=at(0, "e2"), reason="epoch"))
        self.assertEqual(page.position, at(1, "e2"))
        self.assertEqual(seqs(self.hub.reader(at(0, "e2"))), [1])

    def test_damage(self) -> None:
        """A journal that cannot be read moves no position."""
        reader = self.hub.reader(at(0))
        self.journal.is_damaged = True
        self.assertRaises(JournalUnreadable, reader.pull, 10)
        self.assertEqual(reader.position, at(0))


class ReadingMachine(RuleBasedStateMachine):
    """Readers that come, go, resume and lag while mail arrives and retention forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = MemoryJournal()
        self.uid = 0
        self.saved = at(0)
        self.seen: list[int] = []
        self.excused: set[int] = set()

    @initialize(tail_size=st.integers(1, 8))
    def open(self, tail_size: int) -> None:
        self.tail_size = tail_size
        self.restart()

    @rule()
    def restart(self) -> None:
        """The service ends, and starts with an empty tail."""
        self.hub = Hub(self.journal, SteppingNow(), self.tail_size)
        self.resume()

    @rule()
    def resume(self) -> None:
        """The reader is cut off, and comes again with the position it has saved."""
        self.reader = self.hub.reader(self.saved)

    @rule(count=st.integers(0, 12))
    def accept(self, count: int) -> None:
        self.hub.accept([mail(self.uid + each) for each in range(1, count + 1)])
        self.uid += count

    @rule(most=st.integers(1, 7), keeps=st.booleans())
    def pull(self, most: int, keeps: bool) -> None:
        """Read; then save the position, or be cut off before anything was received."""
        page = self.reader.pull(most)
        if not keeps:
            self.resume()
            return
        if page.gap:
            assert page.gap.since == self.saved
            self.excused |= set(range(page.gap.since.seq + 1, page.gap.to.seq + 1))
        self.seen += [each.entry.seq for each in page.copies]
        self.saved = page.position

    @precondition(lambda self: self.journal.head > 0)
    @rule(share=st.floats(0, 1))
    def forget(self, share: float) -> None:
        self.journal.forget(int(self.journal.head * share))

    @invariant()
    def once_and_in_order(self) -> None:
        """Nothing is seen twice, out of order, or left out without a word."""
        assert self.seen == sorted(set(self.seen))
        assert set(self.seen) | self.excused == set(range(1, self.saved.seq + 1))
        assert not set(self.seen) & self.excused

    def teardown(self) -> None:
        """In the end the reader has, or was told of, every entry."""
        if hasattr(self, "reader"):
            while self.saved.seq < self.journal.head:
                self.pull(100, True)
            self.once_and_in_order()
            assert self.saved.seq == self.journal.head


class ReadingTests(SynchronousTestCase):
    """Every entry exactly once, over any pattern of disconnects and resumes."""

    def test_any_history(self) -> None:
        """Whatever happens in whatever order: each entry once, or in a gap that was told."""
        machine = ReadingMachine.TestCase
        machine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
        machine("runTest").debug()
