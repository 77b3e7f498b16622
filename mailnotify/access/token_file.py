"""The tokens on disk: ``tokens.json`` beside the journal, for its owner alone.

It is replaced in one step (written beside, fsynced, renamed), so that the running
service, which looks at the file now and then, reads all of the old or all of the
new. Two commands at once take turns by a lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from mailnotify.access.token import Token
from mailnotify.config.files import OTHERS, read, reason
from mailnotify.errors import TokensUnreadable, TokensUnwritable

_MOST_BYTES: Final = 4 * 1024 * 1024
"""Ten thousand tokens."""

Stamp = tuple[int, int, int]
"""Changes whenever the file does."""


class _Content(Struct, frozen=True, kw_only=True):
    version: int = 1
    tokens: tuple[Token, ...] = ()


class TokenFile:
    """All tokens of one service.

    Args:
        path: the file; none at all means no tokens.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> Stamp | None:
        """What `read` would find has changed when this has; None if there is no file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> tuple[Token, ...]:
        """All tokens, expired ones too.

        Raises:
            TokensUnreadable: the file is not ours, or others can read it.
        """
        try:
            found = read(self.path, _MOST_BYTES)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(reason(error)) from error
        if found.mode & OTHERS:
            raise self._unreadable(f"it has mode {found.mode:04o}, expected 0600")
        try:
            content = msgspec.json.decode(found.data, type=_Content)
        except (ValueError, RecursionError) as error:
            raise self._unreadable("it is not what mailnotify wrote") from error
        if content.version != 1:
            raise self._unreadable("it is from a newer mailnotify")
        return content.tokens

    @contextmanager
    def changing(self) -> Iterator[list[Token]]:
        """The tokens, to be changed in place; they are written when the block ends well.

        Raises:
            TokensUnreadable: as `read`.
            TokensUnwritable: nothing was changed.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _open_private(Path(f"{self.path}.lock"))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = list(self.read())
            yield tokens
            self._write(tokens)
        finally:
            os.close(lock)

    def _write(self, tokens: Sequence[Token]) -> None:
        beside = Path(f"{self.path}.new")
        data = msgspec.json.format(msgspec.json.encode(_Content(tokens=tuple(tokens))))
        try:
            with suppress(FileNotFoundError):
                beside.unlink()
            with os.fdopen(_open_private(beside), "wb") as file:
                _give_to_owner_of(self.path.parent, file.fileno())
                file.write(data + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unreadable(self, why: str) -> TokensUnreadable:
        return TokensUnreadable(path=str(self.path), reason=why)

    def _unwritable(self, error: OSError) -> TokensUnwritable:
        return TokensUnwritable(path=str(self.path), reason=reason(error))


def _open_private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """What root writes for the service, the service must be able to read."""
    if os.geteuid() == 0:
        status = folder.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
