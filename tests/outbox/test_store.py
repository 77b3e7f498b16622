"""Tests of `mailnotify.outbox.store`."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import (
    LetterInvalid,
    LetterUnchangeable,
    LetterUnknown,
    OutboxBusy,
    OutboxUnreadable,
    OutboxUnwritable,
)
from mailnotify.outbox.letter import Settlement, State, Ticket, Wish
from mailnotify.outbox.rows import MOST_CLAIMED_BYTES, SMALL_BYTES
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from tests.outbox.letters import DAYS, NOON, draft, settle

LATER = NOON + timedelta(minutes=1)


class StoreTestCase(SynchronousTestCase):
    """Opens an outbox in a folder of the test."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "state" / "outbox.sqlite"
        self.store = SqliteOutbox.open(self.path, NOON)
        self.addCleanup(lambda: self.store.close())

    def reopen(self) -> SqliteOutbox:
        """As after a restart."""
        self.store.close()
        self.store = SqliteOutbox.open(self.path, NOON)
        return self.store

    def visit(self) -> SqliteOutbox:
        """As another process."""
        visitor = SqliteOutbox.visit(self.path)
        self.addCleanup(visitor.close)
        return visitor

    def change(self, statement: str, *values: object) -> None:
        """Do with the file what only a failing disk would do."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)

    def claim(self) -> Ticket:
        """Claim the one letter that is due."""
        (ticket,) = self.store.claim("home", 1, LATER)
        return ticket

    def settle(self, ticket: Ticket, *fates: Fate, due: bool = True) -> State:
        """End an attempt."""
        results = [
            Result(recipient=who, fate=fate, code=450, said="later")
            for who, fate in zip(ticket.envelope.recipients, fates, strict=True)
        ]
        when = LATER if due else None
        return settle(self.store, ticket, *results, reason="greylisted", due=when, at=LATER)


class QueueTests(StoreTestCase):
    """A letter that was queued is there."""

    def test_everything_survives(self) -> None:
        """Every field and every byte is there after a restart."""
        message = bytes(range(256)) * 40
        (number,) = self.store.enqueue([draft("Grüße ☕", "a@x", "b@x", message=message)], NOON)
        store = self.reopen()
        filed = store.letter(number)
        self.assertEqual(
            (filed.subject, filed.account, filed.sender), ("Grüße ☕", "home", "ada@x.org")
        )
        self.assertEqual((filed.state, filed.queued_at, filed.due), (State.QUEUED, NOON, NOON))
        self.assertEqual((filed.expires, filed.size_bytes), (NOON + DAYS, len(message)))
        self.assertEqual([each.recipient for each in filed.results], ["a@x", "b@x"])
        self.assertEqual(store.message(number), message)

    def test_the_same_key_is_the_same_letter(self) -> None:
        """A caller that does not know whether it was heard may ask again."""
        first, other = self.store.enqueue([draft(key="a"), draft(key="b")], NOON)
        self.assertEqual(self.store.enqueue([draft("again", key="a")], NOON), [first])
        self.assertNotEqual(first, other)
        self.assertEqual(self.store.letter(first).subject, "Lunch?")
        self.assertEqual(len(self.store.letters(State, 10)), 2)

    def test_numbers_are_never_used_twice(self) -> None:
        """What somebody wrote down never names another letter."""
        (first,) = self.store.enqueue([draft()], NOON)
        self.store.cancel(first, NOON)
        self.assertEqual(self.store.forget(LATER), 1)
        (second,) = self.store.enqueue([draft()], NOON)
        self.assertGreater(second, first)
        self.assertRaises(LetterUnknown, self.store.letter, first)
        self.assertRaises(LetterUnknown, self.store.message, first)

    def test_claims_go_by_due_and_account(self) -> None:
        """The oldest goes first, none before its time, none of another account."""
        late = NOON + timedelta(hours=1)
        drafts = [draft("1"), draft("2", due=late), draft("3", account="work"), draft("4")]
        numbers = self.store.enqueue(drafts, NOON)
        claimed = self.store.claim("home", 10, NOON)
        self.assertEqual([each.number for each in claimed], [numbers[0], numbers[3]])
        self.assertEqual(self.store.claim("home", 10, NOON), [])
        self.assertEqual(self.store.next_due("home"), late)
        self.assertIsNone(self.store.next_due("elsewhere"))
        self.assertEqual(self.store.next_expiry(), NOON + DAYS)

    def test_small_letters_come_with_their_claim(self) -> None:
        """Their bytes need no further look at the disk; those of big ones stay there."""
        big = b"Subject: x\r\n\r\n" + b"x" * SMALL_BYTES
        fitting = big[: SMALL_BYTES - 100]
        drafts = [draft("1"), draft("2", message=big)]
        drafts += [draft(f"{n}", message=fitting) for n in range(20)]
        self.store.enqueue(drafts, NOON)
        small, large, *many = self.store.claim("home", 99, NOON)
        self.assertEqual(small.message, drafts[0].message)
        self.assertIsNone(large.message)
        self.assertEqual(self.store.message(large.number), big)
        with_bytes = [each.message for each in many if each.message is not None]
        self.assertEqual(with_bytes, [fitting] * (MOST_CLAIMED_BYTES // len(fitting)))
        self.assertLessEqual(sum(map(len, with_bytes)), MOST_CLAIMED_BYTES)

    def test_one_commit(self) -> None:
        """The end of some letters and the beginning of the next are one transaction."""
        self.store.enqueue([draft("1"), draft("2")], NOON)
        ticket = self.claim()
        result = Result(recipient="bob@x.org", fate=Fate.ACCEPTED)
        settlement = Settlement(
            ticket=ticket, results=(result,), reason="", due=None, attempts=1, at=LATER
        )
        wish = Wish(account="home", most=9, now=LATER)
        states, tickets = self.store.settle([settlement], wish)
        self.assertEqual(states, [State.SENT])
        self.assertEqual([each.number for each in tickets], [ticket.number + 1])
        broken = settlement.__class__(
            ticket=tickets[0], results=(result,), reason=None,  # type: ignore[arg-type]
            due=None, attempts=1, at=LATER,
        )  # fmt: skip
        self.assertRaises(OutboxUnwritable, self.store.settle, [broken], wish)
        self.assertIs(self.store.letter(tickets[0].number).state, State.SENDING)

    def test_sent(self) -> None:
        """A letter that everybody has is over."""
        (number,) = self.store.enqueue([draft()], NOON)
        self.assertIs(self.settle(self.claim(), Fate.ACCEPTED), State.SENT)
        filed = self.store.letter(number)
        self.assertEqual((filed.state, filed.attempts, filed.finished_at), (State.SENT, 1, LATER))
        self.assertEqual(self.store.untold(), [])

    def test_only_the_pending_are_tried_again(self) -> None:
        """Who has the letter, or will never take it, is not asked again."""
        (number,) = self.store.enqueue([draft("x", "a@x", "b@x", "c@x")], NOON)
        state = self.settle(self.claim(), Fate.ACCEPTED, Fate.PENDING, Fate.REFUSED)
        self.assertIs(state, State.WAITING)
        ticket = self.claim()
        self.assertEqual((ticket.envelope.recipients, ticket.attempts), (("b@x",), 2))
        self.assertIs(self.settle(ticket, Fate.ACCEPTED), State.FAILED)
        fates = [each.fate for each in self.store.letter(number).results]
        self.assertEqual(fates, [Fate.ACCEPTED, Fate.ACCEPTED, Fate.REFUSED])

    def test_given_up(self) -> None:
        """Without a next moment the pending have failed, in the server's last words."""
        (number,) = self.store.enqueue([draft("x", "a@x", "b@x")], NOON)
        state = self.settle(self.claim(), Fate.ACCEPTED, Fate.PENDING, due=False)
        self.assertIs(state, State.FAILED)
        self.assertEqual(self.store.letter(number).results[1].said, "later")

    def test_expired(self) -> None:
        """What was never tried is given up too, and says so."""
        (number,) = self.store.enqueue([draft()], NOON)
        self.assertEqual(self.store.expire(NOON + DAYS - timedelta(seconds=1)), 0)
        self.assertEqual(self.store.expire(NOON + DAYS), 1)
        filed = self.store.letter(number)
        self.assertIs(filed.state, State.FAILED)
        self.assertIn("never tried", filed.results[0].said)
        self.assertEqual(self.store.claim("home", 9, NOON + DAYS), [])

    def test_released(self) -> None:
        """A letter of which no byte went out is as if it had not been claimed."""
        (number,) = self.store.enqueue([draft()], NOON)
        before = self.store.letter(number)
        self.store.release([self.claim()])
        self.assertEqual(self.store.letter(number), before)

    def test_recovered(self) -> None:
        """What was being sent when the process died is sent again, at once."""
        numbers = self.store.enqueue([draft("1"), draft("2"), draft("3")], NOON)
        self.store.claim("home", 2, NOON)
        store = self.reopen()
        self.assertEqual(store.recover(LATER), 2)
        self.assertEqual(store.recover(LATER), 0)
        self.assertEqual([each.number for each in store.claim("home", 9, LATER)], numbers)
        self.assertIn("service ended", store.letter(numbers[0]).reason)

    def test_told(self) -> None:
        """A failure is told until it was heard, and each recipient by itself."""
        self.store.enqueue([draft("x", "a@x", "b@x")], NOON)
        self.settle(self.claim(), Fate.REFUSED, Fate.PENDING)
        (letter,) = self.store.untold()
        self.assertEqual([each.recipient for each in letter.results], ["a@x"])
        self.assertEqual(self.store.untold(), [letter])
        self.store.tell([letter])
        self.assertEqual(self.store.untold(), [])
        self.settle(self.claim(), Fate.REFUSED)
        self.assertEqual([each.results[0].recipient for each in self.store.untold()], ["b@x"])

    def test_copies(self) -> None:
        """A copy is wanted once, of what was sent."""
        (number,) = self.store.enqueue([draft(wants_copy=True)], NOON)
        self.assertIsNone(self.store.next_copy("home"))
        self.settle(self.claim(), Fate.ACCEPTED)
        self.assertEqual(self.store.next_copy("home"), number)
        self.store.copied(number)
        self.assertIsNone(self.store.next_copy("home"))

    def test_forgotten(self) -> None:
        """What is over is kept for a time, what is not for ever; the bytes go too."""
        numbers = self.store.enqueue([draft("1"), draft("2")], NOON)
        self.settle(self.claim(), Fate.ACCEPTED)
        self.assertEqual(self.store.forget(LATER), 0)
        self.assertEqual(self.store.forget(LATER + timedelta(seconds=1)), 1)
        self.assertEqual([each.number for each in self.store.letters(State, 9)], numbers[1:])
        self.assertRaises(LetterUnknown, self.store.message, numbers[0])


