"""Tests of `mailnotify.journal.sqlite`."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.core.events import MailGone
from mailnotify.core.message import Address
from mailnotify.core.sync import Cursor
from mailnotify.errors import JournalBusy, JournalUnreadable, JournalUnwritable
from mailnotify.journal.batches import _crc
from mailnotify.journal.boxes import salt_of
from mailnotify.journal.places import _name
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal import contract
from tests.journal.events import NOON, copy, gone, mail, move, place as lying, state, unread


class _Opened(SynchronousTestCase):
    """Opens journals in a folder of the test, and closes them."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "state" / "journal.sqlite"
        self.lives = 0

    def make_epoch(self) -> str:
        self.lives += 1
        return f"life{self.lives}"

    def open(self, retention: Retention | None = None) -> SqliteJournal:
        return SqliteJournal.open(
            self.path,
            retention=retention or Retention(),
            make_epoch=self.make_epoch,
            now=NOON,
        )

    def make_journal(self, retention: Retention) -> SqliteJournal:
        journal = self.open(retention)
        self.addCleanup(journal.close)
        return journal

    def change(self, statement: str, *values: object) -> None:
        """Do with the file what only a failing disk would do."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)

    def quarantined(self) -> list[Path]:
        return sorted(self.path.parent.glob("journal.sqlite.damaged-*"))


class SqliteContractTests(_Opened, contract.JournalContract):
    """The contract of all journals."""


class ReopenedTests(_Opened):
    """What was journalled is there after a restart."""

    def test_everything_survives(self) -> None:
        """Epoch, numbers, entries and cursors are those of before."""
        before = self.open()
        entries = before.append([mail(1), state(), mail(2)], move(2), NOON)
        before.close()
        after = self.make_journal(Retention())
        self.assertEqual((after.epoch, after.head, after.oldest), (before.epoch, 3, 1))
        self.assertEqual(after.read(0, 10), entries)
        self.assertEqual(after.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=2))
        self.assertEqual(after.append([mail(2)], None, NOON), [])
        self.assertEqual(self.lives, 1)

    def test_the_numbers_of_an_emptied_journal_go_on(self) -> None:
        """A position that a client has kept never names another entry."""
        before = self.open(Retention(days=1))
        before.append([mail(1), mail(2)], move(2), NOON)
        before.prune(NOON + timedelta(days=9))
        before.close()
        after = self.make_journal(Retention())
        self.assertEqual((after.oldest, after.head), (3, 2))
        self.assertEqual([entry.seq for entry in after.append([mail(3)], None, NOON)], [3])

    def test_a_message_is_known_by_its_name(self) -> None:
        """Its copy is no news after a restart, whether its entry is kept, filed or forgotten."""
        before = self.open(Retention(entries=2))
        before.append([unread(1), unread(2), copy(2, "Lists", 5)], None, NOON)
        before.append([mail(9)], None, NOON)
        before.keep_past("home", "Lists", 7, [mail(3)])
        while before.prune(NOON):
            pass
        before.close()
        after = self.make_journal(Retention())
        copies = [copy(uid, "Archive", uid) for uid in (1, 2, 3)]
        (filed,) = after.append(copies, None, NOON)
        self.assertEqual((filed.event.id, filed.event.uid), (mail(2).id, 2))
        self.assertTrue(after.has_past("home", "Lists", 7))

    def test_messages_that_come_late(self) -> None:
        """Those below others, and among them, are known as any, and are told once."""
        for is_reopened in (False, True):
            journal = self.open()
            journal.append([unread(uid) for uid in (10, 20, 30, 40)], None, NOON)
            journal.append([unread(uid) for uid in (25, 5, 50, 60, 70)], None, NOON)
            if is_reopened:
                journal.close()
                journal = self.open()
            uids = [5, 10, 20, 25, 30, 40, 50, 60, 70]
            self.assertEqual(list(journal.known("home", "INBOX", 7, 100)), uids)
            self.assertEqual(list(journal.known("home", "INBOX", 7, 4)), uids[-4:])
            for uid in range(1, 80):
                found = journal.mail("home", "INBOX", 7, uid)
                self.assertEqual(found, unread(uid) if uid in uids else None)
            again = [unread(uid) for uid in uids]
            self.assertEqual(journal.append(again, None, NOON, announce_copies=True), [])
            told = journal.append([gone(uid) for uid in (25, 26, 30, 25)], None, NOON)
            self.assertEqual([each.event.uid for each in told], [25, 30])
            self.assertEqual(list(journal.known("home", "INBOX", 7, 4)), [40, 50, 60, 70])
            journal.close()
            shutil.rmtree(self.path.parent)

    def test_what_failed_is_not_known(self) -> None:
        """What could not be stored is news when it comes again, in any order."""
        journal = self.make_journal(Retention())
        journal.append([unread(1)], None, NOON)
        broken = [unread(5), copy(1, "Lists", 3), unread(9), state("\ud800")]
        self.assertRaises(UnicodeEncodeError, journal.append, broken, None, NOON)
        self.assertEqual(journal._places._kin.find(_name(unread(5), salt_of("home"))), [])
        told = journal.append([copy(9, "Lists", 2), unread(5), unread(9)], None, NOON)
        self.assertEqual(
            [type(each.event).__name__ for each in told], ["NewMail", "NewMail", "MailFiled"]
        )
        self.assertEqual(list(journal.known("home", "Lists", 7, 9)), [2])

    def test_a_filed_message_under_a_used_uid(self) -> None:
        """A UID given out anew to the copy of another message: both are known."""
        journal = self.make_journal(Retention())
        journal.append([unread(1), unread(2, mailbox="Lists")], None, NOON)
        (filed,) = journal.append([copy(1, "Lists", 2)], None, NOON)
        self.assertEqual((filed.event.id, filed.event.uidvalidity), (unread(1).id, 7 + 2**32))
        self.assertEqual(journal.append([copy(1, "Lists", 2)], None, NOON), [])
        (left,) = journal.append([gone(2, mailbox="Lists")], None, NOON)
        self.assertEqual((left.event.id, left.event.uidvalidity), (unread(1).id, 7 + 2**32))

    def test_a_used_uid_of_a_filed_message(self) -> None:
        """A UID of a copy, given out anew to another message: it is not taken for the copy."""
        for is_forgotten in (False, True):
            journal = self.open(Retention(entries=1))
            journal.append([unread(1)], None, NOON)
            journal.append([copy(1, "Lists", 2)], None, NOON)
            while is_forgotten and journal.prune(NOON):
                pass
            nameless = structs.replace(unread(2, mailbox="Lists"), message_id="")
            for later in (unread(2, mailbox="Lists"), structs.replace(nameless, subject="Hello")):
                (entry,) = journal.append([later], None, NOON)
                self.assertEqual(entry.event.subject, later.subject)
                self.assertEqual(journal.append([later], None, NOON), [])
            # Its server learned to name it, or copies are news: it is the same.
            named = structs.replace(copy(1, "Lists", 2), object_id="guid:1")
            self.assertEqual(bool(journal.append([named], None, NOON)), is_forgotten)
            copied = copy(1, "Lists", 2)
            self.assertEqual(journal.append([copied], None, NOON, announce_copies=True), [])
            journal.close()
            shutil.rmtree(self.path.parent)

    def test_a_name_that_two_mailboxes_had(self) -> None:
        """After a rename the messages under the name are those of the mailbox that has it now."""
        journal = self.make_journal(Retention())
        journal.append([unread(1), unread(2)], move(2), NOON)
        journal.append([unread(1, mailbox="Lists")], move(1, mailbox="Lists"), NOON)
        journal.rename("home", "Lists", "INBOX")
        self.assertEqual(list(journal.mails("home", "INBOX")), [unread(1, mailbox="Lists")])
        self.assertEqual(list(journal.known("home", "INBOX", 7, 9)), [1])
        told = journal.append([gone(1), MailGone(**lying("Lists", 2))], None, NOON)
        self.assertEqual(
            [each.event.id for each in told], [mail(1, mailbox="Lists").id, mail(2).id]
        )

    def test_what_becomes_of_many_at_once(self) -> None:
        """Nobody waits while all is looked up and stored message by message."""
        journal = self.make_journal(Retention())
        journal.append([unread(uid) for uid in range(1, 101)], None, NOON)
        said: list[str] = []
        journal._connection.set_trace_callback(said.append)
        told = journal.append([gone(uid) for uid in range(1, 101)], None, NOON)
        self.assertEqual([each.event.uid for each in told], list(range(1, 101)))
        self.assertLess(sum("batches" in each for each in said), 5)

    def test_many_that_are_no_news(self) -> None:
        """No entry tells of them, and none is looked for."""
        journal = self.make_journal(Retention())
        journal.append([mail(1)], None, NOON)
        bygone = [mail(uid) for uid in range(2, 102)]
        journal.pass_over(bygone)
        said: list[str] = []
        journal._connection.set_trace_callback(said.append)
        self.assertEqual(journal.append(bygone, None, NOON), [])
        self.assertEqual(sum("batches" in each for each in said), 0)

    def test_part_of_what_came_at_once_is_forgotten(self) -> None:
        """A restart brings none of it back, and no number is used twice."""
        before = self.open(Retention(entries=3))
        before.append([mail(uid) for uid in range(1, 11)], move(10), NOON)
        self.assertEqual(before.prune(NOON), 7)
        before.close()
        after = self.make_journal(Retention(entries=3))
        self.assertEqual((after.oldest, after.head), (8, 10))
        self.assertEqual([each.seq for each in after.read(0, 10)], [8, 9, 10])
        self.assertEqual(after.seq_before(NOON), 0)
        self.assertEqual(after.prune(NOON), 0)
        after.append([mail(11), mail(12), mail(13)], None, NOON)
        self.assertEqual(after.prune(NOON), 3)
        self.assertEqual([each.event.uid for each in after.read(0, 10)], [11, 12, 13])

    def test_one_call_forgets_a_bounded_number(self) -> None:
        """Forgetting does not hold the service for long."""
        journal = self.make_journal(Retention(entries=1))
        journal.append([mail(uid) for uid in range(1, 2102)], None, NOON)
        self.assertEqual([journal.prune(NOON) for _ in range(4)], [1000, 1000, 100, 0])

    def test_large_entries_come_in_small_portions(self) -> None:
        """Whoever reads letters to hundreds of people does not hold the service for long."""
        journal = self.make_journal(Retention())
        many = tuple(Address(address=f"{each}@example.org") for each in range(1000))
        letters = [structs.replace(mail(uid), to=many) for uid in range(1, 8)]
        journal.append(letters, None, NOON)
        portions = []
        while portion := journal.read(sum(map(len, portions)), 100):
            portions.append([each.seq for each in portion])
        self.assertEqual([seq for portion in portions for seq in portion], list(range(1, 8)))
        self.assertLessEqual(max(map(len, portions)), 2)

    @given(st.lists(st.lists(st.integers(1, 40), max_size=8), max_size=8), st.integers(1, 20))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def test_any_history_reads_the_same_after_a_restart(
        self, batches: list[list[int]], kept: int
    ) -> None:
        """Whatever came, each message is there once, without holes."""
        self.setUp()
        journal = self.open(Retention(entries=kept))
        for batch in batches:
            journal.append([mail(uid) for uid in batch], None, NOON)
        uids = [entry.event.uid for entry in journal.read(0, 100)]
        self.assertEqual(uids, list(dict.fromkeys(uid for batch in batches for uid in batch)))
        journal.prune(NOON)
        entries = list(journal.read(0, 100))
        journal.close()
        again = self.open()
        self.assertEqual(list(again.read(0, 100)), entries)
        self.assertEqual([entry.event.uid for entry in entries], uids[-kept:])
        self.assertEqual((again.oldest, again.head), (len(uids) - len(entries) + 1, len(uids)))
        again.close()


class PrivateTests(_Opened):
    """Nobody else reads the journal, and nobody else writes it."""

    def test_only_the_owner_can_read_it(self) -> None:
        """The folder has mode 0700; every file in it 0600."""
        journal = self.make_journal(Retention())
        journal.append([mail(1)], None, NOON)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)
        modes = {
            each.name: stat.S_IMODE(each.stat().st_mode) for each in self.path.parent.iterdir()
        }
        self.assertEqual(set(modes.values()), {0o600})
        self.assertIn("journal.sqlite-wal", modes)

    def test_a_file_that_others_could_read_becomes_private(self) -> None:
        """A journal restored from a backup with the wrong mode is closed to others."""
        self.open().close()
        self.path.chmod(0o644)
        self.make_journal(Retention())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_second_service_is_refused(self) -> None:
        """Two services never share a journal; the second one is told why."""
        first = self.open()
        problem = self.assertRaises(JournalBusy, self.open)
        self.assertEqual(str(problem), f"the journal {self.path} is in use by another service")
        first.append([mail(1)], None, NOON)
        first.close()
        self.assertEqual(self.make_journal(Retention()).head, 1)

    def test_a_failed_opening_leaves_no_lock(self) -> None:
        """What could not be opened can be opened after it was mended."""
        self.path.parent.mkdir(parents=True)
        self.path.mkdir()
        self.assertRaises(JournalUnwritable, self.open)
        self.path.rmdir()
        self.assertEqual(self.make_journal(Retention()).head, 0)

    def test_a_folder_that_cannot_be_made_is_named(self) -> None:
        """The operator learns which path is wrong."""
        self.path.parent.parent.mkdir()
        self.path.parent.write_bytes(b"")
        problem = self.assertRaises(JournalUnwritable, self.open)
        self.assertIn(str(self.path), str(problem))

    def test_it_syncs_every_commit(self) -> None:
        """What was announced survives a power cut: WAL with synchronous=FULL."""
        connection = self.make_journal(Retention())._connection
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            self.assertEqual(connection.execute(f"PRAGMA {pragma}").fetchone(), (value,))


class UnwritableTests(_Opened):
    """A disk that takes nothing costs nothing but time."""

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file of this process grows: every write beyond its first bytes fails."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def test_what_could_not_be_stored_has_left_no_trace(self) -> None:
        """A full disk is said so; with room again the same messages go in."""
        journal = self.make_journal(Retention())
        journal.append([mail(1)], move(1), NOON)
        with self.full_disk():
            for _ in range(3):
                self.assertRaises(JournalUnwritable, journal.append, [mail(2)], move(2), NOON)
        self.assertEqual(journal.head, 1)
        self.assertEqual(len(journal.read(0, 10)), 1)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=1))
        entries = journal.append([mail(2), mail(3)], move(3), NOON)
        self.assertEqual([entry.seq for entry in entries], [2, 3])

    def test_what_could_not_be_forgotten_is_still_there(self) -> None:
        """Pruning on a full disk changes nothing."""
        journal = self.make_journal(Retention(entries=1))
        journal.append([mail(1), mail(2)], None, NOON)
        with self.full_disk():
            self.assertRaises(JournalUnwritable, journal.prune, NOON)
        self.assertEqual((journal.oldest, len(journal.read(0, 10))), (1, 2))
        self.assertEqual(journal.prune(NOON), 1)

    def test_a_new_journal_cannot_begin_on_a_full_disk(self) -> None:
        """It says so, and begins when there is room."""
        with self.full_disk():
            self.assertRaises(JournalUnwritable, self.open)
        self.assertEqual(self.make_journal(Retention()).head, 0)

    def test_another_writer_delays_nobody_for_long(self) -> None:
        """A person in the sqlite3 shell costs an attempt, not the service."""
        journal = self.make_journal(Retention())
        with closing(sqlite3.connect(self.path, isolation_level=None)) as person:
            person.execute("BEGIN IMMEDIATE")
            problem = self.assertRaises(JournalUnwritable, journal.append, [mail(1)], None, NOON)
        self.assertIn("locked", str(problem))
        self.assertEqual(len(journal.append([mail(1)], None, NOON)), 1)

    def test_an_event_that_cannot_be_encoded_leaves_no_trace(self) -> None:
        """A fault of ours takes none of its batch with it, and blocks no later one."""
        journal = self.make_journal(Retention())
        broken = [mail(1), state("\ud800")]
        self.assertRaises(UnicodeEncodeError, journal.append, broken, move(2), NOON)
        self.assertIsNone(journal.cursor("home", "INBOX"))
        self.assertEqual([entry.seq for entry in journal.append([mail(1)], None, NOON)], [1])


class DamagedTests(_Opened):
    """A file that a disk has changed is kept aside, said once, and never tried again."""

    def setUp(self) -> None:
        super().setUp()
        journal = self.open()
        journal.append([mail(uid) for uid in range(1, 201)], move(200), NOON)
        journal.close()

    def assert_begins_anew(self) -> None:
        journal = self.make_journal(Retention())
        self.assertEqual((journal.epoch, journal.head), ("life2", 0))
        self.assertIsNone(journal.cursor("home", "INBOX"))
        self.assertEqual(len(journal.append([mail(1)], move(1), NOON)), 1)
        self.assertEqual(len(self.quarantined()), 1)

    def test_a_file_that_is_no_database_is_moved_aside(self) -> None:
        """The new journal has another epoch, and the old file bears the date."""
        self.path.write_bytes(b"all work and no play " * 500)
        self.assert_begins_anew()
        self.assertEqual(
            [each.name for each in self.quarantined()], ["journal.sqlite.damaged-20260701T120000Z"]
        )
        self.assertTrue(self.quarantined()[0].read_bytes().startswith(b"all work"))

    def test_a_damaged_page_is_found_at_the_start(self) -> None:
        """Damage is not met in the middle of a night."""
        content = bytearray(self.path.read_bytes())
        content[3 * 4096 : 4 * 4096] = b"\xff" * 4096
        self.path.write_bytes(content)
        self.assert_begins_anew()

    def test_a_file_cut_short_is_moved_aside(self) -> None:
        """Half a journal is no journal."""
        self.path.write_bytes(self.path.read_bytes()[:20000])
        self.assert_begins_anew()

    def test_an_emptied_file_with_a_log_is_moved_aside(self) -> None:
        """SQLite would drop the log without a word."""
        self.path.write_bytes(b"")
        Path(f"{self.path}-wal").write_bytes(b"something")
        journal = self.make_journal(Retention())
        self.assertEqual(journal.epoch, "life2")
        self.assertEqual(len(self.quarantined()), 2)

    def test_two_damages_in_one_second_keep_both_files(self) -> None:
        """Nothing that was moved aside is overwritten."""
        for _ in range(2):
            self.path.write_bytes(b"nonsense" * 1000)
            self.open().close()
        self.assertEqual(len(self.quarantined()), 2)

    def test_no_bit_of_the_header_keeps_the_service_from_starting(self) -> None:
        """Neither the number of the version, nor that of the program, nor any of a format."""
        sound = self.path.read_bytes()
        kept = shutil.copytree(self.path.parent, self.path.parent.with_name("sound"))
        for place in (*range(18 * 8, 20 * 8), *range(44 * 8, 48 * 8), *range(60 * 8, 72 * 8)):
            content = bytearray(sound)
            content[place // 8] ^= 1 << place % 8
            self.path.write_bytes(content)
            journal = self.open()
            self.assertEqual(len(journal.append([mail(999)], None, NOON)), 1)
            journal.close()
            is_kept = (journal.epoch, journal.head) == ("life1", 201)
            self.assertEqual(len(self.quarantined()), 0 if is_kept else 1, place)
            self.assertTrue(is_kept or journal.epoch != "life1", place)
            shutil.rmtree(self.path.parent)
            shutil.copytree(kept, self.path.parent)

    def test_a_changed_entry_is_never_announced(self) -> None:
        """A flipped bit in an entry stops the reader, and the next start begins anew."""
        (first, last) = self.rows()
        changed = "CAST(replace(CAST(events AS TEXT), 'Ana', 'Eve') AS BLOB)"
        self.change(f"UPDATE batches SET events = {changed} WHERE last = {last}")
        journal = self.open()
        self.assertEqual(len(journal.read(0, first)), first)
        problem = self.assertRaises(JournalUnreadable, journal.read, first, 20)
        self.assertIn(f"entry {last}, or one just before it, has changed", str(problem))
        journal.close()
        self.assert_begins_anew()

    def test_a_missing_entry_is_noticed(self) -> None:
        """No reader skips a hole unknowingly."""
        self.change("DELETE FROM batches WHERE last = ?", self.rows()[0])
        journal = self.make_journal(Retention())
        self.assertRaises(JournalUnreadable, journal.read, 0, 500)

    def test_a_missing_last_entry_is_noticed(self) -> None:
        """What the journal has told is there, or it is damaged."""
        journal = self.make_journal(Retention())
        self.change("DELETE FROM batches WHERE last = ?", self.rows()[-1])
        self.assertRaises(JournalUnreadable, journal.read, self.rows()[-1], 500)

    def rows(self) -> list[int]:
        """The last seqs of all rows: one is too large for one."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT last FROM batches ORDER BY last").fetchall()
        return [last for (last,) in rows]

    def test_a_changed_fate_is_found_at_the_start(self) -> None:
        """No message is called gone because of a flipped bit."""
        journal = self.open()
        journal.append([gone(7)], None, NOON)
        journal.close()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("UPDATE fates SET place = place + 1")
        self.assert_begins_anew()

    def test_names_that_cannot_be_read_are_found_at_the_start(self) -> None:
        """A service that could not read them would never start."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("UPDATE batches SET names = substr(names, 2)")
        self.assert_begins_anew()

    def test_a_changed_name_of_the_forgotten_is_found_at_the_start(self) -> None:
        """Nobody is told twice because of a flipped bit."""
        journal = self.open()
        journal.keep_past("home", "Lists", 7, [mail(500)])
        journal.close()
        name = _name(mail(500), salt_of("home")).to_bytes(4, "big")
        content = self.path.read_bytes()
        self.assertEqual(content.count(name), 2)
        self.path.write_bytes(content.replace(name, b"\0" + name[1:], 1))
        self.assert_begins_anew()

    def test_a_changed_cursor_is_not_followed(self) -> None:
        """Mail is not skipped because of a flipped bit."""
        self.change("UPDATE cursors SET last_uid = 4711")
        journal = self.make_journal(Retention())
        self.assertRaises(JournalUnreadable, journal.cursor, "home", "INBOX")

    def test_a_changed_state_is_not_believed(self) -> None:
        """No mailbox is called seen because of a flipped bit."""
        journal = self.make_journal(Retention())
        journal.append([state("blind")], None, NOON)
        self.change("UPDATE states SET event = replace(event, 'blind', 'blond')")
        self.assertRaises(JournalUnreadable, journal.state, "home", "INBOX")

    def test_damage_while_it_runs_is_said_and_remembered(self) -> None:
        """Readers and writers get a clear error; the next start begins anew."""
        journal = self.open()
        for _ in range(60):  # more than SQLite keeps in memory
            journal.append([state("blind" * 20_000)], None, NOON)
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (self.path.stat().st_size - 4096))
        self.assertRaises(JournalUnreadable, journal.read, 0, 500)
        self.assertRaises(JournalUnreadable, journal.append, [mail(999)], None, NOON)
        journal.close()
        self.assert_begins_anew()

    def test_an_epoch_that_is_no_name_is_damage(self) -> None:
        """Clients could not write their position in it."""
        self.change("UPDATE journal SET epoch = ' '")
        self.assert_begins_anew()

    def test_what_cannot_be_noted_is_said(self) -> None:
        """The error comes also if the disk takes no note of the damage."""
        self.change("UPDATE cursors SET last_uid = 4711")
        journal = self.make_journal(Retention())
        self.path.parent.rename(self.path.parent.with_name("elsewhere"))
        self.assertRaises(JournalUnreadable, journal.cursor, "home", "INBOX")

    def test_what_cannot_be_moved_aside_is_refused(self) -> None:
        """A damaged journal that stays where it is costs one clear error, no loop."""
        Path(f"{self.path}.damaged").mkdir()  # a note of damage that cannot be taken away
        problem = self.assertRaises((JournalUnreadable, JournalUnwritable), self.open)
        self.assertIn(str(self.path), str(problem))

    def test_bits_that_flip_anywhere_invent_nothing(self) -> None:
        """Every value that is read is one that was written, or it is an error."""
        sound = self.path.read_bytes()
        written = {uid: mail(uid) for uid in range(1, 201)}
        for place in range(0, len(sound) * 8, 6007):
            content = bytearray(sound)
            content[place // 8] ^= 1 << place % 8
            self.path.write_bytes(content)
            self.assert_invents_nothing(written)

    def assert_invents_nothing(self, written: dict[int, object]) -> None:
        journal = self.open()
        try:
            for entry in journal.read(0, 500):
                self.assertEqual(entry.event, written[entry.event.uid])
            journal.cursor("home", "INBOX")
        except JournalUnreadable:
            pass
        finally:
            journal.close()


class ForeignTests(_Opened):
    """Files that are sound but not ours are left alone."""

    def test_a_newer_journal_is_refused_and_kept(self) -> None:
        """After a downgrade the newer file stays as it is."""
        self.open().close()
        self.change("ALTER TABLE batches ADD COLUMN colour TEXT")
        self.change("PRAGMA user_version = 99")
        problem = self.assertRaises(JournalUnreadable, self.open)
        self.assertIn("version 99, this mailnotify knows up to 1", str(problem))
        self.assertEqual(self.quarantined(), [])

    def test_the_database_of_another_program_is_refused_and_kept(self) -> None:
        """A wrong path destroys nothing."""
        self.path.parent.mkdir(parents=True)
        self.change("CREATE TABLE bookmarks (url)")
        problem = self.assertRaises(JournalUnreadable, self.open)
        self.assertIn("another program", str(problem))
        self.assertEqual(self.quarantined(), [])

    def test_an_event_of_a_newer_kind_is_no_damage(self) -> None:
        """After a downgrade an unknown event stops the reader, but costs no journal."""
        journal = self.open()
        journal.append([mail(1)], None, NOON)
        journal.close()
        with closing(sqlite3.connect(self.path)) as connection:
            row = connection.execute("SELECT * FROM batches").fetchone()
        event = b'[{"kind":"wedding"}]'
        crc = _crc(row[:6], row[7], event)
        self.change("UPDATE batches SET events = ?, crc = ?", event, crc)
        journal = self.open()
        problem = self.assertRaises(JournalUnreadable, journal.read, 0, 10)
        self.assertIn("newer mailnotify", str(problem))
        journal.close()
        self.assertEqual(self.open_and_close(), ("life1", 1))

    def open_and_close(self) -> tuple[str, int]:
        journal = self.open()
        journal.close()
        return journal.epoch, journal.head
