"""Tests for `mailnotify.smtp.submit.Submitter`: one account, a connection that is held."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.sasl import Credentials, Password, Token
from mailnotify.config.schema import CaFile, Security, Server
from mailnotify.errors import (
    DeadlinePassed,
    LetterInvalid,
    LoginDenied,
    NotConnected,
    OutcomeUnknown,
    SecretUnavailable,
    SubmissionFailed,
)
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.handover import MOST_UNASKED_BYTES, Receipt
from mailnotify.smtp.offer import read_offer
from mailnotify.smtp.parcel import Notify, Returned, Wishes, pack
from mailnotify.smtp.sender import FRESH_SECONDS, Following
from mailnotify.smtp.submit import Submitter
from mailnotify.smtp.wire import Reply
from tests.smtp.hostile import BOB, CHUNKED, EVE, GROUPED, STEPWISE
from tests.smtp.memory import DeadEndpoint, MemoryConnector
from tests.smtp.scripted import CUT, STALL, Behaviour, ScriptedServer
from tests.smtp.test_submit import ENVELOPE, MESSAGE, PASSWORD, TIMING, certificates, presenting

IDLE = 30.0
PLAIN = Wishes()


class SubmitterCase(SynchronousTestCase):
    """One submitter and the servers that it meets."""

    def setUp(self) -> None:
        self.does = Behaviour(private=CHUNKED)
        self.clock = Clock()
        self.servers: list[ScriptedServer] = []
        self.connector = MemoryConnector(self.clock, self._make_server)
        self.habits = Habits()
        self.asked = 0
        self.secret: Credentials | Exception = Password("ada", PASSWORD)
        self.submitter = Submitter(
            server=Server(host="localhost", port=465, security=Security.IMPLICIT_TLS, user="ada"),
            trust=CaFile(ca_file=str(certificates().ca_file)),
            credentials=self._credentials,
            connector=self.connector,
            clock=self.clock,
            deadlines=TIMING,
            habits=self.habits,
            idle_seconds=IDLE,
        )

    async def _credentials(self) -> Credentials:
        self.asked += 1
        if isinstance(self.secret, Exception):
            raise self.secret
        return self.secret

    def _make_server(self) -> ScriptedServer:
        options = presenting("good", "localhost")
        self.servers.append(ScriptedServer(self.does, self.clock, options))
        return self.servers[-1]

    def begin(
        self, message: bytes = MESSAGE, envelope: Envelope = ENVELOPE, wishes: Wishes = PLAIN
    ) -> Deferred[Receipt]:
        """Submit, as far as it goes without any time passing."""
        outcome = Deferred.fromCoroutine(self.submitter.submit(envelope, message, wishes))
        self.run_links()
        return outcome

    def run_links(self) -> None:
        for link in self.connector.links:
            link.run()

    def submit(self, *args: Any, **kwargs: Any) -> Receipt:
        """Submit, and expect it to be accepted."""
        return self.successResultOf(self.begin(*args, **kwargs))

    def close(self) -> None:
        closed = Deferred.fromCoroutine(self.submitter.close())
        self.run_links()
        self.successResultOf(closed)
        self.assert_nothing_left()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run_links()

    def assert_nothing_left(self) -> None:
        """No connection and no timer."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(all(link.client.is_lost for link in self.connector.links))
        self.assertFalse(self.submitter.is_open)


