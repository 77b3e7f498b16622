"""The first words of mail in a real Dovecot, on the port."""

from __future__ import annotations

from base64 import b64encode

from tests.live.test_service import ServiceCase
from tests.rigs.dovecot import Dovecot

PLAIN = b"Subject: plain\r\n\r\nHello Ada,\r\nlunch?\r\n"

BASE64 = (
    b"Subject: base64\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + b64encode("Grüße".encode()) + b"\r\n"
)

ALTERNATIVE = (
    b'Subject: alternative\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>page</p>\r\n--b--\r\n"
)

HTML = (
    b"Subject: html\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<html><head><title>t</title><style>p {}</style></head>"
    b"<body><script>f()</script><p>Dear <b>A</b>da</p><p>come</p></body></html>\r\n"
)

LONG = b"Subject: long\r\n\r\n" + b"word " * 10_000 + b"\r\n"

LETTERS = (PLAIN, BASE64, ALTERNATIVE, HTML, LONG)

WORDS = {
    "plain": "Hello Ada, lunch?",
    "base64": "Grüße",
    "alternative": "Grüße",
    "html": "Dear Ada come",
    "long": "word word word word",
}


class PreviewTests(ServiceCase):
    """What an account with `preview_bytes`, and one without, are told."""

    def told(self, accounts: str) -> dict[str, str]:
        """The previews by subject; the letters must be as unread as before."""
        service = self.serve(accounts)
        follower = self.follow(service, "now")
        self.dovecot.append("demo", "INBOX", *LETTERS)
        events = follower.events(len(LETTERS))
        flags = self.dovecot.flags("demo")
        self.assertEqual(len(flags), len(LETTERS))
        self.assertFalse([line for line in flags if b"\\Seen" in line])
        return {event["subject"]: event["preview"] for event in events}

    def home_with_previews(self) -> str:
        return self.home().replace("mailboxes =", "preview_bytes = 20\nmailboxes =", 1)

    def test_told(self) -> None:
        """Plain, in parts, or HTML only: a few clean words, and no flag is touched."""
        self.assertEqual(self.told(self.home_with_previews()), WORDS)

    def test_off(self) -> None:
        """Without being asked for, no text leaves the server."""
        self.assertEqual(self.told(self.home()), dict.fromkeys(WORDS, ""))


class IdlePreviewTests(PreviewTests):
    """The same of a server that has IDLE and no NOTIFY: the text is fetched, not pushed."""

    def setUp(self) -> None:
        self.dovecot = Dovecot.start(capability="IMAP4rev1 IDLE")
        self.addCleanup(self.dovecot.stop)
