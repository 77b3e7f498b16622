"""What one subscriber is shown: plain lines at first, events once he has asked for them.

A `Feed` takes pages from a `Reader` and speaks through a `ServerPeer`. It is pulled
whenever there may be more to send and there is room for it.
"""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from mailnotify.core.events import Position
from mailnotify.core.frames import Bye, Edge, Farewell, Live, Subscribe
from mailnotify.core.wire import ServerPeer
from mailnotify.hub import Page, Reader
from mailnotify.serving.crowd import PAGE_BYTES, PAGE_ENTRIES, Place, SomePlain, Wish, lines_of


class Feed(Protocol):
    """What is shown to one subscriber."""

    @property
    def wish(self) -> Wish:
        """All that decides what that is."""

    @property
    def position(self) -> Position:
        """What follows this was not shown yet."""

    def go_on(self, place: Place) -> None:
        """The crowd has shown what was wanted up to here."""

    def pull(self, peer: ServerPeer) -> bool:
        """Send the next page; return whether there is more at once.

        Raises:
            JournalUnreadable: the journal is damaged; nothing was sent.
        """

    def mark(self, peer: ServerPeer) -> None:
        """Tell the position, if it has moved without a word."""


class PlainFeed:
    """One line for each new message, without replay and without a word about gaps."""

    __slots__ = ("_reader", "wish")

    def __init__(self, reader: Reader, wish: SomePlain | None = None) -> None:
        self._reader = reader
        self.wish: Wish = wish

    @property
    def position(self) -> Position:
        """See `Feed`."""
        return self._reader.position

    def go_on(self, place: Place) -> None:
        """See `Feed`."""
        self._reader.position = place.position

    def pull(self, peer: ServerPeer) -> bool:
        """See `Feed`; at most `PAGE_ENTRIES` lines of 1 KiB."""
        page = self._reader.pull(PAGE_ENTRIES)
        lines = lines_of(page, self.wish)
        if lines:
            peer.relay(lines)
        return page.has_more

    def mark(self, peer: ServerPeer) -> None:
        """See `Feed`; plain lines have no positions."""


class EventFeed:
    """Gaps, replay, ``LIVE``, live: what one `Subscribe` asked for."""

    __slots__ = ("_is_live", "_is_poll", "_reader", "_told", "wish")

    def __init__(self, reader: Reader, asked: Subscribe) -> None:
        self.wish = replace(asked, since=Edge.NOW, poll=False, reader="")
        self._reader = reader
        self._is_poll = asked.poll
        self._is_live = False
        self._told = reader.position

    @property
    def position(self) -> Position:
        """See `Feed`."""
        return self._reader.position

    def go_on(self, place: Place) -> None:
        """See `Feed`."""
        self._reader.position = place.position
        self._told = max(self._told, place.told)

    def pull(self, peer: ServerPeer) -> bool:
        """See `Feed`; about `PAGE_BYTES` at most."""
        page = self._reader.pull(PAGE_ENTRIES)
        if page.gap:
            peer.send(page.gap)
        # The last words of a poll have a pull of their own: only when all else is taken.
        is_poll_under_way = self._is_poll and bool(page.copies)
        has_more = self._relay(page, peer) or page.has_more or is_poll_under_way
        if not has_more and not self._is_live:
            self._is_live = True
            self._tell(peer)
            if self._is_poll:
                peer.send(Bye(reason=Farewell.POLLED))
        return has_more

    def mark(self, peer: ServerPeer) -> None:
        """See `Feed`; without this, a narrow filter would resume ever further back."""
        if self._is_live and self._told != self._reader.position:
            self._tell(peer)

    def _relay(self, page: Page, peer: ServerPeer) -> bool:
        """Send what is wanted of a page; return whether a part was left for the next pull."""
        lines: list[bytes] = []
        size_bytes = seq = 0
        for copy in page.copies:
            if not self.wish.wants(copy.entry.event):
                continue
            lines.append(copy.line)
            size_bytes += len(copy.line)
            seq = copy.entry.seq
            if size_bytes >= PAGE_BYTES:
                break
        if lines:
            peer.relay(b"".join(lines))
            self._told = Position(epoch=page.position.epoch, seq=seq)
        if size_bytes < PAGE_BYTES:
            return False
        self._reader.position = self._told
        return True

    def _tell(self, peer: ServerPeer) -> None:
        self._told = self._reader.position
        peer.send(Live(position=self._told))
