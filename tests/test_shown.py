"""What was shown is known over a restart, in a file that stays small."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import PositionBusy, PositionUnwritable
from mailnotify.shown import Shown


class ShownTests(SynchronousTestCase):
    """`Shown`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "client" / "shown"
        self.shown = self.opened()

    def opened(self, most: int = 3) -> Shown:
        shown = Shown(self.path, most)
        shown.open()
        self.addCleanup(shown.close)
        return shown

    def show(self, *names: str) -> None:
        for name in names:
            self.shown.remember(name)
            self.shown.keep(name)

    def again(self) -> Shown:
        """What the next process knows."""
        self.shown.close()
        self.shown = self.opened()
        return self.shown

    def known(self, *names: str) -> list[str]:
        return [name for name in names if name in self.shown]

    def test_over_a_restart(self) -> None:
        """What was kept is known, and nothing else; any name can be."""
        self.show("mail 1", "mail 2\n", "\ud800")
        self.again()
        self.assertEqual(
            self.known("mail 1", "mail 2\n", "\ud800", "mail", ""), ["mail 1", "mail 2\n", "\ud800"]
        )

    def test_bounded(self) -> None:
        """The oldest is forgotten first, and the file has few more than are remembered."""
        for number in range(50):
            self.show(str(number))
            self.assertLessEqual(self.path.stat().st_size, 25 * 7)
        self.assertEqual(self.known("46", "47", "48", "49"), ["47", "48", "49"])
        self.again()
        self.assertEqual(self.known("46", "47", "48", "49"), ["47", "48", "49"])

    def test_half_a_line(self) -> None:
        """What a power cut left of a line costs that name alone."""
        self.show("a", "b")
        whole = self.path.read_bytes()
        for cut in range(1, 25):
            self.shown.close()
            self.path.write_bytes(whole[:-cut])
            self.shown = self.opened()
            self.show("c")
            self.again()
            self.assertEqual(self.known("a", "b", "c"), ["a", "c"], cut)

    def test_while_it_runs(self) -> None:
        """Half a line that the disk refused does not spoil the next."""
        self.show("a")
        with self.path.open("ab") as file:
            file.write(b"\n0123")
        self.show("b")
        self.again()
        self.assertEqual(self.known("a", "b"), ["a", "b"])

    def test_in_memory(self) -> None:
        """Without a file nothing is written, and as much is known."""
        shown = Shown(most=2)
        shown.open()
        for name in ("a", "b", "c"):
            shown.remember(name)
            shown.keep(name)
        shown.close()
        self.assertEqual([each for each in "abc" if each in shown], ["b", "c"])

    def test_another_client(self) -> None:
        """Two cannot share it: each would hide what the other has shown."""
        self.assertRaises(PositionBusy, self.opened)
        self.shown.close()
        self.opened()

    def test_a_file_that_cannot_be(self) -> None:
        """It is said at the start."""
        self.shown.close()
        self.path.unlink()
        self.path.mkdir()
        failure = self.assertRaises(PositionUnwritable, self.opened)
        self.assertIn("shown cannot be kept", str(failure))
        self.path.rmdir()
        self.opened()

    def test_private(self) -> None:
        """Nobody else reads whose mail was shown."""
        modes = {each.stat().st_mode & 0o777 for each in self.path.parent.iterdir()}
        self.assertEqual((modes, self.path.parent.stat().st_mode & 0o777), ({0o600}, 0o700))
