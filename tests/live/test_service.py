"""The whole service against a real Dovecot: what arrives there stands on port 5050."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs import child_environment, wait_until
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import PATIENCE_SECONDS, Follower, Lines, Service, account


def letter(subject: bytes = b"", *headers: bytes) -> bytes:
    """A small message; an empty subject leaves the header field out."""
    fields = [b"From: Ada <ada@example.org>", b"To: demo@localhost", *headers]
    if subject:
        fields.append(b"Subject: " + subject)
    return b"\r\n".join((*fields, b"", b"body", b""))


def word(charset: str, text: str) -> bytes:
    """An encoded word (RFC 2047)."""
    encoded = base64.b64encode(text.encode(charset)).decode()
    return f"=?{charset}?B?{encoded}?=".encode()


class ServiceCase(SynchronousTestCase):
    """A Dovecot and a service for each test."""

    def setUp(self) -> None:
        self.dovecot = Dovecot.start()
        self.addCleanup(self.dovecot.stop)

    def home(self, **settings: object) -> str:
        """The account of `demo` over implicit TLS."""
        server = f"imaps://demo@localhost:{self.dovecot.imaps_port}"
        return account("home", server, ca_file=self.dovecot.ca_file, **settings)  # type: ignore[arg-type]

    def serve(self, accounts: str, *, watched: int = 1, **kwargs: str) -> Service:
        """A running service that watches so many mailboxes."""
        service = Service(accounts, **kwargs)  # type: ignore[arg-type]
        self.addCleanup(service.stop)
        service.start()
        service.await_log("] watching ", watched)
        return service

    def nc(self, service: Service) -> Lines:
        """A bare reader."""
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        return reader

    def follow(self, service: Service, since: str = "oldest") -> Follower:
        """A structured reader."""
        reader = Follower(service.port, since)
        self.addCleanup(reader.close)
        return reader


class ArrivalTests(ServiceCase):
    """Mail that another session appends."""

    def test_one_message(self) -> None:
        """It is on the port, once, and what lay there before is not."""
        self.dovecot.append("demo", "INBOX", letter(b"old"))
        service = self.serve(self.home())
        reader = self.nc(service)
        self.dovecot.append("demo", "INBOX", letter(b"fresh"))
        self.assertEqual(reader.subjects(1), ["fresh"])
        reader.assert_silent()

    def test_backfill(self) -> None:
        """Who asks for the last days gets what lies there, once, and not what is older."""
        year = b'"01-Jan-2020 10:00:00 +0000"'
        with self.dovecot._imap("demo") as imap:
            imap.append("INBOX", "", year.decode(), letter(b"years ago"))
        self.dovecot.append("demo", "INBOX", letter(b"just before"))
        service = self.serve(self.home().replace("mailboxes", "backfill_days = 2\nmailboxes"))
        service.terminate()
        service.start()
        service.await_log("] watching ", 2)
        self.dovecot.append("demo", "INBOX", letter(b"then"))
        told = [event["subject"] for event in self.follow(service).events(2)]
        self.assertEqual(told, ["just before", "then"])

    def test_a_hundred_at_once(self) -> None:
        """Each comes once, in order."""
        service = self.serve(self.home())
        reader = self.nc(service)
        self.dovecot.deliver("demo", *(letter(b"no %d" % n) for n in range(100)))
        received = reader.subjects(100)
        self.assertEqual(sorted(received), sorted(f"no {n}" for n in range(100)))
        self.assertEqual(received, self.dovecot.subjects("demo"))
        reader.assert_silent()

    def test_subjects_of_every_kind(self) -> None:
        """Encoded words, raw bytes, nothing, far too much, and what would act on a terminal."""
        subjects = {
            word("utf-8", "Grüße 🎉"): "Grüße 🎉",
            word("iso-2022-jp", "日本語の件名"): "日本語の件名",
            word("gb2312", "中文主题"): "中文主题",
            word("koi8-r", "Привет"): "Привет",
            word("windows-1251", "Здравствуйте"): "Здравствуйте",
            "roh und utf-8: ä".encode(): "roh und utf-8: ä",
            "roh und latin-1: ä".encode("latin-1"): "roh und latin-1: ä",
            word("utf-8", "a\r\nX-Evil: b\x1b[31m\u202ered\x07"): "a X-Evil: b[31mred",
            b"": "",
        }
        service = self.serve(self.home())
        reader, follower = self.nc(service), self.follow(service, "now")
        self.dovecot.append("demo", "INBOX", *(letter(raw) for raw in subjects))
        self.assertEqual(reader.subjects(len(subjects)), list(subjects.values()))
        events = follower.events(len(subjects))
        self.assertEqual([event["subject"] for event in events], list(subjects.values()))
        reader.assert_silent()

    def test_a_subject_of_100_kib(self) -> None:
        """It is cut at a kibibyte and costs nothing else."""
        service = self.serve(self.home())
        reader = self.nc(service)
        long = b"\r\n ".join(b"x" * 900 for _ in range(114))
        self.dovecot.append("demo", "INBOX", letter(long), letter(b"next"))
        first, second = reader.subjects(2)
        self.assertTrue(first.startswith("xxxx"))
        self.assertLessEqual(len(f"New Email Received: {first}\r\n"), 1024 + 2)
        self.assertEqual(second, "next")

    def test_without_message_id(self) -> None:
        """Two mails without, and two with the same Message-ID, are four mails."""
        service = self.serve(self.home())
        follower = self.follow(service, "now")
        same = b"Message-ID: <same@example.org>"
        letters = (letter(b"1"), letter(b"2"), letter(b"3", same), letter(b"4", same))
        self.dovecot.append("demo", "INBOX", *letters)
        events = follower.events(4)
        self.assertEqual([event.get("subject") for event in events], ["1", "2", "3", "4"])
        self.assertEqual(len({event["id"] for event in events}), 4)

    def test_watching_changes_no_flag(self) -> None:
        """Mail that was announced is as unread, and as recent, as before."""
        service = self.serve(self.home())
        reader = self.nc(service)
        self.dovecot.append("demo", "INBOX", letter(b"unseen"))
        reader.subjects(1)
        last = self.dovecot.flags("demo")[-1]
        self.assertNotIn(b"\\Seen", last)
        self.assertIn(b"\\Recent", last)

    def test_starttls(self) -> None:
        """The same over port 143's STARTTLS."""
        server = f"imap+starttls://demo@localhost:{self.dovecot.imap_port}"
        service = self.serve(account("home", server, ca_file=self.dovecot.ca_file))
        reader = self.nc(service)
        self.dovecot.append("demo", "INBOX", letter(b"upgraded"))
        self.assertEqual(reader.subjects(1), ["upgraded"])

    def test_several_accounts_and_mailboxes(self) -> None:
        """Each message names its account and mailbox; a broken account hurts no other."""
        other = f"imaps://ada@localhost:{self.dovecot.imaps_port}"
        broken = f"imaps://nobody@localhost:{self.dovecot.imaps_port}"
        trusted = self.dovecot.ca_file
        service = self.serve(
            self.home(mailboxes=("INBOX", "Archive"))
            + account("other", other, ca_file=trusted)
            + account("broken", broken, ca_file=trusted),
            watched=2,
        )
        service.await_log("not watching broken/INBOX")
        follower = self.follow(service, "now")
        self.dovecot.append("demo", "Archive", letter(b"filed"))
        self.dovecot.append("ada", "INBOX", letter(b"hers"))
        found = {(each["account"], each["mailbox"], each["subject"]) for each in follower.events(2)}
        self.assertEqual(found, {("home", "Archive", "filed"), ("other", "INBOX", "hers")})


