"""Mailboxes by pattern, the whole service against real servers of two makes."""

from __future__ import annotations

import contextlib
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs import PATIENCE_SECONDS, wait_until
from tests.rigs.cyrus import Cyrus
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import Follower, Lines, Service, account

_BASIC = "IMAP4rev1 SASL-IR ID ENABLE AUTH=PLAIN"


class PatternCase(SynchronousTestCase):
    """INBOX and all lists but one; what is done to mailboxes, is done by another client."""

    mailboxes: tuple[str, ...] = ("INBOX", "Lists/*", "!Lists/spam")
    delimiter = "."
    capability = ""
    list_seconds = 3600.0
    """With NOTIFY nobody has to look for a mailbox with new mail."""

    def start_server(self) -> Dovecot | Cyrus:
        return Dovecot.start(capability=self.capability)

    def setUp(self) -> None:
        self.rig = self.start_server()
        self.addCleanup(self.rig.stop)
        for each in ("Lists/a", "Lists/spam", "Work"):
            self.do("create", each)
            self.append(each, "old")

    def do(self, name: str, *mailboxes: str) -> None:
        """CREATE, DELETE or RENAME."""
        names = [f'"{each.replace("/", self.delimiter)}"' for each in mailboxes]
        if isinstance(self.rig, Dovecot):
            self.rig.command("demo", name, *names)
            return
        with self.rig.session("demo") as imap:
            status, said = getattr(imap, name)(*names)
            assert status == "OK", said

    def append(self, mailbox: str, *subjects: str) -> None:
        name = f'"{mailbox.replace("/", self.delimiter)}"'
        letters = [
            letter(each.encode(), b"Message-ID: <%b@x>" % each.encode()) for each in subjects
        ]
        self.rig.append("demo", name, *letters)

    def serve(self) -> tuple[Service, Lines]:
        """A running service with a bare reader."""
        home = account(
            "home",
            f"imaps://demo@localhost:{self.rig.imaps_port}",
            ca_file=self.rig.ca_file,
            mailboxes=self.mailboxes,
            list_seconds=self.list_seconds,
        )
        service = Service(home)
        self.addCleanup(service.stop)
        return service, self.again(service)

    def again(self, service: Service) -> Lines:
        """The service starts, and watches all that it knew before, over one connection or more."""
        counts = {each: self.watched(service, each) for each in ("INBOX", "Lists")}
        service.start()
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        for each, count in counts.items():
            wait_until(lambda: self.watched(service, each) > count, f"watching {each}")  # noqa: B023
        return reader

    def watched(self, service: Service, name: str) -> int:
        """How often the log tells that it is watched."""
        return len(re.findall(rf"\] watching home/.*{name}", service.log))

    def await_names(self, service: Service, words: str) -> None:
        service.await_log(
            words.replace("/", self.delimiter).replace("home" + self.delimiter, "home/")
        )


