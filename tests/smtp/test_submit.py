"""Tests for `mailnotify.smtp.submit`, against a server that does as it is told.

TLS is real, with real certificates; only the wires are in memory.
"""

from __future__ import annotations

import base64
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import (
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.mail.smtp import ESMTPSender, ESMTPSenderFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.auth.sasl import Password
from mailnotify.config.schema import CaFile, Security, Server, Timing
from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    DeadlinePassed,
    LetterInvalid,
    LoginDeferred,
    LoginDenied,
    MailnotifyError,
    NotConnected,
    OutcomeUnknown,
    ProtocolViolated,
    SecretUnavailable,
    SubmissionFailed,
)
from mailnotify.interfaces import IConnector
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.dialogue import Deadline
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.sender import FAREWELL_SECONDS, LetterSenderFactory, Receipt
from mailnotify.smtp.submit import submit
from tests.rigs.certificates import Certificates, shown
from tests.smtp.memory import DeadEndpoint, Link, MemoryConnector
from tests.smtp.scripted import CUT, STALL, TLS, Behaviour, ScriptedServer

PASSWORD = "s3cret-w0rd"
SECRETS = (
    PASSWORD,
    base64.b64encode(PASSWORD.encode()).decode(),
    base64.b64encode(f"\0ada\0{PASSWORD}".encode()).decode(),
)
MESSAGE = b"Subject: hi\n\n.dot\n"
ENVELOPE = Envelope(sender="ada@x.org", recipients=("bob@x.org", "eve@x.org"))
UNLIMITED = b"250-x\r\n250 AUTH PLAIN\r\n"
TIMING = Timing(connect_seconds=10.0, command_seconds=20.0, accept_seconds=40.0)


@cache
def certificates() -> Certificates:
    """One authority for all tests."""
    return Certificates(Path(tempfile.mkdtemp(prefix="mailnotify-certificates-")))


@cache
def presenting(stem: str, *names: str, expired: bool = False, by_stranger: bool = False) -> Any:
    """What a server needs to present such a certificate."""
    by = trustme.CA() if by_stranger else None
    cert_file, key_file = certificates().issue(stem, *names, expired=expired, by=by)
    return shown(cert_file.read_bytes(), key_file.read_bytes())


def make_factory() -> LetterSenderFactory:
    """A factory without a server."""
    return LetterSenderFactory(
        server=Server(host="x", port=1, security=Security.STARTTLS, user="ada"),
        credentials=Password("ada", PASSWORD),
        tls_options=object(),
        clock=Clock(),
        deadlines=TIMING,
        habits=Habits(),
    )


class Pausing:
    """A transport that has enough after each write."""

    def __init__(self) -> None:
        self.written = b""
        self._producer: Any = None

    def write(self, data: bytes) -> None:
        self.written += data
        if self._producer is not None:
            self._producer.pauseProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None


