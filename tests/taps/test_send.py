"""Tests for `mailnotify.taps.send`, `errand` and `outcome`."""

from __future__ import annotations

import email
import io
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.sasl import Credentials, Password
from mailnotify.config.schema import Account, CaFile, Literal, Security, Server, Submission
from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    ConfigInvalid,
    DeadlinePassed,
    LetterInvalid,
    LoginDenied,
    NotConnected,
    OutcomeUnknown,
    ProtocolViolated,
    Refusal,
    SecretUnavailable,
    SubmissionFailed,
)
from mailnotify.smtp.compose import Envelope
from mailnotify.taps.errand import MOST_BYTES, Errand, prepare
from mailnotify.taps.outcome import INTERRUPTED, complaint, exit_code
from mailnotify.taps.send import Options, Sending, main
from tests.rigs import child_environment
from tests.smtp.memory import MemoryConnector
from tests.smtp.scripted import STALL, Behaviour, ScriptedServer
from tests.smtp.test_submit import PASSWORD, certificates, presenting

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

_ACCOUNT = """
[accounts.{name}]
server = "imaps://{name}@mail.example.org"
password = "{password}"
"""
_SUBMISSION = """
[accounts.{name}.submission]
server = "smtps://{name}@mail.example.org"
sender = "{name} <{name}@example.org>"
"""


class Terminal(io.BytesIO):
    """A standard input that a person sits at."""

    def isatty(self) -> bool:
        return True


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def parse(self, *arguments: str) -> Options:
        """The options of these arguments."""
        options = Options()
        options.parseOptions(list(arguments))
        return options

    def test_repeated(self) -> None:
        """Recipients and files may be given again and again, in order."""
        options = self.parse(
            *("--to", "a@x", "-t", "b@x", "--cc", "c@x", "--bcc", "d@x"),
            *("--attach", "e", "--attach", "f"),
        )
        self.assertEqual(options["to"], ["a@x", "b@x"])
        self.assertEqual((options["cc"], options["bcc"]), (["c@x"], ["d@x"]))
        self.assertEqual(options["attach"], ["e", "f"])

    def test_nobody(self) -> None:
        """A letter without a recipient is refused; a blind one is enough."""
        self.assertRaises(usage.UsageError, self.parse, "--subject", "x")
        self.parse("--bcc", "a@x")

    def test_stray_words(self) -> None:
        """A word that is no option is named."""
        error = self.assertRaises(usage.UsageError, self.parse, "--to", "a@x", "hello")
        self.assertIn("'hello'", str(error))


