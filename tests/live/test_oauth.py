"""OAuth2 from ``mailnotify login`` to a message on port 5050, with a real Dovecot.

Dovecot takes the password of its user as the token, by XOAUTH2 and OAUTHBEARER;
the provider on loopback gives it out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, RedirectAgent, readBody

from tests.live.test_service import letter
from tests.rigs import PATIENCE_SECONDS, child_environment
from tests.rigs.dovecot import Dovecot
from tests.rigs.oauth import OAuthServer
from tests.rigs.postfix import Postfix
from tests.rigs.service import Follower, Lines, Service, account

T = TypeVar("T")

_CAPABILITY = "IMAP4rev1 SASL-IR IDLE LITERAL+ AUTH={}"


_KEYRING = """
import json, os
from keyring.backend import KeyringBackend

class Drawer(KeyringBackend):
    priority = 1

    def _read(self):
        return json.load(open(os.environ["DRAWER"])) if os.path.exists(os.environ["DRAWER"]) else {}

    def get_password(self, service, username):
        return self._read().get(f"{service} {username}")

    def set_password(self, service, username, password):
        kept = {**self._read(), f"{service} {username}": password}
        with open(os.environ["DRAWER"], "w") as file:
            json.dump(kept, file)

    def delete_password(self, service, username):
        self.set_password(service, username, None)
"""


class OAuthCase(TestCase):
    """A provider in this process, a Dovecot and a service in theirs."""

    timeout = 300

    def setUp(self) -> None:
        self.visited: list[object] = []
        self.provider = OAuthServer("demo").start()
        self.addCleanup(self.provider.stop)

    def blocking(self, call: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run what waits for another process; the provider answers meanwhile."""
        return deferToThread(call, *args)

    async def begin(self, provider: str, mechanism: str = "XOAUTH2") -> None:
        """A Dovecot that offers one mechanism, and a service that is not started yet."""
        capability = _CAPABILITY.format(mechanism)
        self.dovecot = await self.blocking(lambda: Dovecot.start(capability=capability))
        self.addCleanup(self.dovecot.stop)
        server = f"imaps://demo@localhost:{self.dovecot.imaps_port}"
        text = account("home", server, ca_file=self.dovecot.ca_file, blind_seconds=1.0)
        text = re.sub(r"(?m)^password = .*\n", "", text)
        table = f"[accounts.home.oauth]\n{self.provider.table(provider)}"
        self.service = Service(text + table)
        self.addCleanup(self.service.stop)

    async def log_in(self, *arguments: str) -> tuple[int, str]:
        """`mailnotify login home` in a process of its own; the exit code and all it said."""
        command = [sys.executable, "-m", "mailnotify", "login", "home", *arguments]
        command += ["--config", str(self.service.config_file)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(BROWSER="false"),
            text=True,
        )
        said: list[str] = []

        def read() -> int:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if line.startswith("http://"):
                    any_reactor: Any = reactor
                    any_reactor.callFromThread(self.browse, line.strip())
            process.stdout.close()
            return process.wait()

        code = await self.blocking(read)
        for page in self.visited:
            self.assertIsInstance(page, bytes, str(page))
        return code, "".join(said)

    def browse(self, url: str) -> None:
        """The person allows the access, in a browser that follows redirects."""
        visited: Any = RedirectAgent(Agent(reactor)).request(b"GET", url.encode())
        visited.addCallback(readBody)
        visited.addBoth(self.visited.append)

    def state_files(self) -> list[Path]:
        return [path for path in self.service.state_dir.rglob("*") if path.is_file()]

    async def watches(self) -> None:
        """A message that arrives stands on the port."""
        await self.blocking(self.service.await_log, "] watching home")
        reader = await self.blocking(Lines, self.service.port)
        self.addCleanup(reader.close)
        await self.blocking(self.deliver, b"by token")
        self.assertEqual(await self.blocking(reader.subjects, 1), ["by token"])

    async def state(self, state: str) -> dict[str, Any]:
        """The `account` event that tells this state."""
        reader = await self.blocking(Follower, self.service.port)
        self.addCleanup(reader.close)
        while True:
            event: dict[str, Any] = await self.blocking(reader.event)
            if event["kind"] == "account" and event["state"] == state:
                return event

    def deliver(self, subject: bytes) -> None:
        self.dovecot.deliver("demo", letter(subject))

    def assert_no_secret(self, text: str) -> None:
        for secret in ("rt-0", "rt-1", "code-0", *self.verifiers()):
            self.assertNotIn(secret, text)

    def verifiers(self) -> list[str]:
        forms = self.provider.forms["/token"]
        return [form["code_verifier"] for form in forms if "code_verifier" in form]