class SubmitCase(SynchronousTestCase):
    """One submission to one scripted server."""

    def start(
        self,
        behaviour: Behaviour | None = None,
        *,
        message: bytes = MESSAGE,
        envelope: Envelope = ENVELOPE,
        password: str = PASSWORD,
        options: Any = None,
        instead: DeadEndpoint | None = None,
    ) -> Deferred[Receipt]:
        """Begin; `link` and `server` are then there, and nothing has been carried yet."""
        behaviour = behaviour or Behaviour()
        self.clock = Clock()
        self.servers: list[ScriptedServer] = []

        def make_server() -> ScriptedServer:
            presented = options or presenting("good", "localhost")
            self.servers.append(ScriptedServer(behaviour, self.clock, presented))
            return self.servers[-1]

        self.connector = MemoryConnector(self.clock, make_server)
        self.connector.instead = instead
        security = Security.IMPLICIT_TLS if behaviour.is_tls else Security.STARTTLS
        return Deferred.fromCoroutine(
            submit(
                envelope,
                message,
                server=Server(host="localhost", port=465, security=security, user="ada"),
                trust=CaFile(ca_file=str(certificates().ca_file)),
                credentials=Password("ada", password),
                connector=self.connector,
                clock=self.clock,
                deadlines=TIMING,
            )
        )

    @property
    def link(self) -> Link:
        return self.connector.links[0]

    @property
    def server(self) -> ScriptedServer:
        return self.servers[0]

    def submit(self, behaviour: Behaviour | None = None, **kwargs: Any) -> Receipt:
        """Submit, and expect it to be accepted."""
        outcome = self.start(behaviour, **kwargs)
        self.link.run()
        self.assert_nothing_left()
        return self.successResultOf(outcome)

    def refused(
        self, kind: type[MailnotifyError], behaviour: Behaviour | None = None, **kwargs: Any
    ) -> Any:
        """Submit, and expect this error."""
        outcome = self.start(behaviour, **kwargs)
        for link in self.connector.links:
            link.run()
        return self.error_of(outcome, kind)

    def error_of(self, outcome: Deferred[Receipt], kind: type[MailnotifyError]) -> Any:
        """The error, after looking for what no failure may leave behind."""
        error = self.failureResultOf(outcome, kind).value
        self.assert_nothing_left()
        self.assertLessEqual(len(self.connector.links), 1)
        shown = f"{error} {error!r} {error.__dict__} {error.__cause__} {error.__context__}"
        for secret in SECRETS:
            self.assertNotIn(secret, shown)
        self.assertTrue(str(error).isprintable(), str(error))
        return error

    def assert_nothing_left(self) -> None:
        """No connection and no timer."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for link in self.connector.links:
            self.assertTrue(link.client.is_lost)

    def assert_nothing_in_clear(self) -> None:
        """Nothing but EHLO and STARTTLS was said outside TLS."""
        said = {line.split()[0] for line, is_private in self.server.commands if not is_private}
        self.assertLessEqual(said, {b"EHLO", b"STARTTLS", b"QUIT"})


class AcceptedTests(SubmitCase):
    """A server that does its work."""

    def test_implicit_tls(self) -> None:
        """A letter is handed over, once, and the server's words come back."""
        receipt = self.submit()
        self.assertEqual(receipt.recipients, ENVELOPE.recipients)
        self.assertEqual(receipt.peer, "localhost:465")
        self.assertIn("queued as 4711", receipt.said)
        self.assertEqual(self.server.letters, [b"Subject: hi\r\n\r\n.dot\r\n"])
        self.assertEqual(
            self.server.verbs, ["EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
        )

    def test_starttls(self) -> None:
        """Over STARTTLS all that matters is said inside; what was offered outside is forgotten."""
        self.submit(Behaviour(is_tls=False))
        self.assertEqual(self.server.verbs[:4], ["EHLO", "STARTTLS", "EHLO", "AUTH"])
        self.assertEqual(len(self.server.letters), 1)
        self.assert_nothing_in_clear()

    def test_split_byte_by_byte(self) -> None:
        """Replies that come byte by byte are the same replies."""
        for is_tls in (True, False):
            self.submit(Behaviour(is_tls=is_tls, dribbles=True))
            self.assertEqual(len(self.server.letters), 1)

    def test_lower_case_keywords(self) -> None:
        """Keywords in lower case, an empty line and several-line replies are understood."""
        self.submit(
            Behaviour(
                is_tls=False,
                clear=b"250-x\r\n250-\r\n250 starttls\r\n",
                private=b"250-x\r\n250-\r\n250-size\r\n250 auth plain\r\n",
                replies={"MAIL": [b"250-a\r\n250-b\r\n250 c\r\n"]},
            )
        )
        self.assertEqual(len(self.server.letters), 1)

    def test_plain_once(self) -> None:
        """PLAIN comes first, once, with an empty authorization identity."""
        self.submit(Behaviour(private=b"250-x\r\n250 AUTH CRAM-MD5 LOGIN PLAIN\r\n"))
        (sent,) = [line for line, _ in self.server.commands if line.startswith(b"AUTH")]
        self.assertEqual(base64.b64decode(sent.split()[2]), f"\0ada\0{PASSWORD}".encode())

    def test_login(self) -> None:
        """LOGIN is spoken where nothing else is offered."""
        self.submit(Behaviour(private=b"250-x\r\n250 AUTH=LOGIN\r\n"))
        self.assertEqual(len(self.server.letters), 1)

    def test_unknown_mechanism(self) -> None:
        """A mechanism that is offered and then unknown (504) gives way to the next one."""
        behaviour = Behaviour()
        behaviour.replies["AUTH"] = [b"504 5.5.4 Unrecognized type\r\n", b"235 welcome\r\n"]
        self.submit(behaviour)
        auths = [line for line, _ in self.server.commands if line.startswith(b"AUTH")]
        self.assertEqual([line.split()[1] for line in auths], [b"PLAIN", b"LOGIN"])

    def test_big_letter(self) -> None:
        """A letter larger than every buffer arrives whole, at the pace of the line."""
        message = b".line\n" * 200_000
        outcome = self.start(Behaviour(private=UNLIMITED), message=message)
        self.link.client.room_bytes = 70_000
        most = 0

        def watch() -> None:
            nonlocal most
            most = max(most, len(self.link.client.outgoing))

        self.link.watch = watch
        self.link.run()
        self.successResultOf(outcome)
        self.assertEqual(self.server.letters, [message.replace(b"\n", b"\r\n")])
        self.assertLess(most, 300_000)

    def test_letters_that_smuggle(self) -> None:
        """No letter ends before its end: dots and bare CR anywhere, also where Twisted cuts."""
        for message in (
            *(b".", b".\r\nMAIL FROM:<evil@x>\r\n", b"a\r\n\r.\r\nRSET\r\n", b"a\n.\rRSET\r\n"),
            *(b"x" * length + b"\n.\nRSET\n" for length in range(16_381, 16_386)),
        ):
            self.submit(message=message)
            self.assertEqual(len(self.server.letters), 1)
            self.assertEqual(self.server.verbs[-2:], ["DATA", "QUIT"])

    def test_eight_bit(self) -> None:
        """8-bit bytes are declared, where the server takes them."""
        private = b"250-x\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n"
        self.submit(Behaviour(private=private), message="A: b\n\nü".encode())
        self.assertIn((b"MAIL FROM:<ada@x.org> BODY=8BITMIME", True), self.server.commands)

    def test_bounce(self) -> None:
        """An empty sender is one that gets no bounces."""
        self.submit(envelope=Envelope(sender="", recipients=("bob@x.org",)))
        self.assertTrue(any(line.startswith(b"MAIL FROM:<>") for line, _ in self.server.commands))

    def test_our_name(self) -> None:
        """EHLO tells nothing about this machine."""
        self.submit()
        self.assertEqual(self.server.commands[0][0], b"EHLO [127.0.0.1]")

    def test_rude_goodbye(self) -> None:
        """However the server takes QUIT, the letter is accepted."""
        for words in (CUT, b"500 no\r\n" + CUT, b"garbage\r\n", b"221 a\r\n221 b\r\n" + CUT):
            self.submit(Behaviour(replies={"QUIT": [words]}))

    def test_goodbye_without_end(self) -> None:
        """A server that never stops talking after QUIT is cut off at once."""
        self.submit(Behaviour(replies={"QUIT": [b"221 bye\r\n" * 1000]}))

    def test_no_goodbye(self) -> None:
        """A server that never says goodbye is cut off, and the letter is accepted."""
        outcome = self.start(Behaviour(replies={"QUIT": [STALL]}))
        self.link.run()
        self.assertNoResult(outcome)
        self.clock.advance(FAREWELL_SECONDS)
        self.link.run()
        self.successResultOf(outcome)
        self.assert_nothing_left()

    def test_base_classes(self) -> None:
        """It is Twisted's ESMTP sender and factory, told to insist on TLS and login."""
        factory = make_factory()
        sender = factory.buildProtocol(None)
        self.assertIsInstance(factory, ESMTPSenderFactory)
        self.assertIsInstance(sender, ESMTPSender)
        self.assertTrue(sender.requireTransportSecurity and sender.requireAuthentication)
        self.assertFalse(sender.debug or sender.heloFallback)
        self.assertEqual(factory.retries, 0)
        verifyObject(IHandshakeListener, sender)
        verifyObject(IPushProducer, sender)
        verifyObject(IConnector, MemoryConnector(Clock(), object))
        verifyObject(IStreamClientEndpoint, DeadEndpoint(None))


class RefusedTests(SubmitCase):
    """A server that says no."""

    def test_wrong_password(self) -> None:
        """A wrong password is tried once, and told with the server's words."""
        error = self.refused(LoginDenied, password="wr0ng")
        self.assertEqual((error.user, error.peer), ("ada", "localhost:465"))
        self.assertIn("535 5.7.8 Error: authentication failed", str(error))
        self.assertEqual(self.server.verbs, ["EHLO", "AUTH", "QUIT"])

    def test_words_with_the_password(self) -> None:
        """A server that says our secrets back does not get them into an error."""
        for secret in SECRETS:
            for words in (f"535 no {secret}\r\n", f"nonsense {secret}\r\n", f"454 {secret}\r\n"):
                outcome = self.start(Behaviour(replies={"AUTH": [words.encode()]}))
                self.link.run()
                self.error_of(outcome, MailnotifyError)
        refusal = f"550 {SECRETS[0]} {SECRETS[2]}\r\n".encode()
        self.refused(SubmissionFailed, Behaviour(replies={"RCPT": [refusal]}))
        self.refused(SubmissionFailed, Behaviour(replies={"DOT": [refusal]}))

    def test_words_that_act(self) -> None:
        """Control characters in the server's words do not reach a terminal."""
        error = self.refused(
            LoginDenied, Behaviour(replies={"AUTH": [b"535-\x1b[2J\x07a\r\n535 b\xe2\x80\xae\r\n"]})
        )
        self.assertIn("a b", error.said)

    def test_login_unavailable(self) -> None:
        """A server that cannot check logins now says nothing about the password."""
        error = self.refused(LoginDeferred, Behaviour(replies={"AUTH": [b"454 4.7.0 later\r\n"]}))
        self.assertIn("454 4.7.0 later", str(error))

    def test_no_way_to_log_in(self) -> None:
        """Without a mechanism that we speak, nothing is sent."""
        for private in (b"250 x\r\n", b"250-x\r\n250 AUTH CRAM-MD5 GSSAPI\r\n"):
            error = self.refused(LoginDenied, Behaviour(private=private))
            self.assertIn("no way to log in", str(error))
            self.assertEqual(self.server.verbs, ["EHLO", "QUIT"])

    def test_challenge_without_end(self) -> None:
        """A server that never stops asking is refused."""
        self.refused(ProtocolViolated, Behaviour(replies={"AUTH": [b"334 \r\n"]}))

    def test_one_recipient(self) -> None:
        """Each recipient has an outcome of its own, with the server's words."""
        error = self.refused(
            SubmissionFailed, Behaviour(refused={"eve@x.org": b"550 5.1.1 User unknown\r\n"})
        )
        (refusal,) = error.refusals
        self.assertEqual((refusal.recipient, refusal.code), ("eve@x.org", 550))
        self.assertEqual(refusal.said, "5.1.1 User unknown")
        self.assertTrue(refusal.is_permanent)
        self.assertEqual(error.accepted, ("bob@x.org",))
        self.assertEqual(len(self.server.letters), 1)

    def test_all_recipients(self) -> None:
        """If nobody may have it, the letter is not sent at all."""
        error = self.refused(SubmissionFailed, Behaviour(replies={"RCPT": [b"450 4.2.0 grey\r\n"]}))
        self.assertEqual([each.code for each in error.refusals], [450, 450])
        self.assertEqual((error.accepted, self.server.letters), ((), []))
        self.assertEqual(self.server.verbs[-2:], ["RCPT", "QUIT"])

    def test_sender(self) -> None:
        """A refused sender is a refusal for every recipient."""
        error = self.refused(SubmissionFailed, Behaviour(replies={"MAIL": [b"553 not yours\r\n"]}))
        self.assertEqual([each.said for each in error.refusals], ["not yours"] * 2)

    def test_data(self) -> None:
        """A letter refused before it is sent was accepted for nobody."""
        error = self.refused(SubmissionFailed, Behaviour(replies={"DATA": [b"451 no disk\r\n"]}))
        self.assertEqual((len(error.refusals), error.accepted), (2, ()))

    def test_letter(self) -> None:
        """A letter refused after it was sent was accepted for nobody."""
        for words in (b"554 5.7.1 spam\r\n", b"421 too busy\r\n"):
            error = self.refused(
                SubmissionFailed,
                Behaviour(replies={"DOT": [words]}, refused={"bob@x.org": b"550 unknown\r\n"}),
            )
            self.assertEqual(
                [each.recipient for each in error.refusals], ["bob@x.org", "eve@x.org"]
            )
            self.assertEqual(error.accepted, ())

    def test_interrupted(self) -> None:
        """A refusal in the middle of a long letter ends it there."""
        outcome = self.start(Behaviour(private=UNLIMITED), message=b"line\n" * 180_000)
        self.link.client.room_bytes = 70_000
        self.link.watch = lambda: (
            self.server.say(b"552 5.3.4 too big\r\n")
            if self.server.verbs[-1:] == ["DATA"] and not self.server.letters
            else None
        )
        self.link.run()
        error = self.error_of(outcome, SubmissionFailed)
        self.assertEqual([each.code for each in error.refusals], [552, 552])
        self.assertEqual(self.server.letters, [])

    def test_too_big(self) -> None:
        """A letter over the size that the server announced is not sent."""
        private = b"250-x\r\n250-SIZE 100\r\n250 AUTH PLAIN\r\n"
        error = self.refused(LetterInvalid, Behaviour(private=private), message=b"x" * 200)
        self.assertIn("100 bytes", str(error))
        self.assertNotIn("MAIL", self.server.verbs)
        self.submit(Behaviour(private=private.replace(b"100", b"0")), message=b"x" * 200)

    def test_eight_bit(self) -> None:
        """8-bit bytes are not sent to a server that does not take them."""
        self.refused(LetterInvalid, message="ü".encode())
        self.assertNotIn("MAIL", self.server.verbs)

    def test_greeting(self) -> None:
        """A server that refuses us in its greeting is told with its words, and asked once."""
        for words in (b"554 5.7.1 go away\r\n", b"421 busy\r\n"):
            error = self.refused(NotConnected, Behaviour(greeting=words))
            self.assertIn(words[:8].decode(), str(error))
            self.assertEqual(self.server.commands, [])

    def test_no_ehlo(self) -> None:
        """Without EHLO there is no fall-back to HELO."""
        self.refused(NotConnected, Behaviour(replies={"EHLO": [b"502 what\r\n"]}))
        self.assertEqual(self.server.verbs, ["EHLO"])


class UntrueTests(SubmitCase):
    """A server, or somebody between, that lies."""

    def test_injected_after_starttls(self) -> None:
        """Bytes in clear behind the go-ahead for TLS end the connection."""
        for injected in (b"250 x\r\n", b"250-x\r\n250 AUTH PLAIN\r\n235 ok\r\n", b"2"):
            error = self.refused(
                ProtocolViolated,
                Behaviour(is_tls=False, replies={"STARTTLS": [b"220 go\r\n" + injected + TLS]}),
            )
            self.assertIn("unasked", str(error))
            self.assertEqual(self.server.verbs, ["EHLO", "STARTTLS"])
            self.assertFalse(ISSLTransport.providedBy(self.link.client))

    def test_stripped_starttls(self) -> None:
        """A server without STARTTLS gets no letter, even if it offers a login."""
        error = self.refused(
            ChannelInsecure, Behaviour(is_tls=False, clear=b"250-x\r\n250 AUTH PLAIN LOGIN\r\n")
        )
        self.assertIn("does not offer STARTTLS", str(error))
        self.assertEqual(self.server.verbs, ["EHLO"])

    def test_refused_starttls(self) -> None:
        """A refused STARTTLS is the end, not a reason to go on in clear."""
        error = self.refused(
            ChannelInsecure, Behaviour(is_tls=False, replies={"STARTTLS": [b"454 no\r\n"]})
        )
        self.assertIn("454 no", str(error))
        self.assertEqual(self.server.verbs, ["EHLO", "STARTTLS"])

    def test_no_tls_behind_starttls(self) -> None:
        """Plain text where the handshake should be is the end."""
        outcome = self.start(Behaviour(is_tls=False, replies={"STARTTLS": [b"220 go\r\n" + STALL]}))
        self.link.run()
        self.assertNoResult(outcome)
        self.server.say(b"250 AUTH PLAIN\r\n")
        self.link.run()
        error = self.error_of(outcome, ChannelInsecure)
        self.assertIn("handshake failed", str(error))

    def test_certificates(self) -> None:
        """A certificate that is expired, strange or for another name ends it before the login."""
        for options, words in (
            (presenting("expired", "localhost", expired=True), "it expired on 20"),
            (presenting("elsewhere", "mail.example.org"), "not for the name localhost"),
            (presenting("strange", "localhost", by_stranger=True), "authority that is not trusted"),
        ):
            for is_tls in (True, False):
                error = self.refused(CertificateRefused, Behaviour(is_tls=is_tls), options=options)
                self.assertIn(words, error.reason)
                self.assertEqual(error.peer, "localhost:465")
                self.assertNotIn("AUTH", self.server.verbs)
                self.assert_nothing_in_clear()

    def test_answers_to_nothing(self) -> None:
        """One answer too many, anywhere, is never taken for the answer to something else."""
        for verb, words in (
            ("MAIL", b"250 ok\r\n250 ok\r\n"),
            ("RCPT", b"250 ok\r\n250 ok\r\n"),
            ("EHLO", b"250-x\r\n250 AUTH PLAIN\r\n235 ok\r\n"),
            ("DATA", b"354 go\r\n250 accepted\r\n"),
            ("MAIL", b"250 ok\r\n25"),
            ("DATA", b"354 go\r\n25"),
        ):
            self.refused(ProtocolViolated, Behaviour(replies={verb: [words]}))
            self.assertEqual(self.server.letters, [], verb)

    def test_success_without_a_letter(self) -> None:
        """2yz instead of 354 is no success: nothing was sent."""
        self.refused(ProtocolViolated, Behaviour(replies={"DATA": [b"250 accepted\r\n"]}))

    def test_accepted_too_early(self) -> None:
        """An acceptance in the middle of a long letter is none."""
        outcome = self.start(Behaviour(private=UNLIMITED), message=b"line\n" * 180_000)
        self.link.client.room_bytes = 70_000
        self.link.watch = lambda: (
            self.server.say(b"250 thanks\r\n")
            if self.server.verbs[-1:] == ["DATA"] and not self.server.letters
            else None
        )
        self.link.run()
        self.error_of(outcome, ProtocolViolated)
        self.assertEqual(self.server.letters, [])

    def test_garbage(self) -> None:
        """What is no SMTP is named as that."""
        for verb in ("EHLO", "AUTH", "MAIL", "RCPT", "DATA"):
            self.refused(ProtocolViolated, Behaviour(replies={verb: [b"* OK IMAP4rev1\r\n"]}))
        self.refused(ProtocolViolated, Behaviour(greeting=b"HTTP/1.1 400 Bad Request\r\n"))
        self.refused(ProtocolViolated, Behaviour(greeting=b"220 " + b"x" * 20_000))

    def test_endless_reply(self) -> None:
        """A reply that never ends costs neither memory nor time."""
        error = self.refused(
            ProtocolViolated, Behaviour(replies={"EHLO": [b"250-x\r\n" * 100_000]})
        )
        self.assertIn("lines", str(error))

    def test_forged_envelope(self) -> None:
        """No recipient can forge a command, and none can be nobody."""
        for recipients in (
            *((), ("",), ("bob@x.org>\r\nRCPT TO:<eve@x.org",), ("a@x.org, b@x.org",)),
            *(("Bob <bob@x.org>",), ("jo\u0308rg@x.org",), ("bob@MÜNCHEN.de",)),
        ):
            self.refused(LetterInvalid, envelope=Envelope(sender="a@x.org", recipients=recipients))
            self.assertEqual(self.connector.links, [])
        sender = Envelope(sender="a@x.org> SIZE=1", recipients=("b@x.org",))
        self.refused(LetterInvalid, envelope=sender)

    def test_unusable_password(self) -> None:
        """A password that could forge a line is none."""
        self.assertRaises(SecretUnavailable, self.start, password="a\r\nb")


class LostTests(SubmitCase):
    """A connection that breaks or stands still."""

    #: Each step before the final dot, and what the server does instead of answering it.
    STEPS = ("EHLO", "AUTH", "MAIL", "RCPT", "DATA")

    def test_cut_before_the_end(self) -> None:
        """A connection that breaks before the final dot means: not sent. Once is enough."""
        for verb in self.STEPS:
            error = self.refused(NotConnected, Behaviour(replies={verb: [CUT]}))
            self.assertIn("closed the connection", str(error))
            self.assertEqual(self.server.letters, [])
        self.refused(NotConnected, Behaviour(greeting=CUT))
        self.refused(NotConnected, Behaviour(is_tls=False, replies={"STARTTLS": [CUT]}))

    def test_closing(self) -> None:
        """421 in any place is told as what it is."""
        for verb in self.STEPS:
            error = self.refused(
                NotConnected, Behaviour(replies={verb: [b"421 4.3.2 shutting down\r\n" + CUT]})
            )
            self.assertIn("it is closing: 421 4.3.2 shutting down", str(error))
        error = self.refused(NotConnected, Behaviour(replies={"MAIL": [b"250 ok\r\n421 bye\r\n"]}))
        self.assertIn("421 bye", str(error))

    def test_cut_after_the_end(self) -> None:
        """A connection that breaks after the final dot: nobody knows, and nobody sends again."""
        error = self.refused(OutcomeUnknown, Behaviour(replies={"DOT": [CUT]}))
        self.assertIn("may or may not have accepted", str(error))
        self.assertEqual(len(self.servers), 1)
        self.assertEqual(len(self.server.letters), 1)

    def test_nonsense_after_the_end(self) -> None:
        """An answer to the final dot that says neither yes nor no leaves it unknown."""
        for words in (b"354 go on\r\n", b"garbage\r\n"):
            self.refused(OutcomeUnknown, Behaviour(replies={"DOT": [words]}))

    def stalled(self, behaviour: Behaviour, seconds: float, freeze: bool = False) -> Deferred[Any]:
        """Submit, and let that time pass; just before, nothing had happened."""
        outcome = self.start(behaviour)
        self.link.run()
        if freeze:
            self.link.server.is_frozen = True
        self.assertNoResult(outcome)
        self.clock.advance(seconds - 0.5)
        self.link.run()
        self.assertNoResult(outcome)
        self.clock.advance(0.5)
        self.link.run()
        return outcome

    def test_stalls(self) -> None:
        """A server that falls silent is cut off when the step's time is over."""
        for verb in self.STEPS:
            outcome = self.stalled(Behaviour(replies={verb: [STALL]}), TIMING.command_seconds)
            error = self.error_of(outcome, DeadlinePassed)
            self.assertIn(verb, str(error))
            self.assertTrue(self.link.client.is_aborted)
        outcome = self.stalled(Behaviour(greeting=STALL), TIMING.connect_seconds)
        self.assertIn("connecting within 10 s", str(self.error_of(outcome, DeadlinePassed)))
        silent = Behaviour(is_tls=False, replies={"STARTTLS": [b"220 go\r\n" + STALL]})
        outcome = self.stalled(silent, TIMING.connect_seconds)
        self.assertIn("TLS handshake", str(self.error_of(outcome, DeadlinePassed)))

    def test_stall_after_the_end(self) -> None:
        """Silence after the final dot leaves it unknown, after a longer time."""
        outcome = self.stalled(Behaviour(replies={"DOT": [STALL]}), TIMING.accept_seconds)
        self.assertIn("within 40 s", str(self.error_of(outcome, OutcomeUnknown)))

    def test_frozen_peer(self) -> None:
        """A peer whose machine is gone cannot keep the connection open."""
        stall = Behaviour(replies={"MAIL": [STALL]})
        outcome = self.stalled(stall, TIMING.command_seconds, freeze=True)
        self.error_of(outcome, DeadlinePassed)

    def test_dribbling(self) -> None:
        """Bytes that keep coming without an end do not extend a step."""
        outcome = self.start(Behaviour(replies={"EHLO": [b"250-x\r\n"]}))
        self.link.run()
        for _ in range(19):
            self.clock.advance(1)
            self.server.say(b"250-y\r\n")
            self.link.run()
        self.assertNoResult(outcome)
        self.clock.advance(1)
        self.link.run()
        self.error_of(outcome, DeadlinePassed)

    def test_letter_that_nobody_takes(self) -> None:
        """A server that stops reading in the middle of a letter has not accepted it."""
        outcome = self.start(Behaviour(private=UNLIMITED), message=b"x\n" * 500_000)
        self.link.client.room_bytes = 70_000
        self.link.watch = lambda: setattr(
            self.link.client, "is_frozen", self.server.verbs[-1:] == ["DATA"]
        )
        self.link.run()
        self.assertNoResult(outcome)
        self.clock.advance(TIMING.command_seconds + 1_500_003 / 2048)
        self.link.run()
        error = self.error_of(outcome, DeadlinePassed)
        self.assertIn("taking the letter", str(error))
        self.assertEqual(self.server.letters, [])

    def test_goodbye_goes_with_the_end(self) -> None:
        """What rides along never keeps the end of a letter apart from the wait for its verdict."""
        for length in (65_535, 65_536, 65_537, 131_071, 131_072, 131_073):
            sender = make_factory().buildProtocol(None)
            transport = sender.transport = Pausing()
            deadline = Deadline(step="x", seconds=9.0, at=9.0)
            writing = Deferred.fromCoroutine(
                sender.write(b"x" * (length - 1) + b".", deadline, rider=b"QUIT")
            )
            while not writing.called:
                self.assertNotIn(b".", transport.written)
                sender.resumeProducing()
            self.assertTrue(self.successResultOf(writing))
            self.assertEqual(transport.written[-5:], b".QUIT")
            self.assertEqual(len(transport.written), length + 4)

    def test_cut_within_the_letter(self) -> None:
        """A connection that breaks in the middle of a letter means: not sent."""
        outcome = self.start(Behaviour(private=UNLIMITED), message=b"x\n" * 500_000)
        self.link.client.room_bytes = 70_000

        def cut() -> None:
            if self.server.verbs[-1:] == ["DATA"]:
                self.link.client.lose(ConnectionLost())

        self.link.watch = cut
        self.link.run()
        self.error_of(outcome, NotConnected)

    def test_nobody_there(self) -> None:
        """A server that cannot be reached is told in the system's words."""
        for cause in (ConnectError(), DNSLookupError("no such host"), OSError("odd")):
            error = self.refused(NotConnected, instead=DeadEndpoint(cause))
            self.assertIn("no connection to localhost:465", str(error))

    def test_no_answer_to_connecting(self) -> None:
        """Connecting has a deadline."""
        endpoint = DeadEndpoint(None)
        outcome = self.start(instead=endpoint)
        self.clock.advance(TIMING.connect_seconds)
        self.assertTrue(endpoint.is_cancelled)
        self.error_of(outcome, DeadlinePassed)

    def test_cancelled(self) -> None:
        """Whoever cancels is told what had become of the letter by then."""

        def cancelled(behaviour: Behaviour) -> Deferred[Receipt]:
            outcome = self.start(behaviour)
            self.link.run()
            outcome.cancel()
            self.link.run()
            self.assert_nothing_left()
            return outcome

        outcome = cancelled(Behaviour(replies={"MAIL": [STALL]}))
        self.assertIn("cut by us", str(self.failureResultOf(outcome, NotConnected).value))
        self.failureResultOf(cancelled(Behaviour(replies={"DOT": [STALL]})), OutcomeUnknown)
        self.successResultOf(cancelled(Behaviour(replies={"QUIT": [STALL]})))

    def test_cancelled_while_connecting(self) -> None:
        """Cancelling works before there is a connection too."""
        outcome = self.start(instead=DeadEndpoint(None))
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)
        self.assert_nothing_left()
