"""SASL mechanisms, with the vectors of their RFCs."""

from __future__ import annotations

import base64
from dataclasses import FrozenInstanceError

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.sasl import (
    Binding,
    Credentials,
    Exchange,
    Login,
    Mechanism,
    OAuthBearer,
    Password,
    Plain,
    ScramSha256,
    Token,
    XOAuth2,
    choose,
    is_unfit,
    saslprep,
)
from mailnotify.errors import ConfigInvalid, ProtocolViolated, SecretUnavailable

PEER = "imap.example:993"


def names(mechanisms: tuple[Mechanism, ...]) -> list[str]:
    return [mechanism.name for mechanism in mechanisms]


class CredentialsTests(SynchronousTestCase):
    """What may be a user, and what a secret."""

    def test_control_characters_in_the_secret(self) -> None:
        """A line break in a password could smuggle in a command: it is refused, unseen."""
        for secret in ("a\r\nb", "a\0b", "a\x01b", "a\x7fb", "a\x85b", "\ud800", ""):
            for kind in (Password, Token):
                error = self.assertRaises(SecretUnavailable, kind, "demo", secret)
                self.assertNotIn(repr(secret)[1:-1] or "''", str(error))

    def test_control_characters_in_the_user(self) -> None:
        """A user name cannot hold a line break either, or be empty."""
        for user in ("a\nb", "a\0", "", "\x9b"):
            self.assertRaises(ConfigInvalid, Password, user, "secret")

    def test_the_secret_is_never_shown(self) -> None:
        """No repr of anything in here has the password in it."""
        credentials = Password("demo", "hunter2")
        ways = choose(["PLAIN", "LOGIN", "SCRAM-SHA-256"], credentials, peer=PEER)
        for each in (credentials, Token("demo", "hunter2"), *ways):
            self.assertNotIn("hunter2", repr(each))
        self.assertIn("demo", repr(ways[0]))

    def test_frozen(self) -> None:
        """Credentials that were checked stay as they were checked."""
        credentials = Password("demo", "x")
        with self.assertRaises(FrozenInstanceError):
            credentials.user = "a\r\n"  # type: ignore[misc]


