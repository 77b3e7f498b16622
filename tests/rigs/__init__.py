"""Real servers on loopback, started by the tests, each in a folder of its own.

A rig is a class whose ``start`` returns when the server answers and whose
``stop`` ends exactly the processes it started, by their id. On a machine
without the server the test is skipped with the reason; where ``CI`` is set it
fails instead, since there everything is installed.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from unittest import SkipTest


class ServerMissing(Exception):
    """A server that this run should have installed is not there."""


def require(program: str, package: str) -> str:
    """The path of a program, or a skip (in CI: a failure) that names its Debian package."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which(program, path=path)
    if found is not None:
        return found
    reason = f"{program} is not installed (Debian package: {package})"
    if os.environ.get("CI"):
        raise ServerMissing(reason)
    raise SkipTest(reason)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of a child process that runs this checkout's mailnotify."""
    checkout = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((checkout, inherited)) if inherited else checkout
    return {**os.environ, "PYTHONPATH": path, **extra}
