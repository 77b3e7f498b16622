"""Where a secret comes from, and who vouches for a server."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import (
    CaFile,
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Literal,
    Pinned,
    Secret,
    SystemTrust,
    Trust,
)
from tests.config.documents import ACCOUNT, account, account_problem, read

URL = 'server = "imaps://ada@imap.example.org"\n'
COLONS = ":".join(["AB"] * 32)


class SecretTests(SynchronousTestCase):
    """The value of `password`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def secret(self, written: str) -> Secret:
        return account(f"{URL}password = {written}", file=self.folder / "config.toml").password

    def test_forms(self) -> None:
        """Each way to name a secret is read."""
        self.assertEqual(
            self.secret('{command = ["pass", "mail"]}'), FromCommand(command=("pass", "mail"))
        )
        self.assertEqual(self.secret('{env = "NAME"}'), FromEnvironment(env="NAME"))
        self.assertEqual(self.secret('{keyring = "mail"}'), FromKeyring(keyring="mail"))
        self.assertEqual(self.secret('"hunter2"'), Literal(text="hunter2"))

    def test_paths(self) -> None:
        """Files, and programs with a slash, are found beside the configuration or at home."""
        self.assertEqual(self.secret('{file = "s"}'), FromFile(file=f"{self.folder}/s"))
        self.assertEqual(self.secret('{file = "~/s"}'), FromFile(file="/home/ada/s"))
        self.assertEqual(
            self.secret('{command = ["./get", "~"]}'),
            FromCommand(command=(f"{self.folder}/get", "~")),
        )

    def test_credential_of_systemd(self) -> None:
        """A bare name is a systemd credential if there is one of that name."""
        (self.folder / "imap").touch(0o440)
        environ = {"CREDENTIALS_DIRECTORY": str(self.folder)}
        for written, path in [
            ("imap", f"{self.folder}/imap"),
            ("other", "/home/ada/mail/other"),
            ("./imap", "/home/ada/mail/imap"),
        ]:
            text = ACCOUNT.replace('{env = "SECRET"}', f'{{file = "{written}"}}')
            config = read(text, environ=environ)
            self.assertEqual(config.accounts[0].password, FromFile(file=path))

    def test_name_beyond_all_measure(self) -> None:
        """A name that no file can have is left for the moment when the file is read."""
        name = "x" * 5000
        self.assertEqual(
            self.secret(f'{{file = "{name}"}}'), FromFile(file=f"{self.folder}/{name}")
        )

    def test_file_that_others_can_read(self) -> None:
        """A secret's file with a bit for group or others is told with the cure."""
        path = self.folder / "s"
        path.touch(0o600)
        path.chmod(0o604)
        found = account_problem(f'password = {{file = "{path}"}}')
        self.assertEqual(found.found, f"{path} with mode 0604")
        self.assertEqual(found.hint, f"chmod 600 {path}")

    def test_misfits(self) -> None:
        """What names no secret is told without showing it."""
        for written, found in [
            ('""', "an empty text"),
            ('"hunter2\\n"', "a text with control characters"),
            ("31337", "a number"),
            ("{}", "a table"),
            ('{file = "a", env = "hunter2"}', "a table with env and file"),
            ('{"hunter 2" = 1}', "a table with another key"),
            ('{env = ""}', "a table with env"),
            ('{file = "a\\u0000hunter2"}', "a table with file"),
            ('{keyring = "a\\u0000hunter2"}', "a table with keyring"),
            ('{command = "echo hunter2"}', "a command that is a text"),
            ("{command = []}", "a command that is an empty list"),
            ('{command = ["echo", 31337]}', "a command that is a list"),
            ('{command = ["hunter2\\u0000"]}', "a command that is a list"),
        ]:
            told = account_problem(f"password = {written}")
            self.assertEqual((told.path, told.found), ("accounts.home.password", found))
            self.assertNotIn("hunter", str(told))
            self.assertNotIn("31337", str(told))

    def test_digits(self) -> None:
        """A password of digits only needs quotes."""
        self.assertIn("quotes", account_problem("password = 31337").hint)

    def test_literal_in_a_file_for_all(self) -> None:
        """A password in a file that others can read is refused, and not shown."""
        found = account_problem('password = "hunter2"', mode=0o644)
        self.assertEqual(found.found, "a secret in a file with mode 0644")
        self.assertEqual(found.hint, "chmod 600 /home/ada/mail/config.toml")
        self.assertNotIn("hunter2", str(found))


class TrustTests(SynchronousTestCase):
    """The value of `trust`."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp()).absolute()

    def trust(self, written: str) -> Trust:
        return account(f'{URL}password = "x"\ntrust = {written}').trust

    def test_forms(self) -> None:
        """The system, a CA file or one certificate by its fingerprint."""
        self.file.write_text("-----BEGIN CERTIFICATE-----\n")
        self.assertEqual(self.trust('"system"'), SystemTrust())
        self.assertEqual(self.trust(f'{{ca_file = "{self.file}"}}'), CaFile(ca_file=str(self.file)))

    def test_fingerprints(self) -> None:
        """A fingerprint may be written as openssl and browsers show it."""
        for written in [COLONS, "ab" * 32, f"sha256 Fingerprint={COLONS}", f"SHA-256:{COLONS}"]:
            self.assertEqual(
                self.trust(f'{{fingerprint = "{written}"}}'), Pinned(fingerprint="ab" * 32)
            )

    def test_misfits(self) -> None:
        """Nothing turns verification off; what names no trust is told."""
        for written, found in [
            ("false", "false"),
            ('"none"', "a text"),
            ('{fingerprint = "abcd"}', "a fingerprint that is no SHA-256 in hex"),
            (
                f'{{fingerprint = "{COLONS}", ca_file = "x"}}',
                "a table with ca_file and fingerprint",
            ),
            ("{fingerprint = 5}", "a table with fingerprint"),
            ('{ca_file = "\\u0000"}', "a table with ca_file"),
        ]:
            told = account_problem(f"trust = {written}")
            self.assertEqual((told.path, told.found), ("accounts.home.trust", found))

    def test_ca_files_that_are_none(self) -> None:
        """A missing file or one without certificates is told before the first connection."""
        line = f'trust = {{ca_file = "{self.file}"}}'
        self.assertEqual(account_problem(line).found, f"{self.file}: no such file or directory")
        self.file.write_text("-----BEGIN PRIVATE KEY-----\n")
        self.assertEqual(account_problem(line).found, f"{self.file}: no certificate in it")
