"""`mailnotify token`: made, shown once, listed, revoked."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.token import matches, parse_token
from mailnotify.access.token_file import TokenFile
from mailnotify.cli import main
from tests.config.documents import ACCOUNT
from tests.rigs import child_environment
from tests.rigs.certificates import Certificates


class TokenCommandTests(SynchronousTestCase):
    """The command, as it is typed."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = self.folder / "config.toml"
        work = ACCOUNT.replace("accounts.home", "accounts.work").replace("ada", "bob")
        self.config.write_text('[service]\nstate_dir = "state"\n' + ACCOUNT + work)
        self.file = TokenFile(self.folder / "state" / "tokens.json")

    def run_command(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["token", "--config", str(self.config), *words])
        return code, out.getvalue(), err.getvalue()

    def test_add(self) -> None:
        """The token alone stands on stdout; its record has the rights, and a hash."""
        code, out, _ = self.run_command(
            *("add", "phone", "--accounts", "home, work", "--mailboxes", "INBOX"),
            *("--kinds", "mail", "--read-only", "--expires", "12h"),
        )
        offer = parse_token(out.removesuffix("\n"))
        assert offer is not None
        (token,) = self.file.read()
        assert token.hash is not None and token.expires is not None
        self.assertEqual((code, token.id, token.name), (os.EX_OK, offer.id, "phone"))
        self.assertTrue(matches(token.hash, offer.secret))
        self.assertEqual(
            (token.accounts, token.mailboxes, token.kinds, token.is_read_only),
            (("home", "work"), ("INBOX",), ("mail",), True),
        )
        left = token.expires - datetime.now(UTC)
        self.assertLess(abs(left - timedelta(hours=12)), timedelta(minutes=2))

    def test_a_secret_that_nobody_saw(self) -> None:
        """Where it cannot be written there is no token."""
        command = f'exec "$@" token -c {self.config} add phone'
        for output in (">/dev/full", ">&-"):
            done = subprocess.run(
                ["/bin/sh", "-c", f"{command} {output}", "sh", sys.executable, "-m", "mailnotify"],
                env=child_environment(),
                capture_output=True,
                text=True,
            )
            self.assertEqual((done.returncode, self.file.read()), (os.EX_IOERR, ()), output)
            self.assertIn("the output cannot be written", done.stderr)

    def test_sending(self) -> None:
        """The right to send is asked for by name, and shown; it changes something here."""
        self.run_command("add", "reader")
        self.assertEqual(self.run_command("add", "cron", "--send", "--accounts", "home")[0], 0)
        rights = {each.name: (each.may_send, each.accounts) for each in self.file.read()}
        self.assertEqual(rights, {"reader": (False, ()), "cron": (True, ("home",))})
        self.assertIn("may send", self.run_command("list")[1].splitlines()[0])
        code, _, err = self.run_command("add", "x", "--send", "--read-only")
        self.assertEqual((code, "--read-only and --send" in err), (os.EX_USAGE, True))

    def test_an_account_that_is_not_there(self) -> None:
        """A slip of the finger makes no token that opens nothing."""
        code, out, err = self.run_command("add", "phone", "--accounts", "home,hone")
        self.assertEqual((code, out, self.file.read()), (os.EX_USAGE, "", ()))
        self.assertIn("--accounts: found 'hone', expected home, work", err)

    def test_a_kind_that_is_not_there(self) -> None:
        """Neither does a kind that no event has."""
        code, out, err = self.run_command("add", "phone", "--kinds", "mail,nope")
        self.assertEqual((code, out, self.file.read()), (os.EX_USAGE, "", ()))
        known = "account, filed, gone, mail, seen, sent-failed"
        self.assertIn(f"--kinds: found 'nope', expected {known}", err)

    def test_mailboxes(self) -> None:
        """Patterns and exceptions as in the configuration; the case of INBOX means nothing."""
        self.run_command("add", "phone", "--mailboxes", "inbox,Lists/*,!Lists/spam")
        self.assertEqual(self.file.read()[0].mailboxes, ("INBOX", "Lists/*", "!Lists/spam"))
        code, _, err = self.run_command("add", "x", "--mailboxes", "INBOX,!Lists/spam")
        self.assertEqual(code, os.EX_USAGE)
        self.assertIn("found '!Lists/spam', expected a pattern beside it", err)

    def test_a_limit_that_is_empty(self) -> None:
        """A variable that is not set does not open everything."""
        for option in ("--accounts", "--mailboxes", "--kinds"):
            for nothing in ("", " , "):
                code, _, err = self.run_command("add", "phone", option, nothing)
                self.assertEqual((code, self.file.read()), (os.EX_USAGE, ()))
                self.assertIn(f"{option}: found nothing", err)

    def test_the_configuration_may_come_last(self) -> None:
        """`token list -c FILE` is what people type."""
        self.run_command("add", "phone")
        empty = self.folder / "empty.toml"
        empty.write_text('[service]\nstate_dir = "elsewhere"\n' + ACCOUNT)
        self.assertIn("phone", self.run_command("list")[1])
        self.assertEqual(self.run_command("list", "--config", str(empty))[1], "")

    def test_every_token_is_another(self) -> None:
        """Two are never alike, in no part."""
        texts = [self.run_command("add", name)[1].strip() for name in ("a", "b")]
        for first, second in zip(*(text.split("_")[1:] for text in texts), strict=False):
            self.assertNotEqual(first, second)
        salts = {each.hash.salt for each in self.file.read() if each.hash}
        self.assertEqual(len(salts), 2)

    def test_expires(self) -> None:
        """A span, or a moment with its zone; never one that has passed."""
        for text, is_good in (
            ("90d", True),
            ("8w", True),
            ("2999-01-31T08:00:00+01:00", True),
            ("2001-01-31T08:00:00Z", False),
            ("2999-01-31T08:00:00", False),
            ("0d", False),
            ("tomorrow", False),
        ):
            code, _, err = self.run_command("add", f"t{text[:3]}", "--expires", text)
            self.assertEqual(code, os.EX_OK if is_good else os.EX_USAGE, text)
            self.assertEqual("--expires" in err, not is_good)
            self.run_command("revoke", f"t{text[:3]}")

    def test_names(self) -> None:
        """One word of harmless signs, and each only once."""
        for wrong in (("a b",), ("",), ("x" * 65,), ("a\x1b[2J",), (), ("a", "b")):
            self.assertEqual(self.run_command("add", *wrong)[0], os.EX_USAGE)
        self.run_command("add", "phone")
        code, out, err = self.run_command("add", "phone")
        self.assertEqual((code, out), (os.EX_DATAERR, ""))
        self.assertIn("already", err)
        self.assertEqual(len(self.file.read()), 1)

    def test_certificate(self) -> None:
        """A certificate in place of a secret: nothing to print."""
        cert_file = Certificates(self.folder).cert_file
        code, out, err = self.run_command("add", "laptop", "--certificate", str(cert_file))
        self.assertEqual((code, out), (os.EX_OK, ""))
        self.assertIn("AUTH EXTERNAL", err)
        (token,) = self.file.read()
        self.assertEqual((len(token.certificate), token.hash), (64, None))
        for wrong in (self.config, self.folder / "nowhere"):
            code, _, err = self.run_command("add", "x", "--certificate", str(wrong))
            self.assertEqual(code, os.EX_USAGE)

    def test_list(self) -> None:
        """What there is, without what opens anything; who has expired is said."""
        _, text, _ = self.run_command("add", "phone", "--accounts", "home", "--read-only")
        self.run_command("add", "desk", "--expires", "1h")
        with self.file.changing() as tokens:
            tokens[1] = type(tokens[1])(
                id=tokens[1].id,
                name="desk",
                made=tokens[1].made,
                expires=datetime.now(UTC) - timedelta(hours=1),
                certificate="ab" * 32,
            )
        _, out, _ = self.run_command("list")
        desk, phone = out.splitlines()
        self.assertIn("EXPIRED", desk)
        self.assertIn("certificate abab", desk)
        self.assertIn("accounts home  read-only", phone)
        self.assertNotIn(text.strip().split("_", 2)[2], out)

    def test_revoke(self) -> None:
        """By name or by id; what is not there is said."""
        self.run_command("add", "phone")
        self.run_command("add", "desk")
        self.assertEqual(self.run_command("revoke", "phone")[0], os.EX_OK)
        self.assertEqual(self.run_command("revoke", self.file.read()[0].id)[0], os.EX_OK)
        self.assertEqual(self.file.read(), ())
        code, _, err = self.run_command("revoke", "phone")
        self.assertEqual(code, os.EX_DATAERR)
        self.assertIn("token list", err)

    def test_no_word(self) -> None:
        """Nothing is done by accident."""
        self.assertEqual(self.run_command()[0], os.EX_USAGE)
        self.assertEqual(self.run_command("remove", "phone")[0], os.EX_USAGE)

    def test_a_broken_file(self) -> None:
        """It is neither read as empty nor written over."""
        self.run_command("add", "phone")
        self.file.path.write_text("{")
        code, _, err = self.run_command("add", "desk")
        self.assertEqual(code, os.EX_CONFIG)
        self.assertIn("cannot be read", err)
        self.assertEqual(self.file.path.read_text(), "{")