class HeldTests(SubmitterCase):
    """The connection between letters."""

    def test_many_letters(self) -> None:
        """Letters share one connection and one login; the end is said once."""
        self.assertFalse(self.submitter.is_open)
        for _ in range(3):
            self.submit()
        self.assertTrue(self.submitter.is_open)
        self.close()
        (server,) = self.servers
        self.assertEqual(server.verbs.count("AUTH"), 1)
        self.assertEqual(len(server.letters), 3)
        self.assertNotIn("RSET", server.verbs)
        self.assertEqual(server.verbs[-1], "QUIT")
        self.assertEqual(self.asked, 1)
        self.assertTrue(self.connector.links[0].client.has_no_delay)

    def test_closed_when_idle(self) -> None:
        """Without a letter for a while the connection is closed in good order."""
        self.submit()
        self.wait(IDLE - 1)
        self.submit()
        self.wait(IDLE - 1)
        self.assertTrue(self.submitter.is_open)
        self.wait(1)
        self.assertEqual(self.servers[0].verbs[-1], "QUIT")
        self.assert_nothing_left()
        self.submit()
        self.assertEqual((len(self.servers), self.asked), (2, 2))
        self.close()

    def test_closed_by_the_server_when_idle(self) -> None:
        """A server that leaves between letters costs a new connection, not a letter."""
        for farewell in (CUT, b"421 4.4.2 idle\r\n" + CUT, b"421 idle\r\n", b"250 what?\r\n", b"2"):
            self.setUp()
            self.submit()
            self.servers[0].say(farewell)
            self.run_links()
            self.assertFalse(self.submitter.is_open, farewell)
            self.submit()
            self.assertEqual([len(each.letters) for each in self.servers], [1, 1], farewell)
            self.close()

    def test_dead_connection(self) -> None:
        """One that dies under a letter fails it, without a second attempt of our own."""
        self.submit()
        self.servers[0]._behaviour.replies["MAIL"] = [CUT]
        self.wait(FRESH_SECONDS)
        self.failureResultOf(self.begin(), NotConnected)
        self.assertFalse(self.submitter.is_open)
        self.assertEqual(len(self.servers), 1)
        self.does = Behaviour(private=CHUNKED)
        self.submit()
        self.assertEqual(len(self.servers), 2)
        self.close()

    def test_refusals_do_not_cost_the_connection(self) -> None:
        """The letter after a refused one uses the same connection, after RSET if need be."""
        refused = {BOB: b"550 5.1.1 no\r\n", EVE: b"550 5.1.1 no\r\n"}
        for offer, behaviour, resets in (
            (GROUPED, Behaviour(refused=refused), 1),
            (STEPWISE, Behaviour(refused=refused), 1),
            (GROUPED, Behaviour(refused=refused, replies={"DATA": [b"354 go\r\n"]}), 0),
            (GROUPED, Behaviour(replies={"DOT": [b"554 spam\r\n"]}), 0),
            (GROUPED, Behaviour(replies={"MAIL": [b"550 no\r\n"]}), 0),
            (CHUNKED, Behaviour(replies={"BDAT": [b"554 5.7.1 spam\r\n"]}), 1),
        ):
            self.setUp()
            self.does = behaviour
            self.does.private = offer
            self.failureResultOf(self.begin(), SubmissionFailed)
            self.does.refused = {}
            self.does.replies = {}
            self.submit()
            (server,) = self.servers
            self.assertEqual(server.verbs.count("RSET"), resets, behaviour)
            self.close()

    def test_invalid_letter(self) -> None:
        """A letter that cannot go says nothing to the server and costs it nothing."""
        self.submit()
        said = len(self.servers[0].commands)
        self.failureResultOf(self.begin(message=b"x" * 2_000_000), LetterInvalid)
        nobody = Envelope(sender="", recipients=())
        self.failureResultOf(self.begin(envelope=nobody), LetterInvalid)
        self.assertEqual(len(self.servers[0].commands), said)
        self.assertTrue(self.submitter.is_open)
        self.close()

    def test_one_at_a_time(self) -> None:
        """A letter waits for the one before it."""
        self.does = Behaviour(private=CHUNKED, replies={"BDAT": [STALL]})
        first, second = self.begin(), self.begin()
        self.assertEqual(self.servers[0].verbs.count("MAIL"), 1)
        self.does = Behaviour(private=GROUPED)
        self.wait(TIMING.accept_seconds)
        self.failureResultOf(first)
        self.run_links()
        self.successResultOf(second)
        self.assertEqual(len(self.servers), 2)
        self.close()

    def test_cancelled(self) -> None:
        """Whoever cancels cuts the connection; the next letter gets a new one."""
        self.does = Behaviour(private=GROUPED, replies={"MAIL": [STALL]})
        outcome = self.begin()
        outcome.cancel()
        self.run_links()
        self.assertIn("cut by us", str(self.failureResultOf(outcome, NotConnected).value))
        self.does = Behaviour(private=STEPWISE)
        self.submit()
        self.close()

    def test_no_login(self) -> None:
        """Without a secret, or with a wrong one, there is no connection to keep."""
        self.secret = SecretUnavailable(origin="the keyring", reason="locked")
        self.failureResultOf(self.begin(), SecretUnavailable)
        self.assertEqual(self.servers, [])
        self.secret = Password("ada", "wr0ng")
        self.failureResultOf(self.begin(), LoginDenied)
        self.assertEqual(self.servers[0].verbs[-1], "QUIT")
        self.assert_nothing_left()
        self.close()

    def test_nobody_there(self) -> None:
        """A server that cannot be reached leaves nothing behind."""
        self.connector.instead = DeadEndpoint(OSError("odd"))
        self.failureResultOf(self.begin(), NotConnected)
        self.close()

    def test_refused_token(self) -> None:
        """What the server says of a token is told; the token is not."""
        self.secret = Token("ada", "t0ken-t0ken")
        complaint = b"eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIHQwa2VuLXQwa2VuIn0="
        said = b"334 " + complaint + b"\r\n"
        offer = CHUNKED.replace(b"PLAIN", b"OAUTHBEARER")
        self.does = Behaviour(private=offer, replies={"AUTH": [said, b"535 5.7.8 no\r\n"]})
        self.does.replies["AQ=="] = [b"535 5.7.8 no\r\n"]
        error = self.failureResultOf(self.begin(), LoginDenied).value
        self.assertIn("invalid_token <secret>", str(error))
        self.assertNotIn("t0ken-t0ken", f"{error!r} {error.__dict__}")
        self.close()


