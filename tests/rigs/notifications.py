"""A real desktop to notify: Xvfb, a private session bus and dunst, all in one folder.

The bus has no service directories. With the system's it would start dunst by itself for
whoever asks, and "no notification service" could not be tested.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.rigs import PATIENCE_SECONDS, require, wait_until

_PROGRAMS = {
    "Xvfb": "xvfb",
    "dbus-daemon": "dbus-daemon",
    "dbus-send": "dbus-bin",
    "dunst": "dunst",
    "dunstctl": "dunst",
    "notify-send": "libnotify-bin",
}

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
</busconfig>
"""

_DUNST = """[global]
    markup = full
    format = "<b>%s</b>\\n%b"
    history_length = 1000
    notification_limit = 1000
[urgency_normal]
    timeout = 0
"""


class Displayed(NamedTuple):
    """One notification, as the daemon displayed it.

    Attributes:
        summary: the title that arrived.
        markup: the body that arrived, which the daemon reads as markup.
        text: what a person could read, title and body: the daemon's own rendering.
    """

    app_name: str
    summary: str
    markup: str
    text: str


class Desktop:
    """A screen, a session bus, and a notification daemon when `start_daemon` was called.

    Lives in a folder of its own with a short name: a socket's path has 107 bytes at most.

    Raises:
        SkipTest: the programs are not installed (in CI that is a failure).
    """

    def __init__(self) -> None:
        for program, package in _PROGRAMS.items():
            require(program, package)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._daemon: subprocess.Popen[bytes] | None = None
        self._folder = folder = Path(tempfile.mkdtemp(prefix="mailnotify-desktop-"))
        socket = folder / "bus"
        (folder / "bus.conf").write_text(_BUS.format(socket=socket))
        (folder / "dunstrc").write_text(_DUNST)
        self.environ = {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={socket}",
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        try:
            self.environ["DISPLAY"] = self._start_screen()
            self._start("dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork")
            wait_until(socket.exists, "the session bus")
        except BaseException:
            self.stop()
            raise

    def start_daemon(self) -> None:
        """Start dunst, and wait until it owns the name."""
        self._daemon = self._start("dunst", "-conf", str(self._folder / "dunstrc"))
        wait_until(self.has_daemon, "dunst")

    def stop_daemon(self) -> None:
        """End dunst; the bus stays."""
        assert self._daemon is not None
        end(self._daemon)
        self._processes.remove(self._daemon)
        self._daemon = None

    def freeze_daemon(self) -> None:
        """Let dunst keep its name and answer nothing, until the desktop is stopped."""
        assert self._daemon is not None
        os.kill(self._daemon.pid, 19)  # SIGSTOP

    def has_daemon(self) -> bool:
        """Whether somebody owns the notification service."""
        bus, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
        command = ["dbus-send", "--session", "--print-reply=literal", f"--dest={bus}", path]
        name = "string:org.freedesktop.Notifications"
        return "true" in self._output(*command, f"{bus}.NameHasOwner", name)

    def displayed(self) -> list[Displayed]:
        """What was displayed until now, the oldest first."""
        self._output("dunstctl", "close-all")  # what is on the screen goes to the history
        (found,) = json.loads(self._output("dunstctl", "history"))["data"]
        return [_displayed(each) for each in reversed(found)]

    def stop(self) -> None:
        """End everything that was started, by its process id."""
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_screen(self) -> str:
        reader, writer = os.pipe()
        self._start("Xvfb", "-displayfd", str(writer), "-nolisten", "tcp", pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader, "rb") as numbers:
            number = numbers.readline().decode().strip()
        if not number:
            raise RuntimeError(f"Xvfb did not start: {self._log('Xvfb').read_text()}")
        return f":{number}"

    def _start(self, *command: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        with self._log(command[0]).open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
            )
        self._processes.append(process)
        return process

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _output(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return done.stdout


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, frozen or not."""
    process.kill()
    process.wait()


def _displayed(found: dict[str, Any]) -> Displayed:
    fields = {key: value["data"] for key, value in found.items()}
    # dunst keeps what it renders: Pango markup, of which a person sees the text.
    rendered = re.sub(r"</?[a-z]+>", "", str(fields["message"]))
    return Displayed(
        app_name=str(fields["appname"]),
        summary=str(fields["summary"]),
        markup=str(fields["body"]),
        text=html.unescape(rendered),
    )