class GoogleTests(OAuthCase):
    """Consent by the browser."""

    async def test_from_login_to_mail(self) -> None:
        """Log in once; the service watches by XOAUTH2, and its log holds no secret."""
        await self.begin("google")
        code, said = await self.log_in("--no-browser")
        self.assertEqual(code, os.EX_OK, said)
        self.assertIn("is kept in", said)
        self.assert_no_secret(said)
        (kept,) = [path for path in self.state_files() if path.suffix == ".json"]
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        await self.blocking(self.service.start)
        await self.watches()
        self.assert_no_secret(self.service.log)

    async def test_login_while_the_service_waits(self) -> None:
        """A service without a grant says what to run, and goes on by itself afterwards."""
        await self.begin("google", "OAUTHBEARER")
        await self.blocking(self.service.start)
        await self.blocking(self.service.await_log, "Run `mailnotify login home`")
        self.assertEqual(self.provider.forms["/token"], [])
        code, said = await self.log_in()
        self.assertEqual(code, os.EX_OK, said)
        await self.watches()

    async def test_refused(self) -> None:
        """A person who says no gets one sentence, what to do, and an exit code."""
        await self.begin("google")
        self.provider.consent = "access_denied"
        code, said = await self.log_in("--no-browser")
        self.assertEqual(code, os.EX_CONFIG)
        self.assertIn("the access was not allowed", said)
        self.assertIn("Run `mailnotify login home`", said)
        self.assertNotIn("Traceback", said)

    async def test_dead_grant(self) -> None:
        """A grant that dies is told with the remedy, and the provider is not hammered."""
        await self.begin("google")
        self.provider.life_seconds = 1
        await self.log_in("--no-browser")
        self.provider.refresh_token = "revoked"
        await self.blocking(self.service.start)
        await self.blocking(self.service.await_log, "invalid_grant: Token has been expired")
        self.assertIn("Run `mailnotify login home`", self.service.log)
        asked = len(self.provider.forms["/token"])
        event = await self.state("denied")
        self.assertIn("invalid_grant", event["cause"])
        self.assertIn("Run `mailnotify login home`", event["remedy"])
        await self.blocking(_sleep, 3.0)  # a dozen attempts of its watcher
        self.assertEqual(len(self.provider.forms["/token"]), asked)
        self.provider.refresh_token = "rt-5"
        await self.log_in("--no-browser")
        await self.watches()
        await self.state("connected")

    async def test_rotation(self) -> None:
        """With tokens of a second and rotating refresh tokens, restarts lose nothing."""
        await self.begin("google")
        self.provider.life_seconds, self.provider.rotates = 1, True
        await self.log_in("--no-browser")
        for _ in range(3):
            await self.blocking(self.service.start)
            await self.blocking(self.service.await_log, "] watching home")
            await self.blocking(self.service.kill)
            self.service.log_file.unlink()
        renewals = [f for f in self.provider.forms["/token"] if "refresh_token" in f]
        used = [form["refresh_token"] for form in renewals]
        self.assertGreaterEqual(len(used), 3)
        self.assertEqual(len(set(used)), len(used))

    async def test_token_that_was_taken_back(self) -> None:
        """A token that dies before its time is replaced at once, without a slow delay."""
        await self.begin("google")
        self.provider.access_token = "taken-back"
        await self.log_in("--no-browser")
        self.provider.access_token = "demo"
        await self.blocking(self.service.start)
        await self.watches()
        self.assertNotIn("not watching", self.service.log)
        self.assertNotIn("taken-back", self.service.log)


class MicrosoftTests(OAuthCase):
    """Consent by a code."""

    async def test_from_login_to_mail(self) -> None:
        """The code is shown, the person types it in, the service watches."""
        await self.begin("microsoft")
        code, said = await self.log_in()
        self.assertEqual(code, os.EX_OK, said)
        self.assertIn("ABCD-EFGH", said)
        self.assertIn(f"{self.provider.url}/enter", said)
        await self.blocking(self.service.start)
        await self.watches()


