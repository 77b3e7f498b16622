"""Tests of `mailnotify.watching.lookout`."""

from __future__ import annotations

from datetime import timedelta

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Timing
from mailnotify.core.events import AccountState
from mailnotify.errors import LoginDenied, NotConnected
from mailnotify.hub import Hub
from mailnotify.watching.lookout import LOOK_SECONDS, Lookout
from mailnotify.watching.witness import Witness
from tests.fakes import NOON, MemoryJournal

TIMING = Timing(blind_seconds=300, idle_poll_seconds=60, command_seconds=60)
GONE = NotConnected(peer="imap.example:993", reason="\x1b[31mreset")


class LookoutTests(SynchronousTestCase):
    """A lookout over one mailbox, with a journal in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal()
        self.alert = ""
        self.start()

    def start(self) -> None:
        """Begin a life of the service."""
        hub = Hub(self.journal, self.now)
        self.lookout = Lookout(
            accept=hub.accept, recall=self.journal.state, clock=self.clock, now=self.now
        )
        self.witness = self.lookout.witness("home", "INBOX", TIMING, lambda: self.alert)
        self.lookout.startService()

    def now(self) -> object:
        return NOON + timedelta(seconds=self.clock.seconds())

    def pass_by(self, seconds: float) -> None:
        """Let time pass, second by second."""
        self.clock.pump([LOOK_SECONDS] * round(seconds / LOOK_SECONDS))

    def told(self) -> list[str]:
        return [entry.event.state for entry in self.journal.entries]

    def test_blind_and_seen_again(self) -> None:
        """One event each, with clean text and times in UTC."""
        self.witness.proved()
        self.pass_by(10)
        self.witness.failed(GONE)
        self.pass_by(1000)
        self.witness.proved()
        self.pass_by(10)
        blind, seen = (entry.event for entry in self.journal.entries)
        self.assertIsInstance(blind, AccountState)
        self.assertEqual((blind.account, blind.mailbox, blind.state), ("home", "INBOX", "blind"))
        self.assertEqual(blind.since, NOON)
        self.assertIn("imap.example:993", blind.cause)
        self.assertNotIn("\x1b", blind.cause)
        self.assertEqual(blind.remedy, GONE.remedy)
        self.assertEqual((seen.state, seen.since), ("connected", NOON + timedelta(seconds=1010)))

    def test_told_in_time(self) -> None:
        """No later than a second after the bound."""
        self.witness.failed(GONE)
        self.pass_by(299)
        self.assertEqual(self.told(), [])
        self.pass_by(1 + LOOK_SECONDS)
        self.assertEqual(self.told(), ["blind"])

    def test_denied_with_the_words_of_the_server(self) -> None:
        """What the server wants a person to read is part of the cause."""
        self.alert = "Web login required"
        denial = LoginDenied(peer="imap.example:993", user="ada", said="no", advice="Use OAuth2.")
        self.witness.failed(denial)
        self.pass_by(301)
        event = self.journal.entries[0].event
        self.assertEqual((event.state, event.remedy), ("denied", "Use OAuth2."))
        self.assertIn("Web login required", event.cause)

    def test_a_watcher_that_hangs(self) -> None:
        """Blind though nobody reported a failure."""
        self.witness.proved()
        self.pass_by(302)
        self.assertEqual(self.told(), ["blind"])

    def test_a_restart_in_the_dark(self) -> None:
        """The next life does not repeat it, and tells when it sees."""
        self.witness.failed(GONE)
        self.pass_by(301)
        self.lookout.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.start()
        self.witness.failed(GONE)
        self.pass_by(1000)
        self.assertEqual(self.told(), ["blind"])
        self.witness.proved()
        self.assertEqual(self.told(), ["blind", "connected"])

    def test_a_full_disk(self) -> None:
        """What cannot be journalled is told when it can be, and only then."""
        self.journal.is_full = True
        self.witness.failed(GONE)
        self.pass_by(400)
        self.assertEqual(self.lookout.health()[0].state, "connected")
        self.journal.is_full = False
        self.pass_by(LOOK_SECONDS)
        self.assertEqual(self.told(), ["blind"])

    def test_full_disk_at_the_proof(self) -> None:
        """Seeing again is told later too, once."""
        self.witness.failed(GONE)
        self.pass_by(301)
        self.journal.is_full = True
        self.witness.proved()
        self.journal.is_full = False
        self.pass_by(5)
        self.assertEqual(self.told(), ["blind", "connected"])

    def test_health(self) -> None:
        """One value for each mailbox, in order, with the counts of the checks."""
        self.lookout.witness("home", "Lists", TIMING)
        self.pass_by(5)
        self.witness.proved()
        self.witness.checked()
        self.assertEqual(self.witness.missed(3), 3)
        self.assertEqual(self.witness.missed(1), 4)
        self.witness.failed(GONE)
        inbox, lists = self.lookout.health()
        self.assertEqual((inbox.mailbox, inbox.checks, inbox.missed), ("INBOX", 1, 4))
        self.assertEqual(inbox.last_proof, NOON + timedelta(seconds=5))
        self.assertIn("imap.example:993", inbox.cause)
        self.assertEqual((lists.mailbox, lists.last_proof), ("Lists", None))

    def test_gone_in_the_dark(self) -> None:
        """Who was told that it is unseen is told that this is over; it is looked at no more."""
        self.witness.failed(GONE)
        self.pass_by(301)
        self.journal.is_full = True
        self.witness.end()
        self.assertEqual(self.lookout.health(), ())
        self.journal.is_full = False
        self.pass_by(LOOK_SECONDS)
        self.assertEqual(self.told(), ["blind", "ended"])
        self.witness.end()
        self.pass_by(1000)
        self.assertEqual(self.told(), ["blind", "ended"])

    def test_gone_while_it_was_seen(self) -> None:
        """Then there is nothing to tell."""
        self.witness.proved()
        self.witness.failed(GONE)
        self.witness.end()
        self.pass_by(1000)
        self.assertEqual(self.told(), [])

    def test_gone_and_back(self) -> None:
        """A mailbox that comes back is told when it is seen, or is not."""
        self.witness.failed(GONE)
        self.pass_by(301)
        self.witness.end()
        self.witness = self.lookout.witness("home", "INBOX", TIMING)
        self.pass_by(301)
        self.witness.proved()
        self.assertEqual(self.told(), ["blind", "ended", "blind", "connected"])

    def test_left_out_of_the_configuration(self) -> None:
        """The next life of the service ends what is told of mailboxes that it does not watch."""
        lists = self.lookout.witness("home", "Lists", TIMING)
        self.witness.failed(GONE)
        lists.failed(GONE)
        self.pass_by(301)
        for _ in range(2):
            self.lookout.end_others(self.journal.states(), lambda _, mailbox: mailbox == "INBOX")
        ended = self.journal.entries[2:]
        self.assertEqual(
            [(each.event.mailbox, each.event.state) for each in ended], [("Lists", "ended")]
        )

    def test_nothing_is_looked_at_after_the_end(self) -> None:
        """No timer is left, and an end is no darkness."""
        self.witness.failed(GONE)
        self.lookout.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_by(1000)
        self.assertEqual(self.told(), [])

    def test_a_process_that_was_stopped(self) -> None:
        """Nobody looked meanwhile, so nobody is alarmed; the bound begins where it was."""
        self.witness.proved()
        self.pass_by(100)
        self.witness.failed(GONE)
        self.clock.advance(3600)
        self.witness.failed(GONE)
        self.pass_by(199)
        self.assertEqual(self.told(), [])
        self.pass_by(3)
        self.assertEqual(self.told(), ["blind"])

    def test_rare_polls_are_no_darkness(self) -> None:
        """A server that is asked once an hour proves something once an hour."""
        rare = Timing(blind_seconds=300, poll_seconds=3600, safety_seconds=7200)
        witness = self.lookout.witness("home", "Rare", rare)
        witness.proved()
        self.witness.proved()
        for _ in range(12):
            self.pass_by(299)
            self.witness.proved()
        self.assertEqual(self.told(), [])
        self.pass_by(299)
        self.assertEqual(self.told(), ["blind"])

    def test_a_witness_of_nobody(self) -> None:
        """A watcher without a lookout tells it to the wind."""
        witness = Witness()
        witness.proved()
        witness.failed(GONE)
        witness.checked()
        self.assertEqual(witness.missed(2), 2)
