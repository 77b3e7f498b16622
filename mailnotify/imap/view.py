"""What a server has told of one mailbox, counted: is a FETCH whole, is there more?

A server may answer a FETCH with less than was asked for and say OK. Since UIDs
have holes, a missing one cannot be seen; but sequence numbers have none
(RFC 9051 §2.3.1.2). `MailboxView` keeps one pair that ties the two: all
messages beyond sequence number `below` have a UID of at least `uidnext`. With
it an answer to ``UID FETCH uidnext:*`` can be checked to the last message,
without asking anything else.

Whatever makes the pair doubtful makes it unknown, which costs a SEARCH and
never a message.
"""

from __future__ import annotations

from collections.abc import Mapping

from mailnotify.imap.responses import Exists, Expunged, NumberSet, Recent, Response, Vanished


class MailboxView:
    """The mailbox as it stood when it was examined, and all that was heard since.

    Args:
        uidnext: 0 if unknown.

    Attributes:
        was_there: the highest UID that is certainly one of a message which was there at
            EXAMINE; 0 if none was shown. Where UIDNEXT is not above it, UIDNEXT is wrong.
        exists: how many messages there are.
        removals: counts everything that moves sequence numbers.
    """

    __slots__ = ("_below", "_examined", "_has_told", "_uidnext", "exists", "removals", "was_there")

    def __init__(self, exists: int, uidnext: int) -> None:
        self.exists = exists
        self.was_there = 0
        self._examined = exists
        self.removals = 0
        self._has_told = False
        self._uidnext = uidnext
        self._below: int | None = exists if uidnext else None

    def heard(self, response: Response, *, is_news: bool = True) -> bool:
        """Take note of an untagged response; whether it hints at new mail.

        An EXISTS with the number that we know is a hint too, since the server may have
        dropped a message silently; and RECENT usually follows an EXISTS, but some servers
        say nothing else. Both count only as news: a server that says them with every
        answer would be asked for ever.

        Args:
            is_news: whether the server said it by itself, or when asked what is new.
        """
        if isinstance(response, Recent):
            is_alone, self._has_told = not self._has_told, False
            return response.count > 0 and is_alone and is_news
        if isinstance(response, Exists):
            self._has_told = True
            is_known = response.count == self.exists
            self._count(response.count)
            return is_news or not is_known
        if isinstance(response, Expunged):
            self._remove(response.seq)
        elif isinstance(response, Vanished) and not response.is_earlier:
            self._vanish(response.uids)
        return False

    def most_waiting(self, first_uid: int) -> int:
        """No more messages than this have a UID of at least `first_uid`."""
        if self._below is None:
            return self.exists
        arrived = max(self.exists - self._below, 0)
        return min(self.exists, arrived + max(self._uidnext - first_uid, 0))

    def is_whole(self, first_uid: int, answered: Mapping[int, int], exists: int) -> bool:
        """Whether these messages are all from `first_uid` on.

        Args:
            answered: UIDs by sequence number, also one below `first_uid`: the last
                message is always in ``n:*``.
            exists: how many messages there were when we asked.
        """
        begins_here = self._below is not None and self._uidnext == first_uid
        if not answered:
            return exists == 0 or (begins_here and self._below == exists)
        first, last = min(answered), max(answered)
        if last < exists or len(answered) != last - first + 1:
            return False
        is_first = answered[first] <= first_uid or first == 1
        return is_first or (begins_here and first - 1 == self._below)

    def showed(self, answered: Mapping[int, int]) -> None:
        """These UIDs, by sequence number; which moves nothing as long as none was removed."""
        if not self.removals:
            uids = (uid for seq, uid in answered.items() if seq <= self._examined)
            self.was_there = max(uids, default=self.was_there)

    def fetched(self, last_uid: int, seq: int) -> None:
        """`seq` is the last message up to this UID, for certain."""
        self._uidnext = last_uid + 1
        self._below = seq
        self.exists = max(self.exists, seq)  # not every server tells of it

    def _count(self, count: int) -> None:
        if count < self.exists:  # a removal that we were not told of
            self.removals += 1
            self._below = None
        self.exists = count

    def _vanish(self, uids: NumberSet) -> None:
        self.removals += 1
        self.exists = max(self.exists - len(uids), 0)
        is_old = all(last < self._uidnext for _, last in uids.ranges)
        if self._below is not None:
            self._below = max(self._below - len(uids), 0) if is_old else None

    def _remove(self, seq: int) -> None:
        self.removals += 1
        self.exists = max(self.exists - 1, 0)
        if self._below is not None and seq <= self._below:
            self._below -= 1
