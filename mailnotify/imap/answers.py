"""The answers to one UID FETCH, gathered as they come, never more than asked for.

A message counts as answered when its header came, be it NIL or empty: a server
may send an unasked FETCH with flags at any time (RFC 9051 §7.5.2), or split one
message over two responses, in any order.
"""

from __future__ import annotations

from collections.abc import Container

from mailnotify.core.message import Fetched
from mailnotify.core.preview import MOST_BODY_BYTES
from mailnotify.core.structure import count_attachments
from mailnotify.imap.responses import FetchData, Response

_ITEMS = b"UID FLAGS INTERNALDATE RFC822.SIZE"
_FIELDS = b"FROM TO SUBJECT DATE MESSAGE-ID REPLY-TO LIST-ID CONTENT-TYPE"
_HEADER = b"BODY.PEEK[HEADER.FIELDS (%b)]" % _FIELDS
_MORE_HEADER = b"BODY.PEEK[HEADER.FIELDS (%b CONTENT-TRANSFER-ENCODING)]" % _FIELDS

HEADER_FIELDS = b"(%b BODYSTRUCTURE %b)" % (_ITEMS, _HEADER)
"""Everything an alert needs, and no ENVELOPE: servers build that wrongly."""

PREVIEW_FIELDS = b"(%b BODYSTRUCTURE %b BODY.PEEK[TEXT]<0.%d>)" % (
    _ITEMS,
    _MORE_HEADER,
    MOST_BODY_BYTES,
)
"""The same, and the first bytes of the body with what is needed to read them."""

LEAST_FIELDS = b"(%b %b)" % (_ITEMS, _HEADER)
"""For a server that stumbles over the MIME structure of a message."""


class Answers:
    """Collects what a server says of some messages.

    Args:
        wanted: the UIDs that were asked for.
        most: keep the lowest so many of them; the others will be asked for again.

    Attributes:
        seqs: UIDs by sequence number, of all answered messages, also those that
            nobody asked for.
        has_overflowed: whether there were more than `most`.
    """

    def __init__(self, wanted: Container[int], most: int) -> None:
        self._wanted = wanted
        self._most = most
        self._told: dict[int, Fetched] = {}
        self._answered: set[int] = set()
        self.seqs: dict[int, int] = {}
        self.has_overflowed = False

    def __call__(self, response: Response) -> None:
        """Take one untagged response."""
        if not isinstance(response, FetchData) or not response.uid:
            return
        has_header = any(name.startswith("BODY[HEADER") for name in response.sections)
        if has_header and len(self.seqs) <= self._most + 1:
            self.seqs[response.seq] = response.uid
        if response.uid in self._wanted:
            self._told[response.uid] = _merged(self._told.get(response.uid), response)
            if has_header:
                self._answered.add(response.uid)
            self._bound()

    def uids(self) -> set[int]:
        """The messages whose header came."""
        return set(self._answered)

    def take(self) -> list[Fetched]:
        """These messages, in order of UID."""
        return [self._told[uid] for uid in sorted(self._answered)]

    def _bound(self) -> None:
        if len(self._told) > self._most:
            highest = max(self._told)
            del self._told[highest]
            self._answered.discard(highest)
            self.has_overflowed = True


def _merged(known: Fetched | None, told: FetchData) -> Fetched:
    """What two responses for one message tell together; the later one wins."""
    known = known or Fetched(uid=told.uid or 0)
    text = told.sections.get("BODY[TEXT]") or known.text
    return Fetched(
        uid=known.uid,
        flags=known.flags if told.flags is None else told.flags,
        received=told.received or known.received,
        size=told.size or known.size,
        header=told.header or known.header,
        attachments=count_attachments(told.bodystructure) or known.attachments,
        text=text[:MOST_BODY_BYTES],  # a server that knows no partial sends all of it
    )
