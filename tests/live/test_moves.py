"""Messages with several places, on real servers: announced once, by whatever name they have.

Dovecot has X-GUID, or nothing if its ID does not say that it is one; Cyrus has EMAILID,
which two equal letters share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from imaplib import IMAP4_SSL
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs.cyrus import Cyrus
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import Follower, Service, account

_OFFERED = "IMAP4rev1 SASL-IR AUTH=PLAIN ENABLE IDLE CONDSTORE QRESYNC MOVE"

ONE = letter(b"one", b"Message-ID: <one@example.org>", b"Date: Thu, 1 Jan 2026 10:00:00 +0000")


class MovesCase(SynchronousTestCase):
    """A server, and a service that watches INBOX and Lists."""

    rig: Any
    settings = ""

    def setUp(self) -> None:
        self.addCleanup(self.rig.stop)
        with self.session() as imap:
            imap.create("Lists")
            imap.create("Spam")
        for mailbox, subject in (("INBOX", b"old"), ("Spam", b"no spam")):
            self.rig.append("demo", mailbox, letter(subject, b"Message-ID: <%b@x>" % subject))
        server = f"imaps://demo@localhost:{self.rig.imaps_port}"
        table = account("home", server, ca_file=self.rig.ca_file, mailboxes=("INBOX", "Lists"))
        self.service = Service(table.replace("mailboxes", f"{self.settings}\nmailboxes"))
        self.addCleanup(self.service.stop)
        self.service.start()
        self.service.await_log("home/INBOX")
        self.service.await_log("home/Lists")

    def session(self) -> contextlib.AbstractContextManager[IMAP4_SSL]:
        """Another client's."""
        raise NotImplementedError

    def append(self, *letters: bytes) -> None:
        """Put letters into INBOX."""
        self.rig.append("demo", "INBOX", *letters)

    def tell(self, mailbox: str, command: str, uid: int, target: str) -> None:
        """MOVE or COPY a message, as another client does."""
        with self.session() as imap:
            imap.select(mailbox)
            status, said = imap.uid(command, str(uid), target)
            assert status == "OK", said

    def follow(self) -> Follower:
        """A structured reader, from the beginning."""
        reader = Follower(self.service.port)
        self.addCleanup(reader.close)
        return reader

    def facts(self, reader: Follower, count: int) -> set[tuple[str, str, int]]:
        """The next events, which may come in any order; all speak of the first message."""
        events = reader.events(count)
        self.assertEqual({each["id"] for each in events}, {self.first_id})
        return {(each["kind"], each["mailbox"], each["uid"]) for each in events}

    def announce_one(self) -> Follower:
        """The first message is there, and told of."""
        reader = self.follow()
        self.append(ONE)
        event = reader.event()
        self.assertEqual((event["kind"], event["mailbox"]), ("mail", "INBOX"))
        self.first_id, self.uid = event["id"], event["uid"]
        return reader


class _Moves(MovesCase):
    """What every server has to show; run by the makes below."""

    def test_moved(self) -> None:
        """A message that is moved to and fro is told filed and gone, and never new."""
        reader = self.announce_one()
        self.tell("INBOX", "MOVE", self.uid, "Lists")
        self.assertEqual(
            self.facts(reader, 2), {("gone", "INBOX", self.uid), ("filed", "Lists", 1)}
        )
        self.tell("Lists", "MOVE", 1, "INBOX")
        self.assertEqual(
            self.facts(reader, 2), {("gone", "Lists", 1), ("filed", "INBOX", self.uid + 1)}
        )
        reader.assert_silent()

    def test_moved_while_away(self) -> None:
        """So is one that is moved while nobody watches."""
        reader = self.announce_one()
        self.service.terminate()
        reader.close()
        self.tell("INBOX", "MOVE", self.uid, "Lists")
        self.service.start()
        reader = self.follow()
        reader.event()
        self.assertEqual(
            self.facts(reader, 2), {("gone", "INBOX", self.uid), ("filed", "Lists", 1)}
        )
        reader.assert_silent(1.0)

    def test_moved_from_before(self) -> None:
        """What lay there at first sight is no news elsewhere; what comes from the spam is."""
        reader = self.follow()
        self.tell("INBOX", "MOVE", 1, "Lists")
        self.tell("Spam", "MOVE", 1, "INBOX")
        self.assertEqual(reader.event()["subject"], "no spam")
        reader.assert_silent(1.0)

    def test_copied(self) -> None:
        """A copy is no news; what becomes of it is told of the message."""
        reader = self.announce_one()
        self.tell("INBOX", "COPY", self.uid, "Lists")
        self.assertEqual(self.facts(reader, 1), {("filed", "Lists", 1)})
        with self.session() as imap:
            imap.select("Lists")
            imap.uid("STORE", "1", "+FLAGS", "(\\Seen)")
            self.assertEqual(self.facts(reader, 1), {("seen", "INBOX", self.uid)})
            imap.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
            imap.expunge()
        self.assertEqual(self.facts(reader, 1), {("gone", "Lists", 1)})
        reader.assert_silent()

    def test_delivered_twice(self) -> None:
        """Two deliveries of one letter into one mailbox are two messages, byte for byte equal."""
        reader = self.announce_one()
        self.append(ONE)
        event = reader.event()
        self.assertEqual((event["kind"], event["subject"]), ("mail", "one"))
        self.assertNotEqual(event["id"], self.first_id)
        reader.assert_silent()


