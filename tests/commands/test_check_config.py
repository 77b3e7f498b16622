"""``mailnotify check-config`` and ``mailnotify sample-config``."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.grants import GrantStore
from mailnotify.auth.oauth import Grant
from mailnotify.commands import check_config, sample_config
from mailnotify.config.load import load
from mailnotify.config.sample import sample
from mailnotify.taps.logins import GRANTS, holder

PIN = "ab" * 32

GOOD = f"""
[service]
state_dir = "state"
[listen]
host = "::1"
[accounts.home]
provider = "gmail"
user = "ada@gmail.com"
password = {{env = "MAIL"}}
mailboxes = ["INBOX", "Lists"]
[accounts.work]
server = "imap+starttls://ada@imap.corp.example"
password = {{command = ["/bin/sh", "-c", "echo hunter2; echo called >> calls"]}}
trust = {{fingerprint = "{PIN}"}}
[accounts.work.submission]
server = "smtps://relay@smtp.corp.example"
sender = "Ada <ada@corp.example>"
password = "hunter3"
trust = "system"
"""


class CheckConfigTests(SynchronousTestCase):
    """`check` prints what the service would do."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "config.toml"
        self.file.touch(0o600)
        self.stdout, self.stderr = io.StringIO(), io.StringIO()

    def check(self, text: str, *arguments: str, **environ: str) -> int:
        self.file.write_text(text)
        options = check_config.Options()
        options.parseOptions([*arguments, "--config", str(self.file)])
        path = {"PATH": os.environ.get("PATH", os.defpath)}
        return check_config.check(options, {**path, **environ}, self.stdout, self.stderr)

    def test_good(self) -> None:
        """Accounts, mailboxes, servers, origins of secrets, trust and places are printed."""
        self.assertEqual(self.check(GOOD), 0)
        self.assertEqual(
            self.stdout.getvalue(),
            f"""\
account home
  watches   INBOX, Lists
  at        imap.gmail.com:993 (TLS) as ada@gmail.com
  password  from the environment variable MAIL
  trusts    the certificate authorities of the system
  sends by  smtp.gmail.com:465 (TLS) as ada@gmail.com
  from      ada@gmail.com
  note      Wants an app password, made in the security settings of the account, or `oauth`.

account work
  watches   INBOX
  at        imap.corp.example:143 (STARTTLS) as ada
  password  from the command /bin/sh
  trusts    only the certificate {PIN}
  sends by  smtp.corp.example:465 (TLS) as relay
  from      Ada <ada@corp.example>
  password  from the configuration itself, for sending
  trusts    the certificate authorities of the system, for sending

listens on [::1]:5050
keeps its journal in {self.folder}/state

{self.file} is good.
""",
        )
        self.assertEqual(self.stderr.getvalue(), "")

    def test_an_account_that_does_not_send(self) -> None:
        """That an account cannot send is said, and so is a private authority."""
        authority = self.folder / "ca.pem"
        authority.write_text("-----BEGIN CERTIFICATE-----\n")
        self.check(
            '[accounts.a]\nserver = "imaps://a@h.example"\npassword = {keyring = "k"}\n'
            'trust = {ca_file = "ca.pem"}\n'
        )
        said = self.stdout.getvalue()
        self.assertIn("  sends     nothing", said)
        self.assertIn(f"  trusts    only the authorities in {authority}", said)

    def test_bad(self) -> None:
        """Every problem goes to standard error, with what to do; the code is EX_CONFIG."""
        self.assertEqual(self.check("[listen]\nport = -1\n"), 78)
        self.assertEqual(self.stdout.getvalue(), "")
        said = self.stderr.getvalue()
        self.assertIn("2 problems", said)
        self.assertIn("listen.port: found -1", said)
        self.assertIn("Mend the places named above", said)

    def test_patterns(self) -> None:
        """Names, patterns and exceptions stand apart."""
        text = GOOD.replace('["INBOX", "Lists"]', '["INBOX", "Lists/*", "A/%", "!Lists/spam"]')
        self.assertEqual(self.check(text), 0)
        said = self.stdout.getvalue()
        self.assertIn("  watches   INBOX\n  and       what fits Lists/*, A/%, also later", said)
        self.assertIn("(looked into every 300 s)\n  but not   Lists/spam\n", said)
        self.assertEqual(self.check(GOOD.replace('["INBOX", "Lists"]', '["Lists/*"]')), 0)
        self.assertIn("  watches   what fits Lists/*, also later", self.stdout.getvalue())

    def test_secrets(self) -> None:
        """With --secrets each secret is fetched once and never printed."""
        cwd = Path.cwd()
        self.addCleanup(os.chdir, cwd)
        os.chdir(self.folder)
        self.assertEqual(self.check(GOOD, "--secrets", MAIL="hunter1"), 0)
        said = self.stdout.getvalue()
        self.assertIn("secret of account home: ok", said)
        self.assertIn("secret of account work: ok", said)
        self.assertIn("secret of account work, for sending: ok", said)
        self.assertEqual(said.count(": ok"), 3)
        self.assertNotIn("hunter", said)
        self.assertEqual((self.folder / "calls").read_text(), "called\n")

    def test_without_secrets_nothing_is_run(self) -> None:
        """Without --secrets no command is started."""
        cwd = Path.cwd()
        self.addCleanup(os.chdir, cwd)
        os.chdir(self.folder)
        self.check(GOOD)
        self.assertFalse((self.folder / "calls").exists())

    def test_secret_that_is_not_there(self) -> None:
        """A secret that cannot be fetched is told with its account; the others go on."""
        self.assertEqual(
            self.check(GOOD.replace("echo hunter2", "exit 4"), "--secrets", MAIL="x"), 78
        )
        self.assertIn(
            "account work: the secret from the command /bin/sh cannot be read: "
            "it ended with status 4 and said nothing",
            self.stderr.getvalue(),
        )
        self.assertIn("secret of account work, for sending: ok", self.stdout.getvalue())
        self.assertNotIn("is good", self.stdout.getvalue())

    def test_oauth(self) -> None:
        """What a token is from is printed; a client's secret and grant are looked for."""
        text = (
            '[service]\nstate_dir = "state"\n'
            '[accounts.home]\nprovider = "gmail"\nuser = "ada@gmail.com"\n'
            '[accounts.home.oauth]\nprovider = "google"\nclient_id = "id.example"\n'
            'client_secret = "hunter2"\nstore = "file"\n'
            '[accounts.work]\nserver = "imaps://ada@h.example"\n'
            'oauth = {token_command = ["printf", "hunter3"]}\n'
        )
        self.assertEqual(self.check(text, "--secrets"), 78)
        said = self.stdout.getvalue()
        self.assertIn("  OAuth2    by google, as the client id.example\n", said)
        self.assertIn("  token     from the command printf\n", said)
        self.assertIn("secret of account home: ok", said)
        self.assertIn("secret of account work: ok", said)
        self.assertIn("Run `mailnotify login home`", self.stderr.getvalue())
        home = load(self.file, {}).accounts[0]
        assert home.oauth_client is not None
        grant = Grant(access_token="hunter4", expires_at=0, refresh_token="hunter5")
        place = self.folder / "state" / GRANTS
        GrantStore(place, holder(home, home.oauth_client), home.oauth_client).save(grant)
        self.assertEqual(self.check(text, "--secrets"), 0)
        self.assertIn("OAuth2 grant of account home: ok", self.stdout.getvalue())
        self.assertNotIn("hunter", self.stdout.getvalue() + self.stderr.getvalue())

    def test_run(self) -> None:
        """`run` takes the environment and the streams of the process."""
        self.file.write_text("")
        options = check_config.Options()
        options.parseOptions(["-c", str(self.file)])
        self.patch(sys, "stderr", self.stderr)
        self.assertEqual(check_config.run(options), 78)
        self.assertIn("at least one table [accounts.NAME]", self.stderr.getvalue())


class SampleConfigTests(SynchronousTestCase):
    """`mailnotify sample-config`."""

    def test_output_is_a_configuration(self) -> None:
        """What it prints is the sample, and check-config finds it good."""
        stdout = io.StringIO()
        self.patch(sys, "stdout", stdout)
        options = sample_config.Options()
        options.parseOptions([])
        self.assertEqual(sample_config.run(options), 0)
        self.assertEqual(stdout.getvalue(), sample())
