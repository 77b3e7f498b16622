"""Tests of `mailnotify.outbox.service`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.core.events import Event, SentFailed
from mailnotify.errors import (
    JournalUnwritable,
    LoginDenied,
    NotConnected,
    OutcomeUnknown,
    Refusal,
    SubmissionFailed,
)
from mailnotify.outbox.lane import Route
from mailnotify.outbox.letter import State
from mailnotify.outbox.rows import SMALL_BYTES
from mailnotify.outbox.service import STOP_SECONDS, Outbox
from mailnotify.outbox.store import SqliteOutbox
from tests.outbox.letters import NOON, Postman, draft


class ServiceTestCase(SynchronousTestCase):
    """An outbox in a folder, a postman, and time that stands still."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "outbox.sqlite"
        self.clock = Clock()
        self.postman = Postman()
        self.told: list[SentFailed] = []
        self.copied: list[str] = []
        self.journal_is_full = False
        self.store = SqliteOutbox.open(self.path, NOON)
        self.addCleanup(lambda: self.store.close())
        self.outbox = self.make()

    def make(self, **limits: float) -> Outbox:
        """The service, not started."""
        timing = Timing(first_retry_seconds=10, longest_retry_seconds=40)
        return Outbox(
            self.store,
            [Route(account="home", timing=timing, **limits)],  # type: ignore[arg-type]
            submit=self.postman,
            tell=self.tell,
            now=self.now,
            clock=self.clock,
            chance=lambda: 0.0,
            when_sent=self.copied.append,
        )

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def tell(self, events: Sequence[Event]) -> None:
        if self.journal_is_full:
            raise JournalUnwritable(path="journal", reason="full")
        self.told += [each for each in events if isinstance(each, SentFailed)]

    def start(self, *drafts: str, **limits: float) -> list[int]:
        """Queue letters with these subjects and start."""
        self.outbox = self.make(**limits)
        numbers = self.store.enqueue(map(draft, drafts), NOON) if drafts else []
        self.outbox.startService()
        self.clock.advance(0)
        return numbers

    def pass_time(self, seconds: float) -> None:
        """Let it pass in steps, as it does."""
        for _ in range(int(seconds)):
            self.clock.advance(1)

    def states(self) -> list[State]:
        return [each.state for each in self.store.letters(State, 99)]

    def refuse(self, code: int) -> SubmissionFailed:
        """A server that answers with this code."""
        refusal = Refusal(recipient="bob@x.org", code=code, said="no")
        return SubmissionFailed(peer="x", refusals=(refusal,))


class SendingTests(ServiceTestCase):
    """Letters go out."""

    def test_sent(self) -> None:
        """What is queued is sent, in its order, with all its bytes."""
        self.start("1", "2")
        self.assertEqual(self.states(), [State.SENT, State.SENT])
        message = b"Subject: Lunch?\r\n\r\nAt one?\r\n"
        self.assertEqual(self.postman.taken, [("home", ("bob@x.org",), message)] * 2)
        self.assertEqual(self.copied, ["home", "home"])
        self.assertEqual(self.told, [])

    def test_rung(self) -> None:
        """A letter that comes later goes as soon as somebody rings."""
        self.start()
        self.store.enqueue([draft()], self.now())
        self.assertEqual(self.postman.taken, [])
        self.outbox.rung()
        self.clock.advance(0)
        self.assertEqual(self.states(), [State.SENT])

    def test_unrung(self) -> None:
        """Even if nobody rings, it is found."""
        self.start()
        self.store.enqueue([draft()], self.now())
        self.pass_time(31)
        self.assertEqual(self.states(), [State.SENT])

    def test_later(self) -> None:
        """A letter waits for its time, to the second."""
        self.store.enqueue([draft(due=NOON + timedelta(seconds=7))], NOON)
        self.start()
        self.pass_time(6)
        self.assertEqual(self.states(), [State.QUEUED])
        self.pass_time(1)
        self.assertEqual(self.states(), [State.SENT])

    def test_committed_before_a_byte(self) -> None:
        """When the server is asked, the file says that the letter is being sent."""
        seen: list[State] = []
        self.postman.look = lambda: seen.extend(self.states())
        self.start("1")
        self.assertEqual(seen, [State.SENDING])

    def test_connections(self) -> None:
        """No more letters are under way than connections are allowed."""
        self.postman.answer = None
        self.start(*map(str, range(60)), connections=2)
        self.assertEqual(len(self.postman.taken), 2)
        self.postman.waiting.pop(0).callback("ok")
        self.clock.advance(0)
        self.assertEqual(len(self.postman.taken), 3)
        self.assertEqual(len(self.postman.waiting), 2)

    def test_rate(self) -> None:
        """A provider's limit is kept, over all connections."""
        self.start("1", "2", "3", letters_per_minute=6)
        self.assertEqual(len(self.postman.taken), 1)
        self.pass_time(9)
        self.assertEqual(len(self.postman.taken), 1)
        self.pass_time(1)
        self.assertEqual(len(self.postman.taken), 2)
        self.pass_time(10)
        self.assertEqual(self.states(), [State.SENT] * 3)

    def test_what_comes_next(self) -> None:
        """Who sends a letter is told of the next one, if its bytes are at hand."""
        big = b"Subject: big\r\n\r\n" + b"x" * SMALL_BYTES
        drafts = [draft("1"), draft("2"), draft("big", message=big), draft("4")]
        numbers = self.store.enqueue(drafts, NOON)
        self.start()
        self.pass_time(1)
        self.assertEqual(self.postman.following, [numbers[1], None, numbers[3], None])

    def test_another_account(self) -> None:
        """Letters of an account that is not configured wait, and fail in the end."""
        self.store.enqueue([draft(account="gone")], NOON)
        self.start()
        self.pass_time(60)
        self.assertEqual(self.states(), [State.QUEUED])
        self.clock.advance(5 * 86400)
        self.clock.advance(0)
        self.assertEqual(self.states(), [State.FAILED])


