"""What every journal must do, whatever it is made of.

A test module of an implementation adds `JournalContract` to a `TestCase` and
says how a journal is made::

    class MyJournalTests(contract.JournalContract, SynchronousTestCase):
        def make_journal(self, retention: Retention) -> IJournal: ...
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import structs
from zope.interface.verify import verifyObject

from mailnotify.config.schema import Retention
from mailnotify.core.events import MailGone, MailSeen
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.interfaces import IJournal
from tests.journal.events import NOON, copy, gone, mail, move, place, seen, state, unread


class JournalContract:
    """A mixin of tests; see the module."""

    def make_journal(self, retention: Retention) -> IJournal:
        """A new, empty journal; the test case closes it."""
        raise NotImplementedError

    def test_it_is_a_journal(self) -> None:
        """It has all that readers and watchers call."""
        self.assertTrue(verifyObject(IJournal, self.make_journal(Retention())))

    def test_a_new_journal_is_empty(self) -> None:
        """Nothing has happened yet, and no mailbox was seen."""
        journal = self.make_journal(Retention())
        self.assertEqual((journal.head, journal.oldest), (0, 1))
        self.assertTrue(journal.epoch.isascii() and journal.epoch.isalnum())
        self.assertEqual(list(journal.read(0, 10)), [])
        self.assertIsNone(journal.cursor("home", "INBOX"))
        self.assertEqual(journal.seq_before(NOON), 0)
        self.assertEqual(journal.prune(NOON), 0)

    def test_what_is_remembered_of_a_mailbox(self) -> None:
        """Its messages of any UIDVALIDITY, and when its cursor was last stored."""
        journal = self.make_journal(Retention())
        self.assertIsNone(journal.moved("home", "INBOX"))
        self.assertEqual(list(journal.mails("home", "INBOX")), [])
        mails = [mail(1, uidvalidity=3), mail(1, uidvalidity=4)]
        journal.append([*mails, mail(1, mailbox="Lists"), state()], move(1), NOON)
        later = NOON + timedelta(microseconds=5)
        journal.append([], move(2), later)
        journal.append([mail(9)], None, later + timedelta(days=1))
        self.assertEqual(list(journal.mails("home", "INBOX")), [*mails, mail(9)])
        self.assertEqual(journal.moved("home", "INBOX"), later)

    def test_entries_come_back_as_they_went_in(self) -> None:
        """Every field of every kind survives, in order, numbered from 1."""
        journal = self.make_journal(Retention())
        events = [mail(4), state(), mail(9)]
        at = NOON + timedelta(microseconds=123)
        entries = list(journal.append(events, None, at))
        self.assertEqual([entry.seq for entry in entries], [1, 2, 3])
        self.assertEqual([entry.event for entry in entries], events)
        self.assertEqual([entry.at for entry in entries], [at] * 3)
        self.assertEqual(list(journal.read(0, 10)), entries)
        self.assertEqual((journal.head, journal.oldest), (3, 1))

    def test_known_mail_is_left_out_without_a_hole(self) -> None:
        """A message that is told of twice is announced once, and no number is lost."""
        journal = self.make_journal(Retention())
        journal.append([mail(1), mail(2)], None, NOON)
        entries = journal.append([mail(2), mail(3), mail(3), mail(1), mail(4)], None, NOON)
        self.assertEqual([(entry.seq, entry.event.uid) for entry in entries], [(3, 3), (4, 4)])
        self.assertEqual(journal.head, 4)
        self.assertEqual([entry.seq for entry in journal.read(0, 10)], [1, 2, 3, 4])

    def test_identity_is_all_four_parts(self) -> None:
        """The same UID elsewhere, or under another UIDVALIDITY, is another message."""
        journal = self.make_journal(Retention())
        events = [
            mail(1),
            mail(1, account="work"),
            mail(1, mailbox="Lists"),
            mail(1, uidvalidity=8),
        ]
        self.assertEqual(len(journal.append(events, None, NOON)), 4)
        self.assertEqual(len(journal.append(events, None, NOON)), 0)

    def test_states_are_never_known(self) -> None:
        """An account that goes blind twice is told of twice."""
        journal = self.make_journal(Retention())
        journal.append([state(), state()], None, NOON)
        self.assertEqual(journal.head, 2)

    def test_the_last_state_of_each_mailbox_is_kept(self) -> None:
        """Whether its readers believe it blind is known after the entry was forgotten."""
        journal = self.make_journal(Retention(days=1))
        self.assertIsNone(journal.state("home", "INBOX"))
        journal.append([state("blind"), mail(1), state("denied")], None, NOON)
        journal.prune(_after(1000))
        self.assertEqual(journal.oldest, 4)
        self.assertEqual(journal.state("home", "INBOX"), state("denied"))
        self.assertIsNone(journal.state("home", "Lists"))
        self.assertEqual(list(journal.states()), [state("denied")])

    def test_what_becomes_of_a_message_is_told_once(self) -> None:
        """It is read, and then removed; a server that says so again is not repeated."""
        journal = self.make_journal(Retention())
        journal.append([unread(1), unread(2)], None, NOON)
        self.assertEqual(len(journal.append([seen(1), seen(1), gone(1)], None, NOON)), 2)
        self.assertEqual(len(journal.append([gone(1), seen(1), mail(1), seen(2)], None, NOON)), 1)
        kinds = [type(each.event).__name__ for each in journal.read(2, 10)]
        self.assertEqual(kinds, ["MailSeen", "MailGone", "MailSeen"])
        self.assertEqual([each.seq for each in journal.read(0, 10)], [1, 2, 3, 4, 5])

    def test_many_mailboxes_begin(self) -> None:
        """Their cursors are stored together, and nothing is told."""
        journal = self.make_journal(Retention())
        journal.begin([move(3), move(4, mailbox="Lists")], NOON)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=3))
        self.assertEqual(journal.cursor("home", "Lists"), Cursor(uidvalidity=7, last_uid=4))
        self.assertEqual(journal.moved("home", "Lists"), NOON)
        self.assertEqual(journal.head, 0)

    def test_a_mailbox_is_renamed(self) -> None:
        """Cursor and messages go with it, and the messages keep the ids that were told."""
        journal = self.make_journal(Retention())
        journal.append([unread(1, mailbox="Lists")], move(1, mailbox="Lists"), NOON)
        journal.append([unread(1)], move(5), NOON)
        journal.rename("home", "Lists", "Old")
        self.assertIsNone(journal.cursor("home", "Lists"))
        self.assertEqual(journal.cursor("home", "Old"), Cursor(uidvalidity=7, last_uid=1))
        self.assertEqual(journal.moved("home", "Old"), NOON)
        self.assertEqual(list(journal.known("home", "Old", 7, 10)), [1])
        self.assertEqual(list(journal.mails("home", "Old")), [unread(1, mailbox="Lists")])
        journal.append([gone(1, mailbox="Old")], None, NOON)
        (entry,) = journal.read(2, 10)
        self.assertEqual(entry.event.id, unread(1, mailbox="Lists").id)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=5))
        self.assertEqual(list(journal.known("home", "INBOX", 7, 10)), [1])

    def test_a_mailbox_is_renamed_to_a_name_that_was_known(self) -> None:
        """What has the name now counts."""
        journal = self.make_journal(Retention())
        journal.append([unread(1)], move(9), NOON)
        journal.append([unread(1, mailbox="Lists")], move(1, mailbox="Lists"), NOON)
        journal.rename("home", "Lists", "INBOX")
        self.assertEqual(set(journal.cursors("home")), {"INBOX"})
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=1))
        journal.rename("home", "Nowhere", "INBOX")
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=1))

    def test_all_cursors_of_an_account(self) -> None:
        """By mailbox, with the id that a mailbox has from its server."""
        journal = self.make_journal(Retention())
        cursor = Cursor(uidvalidity=7, last_uid=3, mailbox_id="F-1_a")
        journal.append([], CursorMove(account="home", mailbox="Work", cursor=cursor), NOON)
        journal.append([], move(1), NOON)
        known = {"Work": cursor, "INBOX": Cursor(uidvalidity=7, last_uid=1)}
        self.assertEqual(journal.cursors("home"), known)
        self.assertEqual(journal.cursor("home", "Work"), cursor)
        self.assertEqual(journal.cursors("work"), {})

    def test_patterns(self) -> None:
        """When each was last looked into; what is no longer configured is forgotten."""
        journal = self.make_journal(Retention())
        self.assertEqual(journal.resolved("home"), {})
        journal.resolve("home", ["Lists/*", "Old/%"], NOON)
        journal.resolve("work", ["*"], NOON)
        self.assertEqual(journal.resolved("home"), {"Lists/*": NOON, "Old/%": NOON})
        later = NOON + timedelta(microseconds=7)
        journal.resolve("home", ["Lists/*"], later)
        self.assertEqual(journal.resolved("home"), {"Lists/*": later})
        self.assertEqual(journal.resolved("work"), {"*": NOON})

    def test_only_of_messages_that_were_announced(self) -> None:
        """What nobody was told of is nobody's loss."""
        journal = self.make_journal(Retention())
        journal.append([unread(1)], None, NOON)
        others = [seen(2), gone(2), gone(1, mailbox="Lists"), gone(1, uidvalidity=8)]
        self.assertEqual(len(journal.append(others, None, NOON)), 0)

    def test_what_came_read_is_not_told_read(self) -> None:
        """A message that had the flag when it was announced; it can be removed all the same."""
        journal = self.make_journal(Retention())
        journal.append([mail(1)], None, NOON)
        self.assertEqual(len(journal.append([seen(1), gone(1)], None, NOON)), 1)

    def test_both_at_once(self) -> None:
        """A message and what became of it may come together."""
        journal = self.make_journal(Retention())
        self.assertEqual(len(journal.append([unread(1), seen(1)], move(1), NOON)), 2)

    def test_a_further_place(self) -> None:
        """A message that lies in two mailboxes is announced once, whatever comes first."""
        journal = self.make_journal(Retention())
        journal.append([unread(1)], None, NOON)
        journal.append([copy(1, "Lists", 5)], None, NOON)
        self.assertEqual(journal.append([copy(1, "Lists", 5), mail(1)], None, NOON), [])
        journal.append([gone(1), copy(1, "Archive", 8)], None, NOON)
        told = [each.event for each in journal.read(0, 10)]
        self.assertEqual(
            [(type(each).__name__, each.id, each.mailbox, each.uid) for each in told],
            [
                ("NewMail", mail(1).id, "INBOX", 1),
                ("MailFiled", mail(1).id, "Lists", 5),
                ("MailGone", mail(1).id, "INBOX", 1),
                ("MailFiled", mail(1).id, "Archive", 8),
            ],
        )
        self.assertEqual(list(journal.known("home", "Lists", 7, 10)), [5])
        self.assertEqual(list(journal.known("home", "INBOX", 7, 10)), [])

    def test_two_in_one_mailbox(self) -> None:
        """They are two deliveries; one that went away and came back is one."""
        journal = self.make_journal(Retention())
        journal.append([mail(1), copy(1, "INBOX", 2)], None, NOON)
        journal.append([gone(1), gone(2), copy(1, "INBOX", 3)], None, NOON)
        kinds = [type(each.event).__name__ for each in journal.read(0, 10)]
        self.assertEqual(kinds, ["NewMail", "NewMail", "MailGone", "MailGone", "MailFiled"])

    def test_copies_may_be_announced(self) -> None:
        """If that is wanted, each place is a message of its own."""
        journal = self.make_journal(Retention())
        events = [unread(1), copy(1, "Lists", 5)]
        journal.append(events, None, NOON, announce_copies=True)
        self.assertEqual([each.event for each in journal.read(0, 10)], events)

    def test_what_becomes_of_a_further_place(self) -> None:
        """It is read once for all places, and leaves each of them by itself."""
        journal = self.make_journal(Retention())
        journal.append([unread(1), copy(1, "Lists", 5)], None, NOON)
        there = place("Lists", 5)
        facts = [MailSeen(**there), seen(1), MailGone(**there), MailGone(**there), gone(1)]
        told = [each.event for each in journal.append(facts, None, NOON)]
        self.assertEqual(
            [(type(each).__name__, each.id, each.mailbox, each.uid) for each in told],
            [
                ("MailSeen", mail(1).id, "INBOX", 1),
                ("MailGone", mail(1).id, "Lists", 5),
                ("MailGone", mail(1).id, "INBOX", 1),
            ],
        )

    def test_a_uid_that_was_given_out_anew(self) -> None:
        """Another message under a known UID is another one, with an id of its own."""
        journal = self.make_journal(Retention())
        journal.append([mail(1)], None, NOON)
        others = [structs.replace(mail(9, mailbox=each), **place("INBOX", 1)) for each in "ab"]
        told = journal.append([*others, mail(1), *others], None, NOON)
        ids = [each.event.id for each in told]
        self.assertEqual(len({mail(1).id, *ids}), 3)
        self.assertEqual([each.event.uidvalidity for each in told], [7 + 2**32, 7 + 2 * 2**32])
        self.assertEqual(journal.mail("home", "INBOX", 7, 1), told[1].event)
        (entry,) = journal.append([gone(1)], None, NOON)
        self.assertEqual(entry.event.id, ids[1])
        self.assertIsNone(journal.mail("home", "INBOX", 7, 2))

    def test_what_lay_there_before(self) -> None:
        """Found in another mailbox it is no news; and whether a mailbox was looked at is kept."""
        journal = self.make_journal(Retention())
        self.assertFalse(journal.has_past("home", "INBOX", 7))
        journal.keep_past("home", "INBOX", 7, [mail(1), mail(2)])
        journal.keep_past("home", "INBOX", 7, [mail(2)])
        self.assertTrue(journal.has_past("home", "INBOX", 7))
        self.assertFalse(journal.has_past("home", "INBOX", 8))
        self.assertEqual(journal.append([copy(1, "Lists", 5)], move(5, mailbox="Lists"), NOON), [])
        self.assertEqual(journal.cursor("home", "Lists"), Cursor(uidvalidity=7, last_uid=5))
        self.assertEqual(len(journal.append([mail(3)], None, NOON)), 1)
        copies = [copy(2, "Lists", 6)]
        self.assertEqual(len(journal.append(copies, None, NOON, announce_copies=True)), 1)

    def test_the_newest_that_are_known(self) -> None:
        """By UID, also if one came late."""
        journal = self.make_journal(Retention())
        journal.append([mail(1), mail(2), mail(3), mail(9)], None, NOON)
        journal.append([mail(5)], None, NOON)
        self.assertEqual(list(journal.known("home", "INBOX", 7, 1)), [9])
        self.assertEqual(list(journal.known("home", "INBOX", 7, 2)), [5, 9])
        self.assertEqual(list(journal.known("home", "INBOX", 7, 3)), [3, 5, 9])

    def test_what_is_passed_over(self) -> None:
        """It is no news, where it lies or elsewhere; of the mailbox nothing is said."""
        journal = self.make_journal(Retention())
        journal.pass_over([mail(1), structs.replace(mail(2), message_id="")])
        self.assertFalse(journal.has_past("home", "INBOX", 7))
        told = journal.append([mail(1), mail(3), copy(1, "Lists", 5)], move(3), NOON)
        self.assertEqual([each.event.uid for each in told], [3])
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=3))

    def test_since_when_an_account_is_seen(self) -> None:
        """Since its first mailbox was, whatever became of that later."""
        journal = self.make_journal(Retention())
        self.assertIsNone(journal.begun("home"))
        for hours, mailbox in enumerate(("INBOX", "Lists", "INBOX")):
            journal.append([], move(hours, mailbox=mailbox), _after(hours))
        self.assertEqual(journal.begun("home"), _after(0))
        self.assertIsNone(journal.begun("work"))

    def test_what_was_forgotten(self) -> None:
        """The copy of a message whose entry is gone is no news either."""
        journal = self.make_journal(Retention(days=1))
        journal.append([mail(1)], None, NOON)
        journal.prune(_after(1000))
        self.assertEqual(journal.append([copy(1, "Lists", 5)], None, _after(1000)), [])

    def test_known_messages(self) -> None:
        """The newest that were announced and are still there, by mailbox and UIDVALIDITY."""
        journal = self.make_journal(Retention())
        mails = [mail(uid) for uid in (3, 1, 7, 5)]
        journal.append([*mails, mail(9, mailbox="Lists"), gone(5)], None, NOON)
        journal.append([mail(2, uidvalidity=8)], None, NOON)
        self.assertEqual(list(journal.known("home", "INBOX", 7, 10)), [1, 3, 7])
        self.assertEqual(list(journal.known("home", "INBOX", 7, 2)), [3, 7])
        self.assertEqual(list(journal.known("work", "INBOX", 7, 2)), [])

    def test_a_cursor_knows_its_changes(self) -> None:
        """How far the changes of a mailbox were read is kept, and may become unknown."""
        journal = self.make_journal(Retention())
        for modseq in (5, 2**63 - 1, 0):
            cursor = Cursor(uidvalidity=7, last_uid=1, modseq=modseq)
            moved = CursorMove(account="home", mailbox="INBOX", cursor=cursor)
            journal.append([], moved, NOON)
            self.assertEqual(journal.cursor("home", "INBOX"), cursor)

    def test_a_cursor_is_kept_for_each_mailbox(self) -> None:
        """Each mailbox remembers how far it was read; a later word replaces the earlier."""
        journal = self.make_journal(Retention())
        journal.append([mail(5)], move(5), NOON)
        journal.append([], move(70, mailbox="Lists"), NOON)
        journal.append([mail(9)], move(9, uidvalidity=8), NOON)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=8, last_uid=9))
        self.assertEqual(journal.cursor("home", "Lists"), Cursor(uidvalidity=7, last_uid=70))
        self.assertIsNone(journal.cursor("work", "INBOX"))

    def test_a_cursor_moves_though_all_mail_is_known(self) -> None:
        """A range that was journalled before is not asked for again."""
        journal = self.make_journal(Retention())
        journal.append([mail(5)], None, NOON)
        journal.append([mail(5)], move(5), NOON)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=5))

    def test_reading_goes_in_portions(self) -> None:
        """A reader takes as much as it can carry, from where it stopped."""
        journal = self.make_journal(Retention())
        journal.append([mail(uid) for uid in range(1, 8)], None, NOON)
        self.assertEqual([entry.seq for entry in journal.read(2, 3)], [3, 4, 5])
        self.assertEqual([entry.seq for entry in journal.read(5, 3)], [6, 7])
        self.assertEqual(list(journal.read(7, 3)), [])
        self.assertEqual(list(journal.read(99, 3)), [])
        self.assertEqual(list(journal.read(0, 0)), [])

    def test_a_moment_leads_to_a_seq(self) -> None:
        """`Since noon` begins with the first entry at noon."""
        journal = self.make_journal(Retention())
        for hours in range(3):
            journal.append([mail(2 * hours + 1), mail(2 * hours + 2)], None, _after(hours))
        self.assertEqual(journal.seq_before(_after(-1)), 0)
        self.assertEqual(journal.seq_before(_after(0)), 0)
        self.assertEqual(journal.seq_before(_after(0.5)), 2)
        self.assertEqual(journal.seq_before(_after(1)), 2)
        self.assertEqual(journal.seq_before(_after(2)), 4)
        self.assertEqual(journal.seq_before(_after(9)), 6)

    def test_a_clock_set_back_hides_nothing(self) -> None:
        """`Since noon` leaves out no entry of noon, though some before it say later."""
        journal = self.make_journal(Retention())
        for uid, hours in ((1, 0), (2, 24), (3, 1), (4, 2)):
            journal.append([mail(uid)], None, _after(hours))
        self.assertEqual(journal.seq_before(_after(1)), 1)

    def test_old_entries_are_forgotten(self) -> None:
        """After the retention's days an entry is gone, and what is left says so."""
        journal = self.make_journal(Retention(days=2))
        for day in range(5):
            journal.append([mail(day + 1)], move(day + 1), NOON + timedelta(days=day))
        self.assertEqual(journal.prune(NOON + timedelta(days=4)), 2)
        self.assertEqual((journal.oldest, journal.head), (3, 5))
        self.assertEqual([entry.seq for entry in journal.read(0, 10)], [3, 4, 5])
        self.assertEqual(journal.prune(NOON + timedelta(days=4)), 0)

    def test_too_many_entries_are_forgotten(self) -> None:
        """Beyond the retention's count the oldest go."""
        journal = self.make_journal(Retention(entries=3))
        journal.append([mail(uid) for uid in range(1, 11)], None, NOON)
        self.assertEqual(journal.prune(NOON), 7)
        self.assertEqual((journal.oldest, journal.head), (8, 10))

    def test_all_entries_may_be_forgotten(self) -> None:
        """A quiet year empties the journal; its numbers and cursors go on."""
        journal = self.make_journal(Retention(days=1))
        journal.append([mail(1), mail(2)], move(2), NOON)
        self.assertEqual(journal.prune(NOON + timedelta(days=400)), 2)
        self.assertEqual((journal.oldest, journal.head), (3, 2))
        self.assertEqual(list(journal.read(0, 10)), [])
        self.assertEqual(journal.seq_before(NOON + timedelta(days=400)), 0)
        self.assertEqual(journal.cursor("home", "INBOX"), Cursor(uidvalidity=7, last_uid=2))
        (entry,) = journal.append([mail(3)], move(3), NOON + timedelta(days=400))
        self.assertEqual((entry.seq, journal.oldest, journal.head), (3, 3, 3))

    def test_forgetting_goes_on_until_nothing_is_left_to_forget(self) -> None:
        """However much there is, repeated calls get to the end."""
        journal = self.make_journal(Retention(entries=10))
        journal.append([mail(uid) for uid in range(1, 2502)], None, NOON)
        total = 0
        while count := journal.prune(NOON):
            total += count
        self.assertEqual((total, journal.oldest, journal.head), (2491, 2492, 2501))

    def test_a_moment_before_all_that_is_kept_leads_to_the_beginning(self) -> None:
        """A reader who asks for too much learns that some of it is gone."""
        journal = self.make_journal(Retention(entries=1))
        journal.append([mail(1), mail(2)], None, NOON)
        journal.prune(NOON)
        self.assertEqual(journal.seq_before(NOON), 0)

    def test_a_reader_is_remembered(self) -> None:
        """How far each reader of each owner has come; a later word replaces the earlier."""
        journal = self.make_journal(Retention())
        self.assertIsNone(journal.reader("", "desk"))
        journal.keep_readers([_mark("desk", 3), _mark("desk", 4, "ada")], NOON)
        journal.keep_readers([_mark("desk", 5), _mark("phone", 0)], NOON)
        self.assertEqual(journal.reader("", "desk"), 5)
        self.assertEqual(journal.reader("ada", "desk"), 4)
        self.assertEqual(journal.reader("", "phone"), 0)
        self.assertIsNone(journal.reader("ada", "phone"))
        self.assertEqual(journal.count_readers(), 3)

    def test_an_idle_reader_is_forgotten(self) -> None:
        """Who has not been there for long enough, and nobody else."""
        journal = self.make_journal(Retention())
        journal.keep_readers([_mark("old", 1), _mark("back", 1)], NOON)
        journal.keep_readers([_mark("back", 1)], _after(2))
        self.assertEqual(journal.forget_readers(_after(1)), 1)
        self.assertIsNone(journal.reader("", "old"))
        self.assertEqual(journal.reader("", "back"), 1)
        self.assertEqual(journal.forget_readers(_after(1)), 0)


def _mark(name: str, seq: int, owner: str = "") -> ReaderMark:
    return ReaderMark(owner=owner, name=name, seq=seq)


def _after(hours: float) -> object:
    return NOON + timedelta(hours=hours)
