"""The journal's process is killed at any moment, and at every single write of a commit.

The promise: what `append` returned is there, whole and once; what it did not
return is there whole with its cursor, or not at all.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, everything, mail
from tests.rigs import child_environment, require

KILLS = 20

# All that SQLite does to its files that outlives the process.
CALLS = ("openat", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
# What a run without SIGKILL needs of each is below this.
MOST_CALLS = 500


class JournalCrashTests(SynchronousTestCase):
    """SIGKILL, then the next start."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve() / "journal.sqlite"
        self.path.parent.mkdir()
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.live.journal_child", str(self.path)],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.addCleanup(self.parent.communicate)

    def begin(self, first_uid: int, batches: int) -> int:
        """Make a child, which waits for SIGCONT; return its process id."""
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{first_uid} {batches}\n")
        word, _, pid = self.line().partition(" ")
        self.assertEqual(word, "stopped")
        return int(pid)

    def line(self) -> str:
        """What the child says next, or its parent."""
        assert self.parent.stdout is not None
        return self.parent.stdout.readline().rstrip("\n")

    def end(self, first_uid: int) -> tuple[bool, int]:
        """Wait for the child's end; whether it came to its own, and the last UID it told."""
        told, said = first_uid - 1, ""
        has_closed = False
        while (said := self.line()) != "ended":
            word, _, number = said.partition(" ")
            self.assertIn(word, ("open", "append", "closed"))
            told = int(number or told)
            has_closed = word == "closed"
        return has_closed, told

    def assert_consistent(self, acknowledged: int) -> int:
        """Look at what a crash left; return the last UID that is journalled."""
        journal = SqliteJournal.open(
            self.path, retention=Retention(), make_epoch=lambda: "another", now=NOON
        )
        try:
            entries = everything(journal)
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
            child = self.begin(last + 1, 1_000_000)
            os.kill(child, signal.SIGCONT)
            self.assertEqual(self.line(), "open")
            told = last
            for _ in range(moments.randrange(10)):
                told = int(self.line().removeprefix("append "))
            time.sleep(moments.uniform(0.0, 0.02))
            os.kill(child, signal.SIGKILL)
            _, acknowledged = self.end(told + 1)
            last = self.assert_consistent(acknowledged)
        self.assertGreater(last, KILLS, "the children did not get to work")

    def test_every_write_of_a_first_commit(self) -> None:
        """Killed at its 1st, 2nd, 3rd ... touch of the disk, each start finds a whole journal."""
        self._kill_at_every_call({}, 0)

    def test_every_write_of_a_later_commit(self) -> None:
        """The same for a journal that already holds something."""
        os.kill(self.begin(1, 40), signal.SIGCONT)
        has_closed, _ = self.end(1)
        self.assertTrue(has_closed)
        before = self.assert_consistent(120)
        held = {each: each.read_bytes() for each in self.path.parent.iterdir()}
        self._kill_at_every_call(held, before)

    def _kill_at_every_call(self, held: dict[Path, bytes], before: int) -> None:
        kept, kills = set[int](), 0
        for call in CALLS:
            for number in range(1, MOST_CALLS):
                self._begin_with(held)
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

    def _begin_with(self, held: dict[Path, bytes]) -> None:
        """Put back the files of before."""
        for each in self.path.parent.iterdir():
            each.unlink()
        for path, content in held.items():
            path.write_bytes(content)

    def _run_until(self, call: str, number: int, first_uid: int) -> tuple[bool, int]:
        """Run a child that dies at its n-th such call; whether it survived, and its last word."""
        child = self.begin(first_uid, 3)
        command = self._strace(child, call, number)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            said = strace.stderr.readline()
            if not said.endswith(" attached\n"):
                os.kill(child, signal.SIGKILL)
                self.end(first_uid)
                self._forbidden(said)
            os.kill(child, signal.SIGCONT)
            return self.end(first_uid)

    def _strace(self, child: int, call: str, number: int) -> list[str]:
        strace = require("strace", "strace")
        # Only calls on the journal's own files count.
        paths = [f"--trace-path={self.path}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
        inject = f"--inject={call}:signal=KILL:when={number}"
        quiet = "--quiet=exit,path-resolution,personality,thread-execve"
        return [strace, f"--attach={child}", quiet, "--output=/dev/null", *paths, inject]

    def _forbidden(self, complaints: str) -> None:
        reason = f"processes may not be traced here: {complaints[:200]}"
        if os.environ.get("CI"):
            raise AssertionError(reason)
        raise SkipTest(reason)
