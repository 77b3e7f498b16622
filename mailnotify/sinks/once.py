"""Shows once what several servers tell.

Two services that watch the same accounts, under the same names, give a message the
same id. Whoever tells it first is heard; the other's word is taken, and not shown, so
that either may be away while nothing is missed. What has no id, such as the state of
an account, is what one service sees, and is shown for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.core.events import Entry, Event, Position
from mailnotify.errors import PositionUnwritable
from mailnotify.interfaces import ISink
from mailnotify.shown import Shown


@implementer(ISink)
class Once:
    """Hands each event on once, and one at a time.

    Args:
        sinks: show them, one after the other.
        tellers: how many clients deliver here; the last one that closes closes the sinks.
        shown: remembers them; closed with the sinks.
        store_first: remember before an event is shown, not after.
    """

    _log = Logger()

    def __init__(
        self, sinks: Sequence[ISink], tellers: int, shown: Shown, *, store_first: bool = False
    ) -> None:
        self._sinks = sinks
        self._tellers = tellers
        self._shown = shown
        self._store_first = store_first
        self._is_unkept = False
        self._turn = DeferredLock()

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`.

        Raises:
            PositionUnwritable: with `store_first`; nothing was shown.
        """
        await self._turn.run(self._deliver, entry, position)

    async def close(self) -> None:
        """See `ISink.close`."""
        self._tellers -= 1
        if not self._tellers:
            for sink in self._sinks:
                await sink.close()
            self._shown.close()

    async def _deliver(self, entry: Entry, position: Position) -> None:
        name = name_of(entry.event)
        if name and name in self._shown:
            return
        if name and self._store_first:
            self._shown.keep(name)
            self._shown.remember(name)
        for sink in self._sinks:
            await sink.deliver(entry, position)
        if name and not self._store_first:
            self._remember(name)

    def _remember(self, name: str) -> None:
        self._shown.remember(name)
        try:
            self._shown.keep(name)
        except PositionUnwritable as failure:
            if not self._is_unkept:
                self._is_unkept = True
                self._log.warn("{why}", why=failure.explain())
        else:
            self._is_unkept = False


def name_of(event: Event) -> str:
    """The same for the same fact, whoever tells it; empty where each tells its own.

    A message is filed, and gone, once for each of its places.
    """
    told = getattr(event, "id", "")
    if not told:
        return ""
    place = (getattr(event, word, "") for word in ("mailbox", "uidvalidity", "uid"))
    return " ".join(map(str, (event.__struct_config__.tag, told, *place)))