class ChooseTests(SynchronousTestCase):
    """Which mechanism is taken."""

    def order(self, offered: list[str], credentials: Credentials) -> list[str]:
        return names(choose(offered, credentials, peer=PEER))

    def test_password(self) -> None:
        """A password goes by PLAIN if it may, and by LOGIN last of all."""
        offered = ["LOGIN", "XOAUTH2", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"]
        expected = ["PLAIN", "SCRAM-SHA-256", "LOGIN"]
        self.assertEqual(self.order(offered, Password("u", "s")), expected)

    def test_token(self) -> None:
        """A token goes by the standard first, and never as a password."""
        offered = ["PLAIN", "XOAUTH2", "OAUTHBEARER", "LOGIN"]
        self.assertEqual(self.order(offered, Token("u", "s")), ["OAUTHBEARER", "XOAUTH2"])

    def test_case_does_not_matter(self) -> None:
        """Servers write names in lower case too."""
        self.assertEqual(self.order(["plain"], Password("u", "s")), ["PLAIN"])

    def test_binding(self) -> None:
        """A server that binds is bound to; one that does not is told that we could."""
        binding = Binding(kind="tls-exporter", data=b"hush")
        password = Password("u", "s")
        both = ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
        plus, plain = choose(both, password, peer=PEER, binding=binding)
        self.assertEqual((plus.name, plain.name), ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"))
        self.assertTrue((plus.initial() or b"").startswith(b"p=tls-exporter,,n=u,"))
        self.assertTrue((plain.initial() or b"").startswith(b"n,,"))
        (plain,) = choose(both[:1], password, peer=PEER, binding=binding)
        self.assertTrue((plain.initial() or b"").startswith(b"y,,"))
        self.assertEqual(names(choose(both, password, peer=PEER)), both[:1])
        first = choose(["PLAIN", *both], password, peer=PEER, binding=binding)[0]
        self.assertEqual(first.name, "PLAIN")
        self.assertNotIn("hush", repr(binding) + repr(plus))

    def test_nothing_fits(self) -> None:
        """A server that offers only what we do not know gets nothing."""
        self.assertEqual(self.order(["GSSAPI", ""], Password("u", "s")), [])

    def test_nonces_differ(self) -> None:
        """No two SCRAM dialogues begin alike."""
        first, second = (
            choose(["SCRAM-SHA-256"], Password("u", "s"), peer=PEER)[0].initial() for _ in "12"
        )
        self.assertNotEqual(first, second)


class PlainTests(SynchronousTestCase):
    """RFC 4616."""

    def test_message(self) -> None:
        """User and password in one message, in UTF-8, without an authorisation identity."""
        mechanism = Plain(Password("tim", "tänstaaf"), PEER)
        self.assertEqual(mechanism.initial(), "\0tim\0tänstaaf".encode())
        mechanism.finished()

    def test_challenge(self) -> None:
        """A server that asks on is answered by an error, not by the password again."""
        self.assertRaises(ProtocolViolated, Plain(Password("u", "s"), PEER).answer, b"more?")


class LoginTests(SynchronousTestCase):
    """The mechanism LOGIN."""

    def test_questions(self) -> None:
        """User, then password, whatever the questions are; a third is an error."""
        mechanism = Login(Password("u", "s"), PEER)
        self.assertIsNone(mechanism.initial())
        self.assertEqual(mechanism.answer(b"Who?"), b"u")
        self.assertEqual(mechanism.answer(b"Password:"), b"s")
        self.assertRaises(ProtocolViolated, mechanism.answer, b"PIN:")


class TokenTests(SynchronousTestCase):
    """XOAUTH2 and OAUTHBEARER."""

    def test_xoauth2(self) -> None:
        """As Google describes it; an error challenge is answered by an empty line."""
        mechanism = XOAuth2(Token("someuser@example.com", "ya29.vF9"), PEER)
        expected = b"user=someuser@example.com\1auth=Bearer ya29.vF9\1\1"
        self.assertEqual(mechanism.initial(), expected)
        self.assertEqual(mechanism.answer(b'{"status":"401"}\x1b'), b"")
        self.assertEqual(mechanism.complaint, '{"status":"401"}')

    def test_oauthbearer(self) -> None:
        """RFC 7628 §4.1; an error challenge is answered by one byte."""
        mechanism = OAuthBearer(Token("a=b,c@example.com", "vF9dft4q"), PEER)
        expected = b"n,a=a=3Db=2Cc@example.com,\1auth=Bearer vF9dft4q\1\1"
        self.assertEqual(mechanism.initial(), expected)
        self.assertEqual(mechanism.answer(b'{"status":"invalid_token"}'), b"\1")
        self.assertEqual(mechanism.complaint, '{"status":"invalid_token"}')


class ScramTests(SynchronousTestCase):
    """SCRAM-SHA-256, RFC 7677 §3."""

    FIRST = (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    PROOF = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    def setUp(self) -> None:
        self.mechanism = ScramSha256(Password("user", "pencil"), PEER, "rOprNGfwEbeRWgbNEkqO")

    def test_vector(self) -> None:
        """The dialogue of the RFC, to the letter."""
        self.assertEqual(self.mechanism.initial(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        self.assertEqual(self.mechanism.answer(self.FIRST), self.PROOF)
        self.assertEqual(self.mechanism.answer(self.FINAL), b"")
        self.mechanism.finished()
        self.assertRaises(ProtocolViolated, self.mechanism.answer, self.FINAL)

    def test_server_without_proof(self) -> None:
        """A server that says yes and has not shown that it knows us is not believed."""
        self.mechanism.answer(self.FIRST)
        self.assertRaises(ProtocolViolated, self.mechanism.finished)

    def test_wrong_proof(self) -> None:
        """Nor is one that shows something else."""
        self.mechanism.answer(self.FIRST)
        self.assertRaises(ProtocolViolated, self.mechanism.answer, b"v=" + b"A" * 44)

    def test_refusal(self) -> None:
        """What a server says of a wrong password is kept, and is no success."""
        self.mechanism.answer(self.FIRST)
        self.assertEqual(self.mechanism.answer(b"e=invalid-proof"), b"")
        self.assertEqual(self.mechanism.complaint, "invalid-proof")
        self.assertRaises(ProtocolViolated, self.mechanism.finished)

    def test_refusal_at_once(self) -> None:
        """A server may refuse in place of its first challenge too."""
        self.assertEqual(self.mechanism.answer(b"e=unknown-user"), b"")
        self.assertEqual(self.mechanism.complaint, "unknown-user")
        self.assertFalse(is_unfit(self.mechanism))
        self.assertRaises(ProtocolViolated, self.mechanism.finished)

    def test_bad_first_challenges(self) -> None:
        """Foreign nonces, too much work, unknown demands and nonsense are refused."""
        ours = b"r=rOprNGfwEbeRWgbNEkqO"
        for challenge in (
            b"r=other,s=QUJD,i=4096",
            ours + b",s=QUJD,i=4096",
            ours + b"x,s=QUJD,i=100000000",
            ours + b"x,s=QUJD,i=0",
            ours + b"x,s=QUJD,i=many",
            ours + b"x,s=?,i=4096",
            ours + b"x,i=4096",
            b"m=new," + ours + b"x,s=QUJD,i=4096",
            b"\xff\xfe",
            b"",
        ):
            self.assertRaises(ProtocolViolated, self.mechanism.answer, challenge)

    def test_user_with_comma(self) -> None:
        """A comma or an equals sign in a name does not end the name."""
        mechanism = ScramSha256(Password("a,b=c", "x"), PEER, "n")
        self.assertEqual(mechanism.initial(), b"n,,n=a=2Cb=3Dc,r=n")

    @given(st.binary(max_size=200))
    def test_no_other_exception(self, challenge: bytes) -> None:
        """Whatever the server says, the only exception is ours."""
        mechanism = ScramSha256(Password("user", "pencil"), PEER, "n")
        try:
            mechanism.answer(challenge)
        except ProtocolViolated:
            return
        # No random challenge goes on from our nonce; one may be a refusal.
        self.assertTrue(challenge.startswith(b"e="))
        self.assertRaises(ProtocolViolated, mechanism.finished)


class ExchangeTests(SynchronousTestCase):
    """The dialogue in lines of base64."""

    def test_opening(self) -> None:
        """With SASL-IR all is said in the command, on one line however long it is."""
        token = "t" * 3000
        exchange = Exchange(XOAuth2(Token("u", token), PEER), opens=True)
        line = exchange.opening()
        assert line is not None
        self.assertNotIn(b"\n", line)
        self.assertIn(token.encode(), base64.b64decode(line))

    def test_go_ahead(self) -> None:
        """Without it we wait for a challenge, whose words do not matter."""
        exchange = Exchange(Plain(Password("u", "s"), PEER), opens=False)
        self.assertIsNone(exchange.opening())
        self.assertEqual(base64.b64decode(exchange.answer(b"go ahead")), b"\0u\0s")
        self.assertRaises(ProtocolViolated, exchange.answer, b"Z28gb24=")

    def test_questions(self) -> None:
        """LOGIN lets the server ask, in base64 or in plain words."""
        exchange = Exchange(Login(Password("u", "s"), PEER), opens=True)
        self.assertIsNone(exchange.opening())
        self.assertEqual(exchange.answer(b"VXNlcm5hbWU6"), b"dQ==")
        self.assertEqual(exchange.answer(b"Password:"), b"cw==")

    def test_error_challenges(self) -> None:
        """XOAUTH2 answers an error by an empty line, OAUTHBEARER by AQ==."""
        for kind, expected in ((XOAuth2, b""), (OAuthBearer, b"AQ==")):
            exchange = Exchange(kind(Token("u", "s"), PEER), opens=True)
            exchange.opening()
            self.assertEqual(exchange.answer(base64.b64encode(b"{}")), expected)

    def test_scrub(self) -> None:
        """A server that repeats what we said does not bring it into our logs."""
        exchange = Exchange(Plain(Password("u", "s"), PEER), opens=True)
        opening = (exchange.opening() or b"").decode()
        self.assertEqual(exchange.scrub(f"unknown: {opening}!"), "unknown: <secret>!")


class SaslprepTests(SynchronousTestCase):
    """RFC 4013."""

    def test_examples(self) -> None:
        """The examples of RFC 4013 §3; what it prohibits is left to the server."""
        self.assertEqual(saslprep("I\u00adX"), "IX")
        self.assertEqual(saslprep("user"), "user")
        self.assertEqual(saslprep("USER"), "USER")
        self.assertEqual(saslprep("\u00aa"), "a")
        self.assertEqual(saslprep("\u2168"), "IX")
        self.assertEqual(saslprep("a\u00a0b"), "a b")
        self.assertEqual(saslprep("\u06271"), "\u06271")
        self.assertEqual(saslprep("\u0627\u2168\u0627"), "\u0627\u2168\u0627")
        self.assertEqual(saslprep("\u0627\uff11\u0627"), "\u06271\u0627")
        self.assertEqual(saslprep("\ue000\u2168"), "\ue000\u2168")
        self.assertEqual(saslprep("\u00ad"), "\u00ad")
