"""Reads and replaces small files whole, without any chance to hang, to swell or to race.

What is judged (its kind, its mode) is the file that was opened, not whatever
bears its name a moment later. After a power cut a file that was being replaced
holds the old content or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from msgspec import Struct

OTHERS = 0o077
"""The mode bits by which anybody but the owner may do anything."""


class Content(Struct, frozen=True, kw_only=True):
    """The bytes of a file, and its permission bits when it was opened."""

    data: bytes
    mode: int

    def __repr__(self) -> str:
        return f"Content(<{len(self.data)} bytes>, mode={self.mode:04o})"


def read(path: Path, most_bytes: int) -> Content:
    """Read a regular file.

    Raises:
        OSError: there is none, it cannot be read, it is a FIFO or a device, or it
            is larger than `most_bytes`; `reason` makes a phrase of it.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes")
    return Content(data=data, mode=stat.S_IMODE(status.st_mode))


def _open_at_once(path: str, flags: int) -> int:
    """Opening a FIFO would otherwise wait for a writer, for ever."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def replace(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, in one step, for good.

    Raises:
        OSError: the old content stays.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # left over by a crash, perhaps with another mode
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def hold(path: Path) -> int:
    """Take the lock beside a file, in a folder that is made for its owner alone.

    Returns:
        A descriptor; the lock lasts until it is closed, or the process ends.

    Raises:
        BlockingIOError: somebody else has it.
        OSError: the folder or the lock cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
    try:
        # flock, since a POSIX lock would be gone when twistd has forked.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def exists(path: Path) -> bool:
    """Whether something is there; where we may not look, there is nothing for us."""
    try:
        return path.exists()
    except OSError:
        return False


def reason(error: OSError) -> str:
    """Why, in a few words that begin with a small letter."""
    said = error.strerror or type(error).__name__
    return said[:1].lower() + said[1:]