class HandTests(StoreTestCase):
    """What a person can do with a letter."""

    def test_cancelled(self) -> None:
        """A letter that waits is stopped; one that is being sent or over is not."""
        (number,) = self.store.enqueue([draft()], NOON)
        self.visit().cancel(number, NOON)
        self.assertEqual(self.store.claim("home", 9, LATER), [])
        problem = self.assertRaises(LetterUnchangeable, self.store.cancel, number, NOON)
        self.assertEqual(str(problem), "letter 1 is cancelled: it cannot be cancelled")
        (number,) = self.store.enqueue([draft()], NOON)
        self.claim()
        self.assertRaises(LetterUnchangeable, self.store.cancel, number, NOON)
        self.assertRaises(LetterUnknown, self.store.cancel, 99, NOON)

    def test_retried(self) -> None:
        """A dead letter goes again, to those only who do not have it."""
        (number,) = self.store.enqueue([draft("x", "a@x", "b@x")], NOON)
        self.settle(self.claim(), Fate.ACCEPTED, Fate.REFUSED)
        self.visit().retry(number, LATER, LATER + DAYS)
        ticket = self.claim()
        self.assertEqual((ticket.envelope.recipients, ticket.attempts), (("b@x",), 1))
        self.settle(ticket, Fate.ACCEPTED)
        self.assertRaises(LetterUnchangeable, self.store.retry, number, LATER, LATER + DAYS)
        self.assertRaises(LetterUnknown, self.store.retry, 99, LATER, LATER + DAYS)

    def test_bounced(self) -> None:
        """A letter that came back has failed after all; the second bounce is no news."""
        (number,) = self.store.enqueue([draft("x", "Bob@x.org")], NOON)
        self.settle(self.claim(), Fate.ACCEPTED)
        result = Result(recipient="bob@X.org", fate=Fate.REFUSED, code=550, said="unknown user")
        self.assertTrue(self.store.bounced(number, [result], LATER))
        self.assertFalse(self.store.bounced(number, [result], LATER))
        self.assertIs(self.store.letter(number).state, State.FAILED)
        self.assertEqual(self.store.untold()[0].results[0].said, "unknown user")

    def test_a_stranger_bounces_nothing(self) -> None:
        """A bounce for somebody to whom the letter never went changes nothing."""
        (number,) = self.store.enqueue([draft()], NOON)
        self.settle(self.claim(), Fate.ACCEPTED)
        result = Result(recipient="eve@x.org", fate=Fate.REFUSED, code=550, said="ha")
        self.assertFalse(self.store.bounced(number, [result], LATER))
        self.assertIs(self.store.letter(number).state, State.SENT)

    def test_found_by_its_message_id(self) -> None:
        """The newest letter of that name."""
        numbers = self.store.enqueue([draft("x"), draft("x"), draft("y")], NOON)
        found = self.store.named("<x@x.org>")
        self.assertEqual(found and found.number, numbers[1])
        self.assertIsNone(self.store.named("<z@x.org>"))


