"""From a document to values: what is good, and every problem of what is not."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.load import MOST_BYTES, ConfigMissing, find, load
from mailnotify.config.schema import Limits, Listen, Retention, Security, Server, Timing
from mailnotify.errors import ConfigInvalid, Problem
from tests.config.documents import ACCOUNT, HOME, account, problem, problems_of, read


class GoodDocumentTests(SynchronousTestCase):
    """A document without problems."""

    def test_least(self) -> None:
        """One account with a server and a password is enough; the rest has defaults."""
        config = read(ACCOUNT)
        self.assertEqual(
            config.accounts[0].server,
            Server(
                host="imap.example.org",
                port=993,
                security=Security.IMPLICIT_TLS,
                user="ada@example.org",
            ),
        )
        self.assertEqual(config.accounts[0].mailboxes, ("INBOX",))
        self.assertIsNone(config.accounts[0].submission)
        self.assertEqual(
            (config.listen, config.limits, config.retention, config.accounts[0].timing),
            (Listen(), Limits(), Retention(), Timing()),
        )

    def test_every_table(self) -> None:
        """Each table of the document reaches its value."""
        config = read(
            '[service]\nstate_dir = "/var/x"\n[listen]\nport = 0\n[limits]\nconnections = 3\n'
            "[retention]\ndays = 1.5\n[timing]\npoll_seconds = 5\n" + ACCOUNT
        )
        self.assertEqual(config.state_dir, "/var/x")
        self.assertEqual(config.listen.port, 0)
        self.assertEqual(config.limits.connections, 3)
        self.assertEqual(config.retention.days, 1.5)
        self.assertEqual(config.accounts[0].timing.poll_seconds, 5)

    def test_timing_of_an_account_goes_over_the_common_one(self) -> None:
        """An account changes single intervals and keeps the common ones otherwise."""
        config = read(
            "[timing]\npoll_seconds = 5\nconnect_seconds = 6\n"
            + ACCOUNT
            + "[accounts.home.timing]\npoll_seconds = 7\n"
        )
        timing = config.accounts[0].timing
        self.assertEqual((timing.poll_seconds, timing.connect_seconds), (7, 6))
        self.assertEqual(timing.command_seconds, Timing().command_seconds)

    def test_accounts_keep_their_order(self) -> None:
        """Accounts come in the order in which they are written."""
        second = ACCOUNT.replace("home", "a work").replace("[accounts.a work]", '[accounts."a"]')
        config = read(ACCOUNT + second.replace("imap.", "mail."))
        self.assertEqual([each.name for each in config.accounts], ["home", "a"])

    def test_localhost_is_loopback(self) -> None:
        """`localhost` is written out as an address, for a listening socket wants one."""
        self.assertEqual(read('[listen]\nhost = "localhost"\n' + ACCOUNT).listen.host, "127.0.0.1")
        self.assertEqual(read('[listen]\nhost = "::1"\n' + ACCOUNT).listen.host, "::1")

    def test_state_dir_is_beside_the_file_or_at_home(self) -> None:
        """A relative state_dir begins at the folder of the file, `~` at the home folder."""
        beside = read('[service]\nstate_dir = "state"\n' + ACCOUNT)
        self.assertEqual(beside.state_dir, "/home/ada/mail/state")
        at_home = read('[service]\nstate_dir = "~/s"\n' + ACCOUNT)
        self.assertEqual(at_home.state_dir, "/home/ada/s")

    def test_inbox_in_any_case(self) -> None:
        """INBOX is the one mailbox whose case means nothing."""
        good = 'server = "imaps://a@b.example"\npassword = {env = "S"}\n'
        names = account(good + 'mailboxes = ["inbox", "Lists"]').mailboxes
        self.assertEqual(names, ("INBOX", "Lists"))


class BadDocumentTests(SynchronousTestCase):
    """Every problem is told, at once, with its place."""

    def test_all_at_once(self) -> None:
        """Problems in five tables come in one exception, each with its path."""
        found = problems_of(
            "stat_dir = 1\n[listen]\nport = 70000\n[timing]\npoll_seconds = 0\n"
            '[accounts.a]\nserver = "imaps://x"\n[accounts.b]\nprovider = "gmail"\n'
        )
        self.assertEqual(
            set(found),
            {
                "stat_dir",
                "listen.port",
                "timing.poll_seconds",
                "accounts.a.server",
                "accounts.a.password",
                "accounts.b.user",
                "accounts.b.password",
            },
        )

    def test_sentence(self) -> None:
        """A problem is one sentence with path, found, expected; the source stands above."""
        with self.assertRaises(ConfigInvalid) as caught:
            read("[listen]\nport = 70000\n" + ACCOUNT)
        self.assertEqual(
            str(caught.exception),
            "/home/ada/mail/config.toml: 1 problem\n"
            "  listen.port: found 70000, expected a whole number from 0 to 65535",
        )

    def test_unknown_key_with_a_suggestion(self) -> None:
        """A misspelt key is told with the key that was meant."""
        found = problem("[timing]\npol_seconds = 3\n" + ACCOUNT)
        self.assertEqual(found.path, "timing.pol_seconds")
        self.assertEqual(found.hint, "Did you mean `poll_seconds`?")

    def test_key_in_the_wrong_table(self) -> None:
        """A key of another table is told with the table that it belongs in."""
        self.assertEqual(
            problem("[listen]\nentries = 3\n" + ACCOUNT).hint, "It belongs in [retention]."
        )

    def test_key_that_is_nowhere(self) -> None:
        """A key that is like no other is told with those that there are."""
        found = problem("[listen]\nxyzzy = 3\n" + ACCOUNT)
        self.assertEqual(
            (found.expected, found.hint), ("one of host, plain, port, proxies, users", "")
        )

    def test_types_and_bounds(self) -> None:
        """A wrong type or a number out of bounds is told with the bounds of the schema."""
        for written, found in [
            ("0.01", "0.01"),
            ("nan", "nan"),
            ("inf", "inf"),
            ("true", "true"),
            ('"5"', "a text"),
            ("[]", "an empty list"),
            ("[1]", "a list"),
            ("{a = 1}", "a table"),
            ("1979-05-27", "a date or time"),
            ("9" * 400, "a huge number"),
        ]:
            told = problem(f"[timing]\npoll_seconds = {written}\n" + ACCOUNT)
            self.assertEqual(
                (told.path, told.found, told.expected),
                ("timing.poll_seconds", found, "a number from 0.05 to 86400"),
            )

    def test_float_for_a_whole_number(self) -> None:
        """Half a connection is refused."""
        for written in ["1.5", "1e300", "9" * 400, "true"]:
            self.assertEqual(
                problem(f"[limits]\nconnections = {written}\n" + ACCOUNT).expected,
                "a whole number from 1 to 1000000",
            )

    def test_table_that_is_none(self) -> None:
        """A value where a table belongs is told, without the value."""
        found = problem('timing = "hunter2"\n' + ACCOUNT)
        self.assertEqual((found.path, found.found), ("timing", "a text"))

    def test_no_accounts(self) -> None:
        """Without an account there is nothing to do."""
        self.assertEqual(problem("").path, "accounts")

    def test_single_account_table(self) -> None:
        """`[account]` is told where accounts go."""
        found = problems_of('[account]\nuser = "a"\n' + ACCOUNT)
        self.assertEqual(found["account"].hint, "An account is a table [accounts.NAME].")

    def test_only_loopback(self) -> None:
        """Any other interface is refused without TLS, with what to write."""
        for host in ["0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1"]:
            found = problem(f'[listen]\nhost = "{host}"\n' + ACCOUNT)
            self.assertEqual(found.path, "listen.host")
            self.assertIn("mailnotify token add", found.hint)

    def test_retry_delays_in_order(self) -> None:
        """The longest delay is not below the first."""
        common = problem("[timing]\nlongest_retry_seconds = 0.5\n" + ACCOUNT)
        self.assertEqual(
            (common.path, common.found, common.expected),
            (
                "timing.longest_retry_seconds",
                "0.5",
                "at least first_retry_seconds, which is 1",
            ),
        )
        own = problem(ACCOUNT + "[accounts.home.timing]\nfirst_retry_seconds = 301\n")
        self.assertEqual(own.path, "accounts.home.timing.longest_retry_seconds")

    def test_mailbox_watched_twice(self) -> None:
        """Two accounts that watch one mailbox would announce each message twice."""
        found = problem(ACCOUNT + ACCOUNT.replace("home", "other"))
        self.assertEqual(found.path, "accounts.other")
        self.assertEqual(found.found, '"INBOX", which "home" watches too')

    def test_same_server_other_mailbox(self) -> None:
        """Two accounts may share a server for different mailboxes."""
        other = ACCOUNT.replace("home", "other") + 'mailboxes = ["Lists"]\n'
        self.assertEqual(problems_of(ACCOUNT + other), {})

    def test_syntax(self) -> None:
        """A slip of TOML is told with its line."""
        found = problem("\n[listen\n")
        self.assertEqual(found.path, "line 2, column 8")
        self.assertIn("Expected ']'", found.found)

    def test_beyond_all_measure(self) -> None:
        """Numbers of thousands of digits and brackets without end are problems like any."""
        for text in ["a = " + "1" * 5000, "a = " + "[" * 5000]:
            self.assertEqual(problem(text).found, "a value beyond all measure")

    def test_hostile_key(self) -> None:
        """A key cannot write control characters to the terminal."""
        found = problem('"\\u001b[31mred" = 1\n' + ACCOUNT)
        self.assertEqual(found.path, '"[31mred"')
        self.assertTrue(str(found).isprintable())


class LoadTests(SynchronousTestCase):
    """Reading the file itself."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp()).absolute()

    def problem(self) -> str:
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.file, HOME)
        first: Problem = caught.exception.problems[0]
        return first.found

    def test_file(self) -> None:
        """A file on the disk is read, relative to its own folder."""
        self.file.write_text('[service]\nstate_dir = "state"\n' + ACCOUNT)
        self.assertEqual(load(self.file, HOME).state_dir, str(self.file.parent / "state"))

    def test_literal_password_needs_a_private_file(self) -> None:
        """The mode of the file decides whether a password may stand in it."""
        self.file.write_text(ACCOUNT.replace('{env = "SECRET"}', '"hunter2"'))
        self.file.chmod(0o640)
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.file, HOME)
        found = caught.exception.problems[0]
        self.assertEqual(found.found, "a secret in a file with mode 0640")
        self.assertEqual(found.hint, f"chmod 600 {self.file}")
        self.assertNotIn("hunter2", str(caught.exception))
        self.file.chmod(0o600)
        self.assertNotIn("hunter2", repr(load(self.file, HOME)))

    def test_no_file(self) -> None:
        """A missing file is a problem, not a traceback."""
        self.assertEqual(self.problem(), "no such file or directory")

    def test_folder(self) -> None:
        """A folder is no configuration."""
        self.file.mkdir()
        self.assertEqual(self.problem(), "is a directory")

    def test_fifo(self) -> None:
        """A FIFO does not make the service wait for a writer."""
        os.mkfifo(self.file)
        self.assertEqual(self.problem(), "it is not a regular file")

    def test_too_large(self) -> None:
        """A file without end is not read to its end."""
        self.file.write_bytes(b"#" * (MOST_BYTES + 1))
        self.assertEqual(self.problem(), f"it is larger than {MOST_BYTES} bytes")

    def test_not_utf_8(self) -> None:
        """A byte of another encoding is told with its line."""
        self.file.write_bytes(b"# good\n# caf\xe9\n")
        self.assertEqual(self.problem(), "a byte that is no UTF-8 in line 2")

    def test_marks_of_editors(self) -> None:
        """One before UTF-8 means nothing; UTF-16 is named."""
        self.file.write_bytes(b"\xef\xbb\xbf" + ACCOUNT.encode())
        self.assertEqual(len(load(self.file, {}).accounts), 1)
        for encoding in ("utf-16-le", "utf-16-be"):
            self.file.write_bytes(f"\ufeff{ACCOUNT}".encode(encoding))
            self.assertEqual(self.problem(), "UTF-16")