class AnnouncedTests(SubmitterCase):
    """The envelope of the next letter goes with the end of this one."""

    first, second, third = (b"Subject: %d\r\n\r\n.\r\n" % n for n in (1, 2, 3))

    def setUp(self) -> None:
        super().setUp()
        self.does.private = GROUPED

    def after(self, message: bytes, envelope: Envelope = ENVELOPE) -> Following:
        return Following(envelope=envelope, message=message, wishes=PLAIN)

    def begin_before(self, message: bytes, following: Following | None) -> Deferred[Receipt]:
        """Submit a letter, and name the next one."""
        outcome = Deferred.fromCoroutine(self.submitter.submit(ENVELOPE, message, PLAIN, following))
        self.run_links()
        return outcome

    def submit_before(self, message: bytes, following: bytes) -> Receipt:
        return self.successResultOf(self.begin_before(message, self.after(following)))

    def test_one_turn(self) -> None:
        """Each letter after the first takes one turn, and none is out before its answer."""
        self.submit_before(self.first, self.second)
        before = len(self.servers[0].reads)
        self.assertEqual(len(self.servers[0].letters), 1)
        self.assertTrue(self.submitter.awaits(self.second))
        self.submit_before(self.second, self.third)
        self.assertEqual(len(self.servers[0].reads) - before, 1)
        self.submit(self.third)
        self.assertEqual(self.servers[0].letters, [self.first, self.second, self.third])
        self.assertFalse(self.submitter.is_reserved)
        self.close()
        (server,) = self.servers
        self.assertEqual((server.verbs.count("RSET"), server.verbs[-1]), (0, "QUIT"))

    def test_byte_by_byte(self) -> None:
        """However the replies are cut."""
        self.does.dribbles = True
        outcome = self.begin_before(self.first, self.after(self.second))
        for _ in range(400):
            self.wait(0)
        self.successResultOf(outcome)
        outcome = self.begin_before(self.second, None)
        for _ in range(400):
            self.wait(0)
        self.successResultOf(outcome)
        self.assertEqual(self.servers[0].letters, [self.first, self.second])

    def test_no_gain(self) -> None:
        """Where BDAT takes one turn, where groups are not taken, or where one is not enough."""
        many = Envelope(sender="ada@x.org", recipients=tuple(f"u{n}@x.org" for n in range(200)))
        for offer, envelope in ((CHUNKED, ENVELOPE), (STEPWISE, ENVELOPE), (GROUPED, many)):
            self.setUp()
            self.does.private = offer
            self.successResultOf(self.begin_before(self.first, self.after(self.second, envelope)))
            self.assertFalse(self.submitter.is_reserved)
            self.assertEqual(self.servers[0].verbs.count("MAIL"), 1)
            self.submit(self.third)  # nobody minds
            self.close()

    def test_another_letter(self) -> None:
        """A letter that was not announced goes over another connection, and nothing is mixed up."""
        self.submit_before(self.first, self.second)
        self.failureResultOf(self.begin(self.third), NotConnected)
        self.assertFalse(self.submitter.is_open)
        self.submit(self.third)
        self.assertEqual([each.letters for each in self.servers], [[self.first], [self.third]])
        self.close()

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["", "MAIL", "RCPT", "DATA", "DOT", "CUT"]), st.booleans()),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([GROUPED, STEPWISE, CHUNKED]),
    )
    def test_any_course(self, course: list[tuple[str, bool]], offer: bytes) -> None:
        """Whatever goes wrong where: what was accepted has arrived, and none of them twice."""
        self.setUp()
        self.does.private = offer
        letters = [b"Subject: %d\r\n\r\n.\r\n" % n for n in range(len(course) + 1)]
        accepted = []
        for number, (trouble, is_announcing) in enumerate(course):
            words = CUT if trouble == "CUT" else b"550 5.7.1 no\r\n"
            verbs = ("BDAT", "DOT") if trouble in ("CUT", "DOT") else (trouble,)
            self.does.replies = {verb: [words] for verb in verbs if verb}
            following = self.after(letters[number + 1]) if is_announcing else None
            outcome = self.begin_before(letters[number], following)
            result: list[object] = []
            outcome.addBoth(result.append)
            if isinstance(result[0], Receipt):
                accepted.append(letters[number])
            self.does.replies = {}
        arrived = [each for server in self.servers for each in server.letters]
        self.assertEqual(len(set(arrived)), len(arrived))
        self.assertEqual(set(accepted) - set(arrived), set())
        self.assertTrue(set(arrived) <= set(letters[: len(course)]), arrived)

    def test_closed(self) -> None:
        """A server that awaits a letter is not told QUIT, which would be its text."""
        self.submit_before(self.first, self.second)
        self.close()
        self.assertNotIn("QUIT", self.servers[0].verbs)
        self.assertEqual(self.servers[0]._buffer, b"")

    def test_refusals(self) -> None:
        """Each letter has the outcome that is its own, whatever became of the other."""
        refused = {BOB: b"550 5.1.1 no\r\n", EVE: b"550 5.1.1 no\r\n"}
        for behaviour, outcomes in (
            (Behaviour(replies={"DOT": [b"554 spam\r\n", b"250 ok\r\n"]}), "-+"),
            (Behaviour(replies={"DOT": [b"250 ok\r\n", b"554 spam\r\n"]}), "+-"),
            (Behaviour(replies={"MAIL": [b"250 ok\r\n", b"550 no\r\n"]}), "+-"),
            (Behaviour(replies={"DATA": [b"354 go\r\n", b"451 later\r\n"]}), "+-"),
            (Behaviour(refused=refused), "--"),
        ):
            self.setUp()
            self.does = behaviour
            self.does.private = GROUPED
            got = ""
            for message, following in ((self.first, self.second), (self.second, self.third)):
                outcome = self.begin_before(message, self.after(following))
                outcome.addErrback(lambda failure: failure.trap(SubmissionFailed))
                got += "+" if isinstance(self.successResultOf(outcome), Receipt) else "-"
            self.assertEqual(got, outcomes)
            self.assertEqual(len(self.servers), 1)
            self.does.refused, self.does.replies = {}, {}

    def test_gone_after_the_letter(self) -> None:
        """Only the letter whose end was out is in doubt; the announced one was not sent."""
        self.does.replies = {"DOT": [CUT]}
        self.failureResultOf(self.begin_before(self.first, self.after(self.second)), OutcomeUnknown)
        self.does = Behaviour(private=GROUPED)
        self.submit(self.second)
        self.assertEqual([each.letters for each in self.servers], [[self.first], [self.second]])

    def test_a_server_that_forgets(self) -> None:
        """One that throws away what came behind the letter is spoken to step by step."""
        self.submit_before(self.first, self.second)
        self.does.replies = {"DATA": [STALL]}
        self.successResultOf(self.begin_before(self.second, self.after(self.third)))
        outcome = self.begin(self.third)
        self.wait(TIMING.command_seconds)
        self.failureResultOf(outcome, DeadlinePassed)
        self.assertTrue(self.habits.is_stepwise("localhost:465", self.clock.seconds()))

    def test_a_wrong_letter(self) -> None:
        """One that cannot go is not announced, and hears why in its turn."""
        for following in (
            self.after(b"x" * 2_000_000),
            self.after(b"x", Envelope(sender="a b", recipients=("c",))),
        ):
            self.setUp()
            self.successResultOf(self.begin_before(self.first, following))
            self.assertFalse(self.submitter.is_reserved)
            self.close()