class SharedTests(StoreTestCase):
    """One process sends, others visit."""

    def test_one_owner(self) -> None:
        """Two services never send from one outbox."""
        problem = self.assertRaises(OutboxBusy, SqliteOutbox.open, self.path, NOON)
        self.assertIn("the outbox", str(problem))

    def test_a_visitor_queues(self) -> None:
        """What a visitor has queued, the owner sends."""
        self.visit().enqueue([draft()], NOON)
        self.assertEqual(len(self.store.claim("home", 9, NOON)), 1)

    def test_nothing_to_visit(self) -> None:
        """Who visits makes no outbox."""
        nowhere = self.path.with_name("none.sqlite")
        self.assertRaises(OutboxUnreadable, SqliteOutbox.visit, nowhere)
        self.assertFalse(nowhere.exists())
        self.path.with_name("junk.sqlite").write_bytes(b"junk" * 1000)
        junk = self.path.with_name("junk.sqlite")
        self.assertRaises(OutboxUnreadable, SqliteOutbox.visit, junk)

    def test_another_version(self) -> None:
        """A service that was not restarted after an upgrade is named."""
        self.change("PRAGMA user_version = 99")
        problem = self.assertRaises(OutboxUnreadable, SqliteOutbox.visit, self.path)
        self.assertIn("another version", str(problem))

    def test_the_owner_does_not_wait_for_a_writer(self) -> None:
        """Somebody who writes 50 MB does not hold up the stream."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.assertRaises(OutboxUnwritable, self.store.enqueue, [draft()], NOON)
        self.assertEqual(len(self.store.enqueue([draft()], NOON)), 1)

    def test_private(self) -> None:
        """Nobody else reads letters."""
        self.visit().enqueue([draft()], NOON)
        modes = {stat.S_IMODE(each.stat().st_mode) for each in self.path.parent.iterdir()}
        self.assertEqual(modes, {0o600})
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)


class DiskTests(StoreTestCase):
    """A disk that is full or lies."""

    def test_a_full_disk_queues_nothing(self) -> None:
        """Nobody is told that a letter is queued, and none of a group is."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            drafts = [draft("1"), draft("2", message=b"x" * 100_000)]
            self.assertRaises(OutboxUnwritable, self.store.enqueue, drafts, NOON)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        self.assertEqual(self.store.letters(State, 9), [])
        self.assertEqual(len(self.store.enqueue([draft("1"), draft("2")], NOON)), 2)

    def test_a_changed_letter_is_not_sent(self) -> None:
        """Neither other bytes nor other recipients than those that were queued."""
        for statement in (
            "UPDATE recipients SET address = 'eve@x.org' WHERE letter = ?",
            "UPDATE messages SET content = x'00' WHERE letter = ?",
            "UPDATE letters SET sender = 'eve@x.org' WHERE number = ?",
        ):
            (number,) = self.store.enqueue([draft()], NOON)
            self.change(statement, number)
            self.assertRaises(LetterInvalid, self.store.message, number)

    def test_a_damaged_file_is_moved_aside(self) -> None:
        """A new outbox begins, and the old one is kept."""
        self.store.close()
        self.path.write_bytes(os.urandom(8192))
        self.store = SqliteOutbox.open(self.path, NOON)
        self.assertEqual(self.store.letters(State, 9), [])
        self.assertEqual(len(list(self.path.parent.glob("*.damaged-*"))), 1)