class _Dovecot:
    rig: Any

    @contextlib.contextmanager
    def session(self) -> Iterator[IMAP4_SSL]:
        with self.rig._imap("demo") as imap:
            yield imap


class DovecotTests(_Dovecot, _Moves):
    """Dovecot, by X-GUID, over a connection for each mailbox."""

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability=f"{_OFFERED} ID")
        super().setUp()

    def test_delivered_to_both(self) -> None:
        """Two deliveries of one letter have two names, also in two mailboxes."""
        reader = self.announce_one()
        self.rig.append("demo", "Lists", ONE)
        event = reader.event()
        self.assertEqual((event["kind"], event["mailbox"]), ("mail", "Lists"))
        reader.assert_silent()


class NamelessTests(_Dovecot, _Moves):
    """A server without any name for its messages: by all that is told of them."""

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability=_OFFERED)
        super().setUp()


class CondstoreTests(_Dovecot, _Moves):
    """A server that tells what was read since when (CONDSTORE), and not what is gone."""

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability=_OFFERED.replace(" QRESYNC", ""))
        super().setUp()


class MuteTests(_Dovecot, _Moves):
    """A server that has to be asked for both."""

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability="IMAP4rev1 SASL-IR AUTH=PLAIN IDLE MOVE")
        super().setUp()


class NotifyTests(_Dovecot, _Moves):
    """Dovecot with NOTIFY: what it pushes has its name too, and it tells of all flags."""

    def setUp(self) -> None:
        self.rig = Dovecot.start()
        super().setUp()


class SweptTests(_Dovecot, _Moves):
    """Mailboxes without a connection of their own, where there are mod-sequences."""

    settings = "connections = 1"

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability=f"{_OFFERED} LIST-EXTENDED LIST-STATUS")
        super().setUp()


class CountedTests(_Dovecot, _Moves):
    """The same by the numbers of messages, and of unread ones."""

    settings = "connections = 1"

    def setUp(self) -> None:
        self.rig = Dovecot.start(capability="IMAP4rev1 SASL-IR AUTH=PLAIN IDLE MOVE")
        super().setUp()


class CyrusTests(_Moves):
    """Cyrus, by EMAILID."""

    def setUp(self) -> None:
        self.rig = Cyrus.start()
        super().setUp()

    def session(self) -> contextlib.AbstractContextManager[IMAP4_SSL]:
        access: contextlib.AbstractContextManager[IMAP4_SSL] = self.rig.session("demo")
        return access


class SweptCyrusTests(CyrusTests):
    """Cyrus with one connection for all."""

    settings = "connections = 1"


class AnnounceCopiesTests(_Dovecot, MovesCase):
    """An account that wants to hear of each place."""

    settings = "announce_copies = true"

    def setUp(self) -> None:
        self.rig = Dovecot.start()
        super().setUp()

    def test_copied(self) -> None:
        """A copy is a message of its own."""
        reader = self.announce_one()
        self.tell("INBOX", "COPY", self.uid, "Lists")
        event = reader.event()
        self.assertEqual((event["kind"], event["mailbox"]), ("mail", "Lists"))
        reader.assert_silent()


del _Moves  # it is no test by itself
