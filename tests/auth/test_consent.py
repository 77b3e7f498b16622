"""A person allows the access, or does not; over real connections on loopback."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers
from zope.interface import provider

from mailnotify.auth.consent import CONSENT_SECONDS, Asking, by_device, by_redirect
from mailnotify.auth.oauth import Client, DeviceCode, Grant
from mailnotify.auth.provider import Provider
from mailnotify.config.schema import OAuthClient, OAuthProvider
from mailnotify.errors import LoginDenied, LoginNeeded, NotConnected, ProtocolViolated
from tests.rigs.oauth import OAuthServer, hang_up, refusing, saying, stall


class ConsentCase(TestCase):
    """A provider, and a person with a browser."""

    timeout = 300

    def setUp(self) -> None:
        self.server = OAuthServer("at-hush").start()
        self.addCleanup(self.server.stop)
        self.clock = Clock()
        endpoints = OAuthClient(
            provider=OAuthProvider.GOOGLE,
            client_id="id",
            scopes=("mail",),
            authorization_endpoint=f"{self.server.url}/authorize",
            token_endpoint=f"{self.server.url}/token",
            device_endpoint=f"{self.server.url}/device",
        )
        self.asking = Asking(
            account="home",
            user="ada",
            endpoints=endpoints,
            client=Client(client_id="id", client_secret="s3cret", scopes=("mail",)),
            provider=Provider(
                lambda uri: TCP4ClientEndpoint(reactor, "127.0.0.1", uri.port), self.clock
            ),
            clock=self.clock,
            now=self.clock.seconds,
        )
        self.pages: list[str] = []

    async def get(
        self, url: str, method: bytes = b"GET", host: str | None = None
    ) -> tuple[int, str, Headers]:
        """What a browser gets there."""
        headers = Headers({"host": [host]} if host else {})
        response: Any = await Agent(reactor).request(method, url.encode(), headers)
        body = (await readBody(response)).decode()
        return response.code, body, response.headers

    async def until(self, condition: Any) -> None:
        """Let the reactor turn until that holds; the test's own deadline ends it."""
        while not condition():
            await deferLater(reactor, 0.01, lambda: None)

    async def needed(self, asked: Any, words: str) -> None:
        """It ends with the word that a person must act."""
        try:
            await asked
        except LoginNeeded as error:
            self.assertIn(words, str(error))
            return
        raise AssertionError("there was a grant")


