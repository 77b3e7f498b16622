"""plyer behind our adapter: how text is spelled, who is asked, what can be interrupted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import DesktopUnavailable
from mailnotify.sinks.card import Card
from mailnotify.sinks.notifier import (
    SERVICE,
    PlyerNotifier,
    SessionBus,
    as_markup,
    as_notify_send_body,
    desktop_notifier,
)

ROOT = Path(__file__).resolve().parents[2]
CARD = Card(title="Ann", body="<b>5 \\n 6</b>")


class Recorder:
    """Stands for plyer's `notify`."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def notify(self, **fields: object) -> None:
        self.calls.append(fields)


def nothing_to_ask() -> None:
    """There is a service."""


def nobody() -> None:
    raise DesktopUnavailable(reason="nobody is there")


class PlyerNotifierTests(SynchronousTestCase):
    """`PlyerNotifier` with something else in plyer's place."""

    def notifier(self, ensure_service: Callable[[], None]) -> tuple[PlyerNotifier, Recorder]:
        plyer = Recorder()
        notifier = PlyerNotifier(
            notify=plyer.notify, spell=as_markup, ensure_service=ensure_service
        )
        return notifier, plyer

    def test_spells_the_body_alone(self) -> None:
        """The body is markup and is escaped; the title is text and is not."""
        notifier, plyer = self.notifier(nothing_to_ask)
        notifier.notify(Card(title="a < b", body="a < b"))
        self.assertEqual(plyer.calls[0]["title"], "a < b")
        self.assertEqual(plyer.calls[0]["message"], "a &lt; b")
        self.assertEqual(plyer.calls[0]["app_name"], "mailnotify")

    def test_asks_first(self) -> None:
        """Where nobody shows notifications plyer is not called: it would report a success."""
        notifier, plyer = self.notifier(nobody)
        self.assertRaises(DesktopUnavailable, notifier.notify, CARD)
        self.assertEqual(plyer.calls, [])

    def test_interrupt_when_idle(self) -> None:
        """Nothing is ended while nothing is shown."""
        child = os.fork()
        if child == 0:  # pragma: no cover (the child never returns)
            threading.Event().wait(60)
            os._exit(1)
        try:
            self.notifier(nothing_to_ask)[0].interrupt()
            self.assertEqual(os.waitpid(child, os.WNOHANG), (0, 0))
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