class NotifyTests(PatternCase):
    """Dovecot as it is: NOTIFY tells of names.

    Not always: where a mailbox is renamed or deleted by a client that leaves within a
    second, Dovecot 2.3 tells when somebody reads its list of names anew, or not at all.
    So that is noticed at the interval, if not before. And its process that is to tell
    sometimes crashes over its "Corrupted mailbox list index"; then we connect again.
    """

    def test_arrival(self) -> None:
        """What a pattern brings is watched, without what lay there before."""
        _, reader = self.serve()
        for each in ("Work", "Lists/spam", "Lists/a", "INBOX"):
            self.append(each, f"in {each}")
        self.assertEqual(set(reader.subjects(2)), {"in Lists/a", "in INBOX"})
        reader.assert_silent()

    def test_created(self) -> None:
        """A mailbox that is made for a letter is announced with it, and watched from then on."""
        service, reader = self.serve()
        self.do("create", "Lists/new")
        self.append("Lists/new", "first")
        self.assertEqual(reader.subjects(1), ["first"])
        self.append("Lists/new", "second")
        self.assertEqual(reader.subjects(1), ["second"])
        self.do("create", "Lists/deep/er")
        self.append("Lists/deep/er", "third")
        self.assertEqual(reader.subjects(1), ["third"])
        reader.assert_silent()
        self.assertNotIn("not watching", service.log)

    def test_created_while_the_service_is_away(self) -> None:
        """What came into it meanwhile is announced after the restart."""
        service, reader = self.serve()
        self.append("Lists/a", "one")
        self.assertEqual(reader.subjects(1), ["one"])
        service.kill()
        self.do("create", "Lists/new")
        self.append("Lists/new", "first", "second")
        reader = self.again(service)
        self.append("Lists/new", "third")
        self.assertEqual(self.told(service, 4), ["one", "first", "second", "third"])
        reader.close()

    def told(self, service: Service, count: int) -> list[str]:
        """The subjects that the journal has to tell, of which there are so many; nothing else."""
        reader = Follower(service.port)
        self.addCleanup(reader.close)
        told: list[str] = []
        with contextlib.suppress(AssertionError):
            while len(told) <= count:
                event = reader.event(PATIENCE_SECONDS if len(told) < count else 0.5)
                told.append(event["subject"] if event["kind"] == "mail" else event["kind"])
        return told

    def test_renamed(self) -> None:
        """Under its new name it goes on as before, while we watch and while we do not."""
        self.list_seconds = min(self.list_seconds, 5.0)
        service, reader = self.serve()
        self.append("Lists/a", "one", "two")
        self.assertEqual(reader.subjects(2), ["one", "two"])
        self.do("rename", "Lists/a", "Lists/z")
        self.await_names(service, "home/Lists/z was home/Lists/a before")
        self.append("Lists/z", "three")
        self.assertEqual(reader.subjects(1), ["three"])
        reader.assert_silent()
        service.terminate()
        self.do("rename", "Lists/z", "Lists/y")
        self.append("Lists/y", "four")
        self.again(service)
        self.append("Lists/y", "five")
        self.assertEqual(self.told(service, 5), ["one", "two", "three", "four", "five"])
        self.assert_undisturbed(service)

    def assert_undisturbed(self, service: Service) -> None:
        """No connection ended but by a crash of the server."""
        crashes = self.rig.crashes if isinstance(self.rig, Dovecot) else 0
        self.assertLessEqual(service.log.count("] not watching"), crashes, service.log)

    def test_deleted(self) -> None:
        """It is watched no more, without an error; made anew, it is another one."""
        self.list_seconds = min(self.list_seconds, 5.0)
        service, reader = self.serve()
        self.append("Lists/a", "one")
        self.assertEqual(reader.subjects(1), ["one"])
        self.do("delete", "Lists/a")
        self.await_names(service, "no longer watching home/Lists/a")
        self.append("INBOX", "two")
        self.assertEqual(reader.subjects(1), ["two"])
        self.do("create", "Lists/a")
        self.append("Lists/a", "three")
        self.assertEqual(reader.subjects(1), ["three"])
        self.append("Lists/a", "four")
        self.assertEqual(reader.subjects(1), ["four"])
        reader.assert_silent()
        self.assert_undisturbed(service)
        self.assertNotIn("Traceback", service.log)

    def test_odd_names(self) -> None:
        """Wildcards, quotes and letters of all kinds in a name."""
        service, reader = self.serve()
        for name, wire in self.odd_names().items():
            self.do("create", wire)
            self.append(wire, f"in {name}")
            self.assertEqual(reader.subjects(1), [f"in {name}"])
            self.append(wire, f"again in {name}")
            self.assertEqual(reader.subjects(1), [f"again in {name}"])
        reader.assert_silent()
        self.assertNotIn("not watching", service.log)

    def odd_names(self) -> dict[str, str]:
        """By what they are called in a subject, as `imaplib` takes them, in quotes."""
        return {
            "wild": "Lists/we*ird",
            "percent": "Lists/we%ird",
            "quote": 'Lists/a \\"b\\" \\\\c',
            "umlaut": "Lists/Entw&APw-rfe",
        }


class IdleTests(NotifyTests):
    """Dovecot without NOTIFY: the server is asked for names."""

    capability = f"{_BASIC} IDLE LIST-EXTENDED LIST-STATUS SPECIAL-USE"
    list_seconds = 1.0


class BareTests(NotifyTests):
    """Nothing but IMAP4rev1: all is asked for, each by itself."""

    capability = _BASIC
    list_seconds = 1.0


class CyrusTests(NotifyTests):
    """Cyrus has no NOTIFY; its STATUS of ids is not to be read, its EXAMINE is."""

    delimiter = "/"
    list_seconds = 1.0

    def start_server(self) -> Cyrus:
        return Cyrus.start()

    def odd_names(self) -> dict[str, str]:
        return {"wild": "Lists/we*ird", "umlaut": "Lists/Entw&APw-rfe"}


class ManyTests(PatternCase):
    """Many mailboxes by one pattern."""

    mailboxes = ("INBOX", "Lists/*")

    def test_more_than_can_be_named(self) -> None:
        """Dovecot takes a hundred names in NOTIFY; a pattern is one word."""
        assert isinstance(self.rig, Dovecot)
        with self.rig._imap("demo") as imap:
            for number in range(300):
                imap.create(f"Lists.{number}")
        service, reader = self.serve()
        for number in (0, 150, 299):
            self.append(f"Lists/{number}", f"in {number}")
            self.assertEqual(reader.subjects(1), [f"in {number}"])
        reader.assert_silent()
        self.assertNotIn("not watching", service.log)


class NothingTests(PatternCase):
    """A pattern that fits nothing."""

    mailboxes = ("INBOX", "Liste/*", "Lists/*")

    def test_said_once(self) -> None:
        """With what there is instead; and when something comes, it is watched."""
        service, reader = self.serve()
        self.append("INBOX", "one")
        self.assertEqual(reader.subjects(1), ["one"])
        self.assertEqual(service.log.count("no mailbox of home fits Liste/*; on its first"), 1)
        self.do("create", "Liste/neu")
        self.append("Liste/neu", "two")
        self.assertEqual(reader.subjects(1), ["two"])