class FailingTests(ServiceTestCase):
    """Letters that do not go out at once."""

    def test_tried_again(self) -> None:
        """What was refused for now is tried again after a minute."""
        self.postman.answer = self.refuse(450)
        self.start("1")
        self.assertEqual(self.states(), [State.WAITING])
        self.postman.answer = "ok"
        self.pass_time(59)
        self.assertEqual(len(self.postman.taken), 1)
        self.pass_time(1)
        self.assertEqual(self.states(), [State.SENT])

    def test_failed(self) -> None:
        """What was refused for good is told, once."""
        self.postman.answer = self.refuse(550)
        (number,) = self.start("1")
        self.pass_time(100)
        self.assertEqual(self.states(), [State.FAILED])
        (event,) = self.told
        self.assertEqual((event.letter, event.account), (number, "home"))
        self.assertEqual(event.message_id, "<1@x.org>")
        (recipient,) = event.recipients
        self.assertEqual((recipient.address, recipient.code), ("bob@x.org", 550))

    def test_given_up(self) -> None:
        """After five days of refusals the letter has failed and is told."""
        self.postman.answer = self.refuse(450)
        self.start("1")
        for _ in range(5 * 24 * 6 + 10):
            self.clock.advance(600)
        self.assertEqual(self.states(), [State.FAILED])
        self.assertEqual(len(self.told), 1)
        self.assertGreater(len(self.postman.taken), 30)
        self.assertLess(len(self.postman.taken), 40)

    def test_told_later(self) -> None:
        """A failure that the journal could not take is told when it can."""
        self.journal_is_full = True
        self.postman.answer = self.refuse(550)
        self.start("1")
        self.pass_time(31)
        self.assertEqual(self.told, [])
        self.journal_is_full = False
        self.pass_time(31)
        self.assertEqual(len(self.told), 1)

    def test_rests(self) -> None:
        """Without a connection ten letters cost one attempt, not ten."""
        self.postman.answer = NotConnected(peer="x", reason="no route")
        self.start(*map(str, range(10)), connections=1)
        self.assertEqual(len(self.postman.taken), 1)
        states = self.states()
        self.assertEqual(states.count(State.QUEUED), 9)
        self.assertEqual(states.count(State.WAITING), 1)
        self.postman.answer = "ok"
        self.pass_time(10)
        self.assertEqual(self.states(), [State.SENT] * 10)
        self.assertEqual({each.attempts for each in self.store.letters(State, 99)}, {1})

    def test_denied(self) -> None:
        """A refused login is not repeated for each letter; a person can hasten it."""
        self.postman.answer = LoginDenied(peer="x", user="ada", said="535")
        self.start("1", "2", connections=1)
        self.pass_time(100)
        self.assertEqual(len(self.postman.taken), 1)
        self.postman.answer = "ok"
        self.outbox.rung()
        self.clock.advance(0)
        self.assertEqual(len(self.postman.taken), 1)
        self.outbox.rung(is_urgent=True)
        self.clock.advance(0)
        self.assertEqual(self.states(), [State.SENT, State.SENT])

    def test_unknown(self) -> None:
        """After an ambiguous end the very same bytes go again."""
        self.postman.answer = OutcomeUnknown(peer="x", reason="it vanished")
        self.start("1")
        self.postman.answer = "ok"
        self.pass_time(60)
        self.assertEqual(self.states(), [State.SENT])
        self.assertEqual(self.postman.taken[0], self.postman.taken[1])

    def test_damaged(self) -> None:
        """A letter that the disk has changed goes to nobody."""
        numbers = self.store.enqueue([draft()], NOON)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE recipients SET address = 'eve@x.org'")
        self.start()
        self.assertEqual(self.postman.taken, [])
        self.assertEqual(self.states(), [State.FAILED])
        self.assertEqual(self.told[0].letter, numbers[0])

    def test_bug(self) -> None:
        """A bug of ours costs one letter an attempt, and no other letter anything."""
        self.postman.answer = ZeroDivisionError("division")
        self.start("1")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.postman.answer = "ok"
        self.pass_time(60)
        self.assertEqual(self.states(), [State.SENT])

    def test_unwritable(self) -> None:
        """A result that cannot be written is written later; meanwhile nothing else goes."""
        self.postman.answer = None
        self.start("1", "2", connections=1)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.postman.waiting[0].callback("ok")
            self.pass_time(3)
            self.assertEqual(len(self.postman.taken), 1)
        self.postman.answer = "ok"
        self.pass_time(3)
        self.assertEqual(self.states(), [State.SENT, State.SENT])
        self.assertEqual(len(self.postman.taken), 2)

    def test_in_groups(self) -> None:
        """Results that come fast share a commit; the first one, and the last, do not wait."""
        self.postman.answer = None
        self.start("1", "2", "3", connections=1)
        states = []
        for _ in range(3):
            self.postman.waiting.pop(0).callback("ok")
            states.append(self.states().count(State.SENT))
        self.assertEqual(states, [1, 1, 3])
        self.assertEqual(len(self.copied), 3)

    def test_a_group_waits_for_nobody(self) -> None:
        """A result is committed after milliseconds, also if the next letter takes long."""
        self.postman.answer = None
        self.start("1", "2", "3", connections=1)
        self.postman.waiting.pop(0).callback("ok")
        self.postman.waiting.pop(0).callback("ok")
        self.assertEqual(self.states().count(State.SENT), 1)
        self.clock.advance(0.01)
        self.assertEqual(self.states().count(State.SENT), 2)

    def test_another_writer(self) -> None:
        """While somebody else writes nothing is claimed; after that all goes."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            self.store.enqueue([draft()], NOON)
            other.execute("BEGIN IMMEDIATE")
            self.start()
            self.assertEqual(self.postman.taken, [])
        self.pass_time(2)
        self.assertEqual(self.states(), [State.SENT])


class StoppingTests(ServiceTestCase):
    """The service comes and goes."""

    def test_stopped(self) -> None:
        """A letter that is under way may end; the claimed others go back."""
        self.postman.answer = None
        self.start("1", "2", "3", connections=1)
        stopping = self.outbox.stopService()
        self.assertNoResult(stopping)
        self.postman.waiting[0].callback("ok")
        self.successResultOf(stopping)
        self.assertEqual(self.states(), [State.SENT, State.QUEUED, State.QUEUED])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cut(self) -> None:
        """A letter that never ends is cut off, and sent after the next start."""
        self.postman.answer = None
        self.start("1")
        stopping = self.outbox.stopService()
        self.clock.advance(STOP_SECONDS)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), [State.WAITING])
        self.postman.answer = "ok"
        self.start()
        self.assertEqual(self.states(), [State.SENT])

    def test_killed(self) -> None:
        """What was under way when the process died is sent again."""
        self.store.enqueue([draft("1"), draft("2")], NOON)
        self.store.claim("home", 1, NOON)
        self.start()
        self.assertEqual(self.states(), [State.SENT, State.SENT])

    def test_idle(self) -> None:
        """An outbox without letters stops at once, and leaves nothing behind."""
        self.start()
        self.successResultOf(self.outbox.stopService())
        self.outbox.rung()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forgotten(self) -> None:
        """What is over is forgotten after its days."""
        self.start("1")
        self.outbox.forget(14)
        self.assertEqual(len(self.states()), 1)
        self.clock.advance(15 * 86400)
        self.outbox.forget(14)
        self.assertEqual(self.states(), [])
