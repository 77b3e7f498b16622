"""The client's data path: what Twisted's own loses, hangs on or dies of."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.task import Clock
from twisted.mail import imap4
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    DeadlinePassed,
    NotConnected,
    ProtocolViolated,
)
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Command, Idle
from mailnotify.imap.login import log_in
from mailnotify.imap.responses import (
    Exists,
    Expunged,
    FetchData,
    ListItem,
    Response,
    SearchResult,
    Status,
    Tagged,
)
from tests.imap.scripted import ScriptedServer, VerifyingOptions


class ClientCase(SynchronousTestCase):
    """A greeted client and its server."""

    is_stepwise = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = ScriptedServer()
        self.client = self.server.connect(self.clock, is_stepwise=self.is_stepwise)
        self.heard: list[Response] = []
        self.client.listener = lambda response, command: self.heard.append(response)

    def run_command(self, name: str, arguments: bytes = b"", **options: Any) -> Tagged:
        """The answer to one command."""
        answer = self.client.run(Command(name, arguments, **options))
        self.server.pump()
        return self.successResultOf(answer)

    def answer(self, name: bytes, *steps: bytes) -> None:
        """What the server says to a command from now on."""
        self.server.answers[name] = list(steps)


class UntaggedTests(ClientCase):
    """What the server says by itself."""

    def test_during_a_command(self) -> None:
        """News that comes while a command runs is heard, and before its end (rows 1, 6)."""
        self.answer(b"UID FETCH", b"* 3 EXISTS\r\n* 1 EXPUNGE\r\n", b"")
        answer = self.client.run(Command("UID FETCH", b"1:* (UID)"))
        self.server.pump()
        self.assertEqual(self.heard, [Exists(count=3), Expunged(seq=1)])
        self.assertNoResult(answer)

    def test_before_a_refusal(self) -> None:
        """A command that fails takes no news with it (row 1)."""
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG NO :(\r\n")
        self.assertEqual(self.run_command("NOOP").status, Status.NO)
        self.assertEqual(self.heard, [Exists(count=3)])

    def test_without_a_command(self) -> None:
        """News comes at any time, in any case, with LF alone and behind blank lines (row 8)."""
        self.server.say(b"\r\n* 4 exists\n\r\n*  5 Exists \r\n")
        self.assertEqual(self.heard, [Exists(count=4), Exists(count=5)])

    def test_during_idle(self) -> None:
        """During IDLE news is heard at once, not at its end (row 2)."""
        self.client.submit(Idle())
        self.server.pump()
        self.server.say(b"* 3 EXISTS\r\n")
        self.assertEqual(self.heard, [Exists(count=3)])
        self.assertEqual(self.server.heard, [b"IDLE"])

    def test_long_line(self) -> None:
        """An answer far above 16 KiB is an answer like any other (row 3)."""
        self.answer(b"UID SEARCH", b"* SEARCH" + b" 123456" * 30_000 + b"\r\nTAG OK\r\n")
        self.run_command("UID SEARCH", b"ALL")
        (found,) = self.heard
        assert isinstance(found, SearchResult)
        self.assertEqual(len(found.numbers), 30_000)

    def test_literal_at_the_end(self) -> None:
        """A response that ends in a literal does not swallow the next line (row 4)."""
        self.answer(b"LIST", b'* LIST () "/" {5}\r\nINBOX\r\nTAG OK\r\n')
        self.assertEqual(self.run_command("LIST", b'"" *').status, Status.OK)
        (item,) = self.heard
        assert isinstance(item, ListItem)
        self.assertEqual(item.name, "INBOX")

    def test_human_text(self) -> None:
        """Text for people is not parsed, whatever stands in it (rows 14, 15)."""
        for text in (
            b'[ALERT] Mailbox is "almost full',
            b":) :(",
            b"[",
            b"[]",
            b"(((((",
            b"see {5}",
            b"{-5}",
            b"{99999999999}",
            b"{abc}",
            b"{12+}",
            b"",
        ):
            self.answer(b"NOOP", b"* OK " + text + b"\r\nTAG OK " + text + b"\r\n")
            self.assertEqual(self.run_command("NOOP").status, Status.OK, text)

    def test_nonsense(self) -> None:
        """What nobody asked for and nobody understands is counted and passed over (row 16)."""
        self.server.say(b"\r\nA99 OK late\r\n+ more?\r\n* x EXISTS\r\n* \r\nfoo\r\n)(\r\n")
        self.assertEqual(self.run_command("NOOP").status, Status.OK)
        self.assertGreaterEqual(self.client.unparsed, 2)

    def test_listener_that_fails(self) -> None:
        """An exception of a listener is logged and costs nothing else (row 19)."""

        def fail(response: Response, command: Command | None) -> None:
            raise RuntimeError("mine")

        self.client.listener = fail
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.assertEqual(self.run_command("NOOP").status, Status.OK)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_collector(self) -> None:
        """A command collects what comes while it runs, and the listener hears it too."""
        collected: list[Response] = []
        self.answer(b"UID FETCH", b"* 1 FETCH (UID 4)\r\nTAG OK\r\n")
        self.run_command("UID FETCH", b"4 (UID)", collect=collected.append)
        self.server.say(b"* 2 FETCH (UID 5)\r\n")
        uids = [each.uid for each in collected if isinstance(each, FetchData)]
        self.assertEqual((uids, len(self.heard)), ([4], 2))


class QueueTests(ClientCase):
    """Commands, one at a time."""

    def test_one_after_the_other(self) -> None:
        """The second command is sent when the first is answered, with another tag."""
        self.answer(b"NOOP", b"", b"")
        first = self.client.run(Command("NOOP"))
        second = self.client.run(Command("CAPABILITY"))
        self.server.pump()
        self.assertEqual(self.server.heard, [b"NOOP"])
        self.server.finish()
        self.assertEqual(self.successResultOf(first).status, Status.OK)
        self.assertEqual(self.successResultOf(second).status, Status.OK)
        self.assertEqual(self.server.heard, [b"NOOP", b"CAPABILITY"])

    def test_tags_cannot_be_guessed(self) -> None:
        """Two connections do not use the same tags (row 21)."""
        tags = set()
        for _ in range(3):
            server = ScriptedServer()
            client = server.connect(self.clock)
            client.run(Command("NOOP"))
            tags.add(server.writes[0].split(b" ")[0])
        self.assertEqual(len(tags), 3)

    def test_foreign_tag(self) -> None:
        """The answer to a tag that is not ours ends no command."""
        self.answer(b"NOOP", b"A1 OK\r\n", b"")
        answer = self.client.run(Command("NOOP"))
        self.server.pump()
        self.assertNoResult(answer)

    def test_reply(self) -> None:
        """A command that has more to say says it at each continuation."""
        self.answer(b"APPEND", b"+ go\r\n", b"+ more\r\n", b"TAG OK\r\n")
        lines = iter([b"one", b"two"])
        self.run_command("APPEND", b"INBOX {3}", reply=lambda text: next(lines))
        self.assertEqual(self.server.heard, [b"APPEND INBOX {3}", b"one", b"two"])

    def test_replies_leave_together(self) -> None:
        """What there is to say to all that came in one piece is said in one write."""
        self.answer(b"APPEND", b"")
        lines = iter([b"one", b"two"])
        self.client.run(Command("APPEND", b"INBOX {3}", reply=lambda text: next(lines)))
        self.server.pump()
        self.client.dataReceived(b"+ go\r\n+ more\r\n")
        self.assertEqual(self.server.writes, [b"one\r\ntwo\r\n"])

    def test_reply_that_fails(self) -> None:
        """A bug in our own answer ends the connection rather than hang it."""
        self.answer(b"APPEND", b"+ go\r\n", b"TAG OK\r\n")
        answer = self.client.run(Command("APPEND", reply=lambda text: bytes([256])))
        self.server.pump()
        self.failureResultOf(answer, NotConnected)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_cancelled(self) -> None:
        """A command that nobody wants any more ends the connection: it cannot be taken back."""
        answer = self.client.run(Command("NOOP"))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertTrue(self.server.transport.is_aborted)

    def test_repr(self) -> None:
        """What a command says is in no log."""
        command = Command("LOGIN", b"demo hunter2")
        self.assertEqual(repr(command), "<waiting LOGIN>")
        self.client.run(command).addErrback(lambda _: None)
        self.assertNotIn("hunter2", repr(command))


class DeadlineTests(ClientCase):
    """No command waits for ever."""

    def expect_late(self, answer: Deferred[Any], step: str) -> None:
        error = self.failureResultOf(answer, DeadlinePassed).value
        assert isinstance(error, DeadlinePassed)
        self.assertEqual((error.step, error.seconds), (step, 60.0))
        self.assertTrue(self.server.transport.is_aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence(self) -> None:
        """A server that does not answer is cut when its time is over (rows 10, 12)."""
        self.answer(b"NOOP", b"", b"")
        answer = self.client.run(Command("NOOP"))
        self.server.pump()
        self.clock.advance(59)
        self.assertNoResult(answer)
        self.clock.advance(1)
        self.expect_late(answer, "NOOP")

    def test_dribble(self) -> None:
        """A byte now and then does not buy more time: the deadline is for the whole (row 10)."""
        self.answer(b"UID FETCH", b"* 1 FETCH (UID 1 BODY[HEADER] {100}\r\n", b"")
        answer = self.client.run(Command("UID FETCH"))
        self.server.pump()
        for _ in range(59):
            self.clock.advance(1)
            self.server.say(b"x")
        self.assertNoResult(answer)
        self.clock.advance(1)
        self.expect_late(answer, "UID FETCH")

    def test_all_that_wait(self) -> None:
        """Commands in the queue fail with the same reason (row 11)."""
        self.answer(b"NOOP", b"", b"")
        answers = [self.client.run(Command("NOOP")) for _ in range(3)]
        self.server.pump()
        self.clock.advance(60)
        for answer in answers:
            self.expect_late(answer, "NOOP")

    def test_each_command_its_own(self) -> None:
        """The time of a command begins when it is its turn."""
        self.answer(b"NOOP", b"", b"")
        first = self.client.run(Command("NOOP"))
        second = self.client.run(Command("STATUS"))
        self.server.pump()
        self.clock.advance(50)
        self.server.answers[b"STATUS"] = [b"", b""]
        self.server.finish()
        self.successResultOf(first)
        self.clock.advance(50)
        self.assertNoResult(second)
        self.clock.advance(10)
        self.expect_late(second, "STATUS")

    def test_quiet_is_no_fault(self) -> None:
        """Without a command, or in a running IDLE, silence is allowed for hours (row 10)."""
        self.clock.advance(10_000)
        self.client.submit(Idle())
        self.server.pump()
        self.clock.advance(10_000)
        self.assertFalse(self.server.transport.is_aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_idle_without_plus(self) -> None:
        """An IDLE that never begins is cut (row 2)."""
        self.answer(b"IDLE", b"", b"")
        idle = Idle()
        answer = self.client.run(idle)
        self.server.pump()
        self.clock.advance(60)
        self.expect_late(answer, "IDLE")

    def test_done_without_end(self) -> None:
        """A DONE that is never answered is cut (row 2)."""
        self.answer(b"IDLE", b"+ idling\r\n", b"")
        self.client.submit(Idle())
        self.server.pump()
        answer = self.client.run(Command("NOOP"))
        self.clock.advance(60)
        self.expect_late(answer, "DONE")

    def test_frozen(self) -> None:
        """A peer that is gone for good is left within the deadline, not waited for."""
        self.server.is_frozen = True
        answer = self.client.run(Command("NOOP"))
        self.server.pump()
        self.clock.advance(60)
        self.expect_late(answer, "NOOP")


class IdleTests(ClientCase):
    """IDLE in the pipeline."""

    def test_renewal_is_one_write(self) -> None:
        """DONE and the next IDLE go out together."""
        self.client.submit(Idle())
        self.server.pump()
        self.client.submit(Idle())
        self.assertRegex(self.server.writes[0], rb"\ADONE\r\n[0-9A-F]+2 IDLE\r\n\Z")
        self.assertEqual(len(self.server.writes), 1)

    def test_burst(self) -> None:
        """DONE, a command and the next IDLE go out together."""
        self.client.submit(Idle())
        self.server.pump()
        answer = self.client.run(Command("NOOP"), Idle())
        self.assertRegex(self.server.writes[0], rb"\ADONE\r\n\w+2 NOOP\r\n\w+3 IDLE\r\n\Z")
        self.server.pump()
        self.assertEqual(self.successResultOf(answer).status, Status.OK)

    def test_no_done_before_the_plus(self) -> None:
        """DONE waits until the server has begun, and the command behind it too."""
        self.answer(b"IDLE", b"", b"TAG OK\r\n")
        self.client.submit(Idle())
        self.server.pump()
        answer = self.client.run(Command("NOOP"))
        self.assertEqual(self.server.writes, [])
        self.server.say(b"+ idling\r\n")
        self.assertEqual(self.server.heard, [b"IDLE", b"DONE", b"NOOP"])
        self.assertEqual(self.successResultOf(answer).status, Status.OK)

    def test_plus_twice(self) -> None:
        """A second `+` changes nothing."""
        begun: list[int] = []

        class Told(Idle):
            def begin(self) -> None:
                super().begin()
                begun.append(1)

        self.client.submit(Told())
        self.server.pump()
        self.server.say(b"+ still here\r\n")
        self.assertEqual((begun, self.server.heard), ([1], [b"IDLE"]))


class StepwiseTests(ClientCase):
    """A server that cannot take two commands in one write."""

    is_stepwise = True

    def test_burst(self) -> None:
        """It gets one line at a time."""
        self.client.submit(Idle())
        self.server.pump()
        answer = self.client.run(Command("NOOP"), Idle())
        self.server.pump()
        self.assertEqual(self.server.heard, [b"IDLE", b"DONE", b"NOOP", b"IDLE"])
        self.assertTrue(all(each.count(b"\r\n") == 1 for each in self.server.all_writes))
        self.successResultOf(answer)


class EndTests(ClientCase):
    """How a connection ends, and that all who wait are told why."""

    def lost(self) -> Exception:
        return self.successResultOf(self.client.lost.wait())

    def test_open_commands(self) -> None:
        """Every open command fails when the connection goes, and later ones too (row 13)."""
        answers = [self.client.run(Command("NOOP")) for _ in range(2)]
        self.server.lose(ConnectionLost())
        for answer in (*answers, self.client.run(Command("NOOP"))):
            error = self.failureResultOf(answer, NotConnected)
            self.assertIn("the connection broke", str(error.value))
        self.client.submit(Command("NOOP"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_from_an_errback(self) -> None:
        """Calling again from the errback of a lost command fails, and does not raise (row 13)."""
        answer = self.client.run(Command("NOOP"))
        again: list[Deferred[Tagged]] = []
        answer.addErrback(lambda _: again.append(self.client.run(Command("NOOP"))))
        self.server.lose(ConnectionDone())
        self.failureResultOf(again[0], NotConnected)

    def test_bye(self) -> None:
        """The server's last words are the reason (row 16)."""
        answer = self.client.run(Command("NOOP"))
        self.server.say(b"* BYE Shutting down\x1b[31m\r\n* 9 EXISTS\r\n")
        self.assertIn("the server said: Shutting down", str(self.lost()))
        self.assertNotIn("\x1b", str(self.lost()))
        self.failureResultOf(answer, NotConnected)
        self.assertNotIn(Exists(count=9), self.heard)

    def test_closed(self) -> None:
        """A server that just closes is said to have closed."""
        self.server.lose(ConnectionDone())
        self.assertIn("closed the connection", str(self.lost()))

    def test_too_much(self) -> None:
        """A literal of 200 MB costs the connection, not the memory (row 20)."""
        answer = self.client.run(Command("UID FETCH"))
        self.server.say(b"* 1 FETCH (BODY[HEADER] {200000000}\r\n")
        self.failureResultOf(answer, ProtocolViolated)
        self.assertTrue(self.server.transport.is_aborted)
        self.server.transport.is_lost = False
        self.server.say(b"x" * 1000)
        self.assertEqual(self.heard, [])

    def test_nothing_is_heard_after_the_end(self) -> None:
        """What arrives after we have ended the connection is not looked at (row 3)."""
        self.client.abort()
        self.client.dataReceived(b"* 3 EXISTS\r\n")
        self.assertEqual(self.heard, [])

    def test_abort_before_connect(self) -> None:
        """A client without a connection can be aborted."""
        client = MailboxClient("peer", clock=self.clock, command_seconds=1)
        client.abort()
        self.failureResultOf(client.run(Command("NOOP")), NotConnected)