class FindTests(SynchronousTestCase):
    """The places of the configuration."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.root.mkdir()
        self.etc = self.place("etc/config.toml")
        self.home = self.place(".config/mailnotify/config.toml")
        self.xdg = self.place("xdg/mailnotify/config.toml")
        self.named = self.place("named.toml")
        self.explicit = self.place("explicit.toml")

    def place(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    def found(self, explicit: str | None = None, **environ: str) -> Path:
        return find(environ, explicit, self.etc)

    def test_order(self) -> None:
        """The command line goes before the variable, that before XDG, home and /etc."""
        everything = {
            "MAILNOTIFY_CONFIG": str(self.named),
            "XDG_CONFIG_HOME": str(self.root / "xdg"),
            "HOME": str(self.root),
        }
        self.assertEqual(self.found(str(self.explicit), **everything), self.explicit)
        self.assertEqual(self.found(**everything), self.named)
        del everything["MAILNOTIFY_CONFIG"]
        self.assertEqual(self.found(**everything), self.xdg)
        del everything["XDG_CONFIG_HOME"]
        self.assertEqual(self.found(**everything), self.home)
        self.home.unlink()
        self.assertEqual(self.found(**everything), self.etc)
        self.assertEqual(self.found(), self.etc)

    def test_a_named_place_is_the_only_one(self) -> None:
        """Who names a file does not get another one instead."""
        for explicit, environ in [("/none", {}), (None, {"MAILNOTIFY_CONFIG": "/none"})]:
            with self.assertRaises(ConfigMissing) as caught:
                self.found(explicit, **environ)
            self.assertEqual(caught.exception.places, (Path("/none"),))

    def test_home_folder_in_a_named_place(self) -> None:
        """`~` in the name is the home folder, also where no shell expands it."""
        environ = {"MAILNOTIFY_CONFIG": "~/named.toml", "HOME": str(self.root)}
        self.assertEqual(self.found(**environ), self.named)

    def test_nowhere(self) -> None:
        """All places are named, and the command that makes a file at the first of them."""
        self.home.unlink()
        self.etc.unlink()
        with self.assertRaises(ConfigMissing) as caught:
            self.found(HOME=str(self.root))
        error = caught.exception
        for place in [self.home, self.etc]:
            self.assertIn(f"no file {place}", str(error))
        first = f"mkdir -p {self.home.parent} && mailnotify sample-config > {self.home}\n"
        self.assertIn(first, error.remedy)

    def test_place_that_cannot_be_looked_at(self) -> None:
        """A place that the system refuses to look at is as good as none."""
        too_long = "x" * 5000
        with self.assertRaises(ConfigInvalid):
            self.found(too_long)
