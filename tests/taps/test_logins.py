"""What each account logs in with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from mailnotify.auth.oauth import Grant
from mailnotify.auth.sasl import Credentials, Password, Token
from mailnotify.config.schema import Account
from mailnotify.errors import CertificateRefused, ChannelInsecure, LoginDenied, LoginNeeded
from mailnotify.taps.logins import Logins
from mailnotify.tls import Connector
from tests.config.documents import read
from tests.rigs.oauth import OAuthServer, refusing

URL = 'server = "imaps://ada@imap.example.org"\n'
SENDS = '[accounts.home.submission]\nserver = "smtps://ada@smtp.example.org"\nsender = "a@b.org"\n'
DENIED = LoginDenied(peer="p", user="ada", said="no")


class LoginsCase(TestCase):
    """One account, and a provider on loopback."""

    timeout = 300

    def setUp(self) -> None:
        self.server = OAuthServer("at-1").start()
        self.addCleanup(self.server.stop)
        self.folder = Path(self.mktemp()).absolute()
        self.logins = self.make()

    def make(self) -> Logins:
        return Logins(
            reactor,
            state_dir=str(self.folder),
            connector=Connector(reactor),
            environ={"SECRET": "hunter2", "PATH": "/usr/bin:/bin"},
        )

    def account(self, lines: str) -> Account:
        return read(f"[accounts.home]\n{URL}{lines}").accounts[0]

    def client(self, lines: str = "", sends: str = "") -> Account:
        table = self.server.table("google") + lines
        return self.account(f"{sends}[accounts.home.oauth]\n{table}")

    def keep(self, account: Account, life_seconds: float = 3600) -> None:
        """As if a person had logged in."""
        assert account.oauth_client is not None
        grant = Grant(
            access_token="at-0", expires_at=time.time() + life_seconds, refresh_token="rt-0"
        )
        self.logins.store(account, account.oauth_client).save(grant)


class FetchTests(LoginsCase):
    """Passwords and tokens."""

    async def test_password(self) -> None:
        """A password comes from where it is, for reading and for sending."""
        account = self.account('password = {env = "SECRET"}\n' + SENDS)
        self.assertEqual(await self.logins.incoming(account), Password("ada", "hunter2"))
        self.assertEqual(await self.logins.outgoing(account), Password("ada", "hunter2"))

    async def test_command(self) -> None:
        """A program prints the token."""
        account = self.account('oauth = {token_command = ["printf", "at-9"]}\n')
        self.assertEqual(await self.logins.incoming(account), Token("ada", "at-9"))

    async def test_client(self) -> None:
        """The token of a grant serves for both, and is renewed with the client's secret."""
        account = self.client('client_secret = {env = "SECRET"}', SENDS)
        self.keep(account, life_seconds=1)
        self.assertEqual(await self.logins.incoming(account), Token("ada", "at-1"))
        self.assertEqual(await self.logins.outgoing(account), Token("ada", "at-1"))
        (form,) = self.server.forms["/token"]
        self.assertEqual((form["client_secret"], form["refresh_token"]), ("hunter2", "rt-0"))

    async def test_no_grant(self) -> None:
        """Without a grant the remedy has the name of the account."""
        asked = Deferred.fromCoroutine(self.logins.incoming(self.client()))
        error: Any = await self.assertFailure(asked, LoginNeeded)
        self.assertIn("`mailnotify login home`", str(error.remedy))

    async def test_https(self) -> None:
        """A provider by https has to prove who it is: one in clear gets no form."""
        any_reactor: Any = reactor
        port = any_reactor.listenTCP(0, Factory.forProtocol(_Greeter), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        place = f"https://localhost:{port.getHost().port}/token"
        table = self.server.table("google").replace(f"{self.server.url}/token", place)
        account = self.account(f"[accounts.home.oauth]\n{table}")
        self.keep(account, life_seconds=1)
        asked = Deferred.fromCoroutine(self.logins.incoming(account))
        await self.assertFailure(asked, ChannelInsecure)


class _Greeter(Protocol):
    """Speaks in clear, at once."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"220 hello\r\n")


class FreshTests(LoginsCase):
    """Tokens that a server does not take."""

    async def attempt(self, account: Account, refused: set[str]) -> list[str]:
        """Log in at a server that refuses these tokens; return what was shown."""
        shown: list[str] = []

        async def attempt(credentials: Callable[[], Awaitable[Credentials]]) -> None:
            shown.append((await credentials()).secret)
            if shown[-1] in refused:
                raise DENIED

        try:
            await self.logins.try_fresh(account, attempt)
        except LoginDenied:
            shown.append("denied")
        return shown

    async def test_taken_back(self) -> None:
        """A token that was taken back early is replaced at once."""
        account = self.client()
        self.keep(account)
        self.assertEqual(await self.attempt(account, {"at-0"}), ["at-0", "at-1"])
        self.assertEqual(await self.attempt(account, {"at-0"}), ["at-1"])

    async def test_refused_again(self) -> None:
        """If the fresh one is refused too, that is that."""
        account = self.client()
        self.keep(account)
        shown = await self.attempt(account, {"at-0", "at-1"})
        self.assertEqual(shown, ["at-0", "at-1", "denied"])
        self.assertEqual(await self.attempt(account, {"at-1"}), ["at-1", "denied"])

    async def test_password(self) -> None:
        """A password that is refused is shown once."""
        account = self.account('password = {env = "SECRET"}')
        self.assertEqual(await self.attempt(account, {"hunter2"}), ["hunter2", "denied"])

    async def test_other_failures(self) -> None:
        """What is no refusal of a token costs none."""
        account = self.client()
        self.keep(account)

        async def attempt(credentials: Callable[[], Awaitable[Credentials]]) -> None:
            await credentials()
            raise CertificateRefused(peer="p", reason="r")

        try:
            await self.logins.try_fresh(account, attempt)
        except CertificateRefused:
            self.assertEqual((await self.logins.incoming(account)).secret, "at-0")

    async def test_dead_while_fresh(self) -> None:
        """If there is no other token, the person is told."""
        account = self.client()
        self.keep(account)
        self.server.answers["/token"] = [refusing("invalid_grant")]
        try:
            await self.attempt(account, {"at-0"})
        except LoginNeeded as error:
            self.assertIn("invalid_grant", str(error))
            return
        raise AssertionError("no error")
