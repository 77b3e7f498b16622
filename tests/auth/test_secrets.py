"""Secrets from every place, and what is told when there is none."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import keyring
from keyring.backends import fail, null
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.secrets import (
    MOST_BYTES,
    Keyring,
    installed_keyring,
    origin,
    reveal,
    reveal_token,
)
from mailnotify.config.schema import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Literal,
    Secret,
)
from mailnotify.errors import SecretUnavailable

ENVIRON = {"PATH": os.environ.get("PATH", os.defpath)}


class DictKeyring:
    """A keyring in memory; an entry may be an exception."""

    def __init__(self, entries: Mapping[tuple[str, str], str | Exception]) -> None:
        self._entries = entries

    def get_password(self, service_name: str, username: str) -> str | None:
        found = self._entries.get((service_name, username))
        if isinstance(found, Exception):
            raise found
        return found


class SecretsTestCase(SynchronousTestCase):
    """What all places share."""

    def reveal(
        self,
        secret: Secret,
        environ: Mapping[str, str] = ENVIRON,
        deadline_seconds: float = 20,
        open_keyring: Callable[[], Keyring] = installed_keyring,
    ) -> str:
        return reveal(
            secret,
            user="ada",
            environ=environ,
            deadline_seconds=deadline_seconds,
            open_keyring=open_keyring,
        )

    def reason(self, secret: Secret, **others: object) -> str:
        """Why there is none; nothing of the exception may show the secret `hunter2`."""
        with self.assertRaises(SecretUnavailable) as caught:
            self.reveal(secret, **others)  # type: ignore[arg-type]
        error = caught.exception
        self.assertIsNone(error.__context__)
        self.assertEqual(error.origin, origin(secret))
        told = "".join(traceback.format_exception(error)) + repr(error) + error.remedy
        self.assertNotIn("hunter2", told)
        return str(error.reason)


class CommandTests(SecretsTestCase):
    """A secret that a command prints."""

    def command(self, script: str) -> FromCommand:
        return FromCommand(command=("/bin/sh", "-c", script))

    def test_first_line(self) -> None:
        """The first line is the secret, whatever follows (`pass` prints notes there)."""
        for script, secret in [
            ("echo hunter2", "hunter2"),
            ("printf hunter2", "hunter2"),
            (r"printf 'hunter2\r\nurl: x\n'", "hunter2"),
            ("echo ' with spaces '", " with spaces "),
            (r"printf '\303\274'", "ü"),
            (r"printf '\357\273\277hunter2\n'", "hunter2"),
        ]:
            self.assertEqual(self.reveal(self.command(script)), secret)

    def test_failure(self) -> None:
        """The status and the first line of standard error are told, cleaned and clipped."""
        for script, reason in [
            (
                "echo not unlocked >&2; echo more >&2; exit 2",
                "it ended with status 2: not unlocked",
            ),
            ("exit 1", "it ended with status 1 and said nothing"),
            (r"printf '\033[31mred\007\377' >&2; exit 1", "it ended with status 1: [31mred\ufffd"),
            ("kill -TERM $$", "signal 15 ended it and said nothing"),
        ]:
            self.assertEqual(self.reason(self.command(script)), reason)
        self.assertLess(
            len(self.reason(self.command("head -c 9999 /dev/zero | tr '\\0' x >&2; false"))), 250
        )

    def test_failure_that_shows_the_secret(self) -> None:
        """A command that prints the secret and complains with it in its words is not quoted."""
        reason = self.reason(self.command("echo; echo hunter2; echo bad: hunter2 >&2; exit 1"))
        self.assertEqual(reason, "it ended with status 1, and what it said is not fit to be shown")

    def test_output_of_a_failure_is_not_used(self) -> None:
        """What a failing command printed is no secret."""
        self.assertEqual(
            self.reason(self.command("echo hunter2; exit 1")),
            "it ended with status 1 and said nothing",
        )

    def test_unfit_output(self) -> None:
        """Nothing, an empty line, other encodings and controls are no secret."""
        for script, reason in [
            ("true", "it is empty, or begins with an empty line"),
            ("echo; echo hunter2", "it is empty, or begins with an empty line"),
            (r"printf 'hunter2\377\n'", "its first line is not UTF-8"),
            (r"printf '\033[0mhunter2\n'", "it holds control characters, as coloured output does"),
            (
                r"printf 'hunter2\rA LOGOUT\n'",
                "it holds control characters, as coloured output does",
            ),
        ]:
            self.assertEqual(self.reason(self.command(script)), reason)

    def test_limits(self) -> None:
        """A command that hangs or prints without end is told with the limits."""
        limits = f"(0.3 s, {MOST_BYTES} bytes) and was killed"
        self.assertEqual(
            self.reason(self.command("echo hunter2; sleep 60"), deadline_seconds=0.3),
            f"it used up its time {limits}",
        )
        self.assertIn("its output", self.reason(self.command("exec yes hunter2")))

    def test_no_such_command(self) -> None:
        """A program that is not there or cannot be run is told."""
        self.assertEqual(
            self.reason(FromCommand(command=("/none", "hunter2"))), "no such file or directory"
        )
        script = Path(self.mktemp()).absolute()
        script.touch(0o600)
        self.assertEqual(self.reason(FromCommand(command=(str(script),))), "permission denied")


class FileTests(SecretsTestCase):
    """A secret in a file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.secret = FromFile(file=str(self.path))

    def write(self, data: bytes, mode: int = 0o600) -> None:
        self.path.write_bytes(data)
        self.path.chmod(mode)

    def test_first_line(self) -> None:
        """The first line is the secret, with either line end."""
        for data in [b"hunter2", b"hunter2\n", b"hunter2\r\nnotes\n"]:
            self.write(data)
            self.assertEqual(self.reveal(self.secret), "hunter2")

    def test_read_only(self) -> None:
        """0400 is as good as 0600."""
        self.write(b"hunter2", 0o400)
        self.assertEqual(self.reveal(self.secret), "hunter2")

    def test_others_can_use_it(self) -> None:
        """Any bit for group or others refuses the file."""
        for mode in [0o640, 0o604, 0o660, 0o602, 0o610, 0o601]:
            self.write(b"hunter2", mode)
            self.assertEqual(
                self.reason(self.secret),
                f"others can use it (mode {mode:04o}): chmod 600 {self.path}",
            )

    def test_credential_of_systemd(self) -> None:
        """There the bit of the group is an ACL for the service; one for others is not."""
        environ = {"CREDENTIALS_DIRECTORY": str(self.path.parent)}
        self.write(b"hunter2", 0o440)
        self.assertEqual(self.reveal(self.secret, environ), "hunter2")
        self.reason(self.secret)
        self.path.unlink()  # nobody but root could write over it
        self.write(b"hunter2", 0o444)
        self.assertIn("others can use it", self.reason(self.secret, environ=environ))

    def test_no_regular_file(self) -> None:
        """Nothing, a folder, a FIFO and a device are told, and nothing hangs."""
        self.assertEqual(self.reason(self.secret), "no such file or directory")
        os.mkfifo(self.path, 0o600)
        self.assertEqual(self.reason(self.secret), "it is not a regular file")
        self.assertEqual(self.reason(FromFile(file="/dev/zero")), "it is not a regular file")
        self.assertEqual(self.reason(FromFile(file="/")), "is a directory")

    def test_too_large(self) -> None:
        """A file that is no secret is not read to its end."""
        self.write(b"x" * (MOST_BYTES + 1))
        self.assertEqual(self.reason(self.secret), f"it is larger than {MOST_BYTES} bytes")


