"""The position on disk: kept whole, kept private, kept by one client alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import Position
from mailnotify.errors import PositionBusy, PositionUnwritable
from mailnotify.position import PositionFile

HERE = Position(epoch="a1b2", seq=41)
ROOT = Path(__file__).resolve().parents[1]


class PositionFileTests(SynchronousTestCase):
    """`PositionFile`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "client" / "there.position"
        self.file = PositionFile(self.path)
        self.file.open()
        self.addCleanup(self.file.close)

    def test_first_start(self) -> None:
        """A client that never ran has no position, and that is no fault."""
        with capturedLogs() as captured:
            self.assertIsNone(self.file.read())
        self.assertEqual(captured, [])

    def test_read_what_was_saved(self) -> None:
        """A position is read as it was saved, by the next client too."""
        self.file.save(Position(epoch="a1b2", seq=40))
        self.file.save(HERE)
        self.file.close()
        again = PositionFile(self.path)
        again.open()
        self.assertEqual(again.read(), HERE)
        again.close()

    def test_nobody_else_may_look(self) -> None:
        """The folder is 0700 and its files are 0600."""
        self.file.save(HERE)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)
        modes = {each.stat().st_mode & 0o777 for each in self.path.parent.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_corrupt_file(self) -> None:
        """A damaged position counts as none, with a warning that says what to do."""
        for damage in (b"", b"nonsense", b"\xff\xfe", b"a:1\n" + b"x" * 1000, b"a:-1"):
            self.path.write_bytes(damage)
            with capturedLogs() as captured:
                self.assertIsNone(self.file.read())
            self.assertEqual([event["log_level"] for event in captured], [LogLevel.warn])

    def test_unreadable_file(self) -> None:
        """Something else in the place of the file counts as none as well."""
        self.path.mkdir()
        with capturedLogs() as captured:
            self.assertIsNone(self.file.read())
        self.assertEqual(len(captured), 1)

    def test_second_client(self) -> None:
        """A second client for the same server is refused, in this process and from another."""
        self.assertRaises(PositionBusy, PositionFile(self.path).open)
        script = (
            "import sys; from pathlib import Path; from mailnotify.position import PositionFile\n"
            "PositionFile(Path(sys.argv[1])).open()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, self.path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.assertIn("PositionBusy: the position", done.stderr)
        self.file.close()
        again = PositionFile(self.path)
        again.open()
        again.close()

    def test_full_disk(self) -> None:
        """A position that cannot be written leaves the one before."""
        self.file.save(HERE)
        self.path.with_name(self.path.name + ".new").symlink_to("/dev/full")
        self.file.save(Position(epoch="a1b2", seq=42))  # a leftover link is not followed
        self.assertEqual(self.file.read(), Position(epoch="a1b2", seq=42))
        self.path.with_name(self.path.name + ".new").mkdir()
        failure = self.assertRaises(PositionUnwritable, self.file.save, HERE)
        self.assertIn("cannot be kept", str(failure))
        self.assertEqual(self.file.read(), Position(epoch="a1b2", seq=42))

    def test_no_folder(self) -> None:
        """A folder that cannot be made is said when the client starts."""
        self.path.write_bytes(b"")
        below = PositionFile(self.path / "client" / "x.position")
        self.assertRaises(PositionUnwritable, below.open)
        below.close()

    def test_link_in_the_way(self) -> None:
        """A symbolic link that somebody laid is not followed."""
        lock = self.path.with_name("other.position.lock")
        lock.symlink_to(self.path.with_name("target"))
        other = PositionFile(self.path.with_name("other.position"))
        self.assertRaises(PositionUnwritable, other.open)
        self.assertFalse(self.path.with_name("target").exists())
