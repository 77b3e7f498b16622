"""OAuth2 as questions and answers."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.oauth import (
    LONGEST_INTERVAL_SECONDS,
    LONGEST_LIFE_SECONDS,
    MOST_TOKEN_CHARACTERS,
    UNSAID_LIFE_SECONDS,
    Answer,
    Client,
    DeviceCode,
    Grant,
    Misdirected,
    Refusal,
    authorization_url,
    challenge,
    consent_missing,
    device_poll,
    device_request,
    exchange,
    hidden,
    pause_after,
    read_device_code,
    read_grant,
    read_redirect,
    renewal,
)
from mailnotify.errors import LoginNeeded, MailnotifyError, ProtocolViolated

CLIENT = Client(client_id="id", client_secret="hush", scopes=("mail", "offline"))
GOOD: dict[str, Any] = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600}
CODE: dict[str, Any] = {
    "device_code": "dc",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://p.example/device",
    "expires_in": 600,
    "interval": 7,
}


def answer(fields: object, status: int = 200, hidden: tuple[str, ...] = ()) -> Answer:
    """An answer in JSON, or as these bytes."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return Answer(peer="p.example", status=status, body=body, hidden=hidden)


class QuestionTests(SynchronousTestCase):
    """What is asked of a provider."""

    def test_challenge(self) -> None:
        """The vector of RFC 7636, appendix B."""
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        self.assertEqual(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")

    def url(self, endpoint: str) -> str:
        return authorization_url(
            endpoint,
            CLIENT,
            user="ada@example.org",
            redirect_uri="http://127.0.0.1:4711/",
            state="st",
            verifier="v" * 43,
        )

    def test_authorization_url(self) -> None:
        """The browser carries state and challenge, and neither verifier nor secret."""
        url = self.url("https://p.example/auth")
        query = parse_qs(urlsplit(url).query)
        self.assertEqual(query["state"], ["st"])
        self.assertEqual(query["scope"], ["mail offline"])
        self.assertEqual(query["code_challenge"], [challenge("v" * 43)])
        self.assertEqual(query["code_challenge_method"], ["S256"])
        self.assertEqual(query["login_hint"], ["ada@example.org"])
        self.assertNotIn("v" * 43, url)
        self.assertNotIn("hush", url)

    def test_endpoint_with_a_query(self) -> None:
        """An endpoint that has a query keeps it."""
        self.assertTrue(self.url("https://p.example/?p=1").startswith("https://p.example/?p=1&"))

    def test_forms(self) -> None:
        """Each form has what its RFC asks for; a client without a secret sends none."""
        form = exchange(CLIENT, code="c", redirect_uri="http://127.0.0.1:1/", verifier="v")
        self.assertEqual(form["grant_type"], "authorization_code")
        self.assertEqual((form["code"], form["code_verifier"]), ("c", "v"))
        self.assertEqual(set(hidden(form)), {"c", "v", "hush"})
        self.assertEqual(renewal(CLIENT, "rt")["refresh_token"], "rt")
        self.assertEqual(device_request(CLIENT), {"client_id": "id", "scope": "mail offline"})
        poll = device_poll(Client(client_id="id"), "dc")
        self.assertEqual(poll["grant_type"], "urn:ietf:params:oauth:grant-type:device_code")
        self.assertNotIn("client_secret", poll)

    def test_nothing_shows_a_secret(self) -> None:
        """No repr of a value holds a secret."""
        grant = Grant(access_token="hush", expires_at=1, refresh_token="hush")
        code = DeviceCode(
            device_code="hush",
            user_code="hush",
            verification_uri="https://p",
            interval_seconds=5,
            expires_at=1,
        )
        for each in (CLIENT, grant, code, answer({"access_token": "hush"}, hidden=("hush",))):
            self.assertNotIn("hush", repr(each))


class RedirectTests(SynchronousTestCase):
    """What the browser brings back."""

    def test_code(self) -> None:
        """With our state the code is taken."""
        self.assertEqual(read_redirect("code=4%2Fabc&state=st&scope=x", state="st"), "4/abc")

    def test_refusal(self) -> None:
        """With our state a refusal is one."""
        found = read_redirect("error=access_denied&state=st", state="st")
        assert isinstance(found, Refusal)
        self.assertEqual(consent_missing(found), "the access was not allowed")

    def test_strangers(self) -> None:
        """Anything else changes nothing."""
        for query in [
            "",
            "code=abc",
            "code=abc&state=other",
            "code=abc&state=",
            "error=access_denied&state=other",
            "code=abc&state=st&state=st",
            "code=abc&code=def&state=st",
            "state=st",
            "state=st&code=",
            "state=st&code=a%0d%0ab",
            "state=s%ffé",
        ]:
            self.assertRaises(Misdirected, read_redirect, query, state="st")

    def test_too_many_fields(self) -> None:
        """A query without end is refused."""
        self.assertRaises(ValueError, read_redirect, "a=1&" * 1000, state="st")


class GrantTests(SynchronousTestCase):
    """What a token endpoint says."""

    def read(self, fields: object, status: int = 200) -> Grant | Refusal:
        return read_grant(answer(fields, status), now=1000.0, refresh_token="old")

    def test_grant(self) -> None:
        """A token, its end, and the refresh token that is good from now on."""
        kept = Grant(access_token="at", expires_at=4600.0, refresh_token="old")
        self.assertEqual(self.read(GOOD), kept)
        fresh = self.read({**GOOD, "refresh_token": "new"})
        assert isinstance(fresh, Grant)
        self.assertEqual(fresh.refresh_token, "new")

    def test_untidy(self) -> None:
        """A life as a text, no type, no life, `bearer`: all in use."""
        changes: list[tuple[dict[str, Any], float]] = [
            ({"expires_in": "3599"}, 3599),
            ({"expires_in": 12.5}, 12.5),
            ({"token_type": "bearer"}, 3600),
            ({"expires_in": None}, UNSAID_LIFE_SECONDS),
            ({"expires_in": True}, UNSAID_LIFE_SECONDS),
            ({"expires_in": "soon"}, UNSAID_LIFE_SECONDS),
            ({"expires_in": -5}, UNSAID_LIFE_SECONDS),
            ({"expires_in": 10**30}, LONGEST_LIFE_SECONDS),
            ({"refresh_token": ""}, 3600),
        ]
        for change, life in changes:
            found = self.read({**GOOD, **change})
            assert isinstance(found, Grant), change
            self.assertEqual(found.expires_at, 1000.0 + life, change)
            self.assertEqual(found.refresh_token, "old")

    def test_no_tokens(self) -> None:
        """What could not be a token is no answer: nothing of it reaches a mail server."""
        changes: list[dict[str, Any]] = [
            {"access_token": ""},
            {"access_token": "a b"},
            {"access_token": "a\r\nb"},
            {"access_token": "ä"},
            {"access_token": 5},
            {"access_token": "a" * (MOST_TOKEN_CHARACTERS + 1)},
            {"refresh_token": "a\0b"},
            {"refresh_token": ["a"]},
            {"token_type": "mac"},
            {"token_type": 1},
        ]
        for change in changes:
            self.assertRaises(ProtocolViolated, self.read, {**GOOD, **change})

    def test_no_json(self) -> None:
        """HTML, half a document, a list, a thousand brackets: the wrong server, told as such."""
        for body in (b"<html>hush", b'{"access_token": "hush', b"[1]", b"", b"[" * 5000, b"\xff"):
            error = self.assertRaises(ProtocolViolated, self.read, body)
            self.assertIn("p.example", str(error))
            self.assertNotIn("hush", str(error))

    def test_refusals(self) -> None:
        """Only some errors say that the grant is dead, others that it is too early to say."""
        for error, is_dead, is_passing in [
            ("invalid_grant", True, False),
            ("interaction_required", True, False),
            ("invalid_client", False, False),
            ("unauthorized_client", False, False),
            ("temporarily_unavailable", False, True),
            ("slow_down", False, True),
        ]:
            found = self.read({"error": error, "error_description": "because"}, 400)
            assert isinstance(found, Refusal)
            self.assertEqual((found.is_dead, found.is_passing), (is_dead, is_passing), error)
            self.assertEqual(str(found), f"{error}: because")

    def test_status_that_passes(self) -> None:
        """A provider that is down or throttles us has refused nothing, whatever it says."""
        for status in (429, 500, 502, 503):
            for body in (b"<html>", {"error": "invalid_grant"}, GOOD):
                found = self.read(body, status)
                assert isinstance(found, Refusal)
                self.assertTrue(found.is_passing)

    def test_odd_refusals(self) -> None:
        """An error without a word, or with one of any kind, is a refusal all the same."""
        for fields in ({}, {"error": None}, {"error": {"code": 1}}, {"error": "a b\n"}):
            found = self.read(fields, 400)
            self.assertEqual(str(found), "unknown_error")
        words = {"error": "invalid_client", "error_description": "a\r\n\x1b[31mb" + "x" * 1000}
        said = str(self.read(words, 401))
        self.assertTrue(said.startswith("invalid_client: a [31mbx"))
        self.assertLess(len(said), 350)

    def test_secrets_said_back(self) -> None:
        """A provider that quotes our secrets does not get them into a log."""
        words = {"error": "invalid_grant", "error_description": "the code hush is used up"}
        found = read_grant(answer(words, 400, hidden=("hush",)), now=0)
        self.assertEqual(str(found), "invalid_grant: the code <secret> is used up")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
            lambda below: (
                st.lists(below)
                | st.dictionaries(
                    st.sampled_from([*GOOD, *CODE, "error", "error_description", "refresh_token"]),
                    below,
                )
            ),
        )
    )
    def test_any_document(self, fields: object) -> None:
        """Whatever JSON comes, a value or one of our errors comes out."""
        for status in (200, 400):
            try:
                read_grant(answer(fields, status), now=0)
                read_device_code(answer(fields, status), now=0)
            except MailnotifyError as error:
                self.assertTrue(str(error).isprintable())

    @given(st.binary())
    def test_any_bytes(self, body: bytes) -> None:
        """And whatever bytes."""
        with contextlib.suppress(ProtocolViolated):
            self.read(body)