class PrepareTests(SynchronousTestCase):
    """From the command line to a letter."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=self.mktemp_folder()))
        self.configure("ada")

    def mktemp_folder(self) -> Path:
        """A folder of this test."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        return folder.absolute()

    def configure(self, *senders: str, others: tuple[str, ...] = ()) -> None:
        """Write a configuration with these accounts."""
        text = "".join(
            (_ACCOUNT + _SUBMISSION).format(name=name, password=PASSWORD) for name in senders
        )
        text += "".join(_ACCOUNT.format(name=name, password=PASSWORD) for name in others)
        path = self.directory / "config.toml"
        path.touch(mode=0o600)
        path.write_text(text)

    def prepare(self, *arguments: str, stdin: io.BytesIO | None = None) -> Errand:
        """What these arguments come to."""
        options = Options()
        config = str(self.directory / "config.toml")
        options.parseOptions(["--config", config, "--to", "bob@example.org", *arguments])
        return prepare(options, environ={}, stdin=stdin or io.BytesIO(b"from stdin\n"), now=NOON)

    def message(self, errand: Errand) -> EmailMessage:
        """The letter, taken apart."""
        message: Any = email.message_from_bytes(errand.message, policy=policy.default)
        return message

    def refuse(self, field: str, *arguments: str, **kwargs: Any) -> LetterInvalid:
        """These arguments make no letter, because of that field."""
        error = self.assertRaises(LetterInvalid, self.prepare, *arguments, **kwargs)
        self.assertEqual(error.field, field)
        return error

    def test_letter(self) -> None:
        """The letter has the account's sender, a date, and an identity of its own."""
        errand = self.prepare("--subject", "Grüße", "--cc", "c@x.org, d@x.org", "--bcc", "e@x.org")
        message = self.message(errand)
        self.assertEqual(message["from"], "ada <ada@example.org>")
        self.assertEqual(message["subject"], "Grüße")
        self.assertEqual(message["date"].datetime, NOON)
        self.assertTrue(message["message-id"].endswith("@example.org>"))
        self.assertEqual(message.get_content().strip(), "from stdin")
        self.assertEqual(
            errand.envelope.recipients, ("bob@example.org", "c@x.org", "d@x.org", "e@x.org")
        )
        self.assertEqual(errand.submission.server.host, "mail.example.org")
        again = self.message(self.prepare())
        self.assertNotEqual(message["message-id"], again["message-id"])

    def test_body(self) -> None:
        """A body on the command line leaves the standard input alone; it may be empty."""
        stdin = io.BytesIO(b"unread")
        self.assertEqual(
            self.message(self.prepare("--body", "hi", stdin=stdin)).get_content(), "hi\r\n"
        )
        self.assertEqual(stdin.tell(), 0)
        self.assertEqual(
            self.message(self.prepare("--body", "", stdin=stdin)).get_content().strip(), ""
        )

    def test_terminal(self) -> None:
        """Who is asked for a text at a terminal is told how to end it."""
        stderr, sys.stderr = sys.stderr, io.StringIO()
        try:
            self.prepare(stdin=Terminal(b"typed"))
            self.assertIn("Ctrl-D", sys.stderr.getvalue())
        finally:
            sys.stderr = stderr

    def test_sender(self) -> None:
        """Another identity may sign, and bounces go there."""
        errand = self.prepare("--from", "Alter <ego@example.net>")
        self.assertEqual(errand.envelope.sender, "ego@example.net")
        self.assertEqual(self.message(errand)["from"], "Alter <ego@example.net>")
        self.refuse("sender", "--from", "a@x.org\r\nBcc: eve@x.org")

    def test_files(self) -> None:
        """Files go with the letter by their name and a type that fits."""
        arguments = []
        for name in ("a.pdf", "b.txt.gz", "c.eml", "d"):
            (self.directory / name).write_bytes(b"\0\xff")
            arguments += ["--attach", str(self.directory / name)]
        (self.directory / "x.html").write_text("<p>ü", encoding="utf-8")
        arguments += ["--html", str(self.directory / "x.html")]
        message = self.message(self.prepare(*arguments))
        parts = list(message.iter_attachments())
        self.assertEqual(
            [each.get_filename() for each in parts], ["a.pdf", "b.txt.gz", "c.eml", "d"]
        )
        plain = "application/octet-stream"
        self.assertEqual(
            [each.get_content_type() for each in parts], ["application/pdf", plain, plain, plain]
        )
        self.assertEqual(parts[0].get_content(), b"\0\xff")
        html: Any = message.get_body(("html",))
        self.assertEqual(html.get_content().strip(), "<p>ü")

    def test_bad_files(self) -> None:
        """A file that is not there, too big or no text is named."""
        missing = str(self.directory / "missing")
        self.assertIn("No such file", str(self.refuse("attachment", "--attach", missing)))
        self.refuse("html", "--html", missing)
        self.refuse("attachment", "--attach", str(self.directory))
        big = self.directory / "big"
        with big.open("wb") as stream:
            stream.truncate(MOST_BYTES + 1)
        self.refuse("attachment", "--attach", str(big))
        self.assertIn("byte 1", str(self.refuse("body", stdin=io.BytesIO(b"a\xff"))))

    def test_injection(self) -> None:
        """No option can forge a header line."""
        self.refuse("subject", "--subject", "x\nBcc: eve@x.org")
        self.refuse("to", "--to", "a@x.org\r\nBcc: eve@x.org")
        self.refuse("bcc", "--bcc", "a@x.org\n")

    def test_accounts(self) -> None:
        """With several accounts that send, one must be named, and must be one of them."""
        self.configure("ada", "bob", others=("eve",))
        error = self.assertRaises(usage.UsageError, self.prepare)
        self.assertIn("ada, bob", str(error))
        self.assertRaises(usage.UsageError, self.prepare, "--account", "eve")
        errand = self.prepare("--account", "bob")
        self.assertEqual(errand.submission.server.user, "bob")

    def test_no_account(self) -> None:
        """A configuration that sends no mail is told as that."""
        self.configure(others=("eve",))
        error = self.assertRaises(ConfigInvalid, self.prepare)
        self.assertIn("none that sends mail", str(error))

    def test_main(self) -> None:
        """What goes wrong before the network is an exit code and a sentence."""
        config = str(self.directory / "config.toml")
        for arguments, code in (
            ([], os.EX_USAGE),
            (["--to", "a@x.org", "--config", "/nowhere"], os.EX_CONFIG),
            (["--to", "no address", "--body", "", "--config", config], os.EX_DATAERR),
            (["--to", "a@x.org", "--account", "eve", "--config", config], os.EX_USAGE),
        ):
            stderr, sys.stderr = sys.stderr, io.StringIO()
            stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
            try:
                self.assertEqual(main(arguments), code)
                said = sys.stderr.getvalue()
            finally:
                sys.stderr, sys.stdin = stderr, stdin
            self.assertTrue(said.startswith("mailnotify send: "), said)
            self.assertNotIn("Traceback", said)


