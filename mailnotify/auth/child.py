"""Runs one program to its end, blocking, within a deadline and a size.

No shell, no input, a session of its own: when the time or the size is used up,
the program and all that it started are killed together. A descendant that
outlives the program (an agent that it woke) is left alone, and does not keep us
waiting even if it holds the pipes open.

Callers run this in a thread.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from msgspec import Struct

_GLANCE_SECONDS = 0.05
"""How long a program that has ended may go unnoticed while others hold its pipes."""

_CHUNK_BYTES = 4096

_KILLED_SECONDS = 1.0
"""How long a killed program may take to be gone; a kernel that is busy needs less."""


class ChildOverran(Exception):
    """The program was killed, for `what` it used up; becomes a `SecretUnavailable`."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Outcome(Struct, frozen=True, kw_only=True):
    """What a program left: its exit status (negative: a signal) and its output."""

    status: int
    stdout: bytes
    stderr: bytes

    def __repr__(self) -> str:
        return f"Outcome(status={self.status}, <output not shown>)"


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    deadline_seconds: float,
    most_bytes: int,
) -> Outcome:
    """Run a program and collect what it prints.

    Raises:
        OSError: it cannot be started.
        ChildOverran: it took or printed too much, and is dead now.
    """
    process = subprocess.Popen(  # noqa: S603 - what the operator configured, without a shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        start_new_session=True,
    )
    try:
        return _collect(process, time.monotonic() + deadline_seconds, most_bytes)
    finally:
        _end(process)


def _collect(process: subprocess.Popen[bytes], deadline: float, most_bytes: int) -> Outcome:
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        stdout = _Pipe(process.stdout, selector, most_bytes)
        stderr = _Pipe(process.stderr, selector, most_bytes)
        while selector.get_map() and process.poll() is None:
            _read_ready(selector, _GLANCE_SECONDS)
            if time.monotonic() > deadline:
                raise ChildOverran("its time")
        _await_end(process, deadline)
        while _read_ready(selector, 0):  # printed just before the end
            pass
    return Outcome(status=process.returncode, stdout=bytes(stdout.kept), stderr=bytes(stderr.kept))


class _Pipe:
    """One output of the program, registered for reading until its end."""

    def __init__(self, file: IO[bytes], selector: selectors.BaseSelector, most_bytes: int) -> None:
        self.kept = bytearray()
        self._file = file
        self._selector = selector
        self._most_bytes = most_bytes
        selector.register(file, selectors.EVENT_READ, self)

    def read(self) -> None:
        """Take what is there; raises ChildOverran."""
        chunk = os.read(self._file.fileno(), _CHUNK_BYTES)
        if not chunk:
            self._selector.unregister(self._file)
        self.kept += chunk
        if len(self.kept) > self._most_bytes:
            raise ChildOverran("its output")


def _read_ready(selector: selectors.BaseSelector, timeout_seconds: float) -> bool:
    ready = selector.select(timeout_seconds) if selector.get_map() else []
    for key, _ in ready:
        key.data.read()
    return bool(ready)


def _await_end(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # it closed its output and goes on
        raise ChildOverran("its time") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group unless its leader has ended, and let go of the pipes."""
    if process.poll() is None:
        with suppress(OSError):  # one that became another user (sudo) is not ours to kill
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_SECONDS)
