"""The disk is full while mail arrives: said clearly, nothing lost, on as soon as there is room."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from tests.live.test_service import ServiceCase, letter
from tests.rigs.stopwatch import Stopwatch


def small_disk() -> Path:
    """A file system of 2 MB in memory; needs root."""
    folder = Path(tempfile.mkdtemp(prefix="mailnotify-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        folder.rmdir()
        if os.environ.get("CI"):
            raise AssertionError(f"cannot mount a small disk: {mounted.stderr}")
        raise SkipTest(f"cannot mount a small disk: {mounted.stderr.strip()}")
    return folder


class DiskFullTests(ServiceCase):
    """The journal lies on a disk of its own, which a neighbour fills."""

    def test_goes_on_when_there_is_room(self) -> None:
        """Messages that could not be journalled are announced within ten seconds of room."""
        disk = small_disk()
        self.addCleanup(disk.rmdir)
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        service = self.serve(self.home(), state_dir=disk / "state")
        reader = self.nc(service)
        self.dovecot.deliver("demo", letter(b"before"))
        self.assertEqual(reader.subjects(1), ["before"])
        neighbour = disk / "neighbour"
        fill(neighbour)
        # A subject is journalled in a page or less: enough of them need more room than
        # the journal's write-ahead log has left over.
        subjects = [f"no {n} {'x' * 900}" for n in range(400)]
        self.dovecot.deliver("demo", *(letter(subject.encode()) for subject in subjects))
        service.await_log("cannot be written")
        self.assertIn("Free space on that disk", service.log)
        neighbour.unlink()
        since_room = Stopwatch(service.pid)
        received = reader.subjects(400)
        self.assertLess(since_room.seconds, 10.0 + 3.0)  # to try again, and to fetch them all
        beginnings = [each[:6] for each in received]
        self.assertEqual(sorted(beginnings), sorted(each[:6] for each in subjects))
        in_order = [each[:6] for each in self.dovecot.subjects("demo")]
        self.assertEqual(["before", *beginnings], in_order)
        reader.assert_silent()
        self.assertNotIn("Traceback", service.log)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65536):
                pass
        except OSError:
            pass
        try:
            while file.write(b"\0" * 512):
                pass
        except OSError:
            pass
