"""What a connection has to know of mailboxes that come and go.

The seam between a session at work (`reading`), which hears names and misses mailboxes,
and those who decide what is watched and by whom (`roster`, `crew`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mailnotify.core.sync import MailboxStatus
from mailnotify.imap.responses import ListItem
from mailnotify.interfaces import IMailSession
from mailnotify.watching.place import Place


class Census(Protocol):
    """Knows which mailboxes a connection has to see, where patterns bring them."""

    @property
    def roots(self) -> Sequence[str]:
        """Below these mailboxes lies all that a pattern can bring; "" is everything."""

    @property
    def is_due(self) -> bool:
        """Whether this connection has to look."""

    def told(self, item: ListItem) -> bool:
        """The server said that a name has changed; whether this connection has to look."""

    def saw(self, mailbox: str) -> bool:
        """The server spoke of a mailbox; whether this connection has to look."""

    def want(self) -> None:
        """A mailbox is missed: somebody has to look soon."""

    async def look(self, session: IMailSession, home: Place) -> Sequence[Place]:
        """See what there is; what this connection is to see from now on."""

    def begin(self, found: Sequence[tuple[Place, MailboxStatus]]) -> None:
        """These were seen for the first time."""

    def remember(self) -> None:
        """All that this connection knew of is read: store what has to be known of it."""