class TurnTests(SubmitterCase):
    """How often each side has to wait for the other."""

    def turns(self, offer: bytes, message: bytes = MESSAGE) -> int:
        """Reads of the server for the second letter of a connection."""
        self.setUp()
        self.does = Behaviour(private=offer)
        self.submit()
        before = len(self.servers[0].reads)
        self.submit(message)
        turns = len(self.servers[0].reads) - before
        self.close()
        return turns

    def test_turns(self) -> None:
        """One with BDAT, two in groups, one for each command and the letter otherwise."""
        self.assertEqual(self.turns(CHUNKED), 1)
        self.assertEqual(self.turns(GROUPED), 2)
        self.assertEqual(self.turns(STEPWISE), 5)

    def test_after_silence(self) -> None:
        """After a silence the letter is not sent before the server has answered."""
        self.submit()
        self.wait(FRESH_SECONDS)
        self.submit()
        self.submit()
        verbs = self.servers[0].verbs
        self.assertEqual(
            [verb for verb in verbs if verb in ("DATA", "BDAT")], ["BDAT", "DATA", "BDAT"]
        )
        self.close()

    def test_big_letter(self) -> None:
        """A big letter is not sent before its envelope was agreed to, and then as one chunk."""
        message = b"x\r\n" * (MOST_UNASKED_BYTES // 3 + 1)
        self.does.private = CHUNKED.replace(b"SIZE 1000000", b"SIZE 0")
        self.submit(message)
        self.assertEqual(self.servers[0].letters, [message])
        self.assertIn(
            b"BDAT %d LAST" % len(message), [line for line, _ in self.servers[0].commands]
        )
        self.does.refused = {BOB: b"550 no\r\n", EVE: b"550 no\r\n"}
        self.failureResultOf(self.begin(message), SubmissionFailed)
        self.assertEqual(self.servers[0].verbs.count("BDAT"), 1)
        self.close()

    def test_dots_are_safe_in_chunks(self) -> None:
        """A chunk holds the letter as it is."""
        message = b".\r\n.\r\nQUIT\r\n\xff\r\n".replace(b"\xff", b"..")
        self.submit(message)
        self.assertEqual(self.servers[0].letters, [message])
        self.close()

    def test_many_recipients(self) -> None:
        """Hundreds of recipients go in groups of a hundred, each with its own outcome."""
        everyone = tuple(f"u{number}@x.org" for number in range(250))
        for offer in (STEPWISE, GROUPED, CHUNKED):
            self.setUp()
            self.does = Behaviour(private=offer, refused={"u7@x.org": b"550 5.1.1 no\r\n"})
            self.does.refused["u240@x.org"] = b"452 4.5.3 too many\r\n"
            outcome = self.begin(envelope=Envelope(sender="ada@x.org", recipients=everyone))
            error = self.failureResultOf(outcome, SubmissionFailed).value
            self.assertEqual([each.enhanced for each in error.refusals], ["5.1.1", "4.5.3"])
            self.assertEqual(len(error.accepted), 248)
            self.assertEqual(len(self.servers[0].letters), 1)
            self.does.replies["MAIL"] = [b"550 5.7.1 not yours\r\n"]
            outcome = self.begin(envelope=Envelope(sender="ada@x.org", recipients=everyone))
            error = self.failureResultOf(outcome, SubmissionFailed).value
            self.assertEqual(len(error.refusals), 250)
            self.close()

    def test_remembered(self) -> None:
        """A server that lost count is spoken to step by step, and after a while tried again."""
        self.does = Behaviour(private=GROUPED, replies={"DATA": [b"503 5.5.1 bad sequence\r\n"]})
        self.failureResultOf(self.begin(), SubmissionFailed)
        self.does.replies = {}
        before = len(self.servers[0].reads)
        self.submit()
        self.assertEqual(len(self.servers[0].reads) - before, 6)  # with RSET
        self.close()
        self.clock.advance(86_400)
        self.submit()
        self.assertIn(b"MAIL", self.servers[1].reads[2])
        self.assertIn(b"DATA", self.servers[1].reads[2])
        self.close()


class WishTests(SubmitterCase):
    """What a sender wants besides delivery."""

    def said(self, offer: bytes, wishes: Wishes, envelope: Envelope = ENVELOPE) -> list[str]:
        """What was said for one letter."""
        self.does.private = offer
        self.submit(envelope=envelope, wishes=wishes)
        lines = [line.decode() for line, _ in self.servers[0].commands]
        self.close()
        return lines

    def test_reports(self) -> None:
        """Reports are ordered for each recipient, with an id that comes back."""
        lines = self.said(
            CHUNKED,
            Wishes(
                notify=(Notify.SUCCESS, Notify.FAILURE),
                returned=Returned.HEADERS,
                envelope_id="a+b=c ü",
            ),
        )
        self.assertIn("MAIL FROM:<ada@x.org> SIZE=21 RET=HDRS ENVID=a+2Bb+3Dc+20+C3+BC", lines)
        self.assertIn("RCPT TO:<bob@x.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@x.org", lines)

    def test_reports_beyond_ascii(self) -> None:
        """The address that comes back is the one that was written, in ASCII (RFC 6533)."""
        offer = read_offer(Reply(code=250, lines=(b"x", b"DSN", b"SMTPUTF8", b"8BITMIME")))
        parcel = pack(
            Envelope(sender="ada@x.org", recipients=("dör+te=\U0001f600@x.org",)),
            b"Subject: x\r\n\r\nx\r\n",
            offer=offer,
            wishes=Wishes(notify=(Notify.FAILURE,)),
            peer="x",
        )
        self.assertEqual(
            parcel.rcpts[0].decode(),
            "RCPT TO:<dör+te=\U0001f600@x.org> NOTIFY=FAILURE"
            r" ORCPT=utf-8;d\x{F6}r\x{2B}te\x{3D}\x{1F600}@x.org",
        )

    def test_no_reports(self) -> None:
        """None at all is said so; where the server knows no reports, nothing is said."""
        lines = self.said(CHUNKED, Wishes(notify=()))
        self.assertIn("RCPT TO:<eve@x.org> NOTIFY=NEVER ORCPT=rfc822;eve@x.org", lines)
        self.setUp()
        lines = self.said(CHUNKED.replace(b"250-DSN\r\n", b""), Wishes(notify=(), envelope_id="x"))
        self.assertIn("RCPT TO:<eve@x.org>", lines)
        self.assertIn("MAIL FROM:<ada@x.org> SIZE=21", lines)

    def test_receipt_tells_of_reports(self) -> None:
        """The receipt says whether reports were ordered."""
        wishes = Wishes(envelope_id="x")
        self.assertTrue(self.submit(wishes=wishes).orders_reports)
        self.assertFalse(self.submit().orders_reports)
        self.close()
        self.does.private = CHUNKED.replace(b"250-DSN\r\n", b"")
        self.assertFalse(self.submit(wishes=wishes).orders_reports)
        self.close()

    def test_long_id(self) -> None:
        """An id that does not fit is not cut."""
        self.failureResultOf(self.begin(wishes=Wishes(envelope_id="x" * 101)), LetterInvalid)
        self.close()

    def test_international(self) -> None:
        """International addresses and headers go only where they are understood."""
        envelope = Envelope(sender="ada@x.org", recipients=("jörg@x.org",))
        for message in (MESSAGE, "To: jörg@x.org\n\nhi".encode()):
            error = self.failureResultOf(self.begin(message, envelope), LetterInvalid).value
            self.assertIn("SMTPUTF8", str(error))
        self.close()
        self.does.private = CHUNKED.replace(b"250-DSN", b"250-SMTPUTF8\r\n250-DSN")
        self.submit("To: jörg@x.org\n\nhi".encode(), envelope, Wishes(notify=()))
        said = [line for line, _ in self.servers[1].commands]
        self.assertIn(b"MAIL FROM:<ada@x.org> SIZE=23 BODY=8BITMIME SMTPUTF8", said)
        self.assertIn(
            "RCPT TO:<jörg@x.org> NOTIFY=NEVER ORCPT=utf-8;j\\x{F6}rg@x.org".encode(), said
        )
        self.close()

    def test_tls_throughout(self) -> None:
        """A letter that must never go without TLS goes only to who can promise that."""
        wishes = Wishes(requires_tls=True)
        error = self.failureResultOf(self.begin(wishes=wishes), LetterInvalid).value
        self.assertIn("REQUIRETLS", str(error))
        self.close()
        self.does.private = CHUNKED.replace(b"250-DSN", b"250-REQUIRETLS\r\n250-DSN")
        self.submit(wishes=wishes)
        said = [line for line, _ in self.servers[1].commands]
        self.assertIn(b"MAIL FROM:<ada@x.org> SIZE=21 REQUIRETLS", said)
        self.close()

    def test_all_or_nothing(self) -> None:
        """If all shall have it or none, one refusal keeps it from all."""
        wishes = Wishes(all_or_nothing=True)
        for offer, turns in ((STEPWISE, 5), (GROUPED, 3), (CHUNKED, 2)):
            self.setUp()
            self.does = Behaviour(private=offer, refused={EVE: b"550 5.1.1 no\r\n"})
            error = self.failureResultOf(self.begin(wishes=wishes), SubmissionFailed).value
            self.assertEqual((error.accepted, len(error.refusals)), ((), 1))
            self.assertEqual(self.servers[0].letters, [])
            self.does.refused = {}
            self.submit(wishes=wishes)
            before = len(self.servers[0].reads)
            self.submit(wishes=wishes)
            self.assertEqual(len(self.servers[0].reads) - before, turns)
            self.close()


class HabitsTests(SynchronousTestCase):
    """What was learnt of servers."""

    def test_doubt_grows(self) -> None:
        """A group that went wrong costs a minute first, then twice that; success forgets."""
        habits = Habits()
        self.assertFalse(habits.is_stepwise("a", 0))
        for seconds in (60, 120, 240):
            habits.broke("a", 1000, is_certain=False)
            self.assertTrue(habits.is_stepwise("a", 1000 + seconds - 1))
            self.assertFalse(habits.is_stepwise("a", 1000 + seconds))
        self.assertFalse(habits.is_stepwise("b", 1000))
        habits.held("a")
        habits.broke("a", 0, is_certain=False)
        self.assertFalse(habits.is_stepwise("a", 60))

    def test_certain(self) -> None:
        """What a server said itself is believed for a day, and the doubt never lasts longer."""
        habits = Habits()
        for is_certain in (True, False, False):
            habits.broke("a", 0, is_certain=is_certain)
            self.assertTrue(habits.is_stepwise("a", 86_399))
            self.assertFalse(habits.is_stepwise("a", 86_400))
