"""Opens a file of ours: alone, sound, private, and at the newest schema.

Alone: a lock on a file beside it, which the kernel drops when the process dies
in whatever way, and which survives the fork of a daemon. Sound: SQLite checks
all pages, since a page that was damaged a month ago would otherwise surface in
the middle of a night. A damaged file is moved aside with its date, never
deleted and never tried twice, and a new one begins. Private: the
file is readable by its owner alone, and so are the WAL and the index that
SQLite puts beside it.

SQLite's own locks do not survive a fork: open a file after the process
has become a daemon, in ``startService``.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from mailnotify.storage.damage import Damaged, has_odd_header, is_damage, is_odd_schema
from mailnotify.storage.kind import Kind
from mailnotify.storage.upgrades import scripts, upgrade

_log = Logger()

BUSY_MILLISECONDS: Final = 500
"""For a person with the sqlite3 shell; no second service gets past the lock."""
_MOST_WAL_BYTES: Final = 16_777_216
"""After a burst the WAL is cut back to this."""


class Lock:
    """One service's claim on a file.

    Raises:
        StoreBusy: another process has it.
        StoreUnwritable: the file of the lock cannot be made.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise kind.unwritable(path=str(path), reason=words(problem)) from problem
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self._fd)
            raise kind.busy(path=str(path)) from problem

    def release(self) -> None:
        """Let the next one in. The file stays: to delete it would be a race."""
        os.close(self._fd)


Prepare = Callable[[sqlite3.Connection], None]
"""Looks at a file of the newest schema, and may write its first rows."""


def open_file(path: Path, kind: Kind, prepare: Prepare, now: datetime) -> sqlite3.Connection:
    """Open a file, or a new one if it is damaged; the caller holds the lock.

    Args:
        prepare: may raise `Damaged`.
        now: becomes part of the name of a damaged file.

    Raises:
        StoreUnreadable: it is from a newer mailnotify, another program's, or
            damaged and cannot be moved.
        StoreUnwritable: the disk is full, read-only or failing.
    """
    try:
        try:
            return _open(path, kind, prepare)
        except Damaged as damage:
            _quarantine(path, kind, str(damage), now)
            return _open(path, kind, prepare)
    except Damaged as damage:
        raise kind.unreadable(path=str(path), reason=str(damage)) from damage
    except OSError as problem:
        raise kind.unwritable(path=str(path), reason=words(problem)) from problem
    except sqlite3.Error as problem:
        raise kind.unwritable(path=str(path), reason=str(problem)) from problem


def condemn(path: Path) -> None:
    """Remember for the next start that the file is damaged, where a check may not see it."""
    try:
        _mark(path).touch(mode=0o600)
    except OSError:
        _log.warn("{path} is damaged, and the disk takes no note of it", path=str(path))


def _mark(path: Path) -> Path:
    return Path(f"{path}.damaged")


def _open(path: Path, kind: Kind, prepare: Prepare) -> sqlite3.Connection:
    if _mark(path).exists():
        raise Damaged("an earlier run read values from it that it had not written")
    _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        configure(connection, BUSY_MILLISECONDS)
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise Damaged(verdict)
        upgrade(connection, str(path), kind, scripts(kind.schema))
        _try_to_write(connection)
        prepare(connection)
    except UnicodeDecodeError as problem:  # SQLite's words, with a damaged name in them
        connection.close()
        raise Damaged("its schema is not text") from problem
    except sqlite3.DatabaseError as problem:
        connection.close()
        if is_damage(problem) or is_odd_schema(problem) or has_odd_header(path):
            raise Damaged(str(problem)) from problem
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _try_to_write(connection: sqlite3.Connection) -> None:
    """What cannot be written is said now, not with the first mail; nothing is written."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA user_version = 0")
    connection.execute("ROLLBACK")


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, with a mode that its WAL and index inherit.

    An empty file with a WAL beside it was cut: SQLite would drop the WAL silently.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.fchmod(fd, 0o600)
        is_empty = os.fstat(fd).st_size == 0
    finally:
        os.close(fd)
    if is_empty and _beside(path, "-wal").exists():
        raise Damaged("the file is empty, but not its write-ahead log")
    _sync_directory(path.parent)


def configure(connection: sqlite3.Connection, busy_milliseconds: int) -> None:
    """FULL, since nobody must ever have been told what a power cut takes back."""
    connection.execute(f"PRAGMA busy_timeout = {busy_milliseconds:d}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_MOST_WAL_BYTES}")


def _quarantine(path: Path, kind: Kind, reason: str, now: datetime) -> None:
    """Move a damaged file aside, its WAL too: it may hold what can still be read."""
    kept = Path(f"{path}.damaged-{now:%Y%m%dT%H%M%SZ}")
    while kept.exists():
        kept = Path(f"{kept}x")
    for suffix in ("-wal", ""):
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(kept, suffix))
    _beside(path, "-shm").unlink(missing_ok=True)
    _sync_directory(path.parent)
    _mark(path).unlink(missing_ok=True)
    _log.warn(
        "the {kind} {path} was damaged ({reason}); it lies in {kept} now, and a new one begins",
        kind=kind.name,
        path=str(path),
        reason=reason,
        kept=str(kept),
    )


def _beside(path: Path, suffix: str) -> Path:
    return Path(f"{path}{suffix}")


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def words(problem: OSError) -> str:
    return problem.strerror or str(problem)
