"""``mailnotify login``: its options, and what it shows. Its whole way is in `tests.live`."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python import usage
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, RedirectAgent, readBody

from mailnotify.commands import login
from mailnotify.config.load import load
from mailnotify.errors import ConfigInvalid, LoginNeeded
from mailnotify.taps.logins import Logins
from mailnotify.tls import Connector
from tests.rigs.oauth import OAuthServer

PLAIN = '[accounts.plain]\nserver = "imaps://bob@imap.example.org"\npassword = {env = "X"}\n'


class LoginCase(TestCase):
    """A configuration of two accounts, and a provider."""

    timeout = 300

    def setUp(self) -> None:
        self.server = OAuthServer("at-hush").start()
        self.addCleanup(self.server.stop)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.said: list[str] = []
        self.opened: list[str] = []

    def options(self, *arguments: str, provider: str = "google") -> login.Options:
        self.path = self.folder / "config.toml"
        self.path.touch(0o600)
        home = '[accounts.home]\nserver = "imaps://ada@imap.example.org"\n'
        table = f"[accounts.home.oauth]\n{self.server.table(provider)}"
        state = f'[service]\nstate_dir = "{self.folder}/state"\n'
        self.path.write_text(state + PLAIN + home + table)
        options = login.Options()
        options.parseOptions([*arguments, "--config", str(self.path)])
        return options


class OptionsTests(LoginCase):
    """Which account."""

    def test_order(self) -> None:
        """The account may stand before the options or behind them."""
        first = self.options("home", "--no-browser")
        self.assertEqual((first["account"], first["no-browser"]), ("home", 1))
        options = login.Options()
        options.parseOptions(["--config", str(self.path), "home"])
        self.assertEqual((options["account"], options["no-browser"]), ("home", 0))

    def test_no_account(self) -> None:
        """Without an account, or with two, nothing happens."""
        self.assertRaises(usage.UsageError, self.options)
        self.assertRaises(usage.UsageError, self.options, "home", "plain")

    def test_unknown_account(self) -> None:
        """The accounts that there are are named."""
        options = self.options("work")
        error = self.assertRaises(usage.UsageError, login.run, options)
        self.assertIn("expected one of plain, home", str(error))

    def test_account_with_a_password(self) -> None:
        """An account without a client of OAuth2 has nothing to log in by."""
        error = self.assertRaises(ConfigInvalid, login.run, self.options("plain"))
        self.assertIn("accounts.plain.oauth: found no provider", str(error))


class FlowTests(LoginCase):
    """What the person sees."""

    async def log_in(self, provider: str, *, by_browser: bool = True) -> None:
        options = self.options("home", provider=provider)
        account, client = login.chosen(options["loaded"], options["path"], "home")
        connector = Connector(reactor)
        state_dir = options["loaded"].state_dir
        logins = Logins(reactor, state_dir=state_dir, connector=connector)
        await login.log_in(
            account,
            client,
            logins,
            reactor,
            open_browser=self.open if by_browser else None,
            report=self.report,
        )
        kept = logins.store(account, client).load()
        assert kept is not None
        self.assertEqual(kept.access_token, "at-hush")
        self.assertNotIn("hush", "".join(self.said))

    def open(self, url: str) -> None:
        self.opened.append(url)
        visited = RedirectAgent(Agent(reactor)).request(b"GET", url.encode())
        visited.addCallback(readBody)

    def report(self, line: str) -> None:
        self.said.append(line)
        if not self.opened and "authorize?" in line:
            self.open(line.strip())
            self.opened.clear()

    async def test_browser(self) -> None:
        """The browser is opened, and the address is printed too."""
        await self.log_in("google")
        self.assertEqual(len(self.opened), 1)
        self.assertIn(f"\n{self.opened[0]}\n", self.said)
        self.assertIn("is kept in", self.said[-1])

    async def test_without_browser(self) -> None:
        """With --no-browser the address is printed only."""
        await self.log_in("google", by_browser=False)
        self.assertEqual(self.opened, [])
        self.assertIn("Open this address in a browser on this machine:", self.said)

    async def test_code(self) -> None:
        """A code is shown with the place for it."""
        self.server.interval_seconds = 0.05
        await self.log_in("microsoft")
        self.assertIn("\n    ABCD-EFGH\n", self.said)
        self.assertIn(f"{self.server.url}/enter", self.said[0])

    async def test_no_refresh_token(self) -> None:
        """A grant that cannot be renewed is kept, and the person is told."""
        self.server.refresh_token = ""
        await self.log_in("google")
        self.assertIn("no refresh token", self.said[-1])

    async def test_refused(self) -> None:
        """Who says no has no grant."""
        self.server.consent = "access_denied"
        attempt = Deferred.fromCoroutine(self.log_in("google"))
        await self.assertFailure(attempt, LoginNeeded)
        self.assertFalse(list(Path(load(self.path, {}).state_dir).glob("oauth/*.json")))
