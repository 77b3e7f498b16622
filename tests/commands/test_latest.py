"""``mailnotify latest``, with sessions in memory."""

from __future__ import annotations

import contextlib
import io

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.commands.latest import latest
from mailnotify.config.schema import Account, Literal, Security, Server
from mailnotify.core.message import Fetched
from mailnotify.errors import CommandRefused, LoginDenied
from tests.watching.fake_session import FakeSession

_SERVER = Server(host="imap.example.org", port=993, security=Security.IMPLICIT_TLS, user="ada")


class Newest(FakeSession):
    """A session that knows its latest message, too."""

    def __init__(self, header: bytes | None) -> None:
        super().__init__()
        self.header = header

    async def latest(self) -> Fetched | None:
        await self._answer("latest")
        return None if self.header is None else Fetched(uid=1, header=self.header)


class LatestTests(SynchronousTestCase):
    """One account, asked once."""

    def ask(self, outcome: Newest | Exception, *mailboxes: str) -> tuple[int, list[str], str]:
        """How many mailboxes failed, the lines on stdout, and stderr."""
        account = Account(
            name="home", server=_SERVER, password=Literal(text="x"), mailboxes=mailboxes
        )

        async def opened(_: Account) -> Newest:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        lines: list[str] = []
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            asked = Deferred.fromCoroutine(latest(account, opened, lines.append))
        return self.successResultOf(asked), lines, err.getvalue()

    def test_a_line_for_each_mailbox(self) -> None:
        """The subject is decoded, and the session closed politely."""
        session = Newest(b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n")
        failures, lines, _ = self.ask(session, "INBOX", "Archive")
        self.assertEqual(failures, 0)
        self.assertEqual(
            lines,
            [
                "home/INBOX: Latest email subject: Grüße",
                "home/Archive: Latest email subject: Grüße",
            ],
        )
        self.assertEqual(session.calls[-1], "close")

    def test_patterns(self) -> None:
        """What they bring is asked too, each mailbox once."""
        session = Newest(b"Subject: x\r\n")
        session.others = {"INBOX": [], "Lists/a": [], "Work": []}
        failures, lines, _ = self.ask(session, "INBOX", "Lists/*", "I*")
        self.assertEqual(failures, 0)
        places = [each.partition(":")[0] for each in lines]
        self.assertEqual(places, ["home/INBOX", "home/Lists/a"])

    def test_patterns_refused(self) -> None:
        """What is named answers all the same."""
        session = Newest(b"Subject: x\r\n")
        refusal = CommandRefused(peer="s", command="LIST", status="NO", said="not for you")
        session.failures["list_mailboxes"] = refusal
        failures, lines, err = self.ask(session, "INBOX", "Lists/*")
        self.assertEqual((failures, len(lines)), (1, 1))
        self.assertIn("not for you", err)

    def test_hostile_subject(self) -> None:
        """Nothing in a subject acts on the terminal."""
        _, lines, _ = self.ask(Newest(b"Subject: =?utf-8?Q?a=1B[31m=0Ab?=\r\n"), "INBOX")
        self.assertEqual(lines, ["home/INBOX: Latest email subject: a[31m b"])

    def test_a_message_without_a_subject(self) -> None:
        """Nothing at all would look like a mistake of ours."""
        for header in (b"", b"Subject: \r\n", b"Subject: =?utf-8?Q?=00?=\r\n"):
            _, lines, _ = self.ask(Newest(header), "INBOX")
            self.assertEqual(lines, ["home/INBOX: Latest email subject: (no subject)"])

    def test_empty_mailbox(self) -> None:
        """No message is said to be none."""
        _, lines, _ = self.ask(Newest(None), "INBOX")
        self.assertEqual(lines, ["home/INBOX: Latest email subject: (no message)"])

    def test_refused_mailbox(self) -> None:
        """One that cannot be opened is counted and explained; the others answer."""
        session = Newest(b"Subject: x\r\n")
        session.failures["examine"] = CommandRefused(
            peer="s", command="EXAMINE", status="NO", said="no such mailbox"
        )
        failures, lines, err = self.ask(session, "Nope", "INBOX")
        self.assertEqual((failures, lines), (1, ["home/INBOX: Latest email subject: x"]))
        self.assertIn("no such mailbox. The server's words", err)

    def test_refused_login(self) -> None:
        """All mailboxes of the account count as failed."""
        denial = LoginDenied(peer="s", user="ada", said="wrong password")
        failures, lines, err = self.ask(denial, "INBOX", "Archive")
        self.assertEqual((failures, lines), (2, []))
        self.assertIn("wrong password", err)
