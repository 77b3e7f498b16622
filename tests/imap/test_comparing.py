"""Tests of `mailnotify.imap.comparing`, through a session."""

from __future__ import annotations

from mailnotify.core.sync import MailboxStatus
from mailnotify.errors import ProtocolViolated
from mailnotify.imap.session import Session
from tests.imap.test_session import SessionCase


class StatusTests(SessionCase):
    """STATUS of the mailbox that is examined."""

    def examined(self, mailbox: str = "INBOX") -> Session:
        session = self.open()
        self.result(session.examine(mailbox))
        return session

    def say(self, answer: bytes) -> None:
        self.answer(b"STATUS", answer + b"TAG OK\r\n")

    def test_what_there_is(self) -> None:
        """The numbers as the server gives them."""
        session = self.examined()
        self.say(b'* STATUS "INBOX" (MESSAGES 3 UIDNEXT 13 UIDVALIDITY 7)\r\n')
        status = self.result(session.status())
        self.assertEqual(status, MailboxStatus(uidvalidity=7, uidnext=13, exists=3))
        self.assertEqual(self.heard(b"STATUS"), [b'STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY)'])

    def test_while_idling(self) -> None:
        """DONE, STATUS and the next IDLE leave in one write: one round trip."""
        session = self.examined()
        self.result(session.listen(lambda: None))
        self.say(b"* STATUS inbox (MESSAGES 2 UIDNEXT 12 UIDVALIDITY 7)\r\n")
        self.server.all_writes.clear()
        self.assertIsNotNone(self.result(session.status()))
        self.assertEqual(self.server.all_writes[0].count(b"\r\n"), 3)

    def test_a_message_that_is_still_awaited(self) -> None:
        """With NOTIFY a hint waits for the message; the answer to STATUS does not overtake it."""
        session = self.examined()
        self.answer(b"NOTIFY", b"TAG OK\r\n")
        self.result(session.notify(["INBOX"]))
        hints: list[str] = []
        self.result(session.listen(lambda mailbox, status: hints.append(mailbox)))
        self.say(b"* 3 EXISTS\r\n* STATUS INBOX (MESSAGES 3 UIDNEXT 13 UIDVALIDITY 7)\r\n")
        self.result(session.status())
        self.assertEqual(hints, ["INBOX"])

    def test_of_another_mailbox(self) -> None:
        """What a server tells of others by itself is not taken for ours."""
        session = self.examined("Lists")
        self.say(
            b"* STATUS Lists (MESSAGES 2 UIDNEXT 12 UIDVALIDITY 7)\r\n"
            b"* STATUS lists (MESSAGES 9 UIDNEXT 99 UIDVALIDITY 9)\r\n"
            b"* STATUS INBOX (MESSAGES 9 UIDNEXT 99 UIDVALIDITY 9)\r\n"
        )
        status = self.result(session.status())
        self.assertEqual(status, MailboxStatus(uidvalidity=7, uidnext=12, exists=2))

    def test_a_name_beyond_ascii(self) -> None:
        """It is asked for, and recognised, in modified UTF-7."""
        session = self.examined("Größe")
        self.say(b"* STATUS Gr&APYA3w-e (UIDNEXT 12)\r\n")
        status = self.result(session.status())
        self.assertEqual(status, MailboxStatus(uidvalidity=0, uidnext=12, exists=0))

    def test_a_server_that_will_not_say(self) -> None:
        """NO, BAD, and an OK without a UIDNEXT are no failure."""
        session = self.examined()
        for answer in (b"TAG NO\r\n", b"TAG BAD not selected\r\n", b"TAG OK\r\n"):
            self.answer(b"STATUS", answer)
            self.assertIsNone(self.result(session.status()))
        self.assertFalse(self.server.transport.is_lost)

    def test_another_uidvalidity(self) -> None:
        """What we know of UIDs is void: the session ends."""
        session = self.examined()
        self.say(b"* STATUS INBOX (MESSAGES 2 UIDNEXT 12 UIDVALIDITY 8)\r\n")
        self.result(session.status())
        error = self.result(session.client.lost.wait())
        self.assertIsInstance(error, ProtocolViolated)
        self.assertTrue(self.server.transport.is_aborted)
