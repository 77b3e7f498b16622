"""Letters that were made to break whoever watches, in a real Dovecot and a real Cyrus.

Each of them is taken in by both servers, and makes them say more than anyone would
keep. It must cost its own details at most: no other letter, and no connection either.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs import PATIENCE_SECONDS
from tests.rigs.cyrus import Cyrus
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import Follower, Service, account

HEAD = b"From: Ada <ada@example.org>\r\nSubject: %b\r\nMIME-Version: 1.0\r\n"

JUNK = HEAD % b"20 MB of a header" + b"X-Junk: junk\r\n" * 1_430_000 + b"\r\nbody\r\n"

RECIPIENTS = (
    HEAD % b"20 MB of recipients"
    + b"To: "
    + b"ada@example.org,\r\n " * 1_100_000
    + b"x@y\r\n\r\nbody\r\n"
)

NESTED = (
    HEAD % b"100,000 names"
    + b"Content-Type: message/rfc822\r\n\r\nFrom: a@example.org\r\nTo: "
    + b",\r\n ".join(b'"\xc3\xa4 %d" <a%d@example.org>' % (n, n) for n in range(100_000))
    + b"\r\n\r\nbody\r\n"
)

PARTS = (
    HEAD % b"60,000 parts"
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b'--b\r\nContent-Type: text/plain; name="\xc3\xa4"\r\n\r\nx\r\n' * 60_000
    + b"--b--\r\n"
)

PARAMETER = (
    HEAD % b"a parameter of 18 MB"
    + b'Content-Type: text/plain; name="'
    + (b"n" * 900 + b"\r\n ") * 20_000
    + b'"\r\n\r\nbody\r\n'
)

MONSTERS = {
    "20 MB of a header": JUNK,
    "20 MB of recipients": RECIPIENTS,
    "100,000 names": NESTED,
    "60,000 parts": PARTS,
    "a parameter of 18 MB": PARAMETER,
}


class MonsterTests(SynchronousTestCase):
    """What one letter can do to the others."""

    timeout = 300

    def hold(self, server: Dovecot | Cyrus, monsters: dict[str, bytes] = MONSTERS) -> Service:
        """Every letter is told, with its subject."""
        url = f"imaps://demo@localhost:{server.imaps_port}"
        service = Service(account("home", url, ca_file=server.ca_file))
        self.addCleanup(service.stop)
        service.start()
        service.await_log("] watching ")
        follower = Follower(service.port, "now")
        self.addCleanup(follower.close)
        for subject, monster in monsters.items():
            server.append("demo", "INBOX", monster)
            self.assertEqual(follower.event(5 * PATIENCE_SECONDS)["subject"], subject)
        server.append("demo", "INBOX", letter(b"small"))
        self.assertEqual(follower.event(5 * PATIENCE_SECONDS)["subject"], "small")
        return service

    def test_dovecot(self) -> None:
        """With NOTIFY it pushes what it says; none of the letters is lost by that.

        But it cannot push more than the socket takes at once: then it listens to nobody any
        more until we cut the connection, which is its fault (2.3.19) and costs a minute.
        What that is depends on how soon we read, and only the largest is always too much.
        """
        dovecot = Dovecot.start()
        self.addCleanup(dovecot.stop)
        self.hold(dovecot, {each: MONSTERS[each] for each in MONSTERS if each != "100,000 names"})

    def test_dovecot_with_idle_alone(self) -> None:
        """Each letter is fetched."""
        dovecot = Dovecot.start(capability="IMAP4rev1 IDLE")
        self.addCleanup(dovecot.stop)
        self.assertNotIn("not watching", self.hold(dovecot).log)

    def test_cyrus(self) -> None:
        """Another make says other things too long."""
        cyrus = Cyrus.start()
        self.addCleanup(cyrus.stop)
        self.assertNotIn("not watching", self.hold(cyrus).log)
