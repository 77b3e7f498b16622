"""Shows once what several servers tell.

Two services that watch the same accounts, under the same names, give a message the
same id. Whoever tells it first is heard; the other's word is taken, and not shown, so
that either may be away while nothing is missed. What has no id, such as the state of
an account, is what one service sees, and is shown for each.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import DeferredLock
from zope.interface import implementer

from mailnotify.core.events import Entry, Position
from mailnotify.interfaces import ISink

REMEMBERED: Final = 10_000
"""Ids; a service that comes back tells what it saw meanwhile, and that is seldom more."""


@implementer(ISink)
class Once:
    """Hands each event on once, and one at a time.

    Args:
        sink: shows them.
        tellers: how many clients deliver here; the last one that closes closes the sink.
        most: how many events to remember.
    """

    def __init__(self, sink: ISink, tellers: int, most: int = REMEMBERED) -> None:
        self._sink = sink
        self._tellers = tellers
        self._most = most
        self._shown: dict[tuple[str, str], None] = {}
        self._turn = DeferredLock()

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        await self._turn.run(self._deliver, entry, position)

    async def close(self) -> None:
        """See `ISink.close`."""
        self._tellers -= 1
        if not self._tellers:
            await self._sink.close()

    async def _deliver(self, entry: Entry, position: Position) -> None:
        name = getattr(entry.event, "id", "")
        told = (str(entry.event.__struct_config__.tag), name)
        if told in self._shown:
            return
        await self._sink.deliver(entry, position)
        if name:
            self._shown[told] = None
        if len(self._shown) > self._most:
            del self._shown[next(iter(self._shown))]
