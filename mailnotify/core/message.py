"""What a message is, as far as an alert needs to know.

A message is identified by where it lies: account, mailbox, UIDVALIDITY and
UID (RFC 9051 §2.3.1). What it says of itself (its header) is decoded by
`summarise`, which treats every byte as hostile, and never raises.

Each field is clipped before it is decoded, guarded by itself, and cleaned after
it was decoded: a bad Date costs no Subject, and a subject of 100 KiB no time.
The limits together keep an event with all its fields well under the 64 KiB of
one line of the protocol on port 5050, however JSON escapes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar
from urllib.parse import quote, unquote

from msgspec import Struct

from mailnotify.core.addresses import parse_addresses
from mailnotify.core.charsets import guess
from mailnotify.core.dates import read_date
from mailnotify.core.headers import charset_hints, decode_words, fields
from mailnotify.core.text import clean

_SUBJECT_BYTES: Final = 1024
"""What a person reads of a subject, with room to spare."""
_NAME_BYTES: Final = 200
_ADDRESS_BYTES: Final = 320
"""A local part of 64, an at sign and a domain of 255 (RFC 5321 §4.5.3.1)."""
_MESSAGE_ID_BYTES: Final = 996
"""The longest that fits a line of 998 (RFC 5322 §2.1.1) in its brackets."""
_MOST_SENDERS: Final = 8
_MOST_RECIPIENTS: Final = 32
_FIELD_BYTES: Final = 16_384
"""Of a field before decoding: enough for every limit above in any encoding."""
_SHORT_FIELD: Final = 200
"""Characters of a field whose addresses are remembered: one or two mailboxes."""

_ID: Final = re.compile(
    r"(?P<account>[^/]+)/(?P<mailbox>[^/]+);UIDVALIDITY=(?P<uidvalidity>[0-9]{1,18})"
    r"/;UID=(?P<uid>[0-9]{1,10})"
)

REUSED: Final = 2**32
"""Added to a UIDVALIDITY under which a server has given a UID to another message before."""

_Read = TypeVar("_Read")


class Ref(Struct, frozen=True, kw_only=True):
    """The identity of one message.

    Attributes:
        account: the name of the account in the configuration.
        mailbox: the name of the mailbox, decoded.
        uidvalidity: RFC 9051 §2.3.1.1, 1 to 2^32-1; and `REUSED` more for each message
            before that had the same UID under the same UIDVALIDITY.
        uid: RFC 9051 §2.3.1.1, 1 to 2^32-1.
    """

    account: str
    mailbox: str
    uidvalidity: int
    uid: int

    @property
    def id(self) -> str:
        """A stable name for the message, in the manner of RFC 5092 §11."""
        place = _place(self.account, self.mailbox)
        return f"{place};UIDVALIDITY={self.uidvalidity}/;UID={self.uid}"


@lru_cache(maxsize=256)
def _place(account: str, mailbox: str) -> str:
    """The first part of an id, the same for thousands of messages."""
    return f"{quote(account, safe='')}/{quote(mailbox, safe='')}"


def parse_id(text: str) -> Ref | None:
    """The message that a `Ref.id` names; None if it is none."""
    found = _ID.fullmatch(text)
    if found is None:
        return None
    return Ref(
        account=unquote(found["account"]),
        mailbox=unquote(found["mailbox"]),
        uidvalidity=int(found["uidvalidity"]),
        uid=int(found["uid"]),
    )


class Address(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mailbox of a From or To header (RFC 5322 §3.4), decoded and cleaned."""

    address: str
    name: str = ""


class Summary(Struct, frozen=True, kw_only=True):
    """The decoded, clipped and cleaned header of one message.

    Attributes:
        subject: one line without control characters; empty if there is none.
        sender: the mailboxes of From.
        to: the mailboxes of To.
        message_id: as written, without its brackets; empty if there is none.
        date: the Date header, aware, in UTC; None if it cannot be read.
    """

    subject: str = ""
    sender: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    message_id: str = ""
    date: datetime | None = None


class Fetched(Struct, frozen=True, kw_only=True):
    """What one FETCH response told of one message (RFC 9051 §7.5.2).

    Attributes:
        received: INTERNALDATE, aware, in UTC; None if the server did not say.
        size: RFC822.SIZE in bytes; 0 if the server did not say.
        header: the header fields that were asked for, as raw bytes.
        attachments: how many there are, as far as a BODYSTRUCTURE tells.
        text: the first bytes of the body, if they were asked for.
        object_id: what the server calls it in every mailbox (`core.twins`), if it said.
    """

    uid: int
    flags: tuple[str, ...] = ()
    received: datetime | None = None
    size: int = 0
    header: bytes = b""
    attachments: int = 0
    text: bytes = b""
    object_id: str = ""


def summarise(raw_header: bytes) -> Summary:
    """Decode what a message says of itself (RFC 2047, 5322, 6532).

    Of Subject, From, Date and Message-ID the first counts, of To all. What cannot
    be read is left at its default.

    Args:
        raw_header: some or all fields as they came; hostile.
    """
    values: dict[bytes, bytes] = {}
    for name, value in fields(raw_header):
        known = values.get(name)
        if known is None:
            values[name] = value
        elif name == b"to" and len(known) < _FIELD_BYTES:
            values[name] = known + b"," + value
    hints = [] if raw_header.isascii() else charset_hints(raw_header)

    return Summary(
        subject=_guarded(values.get(b"subject"), hints, _subject, ""),
        sender=_guarded(values.get(b"from"), hints, _senders, ()),
        to=_guarded(values.get(b"to"), hints, _recipients, ()),
        message_id=_guarded(values.get(b"message-id"), hints, _message_id, ""),
        date=_guarded(values.get(b"date"), hints, read_date, None),
    )


def _guarded(
    raw: bytes | None, hints: list[str], parse: Callable[[str], _Read], default: _Read
) -> _Read:
    """Read one field, whatever happens.

    Our parsers do not raise on anything the tests could think of, and some releases
    of what they use do. One poisoned field must not stop its mailbox for good.
    """
    if raw is None:
        return default
    try:
        return parse(guess(raw if len(raw) <= _FIELD_BYTES else _clipped(raw), hints))
    except Exception:
        return default


def _clipped(raw: bytes) -> bytes:
    """The beginning of a field that is too long, cut between two words if there are two."""
    head = raw[:_FIELD_BYTES]
    return head.rpartition(b" ")[0] or head


def _subject(text: str) -> str:
    return clean(decode_words(text), _SUBJECT_BYTES)


def _senders(text: str) -> tuple[Address, ...]:
    return _addresses(text, _MOST_SENDERS)


def _recipients(text: str) -> tuple[Address, ...]:
    return _addresses(text, _MOST_RECIPIENTS)


def _addresses(text: str, most: int) -> tuple[Address, ...]:
    read = _read_short if len(text) <= _SHORT_FIELD else _read_addresses
    return read(text, most)


def _read_addresses(text: str, most: int) -> tuple[Address, ...]:
    cleaned = [
        Address(address=clean(address, _ADDRESS_BYTES), name=clean(name, _NAME_BYTES))
        for name, address in parse_addresses(text, most)
    ]
    return tuple([each for each in cleaned if each.address or each.name])


_read_short = lru_cache(maxsize=512)(_read_addresses)
"""Most letters in a mailbox are to the same one, and many from the same few."""


def _message_id(text: str) -> str:
    """What stands in the brackets, or all of it if there are none."""
    inner = text.partition("<")[2].partition(">")[0] or text.replace("<", "").replace(">", "")
    return clean(inner, _MESSAGE_ID_BYTES)