class CommandTests(OAuthCase):
    """A program that prints tokens."""

    async def test_token_command(self) -> None:
        """What it prints logs in by OAUTHBEARER."""
        await self.begin_with("printf", r"demo\nit lasts an hour\n")
        await self.watches()

    async def test_something_else(self) -> None:
        """What is no token reaches no server: the reason is told, with what to do."""
        for script, reason in (
            ("echo demo for an hour", "no token (RFC 6750)"),
            ("echo hush; echo no network >&2; exit 7", "it ended with status 7: no network"),
            ("true", "it is empty"),
        ):
            await self.begin_with("sh", "-c", script)
            event = await self.state("denied")
            self.assertIn(reason, event["cause"])
            self.assertIn("Run the command by hand", event["remedy"])
            self.assertNotIn("hush", self.service.log)
            await self.blocking(self.service.stop)

    async def begin_with(self, *command: str) -> None:
        """A service whose account asks this program."""
        await self.begin("google", "OAUTHBEARER")
        words = ", ".join(f"'{word}'" for word in command)
        table = f"[accounts.home.oauth]\ntoken_command = [{words}]\n"
        text = self.service.config_file.read_text()
        self.service.config_file.write_text(text.partition("[accounts.home.oauth]")[0] + table)
        await self.blocking(self.service.start)


class KeyringTests(OAuthCase):
    """The keyring of a desktop, for which a module of the test's own stands."""

    async def test_grant_in_the_keyring(self) -> None:
        """It is kept there and nowhere else, and the service finds it there."""
        await self.begin("google")
        folder, config = self.service.directory, self.service.config_file
        config.write_text(config.read_text().replace('store = "file"', 'store = "keyring"'))
        (folder / "drawer.py").write_text(_KEYRING)
        environ = {"PYTHON_KEYRING_BACKEND": "drawer.Drawer", "PYTHONPATH": str(folder)}
        self.patch(os, "environ", {**os.environ, **environ, "DRAWER": str(folder / "drawer")})
        code, said = await self.log_in("--no-browser")
        self.assertEqual((code, "the keyring" in said), (os.EX_OK, True), said)
        self.assertEqual([each for each in self.state_files() if each.suffix == ".json"], [])
        self.assertIn("rt-0", (folder / "drawer").read_text())
        await self.blocking(self.service.start)
        await self.watches()


class SubmissionTests(OAuthCase):
    """Sending by the same grant."""

    async def test_send(self) -> None:
        """One consent serves for sending too, through a real Postfix."""
        await self.begin("google")
        postfix = await self.blocking(Postfix.start, self.dovecot)
        self.addCleanup(postfix.stop)
        with self.service.config_file.open("a") as file:
            url = f"smtps://demo@localhost:{postfix.tls_port}"
            file.write(f'[accounts.home.submission]\nserver = "{url}"\nsender = "d@localhost"\n')
        arguments = ["--to", "demo@localhost", "--subject", "by token", "--body", "x"]
        code, said = await self.mailnotify("send", *arguments)
        self.assertEqual(code, os.EX_CONFIG, said)
        self.assertIn("Run `mailnotify login home`", said)
        await self.log_in("--no-browser")
        code, said = await self.mailnotify("send", *arguments)
        self.assertEqual(code, os.EX_OK, said)
        self.provider.access_token = "wr0ng-t0ken"
        await self.log_in("--no-browser")
        code, said = await self.mailnotify("send", *arguments)
        self.assertEqual(code, os.EX_NOPERM, said)
        self.assertIn("run `mailnotify login` again", said)
        self.assertNotIn("wr0ng-t0ken", said)

    async def mailnotify(self, *arguments: str) -> tuple[int, str]:
        """One command in a process of its own; the exit code and all it said."""
        command = [sys.executable, "-m", "mailnotify", *arguments]
        command += ["--config", str(self.service.config_file)]
        done = await self.blocking(
            lambda: subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=child_environment(),
                timeout=PATIENCE_SECONDS,
            )
        )
        return done.returncode, done.stdout + done.stderr


def _sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)
