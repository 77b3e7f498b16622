"""Tests of `mailnotify.taps.handing`."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Account, Literal, Security, Server, Submission
from mailnotify.errors import OutboxUnreadable, ServiceNeeded
from mailnotify.outbox.doorbell import Doorbell
from mailnotify.outbox.letter import Filed, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from mailnotify.smtp.compose import Envelope
from mailnotify.taps.errand import Errand
from mailnotify.taps.handing import Terms, await_end, hand_over, read_terms, verdict
from mailnotify.taps.posting import DOORBELL, STORE
from tests.outbox.letters import NOON, settle
from tests.outbox.test_doorbell import Readers


def terms(**options: Any) -> Terms:
    """These options, read."""
    nothing = {"at": None, "undo": None, "key": None, "now": 0, "wait": 0}
    return read_terms({**nothing, **options})


class TermsTests(SynchronousTestCase):
    """When a letter is to go."""

    def test_read(self) -> None:
        """A time, a delay, a key."""
        self.assertEqual(terms().due(NOON), NOON)
        self.assertEqual(terms(undo="60").due(NOON), NOON + timedelta(minutes=1))
        at = terms(at="2026-01-31T09:00:00+01:00")
        self.assertEqual(at.due(NOON).isoformat(), "2026-01-31T08:00:00+00:00")
        self.assertEqual(terms(key="k").key, "k")
        self.assertEqual((terms().needs_service, at.needs_service), ("", "--at"))

    def test_refused(self) -> None:
        """What makes no sense is named with its option."""
        for options, word in (
            ({"at": "tomorrow"}, "--at"),
            ({"at": "2026-01-31T09:00:00"}, "--at"),
            ({"at": "oldest"}, "--at"),
            ({"undo": "0"}, "--undo"),
            ({"undo": "-1"}, "--undo"),
            ({"undo": "9" * 40}, "--undo"),
            ({"undo": "5", "at": "2026-01-31T08:00:00Z"}, "one of them"),
            ({"now": 1, "key": "k"}, "--now and --key"),
            ({"key": ""}, "--key"),
        ):
            error = self.assertRaises(usage.UsageError, terms, **options)
            self.assertIn(word, str(error))


class HandOverTests(SynchronousTestCase):
    """A letter goes into the outbox of the service."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.rung: list[bool] = []
        self.reactor = Readers()
        self.stdout, self.stderr = io.StringIO(), io.StringIO()

    def serve(self) -> SqliteOutbox:
        """A service runs."""
        store = SqliteOutbox.open(self.folder / STORE, NOON)
        self.addCleanup(store.close)
        bell = Doorbell(self.folder / DOORBELL, self.rung.append, self.reactor)  # type: ignore[arg-type]
        bell.open()
        self.addCleanup(bell.close)
        return store

    def hand(self, wishes: Terms) -> int | None:
        server = Server(host="x", port=465, security=Security.IMPLICIT_TLS, user="ada")
        submission = Submission(server=server, sender="ada@x.org", password=Literal(text="x"))
        account = Account(
            name="home", server=server, password=Literal(text="x"), submission=submission
        )
        errand = Errand(
            envelope=Envelope(sender="ada@x.org", recipients=("bob@x.org",)),
            message=b"x",
            account=account,
            state_dir=str(self.folder),
            message_id="<1@x>",
            subject="Lunch?",
        )
        return hand_over(errand, wishes, NOON, stdout=self.stdout, stderr=self.stderr)

    def test_queued(self) -> None:
        """When the command says so, the letter is on the disk, and the service is woken."""
        store = self.serve()
        self.assertEqual(self.hand(Terms(key="k")), os.EX_OK)
        self.assertEqual(self.stdout.getvalue(), "queued as letter 1\n")
        filed = store.letter(1)
        self.assertEqual((filed.subject, filed.account, filed.due), ("Lunch?", "home", NOON))
        self.assertEqual(filed.expires, NOON + timedelta(days=5))
        self.reactor.readers[0].doRead()
        self.assertEqual(self.rung, [False])
        self.hand(Terms(key="k"))
        self.assertEqual(len(store.letters(State, 9)), 1)

    def test_later(self) -> None:
        """A letter that waits says until when."""
        store = self.serve()
        self.hand(Terms(undo_seconds=60))
        self.assertIn("to go at 2026-01-02 12:01:00Z", self.stdout.getvalue())
        self.assertEqual(store.claim("home", 9, NOON), [])

    def test_no_service(self) -> None:
        """Without a service the caller sends, unless only a service could."""
        self.assertIsNone(self.hand(Terms()))
        error = self.assertRaises(ServiceNeeded, self.hand, Terms(key="k"))
        self.assertIn("--key", str(error))
        self.assertFalse(self.folder.exists())

    def test_direct(self) -> None:
        """Who wants it from here gets it from here."""
        store = self.serve()
        self.assertIsNone(self.hand(Terms(is_direct=True)))
        self.assertEqual(store.letters(State, 9), [])

    def test_no_outbox(self) -> None:
        """A service whose outbox cannot be opened has not got the letter."""
        self.folder.mkdir()
        bell = Doorbell(self.folder / DOORBELL, self.rung.append, self.reactor)  # type: ignore[arg-type]
        bell.open()
        self.addCleanup(bell.close)
        self.assertRaises(OutboxUnreadable, self.hand, Terms())

    def test_waited(self) -> None:
        """Who waits is told why it takes long, and what came of it."""
        store = self.serve()
        self.hand(Terms())
        said: list[str] = []
        steps = iter((Fate.PENDING, Fate.PENDING, Fate.ACCEPTED))

        def attempt(_pause: float) -> None:
            (ticket,) = store.claim("home", 1, NOON)
            result = Result(recipient="bob@x.org", fate=next(steps), code=250, said="ok")
            settle(store, ticket, result, reason="greylisted", due=NOON)

        filed = await_end(str(self.folder), 1, said.append, attempt)
        self.assertEqual(said, ["letter 1 waits: greylisted"])
        self.assertEqual(verdict(filed), (os.EX_OK, "letter 1 is sent to bob@x.org: ok"))


