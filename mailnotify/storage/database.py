"""One open file: whole transactions, and errors that say who must act.

All calls run in the reactor's thread: a transaction takes a fraction of a
millisecond plus one fsync. After any exception inside `writing` nothing of it
was written. A file that is found damaged while it runs is condemned: the next
start moves it aside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from twisted.logger import Logger

from mailnotify.errors import StoreUnreadable
from mailnotify.storage.damage import is_damage
from mailnotify.storage.kind import Kind
from mailnotify.storage.opening import Lock, Prepare, condemn, open_file


class Database:
    """A file of ours that is open; made by `open` or, for a second process, by hand.

    Args:
        lock: the claim on it; None in a process that only visits.
    """

    _log = Logger()

    def __init__(
        self, path: Path, kind: Kind, connection: sqlite3.Connection, lock: Lock | None
    ) -> None:
        self.connection = connection
        self._path = path
        self._kind = kind
        self._lock = lock

    @classmethod
    def open(cls, path: Path, kind: Kind, prepare: Prepare, now: datetime) -> Database:
        """Open a file as its one owner; see `opening.open_file`.

        Raises:
            StoreBusy: another process owns it.
            StoreUnreadable: it is from a newer mailnotify, or another program's file.
            StoreUnwritable: the disk is full, read-only or failing.
        """
        lock = Lock(path, kind)
        try:
            connection = open_file(path, kind, prepare, now)
        except BaseException:
            lock.release()
            raise
        return cls(path, kind, connection, lock)

    def close(self) -> None:
        """Release the file. Nothing may be called after this."""
        self.connection.close()
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or after any exception nothing.

        Raises:
            StoreUnwritable: the disk would not, or another process writes just now.
            StoreUnreadable: the file is damaged.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as problem:
            self._roll_back()
            if not isinstance(problem, sqlite3.DatabaseError):
                raise
            if is_damage(problem):
                raise self.damaged(str(problem)) from problem
            raise self._kind.unwritable(path=str(self._path), reason=str(problem)) from problem

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Questions; each statement sees one state of the file.

        Raises:
            StoreUnreadable: the file is damaged, or the disk fails.
        """
        try:
            yield self.connection
        except sqlite3.DatabaseError as problem:
            if is_damage(problem):
                raise self.damaged(str(problem)) from problem
            raise self._kind.unreadable(path=str(self._path), reason=str(problem)) from problem

    def damaged(self, reason: str) -> StoreUnreadable:
        """The error to raise for a value that nobody wrote; it condemns the file."""
        condemn(self._path)
        return self._kind.unreadable(
            path=str(self._path), reason=f"{reason}; start again to replace it"
        )

    def _roll_back(self) -> None:
        """Some errors have rolled back already; a full disk may refuse even this."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as problem:
            self._log.warn(
                "a rollback of the {kind} failed: {problem}", kind=self._kind.name, problem=problem
            )