class Walk:
    """One history of an outbox, and what nobody may see in it."""

    def __init__(self, path: Path, chance: Random) -> None:
        self._path = path
        self._chance = chance
        self._store = SqliteOutbox.open(path, NOON)
        self._held: list[Ticket] = []
        self.has_it: set[tuple[int, str]] = set()
        self.twice: set[tuple[int, str]] = set()

    def queue(self) -> None:
        self._store.enqueue([draft("x", "a@x", "b@x")], NOON)

    def claim(self) -> None:
        tickets = self._store.claim("home", 2, LATER)
        self.twice |= self.has_it & {
            (each.number, who) for each in tickets for who in each.envelope.recipients
        }
        self._held += tickets

    def settle(self) -> None:
        for ticket in self._held[:1]:
            fates = {who: self._chance.choice(list(Fate)) for who in ticket.envelope.recipients}
            results = [Result(recipient=who, fate=fate) for who, fate in fates.items()]
            settle(self._store, ticket, *results, due=self._chance.choice([None, LATER]), at=LATER)
            self.has_it |= {
                (ticket.number, who) for who, fate in fates.items() if fate is Fate.ACCEPTED
            }
        del self._held[:1]

    def release(self) -> None:
        self._store.release(self._held)
        self._held.clear()

    def die(self) -> None:
        self._held.clear()
        self._store.close()
        self._store = SqliteOutbox.open(self._path, NOON)
        self._store.recover(LATER)

    def meddle(self) -> None:
        for letter in self._store.letters(State, 99):
            with contextlib.suppress(LetterUnchangeable):
                if self._chance.random() < 0.5:
                    self._store.cancel(letter.number, LATER)
                else:
                    self._store.retry(letter.number, LATER, LATER + DAYS)

    def end(self) -> list[State]:
        """Send the rest; return the states that everything is in."""
        self.die()
        self.claim()
        while self._held:
            self.settle()
            self.claim()
        states = [each.state for each in self._store.letters(State, 99)]
        self._store.close()
        return states


class HistoryTests(SynchronousTestCase):
    """Whatever happens in whatever order."""

    @given(
        st.lists(
            st.sampled_from(["queue", "claim", "settle", "release", "die", "meddle"]), max_size=40
        ),
        st.randoms(use_true_random=False),
    )
    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    def test_nobody_who_has_it_gets_it_again(self, steps: list[str], chance: Random) -> None:
        """A recipient who has a letter is in no later attempt, and every letter ends."""
        walk = Walk(Path(self.mktemp()) / "outbox.sqlite", chance)
        for step in steps:
            getattr(walk, step)()
        states = walk.end()
        self.assertEqual([each for each in states if not each.is_final], [])
        self.assertEqual(walk.twice, set())
