"""Notices that an older copy of the journal was put in its place.

A restored copy has forgotten entries that readers have had. It would give their
numbers to others, and a reader who comes back after that would miss those without
a word. So a small file beside the journal holds the last position that was told
to anybody, ``epoch:seq``. A journal that is behind it, of another epoch, or alone,
has lived elsewhere meanwhile, or has lost the end of its write-ahead log: it begins
a new epoch, and every reader is told of a gap.

The file is written when a journal is opened, and at every append after the commit
and before anybody hears of it. It is written without fsync: it survives a kill of the
process, and the kernel brings it to the disk in its own time. What can be missed is a
copy less than half a minute old that is restored after a power cut. Where the whole
folder is restored from a backup, delete the file: nobody else can know.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from mailnotify.core.events import Position, parse_position

_RECORD_BYTES: Final = 96
"""An epoch has 64 characters at most, a seq 18; one length for all, so that none is cut off."""


class HighWater:
    """The highest position that a journal has told.

    Args:
        path: of the file; made at the first `rise`.
    """

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._is_silent = False

    def has_passed(self, epoch: str, head: int) -> bool:
        """Whether more, or something else, was told than a journal that stands there knows of."""
        known = self._read()
        return known is None or known.epoch != epoch or known.seq > head

    def rise(self, epoch: str, head: int) -> None:
        """From now on everything up to here may be told."""
        record = f"{epoch}:{head}".ljust(_RECORD_BYTES - 1) + "\n"
        try:
            if self._fd is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self._path, flags, 0o600)
            os.pwrite(self._fd, record.encode("ascii"), 0)
        except OSError as failure:
            self._complain(failure)

    def close(self) -> None:
        """Release the file, and have it on the disk."""
        if self._fd is not None:
            with suppress(OSError):
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = None

    def _read(self) -> Position | None:
        """What stands there; None if nothing does, or what is nothing."""
        try:
            with self._path.open("rb") as file:
                return parse_position(file.read(_RECORD_BYTES).decode("ascii").rstrip())
        except (OSError, ValueError):
            return None

    def _complain(self, failure: OSError) -> None:
        """Once: the entry is durable, only a restore would go unnoticed."""
        if not self._is_silent:
            self._is_silent = True
            self._log.warn("{path} cannot be kept: {why}", path=str(self._path), why=failure)
