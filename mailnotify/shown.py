"""Remembers which events were shown, over a restart too: the last ten thousand.

A client of several services needs it: what one service tells after a restart another one
may have told before. The file has a line for each event, a digest of its name. A line is
appended and fsynced when it was shown; at the start, and when there are twice as many
lines as are remembered, the file is replaced by one with the newest. What a power cut
leaves of the last line is no digest, and is dropped.
"""

from __future__ import annotations

import errno
import os
import re
from hashlib import blake2b
from pathlib import Path
from typing import Final

from mailnotify.config import files
from mailnotify.errors import PositionBusy, PositionUnwritable

REMEMBERED: Final = 10_000
"""A service that comes back tells what it saw meanwhile, and that is seldom more."""

_DIGEST_BYTES: Final = 12
"""Two of ten thousand names have the same digest once in 10^21 times."""

_LINE_BYTES: Final = 2 * _DIGEST_BYTES + 1
_DIGEST: Final = re.compile(rb"[0-9a-f]{%d}" % (2 * _DIGEST_BYTES))


class Shown:
    """The names of what was shown last.

    `open` it first, `close` it at the end.

    Args:
        path: the file; None to remember as long as the process lives.
        most: so many names are remembered; the file has at most twice as many lines.
    """

    def __init__(self, path: Path | None = None, most: int = REMEMBERED) -> None:
        self._path = path
        self._most = most
        self._digests: dict[bytes, None] = {}
        self._lock: int | None = None
        self._file: int | None = None
        self._lines = 0

    def open(self) -> None:
        """Take the lock, and read what was shown before.

        Raises:
            PositionBusy: another client has it.
            PositionUnwritable: it cannot be kept.
        """
        if self._path is None:
            return
        try:
            self._lock = files.hold(self._path)
            for digest in self._read(self._path):
                self._take_in(digest)
            self._begin_anew(self._path)
        except BlockingIOError as failure:
            raise PositionBusy(path=str(self._path)) from failure
        except OSError as failure:
            self.close()
            raise self._unwritable(failure) from failure

    def close(self) -> None:
        """Let another client have it."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def __contains__(self, name: str) -> bool:
        return _digest(name) in self._digests

    def remember(self, name: str) -> None:
        """It was shown: until the process ends it is known."""
        self._take_in(_digest(name))

    def keep(self, name: str) -> None:
        """The same over a restart; when this returns, a power cut cannot take it back.

        Raises:
            PositionUnwritable: the disk is full or failing.
        """
        if self._path is None or self._file is None:
            return
        try:
            if self._lines >= 2 * self._most:
                self._begin_anew(self._path)
            _append(self._file, _line(_digest(name)))
        except OSError as failure:
            raise self._unwritable(failure) from failure
        self._lines += 1

    def _take_in(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > self._most:
            del self._digests[next(iter(self._digests))]

    def _read(self, path: Path) -> list[bytes]:
        try:
            data = files.read(path, 4 * self._most * _LINE_BYTES).data
        except FileNotFoundError:
            return []
        return [line for line in data.split(b"\n") if _DIGEST.fullmatch(line)]

    def _begin_anew(self, path: Path) -> None:
        """Replace the file by one with what is known."""
        files.replace(path, b"".join(map(_line, self._digests)))
        before = self._file
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._lines = len(self._digests)
        if before is not None:
            os.close(before)

    def _unwritable(self, failure: OSError) -> PositionUnwritable:
        return PositionUnwritable(path=str(self._path), reason=files.reason(failure))


def _digest(name: str) -> bytes:
    written = name.encode("utf-8", "surrogatepass")
    return blake2b(written, digest_size=_DIGEST_BYTES).hexdigest().encode()


def _line(digest: bytes) -> bytes:
    """Begun by its line end, so that half a line before it does not spoil it."""
    return b"\n" + digest


def _append(file: int, line: bytes) -> None:
    if os.write(file, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fdatasync(file)
