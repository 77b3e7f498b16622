"""How another process wakes the one that sends: a FIFO beside the outbox.

Opening a FIFO for writing fails unless somebody reads it, and the kernel knows
when a reader dies: so the same call that rings tells whether a service is
there. No port, no path limit as a socket has, nothing to clean up after a kill.
One byte says "look into the outbox", another "and try now".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.errors import OutboxUnwritable

_MOST_RINGS = 4096
"""Bytes read at once; any number of rings is one."""


_RING = b"."
_URGENT = b"!"


def ring(path: Path, is_urgent: bool = False) -> bool:
    """Wake the service; return whether there is one.

    Args:
        is_urgent: what is due should be tried even where an account rests.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno in (errno.ENXIO, errno.ENOENT, errno.ELOOP):
            return False
        raise OutboxUnwritable(path=str(path), reason=problem.strerror or "") from problem
    try:
        os.write(fd, _URGENT if is_urgent else _RING)
    except BlockingIOError:
        return True  # 64 KiB of rings wait already
    except BrokenPipeError:
        return False
    finally:
        os.close(fd)
    return True


@implementer(IReadDescriptor)
class Doorbell:
    """The reader's end; `open` it after a daemon has forked.

    Args:
        rung: called when somebody has rung, with whether it is urgent.
    """

    _log = Logger()

    def __init__(self, path: Path, rung: Callable[[bool], object], reactor: IReactorFDSet) -> None:
        self._path = path
        self._rung = rung
        self._reactor = reactor
        self._fd = -1

    def open(self) -> None:
        """Make the FIFO if there is none, and listen.

        Raises:
            OutboxUnwritable: it cannot be made, or something else is in its place.
        """
        try:
            if not self._path.exists():
                os.mkfifo(self._path, 0o600)
            # For writing too: else every visitor who leaves would be an end of file.
            fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise OutboxUnwritable(path=str(self._path), reason=reason) from problem
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise OutboxUnwritable(path=str(self._path), reason="something else is in its place")
        self._fd = fd
        self._reactor.addReader(self)

    def close(self) -> None:
        """Nobody is there any more; may be called twice."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        """For the reactor."""
        return self._fd

    def doRead(self) -> None:
        """Somebody has rung, perhaps often."""
        try:
            rings = os.read(self._fd, _MOST_RINGS)
        except BlockingIOError:
            return
        self._rung(_URGENT in rings)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends; nothing else can end a FIFO that we hold open ourselves."""
        self.close()

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "mailnotify-outbox"
