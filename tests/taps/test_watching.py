"""Tests of `mailnotify.taps.watching`."""

from __future__ import annotations

import sys
from datetime import timedelta
from unittest.mock import patch

from msgspec import structs
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.connecting import Connecting
from mailnotify.config.schema import Account, Config, Literal, Security, Server, Timing
from mailnotify.core.events import AccountState
from mailnotify.hub import Hub
from mailnotify.taps.logins import Logins
from mailnotify.taps.service import Mailnotify
from mailnotify.taps.watching import Watching
from mailnotify.tls import Connector
from mailnotify.watching.crew import Crew
from tests.fakes import NOON, MemoryJournal


def account(name: str, *mailboxes: str) -> Account:
    server = Server(host="127.0.0.1", port=1, security=Security.IMPLICIT_TLS, user=name)
    timing = Timing(connect_seconds=5, blind_seconds=60)
    return Account(
        name=name,
        server=server,
        password=Literal(text="x"),
        mailboxes=mailboxes or ("INBOX",),
        timing=timing,
    )


class WatchingTests(SynchronousTestCase):
    """The watching part, with a network in which nobody answers."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.journal = MemoryJournal()

    def watching(self, *accounts: Account) -> Watching:
        config = Config(
            state_dir=self.mktemp(),
            accounts=accounts,
            connecting=Connecting(per_host=2, in_all=3),
        )
        hub = Hub(self.journal, lambda: NOON)
        watching = Watching(
            config,
            journal=self.journal,
            hub=hub,
            logins=Logins(
                self.reactor, state_dir=config.state_dir, connector=Connector(self.reactor)
            ),
            reactor=self.reactor,
            now=lambda: NOON,
        )
        watching.startService()
        return watching

    def test_previews_without_what_makes_them(self) -> None:
        """It is said once at the start, of whom it concerns, and what to do."""
        accounts = (account("home"), structs.replace(account("work"), preview_bytes=100))
        for modules, expected in (({}, 0), ({"selectolax": None}, 1)):
            with patch.dict(sys.modules, modules), capturedLogs() as logged:
                self.watching(*accounts)
            said = [formatEvent(each) or "" for each in logged]
            told = [each for each in said if "mailnotify[preview]" in each]
            self.assertEqual(len(told), expected, said)
            self.assertTrue(all(each.startswith("work:") for each in told), told)

    def test_health_has_every_mailbox(self) -> None:
        """In the order of the configuration, before anything was proved."""
        watching = self.watching(account("home", "INBOX", "Lists"), account("work"))
        places = [(each.account, each.mailbox) for each in watching.health()]
        self.assertEqual(places, [("home", "INBOX"), ("home", "Lists"), ("work", "INBOX")])
        self.assertEqual({each.last_proof for each in watching.health()}, {None})
        self.successResultOf(watching.stopService())

    def test_accounts_that_were_left_out(self) -> None:
        """What was told of them is over with the next start; of what a pattern brings we wait."""
        for name, mailbox in (("home", "INBOX"), ("home", "Old"), ("work", "Lists/a"), ("x", "Y")):
            blind = AccountState(account=name, mailbox=mailbox, state="blind", since=NOON)
            self.journal.append([blind], None, NOON)
        self.watching(account("home"), account("work", "Lists/*"))
        told = [each.event for each in self.journal.entries[4:]]
        self.assertEqual(
            [(each.account, each.mailbox, each.state) for each in told],
            [("home", "Old", "ended"), ("x", "Y", "ended")],
        )

    def test_backfill(self) -> None:
        """How far back a first look goes is the account's."""
        accounts = (account("home"), structs.replace(account("work"), backfill_days=7))
        crews = [each for each in self.watching(*accounts) if isinstance(each, Crew)]
        since = [next(iter(each.places(each._seats[0]))).since for each in crews]
        self.assertEqual(since, [None, NOON - timedelta(days=7)])

    def test_nobody_answers(self) -> None:
        """Every mailbox is told to be blind, once, with its cause."""
        watching = self.watching(account("home", "INBOX", "Lists"), account("work"))
        for _ in range(300):
            self.reactor.advance(1.0)
        events = [entry.event for entry in self.journal.entries]
        self.assertTrue(all(isinstance(event, AccountState) for event in events))
        told = sorted((event.account, event.mailbox, event.state) for event in events)
        expected = [
            ("home", "INBOX", "blind"),
            ("home", "Lists", "blind"),
            ("work", "INBOX", "blind"),
        ]
        self.assertEqual(told, expected)
        self.assertTrue(all(event.cause and event.remedy for event in events))
        self.successResultOf(watching.stopService())

    def test_a_hundred_accounts_behind_one_host(self) -> None:
        """A host that cannot be reached is a few lines in the log, not one for each account."""
        with capturedLogs() as logged:
            watching = self.watching(*(account(f"a{number}") for number in range(100)))
            for _ in range(700):
                self.reactor.advance(1.0)
            self.successResultOf(watching.stopService())
        said = [formatEvent(each) or "" for each in logged]
        self.assertIn("not watching a0/INBOX", "".join(said))
        self.assertIn("mailboxes more are blind: 127.0.0.1:1 did not", "".join(said))
        self.assertLess(len(said), 30, said)

    def test_a_hundred_accounts_start_without_a_storm(self) -> None:
        """No more attempts at a host than are allowed; nothing is left at the end."""
        watching = self.watching(*(account(f"a{number}") for number in range(100)))
        self.assertEqual(len(self.reactor.tcpClients), 2)
        self.successResultOf(watching.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_before_the_start(self) -> None:
        """A service that has not started knows of no mailbox."""
        config = Config(state_dir=self.mktemp(), accounts=(account("home"),))
        self.assertEqual(Mailnotify(config, self.reactor).health(), ())