class GreetingTests(SynchronousTestCase):
    """The first line."""

    def greet(self, greeting: bytes) -> MailboxClient:
        return ScriptedServer(greeting).connect(Clock())

    def test_ordinary(self) -> None:
        """OK with and without words, in any case, and PREAUTH."""
        for greeting in (b"* OK hi\r\n", b"* OK\r\n", b"* ok \r\n", b"\r\n* PREAUTH hi\n"):
            self.successResultOf(self.greet(greeting).greeted.wait())

    def test_capabilities(self) -> None:
        """Only [CAPABILITY …] speaks of capabilities (rows 23, 24)."""
        client = self.greet(b"* OK [CAPABILITY imap4rev1 Starttls] hi [IDLE]\r\n")
        self.assertEqual(client.capabilities, {"IMAP4REV1", "STARTTLS"})
        exchange = b"* OK The Microsoft Exchange IMAP4 service is ready. [QgBOADYA==]\r\n"
        for greeting in (b"* OK [ALERT] hi\r\n", exchange, b"* OK hi [CAPABILITY IDLE]\r\n"):
            self.assertIsNone(self.greet(greeting).capabilities)

    def test_bye(self) -> None:
        """A BYE for a greeting is a reason, and no greeting (row 16)."""
        client = self.greet(b"* BYE too many connections\r\n")
        error = self.failureResultOf(client.greeted.wait(), NotConnected)
        self.assertIn("too many connections", str(error.value))

    def test_other_protocols(self) -> None:
        """What is no IMAP is named (row 16)."""
        for greeting, words in (
            (b"220 smtp.example ESMTP\r\n", "220 smtp.example ESMTP"),
            (b"HTTP/1.1 400 Bad\r\n\r\n", "HTTP/1.1"),
            (b"* NO way\r\n", "way"),
            (b"A1 OK\r\n", "Tagged"),
        ):
            client = self.greet(greeting)
            error = self.failureResultOf(client.greeted.wait(), ProtocolViolated)
            self.assertIn(words, str(error.value))

    def test_waiting_may_be_given_up(self) -> None:
        """Whoever waits for a greeting can cancel; the others go on waiting."""
        server = ScriptedServer(b"")
        client = server.connect(Clock())
        first, second = client.greeted.wait(), client.greeted.wait()
        first.addErrback(lambda _: None)
        first.cancel()
        server.say(b"* OK\r\n")
        self.successResultOf(second)


