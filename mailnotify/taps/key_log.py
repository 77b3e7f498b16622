"""``SSLKEYLOGFILE``: the keys of our TLS connections, for a person with Wireshark.

Whoever has the file can read all that was said, passwords and mail. So the
variable alone does nothing: the configuration has to say ``key_log = true`` as
well, or the command line of a client of port 5050 ``--key-log``, and every start says so
in the log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

from OpenSSL import SSL
from twisted.logger import Logger

KeyLog = Callable[[SSL.Connection, bytes], None]

_log = Logger()


class Configured(Protocol):
    """The configuration, or what was taken from it, or from a command line."""

    @property
    def key_log(self) -> bool: ...


def key_log_of(config: Configured) -> KeyLog | None:
    """Writes keys down, if configuration and environment both want it."""
    path = os.environ.get("SSLKEYLOGFILE")
    return _opened(Path(path).absolute()) if path and config.key_log else None


@cache
def _opened(path: Path) -> KeyLog | None:
    """One file for the process; None if it cannot be written."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        _log.error(
            "{path} cannot be opened, so no keys are logged: {why}", path=str(path), why=error
        )
        return None
    _log.critical(
        "THE KEYS OF ALL TLS CONNECTIONS ARE WRITTEN TO {path}: whoever reads that file can read"
        " passwords and mail. Unset SSLKEYLOGFILE, or remove key_log from [service] (--key-log"
        " from the command line), and delete the file, when you have seen what you wanted to see.",
        path=str(path),
    )

    def write(_: SSL.Connection, line: bytes) -> None:
        os.write(descriptor, line + b"\n")

    return write
