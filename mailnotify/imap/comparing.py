"""STATUS (RFC 9051 §6.3.11) of the examined mailbox: what there is, apart from all hints.

An EXISTS may be forgotten by a server, by its IDLE, by a proxy; what STATUS says
comes from the mailbox itself. A server may refuse it for the mailbox that is
examined, and then simply cannot be compared with itself.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from mailnotify.core.sync import MailboxStatus
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import encode, quoted
from mailnotify.imap.responses import MailboxItems, Response, Status, Tagged

Run = Callable[[Command], Deferred[Tagged]]


async def ask_status(run: Run, mailbox: str) -> MailboxStatus | None:
    """What the mailbox holds; None if the server will not say."""
    raw = encode(mailbox)
    items: dict[str, int] = {}

    def collect(response: Response) -> None:
        if isinstance(response, MailboxItems) and _is_same(response.raw, raw):
            items.update(response.items)

    words = quoted(raw) + b" (MESSAGES UIDNEXT UIDVALIDITY)"
    answer = await run(Command("STATUS", words, collect=collect))
    if answer.status is not Status.OK or not items.get("UIDNEXT"):
        return None
    return MailboxStatus(
        uidvalidity=items.get("UIDVALIDITY", 0),
        uidnext=items["UIDNEXT"],
        exists=items.get("MESSAGES", 0),
    )


def _is_same(found: bytes, asked: bytes) -> bool:
    """INBOX is the one name whose case means nothing (RFC 9051 §5.1)."""
    return found == asked or found.upper() == asked.upper() == b"INBOX"
