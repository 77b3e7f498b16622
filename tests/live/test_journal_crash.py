"""The journal's process is killed at any moment, and at every single write of a commit.

The promise: what `append` returned is there, whole and once; what it did not
return is there whole with its cursor, or not at all.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, mail
from tests.rigs import require

ROOT = Path(__file__).parent.parent.parent
KILLS = 20
PATIENCE_SECONDS = 60

# All that SQLite does to its files that outlives the process.
CALLS = ("openat", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
# What a run without SIGKILL needs of each is below this.
MOST_CALLS = 500


class JournalCrashTests(SynchronousTestCase):
    """SIGKILL, then the next start."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve() / "journal.sqlite"
        self.path.parent.mkdir()

    def child(self, first_uid: int, batches: int, *under: str) -> subprocess.Popen[bytes]:
        command = [*under, sys.executable, "-m", "tests.live.journal_child"]
        return subprocess.Popen(
            [*command, str(self.path), str(first_uid), str(batches)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def assert_consistent(self, acknowledged: int) -> int:
        """Look at what a crash left; return the last UID that is journalled."""
        journal = SqliteJournal.open(
            self.path, retention=Retention(), make_epoch=lambda: "another", now=NOON
        )
        try:
            entries = journal.read(0, 1_000_000)
            uids = [entry.event.uid for entry in entries]
            last = len(uids)
            self.assertGreaterEqual(last, acknowledged, "an acknowledged message is lost")
            self.assertEqual(uids, list(range(1, last + 1)), "a message is missing or doubled")
            self.assertEqual([entry.seq for entry in entries], uids, "the numbers have holes")
            self.assertEqual([entry.event for entry in entries], [mail(uid) for uid in uids])
            cursor = journal.cursor("home", "INBOX")
            self.assertEqual(cursor.last_uid if cursor else 0, last, "the cursor lies")
            self.assertEqual(list(self.path.parent.glob("*.damaged*")), [])
        finally:
            journal.close()
        return last

    def test_random_moments(self) -> None:
        """Killed 20 times while it appends, it has lost, doubled and torn nothing."""
        moments = random.Random(5050)
        last = 0
        for _ in range(KILLS):
            child = self.child(last + 1, 1_000_000)
            assert child.stdout is not None
            self.assertEqual(child.stdout.readline(), b"open\n")
            time.sleep(moments.uniform(0.0, 0.15))
            child.kill()
            said = child.communicate(timeout=PATIENCE_SECONDS)[0].split(b"\n")[:-1]
            acknowledged = int(said[-1].split()[1]) if said else last
            last = self.assert_consistent(acknowledged)
        self.assertGreater(last, KILLS, "the children did not get to work")

    def test_every_write_of_a_first_commit(self) -> None:
        """Killed at its 1st, 2nd, 3rd ... touch of the disk, each start finds a whole journal."""
        self._kill_at_every_call({})

    def test_every_write_of_a_later_commit(self) -> None:
        """The same for a journal that already holds something."""
        _, complaints = self.child(1, 40).communicate(timeout=PATIENCE_SECONDS)
        held = {each: each.read_bytes() for each in self.path.parent.iterdir()}
        self.assertIn(self.path, held, complaints)
        self._kill_at_every_call(held)

    def _kill_at_every_call(self, held: dict[Path, bytes]) -> None:
        kept, kills = set[int](), 0
        for call in CALLS:
            for number in range(1, MOST_CALLS):
                before = self._begin_with(held)
                survived, acknowledged = self._run_until(call, number, before + 1)
                kept.add(self.assert_consistent(acknowledged) - before)
                if survived:
                    break
                kills += 1
            else:
                self.fail(f"the child never gets past its calls of {call}")
        # Batches of one, two and three messages: all of a batch, or nothing of it.
        self.assertEqual(kept, {0, 1, 3, 6})
        self.assertGreater(kills, 20, "nothing was killed; does SQLite use other calls now?")

    def _begin_with(self, held: dict[Path, bytes]) -> int:
        """Put back the files of before; return the last UID in them."""
        for each in self.path.parent.iterdir():
            each.unlink()
        for path, content in held.items():
            path.write_bytes(content)
        return self.assert_consistent(0) if held else 0

    def _run_until(self, call: str, number: int, first_uid: int) -> tuple[bool, int]:
        """Run a child that dies at its n-th such call; whether it survived, and its last word."""
        child = self.child(first_uid, 3, *self._strace(call, number))
        said, complaints = child.communicate(timeout=PATIENCE_SECONDS)
        if b"ptrace" in complaints:
            self._forbidden(complaints)
        lines = said.split(b"\n")[:-1]
        words = [line for line in lines if line.startswith(b"append")]
        acknowledged = int(words[-1].split()[1]) if words else first_uid - 1
        return b"closed" in lines, acknowledged

    def _strace(self, call: str, number: int) -> list[str]:
        strace = require("strace", "strace")
        # Only calls on the journal's own files count.
        paths = [f"--trace-path={self.path}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
        inject = f"--inject={call}:signal=KILL:when={number}"
        return [strace, "--follow-forks", "--quiet=all", "--output=/dev/null", *paths, inject]

    def _forbidden(self, complaints: bytes) -> None:
        reason = f"processes may not be traced here: {complaints.decode(errors='replace')[:200]}"
        if os.environ.get("CI"):
            raise AssertionError(reason)
        raise SkipTest(reason)
