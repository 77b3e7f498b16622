"""What goes over the wire to watch several mailboxes, against a server in a script."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import CommandRefused, NotConnected
from mailnotify.imap.awaiting import PUSH_SECONDS
from mailnotify.imap.session import BATCH
from tests.imap.scripted import Letters, Steps
from tests.imap.test_session import SessionCase

_NAMES = ["Work", "Entwürfe"]


class StrategyCase(SessionCase):
    """A session that is told of several mailboxes."""

    capabilities = b"IMAP4rev1 IDLE NOTIFY"

    def setUp(self) -> None:
        super().setUp()
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY %b] in\r\n" % self.capabilities)
        self.letters = Letters(3, 5)
        self.letters.install(self.server)
        self.answer(b"NOTIFY", b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9)\r\nTAG OK\r\n")
        self.answer(
            b"EXAMINE",
            b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 6]\r\nTAG OK [READ-ONLY]\r\n",
        )
        self.hints: list[tuple[str, MailboxStatus | None]] = []
        self.session = self.open()

    def changed(self, mailbox: str, status: MailboxStatus | None) -> None:
        self.hints.append((mailbox, status))

    def take_hints(self) -> list[str]:
        hints, self.hints = self.hints, []
        return [mailbox for mailbox, _ in hints]

    def take_writes(self) -> list[bytes]:
        writes, self.server.all_writes = self.server.all_writes, []
        return writes


class NotifyTests(StrategyCase):
    """NOTIFY (RFC 5465)."""

    def listen(self) -> None:
        self.statuses = self.result(self.session.notify(_NAMES))
        self.result(self.session.examine("INBOX"))
        self.result(self.session.fetch(6))
        self.result(self.session.listen(self.changed))
        self.take_writes()

    def push(self, *uids: int) -> bytes:
        """What the server says when these come."""
        self.letters.uids += uids
        said = b"* %d EXISTS\r\n" % len(self.letters.uids)
        return said + b"".join(map(self.letters.line, uids))

    def test_request(self) -> None:
        """Messages of the open mailbox are asked for in full, of the others a STATUS."""
        self.listen()
        request = self.heard(b"NOTIFY")[0]
        self.assertIn(b"SET STATUS (SELECTED (MessageNew (UID FLAGS INTERNALDATE", request)
        self.assertIn(
            b'(MAILBOXES ("Work" "Entw&APw-rfe") (MessageNew MessageExpunge FlagChange))', request
        )
        self.assertEqual(self.statuses, {"Work": MailboxStatus(uidvalidity=9, uidnext=4, exists=1)})

    def answer_in_turn(self, *said: bytes) -> None:
        left = list(said)
        self.server.answers[b"NOTIFY"] = lambda words: [left.pop(0)]

    def test_names_in_utf_8(self) -> None:
        """Of whom a server says nothing, it has perhaps misread the name (Dovecot)."""
        told = "* STATUS {9}\r\nEntwürfe (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 8)\r\n".encode()
        work = b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9)\r\n"
        self.answer_in_turn(work + b"TAG OK\r\n", work + told + b"TAG OK\r\n")
        statuses = self.result(self.session.notify(_NAMES))
        self.assertEqual(set(statuses), {"Work", "Entwürfe"})
        self.assertIn('(MAILBOXES ("Work" "Entwürfe") ('.encode(), self.heard(b"NOTIFY")[1])

    def test_names_that_are_not_there(self) -> None:
        """A server that takes no UTF-8 goes on to tell of the others."""
        work = b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9)\r\n"
        self.answer_in_turn(work + b"TAG OK\r\n", b"TAG BAD 8-bit data\r\n")
        self.assertEqual(set(self.result(self.session.notify(_NAMES))), {"Work"})

    def test_one_mailbox(self) -> None:
        """For a mailbox alone no others are named."""
        self.result(self.session.notify([]))
        (request,) = self.heard(b"NOTIFY")
        self.assertNotIn(b"STATUS", request)
        self.assertNotIn(b"MAILBOXES", request)

    def test_no_round_trip(self) -> None:
        """From EXISTS to the subject not one byte is sent."""
        self.listen()
        for uids in ((6,), (7, 9), (12,)):
            self.server.say(self.push(*uids))
            self.assertEqual(self.take_hints(), ["INBOX"])
            fetched = self.result(self.session.fetch(uids[0]))
            self.assertEqual([each.uid for each in fetched], list(uids))
            self.assertEqual(fetched[0].header, b"Subject: %d\r\n\r\n" % uids[0])
            self.assertEqual(self.take_writes(), [])

    def test_split_at_every_byte(self) -> None:
        """However the bytes come, the hint comes with the last of them."""
        self.listen()
        self.server.piece_bytes = 1
        self.server.say(self.push(6, 8))
        self.assertEqual(self.take_hints(), ["INBOX"])
        self.assertEqual([each.uid for each in self.result(self.session.fetch(6))], [6, 8])
        self.assertEqual(self.take_writes(), [])

    def test_push_that_does_not_come(self) -> None:
        """After a while the message is fetched."""
        self.listen()
        self.letters.uids.append(6)
        self.server.say(b"* 3 EXISTS\r\n")
        self.assertEqual(self.take_hints(), [])
        self.clock.advance(PUSH_SECONDS)
        self.assertEqual(self.take_hints(), ["INBOX"])
        self.assertEqual([each.uid for each in self.result(self.session.fetch(6))], [6])
        self.assertEqual(len(self.heard(b"UID FETCH 6:*")), 2)

    def test_idle_goes_on_until_the_push_has_come(self) -> None:
        """A question waits: a server that gets DONE while it pushes may forget it."""
        self.listen()
        self.letters.uids.append(6)
        self.server.say(b"* 3 EXISTS\r\n")
        self.start(self.session.poll())
        self.assertEqual(self.take_writes(), [])
        self.server.say(self.letters.line(6)[:40])
        self.clock.advance(5 * PUSH_SECONDS)
        self.assertEqual((self.take_writes(), self.take_hints()), ([], []))
        self.server.say(self.letters.line(6)[40:])
        self.assertEqual(self.take_hints(), ["INBOX"])
        self.assertEqual(self.heard(b"DONE"), [b"DONE"])

    def test_push_with_a_hole(self) -> None:
        """A message that was left out is not forgotten: all are fetched."""
        self.listen()
        self.letters.uids += [6, 8]
        self.server.say(b"* 4 EXISTS\r\n" + self.letters.line(8))
        self.assertEqual(self.take_hints(), ["INBOX"])
        self.assertEqual([each.uid for each in self.result(self.session.fetch(6))], [6, 8])

    def test_flags_are_no_hint(self) -> None:
        """Mail that is read elsewhere is not new mail."""
        self.listen()
        self.server.say(b"* 1 FETCH (UID 3 FLAGS (\\Seen))\r\n")
        self.clock.advance(PUSH_SECONDS)
        self.assertEqual(self.take_hints(), [])

    def test_status_of_another_mailbox(self) -> None:
        """It names the mailbox, and says how far it goes."""
        self.listen()
        self.server.say(b"* STATUS Entw&APw-rfe (MESSAGES 2 UIDNEXT 5)\r\n")
        status = MailboxStatus(uidvalidity=0, uidnext=5, exists=2)
        self.assertEqual(self.hints, [("Entwürfe", status)])

    def test_status_during_a_fetch(self) -> None:
        """What comes between the answers of a command is heard too."""
        self.listen()
        self.letters.uids.append(6)
        self.letters.pushed = b"* STATUS Work (UIDNEXT 5)\r\n"
        self.result(self.session.fetch(6))
        self.assertEqual(self.take_hints(), ["Work"])

    def test_status_during_a_status(self) -> None:
        """Of the answer to our own question only that about another mailbox is a hint."""
        self.listen()
        items = b"(MESSAGES 2 UIDNEXT 6 UIDVALIDITY 7)"
        said = b"* STATUS Work (UIDNEXT 5)\r\n* STATUS inbox " + items + b"\r\nTAG OK\r\n"
        self.answer(b"STATUS", said)
        self.result(self.session.status())
        self.assertEqual(self.take_hints(), ["Work"])

    def test_hints_before_we_listen(self) -> None:
        """They are kept, for each mailbox the last."""
        self.result(self.session.notify(_NAMES))
        self.server.say(b"* STATUS Work (UIDNEXT 5)\r\n* STATUS Work (UIDNEXT 6)\r\n")
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(self.changed))
        status = MailboxStatus(uidvalidity=0, uidnext=6, exists=0)
        self.assertEqual(self.hints, [("Work", status)])

    def test_flags_do_not_hide_mail(self) -> None:
        """Of what is said before we listen the word of new mail counts."""
        self.result(self.session.notify(_NAMES))
        self.server.say(b"* STATUS Work (UIDNEXT 6)\r\n* STATUS Work (HIGHESTMODSEQ 9)\r\n")
        self.server.say(b"* STATUS Lists (UNSEEN 2)\r\n")
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(self.changed))
        mail = MailboxStatus(uidvalidity=0, uidnext=6, exists=0)
        read = MailboxStatus(uidvalidity=0, uidnext=0, exists=0, unseen=2)
        self.assertEqual(self.hints, [("Work", mail), ("Lists", read)])

    def test_refused(self) -> None:
        """A server that offers it and will not do it says so."""
        self.answer(b"NOTIFY", b"TAG NO [BADEVENT (MessageNew)] no\r\n")
        self.failureResultOf(self.start(self.session.notify(_NAMES)), CommandRefused)

    def test_visit(self) -> None:
        """Another mailbox is opened out of IDLE, without a new IDLE before we are back."""
        self.listen()
        self.result(self.session.examine("Work"))
        self.result(self.session.fetch(4))
        self.result(self.session.examine("INBOX"))
        self.result(self.session.fetch(6))
        self.assertNotIn(b"IDLE", b"".join(self.take_writes()))
        self.result(self.session.listen(self.changed))
        self.assertIn(b"IDLE", b"".join(self.take_writes()))

    def test_flood_is_fetched(self) -> None:
        """More messages than a batch are not kept, but fetched in batches."""
        self.listen()
        self.server.say(self.push(*range(6, 8 + BATCH)))
        self.assertEqual(self.take_hints(), ["INBOX"])
        self.assertEqual(len(self.result(self.session.fetch(6))), BATCH)

    def test_lost_while_we_wait(self) -> None:
        """No timer outlives the connection."""
        self.listen()
        self.server.say(b"* 3 EXISTS\r\n* 4 EXISTS\r\n")
        self.session.abort()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SurveyTests(StrategyCase):
    """Asking about mailboxes that are not open."""

    def setUp(self) -> None:
        super().setUp()
        self.answers = {
            b'"Work"': b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9)\r\n",
            b'"Entw&APw-rfe"': b"* STATUS Entw&APw-rfe (UIDNEXT 2)\r\n",
        }
        self.server.answers[b"STATUS"] = self.status
        self.result(self.session.examine("INBOX"))
        self.result(self.session.listen(self.changed))
        self.take_writes()

    def status(self, words: bytes) -> Steps:
        told = self.answers.get(words.split(b" ")[1])
        return [told + b"TAG OK\r\n" if told else b"TAG NO not here\r\n"]

    def test_one_write(self) -> None:
        """All questions, and the next IDLE, leave in one write: one round trip."""
        statuses = self.result(self.session.survey([*_NAMES, "Nope"]))
        self.assertEqual(
            statuses,
            {
                "Work": MailboxStatus(uidvalidity=9, uidnext=4, exists=1),
                "Entwürfe": MailboxStatus(uidvalidity=0, uidnext=2, exists=0),
            },
        )
        (write,) = self.take_writes()
        names = [line.split(b" ")[1:2] for line in write.split(b"\r\n")[1:-1]]
        words = [each for (each,) in names]
        self.assertEqual(words, [b"STATUS", b"STATUS", b"STATUS", b"NOOP", b"IDLE"])
        self.assertEqual(self.take_hints(), [])

    def test_home_is_asked_too(self) -> None:
        """The open mailbox hints at what it has got."""
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.result(self.session.survey(_NAMES))
        self.assertEqual(self.take_hints(), ["INBOX"])

    def test_names_that_cannot_be_written(self) -> None:
        """They are no mailboxes, and hide no others."""
        statuses = self.result(self.session.survey(["a\nb", "x" * 2000, "Work"]))
        self.assertEqual(list(statuses), ["Work"])

    def test_refused(self) -> None:
        """A server that is out of order is not believed."""
        self.answer(b"NOOP", b"TAG BAD no\r\n")
        self.failureResultOf(self.start(self.session.survey(_NAMES)), CommandRefused)

    def test_what_shows_changes(self) -> None:
        """Without CONDSTORE the number of unread messages does."""
        self.answers[b'"Work"'] = b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UNSEEN 1)\r\n"
        statuses = self.result(self.session.survey(_NAMES))
        self.assertEqual(statuses["Work"].unseen, 1)
        self.assertIn(b'STATUS "Work" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)', self.heard(b"STATUS"))

    def test_lost(self) -> None:
        """A connection that breaks in the middle fails once, with its reason."""
        self.server.is_frozen = True
        survey: Deferred[object] = self.start(self.session.survey(_NAMES))
        self.session.abort()
        self.failureResultOf(survey, NotConnected)


class ModseqSurveyTests(StrategyCase):
    """A server that has mod-sequences, or says so."""

    capabilities = b"IMAP4rev1 CONDSTORE LIST-STATUS LIST-EXTENDED"

    def test_asked_for(self) -> None:
        """The one of each mailbox, in the same question; one that cannot be is none."""
        too_much = 2**63
        self.answer(
            b"LIST",
            b"* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9 HIGHESTMODSEQ 12)\r\n"
            b"* STATUS Lists (MESSAGES 1 UIDNEXT 4 HIGHESTMODSEQ %d)\r\nTAG OK\r\n" % too_much,
        )
        statuses = self.result(self.session.survey(["Work", "Lists"]))
        self.assertEqual([each.modseq for each in statuses.values()], [12, 0])
        (question,) = self.heard(b"LIST")
        self.assertTrue(question.endswith(b"(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))"))

    def test_not_understood(self) -> None:
        """A server that does not know what it offers is asked in the oldest way, from then on."""
        self.answer(b"LIST", b"TAG BAD what?\r\n")
        self.answer(b"STATUS", b"* STATUS Work (UIDNEXT 4 UNSEEN 0)\r\nTAG OK\r\n")
        for _ in range(2):
            self.assertEqual(self.result(self.session.survey(["Work"]))["Work"].uidnext, 4)
        self.assertEqual((len(self.heard(b"LIST")), len(self.heard(b"STATUS"))), (1, 2))


class ListStatusTests(StrategyCase):
    """LIST with STATUS (RFC 5819)."""

    capabilities = b"IMAP4rev1 LIST-STATUS LIST-EXTENDED"

    def survey(self, *mailboxes: str) -> dict[str, MailboxStatus]:
        self.take_writes()
        return dict(self.result(self.session.survey(mailboxes)))

    def test_one_command(self) -> None:
        """One question for all; what is not in the list does not exist."""
        self.answer(
            b"LIST",
            b'* LIST () "/" Work\r\n* STATUS Work (MESSAGES 1 UIDNEXT 4 UIDVALIDITY 9)\r\n'
            b'* LIST () "/" INBOX\r\n* LIST (\\Noselect) "/" Lists\r\nTAG OK\r\n',
        )
        statuses = self.survey("Work", "Inbox", "Lists", "Nope")
        unknown = MailboxStatus(uidvalidity=0, uidnext=0, exists=0)
        known = MailboxStatus(uidvalidity=9, uidnext=4, exists=1)
        self.assertEqual(statuses, {"Work": known, "Inbox": unknown})
        (question,) = self.heard(b"LIST")
        self.assertEqual(
            question,
            b'LIST "" ("Work" "Inbox" "Lists" "Nope") '
            b"RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))",
        )
        self.assertEqual(len(self.take_writes()), 1)

    def test_status_before_its_list(self) -> None:
        """The order does not matter."""
        self.answer(
            b"LIST",
            b'* STATUS Work (UIDNEXT 4)\r\n* LIST () "/" Work\r\nTAG OK\r\n',
        )
        self.assertEqual(self.survey("Work")["Work"].uidnext, 4)

    def test_many_names(self) -> None:
        """A thousand mailboxes are several lines of bearable length in one write."""
        names = [f"Lists/{number:04d}" for number in range(1000)]
        self.answer(b"LIST", b"TAG OK\r\n")
        self.survey(*names)
        (write,) = self.take_writes()
        lines = write.split(b"\r\n")[:-1]
        self.assertTrue(all(len(line) < 8192 for line in lines))
        self.assertEqual(sum(line.count(b'"Lists/') for line in lines), 1000)