class SpellingTests(SynchronousTestCase):
    """`as_markup` and `as_notify_send_body`."""

    def test_markup(self) -> None:
        """Markup in a subject is shown as its letters."""
        self.assertEqual(as_markup('<a href="x">&amp;'), '&lt;a href="x"&gt;&amp;amp;')

    def test_backslashes(self) -> None:
        """What notify-send would expand, an octal `<` for one, arrives as it was."""
        self.assertEqual(as_notify_send_body(r"\074b>"), r"\\074b&gt;")

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever the text: undone by notify-send and by the markup, it is the same again."""
        spelled = as_notify_send_body(text)
        expanded = re.sub(r"\\(.)", r"\1", spelled, flags=re.DOTALL)  # as g_strcompress does
        self.assertFalse(set(spelled) & set("<>"))
        self.assertEqual(unescape(expanded), text)


def unescape(markup: str) -> str:
    """What a daemon does that knows the three entities, and no more, one after the other."""
    return markup.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class BackendTests(SynchronousTestCase):
    """`desktop_notifier`: which of plyer's backends is used is ours to decide."""

    def test_without_notify_send(self) -> None:
        """Without notify-send and dbus-python the sentence names both."""
        notifier = desktop_notifier("linux", {"PATH": "/nonexistent"})
        failure = self.assertRaises(DesktopUnavailable, notifier.notify, CARD)
        self.assertIn("neither notify-send nor dbus-python", str(failure))

    def test_without_a_session_bus(self) -> None:
        """With notify-send, but on a machine without a desktop, the session bus is missed."""
        notifier = desktop_notifier("linux", {"PATH": self.path_with("notify-send")})
        failure = self.assertRaises(DesktopUnavailable, notifier.notify, CARD)
        self.assertIn("no session bus", str(failure))

    def test_other_platforms(self) -> None:
        """Where plyer has no backend, we say so instead of calling it a success."""
        # plyer is told to be on iOS, where it has no notifications at all.
        script = (
            "from mailnotify.sinks.notifier import desktop_notifier\n"
            "from mailnotify.sinks.card import Card\n"
            "desktop_notifier('ios', {}).notify(Card(title='t', body='b'))\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env=os.environ | {"KIVY_BUILD": "ios", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.assertIn("DesktopUnavailable: no notification", done.stderr)
        self.assertIn("plyer has no usable backend here", done.stderr)

    def path_with(self, *names: str) -> str:
        folder = Path(self.mktemp())
        folder.mkdir()
        for name in names:
            write_tool(folder / name, "exit 0")
        return str(folder.absolute())


def write_tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class SessionBusTests(SynchronousTestCase):
    """`SessionBus` with stand-ins for the tools that put the question."""

    def bus(self, tool: str, script: str, **environ: str) -> SessionBus:
        folder = Path(self.mktemp())
        folder.mkdir()
        write_tool(folder / tool, script)
        here = {"PATH": str(folder.absolute()), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}
        return SessionBus(here | environ)

    def test_owner(self) -> None:
        """A running daemon is enough, whichever tool asks for it."""
        for tool in ("dbus-send", "busctl", "gdbus"):
            self.bus(tool, "echo boolean true").ensure_service()

    def test_question(self) -> None:
        """The question names the service that desktops agree on."""
        for tool in ("dbus-send", "busctl", "gdbus"):
            asked = Path(self.mktemp()).absolute()
            self.bus(tool, f'echo "$@" > {asked}; echo true').ensure_service()
            self.assertIn("NameHasOwner", asked.read_text())
            self.assertIn(SERVICE, asked.read_text())

    def test_activatable(self) -> None:
        """A daemon that the bus would start counts."""
        script = f'case "$*" in *ListActivatable*) echo {SERVICE};; *) echo false;; esac'
        self.bus("busctl", script).ensure_service()

    def test_nobody(self) -> None:
        """A bus without a notification service is one without."""
        bus = self.bus("gdbus", "echo '(false,)'")
        failure = self.assertRaises(DesktopUnavailable, bus.ensure_service)
        self.assertIn("no notification service", str(failure))

    def test_no_bus(self) -> None:
        """A bus that cannot be reached has no service either."""
        self.assertRaises(DesktopUnavailable, self.bus("dbus-send", "exit 1").ensure_service)

    def test_no_address(self) -> None:
        """Without the address of a bus nothing is started to look for one."""
        for runtime_dir in ("", "/nonexistent"):
            bus = self.bus(
                "gdbus", "echo true", DBUS_SESSION_BUS_ADDRESS="", XDG_RUNTIME_DIR=runtime_dir
            )
            failure = self.assertRaises(DesktopUnavailable, bus.ensure_service)
            self.assertIn("no session bus", str(failure))

    def test_usual_place(self) -> None:
        """The bus of a systemd session is found without an address."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "bus").touch()
        runtime_dir = str(folder.absolute())
        self.bus(
            "gdbus", "echo true", DBUS_SESSION_BUS_ADDRESS="", XDG_RUNTIME_DIR=runtime_dir
        ).ensure_service()

    def test_no_tool(self) -> None:
        """Where nothing can be asked, plyer has a try."""
        self.bus("other", "exit 1").ensure_service()

    def test_frozen_bus(self) -> None:
        """A bus that does not answer is given up after two seconds."""
        bus = self.bus("gdbus", "exec /bin/sleep 60")
        failure = self.assertRaises(DesktopUnavailable, bus.ensure_service)
        self.assertIn("silent", str(failure))