class DeviceTests(SynchronousTestCase):
    """Codes to type in."""

    def test_code(self) -> None:
        """Code, place, pace and end are read."""
        self.assertEqual(
            read_device_code(answer(CODE), now=1000.0),
            DeviceCode(
                device_code="dc",
                user_code="ABCD-EFGH",
                verification_uri="https://p.example/device",
                interval_seconds=7.0,
                expires_at=1600.0,
            ),
        )

    def test_untidy(self) -> None:
        """Google's old name of the place, no interval, one without end, a code that acts."""
        fields = {**CODE, "interval": None, "user_code": "AB\x1b[31mCD", "verification_url": "x"}
        found = read_device_code(answer(fields), now=0)
        assert isinstance(found, DeviceCode)
        self.assertEqual((found.interval_seconds, found.user_code), (5.0, "AB[31mCD"))
        old = {**CODE, "interval": 10**9, "verification_url": CODE["verification_uri"]}
        del old["verification_uri"]
        found = read_device_code(answer(old), now=0)
        assert isinstance(found, DeviceCode)
        self.assertEqual(found.interval_seconds, LONGEST_INTERVAL_SECONDS)

    def test_no_codes(self) -> None:
        """A person is sent to https or to loopback, with a code, or not at all."""
        changes: list[dict[str, Any]] = [
            {"device_code": ""},
            {"user_code": "\x1b"},
            {"user_code": None},
            {"verification_uri": "http://p.example/"},
            {"verification_uri": "javascript:alert(1)"},
            {"verification_uri": "https://p.example/\n"},
            {"verification_uri": "https://[::1/"},
            {"verification_uri": "https://" + "x" * 1017},
            {"verification_uri": 5},
        ]
        for change in changes:
            with self.assertRaises(ProtocolViolated, msg=str(change)):
                read_device_code(answer({**CODE, **change}), now=0)
        longest = {**CODE, "verification_uri": "https://" + "x" * 1016, "user_code": "A" * 99}
        found = read_device_code(answer(longest), now=0)
        assert isinstance(found, DeviceCode)
        self.assertEqual(found.user_code, "A" * 64)
        loopback = {**CODE, "verification_uri": "http://127.0.0.1:1/"}
        self.assertIsInstance(read_device_code(answer(loopback), now=0), DeviceCode)

    def test_refusal(self) -> None:
        """A client that may not ask is told so."""
        self.assertIsInstance(read_device_code(answer({"error": "x"}, 400), now=0), Refusal)

    def pause(self, error: str, interval_seconds: float = 5.0) -> float:
        return pause_after(Refusal(error=error, said=""), interval_seconds, account="home")

    def test_pauses(self) -> None:
        """The pace of RFC 8628 §3.5: as it was, five more, or doubled when nothing answers."""
        self.assertEqual(self.pause("authorization_pending"), 5.0)
        self.assertEqual(self.pause("slow_down"), 10.0)
        self.assertEqual(self.pause("slow_down", 10.0), 15.0)
        self.assertEqual(self.pause("temporarily_unavailable", 15.0), 30.0)
        self.assertEqual(self.pause("slow_down", 119.0), LONGEST_INTERVAL_SECONDS)

    def test_ends(self) -> None:
        """Refused, expired, anything else: polling is over, with the reason."""
        for error, words in [
            ("access_denied", "not allowed"),
            ("authorization_declined", "not allowed"),
            ("expired_token", "not typed in in time"),
            ("bad_verification_code", "bad_verification_code"),
        ]:
            needed = self.assertRaises(LoginNeeded, self.pause, error)
            self.assertIn(words, str(needed))
            self.assertIn("`mailnotify login home`", needed.remedy)
