"""What servers call a message in every mailbox: asked for where it can be had."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.message import Fetched
from mailnotify.imap.answers import HEADER_FIELDS, LEAST_FIELDS, PREVIEW_FIELDS, fewer, with_name
from tests.imap.scripted import Letters
from tests.imap.test_session import SessionCase

_BASIC = b"IMAP4rev1 SASL-IR AUTH=PLAIN"


class ItemsTests(SynchronousTestCase):
    """What is asked of each message."""

    def test_by_what_is_there(self) -> None:
        """Gmail's, that of RFC 8474, that of Dovecot, in this order; else none."""
        for capabilities, maker, name in (
            ({"X-GM-EXT-1", "OBJECTID"}, "", b"X-GM-MSGID"),
            ({"OBJECTID"}, "Dovecot", b"EMAILID"),
            (set(), "Dovecot", b"X-GUID"),
            (set(), "Cyrus", b""),
        ):
            for items in (HEADER_FIELDS, PREVIEW_FIELDS):
                asked = with_name(items, capabilities, maker)
                self.assertEqual(asked, items.replace(b"UID", b"UID " + name, 1) if name else items)

    def test_fewer_and_fewer(self) -> None:
        """A server that stumbles loses the name first, then all that can be spared."""
        asked = with_name(PREVIEW_FIELDS, {"OBJECTID"}, "")
        self.assertEqual(fewer(asked), PREVIEW_FIELDS)
        self.assertEqual(fewer(PREVIEW_FIELDS), LEAST_FIELDS)


class NameTests(SessionCase):
    """A server that names its messages."""

    def fetch(self, capability: bytes, said: bytes, server: bytes = b"") -> Fetched:
        """The only message of a server that offers and says this."""
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY %b %b] in\r\n" % (_BASIC, capability))
        self.answer(b"ID", b'* ID ("Name" "%b")\r\nTAG OK\r\n' % server)
        self.letters = Letters(3)
        self.letters.install(self.server)
        line = self.letters.line
        self.letters.line = lambda uid: line(uid).replace(  # type: ignore[method-assign]
            b"RFC822.SIZE", said + b" RFC822.SIZE"
        )
        self.answer(
            b"EXAMINE",
            b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 4]\r\nTAG OK\r\n",
        )
        session = self.open()
        self.result(session.examine("INBOX"))
        (fetched,) = self.result(session.fetch(3))
        return fetched

    def test_gmail(self) -> None:
        """X-GM-MSGID, a number."""
        fetched = self.fetch(b"X-GM-EXT-1", b"X-GM-MSGID 1278455344230334865")
        self.assertEqual(fetched.object_id, "gmail:1278455344230334865")
        self.assertIn(b"(UID X-GM-MSGID FLAGS", self.heard(b"UID FETCH")[0])

    def test_object_id(self) -> None:
        """EMAILID in a list of its own, as the RFC has it."""
        fetched = self.fetch(b"OBJECTID", b"EMAILID (M6d99ac3275bb4e)")
        self.assertEqual(fetched.object_id, "email:M6d99ac3275bb4e")
        self.assertIn(b"(UID EMAILID FLAGS", self.heard(b"UID FETCH")[0])

    def test_dovecot(self) -> None:
        """X-GUID, an atom or a string of any letters."""
        fetched = self.fetch(b"ID", b'X-GUID "17.M5P1.vm,S=45\\""', server=b"Dovecot")
        self.assertEqual(fetched.object_id, 'guid:17.M5P1.vm,S=45"')
        self.assertIn(b"(UID X-GUID FLAGS", self.heard(b"UID FETCH")[0])

    def test_no_name(self) -> None:
        """NIL, or nothing: the message is told of all the same."""
        self.assertEqual(self.fetch(b"OBJECTID", b"EMAILID NIL").object_id, "")

    def test_offered_and_not_understood(self) -> None:
        """What is refused is left out from then on, and nothing else."""
        fetch = Letters.fetch

        def stumble(letters: Letters, words: bytes) -> list[bytes]:
            return [b"TAG BAD EMAILID?\r\n"] if b"EMAILID" in words else fetch(letters, words)

        self.patch(Letters, "fetch", stumble)
        self.assertEqual(self.fetch(b"OBJECTID", b"").object_id, "")
        asked = [words.split(b" ", 3)[3] for words in self.heard(b"UID FETCH")]
        self.assertEqual(asked[1:], [HEADER_FIELDS])
