"""What names mean, by the environment of the process."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.files import Content
from mailnotify.config.origin import default_state_dir, expand_home


class DefaultStateDirTests(SynchronousTestCase):
    """Where the journal lies if nobody said where."""

    def test_order(self) -> None:
        """systemd's folder goes before XDG's, that before the home folder and /var/lib."""
        environ = {
            "STATE_DIRECTORY": "/var/lib/mail-a:/var/lib/mail-b",
            "XDG_STATE_HOME": "/x",
            "HOME": "/home/ada",
        }
        for variable, expected in [
            ("STATE_DIRECTORY", "/var/lib/mail-a"),
            ("XDG_STATE_HOME", "/x/mailnotify"),
            ("HOME", "/home/ada/.local/state/mailnotify"),
            ("", "/var/lib/mailnotify"),
        ]:
            self.assertEqual(default_state_dir(environ), Path(expected))
            environ.pop(variable, None)

    def test_relative_xdg_does_not_count(self) -> None:
        """The XDG specification ignores relative base directories."""
        environ = {"XDG_STATE_HOME": "x", "HOME": "/h"}
        self.assertEqual(default_state_dir(environ), Path("/h/.local/state/mailnotify"))


class ExpandHomeTests(SynchronousTestCase):
    """`~` without a shell."""

    def test_only_a_whole_first_part(self) -> None:
        """`~` and `~/x` are at home; other names stay as they are."""
        environ = {"HOME": "/h"}
        for written, path in [
            ("~", "/h"),
            ("~/x", "/h/x"),
            ("~bob/x", "~bob/x"),
            ("x/~", "x/~"),
            ("", "."),
        ]:
            self.assertEqual(expand_home(written, environ), Path(path))
        self.assertEqual(expand_home("~/x", {}), Path("~/x"))


class ContentTests(SynchronousTestCase):
    """The bytes of a file."""

    def test_repr_hides_the_bytes(self) -> None:
        """What was read from a secret's file is not shown in a traceback's values."""
        self.assertEqual(
            repr(Content(data=b"hunter2", mode=0o600)), "Content(<7 bytes>, mode=0600)"
        )