class EnvironmentTests(SecretsTestCase):
    """A secret in an environment variable."""

    def test_value(self) -> None:
        """The first line of the value is the secret."""
        secret = FromEnvironment(env="MAIL")
        self.assertEqual(self.reveal(secret, {"MAIL": "hunter2\n"}), "hunter2")

    def test_none(self) -> None:
        """Not set and empty are told apart; bytes that are no UTF-8 are refused."""
        secret = FromEnvironment(env="MAIL")
        self.assertEqual(self.reason(secret, environ={}), "it is not set")
        self.assertIn("it is empty", self.reason(secret, environ={"MAIL": ""}))
        self.assertIn("control", self.reason(secret, environ={"MAIL": "hunter2\udcff"}))


class AdviceTests(SecretsTestCase):
    """What to do fits the place where the secret should have been."""

    def test_each_place(self) -> None:
        """It names what a person can look at, and how."""
        path = Path(self.mktemp())
        for secret, advice in [
            (FromEnvironment(env="MAIL"), "Set MAIL where mailnotify is started"),
            (FromFile(file=str(path)), f"`ls -l {path}`"),
            (FromCommand(command=("/nowhere/pass",)), "Run the command by hand"),
        ]:
            error = self.assertRaises(SecretUnavailable, self.reveal, secret, {})
            self.assertIn(advice, error.explain())
        error = self.assertRaises(
            SecretUnavailable,
            self.reveal,
            FromKeyring(keyring="mail"),
            open_keyring=lambda: DictKeyring({}),
        )
        self.assertIn("`keyring set mail USER`", error.explain())


