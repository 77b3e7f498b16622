"""Keeps on disk how far a client has come, so that a week's sleep loses nothing.

One file for each server, holding ``epoch:seq`` and nothing else. It is replaced in one
step (written beside, fsynced, renamed, the folder fsynced): after a power cut it holds
the old position or the new one. A lock on a file beside it keeps two clients from
sharing a position, which would show each of them half of the mail.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from mailnotify.config import files
from mailnotify.core.events import Position, parse_position
from mailnotify.errors import PositionBusy, PositionUnwritable

_MOST_BYTES: Final = 256
"""An epoch has at most 64 characters and a seq 18 digits; a longer file is not ours."""


class PositionFile:
    """The position of one client at one server.

    `open` it first; only then `read` and `save`; `close` it at the end.
    """

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder and take the lock, which lasts until `close` or the process ends.

        Raises:
            PositionBusy: another client has it.
            PositionUnwritable: the folder or the lock cannot be made.
        """
        try:
            self._lock = files.hold(self._path)
        except BlockingIOError as failure:
            raise PositionBusy(path=str(self._path)) from failure
        except OSError as failure:
            raise self._unwritable(failure) from failure

    def close(self) -> None:
        """Let another client have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> Position | None:
        """The position that was saved; None at the first start.

        What cannot be read is no position either, but is said: the client goes on from
        now, and what came since it last ran is not shown.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(_MOST_BYTES).decode("ascii").removesuffix("\n")
            return parse_position(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as failure:
            self._log.warn(
                "The position {path} cannot be read, so mail that came meanwhile is not shown;"
                " `mailnotify tail --since oldest` shows it: {why}",
                path=str(self._path),
                why=ascii(failure),
            )
            return None

    def save(self, position: Position) -> None:
        """Keep a position; when this returns, a power cut cannot take it back.

        Raises:
            PositionUnwritable: the disk is full or failing; the old position stays.
        """
        try:
            files.replace(self._path, f"{position}\n".encode("ascii"))
        except OSError as failure:
            raise self._unwritable(failure) from failure

    def _unwritable(self, failure: OSError) -> PositionUnwritable:
        return PositionUnwritable(path=str(self._path), reason=failure.strerror or repr(failure))
