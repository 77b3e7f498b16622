"""The two commands that send, through a real Postfix into a real Dovecot."""

from __future__ import annotations

import atexit
import email
import os
import subprocess
import sys
import tempfile
from email import policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.smtp.wire import data_block
from tests.rigs import PATIENCE_SECONDS, child_environment, wait_until
from tests.rigs.dovecot import Dovecot
from tests.rigs.postfix import Postfix
from tests.rigs.service import account

_SEND = (sys.executable, "-m", "mailnotify", "send")
_TWISTD = (
    *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
    *("-n", "--pidfile=", "mailnotify-send"),
)

#: All that a careless sender breaks: dots at the start of lines, at the edge of the
#: 16 KiB pieces that Twisted cuts, long lines, no end of line at the end.
_AWKWARD = ".\n..\n" + "x" * 16_377 + "\n.\n.QUIT\nFrom here\n" + "y" * 3000 + "\n\t \n.end"


@cache
def servers() -> tuple[Dovecot, Postfix]:
    """One pair for all tests of this module: Postfix takes three seconds to come and go."""
    dovecot = Dovecot.start()
    atexit.register(dovecot.stop)
    postfix = Postfix.start(dovecot)
    atexit.register(postfix.stop)
    return dovecot, postfix


class PostfixSubmissionTests(SynchronousTestCase):
    """`mailnotify send` and `twistd -n mailnotify-send` over 465 and 587."""

    def setUp(self) -> None:
        self.dovecot, self.postfix = servers()
        self.directory = Path(tempfile.mkdtemp(dir=self.dovecot.directory))
        wait_until(lambda: self.postfix.is_idle, "the end of what was sent before")
        self._seen = len(self._mailbox())

    def _config(self, url: str, password: str = "ada") -> Path:
        server = f"imaps://ada@localhost:{self.dovecot.imaps_port}"
        table = account("home", server, ca_file=self.dovecot.ca_file, password=password)
        path = self.directory / "config.toml"
        path.touch(mode=0o600)
        path.write_text(
            f'{table}[accounts.home.submission]\nserver = "{url}"\n'
            'sender = "Ada Lovelace <ada@localhost>"\n'
        )
        return path

    def tls(self, user: str = "ada") -> str:
        """The URL of submission inside TLS."""
        return f"smtps://{user}@localhost:{self.postfix.tls_port}"

    def starttls(self) -> str:
        """The URL of submission with STARTTLS."""
        return f"smtp+starttls://ada@localhost:{self.postfix.starttls_port}"

    def send(
        self,
        url: str,
        *arguments: str,
        command: tuple[str, ...] = _SEND,
        text: str = "hello\n",
        password: str = "ada",
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the commands to its end."""
        config = self._config(url, password)
        return subprocess.run(
            [*command, "--config", str(config), *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=child_environment(),
            timeout=PATIENCE_SECONDS,
        )

    def _mailbox(self) -> list[bytes]:
        """The letters of `demo`, oldest first, as they lie on the disk."""
        return [each.content for each in self.dovecot.letters("demo")]

    def received(self) -> bytes:
        """The one letter that arrives for `demo`, from the first header of its sender on."""
        wait_until(lambda: len(self._mailbox()) > self._seen, "the letter")
        letters = self._mailbox()
        self.assertEqual(len(letters), self._seen + 1)
        raw = letters[-1]
        return raw[raw.index(b"\nFrom: ") + 1 :]

    def parsed(self) -> EmailMessage:
        """The same, taken apart."""
        message: Any = email.message_from_bytes(self.received(), policy=policy.default)
        return message

    def assert_nothing_sent(self) -> None:
        """Postfix has seen no letter in this test, so none can arrive."""
        self.assertEqual(len(self._mailbox()), self._seen)

    def assert_failed(self, done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
        """One sentence with these words, a remedy, no traceback, no password."""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 2, done.stderr)
        self.assertNotIn("Traceback", done.stdout + done.stderr)

    def test_tls(self) -> None:
        """A letter goes out inside TLS and arrives with all that it had."""
        attached = self.directory / "Übersicht.bin"
        attached.write_bytes(bytes(range(256)) * 200)
        done = self.send(
            self.tls(), "--to", "Demo <demo@localhost>", "--subject", "Grüße ☕",
            "--attach", str(attached), text="Schöne Grüße\n.\n",
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("queued as", done.stdout)
        message = self.parsed()
        self.assertEqual(message["subject"], "Grüße ☕")
        self.assertEqual(message["from"], "Ada Lovelace <ada@localhost>")
        text, file = message.iter_parts()
        self.assertEqual(text.get_content().splitlines(), ["Schöne Grüße", "."])
        self.assertEqual(file.get_filename(), "Übersicht.bin")
        self.assertEqual(file.get_content(), bytes(range(256)) * 200)

    def test_starttls(self) -> None:
        """The same over the port with STARTTLS."""
        done = self.send(self.starttls(), "--to", "demo@localhost", "--subject", "secured later")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.parsed()["subject"], "secured later")

    def test_twistd(self) -> None:
        """`twistd -n mailnotify-send` sends the same way and ends with 0."""
        done = self.send(self.tls(), "--to", "demo@localhost", "--body", "hi", command=_TWISTD)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.parsed().get_content(), "hi\n")

    def test_byte_equal(self) -> None:
        """What arrives is what was sent, byte for byte, however awkward the text is."""
        done = self.send(self.tls(), "--to", "demo@localhost", "--subject", ".", text=_AWKWARD)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.parsed().get_content(), _AWKWARD + "\n")

    def test_raw_bytes(self) -> None:
        """A 7-bit message handed to the server core arrives without a changed byte."""
        message = b"From: ada@localhost\nSubject: raw\nMessage-ID: <raw@x>\nDate: x\n"
        message += b"To: demo@localhost\n\n.\n..\r\n" + b"." * 900 + b"\r.\n" + b".z\n" * 40_000
        message += b"end"
        script = (
            "import sys; from mailnotify.taps import send, errand; import msgspec\n"
            "ready = errand.prepare\n"
            "def raw(*a, **k):\n"
            "    return msgspec.structs.replace(ready(*a, **k), message=sys.stdin.buffer.read())\n"
            "send.prepare = raw\n"
            "sys.exit(send.main(sys.argv[1:]))"
        )
        command = (sys.executable, "-c", script)
        done = self.send(
            self.tls(), "--to", "demo@localhost", "--body", "-", command=command,
            text=message.decode(),
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n"
        self.assertEqual(self.received().replace(b"\r\n", b"\n"), lines)
        self.assertIn(b"\r\n...\r\n", data_block(message))

    def test_wrong_password(self) -> None:
        """A wrong password is told in the server's words, after one attempt."""
        before = self.postfix.log.count("authentication failed")
        for url in (self.tls(), self.starttls()):
            done = self.send(url, "--to", "demo@localhost", password="wr0ng-s3cret")
            self.assert_failed(done, os.EX_NOPERM, "refused the login of ada", "535")
            self.assertNotIn("wr0ng", done.stderr)
        self.assertEqual(self.postfix.log.count("authentication failed"), before + 2)
        self.assert_nothing_sent()

    def test_refused_recipient(self) -> None:
        """An unknown recipient is told in the server's words."""
        done = self.send(self.tls(), "--to", "nobody@localhost")
        self.assert_failed(done, os.EX_NOUSER, "nobody@localhost: 550", "User unknown")
        self.assert_nothing_sent()

    def test_partly_refused(self) -> None:
        """One unknown recipient does not keep the letter from the others."""
        done = self.send(self.tls(), "--to", "nobody@localhost, demo@localhost", "--body", "part")
        self.assert_failed(done, os.EX_NOUSER, "accepted for demo@localhost")
        self.assertEqual(self.parsed().get_content(), "part\n")

    def test_blind_copy(self) -> None:
        """A blind recipient gets the letter and stands nowhere in it."""
        done = self.send(self.tls(), "--to", "ada@localhost", "--bcc", "demo@localhost")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b"demo", self.received())

    def test_certificates(self) -> None:
        """An expired certificate and another host's end it before the password."""
        good = self.dovecot.certificates
        self.addCleanup(self.postfix.present, good.cert_file, good.key_file)
        for stem, names, expired, reason in (
            ("expired", ("localhost", "127.0.0.1"), True, "it expired on 20"),
            ("elsewhere", ("mail.example.org",), False, "not for the name localhost"),
        ):
            cert_file, key_file = good.issue(stem, *names, expired=expired)
            self.postfix.present(cert_file, key_file)
            before = self.postfix.log.count("sasl_username")
            for url in (self.tls(), self.starttls()):
                for command in (_SEND, _TWISTD):
                    done = self.send(url, "--to", "demo@localhost", command=command)
                    self.assert_failed(done, os.EX_PROTOCOL, "certificate of localhost", reason)
            self.assertEqual(self.postfix.log.count("sasl_username"), before)
        self.assert_nothing_sent()

    def test_twistd_exit_code(self) -> None:
        """What went wrong arrives as an exit code through twistd too."""
        done = self.send(self.tls(), "--to", "nobody@localhost", command=_TWISTD)
        self.assert_failed(done, os.EX_NOUSER, "nobody@localhost: 550")
        done = self.send(self.tls(), "--to", "no address", command=_TWISTD)
        self.assert_failed(done, os.EX_DATAERR, "no address")

    def test_nobody_there(self) -> None:
        """A server that is not there is worth another attempt."""
        done = self.send("smtps://ada@localhost:1", "--to", "demo@localhost")
        self.assert_failed(done, os.EX_TEMPFAIL, "no connection to localhost:1", "refused")

    def test_wrong_port(self) -> None:
        """TLS spoken to the port with STARTTLS is named as that."""
        url = f"smtps://ada@localhost:{self.postfix.starttls_port}"
        done = self.send(url, "--to", "demo@localhost")
        self.assert_failed(done, os.EX_PROTOCOL, "TLS handshake failed")