class PollingTests(SynchronousTestCase):
    """A server that offers nothing but IMAP4rev1."""

    def test_polls_without_idle(self) -> None:
        """NOOP on the held connection finds what arrived."""
        dovecot = Dovecot.start(capability="IMAP4rev1 AUTH=PLAIN")
        self.addCleanup(dovecot.stop)
        server = f"imaps://demo@localhost:{dovecot.imaps_port}"
        service = Service(account("home", server, ca_file=dovecot.ca_file, poll_seconds=0.2))
        self.addCleanup(service.stop)
        service.start()
        service.await_log("] watching ")
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        dovecot.append("demo", "INBOX", letter(b"polled"))
        self.assertEqual(reader.subjects(1), ["polled"])
        reader.assert_silent()


class Cutter:
    """A TCP proxy that breaks one connection after so many bytes from the server."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._budget: int | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size_bytes: int) -> None:
        """The next bytes beyond this many end the connection they come over."""
        self._budget = size_bytes

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """One connection, both ways, until either end is gone."""
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
            back.start()
            self._pump(client, server, False)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(65536):
                if counts and self._budget is not None:
                    self._budget -= len(data)
                    if self._budget < 0:
                        self._budget = None
                        self.cuts += 1
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()


class TroubleTests(ServiceCase):
    """Servers that go and come, and connections that break."""

    def test_dovecot_restarts(self) -> None:
        """What was delivered while the server was away or we were is announced once."""
        service = self.serve(self.home())
        reader = self.nc(service)
        self.dovecot.append("demo", "INBOX", letter(b"before"))
        self.assertEqual(reader.subjects(1), ["before"])
        self.dovecot.halt()
        service.await_log("not watching home/INBOX")
        self.dovecot.start_again()
        self.dovecot.append("demo", "INBOX", letter(b"between"))
        self.assertEqual(reader.subjects(1), ["between"])
        self.dovecot.append("demo", "INBOX", letter(b"after"))
        self.assertEqual(reader.subjects(1), ["after"])
        reader.assert_silent()

    def test_connection_cut_in_the_middle_of_a_fetch(self) -> None:
        """Half an answer is no answer: all messages come, once, in order."""
        proxy = Cutter(self.dovecot.imaps_port)
        self.addCleanup(proxy.close)
        server = f"imaps://demo@localhost:{proxy.port}"
        service = self.serve(account("home", server, ca_file=self.dovecot.ca_file))
        reader = self.nc(service)
        proxy.cut_after(8000)
        self.dovecot.deliver("demo", *(letter(b"cut %d" % n) for n in range(150)))
        received = reader.subjects(150)
        self.assertEqual(sorted(received), sorted(f"cut {n}" for n in range(150)))
        self.assertEqual(received, self.dovecot.subjects("demo"))
        self.assertEqual(proxy.cuts, 1)
        reader.assert_silent()

    def test_sigterm_ends_within_two_seconds(self) -> None:
        """With sessions open and readers connected, nothing is left running."""
        service = self.serve(self.home(mailboxes=("INBOX", "Archive")))
        self.nc(service)
        self.follow(service)
        self.assertLess(service.terminate(), 2.0)

    def test_sigterm_while_the_server_is_frozen(self) -> None:
        """A server that answers nothing any more does not hold up the end."""
        with socket.create_server(("127.0.0.1", 0)) as frozen:
            server = f"imaps://demo@localhost:{frozen.getsockname()[1]}"
            service = Service(account("home", server, ca_file=self.dovecot.ca_file)).start()
            self.addCleanup(service.stop)
            self.assertLess(service.terminate(), 2.0)

    def test_daemonised(self) -> None:
        """Without -n the service goes into the background and works there."""
        service = Service(self.home())
        self.addCleanup(service.stop)
        pid_file = service.directory / "twistd.pid"
        subprocess.run(
            [
                *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
                *(f"--pidfile={pid_file}", f"--logfile={service.log_file}"),
                *("mailnotify", "--config", str(service.config_file)),
            ],
            cwd=service.directory,
            env=child_environment(),
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        pid = int(Path(pid_file).read_text())
        try:
            service.await_log("] watching home/INBOX")
            reader = self.nc(service)
            self.dovecot.append("demo", "INBOX", letter(b"in the background"))
            self.assertEqual(reader.subjects(1), ["in the background"])
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not pid_file.exists(), "its end", PATIENCE_SECONDS)
