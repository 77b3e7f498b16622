"""What the stream is told of a letter that some recipients will not get."""

from __future__ import annotations

from mailnotify.core.events import SentFailed, Undelivered
from mailnotify.outbox.letter import Filed


def sent_failed(letter: Filed) -> SentFailed:
    """The event for the recipients in a letter's results.

    Its id is the same when it is told again after a kill: a letter and whom it did
    not reach.
    """
    recipients = tuple(
        Undelivered(address=each.recipient, code=each.code, reason=each.said)
        for each in letter.results
    )
    who = ",".join(each.address for each in recipients[:1])
    more = f"+{len(recipients) - 1}" if len(recipients) > 1 else ""
    return SentFailed(
        id=f"{letter.account};LETTER={letter.number};TO={who}{more}",
        account=letter.account,
        letter=letter.number,
        message_id=letter.message_id,
        subject=letter.subject,
        recipients=recipients,
        reason=letter.reason,
    )
