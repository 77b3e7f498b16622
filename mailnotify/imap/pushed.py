"""Messages that a server sent without being asked (NOTIFY, RFC 5465 §5.2).

With the event comes the message: nothing has to be fetched. But a server may
push some messages and not others, and UIDs have holes; so what was pushed
counts only if it is everything beyond the last message that we have, to the
last one that there is, by sequence number (see `view`). Else it is thrown away,
and a FETCH asks for the same.
"""

from __future__ import annotations

from mailnotify.core.message import Fetched
from mailnotify.imap.answers import Answers
from mailnotify.imap.responses import FetchData
from mailnotify.imap.view import MailboxView

_ALL_UIDS = range(1, 2**32)


class Pushed:
    """What was pushed of one mailbox and not taken yet.

    Args:
        view: kept up to date by whoever hears the responses.
        most: of more messages than this none are kept.
    """

    __slots__ = ("_answers", "_most", "_removals", "_view")

    def __init__(self, view: MailboxView, most: int) -> None:
        self._view = view
        self._most = most
        self._answers: Answers | None = None  # most servers push nothing
        self._removals = view.removals

    def heard(self, data: FetchData) -> bool:
        """Take one message; whether it is the last one that there is."""
        if data.header is None:
            return False
        if self._answers is None or self._view.removals != self._removals:
            # If sequence numbers have moved, what was kept is worth nothing.
            self._answers = Answers(_ALL_UIDS, self._most)
            self._removals = self._view.removals
        self._answers(data)
        return data.seq == self._view.exists

    def take(self, first_uid: int) -> list[Fetched] | None:
        """All messages from this UID on, if exactly these were pushed; it forgets them."""
        view, answers = self._view, self._answers
        self._answers = None
        if answers is None:
            return None
        is_whole = (
            not answers.has_overflowed
            and view.removals == self._removals
            and bool(answers.seqs)
            and view.is_whole(first_uid, answers.seqs, view.exists)
        )
        if not is_whole:
            return None
        fetched = [each for each in answers.take() if each.uid >= first_uid]
        if len(fetched) != len([uid for uid in answers.seqs.values() if uid >= first_uid]):
            return None
        if fetched:
            view.fetched(fetched[-1].uid, max(answers.seqs))
        return fetched
