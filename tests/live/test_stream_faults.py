"""Kills, a hostile crowd, and a damaged journal: nothing lost, nobody disturbed.

These are small; ``python -m benchmarks.faults`` runs the same in full size.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import mail
from tests.live.journal_damage import Specimen, Wound
from tests.live.stream_faults import besiege, kill_under_load
from tests.rigs import PATIENCE_SECONDS
from tests.rigs.certificates import Certificates
from tests.rigs.service import Service, account

WOUNDS = 60
MOST_GROWTH_BYTES = 50_000_000


class KillTests(SynchronousTestCase):
    """The process is gone from one moment to the next, again and again."""

    def test_ten_kills_before_ten_readers(self) -> None:
        """Each reader, coming back each time, has every letter once and in order."""
        killed = kill_under_load(10, 10)
        self.assertGreater(killed.letters, 20, "there was no load")


class SiegeTests(SynchronousTestCase):
    """Hostile connections beside honest ones."""

    def test_five_hundred_beside_fifty(self) -> None:
        """Honest readers get all in time, the hostile are cut, and memory stays bounded."""
        siege = besiege(Path(self.mktemp()).absolute(), 500, 50)
        self.assertLess(siege.rss_peak_bytes - siege.rss_before_bytes, MOST_GROWTH_BYTES)


class SlowReaderTests(SynchronousTestCase):
    """Readers of a long history who hardly read."""

    def setUp(self) -> None:
        limits = "[limits]\nping_seconds = 2\nstep_seconds = 2\nstalled_seconds = 2\n"
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        ca_file = Certificates(folder).ca_file
        home = account("home", "imaps://a@127.0.0.1:1", ca_file=ca_file, password="x")
        self.service = Service(home, extra=limits)
        self.addCleanup(self.service.stop)
        now = datetime.now(UTC)
        journal = SqliteJournal.open(
            self.service.state_dir / "journal.sqlite",
            retention=Retention(),
            make_epoch=lambda: "e1",
            now=now,
        )
        letters = [structs.replace(mail(uid), subject="x" * 500) for uid in range(1, 10_001)]
        journal.append(letters, None, now)
        journal.close()
        self.service.start()

    def poll(self) -> socket.socket:
        """A connection that has asked for everything, and has little room of its own."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", self.service.port))
        connection.sendall(b'HELLO 1\nSUBSCRIBE {"since":"oldest","poll":true}\n')
        return connection

    def test_the_kernel_keeps_little(self) -> None:
        """Who never reads costs a few pages, in the kernel, too."""
        connection = self.poll()
        time.sleep(1)  # for the service to give the kernel what it takes
        self.service.kill()  # what the kernel has it goes on sending
        kept = 0
        while data := connection.recv(65536):
            kept += len(data)
        self.assertLess(kept, 600_000)

    def test_who_reads_slowly_reads_to_the_end(self) -> None:
        """As long as he takes something, he is alive."""
        connection, read = self.poll(), b""
        slow_until = time.monotonic() + 8  # twice what is granted without a sign of life
        while data := connection.recv(65536):
            read = (read + data)[-100:]
            if time.monotonic() < slow_until:
                time.sleep(len(data) / 150_000)
        self.assertTrue(read.endswith(b'BYE {"reason":"polled"}\r\n'), read)


class DamageTests(SynchronousTestCase):
    """A journal that was damaged while nobody looked."""

    def specimen(self, *, is_clean: bool) -> Specimen:
        return Specimen(Path(self.mktemp()), is_clean=is_clean)

    def test_after_a_clean_stop(self) -> None:
        """Whatever is damaged: unchanged, or a new epoch, and every reader is told."""
        self._wound(self.specimen(is_clean=True))

    def test_after_a_kill(self) -> None:
        """The same with a write-ahead log: entries that it loses are a new epoch."""
        self._wound(self.specimen(is_clean=False))

    def test_text_that_is_none(self) -> None:
        """A bit that makes text undecodable is damage, not a reason to fail at every start."""
        specimen = self.specimen(is_clean=True)
        place = specimen.find(b'"account":"home"')
        self.assertEqual(specimen.outcome(Wound("", place, 7)), "quarantined")

    def test_a_name_that_is_none(self) -> None:
        """The same in the schema, where SQLite's own complaint cannot be decoded."""
        specimen = self.specimen(is_clean=True)
        for name in (b"tablecursors", b"CREATE TABLE batches"):
            place = specimen.find(name)
            for offset in range(len(name)):
                wound = Wound("", place + offset, 7)
                self.assertEqual(specimen.outcome(wound), "quarantined", wound)

    def test_a_name_by_which_nobody_calls(self) -> None:
        """A column of another name is damage: no statement of ours would ever find it."""
        specimen = self.specimen(is_clean=True)
        schema = b"CREATE TABLE journal"
        place = specimen.find(schema) + len(schema)
        outcomes = {specimen.outcome(Wound("", place + offset, 0)) for offset in range(60)}
        self.assertIn("quarantined", outcomes)
        self.assertLessEqual(outcomes, {"quarantined", "unchanged"})

    def test_a_log_without_its_end(self) -> None:
        """A tail that is gone loses entries that were told: the epoch is new, never the same."""
        specimen = self.specimen(is_clean=False)
        self.assertEqual(specimen.outcome(Wound("-wal", specimen.size("-wal") // 2, None)), "epoch")

    def _wound(self, specimen: Specimen) -> None:
        self.assertEqual(specimen.outcome(None), "unchanged")
        wounds = specimen.wounds(random.Random(5050), WOUNDS // 2)
        outcomes = Counter(map(specimen.outcome, wounds))
        self.assertGreater(outcomes["quarantined"], 0, outcomes)
        self.assertGreater(outcomes["epoch"], 0, outcomes)
