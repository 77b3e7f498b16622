"""One account: its server, mailboxes, trust and submission."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.connecting import Compress
from mailnotify.config.providers import connections_for
from mailnotify.config.schema import (
    FromEnvironment,
    FromKeyring,
    Pinned,
    Security,
    Server,
    SystemTrust,
)
from tests.config.documents import account, account_problem, problems_of

SECRET = 'password = {env = "S"}\n'
URL = 'server = "imaps://ada%40example.org@imap.example.org"\n'
PIN = "ab" * 32


class CompressTests(SynchronousTestCase):
    """Whether connections may be compressed."""

    def test_default(self) -> None:
        """Where it is worth it."""
        self.assertIs(account(SECRET + URL).compress, Compress.AUTO)

    def test_off(self) -> None:
        """Never."""
        self.assertIs(account(SECRET + URL + 'compress = "off"').compress, Compress.OFF)
        self.assertIs(account(SECRET + URL + 'compress = "auto"').compress, Compress.AUTO)

    def test_another_word(self) -> None:
        """It is refused, with the two that there are."""
        found = account_problem(URL + 'compress = "zip"')
        self.assertEqual(
            (found.path, found.expected), ("accounts.home.compress", '"auto" or "off"')
        )


class ServerTests(SynchronousTestCase):
    """Which server the account is at."""

    def test_provider(self) -> None:
        """A provider and a user stand for both servers."""
        read = account(SECRET + 'provider = "Gmail"\nuser = "ada@gmail.com"')
        self.assertEqual(str(read.server), "imap.gmail.com:993")
        self.assertEqual(read.server.user, "ada@gmail.com")
        assert read.submission is not None
        self.assertEqual(str(read.submission.server), "smtp.gmail.com:465")
        self.assertEqual(read.submission.sender, "ada@gmail.com")
        self.assertEqual(read.submission.password, FromEnvironment(env="S"))

    def test_provider_with_short_logins(self) -> None:
        """iCloud wants the local part for reading and the address for sending."""
        read = account(SECRET + 'provider = "icloud"\nuser = "ada@me.com"')
        assert read.submission is not None
        self.assertEqual((read.server.user, read.submission.server.user), ("ada", "ada@me.com"))
        self.assertIs(read.submission.server.security, Security.STARTTLS)

    def test_provider_without_an_address(self) -> None:
        """A login that is no address can read, and cannot send without a sender."""
        self.assertIsNone(account(SECRET + 'provider = "gmx"\nuser = "12345"').submission)

    def test_user_beside_the_url(self) -> None:
        """The user may stand beside the URL, where an @ needs no %40."""
        read = account(SECRET + 'server = "imaps://imap.example.org"\nuser = "a@example.org"')
        self.assertEqual(read.server.user, "a@example.org")

    def test_user_with_controls(self) -> None:
        """A user with a line end could add a command; it is refused."""
        found = account_problem('provider = "gmail"\nuser = "a\\r\\nb"')
        self.assertEqual(found.found, "a text with control characters")

    def test_two_users(self) -> None:
        """Two different users are one too many."""
        found = account_problem(URL + 'user = "bob"')
        self.assertEqual(found.path, "accounts.home.user")

    def test_unknown_provider(self) -> None:
        """A misspelt provider is told with the one that was meant."""
        found = account_problem('provider = "gmial"\nuser = "ada"')
        self.assertEqual((found.found, found.hint), ('"gmial"', "Did you mean `gmail`?"))
        self.assertIn("fastmail", found.expected)

    def test_provider_that_is_a_url(self) -> None:
        """A URL in the wrong place is not shown: it may hold a password."""
        found = account_problem('provider = "imaps://a:hunter2@h"\nuser = "ada"')
        self.assertEqual(found.found, "a text")
        self.assertNotIn("hunter2", str(found))

    def test_provider_with_a_sender_and_a_mistake(self) -> None:
        """An unknown provider is told once, not again for the submission."""
        found = account_problem(
            'provider = "x"\nuser = "a"\n[accounts.home.submission]\nsender = "a@b"'
        )
        self.assertEqual(found.path, "accounts.home.provider")

    def test_missing_user(self) -> None:
        """A provider needs a user."""
        self.assertEqual(account_problem('provider = "gmail"').path, "accounts.home.user")

    def test_server_and_provider(self) -> None:
        """A server and a provider are one too many."""
        found = account_problem(URL + 'provider = "gmail"')
        self.assertEqual(found.path, "accounts.home.provider")

    def test_neither(self) -> None:
        """An account without a server is told both ways to name one."""
        found = problems_of("[accounts.home]\n" + SECRET)["accounts.home.server"]
        self.assertIn("imaps://USER@HOST", found.expected)
        self.assertIn("`provider`", found.hint)

    def test_server_of_the_wrong_type(self) -> None:
        """A server that is no text is one problem, not two."""
        self.assertEqual(account_problem("server = 5").found, "a number")

    def test_bridge_needs_trust(self) -> None:
        """The Proton Bridge signs its own certificate: without `trust` it could not be used."""
        lines = 'provider = "protonbridge"\nuser = "ada@proton.me"\n'
        self.assertEqual(account_problem(lines).path, "accounts.home.trust")
        read = account(SECRET + lines + f'trust = {{fingerprint = "{PIN}"}}')
        self.assertEqual(str(read.server), "127.0.0.1:1143")
        assert read.submission is not None
        self.assertEqual(read.submission.trust, Pinned(fingerprint=PIN))


class PreviewTests(SynchronousTestCase):
    """How much of a text is told."""

    def test_default(self) -> None:
        """Nothing: what is told may be shown where others look."""
        self.assertEqual(account(SECRET + URL).preview_bytes, 0)

    def test_chosen(self) -> None:
        """Up to 1000 bytes."""
        self.assertEqual(account(SECRET + URL + "preview_bytes = 1000").preview_bytes, 1000)
        problem = account_problem(SECRET + URL + "preview_bytes = 1001")
        self.assertEqual(problem.path, "accounts.home.preview_bytes")

    def test_backfill(self) -> None:
        """None without a word, and at most a year."""
        self.assertEqual(account(SECRET + URL).backfill_days, 0)
        self.assertEqual(account(SECRET + URL + "backfill_days = 7").backfill_days, 7)
        problem = account_problem(SECRET + URL + "backfill_days = 366")
        self.assertEqual(problem.path, "accounts.home.backfill_days")


class CopiesTests(SynchronousTestCase):
    """Whether each place of a message is news."""

    def test_switch(self) -> None:
        """Off unless it is wanted, and nothing but true or false."""
        self.assertFalse(account(SECRET + URL).announce_copies)
        self.assertTrue(account(SECRET + URL + "announce_copies = true").announce_copies)
        problem = account_problem(SECRET + URL + "announce_copies = 1")
        self.assertEqual(problem.path, "accounts.home.announce_copies")


class ConnectionsTests(SynchronousTestCase):
    """How many connections an account may hold."""

    def test_default(self) -> None:
        """What the provider is known to allow, less what other programs need."""
        self.assertEqual(account(SECRET + URL).connections, 0)
        gmail = account(SECRET + 'provider = "gmail"\nuser = "ada@gmail.com"')
        self.assertEqual(connections_for(gmail.server), 10)
        self.assertEqual(connections_for(account(SECRET + URL).server), 4)

    def test_chosen(self) -> None:
        """The operator knows better."""
        self.assertEqual(account(SECRET + URL + "connections = 1").connections, 1)
        self.assertEqual(
            account_problem(URL + "connections = -1").path, "accounts.home.connections"
        )


class AccountTests(SynchronousTestCase):
    """The rest of the account."""

    def test_missing_password(self) -> None:
        """An account without a secret is told."""
        found = problems_of("[accounts.home]\n" + URL)["accounts.home.password"]
        self.assertEqual(found.found, "nothing")

    def test_names(self) -> None:
        """A name is printable and short; its path is quoted where TOML would."""
        good = URL + SECRET
        self.assertEqual(problems_of(f'[accounts."ada@example.org"]\n{good}'), {})
        self.assertEqual(set(problems_of(f'[accounts.""]\n{good}')), {'accounts.""'})
        self.assertEqual(len(problems_of(f'[accounts."a\\nb"]\n{good}')), 1)
        self.assertEqual(len(problems_of(f"[accounts.{'x' * 65}]\n{good}")), 1)

    def test_mailboxes(self) -> None:
        """Mailboxes are a list of different names, patterns, and exceptions from these."""
        for written, found in [
            ("[]", "an empty list"),
            ('"INBOX"', "a text"),
            ("[1]", "a number in the list"),
            ('[""]', "an empty text in the list"),
            ('["a\\u0007"]', "a text with control characters in the list"),
            ('["INBOX", "!Lists/spam"]', 'the exception "!Lists/spam" without a pattern'),
            ('["!Lists/*"]', 'the exception "!Lists/*" without a pattern'),
            ('["Lists/*", "!"]', "a lone !"),
            ('["Lists/*", "Lists/*"]', '"Lists/*" 2 times'),
            (f'["{"x" * 301}"]', "a name of 301 characters"),
            ('["INBOX", "Inbox"]', '"INBOX" 2 times'),
        ]:
            told = account_problem(f"mailboxes = {written}")
            self.assertEqual((told.path, told.found), ("accounts.home.mailboxes", found))

    def test_patterns(self) -> None:
        """They are told apart from names, and nothing is changed in them."""
        written = ["INBOX", "Lists/*", "!Lists/spam", "Größe/%"]
        found = account(f"{SECRET}{URL}mailboxes = {json.dumps(written)}")
        self.assertEqual(found.mailboxes, tuple(written))
        self.assertEqual(found.wanted.names, ("INBOX",))
        self.assertEqual(found.wanted.patterns, ("Lists/*", "Größe/%"))
        self.assertEqual(found.wanted.exceptions, ("Lists/spam",))

    def test_words_of_other_programs(self) -> None:
        """What other programs call it is told with our word."""
        for line, hint in [
            ('host = "x"', "Write it into `server`."),
            ('username = "x"', "Write it as `user`."),
            ('folders = ["x"]', "Write it as `mailboxes`."),
            ("verify = false", "See `trust`."),
            ('passwordeval = "hunter2"', "Write it as `password`."),
            ("ssl = true", "The scheme of `server` says it."),
        ]:
            told = account_problem(line)
            self.assertEqual(told.hint, hint)
            self.assertNotIn("hunter2", str(told))


class SubmissionTests(SynchronousTestCase):
    """How the account sends."""

    TABLE = URL + SECRET + f'trust = {{fingerprint = "{PIN}"}}\n[accounts.home.submission]\n'

    def test_defaults(self) -> None:
        """User, sender, password and trust are the account's."""
        sends = account(self.TABLE + 'server = "smtp+starttls://smtp.example.org"').submission
        assert sends is not None
        self.assertEqual(
            sends.server,
            Server(
                host="smtp.example.org",
                port=587,
                security=Security.STARTTLS,
                user="ada@example.org",
            ),
        )
        self.assertEqual(sends.sender, "ada@example.org")
        self.assertEqual(sends.password, FromEnvironment(env="S"))
        self.assertEqual(sends.trust, Pinned(fingerprint=PIN))

    def test_own(self) -> None:
        """All of them may be its own."""
        sends = account(
            self.TABLE
            + 'server = "smtps://relay@smtp.example.org:2465"\nsender = "Ada <a@example.org>"\n'
            + 'password = {keyring = "smtp"}\ntrust = "system"'
        ).submission
        assert sends is not None
        self.assertEqual((sends.server.user, sends.server.port), ("relay", 2465))
        self.assertEqual(sends.sender, "Ada <a@example.org>")
        self.assertEqual(sends.password, FromKeyring(keyring="smtp"))
        self.assertEqual(sends.trust, SystemTrust())

    def test_own_sender_at_a_provider(self) -> None:
        """With a provider the table may hold the sender alone."""
        sends = account(
            SECRET
            + 'provider = "gmx"\nuser = "12345"\n[accounts.home.submission]\nsender = "a@gmx.net"'
        ).submission
        assert sends is not None
        self.assertEqual((str(sends.server), sends.sender), ("mail.gmx.net:465", "a@gmx.net"))

    def test_problems(self) -> None:
        """A missing server, a server of the wrong kind, no sender: each is told."""
        for lines, key in [
            ('sender = "a@b.example"', "server"),
            ('server = "imaps://smtp.example.org"', "server"),
            ('server = "smtp://smtp.example.org"', "server"),
            ('server = "smtps://relay@smtp.example.org"', "sender"),
            ('server = "smtps://smtp.example.org"\nsender = "Ada"', "sender"),
            ('server = "smtps://smtp.example.org"\nsender = "a@b, c@d"', "sender"),
            ('server = "smtps://smtp.example.org"\nsender = "a@b\\r\\nBcc: c@d"', "sender"),
            ('server = "smtps://smtp.example.org"\nsenders = "a@b"', "senders"),
        ]:
            told = account_problem(self.TABLE + lines)
            self.assertEqual(told.path, f"accounts.home.submission.{key}")
