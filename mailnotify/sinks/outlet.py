"""Standard output that never holds up the reactor.

Whoever reads our output may stop reading: a pager, a terminal after Ctrl-S, a program
behind a pipe. A plain write would then block the whole process, PONGs and all. So each
piece is written only when the kernel has room for it, and the writer waits meanwhile;
with it waits the stream of entries, at the server, for as long as it takes.

The file descriptor stays in blocking mode on purpose: the mode belongs to the open file,
which the shell shares with us.
"""

from __future__ import annotations

import os
import select
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

PIECE_BYTES: Final = 4096
"""PIPE_BUF of Linux: what `poll` calls writable takes that much without blocking."""

LOOK_SECONDS: Final = 0.05
"""How often to look whether there is room again."""


class OutletClosed(Exception):
    """Nobody reads our output any more, or it cannot be written: then an `OSError` is the cause."""


class Outlet:
    """Writes bytes to a file descriptor, when there is room.

    Args:
        descriptor: a pipe, a terminal or a file, open for writing.
    """

    def __init__(self, descriptor: int, clock: IReactorTime) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    async def write(self, data: bytes) -> None:
        """Write all of it; one call at a time.

        Raises:
            OutletClosed: the reader has gone.
        """
        while data:
            if self.is_closed():
                raise OutletClosed
            if self._has_room():
                written = self._try_write(data[:PIECE_BYTES])
                data = data[written:]
            else:
                await deferLater(self._clock, LOOK_SECONDS)

    def is_closed(self) -> bool:
        """Whether the reader of a pipe or the terminal itself has gone."""
        return bool(self._events() & (select.POLLERR | select.POLLHUP | select.POLLNVAL))

    def _has_room(self) -> bool:
        return bool(self._events() & select.POLLOUT)

    def _try_write(self, piece: bytes) -> int:
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:  # somebody else, who shares the file, made it non-blocking
            return 0
        except OSError as failure:
            raise OutletClosed from failure

    def _events(self) -> int:
        return sum(events for _, events in self._poll.poll(0))
