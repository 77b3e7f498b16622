"""A session from its first byte to its last, against a server in a script."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from mailnotify.auth.sasl import Credentials, Password, Token
from mailnotify.config.schema import Account, Literal, Secret, Security, Server, Timing
from mailnotify.core.message import Fetched
from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    CommandRefused,
    DeadlinePassed,
    LoginDeferred,
    LoginDenied,
    NotConnected,
    PeerError,
    ProtocolViolated,
    SecretUnavailable,
)
from mailnotify.imap import idling
from mailnotify.imap.habits import Habits
from mailnotify.imap.session import BATCH, CLOSE_SECONDS, Session, open_session
from mailnotify.interfaces import IConnector, IMailSession
from tests.imap.scripted import CAPABILITY, Letters, ScriptedConnector, ScriptedServer

T = TypeVar("T")

SECRET = "hünter2"
TIMING = Timing(connect_seconds=30, command_seconds=60, idle_renewal_seconds=540)


def account(security: Security = Security.IMPLICIT_TLS, user: str = "demo") -> Account:
    server = Server(host="imap.example", port=993, security=security, user=user)
    return Account(name="home", server=server, password=Literal(text=SECRET), timing=TIMING)


async def reveal(secret: Secret) -> str:
    assert isinstance(secret, Literal)
    return secret.text


class SessionCase(SynchronousTestCase):
    """A server, and what is needed to open a session with it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = ScriptedServer()
        self.connector = ScriptedConnector(self.server)

    def begin(self, **options: Any) -> Deferred[Session]:
        """Open a session; the server has said all that it will by itself."""
        chosen = options.pop("account", account())
        fetch, prove = options.pop("reveal", reveal), options.pop("prove", Password)

        async def credentials() -> Credentials:
            found: Credentials = prove(chosen.server.user, await fetch(chosen.password))
            return found

        options["credentials"] = credentials
        coroutine = open_session(chosen, connector=self.connector, clock=self.clock, **options)
        opened = Deferred.fromCoroutine(coroutine)
        self.server.pump()
        return opened

    def open(self, **options: Any) -> Session:
        return self.successResultOf(self.begin(**options))

    def start(self, awaitable: Awaitable[T]) -> Deferred[T]:
        """Run something until both sides are quiet."""

        async def result() -> T:
            return await awaitable

        deferred = Deferred.fromCoroutine(result())
        self.server.pump()
        return deferred

    def result(self, awaitable: Awaitable[T]) -> T:
        return self.successResultOf(self.start(awaitable))

    def refuse(self, kind: type[T], **options: Any) -> T:
        """Opening must fail like this, and leave nothing open."""
        error = self.failureResultOf(self.begin(**options), kind).value
        assert isinstance(error, kind)
        self.assertTrue(self.server.transport.is_lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotIn(SECRET, str(error))
        return error

    def answer(self, name: bytes, *steps: bytes) -> None:
        self.server.answers[name] = list(steps)

    def heard(self, name: bytes) -> list[bytes]:
        """The commands that begin like this."""
        return [words for words in self.server.heard if words.startswith(name)]


class OpenTests(SessionCase):
    """From nothing to a login."""

    def test_implicit_tls(self) -> None:
        """Greeting, capabilities, login: three steps, and nothing is asked twice."""
        session = self.open()
        plain = base64.b64encode(b"\0demo\0" + SECRET.encode())
        self.assertEqual(self.server.heard, [b"CAPABILITY", b"AUTHENTICATE PLAIN " + plain])
        self.assertEqual(session.capabilities, frozenset(CAPABILITY.upper().decode().split()))
        verifyObject(IMailSession, session)
        verifyClass(IMailSession, Session)
        verifyObject(IConnector, self.connector)

    def test_capabilities_of_the_greeting(self) -> None:
        """A server that volunteers its capabilities is not asked (row 25)."""
        self.server.greeting = b"* OK [CAPABILITY SASL-IR AUTH=plain] hi\r\n"
        self.open()
        self.assertEqual(self.heard(b"CAPABILITY"), [])

    def test_capabilities_after_login(self) -> None:
        """One that does not say them again after login is asked again (row 25)."""
        self.server.greeting = b"* OK [CAPABILITY SASL-IR AUTH=PLAIN] hi\r\n"
        self.answer(b"AUTHENTICATE", b"TAG OK in\r\n")
        self.answer(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 idle\r\nTAG OK\r\n")
        self.assertIn("IDLE", self.open().capabilities)

    def test_capabilities_beside_login(self) -> None:
        """One that says them in passing is not asked (row 25)."""
        self.answer(b"AUTHENTICATE", b"* CAPABILITY QUOTA\r\nTAG OK in\r\n")
        self.assertEqual(self.open().capabilities, {"QUOTA"})
        self.assertEqual(len(self.heard(b"CAPABILITY")), 1)

    def test_no_capabilities(self) -> None:
        """A server that will not say what it can do is given up with its words."""
        for steps in (b"TAG BAD unknown\r\n", b"TAG OK\r\n"):
            self.setUp()
            self.answer(b"CAPABILITY", steps)
            self.refuse(CommandRefused)

    def test_id(self) -> None:
        """We say who we are where that is offered, and a NO is no harm (row 30)."""
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY IMAP4rev1 ID] in\r\n")
        self.answer(b"ID", b"* ID NIL\r\nTAG NO why\r\n")
        self.open()
        self.assertRegex(self.server.heard[-1], rb'^ID \("name" "mailnotify" "version" "[^"]+"\)$')

    def test_preauth(self) -> None:
        """Inside TLS a server may know us already: no login then (row 29)."""
        self.server.greeting = b"* PREAUTH welcome\r\n"
        self.open()
        self.assertEqual(self.heard(b"AUTHENTICATE") + self.heard(b"LOGIN"), [])

    def test_bye(self) -> None:
        """A server that is busy says so, and we say it on."""
        self.server.greeting = b"* BYE too busy\r\n"
        self.assertIn("too busy", str(self.refuse(NotConnected)))

    def test_unreachable(self) -> None:
        """No route, no name, no listener: the reason is told."""
        for reason in (ConnectError(), DNSLookupError("no such host")):
            self.connector.refusal = reason
            error = self.failureResultOf(self.begin(), NotConnected).value
            self.assertIn("imap.example:993", str(error))

    def test_bad_certificate(self) -> None:
        """A certificate that cannot be verified ends it before a word is said (row 22)."""
        self.connector.handshake = SSL.Error([("", "", "certificate verify failed")])
        self.refuse(CertificateRefused)
        self.assertEqual(self.server.heard, [])

    def test_one_deadline(self) -> None:
        """TCP, TLS and greeting share one deadline, wherever the server stalls."""
        for stall in ("tcp", "handshake", "greeting"):
            self.setUp()
            self.connector.is_stalled = stall == "handshake"
            self.connector.never_connects = stall == "tcp"
            self.server.greeting = b"* OK hel" if stall == "greeting" else self.server.greeting
            opened = self.begin()
            self.clock.advance(29)
            self.assertNoResult(opened)
            self.clock.advance(1)
            error = self.failureResultOf(opened, DeadlinePassed).value
            self.assertIn("connecting within 30 s", str(error))
            self.assertEqual(self.server.transport.is_lost, stall != "tcp")
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up waiting leaves nothing open behind."""
        for key in (b"CAPABILITY", b"AUTHENTICATE"):
            self.setUp()
            self.answer(key, b"")
            opened = self.begin()
            opened.addErrback(lambda _: None)
            opened.cancel()
            self.assertTrue(self.server.transport.is_aborted)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.setUp()
        self.connector.never_connects = True
        opened = self.begin()
        opened.cancel()
        self.failureResultOf(opened, CancelledError)

    def test_secret_unavailable(self) -> None:
        """A secret that cannot be read ends it, with nothing said."""

        async def locked(secret: Secret) -> str:
            raise SecretUnavailable(origin="keyring", reason="locked")

        self.refuse(SecretUnavailable, reveal=locked)
        self.assertEqual(self.heard(b"AUTH"), [])

    def test_secret_with_line_break(self) -> None:
        """A secret that would smuggle in a command is refused before it is sent (row 28)."""

        async def hostile(secret: Secret) -> str:
            return "x\r\nA1 DELETE INBOX"

        self.refuse(SecretUnavailable, reveal=hostile)
        self.assertEqual(self.heard(b"AUTH"), [])


class StartTlsTests(SessionCase):
    """Port 143."""

    def setUp(self) -> None:
        super().setUp()
        self.server.greeting = b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n"

    def begin(self, **options: Any) -> Deferred[Session]:
        return super().begin(account=account(Security.STARTTLS), **options)

    def test_upgrade(self) -> None:
        """TLS first, then everything is asked anew, then the login (rows 21, 25)."""
        opened = self.begin()
        self.assertEqual(self.server.heard, [b"STARTTLS"])
        self.server.client.handshakeCompleted()
        self.server.pump()
        self.successResultOf(opened)
        words = [each.split(b" ")[0] for each in self.server.heard]
        self.assertEqual(words, [b"STARTTLS", b"CAPABILITY", b"AUTHENTICATE"])

    def test_stripped(self) -> None:
        """A server, or someone between, that does not offer STARTTLS gets no secret (row 26)."""
        self.server.greeting = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n"
        self.refuse(ChannelInsecure)
        self.assertEqual(self.server.heard, [])

    def test_alert_in_the_greeting(self) -> None:
        """An [ALERT] is no list of capabilities: STARTTLS is found all the same (row 23)."""
        self.server.greeting = b"* OK [ALERT] hi\r\n"
        self.answer(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 STARTTLS\r\nTAG OK\r\n")
        self.begin().addErrback(lambda _: None)
        self.assertEqual(self.server.heard, [b"CAPABILITY", b"STARTTLS"])

    def test_preauth(self) -> None:
        """A server that takes us for logged in before TLS is not trusted (row 29)."""
        self.server.greeting = b"* PREAUTH [CAPABILITY STARTTLS] hi\r\n"
        self.refuse(ChannelInsecure)

    def test_injection(self) -> None:
        """Words in clear behind the OK are not taken for the server's (row 21)."""
        self.answer(b"STARTTLS", b"TAG OK\r\n* CAPABILITY AUTH=INJECTED\r\n")
        self.refuse(ProtocolViolated)

    def test_stalled_handshake(self) -> None:
        """The handshake is under the same deadline."""
        opened = self.begin()
        self.clock.advance(30)
        self.failureResultOf(opened, DeadlinePassed)
        self.assertTrue(self.server.transport.is_aborted)


class TlsHandle:
    """What is asked of a TLS 1.3 connection."""

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def export_keying_material(self, label: bytes, size: int, context: bytes) -> bytes:
        return b"x" * size


class LoginTests(SessionCase):
    """How we prove who we are."""

    def offer(self, *names: bytes) -> None:
        words = b" ".join((b"IMAP4rev1", *names))
        self.server.greeting = b"* OK [CAPABILITY " + words + b"] hi\r\n"

    def said(self) -> list[bytes]:
        return [words for words in self.server.heard if words != b"CAPABILITY"]

    def test_without_initial_response(self) -> None:
        """Without SASL-IR the answer waits for the go-ahead, whatever it says (row 27)."""
        self.offer(b"AUTH=PLAIN")
        self.answer(b"AUTHENTICATE", b"+ go ahead\r\n", b"TAG OK\r\n")
        self.open()
        plain = base64.b64encode(b"\0demo\0" + SECRET.encode())
        self.assertEqual(self.said(), [b"AUTHENTICATE PLAIN", plain])

    def test_long_token(self) -> None:
        """A token of 3,000 bytes goes out on one line (row 27)."""
        self.offer(b"AUTH=XOAUTH2")
        self.answer(b"AUTHENTICATE", b"+ \r\n", b"TAG OK\r\n")
        self.open(prove=lambda user, secret: Token(user, "t" * 3000))
        self.assertEqual(len(self.said()), 2)
        self.assertIn(b"Bearer " + b"t" * 3000, base64.b64decode(self.said()[1]))

    def test_refused_token(self) -> None:
        """The reason of a refused token is fetched with the right answer, and told (row 27)."""
        reason = base64.b64encode(b'{"status":"401"}')
        for name, reply in ((b"XOAUTH2", b""), (b"OAUTHBEARER", b"AQ==")):
            self.setUp()
            self.offer(b"SASL-IR", b"AUTH=" + name)
            self.answer(b"AUTHENTICATE", b"+ " + reason + b"\r\n", b"TAG NO failed\r\n")
            error = self.refuse(LoginDenied, prove=Token)
            self.assertEqual(self.said()[1], reply)
            self.assertIn('failed {"status":"401"}', str(error))

    def test_token_needs_a_way(self) -> None:
        """A token is never sent as a password."""
        self.offer(b"AUTH=PLAIN")
        self.refuse(LoginDenied, prove=Token)
        self.assertEqual(self.said(), [])

    def test_denied(self) -> None:
        """A refused login is tried once, and the server's words are told without ours."""
        self.offer(b"SASL-IR", b"AUTH=PLAIN", b"AUTH=LOGIN")
        plain = base64.b64encode(b"\0demo\0" + SECRET.encode())
        words = b"TAG NO [AUTHENTICATIONFAILED] no " + plain + b" " + SECRET.encode() + b"\r\n"
        self.answer(b"AUTHENTICATE", words)
        error = self.refuse(LoginDenied)
        self.assertEqual((error.user, error.said), ("demo", "no <secret> <secret>"))
        self.assertEqual(len(self.said()), 1)

    def test_denied_without_words(self) -> None:
        """A bare NO is a refusal too."""
        self.answer(b"AUTHENTICATE", b"TAG NO\r\n")
        self.assertEqual(self.refuse(LoginDenied).said, "no reason given")

    def test_not_now(self) -> None:
        """A server that cannot say now has not refused us: no slow delay, no lock-out."""
        for code in (b"UNAVAILABLE", b"INUSE", b"LIMIT"):
            self.setUp()
            self.answer(b"AUTHENTICATE", b"TAG NO [" + code + b"] later\r\n")
            self.assertIn("later", str(self.refuse(LoginDeferred)))

    def test_not_understood(self) -> None:
        """A BAD judges nobody: the next way is tried, LOGIN at last."""
        self.offer(b"SASL-IR", b"AUTH=PLAIN", b"AUTH=LOGIN")
        self.answer(b"AUTHENTICATE", b"TAG BAD what?\r\n")
        self.answer(b"LOGIN", b"+ go\r\n", b"TAG OK\r\n")
        self.open()
        words = [each.split(b" ")[:2] for each in self.said()]
        self.assertEqual(words[:2], [[b"AUTHENTICATE", b"PLAIN"], [b"AUTHENTICATE", b"LOGIN"]])

    def test_nothing_understood(self) -> None:
        """When all is BAD, the server's words are told."""
        self.answer(b"AUTHENTICATE", b"TAG BAD what?\r\n")
        self.answer(b"LOGIN", b"TAG BAD no!\r\n")
        self.assertIn("BAD: no!", str(self.refuse(CommandRefused)))

    def test_login_quoted(self) -> None:
        """Without any mechanism LOGIN serves, with quotes where quotes are needed."""
        self.offer()

        async def quoting(secret: Secret) -> str:
            return 'a"b\\c'

        self.answer(b"LOGIN", b"TAG OK\r\n")
        self.open(reveal=quoting)
        self.assertEqual(self.said(), [b'LOGIN "demo" "a\\"b\\\\c"'])

    def test_login_with_literals(self) -> None:
        """Names and secrets beyond ASCII go as literals, each after its go-ahead (row 28)."""
        self.offer()
        self.answer(b"LOGIN", b"+ \r\n", b"+ \r\n", b"TAG OK\r\n")
        self.open(account=account(user="dämo"))
        expected = [b"LOGIN {5}", "dämo {8}".encode(), SECRET.encode()]
        self.assertEqual(self.said(), expected)

    def test_one_go_ahead_too_many(self) -> None:
        """A `+` that nobody asked for during LOGIN is passed over (row 16)."""
        self.offer()
        self.answer(b"LOGIN", b"+ \r\n+ \r\n+ \r\n", b"", b"TAG OK\r\n")
        self.open(account=account(user="dämo"))

    def test_login_disabled(self) -> None:
        """LOGINDISABLED is respected, inside TLS too (row 26)."""
        self.offer(b"LOGINDISABLED", b"AUTH=GSSAPI")
        self.assertIn("no way to log in", str(self.refuse(LoginDenied)))
        self.assertEqual(self.said(), [])

    def test_scram_without_proof(self) -> None:
        """A server that says OK and proves nothing is not believed."""
        self.offer(b"AUTH=SCRAM-SHA-256")
        self.answer(b"AUTHENTICATE", b"+ \r\n", b"TAG OK\r\n")
        self.refuse(ProtocolViolated)

    def test_binding_that_the_server_cannot(self) -> None:
        """A server that cannot bind to the channel in our way has judged nobody."""
        self.offer(b"SASL-IR", b"AUTH=SCRAM-SHA-256-PLUS", b"AUTH=LOGIN")
        self.server.transport.getHandle = TlsHandle  # type: ignore[attr-defined]
        refusal = base64.b64encode(b"e=unsupported-channel-binding-type")
        self.answer(b"AUTHENTICATE SCRAM", b"+ " + refusal + b"\r\n", b"TAG NO no\r\n")
        self.answer(b"AUTHENTICATE LOGIN", b"+ \r\n", b"+ \r\n", b"TAG OK in\r\n")
        self.open()
        ways = [each.split(b" ")[1] for each in self.said() if each.startswith(b"AUTH")]
        self.assertEqual(ways, [b"SCRAM-SHA-256-PLUS", b"LOGIN"])

    def test_throttled_by_bad(self) -> None:
        """Exchange throttles with a BAD: nothing else is tried, and its pause is heard."""
        self.offer(b"SASL-IR", b"AUTH=PLAIN", b"AUTH=LOGIN")
        words = b"TAG BAD Request is throttled. Suggested Backoff Time: 5000 milliseconds\r\n"
        self.answer(b"AUTHENTICATE", words)
        error = self.refuse(LoginDeferred)
        self.assertEqual((len(self.said()), error.retry_seconds), (1, 5.0))

    def test_advice(self) -> None:
        """What helps against a refusal is told with it."""
        self.answer(b"AUTHENTICATE", b"TAG NO [ALERT] Application-specific password required\r\n")
        alerts: list[str] = []
        error = self.refuse(LoginDenied, alerted=alerts.append)
        self.assertIn("app password", error.remedy)
        self.assertEqual(alerts, ["Application-specific password required"])

    def test_foolish_challenge(self) -> None:
        """A challenge that the mechanism does not know ends the connection."""
        self.offer(b"AUTH=SCRAM-SHA-256")
        self.answer(b"AUTHENTICATE", b"+ \r\n", b"+ !!!\r\n", b"TAG OK\r\n")
        self.refuse(ProtocolViolated)


class ExamineTests(SessionCase):
    """Opening a mailbox."""

    def setUp(self) -> None:
        super().setUp()
        self.session = self.open()

    def status(self, mailbox: str = "INBOX") -> MailboxStatus:
        return self.result(self.session.examine(mailbox))

    def test_ordinary(self) -> None:
        """EXAMINE, never SELECT: looking changes nothing."""
        expected = MailboxStatus(uidvalidity=7, uidnext=12, exists=2)
        self.assertEqual(self.status(), expected)
        self.assertEqual(self.server.heard[-1], b'EXAMINE "INBOX"')

    def test_odd_names(self) -> None:
        """Names in any script and with quotes are written as the server knows them."""
        self.status('Entwürfe "a\\b"')
        self.assertEqual(self.server.heard[-1], b'EXAMINE "Entw&APw-rfe \\"a\\\\b\\""')

    def test_name_with_line_break(self) -> None:
        """A name that would smuggle in a command is refused before it is sent (row 18)."""
        before = len(self.server.heard)
        self.failureResultOf(self.start(self.session.examine("a\r\nb")), CommandRefused)
        self.assertEqual(len(self.server.heard), before)

    def test_refused(self) -> None:
        """A mailbox that is not there is named by the server."""
        self.answer(b"EXAMINE", b"TAG NO [NONEXISTENT] no such mailbox\r\n")
        failed = self.start(self.session.examine("Gone"))
        error = self.failureResultOf(failed, CommandRefused).value
        self.assertIn("no such mailbox", str(error))

    def test_uidnext_by_status(self) -> None:
        """A server that leaves UIDNEXT out is asked by STATUS."""
        self.answer(b"EXAMINE", b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n")
        self.answer(b"STATUS", b'* STATUS "INBOX" (UIDNEXT 40 UIDVALIDITY 7)\r\nTAG OK\r\n')
        self.assertEqual(self.status().uidnext, 40)

    def test_uidnext_by_the_last_message(self) -> None:
        """One that has no STATUS either tells the UID of its last message."""
        self.answer(b"EXAMINE", b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n")
        self.answer(b"UID FETCH", b"* 2 FETCH (UID 39)\r\nTAG OK\r\n")
        self.assertEqual(self.status().uidnext, 40)

    def test_empty_without_uidnext(self) -> None:
        """In an empty mailbox everything that comes is new."""
        self.answer(b"EXAMINE", b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n")
        self.assertEqual(self.status().uidnext, 1)

    def test_no_uids_at_all(self) -> None:
        """Without any of them there is no baseline, and no flood of old mail."""
        self.answer(b"EXAMINE", b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nTAG OK\r\n")
        self.failureResultOf(self.start(self.session.examine("INBOX")), ProtocolViolated)

    def test_no_uidvalidity(self) -> None:
        """A server without UIDVALIDITY is watched all the same."""
        self.answer(b"EXAMINE", b"* 2 EXISTS\r\n* OK [UIDNEXT 12]\r\nTAG OK\r\n")
        expected = MailboxStatus(uidvalidity=0, uidnext=12, exists=2)
        self.assertEqual(self.status(), expected)

    def test_news_meanwhile(self) -> None:
        """Mail that comes or goes while the mailbox is opened is in the count."""
        self.answer(
            b"EXAMINE",
            b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 12]\r\n"
            b"* 3 EXISTS\r\n* 1 EXPUNGE\r\nTAG OK\r\n",
        )
        self.assertEqual(self.status().exists, 2)

    def test_new_uidvalidity_later(self) -> None:
        """If all UIDs become void the session is over: the next one starts anew."""
        self.status()
        self.server.say(b"* OK [UIDVALIDITY 7] same\r\n* OK no code\r\n")
        self.assertFalse(self.server.transport.is_lost)
        self.server.say(b"* OK [UIDVALIDITY 8] new\r\n")
        self.assertIsInstance(self.result(self.session.client.lost.wait()), ProtocolViolated)


class FetchCase(SessionCase):
    """An examined mailbox with letters in it."""

    #: Sequence numbers 1 and 2, as the script's EXAMINE says, with UIDNEXT 12.
    old = (4, 11)

    def setUp(self) -> None:
        super().setUp()
        self.letters = Letters(*self.old)
        self.letters.install(self.server)
        self.session = self.open()
        self.result(self.session.examine("INBOX"))
        self.server.heard.clear()

    def arrive(self, *uids: int) -> None:
        """New mail, of which the server tells."""
        self.letters.uids += uids
        self.server.say(b"* %d EXISTS\r\n" % len(self.letters.uids))

    def uids(self, first_uid: int) -> list[int]:
        return [each.uid for each in self.result(self.session.fetch(first_uid))]

    def commands(self) -> list[bytes]:
        return [b" ".join(words.split(b" ")[:4]) for words in self.server.heard]


class FetchTests(FetchCase):
    """All mail from a UID on."""

    def test_what_is_asked(self) -> None:
        """One command, which sets no flag, brings all that an alert needs."""
        self.arrive(12)
        (fetched,) = self.result(self.session.fetch(12))
        self.assertEqual(
            self.server.heard,
            [
                b"UID FETCH 12:* (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE"
                b" BODY.PEEK[HEADER.FIELDS"
                b" (FROM TO SUBJECT DATE MESSAGE-ID REPLY-TO LIST-ID CONTENT-TYPE)]<0.262144>)"
            ],
        )
        expected = Fetched(
            uid=12,
            flags=("\\Seen",),
            received=datetime(2026, 1, 1, 10, tzinfo=UTC),
            size=99,
            header=b"Subject: 12\r\n\r\n",
        )
        self.assertEqual(fetched, expected)

    def test_nothing_new(self) -> None:
        """`n:*` always brings the last message: it is dropped, and nothing else is asked."""
        self.assertEqual(self.uids(12), [])
        self.assertEqual(len(self.server.heard), 1)

    def test_nothing_new_and_no_last_message(self) -> None:
        """A server that brings nothing for `n:*` is believed if the count says the same."""
        self.answer(b"UID FETCH", b"TAG OK\r\n")
        self.assertEqual(self.uids(12), [])
        self.assertEqual(len(self.server.heard), 1)

    def test_again_and_again(self) -> None:
        """One hint, one round trip, also after hundreds of letters and with holes in the UIDs."""
        first_uid = 12
        for uid in range(20, 1400, 5):
            self.arrive(uid)
            self.assertEqual(self.uids(first_uid), [uid])
            first_uid = uid + 1
        self.assertEqual(self.heard(b"UID SEARCH"), [])

    def test_out_of_order(self) -> None:
        """They come back in order of UID, however the server sends them."""
        self.arrive(13, 12)
        self.assertEqual(self.uids(12), [12, 13])

    def test_hole_in_the_answer(self) -> None:
        """A message that the server leaves out is noticed, asked for, and announced (rows 3, 7)."""
        for mute in (12, 13, 14):
            self.setUp()
            self.letters.mute = {mute}
            self.arrive(12, 13, 14)
            fetched = {each.uid: each for each in self.result(self.session.fetch(12))}
            self.assertEqual(list(fetched), [12, 13, 14])
            self.assertEqual(fetched[mute].header, b"")

    def test_all_muted(self) -> None:
        """A server that leaves out all of it is noticed as well."""
        self.letters.mute = {12}
        self.arrive(12)
        self.assertEqual(self.uids(12), [12])

    def test_first_message_muted(self) -> None:
        """The first letter of an empty mailbox is not lost either."""
        self.answer(
            b"EXAMINE", b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 12]\r\nTAG OK\r\n"
        )
        self.letters.uids = []
        self.result(self.session.examine("INBOX"))
        self.assertEqual(self.uids(12), [])
        self.letters.mute = {12}
        self.arrive(12, 14)
        self.assertEqual(self.uids(12), [12, 14])

    def test_poison(self) -> None:
        """One letter that makes the server refuse the batch does not hold up the others (row 7)."""
        self.letters.broken = {13}
        self.arrive(12, 13, 14)
        fetched = {each.uid: each.header for each in self.result(self.session.fetch(12))}
        expected = {12: b"Subject: 12\r\n\r\n", 13: b"", 14: b"Subject: 14\r\n\r\n"}
        self.assertEqual(fetched, expected)

    def test_nil_header(self) -> None:
        """A string that looks odd is a header; one that is NIL is asked for by itself (row 7)."""
        for header, commands in ((b"NIL", 4), (b"{0}\r\n", 4), (b'"<5>"', 1)):
            self.setUp()
            self.arrive(12)
            self.answer(
                b"UID FETCH",
                b"* 3 FETCH (UID 12 BODY[HEADER.FIELDS (FROM)] " + header + b")\r\nTAG OK\r\n",
            )
            self.assertEqual(self.uids(12), [12])
            self.assertEqual(len(self.server.heard), commands)

    def test_flags_of_another(self) -> None:
        """Flags that change meanwhile are no answer, or belong to one (row 6)."""
        self.arrive(12)
        line = self.letters.line(12)
        self.answer(
            b"UID FETCH",
            b"* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (UID 11 FLAGS ())\r\n"
            b"* 3 FETCH (UID 12 FLAGS ())\r\n" + line + b"* 3 FETCH (UID 12 FLAGS (\\Flagged))\r\n"
            b"TAG OK\r\n",
        )
        (fetched,) = self.result(self.session.fetch(12))
        self.assertEqual((fetched.flags, fetched.size), (("\\Flagged",), 99))

    def test_expunge_meanwhile(self) -> None:
        """Messages that go while we fetch shift the numbers: we ask what there is (row 6)."""
        self.arrive(12, 13)
        self.letters.pushed = b"* 1 EXPUNGE\r\n"
        self.assertEqual(self.uids(12), [12, 13])
        self.assertEqual(self.commands()[1], b"UID SEARCH UID 12:*")

    def test_exchange_while_opening(self) -> None:
        """Mail that came while another went, and that the server leaves out, is noticed."""
        news = b"* 3 EXISTS\r\n* 1 EXPUNGE\r\nTAG OK\r\n"
        told = b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 12]\r\n"
        self.answer(b"EXAMINE", told + news)
        self.letters.uids = [11, 12]
        self.letters.mute = {12}
        self.result(self.session.examine("INBOX"))
        self.assertEqual(self.uids(12), [12])

    def test_expunge_and_nothing_new(self) -> None:
        """The last message, which `n:*` always means, is dropped from a SEARCH too."""
        self.letters.pushed = b"* 1 EXPUNGE\r\n"
        self.assertEqual(self.uids(12), [])
        self.assertEqual(len(self.heard(b"UID SEARCH")), 1)

    def test_only_flags(self) -> None:
        """A message of which only the flags came is asked for again, by itself (row 7)."""
        self.arrive(12, 13)
        flags = b"* 3 FETCH (UID 12 FLAGS ())\r\n" + self.letters.line(13)
        self.answer(b"UID FETCH 12:", flags + b"TAG OK\r\n")
        first, second = self.result(self.session.fetch(12))
        self.assertEqual((first.uid, first.header), (12, b"Subject: 12\r\n\r\n"))
        self.assertEqual(second.uid, 13)

    def test_gone_before_it_could_be_fetched(self) -> None:
        """A message that is gone when it is asked for is not announced."""
        self.arrive(12, 13)
        self.letters.mute = {12}
        found = [self.letters.search, lambda words: [b"* SEARCH\r\nTAG OK\r\n"]]
        self.server.answers[b"UID SEARCH"] = lambda words: found.pop(0)(words)
        self.assertEqual(self.uids(12), [13])

    def test_removals_before(self) -> None:
        """Removals that we were told of do not cost a SEARCH."""
        del self.letters.uids[0]
        self.server.say(b"* 1 EXPUNGE\r\n")
        self.arrive(14)
        self.assertEqual(self.uids(12), [14])
        del self.letters.uids[0]
        self.server.say(b"* 1 EXPUNGE\r\n* 9 EXPUNGE\r\n* VANISHED (EARLIER) 1:3\r\n")
        self.assertEqual(self.heard(b"UID SEARCH"), [])

    def test_silent_removals(self) -> None:
        """Removals that the server did not tell of cost a SEARCH and lose nothing."""
        for words in (b"* 1 EXISTS\r\n* 3 EXISTS\r\n", b"* VANISHED 4:5\r\n* 3 EXISTS\r\n"):
            self.setUp()
            self.letters.uids = [11, 14, 16]
            self.letters.mute = {14}
            self.server.say(words)
            self.assertEqual(self.uids(12), [14, 16])

    def test_catching_up(self) -> None:
        """From an older cursor on, holes cannot be told from losses: SEARCH decides."""
        self.arrive(12)
        self.assertEqual(self.uids(5), [11, 12])
        self.assertEqual(self.commands()[1:], [b"UID SEARCH UID 5:*", b"UID FETCH 11:12 (UID"])

    def test_esearch(self) -> None:
        """A server that answers SEARCH in the new form is understood."""
        self.arrive(12)
        self.answer(b"UID SEARCH", b'* ESEARCH (TAG "TAG") UID ALL 11:12\r\nTAG OK\r\n')
        self.assertEqual(self.uids(5), [11, 12])
        self.answer(b"UID SEARCH", b"* ESEARCH UID\r\nTAG OK\r\n")
        self.assertEqual(self.uids(5), [])

    def test_a_search_that_cannot_be_read(self) -> None:
        """It is not taken for one that found nothing: mail would be passed over in silence."""
        self.arrive(12)
        for nonsense in (b"* SEARCH 11 12 what\r\n", b'* ESEARCH (TAG "TAG") UID ALL 11,x\r\n'):
            self.answer(b"UID SEARCH", nonsense + b"TAG OK\r\n")
            self.failureResultOf(self.start(self.session.fetch(5)), CommandRefused)

    def test_refused(self) -> None:
        """A server that refuses to fetch and to search is given up with its words."""
        self.answer(b"UID FETCH", b"TAG BAD what?\r\n")
        self.arrive(12)
        error = self.failureResultOf(self.start(self.session.fetch(12)), CommandRefused).value
        self.assertIn("UID FETCH with BAD: what?", str(error))
        self.answer(b"UID SEARCH", b"TAG NO never\r\n")
        self.failureResultOf(self.start(self.session.fetch(12)), CommandRefused)

    def test_latest(self) -> None:
        """The last message can be had by itself, also where there is none."""
        latest = self.result(self.session.latest())
        assert latest is not None
        self.assertEqual((latest.uid, self.commands()), (11, [b"UID FETCH * (UID"]))
        self.answer(b"UID FETCH", b"TAG NO never\r\n")
        self.failureResultOf(self.start(self.session.latest()), CommandRefused)
        self.server.say(b"* 0 EXISTS\r\n")
        self.assertIsNone(self.result(self.session.latest()))

    def test_latest_without_a_star(self) -> None:
        """A server that knows the star only as the end of a range gives the last one, too."""
        honest = self.server.answers[b"UID FETCH"]

        def answer(words: bytes) -> list[bytes]:
            return [b"TAG BAD syntax\r\n"] if words.startswith(b"UID FETCH *") else honest(words)

        self.server.answers[b"UID FETCH"] = answer
        latest = self.result(self.session.latest())
        assert latest is not None
        self.assertEqual(latest.uid, 11)

    def test_search_refused_later(self) -> None:
        """Where existence cannot be asked, a message without an answer counts as there."""
        self.arrive(12, 13)
        self.letters.mute = {12}
        found = [self.letters.search, lambda words: [b"TAG NO\r\n"]]
        self.server.answers[b"UID SEARCH"] = lambda words: found.pop(0)(words)
        self.assertEqual(self.uids(12), [12, 13])


class BatchTests(FetchCase):
    """More than one answer's worth."""

    def test_ten_thousand(self) -> None:
        """They come in batches, one SEARCH for all of them, none lost and none twice."""
        self.arrive(*range(100, 100 + 6 * BATCH, 2))
        got: list[int] = []
        while uids := self.uids(got[-1] + 1 if got else 12):
            self.assertLessEqual(len(uids), BATCH)
            got += uids
        self.assertEqual(got, list(range(100, 100 + 6 * BATCH, 2)))
        self.assertEqual(len(self.heard(b"UID SEARCH")), 1)
        self.arrive(9000)
        self.server.heard.clear()
        self.assertEqual(self.uids(got[-1] + 1), [9000])
        self.assertEqual(len(self.server.heard), 1)

    def test_short_batch_is_filled(self) -> None:
        """A batch is short only at the end, even if messages of it have gone meanwhile."""
        self.arrive(*range(100, 200 + BATCH))
        self.server.answers[b"UID FETCH"] = lambda words: self.thin_out(words)
        self.assertEqual(len(self.uids(12)), BATCH)

    def thin_out(self, words: bytes) -> list[bytes]:
        """Three messages are removed before the first batch is fetched."""
        self.server.answers[b"UID FETCH"] = self.letters.fetch
        for uid in (101, 102, 103):
            self.letters.uids.remove(uid)
        self.letters.pushed = b"* 4 EXPUNGE\r\n" * 3
        return self.letters.fetch(words)

    def test_asked_again_from_before(self) -> None:
        """A fetch from an earlier UID than the last one searches anew."""
        self.arrive(*range(100, 200 + BATCH))
        self.assertEqual(self.uids(12)[0], 100)
        self.assertEqual(self.uids(12)[0], 100)
        self.assertEqual(len(self.heard(b"UID SEARCH")), 2)

    def test_asked_from_further_on(self) -> None:
        """A fetch from a later UID brings nothing below it."""
        self.arrive(*range(100, 200 + BATCH))
        self.uids(12)
        last = range(190 + BATCH, 200 + BATCH)
        self.assertEqual(self.uids(last[0]), list(last))

    def test_more_than_the_count(self) -> None:
        """A server with far more letters than it said costs no memory and no message."""
        self.letters.uids += range(100, 200 + 2 * BATCH)
        got = self.uids(12)
        self.letters.mute = {100 + BATCH, 101 + BATCH}
        while uids := self.uids(got[-1] + 1):
            self.assertLessEqual(len(uids), BATCH)
            got += uids
        self.assertEqual(got, list(range(100, 200 + 2 * BATCH)))

    def test_boundary(self) -> None:
        """A batch of UIDs is named by ranges, so that the line stays short."""
        self.arrive(*range(100, 100 + BATCH + 1), 9000)
        self.uids(12)
        self.assertEqual(self.commands()[-1], b"UID FETCH 100:%d (UID" % (99 + BATCH))
        self.assertEqual(self.uids(100 + BATCH), [100 + BATCH, 9000])


class ListenTests(FetchCase):
    """Hints at new mail, whenever they come."""

    def setUp(self) -> None:
        super().setUp()
        self.hints = 0

    def changed(self, mailbox: str, status: MailboxStatus | None) -> None:
        self.hints += 1

    def listen(self) -> None:
        self.result(self.session.listen(self.changed))

    def test_idle(self) -> None:
        """In IDLE a hint comes at once (row 2)."""
        self.listen()
        self.assertEqual((self.server.heard, self.hints), ([b"IDLE"], 0))
        self.arrive(12)
        self.assertEqual(self.hints, 1)

    def test_one_round_trip(self) -> None:
        """The answer to a hint is one write: DONE, the FETCH, and IDLE again."""
        self.listen()
        self.arrive(12)
        self.server.all_writes.clear()
        fetched = self.start(self.session.fetch(12))
        self.assertEqual(len(self.server.all_writes), 1)
        lines = self.server.all_writes[0].split(b"\r\n")
        self.assertEqual(lines[0], b"DONE")
        self.assertIn(b" UID FETCH 12:* ", lines[1])
        self.assertTrue(lines[2].endswith(b" IDLE"))
        self.assertEqual([each.uid for each in self.successResultOf(fetched)], [12])
        self.arrive(13)
        self.assertEqual(self.hints, 2)

    def test_before_listen(self) -> None:
        """A hint from before is told when somebody listens, once (row 1)."""
        self.arrive(12)
        self.listen()
        self.assertEqual(self.hints, 1)

    def test_answered_before_listen(self) -> None:
        """A hint that a fetch has answered is no hint any more."""
        self.arrive(12)
        self.uids(12)
        self.listen()
        self.assertEqual(self.hints, 0)

    def test_during_a_backlog(self) -> None:
        """Mail that comes between two batches of a backlog is hinted at."""
        self.arrive(*range(100, 110 + BATCH))
        self.uids(12)
        self.arrive(9000)
        self.assertEqual(len(self.uids(100 + BATCH)), 10)
        self.listen()
        self.assertEqual(self.hints, 1)
        self.assertEqual(self.uids(110 + BATCH), [9000])

    def test_during_fetch(self) -> None:
        """Mail that comes during a FETCH is hinted at (row 1)."""
        for listens_first in (True, False):
            self.setUp()
            if listens_first:
                self.listen()
            self.arrive(12)
            self.hints = 0
            self.letters.pushed = b"* 4 EXISTS\r\n"
            self.assertEqual(self.uids(12), [12])
            if not listens_first:
                self.listen()
            self.assertEqual(self.hints, 1)

    def test_with_a_refusal(self) -> None:
        """Mail that is told of in front of a NO is hinted at (row 1)."""
        self.listen()
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG NO busy\r\n")
        self.failureResultOf(self.start(self.session.poll()), CommandRefused)
        self.assertEqual(self.hints, 1)

    def test_before_the_plus_and_after_done(self) -> None:
        """Mail that is told of before `+` or after DONE is hinted at (row 2)."""
        self.answer(b"IDLE", b"* 3 EXISTS\r\n+ idling\r\n", b"* 4 EXISTS\r\nTAG OK\r\n")
        self.listen()
        self.assertEqual(self.hints, 1)
        self.answer(b"IDLE", b"+ idling\r\n", b"TAG OK\r\n")
        self.result(self.session.poll())
        self.assertEqual(self.hints, 2)

    def test_same_count(self) -> None:
        """A count that we know may hide an exchange: a hint, but not during a FETCH."""
        self.listen()
        self.server.say(b"* 2 EXISTS\r\n")
        self.assertEqual(self.hints, 1)
        self.letters.pushed = b"* 2 EXISTS\r\n"
        self.uids(12)
        self.assertEqual(self.hints, 1)

    def test_same_count_with_every_answer(self) -> None:
        """It is no hint before `+`, after DONE and in a STATUS, or it would never end."""
        self.answer(
            b"IDLE", b"* 2 EXISTS\r\n* 2 RECENT\r\n+ idling\r\n", b"* 2 EXISTS\r\nTAG OK\r\n"
        )
        self.answer(b"STATUS", b"* 2 EXISTS\r\n* 2 RECENT\r\nTAG OK\r\n")
        self.listen()
        self.result(self.session.status())
        self.assertEqual(self.hints, 0)
        self.answer(b"NOOP", b"* 2 EXISTS\r\n* 2 RECENT\r\nTAG OK\r\n")
        self.result(self.session.poll())
        self.assertEqual(self.hints, 1)

    def test_recent(self) -> None:
        """RECENT by itself is a hint; behind an EXISTS it says nothing more."""
        self.listen()
        self.server.say(b"* 1 RECENT\r\n")
        self.assertEqual(self.hints, 1)
        self.server.say(b"* 0 RECENT\r\n")
        self.assertEqual(self.hints, 1)
        self.server.say(b"* 3 EXISTS\r\n* 1 RECENT\r\n")
        self.assertEqual(self.hints, 2)

    def test_listener_that_fails(self) -> None:
        """An exception in the listener is logged, and the connection stays (row 19)."""

        def fail(mailbox: str, status: MailboxStatus | None) -> None:
            raise RuntimeError("mine")

        self.result(self.session.listen(fail))
        self.arrive(12)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.uids(12), [12])

    def test_poll(self) -> None:
        """A poll is one NOOP, and IDLE goes on behind it in the same write."""
        self.listen()
        self.server.all_writes.clear()
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.result(self.session.poll())
        self.assertEqual((self.hints, len(self.server.all_writes)), (1, 1))

    def test_in_the_middle_of_a_response(self) -> None:
        """IDLE is not ended while the server speaks; who never finishes has the usual time."""
        self.listen()
        self.server.say(b"* 1 FETCH (UID 3 FLA")
        polled = self.start(self.session.poll())
        self.assertEqual(self.heard(b"DONE"), [])
        self.server.say(b"GS ())\r\n")
        self.server.pump()
        self.successResultOf(polled)
        self.server.say(b"* 1 FETCH (UID 3 FLA")
        polled = self.start(self.session.poll())
        self.clock.advance(account().timing.command_seconds)
        error = self.failureResultOf(polled, DeadlinePassed).value
        self.assertIn("what it began to say", str(error))

    def test_renewal(self) -> None:
        """IDLE is renewed in time, by one write, and again and again."""
        self.listen()
        for round_number in range(1, 4):
            self.server.all_writes.clear()
            self.clock.advance(540)
            self.server.pump()
            self.assertEqual(self.server.heard[1:], [b"DONE", b"IDLE"] * round_number)
            self.assertEqual(len(self.server.all_writes), 1)
        self.arrive(12)
        self.assertEqual(self.hints, 1)

    def test_renewal_counts_from_the_last_idle(self) -> None:
        """A command that renewed IDLE by the way puts the renewal off."""
        self.listen()
        self.clock.advance(500)
        self.result(self.session.poll())
        self.clock.advance(500)
        self.server.pump()
        self.assertEqual(len(self.heard(b"IDLE")), 2)

    def test_refused(self) -> None:
        """A server that refuses IDLE hints with the polls, and is not asked again."""
        self.answer(b"IDLE", b"TAG NO not for you\r\n")
        self.listen()
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.result(self.session.poll())
        self.assertEqual((self.hints, len(self.heard(b"IDLE"))), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ended_by_the_server(self) -> None:
        """A server that ends IDLE by itself is asked what is new and idles again, slowly."""
        self.listen()
        self.server.finish(b"OK idle time is over")
        self.assertEqual(self.hints, 1)
        self.clock.advance(idling.PAUSE_SECONDS)
        self.server.pump()
        self.assertEqual(self.heard(b"IDLE"), [b"IDLE", b"IDLE"])
        self.arrive(12)
        self.assertEqual(self.hints, 2)

    def test_not_offered(self) -> None:
        """Without IDLE nothing is sent; polls and fetches hint."""
        self.session.capabilities = frozenset({"IMAP4REV1"})
        self.listen()
        self.assertEqual(self.server.heard, [])
        self.answer(b"NOOP", b"* 3 EXISTS\r\nTAG OK\r\n")
        self.result(self.session.poll())
        self.assertEqual(self.hints, 1)

    def test_lost_before_the_plus(self) -> None:
        """Whoever enters IDLE on a dying connection is told."""
        self.answer(b"IDLE", b"")
        listening = self.start(self.session.listen(self.changed))
        self.server.lose(ConnectionDone())
        self.failureResultOf(listening, NotConnected)
        self.failureResultOf(self.start(self.session.listen(self.changed)), NotConnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent_renewal(self) -> None:
        """A connection that died in silence is noticed at the renewal, and cut."""
        self.listen()
        self.server.is_frozen = True
        lost = self.start(self.session.client.lost.wait())
        self.clock.advance(540)
        self.server.pump()
        self.assertNoResult(lost)
        self.clock.advance(60)
        self.assertIsInstance(self.successResultOf(lost), DeadlinePassed)


class StepwiseTests(ListenTests):
    """The same with a server that is spoken to step by step: everything but the one write."""

    def open(self, **options: Any) -> Session:
        return super().open(habits=Habits(is_stepwise=True), **options)

    def test_one_round_trip(self) -> None:
        """Each line waits for the answer to the one before."""
        self.listen()
        self.arrive(12)
        self.assertEqual(self.uids(12), [12])
        self.assertTrue(all(each.count(b"\r\n") == 1 for each in self.server.all_writes))

    def test_poll(self) -> None:
        """A poll leaves IDLE and comes back."""
        self.listen()
        self.result(self.session.poll())
        self.assertEqual(self.server.heard, [b"IDLE", b"DONE", b"NOOP", b"IDLE"])

    def test_renewal(self) -> None:
        """IDLE is renewed in two steps."""
        self.listen()
        self.clock.advance(540)
        self.server.pump()
        self.assertEqual(self.server.heard, [b"IDLE", b"DONE", b"IDLE"])


class EndTests(SessionCase):
    """The end of a session."""

    def setUp(self) -> None:
        super().setUp()
        self.session = self.open()

    def test_close(self) -> None:
        """LOGOUT, also out of IDLE, and nothing is left."""
        self.result(self.session.listen(lambda *_: None))
        self.result(self.session.close())
        self.assertEqual(self.server.heard[-2:], [b"DONE", b"LOGOUT"])
        self.assertTrue(self.server.transport.is_lost)
        self.assertFalse(self.server.transport.is_aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.result(self.session.close())

    def test_close_on_a_silent_server(self) -> None:
        """A server that does not let go is cut (row 30)."""
        for stall in ("silent", "frozen"):
            self.setUp()
            self.answer(b"LOGOUT", b"* BYE\r\n" if stall == "silent" else b"* BYE\r\nTAG OK\r\n")
            closing = self.start(self.session.close()) if stall == "silent" else None
            if closing is None:
                self.server.is_frozen = True
                closing = self.start(self.session.close())
            self.clock.advance(CLOSE_SECONDS)
            self.successResultOf(closing)
            self.assertTrue(self.server.transport.is_aborted)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_that_the_server_answers_by_closing(self) -> None:
        """A server that just closes at LOGOUT has done what was wanted (row 30)."""
        self.answer(b"LOGOUT", b"")
        closing = self.start(self.session.close())
        self.server.lose(ConnectionDone())
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort(self) -> None:
        """An abort cuts at once and fails what is open."""
        self.answer(b"NOOP", b"")
        polling = self.start(self.session.poll())
        self.session.abort()
        self.failureResultOf(polling, NotConnected)
        self.assertTrue(self.server.transport.is_aborted)
        self.session.abort()

    def test_when_lost(self) -> None:
        """All who ask are told the reason, before and after."""
        told: list[PeerError] = []
        self.session.when_lost(told.append)
        self.assertEqual(told, [])
        self.server.say(b"* BYE maintenance\r\n")
        self.session.when_lost(told.append)
        self.assertEqual(len(told), 2)
        for reason in told:
            self.assertIsInstance(reason, PeerError)
            self.assertIn("maintenance", str(reason))

    def test_when_lost_and_one_cannot_hear_it(self) -> None:
        """One who breaks at the news keeps it from nobody."""
        told: list[PeerError] = []
        self.session.when_lost(lambda _: 1 / 0)
        self.session.when_lost(told.append)
        self.server.say(b"* BYE maintenance\r\n")
        self.assertEqual(len(told), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SplitTests(SynchronousTestCase):
    """The same dialogue, however the bytes come."""

    def play(self, prepare: Callable[[ScriptedServer], None]) -> tuple[list[Any], list[bytes], int]:
        """A whole session: what came out of it, what was said, how much the server sent."""
        clock = Clock()
        server = ScriptedServer(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n")
        letters = Letters(4, 11)
        letters.install(server)
        prepare(server)
        results: list[Any] = []

        async def credentials() -> Credentials:
            return Password("demo", SECRET)

        async def session() -> None:
            opened = await open_session(
                account(),
                connector=ScriptedConnector(server),
                credentials=credentials,
                clock=clock,
            )
            results.append(await opened.examine("INBOX"))
            await opened.listen(lambda *_: results.append("hint"))
            letters.uids += [12, 20]
            server.send(b"* 4 EXISTS\r\n")
            letters.pushed = b"* 5 EXISTS\r\n"
            results.append(await opened.fetch(12))
            await opened.poll()
            await opened.close()

        done = Deferred.fromCoroutine(session())
        server.pump()
        self.successResultOf(done)
        return results, server.heard, server.sent_bytes

    def test_byte_by_byte(self) -> None:
        """A server that sends single bytes is understood as one that sends all at once."""

        def dribble(server: ScriptedServer) -> None:
            server.piece_bytes = 1

        whole = self.play(lambda server: None)
        self.assertIn("hint", whole[0])
        self.assertEqual(self.play(dribble), whole)

    def test_cut_anywhere(self) -> None:
        """A cut at any byte of the dialogue changes nothing."""
        whole = self.play(lambda server: None)
        for place in range(1, whole[2]):

            def cut(server: ScriptedServer, at: int = place) -> None:
                server.cut_at = at

            self.assertEqual(self.play(cut), whole)
