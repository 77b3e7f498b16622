"""The answers to one UID FETCH, gathered as they come, never more than asked for.

A message counts as answered when its header came: a server may send an unasked FETCH
with flags at any time (RFC 9051 §7.5.2), or split one message over two responses, in any
order. One whose header is NIL or empty is asked for again by itself: some servers lose it
in the answer about many, and every message has at least an empty line.
"""

from __future__ import annotations

from collections.abc import Container, Set
from functools import lru_cache

from mailnotify.core import headers
from mailnotify.core.message import Fetched
from mailnotify.core.preview import MOST_BODY_BYTES
from mailnotify.core.structure import count_attachments
from mailnotify.core.text import clean
from mailnotify.core.twins import EMAIL, GMAIL, GUID
from mailnotify.imap.responses import FetchData, Response

_ITEMS = b"UID FLAGS INTERNALDATE RFC822.SIZE"
_FIELDS = b"FROM TO SUBJECT DATE MESSAGE-ID REPLY-TO LIST-ID CONTENT-TYPE"
_HEADER = b"BODY.PEEK[HEADER.FIELDS (%b)]" % _FIELDS
_MORE_HEADER = b"BODY.PEEK[HEADER.FIELDS (%b CONTENT-TRANSFER-ENCODING)]" % _FIELDS

_PART = b"<0.%d>" % headers.MOST_BYTES
"""Nobody looks at the rest of a longer header, so that it is not even sent."""

HEADER_FIELDS = b"(%b BODYSTRUCTURE %b%b)" % (_ITEMS, _HEADER, _PART)
"""Everything an alert needs, and no ENVELOPE: servers build that wrongly."""

PREVIEW_FIELDS = b"(%b BODYSTRUCTURE %b%b BODY.PEEK[TEXT]<0.%d>)" % (
    _ITEMS,
    _MORE_HEADER,
    _PART,
    MOST_BODY_BYTES,
)
"""The same, and the first bytes of the body with what is needed to read them."""

NO_FIELDS = b"(%b)" % _ITEMS
"""For a message whose header cannot be had at all."""

LEAST_FIELDS = b"(%b %b%b)" % (_ITEMS, _HEADER, _PART)
"""For a server that stumbles over the MIME structure of a message."""

WHOLE_FIELDS = b"(%b %b)" % (_ITEMS, _HEADER)
"""For a server that knows no partials."""

_NAMES = (b"X-GM-MSGID", b"EMAILID", b"X-GUID")
"""What servers call a message in every mailbox; the first one that can be had is asked for."""

_NAME_BYTES = 255
"""RFC 8474 §4.2.1; Dovecot's are shorter."""


def with_name(items: bytes, capabilities: Set[str], maker: str) -> bytes:
    """These items, and what the server calls a message wherever it lies, if it does.

    Args:
        maker: the name in its ID (RFC 2971): Dovecot does not announce what it has.
    """
    has = ("X-GM-EXT-1" in capabilities, "OBJECTID" in capabilities, maker.lower() == "dovecot")
    name = next((name for name, is_there in zip(_NAMES, has, strict=True) if is_there), b"")
    return _naming(items, name) if name else items


@lru_cache(maxsize=16)
def _naming(items: bytes, name: bytes) -> bytes:
    """One value for all connections."""
    return items.replace(b"(UID ", b"(UID %b " % name, 1)


def fewer(items: bytes) -> bytes | None:
    """What to ask for of a server that stumbles over these items; None if they are the least."""
    for name in _NAMES:
        if items.startswith(b"(UID %b " % name):
            return items.replace(name + b" ", b"", 1)
    if items == WHOLE_FIELDS:
        return None
    return WHOLE_FIELDS if items == LEAST_FIELDS else LEAST_FIELDS


class Answers:
    """Collects what a server says of some messages.

    Args:
        wanted: the UIDs that were asked for.
        most: keep the lowest so many of them; the others will be asked for again.

    Attributes:
        seqs: UIDs by sequence number, of all answered messages, also those that
            nobody asked for.
        has_overflowed: whether there were more than `most`.
        bare: the messages whose header came and was empty.
    """

    __slots__ = ("_answered", "_most", "_told", "_wanted", "bare", "has_overflowed", "seqs")

    def __init__(self, wanted: Container[int], most: int) -> None:
        self._wanted = wanted
        self._most = most
        self._told: dict[int, Fetched] = {}
        self._answered: set[int] = set()
        self.seqs: dict[int, int] = {}
        self.bare: set[int] = set()
        self.has_overflowed = False

    def __call__(self, response: Response) -> None:
        """Take one untagged response."""
        if not isinstance(response, FetchData) or not response.uid:
            return
        uid, header = response.uid, response.header
        has_header = header is not None or _has_header(response)
        if has_header and len(self.seqs) <= self._most + 1:
            self.seqs[response.seq] = uid
        if uid in self._wanted:
            self._told[uid] = _merged(self._told.get(uid, _NOTHING), response, header)
            if has_header:
                (self._answered if header else self.bare).add(uid)
            if len(self._told) > self._most:
                self._drop_highest()

    def uids(self) -> set[int]:
        """The messages whose header came."""
        return set(self._answered)

    def told_uids(self) -> set[int]:
        """These, and the messages whose header was empty."""
        return self._answered | self.bare

    def take(self) -> list[Fetched]:
        """These messages, in order of UID."""
        return [self._told[uid] for uid in sorted(self._answered)]

    def told(self, uid: int) -> Fetched:
        """What was told of this message, if only its UID."""
        return self._told.get(uid) or Fetched(uid=uid)

    def _drop_highest(self) -> None:
        highest = max(self._told)
        del self._told[highest]
        self._answered.discard(highest)
        self.bare.discard(highest)
        self.has_overflowed = True


_NOTHING = Fetched(uid=0)
"""What is known of a message before it was told of."""


def _has_header(told: FetchData) -> bool:
    """Whether there is a header, be it NIL."""
    return any(name.startswith("BODY[HEADER") for name in told.sections)


def _merged(known: Fetched, told: FetchData, header: bytes | None) -> Fetched:
    """What two responses for one message tell together; the later one wins.

    A server that knows no partials sends all of a text or header; that is not kept.
    """
    text = told.sections.get("BODY[TEXT]") or known.text
    return Fetched(
        uid=told.uid or 0,
        flags=known.flags if told.flags is None else told.flags,
        received=told.received or known.received,
        size=told.size or known.size,
        header=(header or known.header)[: headers.MOST_BYTES],
        attachments=count_attachments(told.bodystructure) or known.attachments,
        text=text[:MOST_BODY_BYTES],
        object_id=_object_id(told) or known.object_id,
    )


def _object_id(told: FetchData) -> str:
    if told.gmail_message_id:
        return f"{GMAIL}{told.gmail_message_id}"
    for prefix, name in ((EMAIL, told.email_id), (GUID, told.guid)):
        if name:
            return prefix + clean(name, _NAME_BYTES)
    return ""
