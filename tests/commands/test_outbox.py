"""Tests of `mailnotify.commands.outbox` and `mailnotify.commands.sendmail`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.cli import main
from mailnotify.commands.sendmail import errand_of, read_arguments, read_message
from mailnotify.config.load import load
from mailnotify.errors import ConfigInvalid, LetterInvalid
from mailnotify.outbox.doorbell import Doorbell
from mailnotify.outbox.letter import State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate, Result
from mailnotify.taps.posting import DOORBELL, STORE
from tests.outbox.letters import NOON, draft, settle
from tests.outbox.test_doorbell import Readers

_CONFIG = """
[service]
state_dir = "{folder}/state"
[accounts.home]
server = "imaps://ada@mail.example.org"
password = "x"
[accounts.home.submission]
server = "smtps://ada@mail.example.org"
sender = "Ada <ada@example.org>"
[accounts.work]
server = "imaps://ada@work.example.org"
password = "x"
[accounts.work.submission]
server = "smtps://ada@work.example.org"
sender = "ada@work.example.org"
identities = ["Ada L. <lovelace@work.example.org>"]
"""


class CommandTestCase(SynchronousTestCase):
    """A configuration, and the outbox of a service."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.config = folder / "config.toml"
        self.config.touch(mode=0o600)
        self.config.write_text(_CONFIG.format(folder=folder))
        self.state = folder / "state"
        self.rung: list[bool] = []
        self.reactor = Readers()

    def serve(self) -> SqliteOutbox:
        """The service runs."""
        store = SqliteOutbox.open(self.state / STORE, NOON)
        self.addCleanup(store.close)
        bell = Doorbell(self.state / DOORBELL, self.rung.append, self.reactor)  # type: ignore[arg-type]
        bell.open()
        self.addCleanup(bell.close)
        return store

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; exit code, stdout, stderr."""
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main(arguments)
        return code, stdout.getvalue(), stderr.getvalue()


class OutboxTests(CommandTestCase):
    """`mailnotify outbox`."""

    def outbox(self, *arguments: str) -> tuple[int, str, str]:
        return self.run_command("outbox", "--config", str(self.config), *arguments)

    def test_list(self) -> None:
        """One line for each letter that waits or has failed; all on request."""
        store = self.serve()
        late = datetime.now(UTC) + timedelta(hours=1)
        store.enqueue([draft("now"), draft("later\x1b[2J", due=late), draft("sent")], NOON)
        tickets = store.claim("home", 9, NOON)
        for ticket, fate in zip(tickets, (Fate.REFUSED, Fate.ACCEPTED), strict=True):
            result = Result(recipient="bob@x.org", fate=fate, code=550, said="no")
            settle(store, ticket, result, reason="refused")
        code, out, _ = self.outbox("list")
        self.assertEqual(code, os.EX_OK)
        failed, later = out.splitlines()
        self.assertEqual(failed, "1  failed  home  bob@x.org  now: refused")
        self.assertTrue(later.startswith("2  queued until "), later)
        self.assertNotIn("\x1b", later)
        self.assertEqual(len(self.outbox("list", "--all")[1].splitlines()), 3)

    def test_empty(self) -> None:
        """Nothing is said to be nothing, with and without an outbox."""
        self.assertEqual(self.outbox("list")[:2], (0, "nothing was ever queued here\n"))
        self.assertFalse(self.state.exists())
        code, _, err = self.outbox("show", "1")
        self.assertIn("no letter 1", err)
        self.assertEqual(code, 1)
        self.serve()
        self.assertIn("nothing waits", self.outbox("list")[1])

    def test_unusable_folder(self) -> None:
        """Where nobody can know what was queued, nobody says that nothing was."""
        self.state.write_text("a file")
        code, out, err = self.outbox("list")
        self.assertEqual((code, out), (os.EX_CONFIG, ""))
        self.assertIn("cannot be read: Not a directory", err)

    def test_too_late(self) -> None:
        """A letter that is sent is neither cancelled nor tried again, and that is no mistake."""
        store = self.serve()
        store.enqueue([draft("sent")], NOON)
        (ticket,) = store.claim("home", 9, NOON)
        settle(store, ticket, Result(recipient="bob@x.org", fate=Fate.ACCEPTED))
        for verb, done in (("cancel", "cancelled"), ("retry", "sent again")):
            code, out, err = self.outbox(verb, "1")
            self.assertEqual((code, out), (1, ""))
            self.assertIn(f"letter 1 is sent: it cannot be {done}. `mailnotify outbox show`", err)

    def test_show(self) -> None:
        """Everything about one letter, each recipient by itself."""
        self.serve().enqueue([draft("Lunch?", "a@x", "b@x")], NOON)
        _, out, _ = self.outbox("show", "1")
        self.assertIn("subject:    Lunch?\n", out)
        self.assertIn("to:         a@x: pending\n", out)
        self.assertIn("message-id: <Lunch?@x.org>\n", out)

    def test_options_on_both_sides(self) -> None:
        """Where --config stands does not matter; what is no option is said to be none."""
        self.serve().enqueue([draft("Lunch?", "a@x")], NOON)
        for arguments in (
            ("show", "1", "-c", str(self.config)),
            ("show", f"--config={self.config}", "1"),
            ("--config", str(self.config), "show", "1"),
        ):
            code, out, err = self.run_command("outbox", *arguments)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("Lunch?", out)
        for words in (("show", "1", "--sometimes"), ("show", "1", "2"), ("show", "--", "-c")):
            self.assertEqual(self.run_command("outbox", *words)[0], os.EX_USAGE)

    def test_cancel(self) -> None:
        """A letter is stopped, once."""
        store = self.serve()
        store.enqueue([draft()], NOON)
        self.assertEqual(self.outbox("cancel", "1")[:2], (0, "letter 1 is cancelled\n"))
        self.assertIs(store.letter(1).state, State.CANCELLED)
        code, _, err = self.outbox("cancel", "1")
        self.assertNotEqual(code, 0)
        self.assertIn("is cancelled: it cannot be cancelled", err)

    def test_retry(self) -> None:
        """A dead letter goes again, at once, also where the account rests."""
        store = self.serve()
        store.enqueue([draft()], NOON)
        store.expire(NOON + timedelta(days=9))
        self.assertEqual(self.outbox("retry", "1")[0], 0)
        self.assertIs(store.letter(1).state, State.QUEUED)
        self.reactor.readers[0].doRead()
        self.assertEqual(self.rung, [True])

    def test_misused(self) -> None:
        """What is missing or no number is named."""
        for arguments, word in (
            ((), "nothing to do"),
            (("show",), ""),
            (("show", "x"), "the number of a letter"),
            (("cancel", "9" * 30), "the number of a letter"),
        ):
            code, _, err = self.outbox(*arguments)
            self.assertEqual(code, os.EX_USAGE)
            self.assertIn(word, err)


class SendmailTests(CommandTestCase):
    """`mailnotify sendmail`."""

    def take(self, raw: bytes, *arguments: str) -> Any:
        """What would be sent."""
        config = load(self.config, {})
        return errand_of(read_arguments(arguments), config, "config", raw, NOON)

    def test_arguments(self) -> None:
        """The command lines of cron, git, mailx, PHP and smartd."""
        for line, recipients, sender, reads_header, ends_with_dot in (
            ("-FCronDaemon -i -B8BITMIME -oem root", ["root"], "", False, False),
            ("-i -f ada@x -- bob@x eve@x", ["bob@x", "eve@x"], "ada@x", False, False),
            ("-oi -t", [], "", True, False),
            ("-t -i -fada@x", [], "ada@x", True, False),
            ("-ti", [], "", True, False),
            ("-bm -v -N never bob@x", ["bob@x"], "", False, True),
            ("-r ada@x -F Ada bob@x", ["bob@x"], "ada@x", False, True),
            ("-- -bob@x", ["-bob@x"], "", False, True),
        ):
            wishes = read_arguments(line.split())
            self.assertEqual(wishes.recipients, recipients, line)
            self.assertEqual(
                (wishes.sender, wishes.reads_header, wishes.ends_with_dot),
                (sender, reads_header, ends_with_dot),
                line,
            )
        for line in ("-bs", "-bp", "-bd", "-q", "-z", "--wait"):
            if line != "-q":
                self.assertRaises(usage.UsageError, read_arguments, [line])

    def test_dot(self) -> None:
        """A line with a dot alone ends a message, unless the caller says no."""
        for raw, taken in (
            (b"a\n.\nb\n", b"a\n"),
            (b"a\r\n.\r\nb\r\n", b"a\n"),
            (b".\nb", b""),
            (b"a\n.", b"a\n"),
            (b"a\n..\n", b"a\n..\n"),
        ):
            self.assertEqual(read_message(io.BytesIO(raw), ends_with_dot=True), taken)
            self.assertEqual(read_message(io.BytesIO(raw), ends_with_dot=False), raw)

    def test_account(self) -> None:
        """The sender decides which account; without one the first sends."""
        errand = self.take(b"Subject: x\n\ny", "bob@x.org")
        self.assertEqual((errand.account.name, errand.envelope.sender), ("home", "ada@example.org"))
        errand = self.take(b"x", "-f", "lovelace@work.example.org", "bob@x.org")
        self.assertEqual(errand.account.name, "work")
        self.assertIn(b'From: "Ada L." <lovelace@work.example.org>', errand.message)
        errand = self.take(b"x", "-f", "www-data", "bob@x.org")
        self.assertEqual(errand.envelope.sender, "ada@example.org")

    def test_nobody(self) -> None:
        """A message to nobody is refused, and a configuration that sends none."""
        self.assertRaises(LetterInvalid, self.take, b"Subject: x\n\ny")
        text = self.config.read_text()
        self.config.write_text(
            text.replace(".submission]", ".timing]").partition("[accounts.home.")[0]
        )
        self.assertRaises(ConfigInvalid, self.take, b"x", "bob@x.org")

    def test_queued_in_silence(self) -> None:
        """What the service has taken is nothing that cron should mail about."""
        store = self.serve()
        stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(b"Subject: x\n\ny\n"))
        before = os.environ.get("MAILNOTIFY_CONFIG")
        os.environ["MAILNOTIFY_CONFIG"] = str(self.config)
        try:
            self.assertEqual(self.run_command("sendmail", "-i", "root"), (0, "", ""))
            code, out, err = self.run_command("sendmail", "-i", "a b@c")
        finally:
            sys.stdin = stdin
            os.environ.pop("MAILNOTIFY_CONFIG")
            if before is not None:
                os.environ["MAILNOTIFY_CONFIG"] = before
        self.assertEqual([each.subject for each in store.letters(State, 9)], ["x"])
        self.assertEqual((code, out), (os.EX_DATAERR, ""))
        self.assertTrue(err.startswith("mailnotify sendmail: "), err)