class TlsTests(SynchronousTestCase):
    """STARTTLS, and why a handshake failed."""

    def setUp(self) -> None:
        self.server = ScriptedServer(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
        self.client = MailboxClient("mail:143", clock=Clock(), command_seconds=60)
        self.server.attach(self.client)
        self.server.say(self.server.greeting)

    def secure(self, options: object = None) -> Deferred[None]:
        secured = Deferred.fromCoroutine(self.client.secure(options or VerifyingOptions()))
        self.server.pump()
        return secured

    def test_upgrade(self) -> None:
        """After OK the handshake begins, and what was learned in clear is forgotten."""
        secured = self.secure()
        self.assertEqual(len(self.server.tls_options), 1)
        self.assertNoResult(secured)
        self.assertIsNone(self.client.capabilities)
        self.assertFalse(self.client.is_secure)
        self.client.handshakeCompleted()
        self.successResultOf(secured)
        self.assertTrue(self.client.is_secure)

    def test_injection(self) -> None:
        """Anything in clear behind the OK ends the connection before TLS (row 21)."""
        for extra in (b"* CAPABILITY AUTH=PLAIN\r\n", b"X1 OK\r\n", b"x"):
            self.setUp()
            self.server.answers[b"STARTTLS"] = [b"TAG OK\r\n" + extra]
            self.failureResultOf(self.secure(), ProtocolViolated)
            self.assertTrue(self.server.transport.is_aborted)
            self.assertEqual(self.server.tls_options, [])

    def test_refused(self) -> None:
        """A server that will not is not spoken to in clear."""
        self.server.answers[b"STARTTLS"] = [b"TAG NO not today\r\n"]
        error = self.failureResultOf(self.secure(), ChannelInsecure)
        self.assertIn("not today", str(error.value))

    def test_options_must_verify(self) -> None:
        """There is no STARTTLS without options that verify the server (row 22)."""
        for options in ("no", object()):
            self.failureResultOf(self.secure(options), TypeError)
        self.failureResultOf(self.client.startTLS(), TypeError)
        self.assertEqual(self.server.heard, [])

    def test_login_in_clear(self) -> None:
        """No login, ours or inherited, says a word before TLS (row 26)."""
        from mailnotify.auth.sasl import Password

        attempt = Deferred.fromCoroutine(log_in(self.client, Password("u", "s")))
        self.failureResultOf(attempt, ChannelInsecure)
        self.failureResultOf(self.client.login("u", "s"), ChannelInsecure)
        self.failureResultOf(self.client.authenticate(b"s"), ChannelInsecure)
        self.server.pump()
        self.assertEqual(self.server.heard, [])

    def lose(self, reason: Exception) -> Exception:
        self.setUp()
        secured = self.secure()
        self.server.lose(reason)
        self.failureResultOf(secured)
        return self.successResultOf(self.client.lost.wait())

    def test_why_a_handshake_failed(self) -> None:
        """A bad certificate, no TLS at all and a broken line are three different things."""
        bad = SSL.Error([("SSL routines", "", "certificate verify failed")])
        self.assertIsInstance(self.lose(bad), CertificateRefused)
        self.assertIsInstance(self.lose(VerificationError(errors=[])), CertificateRefused)
        named = CertificateRefused(peer="mail:143", reason="pinned")
        self.assertIs(self.lose(named), named)
        plain = self.lose(SSL.Error([("SSL routines", "", "wrong version number")]))
        self.assertIsInstance(plain, ChannelInsecure)
        self.assertIn("wrong version number", str(plain))
        self.assertIsInstance(self.lose(SSL.Error()), ChannelInsecure)
        self.assertIsInstance(self.lose(SSL.SysCallError(-1, "EOF")), NotConnected)
        self.assertIsInstance(self.lose(OSError()), NotConnected)

    def test_broken_later(self) -> None:
        """After the handshake an error of TLS is a broken line, no verdict."""
        self.client.handshakeCompleted()
        self.server.lose(SSL.Error([("", "", "bad certificate record")]))
        self.assertIsInstance(self.successResultOf(self.client.lost.wait()), NotConnected)

    def test_interface(self) -> None:
        """Twisted tells this protocol when a handshake is over."""
        verifyObject(IHandshakeListener, self.client)


class InheritedTests(ClientCase):
    """The verbs of the base class, on our path."""

    def verb(self, result: Deferred[Any]) -> Any:
        self.server.pump()
        return self.successResultOf(result)

    def test_noop(self) -> None:
        """A NOOP of Twisted's returns what it returned, and the listener hears it too."""
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.assertEqual(self.verb(self.client.noop()), [[b"3", b"EXISTS"]])
        self.assertEqual(self.heard, [Exists(count=3)])

    def test_list_with_literal(self) -> None:
        """A LIST whose name is a literal is not lost any more (row 4)."""
        self.answer(b"LIST", b'* LIST () "/" {5}\r\nINBOX\r\nTAG OK\r\n')
        self.assertEqual(self.verb(self.client.list("", "*")), [((), "/", "INBOX")])

    def test_append(self) -> None:
        """A verb with a literal waits for the server's go-ahead."""
        from io import BytesIO

        self.answer(b"APPEND", b"+ go\r\n", b"TAG OK\r\n")
        result = self.client.append("INBOX", BytesIO(b"hello"))
        self.server.pump()
        while self.server.transport.producer is not None:
            self.server.transport.producer.resumeProducing()
        self.verb(result)
        self.assertEqual(self.server.heard[1], b"hello")

    def test_refused(self) -> None:
        """A NO fails the verb with Twisted's exception."""
        self.answer(b"NOOP", b"TAG NO never\r\n")
        result = self.client.noop()
        self.server.pump()
        self.assertIn("never", str(self.failureResultOf(result, imap4.IMAP4Exception).value))

    def test_unreadable(self) -> None:
        """What Twisted cannot parse fails its verb and nothing else (rows 14, 17)."""
        self.answer(b"NOOP", b'* OK [ALERT] "almost full\r\nTAG OK\r\n')
        result = self.client.noop()
        self.server.pump()
        self.failureResultOf(result, imap4.MismatchedQuoting)
        self.assertEqual(self.run_command("CAPABILITY").status, Status.OK)

    def test_lost(self) -> None:
        """A verb fails with the reason when the connection ends, and after it."""
        result = self.client.noop()
        self.server.lose(ConnectionDone())
        self.failureResultOf(result, NotConnected)
        self.failureResultOf(self.client.noop(), NotConnected)

    def test_logout(self) -> None:
        """Twisted's logout ends with the connection."""
        self.verb(self.client.logout())
        self.assertTrue(self.server.transport.is_lost)
