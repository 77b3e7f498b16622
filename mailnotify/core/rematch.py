"""Which messages of a rebuilt mailbox are new.

When a mailbox gets another UIDVALIDITY, every UID in it means something else
(RFC 9051 §2.3.1.1): a restored backup, a moved account, a server that rebuilt
its index. Most of what lies there was known, and must not be announced again;
what came in while the mailbox was rebuilt must be.

Known is what was journalled, recognised by its Message-ID together with its
INTERNALDATE or its size, and everything that is older than the last message we
heard of: had it come later, it would have been journalled. A Message-ID alone
decides nothing, since anybody can write one.

Some servers give every message the date of the rebuilding. Then dates decide
nothing, and where they would make a flood the Date header is asked too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mailnotify.core.events import NewMail

CLOCK_SKEW = timedelta(hours=1)
"""Between a server's clock and ours, where only ours is known."""

FLOOD = 50
"""So many new messages at once are believed only if their senders dated them so, too."""


class Known:
    """What the journal knows of one mailbox.

    Args:
        mails: every entry of the mailbox that is kept, of whatever UIDVALIDITY.
        since: when the mailbox was first seen, or its cursor last moved, by our clock.
    """

    def __init__(self, mails: Iterable[NewMail], since: datetime) -> None:
        self._fingerprints: set[tuple[str, object]] = set()
        newest: datetime | None = None
        for mail in mails:
            self._fingerprints.update(_fingerprints(mail))
            if mail.received is not None:
                newest = max(newest or mail.received, mail.received)
        # The server's own clock tells best what is older than what it showed us last; but
        # anybody who can APPEND can date a message in the future.
        self.until = since - CLOCK_SKEW if newest is None else min(newest, since)

    def unknown(self, mails: Sequence[NewMail]) -> list[NewMail]:
        """Those of these that were never told of, in their order.

        Args:
            mails: what lies in the rebuilt mailbox, at least all since `until`.
        """
        strangers = [mail for mail in mails if self._is_recent(mail) and not self._knows(mail)]
        if len(strangers) <= FLOOD:
            return strangers
        return [mail for mail in strangers if mail.date is not None and mail.date >= self.until]

    def _is_recent(self, mail: NewMail) -> bool:
        return mail.received is None or mail.received >= self.until

    def _knows(self, mail: NewMail) -> bool:
        return not self._fingerprints.isdisjoint(_fingerprints(mail))


def is_other(mail: NewMail, known: NewMail) -> bool:
    """Whether these two, of one UID, are certainly two messages: the UID was given out anew."""
    if mail.object_id and mail.object_id == known.object_id:
        return False
    ours, theirs = _fingerprints(mail), _fingerprints(known)
    return bool(ours and theirs) and ours.isdisjoint(theirs)


def _fingerprints(mail: NewMail) -> set[tuple[str, object]]:
    """Whoever shares one of these with a message is that message.

    Without a Message-ID its subject, date and sender stand for it.
    """
    name = mail.message_id or repr((mail.subject, mail.date, mail.sender))
    found: set[tuple[str, object]] = set()
    if mail.received is not None:
        found.add((name, mail.received))
    if mail.size:
        found.add((name, mail.size))
    return found
