"""One whole response of an IMAP server → one typed value. It never raises.

Second stop of a server's bytes, after `framer`: `parse` looks at the word that
names a response and gives the rest to its reader. Each reader follows the
grammar of RFC 9051 §9, RFC 3501 and the extensions that `responses` lists, but as
tolerantly as can be done without guessing: any case, any number of blanks,
items in any order, NIL and literals anywhere. What still makes no sense, and
what we do not know, becomes `Unparsed`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mailnotify.core.text import clean
from mailnotify.imap.fetch_data import read_fetch
from mailnotify.imap.framer import Framed
from mailnotify.imap.mailbox_data import (
    read_esearch,
    read_flags,
    read_list,
    read_namespace,
    read_search,
    read_status_items,
    read_vanished,
)
from mailnotify.imap.numbers import MOST_32_BIT
from mailnotify.imap.responses import (
    Capabilities,
    Enabled,
    Exists,
    Expunged,
    Id,
    Recent,
    Response,
    Unparsed,
    shared,
)
from mailnotify.imap.status_line import STATUSES, read_continuation, read_status, read_tagged
from mailnotify.imap.tokens import Malformed, tree, word, words

RAW_BYTES = 512
"""So much of an `Unparsed` is kept: enough to see whose fault it is."""

KIND_BYTES = 32
"""So much of the word that names an `Unparsed`."""

ID_VALUE_BYTES = 1024
"""RFC 2971 §3.3 allows this for one value of an ID."""

_UNTAGGED = re.compile(rb'[ \t]*+\*[ \t]++(?:([0-9]{1,10})[ \t]++)?([^ \t(\["]++)[ \t]*+')


def parse(framed: Framed) -> Response:
    """Read one whole response, as `Framer.received` gives it."""
    untagged = _UNTAGGED.match(framed[0])
    if untagged is None:
        return _parse_other(framed[0])
    count, kind = untagged[1], untagged[2].upper()
    if len(framed) % 2 == 0:  # too long to be kept
        return _unparsed(kind, framed[0])
    rest = (framed[0][untagged.end() :], *framed[1:])
    try:
        if count is not None and kind in _COUNTED:
            return _COUNTED[kind](_count(kind, count), rest)
        if count is None and kind in STATUSES:
            return read_status(STATUSES[kind], rest[0])
        if count is None and kind in _NAMED:
            return _NAMED[kind](rest)
    except Malformed:
        pass
    return _unparsed(kind, framed[0])


def _parse_other(text: bytes) -> Response:
    """Read what begins with a tag or `+`, or is no IMAP at all."""
    text = text.lstrip(b" \t")
    if text.startswith(b"+"):
        return read_continuation(text[1:])
    return read_tagged(text) or _unparsed(b"", text)


def _unparsed(kind: bytes, text: bytes) -> Unparsed:
    return Unparsed(kind=kind[:KIND_BYTES].decode("ascii", "replace"), raw=text[:RAW_BYTES])


def _count(kind: bytes, digits: bytes) -> int:
    """The number before EXISTS and the like; there is no message 0."""
    count = int(digits)
    least = 0 if kind in (b"EXISTS", b"RECENT") else 1
    if not least <= count <= MOST_32_BIT:
        raise Malformed("a number that is too small or too large")
    return count


def _read_exists(count: int, _rest: Framed) -> Exists:
    return Exists(count=count)


def _read_recent(count: int, _rest: Framed) -> Recent:
    return Recent(count=count)


def _read_expunged(count: int, _rest: Framed) -> Expunged:
    return Expunged(seq=count)


def _read_capabilities(rest: Framed) -> Capabilities:
    return Capabilities(names=_upper(rest))


def _read_enabled(rest: Framed) -> Enabled:
    return Enabled(names=_upper(rest))


def _upper(rest: Framed) -> frozenset[str]:
    return shared(frozenset(name.upper() for name in words(tree(rest))))


def _read_id(rest: Framed) -> Id:
    """``("name" "value" …)`` or NIL (RFC 2971 §3.3)."""
    values = tree(rest)
    pairs = values[0] if values and isinstance(values[0], tuple) else ()
    return Id(
        fields={
            word(name).lower(): None if value is None else clean(word(value), ID_VALUE_BYTES)
            for name, value in zip(pairs[::2], pairs[1::2], strict=False)
        }
    )


_COUNTED: dict[bytes, Callable[[int, Framed], Response]] = {
    b"EXISTS": _read_exists,
    b"RECENT": _read_recent,
    b"EXPUNGE": _read_expunged,
    b"FETCH": read_fetch,
}

_NAMED: dict[bytes, Callable[[Framed], Response]] = {
    b"CAPABILITY": _read_capabilities,
    b"ENABLED": _read_enabled,
    b"ESEARCH": read_esearch,
    b"FLAGS": read_flags,
    b"ID": _read_id,
    b"LIST": read_list,
    b"LSUB": read_list,
    b"NAMESPACE": read_namespace,
    b"SEARCH": read_search,
    b"SORT": read_search,
    b"STATUS": read_status_items,
    b"VANISHED": read_vanished,
    b"XLIST": read_list,
}