class RedirectTests(ConsentCase):
    """By the browser that comes back."""

    def begin(self) -> Deferred[Grant]:
        listener = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        asked = Deferred.fromCoroutine(by_redirect(self.asking, listener, self.pages.append))
        self.query = {key: each[0] for key, each in parse_qs(urlsplit(self.pages[0]).query).items()}
        self.home = self.query["redirect_uri"]
        return asked

    async def browse(self) -> str:
        """The person allows, or not; return where the browser is sent."""
        code, _, headers = await self.get(self.pages[0])
        self.assertEqual(code, 302)
        (place,) = headers.getRawHeaders("location", [])
        return str(place)

    async def test_allowed(self) -> None:
        """Browser, code, PKCE, grant: as Google does it."""
        asked = self.begin()
        code, page, headers = await self.get(await self.browse())
        self.assertEqual(code, 200)
        self.assertIn("You can close this page", page)
        self.assertNotIn("<script", page)
        self.assertEqual(
            headers.getRawHeaders("content-security-policy"),
            ["default-src 'none'; frame-ancestors 'none'"],
        )
        grant = await asked
        self.assertEqual((grant.access_token, grant.refresh_token), ("at-hush", "rt-0"))
        (form,) = self.server.forms["/token"]
        self.assertEqual(form["client_secret"], "s3cret")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_port_closes(self) -> None:
        """When it is over, nobody listens any more."""
        asked = self.begin()
        await self.get(await self.browse())
        await asked
        try:
            await self.get(self.home)
        except Exception as error:
            self.assertIn("refused", str(error).lower())
        else:
            raise AssertionError("the page is still there")

    async def test_refused(self) -> None:
        """A person may say no."""
        self.server.consent = "access_denied"
        asked = self.begin()
        _, page, _ = await self.get(await self.browse())
        self.assertIn("not allowed", page)
        await self.needed(asked, "not allowed")
        self.assertEqual(self.server.forms["/token"], [])

    async def test_strangers(self) -> None:
        """Other pages of the browser can neither bring a code nor end the waiting."""
        asked = self.begin()
        state = self.query["state"]
        port = urlsplit(self.home).port
        for url, method, host, expected in [
            (f"{self.home}?code=evil&state=wrong", b"GET", None, 400),
            (f"{self.home}?code=evil", b"GET", None, 400),
            (f"{self.home}?error=access_denied&state=wrong", b"GET", None, 400),
            (f"{self.home}?{'a=1&' * 100}", b"GET", None, 400),
            (f"{self.home}favicon.ico", b"GET", None, 404),
            (f"{self.home}?code=evil&state={state}", b"POST", None, 405),
            (f"{self.home}?code=evil&state={state}", b"GET", f"evil.example:{port}", 421),
        ]:
            code, page, _ = await self.get(url, method, host)
            self.assertEqual(code, expected, url)
            self.assertNotIn("evil", page)
        self.assertNoResult(asked)
        await self.get(await self.browse())
        self.assertEqual((await asked).access_token, "at-hush")

    async def test_second_request(self) -> None:
        """Only the first code counts, also while its exchange goes on."""
        asked = self.begin()
        self.server.answers["/token"] = [stall]
        place = await self.browse()
        port = urlsplit(self.home).port
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port or 0)
        wire: Any = await endpoint.connect(Factory.forProtocol(_Wire))
        await self.get(place)
        await self.until(lambda: self.server.forms["/token"])
        wire.transport.write(
            f"GET /?code=evil&state={self.query['state']} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{port}\r\n\r\n".encode()
        )
        await self.until(lambda: wire.heard)
        self.assertTrue(wire.heard.startswith(b"HTTP/1.1 410"), wire.heard)
        wire.transport.abortConnection()
        self.assertEqual(self.server.forms["/token"][0]["code"], "code-0")
        asked.cancel()
        asked.addErrback(lambda _: None)

    async def test_nobody_comes(self) -> None:
        """The port is not open for ever."""
        asked = self.begin()
        self.clock.advance(CONSENT_SECONDS)
        await self.needed(asked, "did not come back within 10 minutes")

    async def test_code_of_another(self) -> None:
        """A code that PKCE does not fit is refused by the provider, and told."""
        asked = self.begin()
        self.server.answers["/token"] = [refusing("invalid_grant", "PKCE verification failed")]
        await self.get(await self.browse())
        await self.needed(asked, "PKCE verification failed")

    async def test_wrong_client(self) -> None:
        """A client that is refused is the operator's to mend."""
        asked = self.begin()
        self.server.answers["/token"] = [refusing("invalid_client")]
        await self.get(await self.browse())
        await self.assertFailure(asked, LoginDenied)

    async def test_nonsense(self) -> None:
        """HTML in place of a grant is told as such."""
        asked = self.begin()
        self.server.answers["/token"] = [saying(b"<html>at-hush")]
        await self.get(await self.browse())
        error: Any = await self.assertFailure(asked, ProtocolViolated)
        self.assertNotIn("hush", str(error))

    async def test_silent(self) -> None:
        """No code, state, verifier, token or secret is in any log."""
        events: list[str] = []

        @provider(ILogObserver)
        def observe(event: Any) -> None:
            events.append(repr(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        await self.test_allowed()
        verifier = self.server.forms["/token"][0]["code_verifier"]
        for secret in ("code-0", self.query["state"], verifier, "hush", "rt-0", "s3cret"):
            self.assertNotIn(secret, "".join(events))
        self.assertNotIn("s3cret", repr(self.asking))


class DeviceTests(ConsentCase):
    """By a code that is typed in."""

    def begin(self) -> Deferred[Grant]:
        self.codes: list[DeviceCode] = []
        return Deferred.fromCoroutine(by_device(self.asking, self.codes.append))

    async def poll(self, seconds: float) -> None:
        """Let so much time pass, and one poll with it."""
        before = len(self.server.forms["/token"])
        await self.until(lambda: self.is_due_in(seconds))
        self.assertEqual(len(self.server.forms["/token"]), before)
        self.clock.advance(seconds)
        await self.until(lambda: len(self.server.forms["/token"]) > before)

    def is_due_in(self, seconds: float) -> bool:
        calls = self.clock.getDelayedCalls()
        return any(call.getTime() == self.clock.seconds() + seconds for call in calls)

    async def test_allowed(self) -> None:
        """The code is shown, and polled for at the provider's pace until it was typed in."""
        self.server.pending = 2
        asked = self.begin()
        await self.until(lambda: self.codes)
        self.assertEqual(self.codes[0].user_code, "ABCD-EFGH")
        for _ in range(3):
            await self.poll(5)
        self.assertEqual((await asked).access_token, "at-hush")
        (begun,) = self.server.forms["/device"]
        self.assertEqual(begun, {"client_id": "id", "scope": "mail"})
        self.assertEqual(self.server.forms["/token"][0]["device_code"], "dc")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_slow_down(self) -> None:
        """Asked to slow down, we do, for good."""
        self.server.answers["/token"] = [
            refusing("slow_down"),
            refusing("authorization_pending"),
            refusing("slow_down"),
        ]
        asked = self.begin()
        for seconds in (5, 10, 10, 15):
            await self.poll(seconds)
        self.assertEqual((await asked).access_token, "at-hush")

    async def test_trouble_on_the_way(self) -> None:
        """A poll that is lost is no answer: we ask less often, and go on."""
        self.server.answers["/token"] = [hang_up, saying(b"", 503)]
        asked = self.begin()
        for seconds in (5, 10, 20):
            await self.poll(seconds)
        self.assertEqual((await asked).access_token, "at-hush")

    async def test_expired(self) -> None:
        """A code that nobody types in ends, by the provider's word or by its time."""
        self.server.answers["/token"] = [refusing("expired_token")]
        asked = self.begin()
        await self.poll(5)
        await self.needed(asked, "not typed in in time")
        self.server.pending = 10**6
        asked = self.begin()
        await self.until(lambda: self.codes)
        while self.clock.getDelayedCalls():
            self.clock.advance(300)
            await deferLater(reactor, 0.05, lambda: None)
        await self.needed(asked, "not typed in in time")

    async def test_refused(self) -> None:
        """A person may say no; Microsoft has a word of its own for it."""
        for word in ("access_denied", "authorization_declined"):
            self.server.consent = word
            asked = self.begin()
            await self.poll(5)
            await self.needed(asked, "not allowed")

    async def test_wrong_client(self) -> None:
        """A client that may not ask is the operator's to mend, at either step."""
        self.server.answers["/device"] = [refusing("unauthorized_client")]
        await self.assertFailure(self.begin(), LoginDenied)
        self.server.answers["/token"] = [refusing("invalid_client")]
        asked = self.begin()
        await self.poll(5)
        await self.assertFailure(asked, LoginDenied)

    async def test_unreachable(self) -> None:
        """Without a provider there is no code."""
        self.server.answers["/device"] = [hang_up]
        await self.assertFailure(self.begin(), NotConnected)


class _Wire(Protocol):
    """Remembers what it heard."""

    heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
