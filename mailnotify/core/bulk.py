"""Many messages that come into a mailbox together, and were there before we were.

Whoever tidies up moves the mail of years from one mailbox to another, or copies it from
another provider. Each of these messages has a new UID, and none is news. A single one is
announced, however old it is, since a letter out of the spam may be waited for; so is
whatever came after the account was first seen. But more than `FLOOD` at once of which the
server and the sender both say that they are older than that were certainly not delivered
now. A server that gives every message a wrong date of arrival is not believed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from mailnotify.core.events import NewMail

FLOOD: Final = 50
"""So many at once nobody reads as alerts."""

_SKEW: Final = timedelta(days=1)
"""Between the clocks of senders, the server's and ours."""


class Bulk:
    """What one look at a mailbox brings, batch by batch.

    Args:
        begun: when the account was first seen; None if that is not known.

    Attributes:
        count: how many were there before we were, if they are a bulk; else 0.
    """

    def __init__(self, begun: datetime | None) -> None:
        self._until = None if begun is None else begun - _SKEW
        self.count = 0

    def bygone(self, mails: Sequence[NewMail]) -> list[NewMail]:
        """Those of a batch that are no news."""
        until = self._until
        if until is None:
            return []
        old = [each for each in mails if _is_older(each, until)]
        if not self.count and len(old) <= FLOOD:
            return []
        self.count += len(old)
        return old


def _is_older(mail: NewMail, until: datetime) -> bool:
    received, date = mail.received, mail.date
    return received is not None and received < until and date is not None and date < until
