"""FETCH: what a server says of one message (RFC 9051 §7.5.2).

The one response that matters for every alert, and the one that comes by the
hundred. An item that cannot be read is as if it had not been said, since the
others are good all the same; without a UID the client knows that it must ask
again. Items may come in any order and more than once; the last one counts.

Nearly all servers answer our question in the same few forms. Those are read by one
regular expression, in half the time; all else is read word by word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from mailnotify.imap import mailbox_names
from mailnotify.imap.framer import Framed
from mailnotify.imap.numbers import MOST_32_BIT, number
from mailnotify.imap.responses import FetchData, Value
from mailnotify.imap.tokens import Malformed, raw, tree, word, words

_SECTION = re.compile(r"(BODY|BINARY)(?:\.PEEK)?\[(.*)\](?:<[0-9.]*>)?", re.I | re.S)
_RFC822 = {
    "RFC822": "BODY[]",
    "RFC822.HEADER": "BODY[HEADER]",
    "RFC822.TEXT": "BODY[TEXT]",
}
_MOST_NAME_LETTERS = 2000

_DATE = re.compile(
    rb"\s*+(\d{1,2})-([A-Za-z]{3})-(\d{4})\s++(\d{1,2}):(\d\d):(\d\d)(?:\s++([+-]\d\d):?(\d\d))?\s*+"
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}


def read_fetch(seq: int, parts: Framed) -> FetchData:
    """Read what follows ``* n FETCH``.

    Raises:
        Malformed: there is not even a list.
    """
    return _read_usual(seq, parts) or _read_any(seq, parts)


def _read_usual(seq: int, parts: Framed) -> FetchData | None:
    """Read items as nearly all servers write them, and a literal behind them."""
    if parts[2:] != (b")",) or len(parts[0]) > _MOST_USUAL_BYTES:
        return None
    found = _USUAL.fullmatch(parts[0])
    if found is None:
        return None
    *values, name = found.groups()
    said: dict[str, Any] = {
        field: read(value)
        for (field, read), value in zip(_USUAL_FIELDS, values, strict=True)
        if value is not None
    }
    return FetchData(seq=seq, sections={_section_name(name.decode("ascii")): parts[1]}, **said)


def _read_any(seq: int, parts: Framed) -> FetchData:
    """Read items in whatever form."""
    items = tree(parts)
    if not items or not isinstance(items[0], tuple):
        raise Malformed("no list of items")
    said: dict[str, Any] = {}
    sections: dict[str, bytes | None] = {}
    # Some servers put a list around one item, or close the list too early: an
    # item's name is looked for in every list that stands in the place of a name.
    pending = list(reversed(items))
    while pending:
        name = pending.pop()
        if isinstance(name, tuple):
            pending.extend(reversed(name))
        elif isinstance(name, str) and pending:
            _read_item(name, pending, said, sections)
    return FetchData(seq=seq, sections=sections, **said)


def _read_item(
    name: str, pending: list[Value], said: dict[str, Any], sections: dict[str, bytes | None]
) -> None:
    """Read one item, whose value is the last of `pending`."""
    item = _ITEMS.get(name) or _ITEMS.get(name.upper())
    try:
        if item is not None:
            field, read = item
            said[field] = read(pending.pop())
            return
        whole = _whole_name(name, pending)
        # A longer one is not even looked up: the cache would keep it.
        section = _section_name(whole) if len(whole) <= _MOST_NAME_LETTERS else ""
        value = pending.pop() if pending else None
        if section:
            sections[section] = None if value is None else raw(value)
    except Malformed:
        return


def _whole_name(name: str, pending: list[Value]) -> str:
    """Join the name of a section that a literal or an odd bracket has torn apart."""
    pieces = [name]
    if "[" in name:
        while "]" not in pieces[-1] and pending:
            piece = pending.pop()
            pieces.append(
                f"({' '.join(map(word, piece))})" if isinstance(piece, tuple) else word(piece)
            )
    return " ".join(pieces)


@lru_cache(maxsize=256)
def _section_name(name: str) -> str:
    """The normal name of a section, as `FetchData.sections` has it; empty if it is none."""
    found = _SECTION.fullmatch(name)
    if found is None:
        return _RFC822.get(name.upper(), "")
    spec = " ".join(found[2].replace('"', " ").replace("(", " ( ").replace(")", " ) ").split())
    return f"{found[1]}[{spec.replace('( ', '(').replace(' )', ')')}]".upper()


def _read_uid(value: Value) -> int:
    return number(value, least=1, most=MOST_32_BIT)


def _read_date(value: Value) -> datetime | None:
    """INTERNALDATE: ``17-Jul-1996 02:44:25 -0700``, in UTC (RFC 9051 §9, date-time)."""
    found = _DATE.fullmatch(raw(value))
    month = _MONTHS.get(found[2].lower()) if found else None
    if found is None or month is None:
        return None
    day, _, year, hour, minute, second, zone_hours, zone_minutes = found.groups()
    try:
        local = datetime(
            int(year), month, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
        return local - _zone(zone_hours or b"+00", zone_minutes or b"00")
    except (ValueError, OverflowError):  # the 31st of February; one hour before the year 1
        return None


@lru_cache(maxsize=128)
def _zone(hours: bytes, minutes: bytes) -> timedelta:
    """How far local time is ahead of UTC; the sign of the hours is that of the minutes."""
    ahead = timedelta(hours=int(hours[1:]), minutes=int(minutes))
    return -ahead if hours.startswith(b"-") else ahead


def _read_object_id(value: Value) -> str | None:
    """EMAILID ``(M6d99ac3275bb4e)``, THREADID ``NIL`` (RFC 8474 §5)."""
    found = words(value)
    return found[0] if found else None


def _read_labels(value: Value) -> tuple[str, ...]:
    """X-GM-LABELS: names of mailboxes, and system labels such as ``\\Inbox``."""
    labels = value if isinstance(value, tuple) else ()
    return tuple(mailbox_names.decode(raw(label)) for label in labels)


def _as_it_is(value: Value) -> Value:
    return value


_ITEMS: dict[str, tuple[str, Callable[[Value], object]]] = {
    "UID": ("uid", _read_uid),
    "FLAGS": ("flags", words),
    "INTERNALDATE": ("received", _read_date),
    "RFC822.SIZE": ("size", number),
    "MODSEQ": ("modseq", number),
    "EMAILID": ("email_id", _read_object_id),
    "THREADID": ("thread_id", _read_object_id),
    "X-GM-MSGID": ("gmail_message_id", number),
    "X-GM-THRID": ("gmail_thread_id", number),
    "X-GM-LABELS": ("gmail_labels", _read_labels),
    "X-GUID": ("guid", word),
    "ENVELOPE": ("envelope", _as_it_is),
    "BODYSTRUCTURE": ("bodystructure", _as_it_is),
    "BODY": ("bodystructure", _as_it_is),
}


# -- the usual forms

_MOST_USUAL_BYTES = 65_536

_USUAL_DEPTH = 5
"""Lists in the list that is a BODYSTRUCTURE."""


def _usual_list() -> bytes:
    """The pattern of a list; no text makes it try a second way."""
    plain = rb'[^()"\\]++|"[^"\\]*+"'
    pattern = rb"\((?:%b)*+\)" % plain
    for _ in range(_USUAL_DEPTH):
        pattern = rb"\((?:%b|%b)*+\)" % (plain, pattern)
    return pattern


def _usual_flags(flags: bytes) -> tuple[str, ...]:
    return tuple(flags.decode("ascii").split())


def _usual_word(value: bytes) -> str:
    return value.decode("ascii")


def _usual_structure(structure: bytes) -> Value:
    return tree((structure,))[0]


_USUAL_ITEMS: tuple[tuple[str, bytes, Callable[[bytes], object]], ...] = (
    ("uid", rb"UID ([1-9][0-9]{0,8})", int),
    ("flags", rb"FLAGS \(([!#-'*-Z\\^-z ]*+)\)", _usual_flags),
    ("received", rb'INTERNALDATE "([^"\\]*+)"', _read_date),
    ("size", rb"RFC822\.SIZE ([0-9]{1,19})", int),
    ("modseq", rb"MODSEQ \(([0-9]{1,19})\)", int),
    ("guid", rb"X-GUID ([0-9A-Za-z.,:=_-]++)", _usual_word),
    ("email_id", rb"EMAILID \(([0-9A-Za-z_-]++)\)", _usual_word),
    ("gmail_message_id", rb"X-GM-MSGID ([0-9]{1,19})", int),
    ("bodystructure", rb"BODYSTRUCTURE (%b)" % _usual_list(), _usual_structure),
)
_USUAL_FIELDS = tuple((field, read) for field, _, read in _USUAL_ITEMS)
_USUAL = re.compile(
    rb"\((?:(?:%b) )*+(BODY\[[A-Z. ()-]++\](?:<0>)?+) "
    % b"|".join(pattern for _, pattern, _ in _USUAL_ITEMS)
)
