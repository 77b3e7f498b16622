"""Notifications through plyer on a real daemon under Xvfb, read back from the daemon.

plyer chooses by what imports; here, as on most desktops, that is notify-send, since
dbus-python is not installed with mailnotify.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.sinks.card import card
from tests.rigs import PATIENCE_SECONDS, wait_until
from tests.rigs.notifications import Desktop
from tests.sinks.fakes import mail

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = [
    "--wait",
    "-h",
    "--icon=/etc/passwd",
    "<b>bold</b> <img src='file:///etc/passwd'/> <a href=\"x\">y</a>",
    "&lt;b&gt; &amp; &#60; &nbsp; &",
    r"back\slash \n \t \074b\076 \x41 \\ trailing" + "\\",
    "\x1b[31mred\x07 \x00nul \x9b1m \u202eright to left\u2069",
    "two\r\nlines\u2028three",
    "$(touch /tmp/pwned) `id` '; rm -rf ~ #",
    "%s %n %d %%",
    "日本語 Ünïcödé 😀👨‍👩‍👧",
    "",
    " ",
    "x" * 100_000,
    "😀" * 1000,
]


class DesktopTests(SynchronousTestCase):
    """The desktop sink on a desktop."""

    def setUp(self) -> None:
        self.desktop = Desktop()
        self.addCleanup(self.desktop.stop)

    def deliver(
        self, *subjects: str, deadline_seconds: float = 30.0, **environ: str
    ) -> dict[str, Any]:
        """Run the sink in a process, which must end by itself; tell how it went."""
        words = [str(deadline_seconds), *(json.dumps(each) for each in subjects)]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.live.desktop_run", *words],
            cwd=ROOT,
            env=self.desktop.environ | environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        told: dict[str, Any] = json.loads(done.stdout)
        told["seconds"] = time.monotonic() - begun
        return told

    def test_is_displayed(self) -> None:
        """A message stands on the screen, with its sender, subject and mailbox."""
        self.desktop.start_daemon()
        told = self.deliver("Lunch?")
        self.assertEqual(told["warnings"], [])
        (shown,) = self.desktop.displayed()
        self.assertEqual(shown.app_name, "mailnotify")
        self.assertEqual(shown.text, "Lunch?\nLunch? [home/INBOX]")

    def test_hostile_subjects_are_text(self) -> None:
        """Options, markup, escapes, controls: all of it is shown as text, and none is lost."""
        self.desktop.start_daemon()
        for at in range(0, len(HOSTILE), 5):  # below the limit of a burst
            told = self.deliver(*HOSTILE[at : at + 5])
            self.assertEqual(told["warnings"], [])
        shown = self.desktop.displayed()
        expected = [card(mail(subject=each, sender=each)) for each in HOSTILE]
        self.assertEqual(
            [each.text for each in shown], [f"{each.title}\n{each.body}" for each in expected]
        )
        self.assertFalse(Path("/tmp/pwned").exists())

    def test_foreign_locale(self) -> None:
        """In the C locale of a daemonised process every letter arrives all the same."""
        self.desktop.start_daemon()
        self.deliver("日本語 Ünïcödé", LC_ALL="C", LANG="C")
        self.assertIn("日本語 Ünïcödé [home/INBOX]", self.desktop.displayed()[0].text)

    def test_no_daemon_is_said_once(self) -> None:
        """Without a notification daemon each message goes on, and one warning says why."""
        told = self.deliver("one", "two", "three")
        self.assertEqual(told["warnings"], ["no notification service answers on the session bus"])
        self.assertLess(told["deliver_seconds"], 30)

    def test_no_session_bus(self) -> None:
        """On a machine without a desktop that is what is said."""
        told = self.deliver("one", "two", DBUS_SESSION_BUS_ADDRESS="", XDG_RUNTIME_DIR="")
        self.assertEqual(told["warnings"], ["there is no session bus"])

    def test_frozen_daemon(self) -> None:
        """A daemon that owns its name and answers nothing costs one deadline, and no exit."""
        self.desktop.start_daemon()
        self.desktop.freeze_daemon()
        told = self.deliver("one", "two", "three", deadline_seconds=2.0)
        self.assertEqual(told["warnings"], ["the desktop did not answer within 2 s"])
        self.assertLess(told["deliver_seconds"], 3 * 2.0)  # the deadline once, not three times
        self.assertLess(told["close_seconds"], 2.0)  # nor a deadline more

    def test_notify_send_that_never_returns(self) -> None:
        """A notify-send that hangs is ended; neither our exit waits for it, nor does it stay."""
        self.desktop.start_daemon()
        tools = Path(self.mktemp()).absolute()
        tools.mkdir()
        note = tools / "started"
        (tools / "notify-send").write_text(f"#!/bin/sh\necho $$ >> {note}\nexec sleep 600\n")
        (tools / "notify-send").chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        told = self.deliver("one", "two", deadline_seconds=3.0, PATH=path)
        self.assertEqual(told["warnings"], ["the desktop did not answer within 3 s"])
        self.assertLess(told["seconds"], 60.0)
        started = note.read_text().split()
        self.assertTrue(started)
        for each in started:
            wait_until(lambda: not Path("/proc", each).exists(), f"the end of {each}")  # noqa: B023

    def test_daemon_comes_later(self) -> None:
        """A daemon that is started after us shows what comes then."""
        self.deliver("too early")
        self.desktop.start_daemon()
        self.deliver("in time")
        self.assertEqual(len(self.desktop.displayed()), 1)
        self.desktop.stop_daemon()
        self.assertFalse(self.desktop.has_daemon())