class VerdictTests(SynchronousTestCase):
    """What a shell and a person are told of a letter that is over."""

    def tell(self, state: State, *results: Result) -> tuple[int, str]:
        return verdict(
            Filed(
                number=7,
                account="home",
                sender="ada@x",
                message_id="<1@x>",
                subject="",
                size_bytes=1,
                state=state,
                queued_at=NOON,
                due=NOON,
                expires=NOON,
                attempts=1,
                reason="",
                finished_at=NOON,
                results=results,
            )
        )

    def test_codes(self) -> None:
        """The same exit codes as of a letter that was sent directly."""
        refused, accepted = Fate.REFUSED, Fate.ACCEPTED
        unknown = Result(recipient="bob@x", fate=refused, code=550, said="unknown")
        full = Result(recipient="eve@x", fate=refused, code=552, said="full")
        expired = Result(recipient="eve@x", fate=refused, code=450, said="later")
        self.assertEqual(self.tell(State.FAILED, unknown)[0], os.EX_NOUSER)
        self.assertEqual(self.tell(State.FAILED, unknown, full)[0], os.EX_UNAVAILABLE)
        self.assertEqual(self.tell(State.FAILED, expired)[0], os.EX_UNAVAILABLE)
        self.assertEqual(self.tell(State.CANCELLED, unknown)[0], os.EX_UNAVAILABLE)
        code, sentence = self.tell(State.FAILED, unknown, full)
        self.assertEqual(sentence, "letter 7 failed: bob@x: unknown; eve@x: full")
        code, sentence = self.tell(State.SENT, Result(recipient="bob@x", fate=accepted))
        self.assertEqual((code, sentence), (os.EX_OK, "letter 7 is sent to bob@x"))
