"""Real servers on loopback, started by the tests, each in a folder of its own.

A rig is a class whose ``start`` returns when the server answers and whose
``stop`` ends exactly the processes it started, by their id. On a machine
without the server the test is skipped with the reason; where ``CI`` is set it
fails instead, since there everything is installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from unittest import SkipTest

PATIENCE_SECONDS = 120.0
"""How long a test waits for what must come; a healthy run needs a small part of it."""

_PORTS = 200
"""So many each process of the tests has for itself."""


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
    """A TCP port on 127.0.0.1 that nobody listens on, and that nobody else is given.

    Not port 0 of the kernel: between its answer and the server's start it may give
    the same port to any connection, or to another test.
    """
    for port in _ports():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("an endless cycle ended")


@cache
def _ports() -> Iterator[int]:
    """The ports of this process, below those that the kernel gives to connections."""
    for first in range(20_000, 30_000, _PORTS):
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0mailnotify-tests-{first}")
        except OSError:
            mark.close()  # another process has these
        else:
            mark.detach()  # nobody closes it before this process ends
            return cycle(range(first, first + _PORTS))
    raise RuntimeError("too many processes run these tests")


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of a child process that runs this checkout's mailnotify."""
    checkout = str(Path(__file__).parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((checkout, inherited)) if inherited else checkout
    return {**os.environ, "PYTHONPATH": path, **extra}


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that a process of ours is about to do.

    Raises:
        AssertionError: it did not.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.02)