class SendingTests(SynchronousTestCase):
    """The service that sends."""

    def make(self, behaviour: Behaviour, password: str | Exception = PASSWORD) -> Sending:
        """A service, and a server that does as it is told."""
        self.clock = Clock()
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.done: list[int] = []
        options = presenting("good", "localhost")
        self.connector = MemoryConnector(
            self.clock, lambda: ScriptedServer(behaviour, self.clock, options)
        )
        server = Server(host="localhost", port=465, security=Security.IMPLICIT_TLS, user="ada")
        submission = Submission(
            server=server,
            sender="ada@x.org",
            password=Literal(text=PASSWORD),
            trust=CaFile(ca_file=str(certificates().ca_file)),
        )
        account = Account(
            name="ada", server=server, password=Literal(text=PASSWORD), submission=submission
        )
        errand = Errand(
            envelope=Envelope(sender="ada@x.org", recipients=("bob@x.org",)),
            message=b"x",
            account=account,
            state_dir="unused",
        )

        def ask(asked: Account) -> Deferred[Credentials]:
            self.assertIs(asked, account)
            return (
                fail(password)
                if isinstance(password, Exception)
                else succeed(Password("ada", password))
            )

        return Sending(
            errand,
            ask=ask,
            connector=self.connector,
            clock=self.clock,
            stdout=self.stdout,
            stderr=self.stderr,
            done=self.done.append,
        )

    def start(self, behaviour: Behaviour, password: str | Exception = PASSWORD) -> Sending:
        """The same, and all that happens by itself has happened."""
        sending = self.make(behaviour, password)
        sending.startService()
        for link in self.connector.links:
            link.run()
        return sending

    def test_sent(self) -> None:
        """Success is one line with the server's words, and 0."""
        self.start(Behaviour())
        self.assertEqual(self.done, [os.EX_OK])
        self.assertEqual(
            self.stdout.getvalue(),
            "accepted by localhost:465 for bob@x.org: 2.0.0 Ok: queued as 4711\n",
        )
        self.assertEqual(self.stderr.getvalue(), "")

    def test_refused(self) -> None:
        """A failure is one sentence with the server's words, and what to do."""
        self.start(Behaviour(), "wr0ng")
        self.assertEqual(self.done, [os.EX_NOPERM])
        sentence, remedy = self.stderr.getvalue().splitlines()
        self.assertIn("refused the login of ada: 535", sentence)
        self.assertIn("Check the user name", remedy)
        self.assertNotIn("wr0ng", sentence)

    def test_no_secret(self) -> None:
        """Without a password nothing connects."""
        self.start(Behaviour(), SecretUnavailable(origin="the file x", reason="gone"))
        self.assertEqual(self.done, [os.EX_CONFIG])
        self.assertEqual(self.connector.links, [])

    def test_stopped(self) -> None:
        """Stopping cuts the connection, and waits until it was said what came of it."""
        sending = self.start(Behaviour(replies={"DOT": [STALL]}))
        self.assertEqual((self.done, sending.exit_code), ([], INTERRUPTED))
        stopping: Any = sending.stopService()
        self.connector.links[0].run()
        self.successResultOf(stopping)
        self.assertEqual(self.done, [os.EX_IOERR])
        self.assertIn("may or may not", self.stderr.getvalue())

    def test_stopped_before(self) -> None:
        """A service that was never started stops at once."""
        self.assertIsNone(self.make(Behaviour()).stopService())

    def test_bug(self) -> None:
        """A bug of ours is a sentence too; its traceback goes to the log."""
        self.start(Behaviour(), ZeroDivisionError("division"))
        self.assertEqual(self.done, [os.EX_SOFTWARE])
        self.assertIn("a bug of mailnotify: ZeroDivisionError", self.stderr.getvalue())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OutcomeTests(SynchronousTestCase):
    """Each way to fail has an exit code of sysexits.h."""

    def test_codes(self) -> None:
        """A script can tell what to do from the code alone."""
        peer = "peer"
        for error, code in (
            (usage.UsageError("x"), os.EX_USAGE),
            (ConfigInvalid(source="x", problems=()), os.EX_CONFIG),
            (SecretUnavailable(origin="x", reason="y"), os.EX_CONFIG),
            (LetterInvalid(field="x", found="y", expected="z"), os.EX_DATAERR),
            (LoginDenied(peer=peer, user="x", said="y"), os.EX_NOPERM),
            (NotConnected(peer=peer, reason="x"), os.EX_TEMPFAIL),
            (DeadlinePassed(peer=peer, step="x", seconds=1), os.EX_TEMPFAIL),
            (OutcomeUnknown(peer=peer, reason="x"), os.EX_IOERR),
            (CertificateRefused(peer=peer, reason="x"), os.EX_PROTOCOL),
            (ChannelInsecure(peer=peer, reason="x"), os.EX_PROTOCOL),
            (ProtocolViolated(peer=peer, found="x", expected="y"), os.EX_PROTOCOL),
            (CancelledError(), INTERRUPTED),
            (ValueError(), os.EX_SOFTWARE),
        ):
            self.assertEqual(exit_code(error), code, error)
            self.assertNotEqual(complaint(error), "")

    def test_nobody_tries_again_by_himself(self) -> None:
        """Where no service runs, nobody is told that something will connect again."""
        told = complaint(NotConnected(peer="smtp.example.org:465", reason="refused"))
        self.assertIn("nothing is queued", told)
        self.assertNotIn("by itself", told)

    def test_refusals(self) -> None:
        """Who may be tried again later is told apart; never if somebody has the letter."""
        for codes, accepted, code in (
            ((550,), (), os.EX_NOUSER),
            ((550, 450), (), os.EX_NOUSER),
            ((550, 554), (), os.EX_UNAVAILABLE),
            ((450, 421), (), os.EX_TEMPFAIL),
            ((450,), ("a@x.org",), os.EX_UNAVAILABLE),
            ((551,), ("a@x.org",), os.EX_NOUSER),
        ):
            refusals = tuple(Refusal(recipient="b@x.org", code=each, said="no") for each in codes)
            error = SubmissionFailed(peer="peer", refusals=refusals, accepted=accepted)
            self.assertEqual(exit_code(error), code, codes)
            self.assertEqual("accepted for a@x.org" in complaint(error), bool(accepted))


class ProcessTests(SynchronousTestCase):
    """The exit code arrives, also through twistd."""

    def test_exit_codes(self) -> None:
        """A server that is not there is EX_TEMPFAIL from both commands."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        config = folder / "config.toml"
        config.touch(mode=0o600)
        text = (_ACCOUNT + _SUBMISSION).format(name="ada", password=PASSWORD)
        config.write_text(text.replace("mail.example.org", "127.0.0.1:1"))
        arguments = ["--config", str(config), "--to", "bob@x.org", "--body", "hi"]
        for command in (
            [
                sys.executable,
                "-c",
                "from mailnotify.cli import main; raise SystemExit(main())",
                "send",
            ],
            [
                *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
                *("-n", "--pidfile=", "mailnotify-send"),
            ],
        ):
            done = subprocess.run(
                [*command, *arguments],
                capture_output=True,
                text=True,
                cwd=folder,
                env=child_environment(),
                timeout=300,
            )
            self.assertEqual(done.returncode, os.EX_TEMPFAIL, done.stderr + done.stdout)
            self.assertIn("no connection to 127.0.0.1:1", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
