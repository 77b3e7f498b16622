"""Tests of `mailnotify.taps.returns` and of what `mailnotify.taps.filing` thinks a report."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.core.events import NewMail
from mailnotify.core.message import Address
from mailnotify.errors import NotConnected
from mailnotify.hub import Hub
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.outbox.letter import State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from mailnotify.taps.filing import may_be_report
from mailnotify.taps.returns import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, Returns
from tests.outbox.letters import NOON, draft, settle
from tests.outbox.test_bounce import POSTFIX


class Bodies:
    """The part of `Errands` that fetches."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.error: Exception | None = None
        self.hangs = False

    async def fetch(self, event: NewMail) -> bytes:
        self.asked.append(event.uid)
        if self.hangs:
            try:
                await Deferred()
            except CancelledError:
                raise NotConnected(peer="x", reason="the attempt was given up") from None
        if self.error is not None:
            raise self.error
        return POSTFIX.encode()


def mail(uid: int) -> NewMail:
    """A message from a person."""
    return NewMail(
        id=str(uid),
        account="home",
        mailbox="INBOX",
        uidvalidity=7,
        uid=uid,
        sender=(Address(address="bob@x.org"),),
    )


def report(uid: int, sender: str = "MAILER-DAEMON@mx.example.net") -> NewMail:
    """A message from a mail server."""
    return replace(mail(uid), sender=(Address(address=sender),))


class ReturnsTests(SynchronousTestCase):
    """The stream is read for bounces."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.clock = Clock()
        journal = SqliteJournal.open(
            folder / "journal.sqlite", retention=Retention(), make_epoch=lambda: "e1", now=NOON
        )
        self.addCleanup(journal.close)
        self.store = SqliteOutbox.open(folder / "outbox.sqlite", NOON)
        self.addCleanup(self.store.close)
        self.hub = Hub(journal, self.now)
        self.bodies = Bodies()
        self.news = 0
        self.returns = Returns(
            self.hub,
            self.store,
            self.bodies,  # type: ignore[arg-type]
            now=self.now,
            clock=self.clock,
            jitter=lambda: 1 - 2**-53,
            when_news=self.count,
        )
        self.store.enqueue([draft("Lunch?")], NOON)
        (ticket,) = self.store.claim("home", 1, NOON)
        result = Result(recipient="bob@x.org", fate=Fate.ACCEPTED)
        settle(self.store, ticket, result)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def count(self) -> None:
        self.news += 1

    def test_live(self) -> None:
        """A report that arrives is looked into; other mail is not."""
        self.returns.startService()
        self.clock.advance(1)
        self.hub.accept([mail(1), report(2)])
        self.clock.advance(0)
        self.assertEqual((self.bodies.asked, self.news), ([2], 1))
        self.assertIs(self.store.letter(1).state, State.FAILED)
        self.hub.accept([report(3)])
        self.clock.advance(0)
        self.assertEqual((self.bodies.asked, self.news), ([2, 3], 1))

    def test_missed(self) -> None:
        """What came shortly before a restart is looked into after it."""
        self.hub.accept([report(2)])
        self.returns.startService()
        self.clock.advance(0)
        self.assertEqual(self.bodies.asked, [2])

    def test_retried(self) -> None:
        """A report that could not be fetched is looked into later, other mail or not."""
        self.returns.startService()
        self.clock.advance(0)
        self.bodies.error = NotConnected(peer="x", reason="gone")
        self.hub.accept([report(2)])
        self.clock.advance(0)
        self.hub.accept([mail(3)])
        self.clock.advance(FIRST_RETRY_SECONDS - 1)
        self.assertEqual((self.bodies.asked, self.news), ([2], 0))
        self.clock.advance(1)
        self.assertEqual(self.bodies.asked, [2, 2])
        self.bodies.error = None
        self.clock.advance(2 * FIRST_RETRY_SECONDS)
        self.assertEqual((self.bodies.asked, self.news), ([2, 2, 2], 1))
        self.returns.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_given_up(self) -> None:
        """After a day nobody looks any more."""
        self.returns.startService()
        self.bodies.error = NotConnected(peer="x", reason="gone")
        self.hub.accept([report(2)])
        for _ in range(26):
            self.clock.advance(LONGEST_RETRY_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """A service that has stopped reads nothing."""
        self.returns.startService()
        self.assertIsNone(self.returns.stopService())
        self.hub.accept([report(2)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.bodies.asked, [])

    def test_stopped_on_the_way(self) -> None:
        """What is being fetched is let go, and nothing else is begun."""
        self.bodies.hangs = True
        self.hub.accept([report(uid) for uid in range(2, 300)])
        self.returns.startService()
        self.clock.advance(0)
        stopping = self.returns.stopService()
        assert stopping is not None
        self.successResultOf(stopping)
        self.assertEqual((self.bodies.asked, self.clock.getDelayedCalls()), ([2], []))

    def test_who_reports(self) -> None:
        """Mail servers sign with few names, or with none."""
        for sender in ("MAILER-DAEMON@x", "Postmaster@x", "MicrosoftExchange329e@x", ""):
            self.assertTrue(may_be_report(report(1, sender)), sender)
        self.assertTrue(may_be_report(replace(mail(1), sender=())))
        self.assertFalse(may_be_report(report(1, "bob@postmaster.example")))
