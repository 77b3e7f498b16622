"""A run of the tests that is interrupted leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs import child_environment
from tests.rigs.service import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]


class InterruptTests(SynchronousTestCase):
    """`python -m tests`, ended in the midst of a test with a real server."""

    def test_nothing_is_left(self) -> None:
        """After either signal there is no process, no mount and no folder of it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with tempfile.TemporaryDirectory(prefix="i-") as folder:
                self._interrupt(Path(folder), number)

    def _interrupt(self, folder: Path, number: signal.Signals) -> None:
        folder.chmod(0o755)
        may_mount = os.geteuid() == 0
        module = f"tests.live.test_{'disk_full' if may_mount else 'latest'}"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests", "--jobs", "1", module],
            cwd=ROOT,
            env=child_environment(TMPDIR=str(folder)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not [*folder.glob("mn-*/mailnotify-service-*")]:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertTrue(_processes_in(folder))
        process.send_signal(number)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual(process.returncode, 128 + number, said)
        self.assertEqual(_processes_in(folder), [])
        self.assertNotIn(str(folder), Path("/proc/mounts").read_text())
        self.assertEqual([*folder.iterdir()], [])


def _processes_in(folder: Path) -> list[bytes]:
    """The commands of those processes that know of the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_bytes())
        except OSError:
            continue  # it has just ended, or is another user's
    return found