class TokenTests(SynchronousTestCase):
    """A program that prints an access token."""

    def reveal(self, printed: str) -> str:
        command = FromCommand(command=("printf", "%b", printed))
        return reveal_token(command, environ=ENVIRON)

    def test_token(self) -> None:
        """The first line is it; what follows is of no interest."""
        self.assertEqual(
            self.reveal("ya29.a0-Ab_c/d+e~==\\nexpires 3600\\n"), "ya29.a0-Ab_c/d+e~=="
        )

    def test_something_else(self) -> None:
        """A word beside the token, or before it, never reaches a server; nor the error."""
        for printed in ("tok3n expires soon", "Token: tok3n", "{tok3n}", "refreshing…\\ntok3n"):
            error = self.assertRaises(SecretUnavailable, self.reveal, printed)
            self.assertIn("no token (RFC 6750)", str(error))
            self.assertNotIn("tok3n", error.explain())


class KeyringTests(SecretsTestCase):
    """A secret in the keyring of the desktop."""

    secret = FromKeyring(keyring="mailnotify")

    def ring(self, found: str | Exception) -> Callable[[], Keyring]:
        return lambda: DictKeyring({("mailnotify", "ada"): found})

    def test_entry(self) -> None:
        """The entry of the service for the account's login is the secret."""
        self.assertEqual(self.reveal(self.secret, open_keyring=self.ring("hunter2")), "hunter2")

    def test_no_entry(self) -> None:
        """A missing entry is told with the login that was looked for."""
        self.assertEqual(
            self.reason(FromKeyring(keyring="other"), open_keyring=self.ring("hunter2")),
            "there is none for the user ada",
        )

    def test_empty_entry(self) -> None:
        """An empty entry is no secret."""
        self.assertIn("it is empty", self.reason(self.secret, open_keyring=self.ring("")))

    def test_any_exception_of_a_backend(self) -> None:
        """Whatever a backend raises is told in one line."""
        said = self.reason(self.secret, open_keyring=self.ring(ValueError("a\x1b\nb")))
        self.assertEqual(said, "no keyring answers here (ValueError: a b)")

    def test_not_installed(self) -> None:
        """Without the extra the command that installs it is told."""
        self.addCleanup(sys.modules.__setitem__, "keyring", keyring)
        sys.modules["keyring"] = None  # type: ignore[assignment]  # as the import system has it
        self.assertIn('pip install "mailnotify[keyring]"', self.reason(self.secret))

    def test_the_real_package(self) -> None:
        """The package `keyring` without a backend, and with an empty one, is told."""
        self.addCleanup(keyring.set_keyring, keyring.get_keyring())
        keyring.set_keyring(fail.Keyring())
        self.assertIn("NoKeyringError", self.reason(self.secret))
        keyring.set_keyring(null.Keyring())
        self.assertEqual(self.reason(self.secret), "there is none for the user ada")


class LiteralTests(SecretsTestCase):
    """A secret in the configuration itself."""

    def test_value(self) -> None:
        """It is the secret as it stands."""
        self.assertEqual(self.reveal(Literal(text="hunter2")), "hunter2")


class OriginTests(SynchronousTestCase):
    """`origin` says where a secret comes from."""

    def test_words(self) -> None:
        """Of a command only the program is shown: some put a token among its arguments."""
        cases: list[tuple[Secret, str]] = [
            (FromCommand(command=("pass", "hunter2")), "the command pass"),
            (FromFile(file="/s\x1b"), "the file /s"),
            (FromEnvironment(env="MAIL"), "the environment variable MAIL"),
            (FromKeyring(keyring="mail"), "the keyring entry mail"),
            (Literal(text="hunter2"), "the configuration itself"),
        ]
        for secret, words in cases:
            self.assertEqual(origin(secret), words)
