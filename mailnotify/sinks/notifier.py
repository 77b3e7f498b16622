"""Shows a card on the desktop with plyer, through the one door that is safe.

plyer picks its backend by itself: inside a Flatpak one that pastes the text
unescaped into a GVariant, and else the first that imports, asking nobody whether
anything answers. So `desktop_notifier` picks, always in the same order, and hands
plyer only what that backend takes as text:

1. ``notify-send``: a process of its own, which can be ended when it hangs;
2. dbus-python: a hung daemon holds its thread for 25 s and longer;
3. on macOS and Windows, plyer's only one.

plyer ignores the exit code of ``notify-send``; to know whether anybody is there, the
session bus is asked before every card who owns `org.freedesktop.Notifications` (or
could be started to own it).

All of this blocks, and belongs into a thread: `mailnotify.sinks.notifier_thread`.
"""

from __future__ import annotations

import html
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import plyer
from plyer.platforms.linux.notification import NotifyDbus, NotifySendNotification

from mailnotify.errors import DesktopUnavailable
from mailnotify.sinks.card import Card

SERVICE: Final = "org.freedesktop.Notifications"
"""The bus name of a notification daemon (Desktop Notifications Specification §9)."""

SHOWN_SECONDS: Final = 10
"""How long a card stays; plyer heeds it with dbus-python and on Windows only."""

_BUS_SECONDS: Final = 2.0
"""The bus answers from memory, within milliseconds; after this it is taken as hung."""


class Notifier(Protocol):
    """Shows cards, one at a time, in the thread that calls."""

    def notify(self, card: Card) -> None:
        """Show a card; may block for as long as the desktop likes.

        Raises:
            DesktopUnavailable: nobody is there to show it.
        """

    def interrupt(self) -> None:
        """From another thread: make a `notify` that hangs return, where that can be done."""


class PlyerNotifier:
    """plyer, with its text spelled for its backend and its silence made audible.

    Args:
        notify: plyer's `notify`, or what stands for it in a test.
        spell: turns the plain body into what this backend takes for that text.
        ensure_service: raises DesktopUnavailable when nobody would show the card.
    """

    def __init__(
        self,
        *,
        notify: Callable[..., None],
        spell: Callable[[str], str],
        ensure_service: Callable[[], None],
    ) -> None:
        self._notify = notify
        self._spell = spell
        self._ensure_service = ensure_service
        self._thread_id: int | None = None

    def notify(self, card: Card) -> None:
        """See `Notifier.notify`."""
        self._thread_id = threading.get_native_id()
        try:
            self._ensure_service()
            self._notify(
                title=card.title,
                message=self._spell(card.body),
                app_name="mailnotify",
                timeout=SHOWN_SECONDS,
            )
        finally:
            self._thread_id = None

    def interrupt(self) -> None:
        """End the processes that the blocked thread waits for.

        plyer keeps no handle to its ``notify-send``. But nothing else is ever started
        from that thread, so the kernel's list of its children holds that one alone.
        """
        if self._thread_id is not None:
            _kill_children(self._thread_id)


def desktop_notifier(platform: str, environ: Mapping[str, str]) -> PlyerNotifier:
    """Choose plyer's backend for `sys.platform`; never fails, for `notify` says what is missing."""
    if not platform.startswith("linux"):
        return PlyerNotifier(notify=_facade, spell=str, ensure_service=_nothing_to_ask)
    has_notify_send = shutil.which("notify-send", path=environ.get("PATH")) is not None
    if has_notify_send or find_spec("dbus") is None:
        ensure = SessionBus(environ).ensure_service if has_notify_send else _nothing_installed
        backend = NotifySendNotification().notify
        return PlyerNotifier(notify=backend, spell=as_notify_send_body, ensure_service=ensure)
    return PlyerNotifier(
        notify=NotifyDbus().notify,
        spell=as_markup,
        ensure_service=SessionBus(environ).ensure_service,
    )


def as_markup(text: str) -> str:
    """Spell a body so that markup shows it as it is (the specification's §5: body is markup)."""
    return html.escape(text, quote=False)


def as_notify_send_body(text: str) -> str:
    r"""Spell a body for notify-send, which expands ``\n`` and ``\074`` before it sends it."""
    return as_markup(text).replace("\\", "\\\\")


class SessionBus:
    """Asks the session bus whether a notification daemon runs, or would be started.

    The question is put by whichever of the usual tools is installed, in a process that
    is ended after two seconds: a frozen bus looks like one without a daemon.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def ensure_service(self) -> None:
        """Return if there is one, or if nothing can be found out.

        Raises:
            DesktopUnavailable: there is no session bus, or no daemon on it.
        """
        if not self._has_address():
            raise DesktopUnavailable(reason="there is no session bus")
        for method, says_yes in (
            ("NameHasOwner", "true"),
            ("ListActivatableNames", SERVICE),
        ):
            answer = self._ask(method)
            if answer is None or says_yes in answer:
                return
        raise DesktopUnavailable(reason="no notification service answers on the session bus")

    def _has_address(self) -> bool:
        """Whether a bus is there; asked first, since libdbus would start a stray one under X11."""
        if self._environ.get("DBUS_SESSION_BUS_ADDRESS"):
            return True
        runtime_dir = self._environ.get("XDG_RUNTIME_DIR")
        return bool(runtime_dir) and Path(str(runtime_dir), "bus").exists()

    def _ask(self, method: str) -> str | None:
        command = self._command(method)
        if command is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 (constant words; no shell)
                command,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_BUS_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise DesktopUnavailable(reason=f"the session bus is silent: {failure}") from failure
        return done.stdout if done.returncode == 0 else ""

    def _command(self, method: str) -> list[str] | None:
        bus, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
        name = [SERVICE] if method == "NameHasOwner" else []
        dbus_name = [f"string:{each}" for each in name]
        busctl_name = ["s", *name] if name else []
        dbus_send = ["dbus-send", "--session", "--print-reply=literal", f"--dest={bus}"]
        gdbus = ["gdbus", "call", "--session", "--dest", bus, "--object-path", path]
        commands = (
            [*dbus_send, path, f"{bus}.{method}", *dbus_name],
            ["busctl", "--user", "call", bus, path, bus, method, *busctl_name],
            [*gdbus, "--method", f"{bus}.{method}", *name],
        )
        for command in commands:
            if shutil.which(command[0], path=self._environ.get("PATH")):
                return command
        return None


def _facade(**fields: object) -> None:
    """plyer's own choice, where it has but one."""
    try:
        plyer.notification.notify(**fields)
    except NotImplementedError as failure:
        raise DesktopUnavailable(reason="plyer has no usable backend here") from failure


def _nothing_to_ask() -> None:
    """macOS and Windows always have a notification centre."""


def _nothing_installed() -> None:
    raise DesktopUnavailable(reason="neither notify-send nor dbus-python is installed")


def _kill_children(thread_id: int) -> None:
    """Kill what this thread started and waits for, by handles that no other process can get."""
    for process_id in _children(thread_id):
        with suppress(OSError):
            handle = os.pidfd_open(process_id)
            try:
                if process_id in _children(thread_id):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _children(thread_id: int) -> list[int]:
    """The processes started by one thread of ours; none where the kernel does not tell."""
    try:
        text = Path(f"/proc/self/task/{thread_id}/children").read_text("ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]
