"""LIST, STATUS, NAMESPACE, SEARCH and their kind: what a server says of mailboxes.

The responses that the grammar calls mailbox-data (RFC 9051 §9). Names of
mailboxes are read with care, for they break most parsers: they come as atoms
with brackets and even blanks, in quotes, as literals, in modified UTF-7, in
UTF-8, and from a server with the delimiter ``\\`` unescaped.
"""

from __future__ import annotations

import re

from mailnotify.imap import mailbox_names
from mailnotify.imap.framer import Framed
from mailnotify.imap.numbers import MOST_32_BIT, many, number, number_set
from mailnotify.imap.responses import (
    ESearchResult,
    Flags,
    ListItem,
    MailboxItems,
    Namespace,
    NamespaceEntry,
    SearchResult,
    Value,
    Vanished,
)
from mailnotify.imap.tokens import MOST_TEXT_BYTES, Malformed, TooComplex, raw, tree, word, words

_LIST = re.compile(
    rb"""
    \s*+ \( ([^()"]*+) \) \s*+                          # the attributes
    ( NIL | "\\." | "[^"]?" | [^\s()"] ) \s++          # the delimiter, escaped or not
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MODSEQ = re.compile(rb"\s*MODSEQ\s+([0-9]{1,20})\s*\)\s*", re.I)


def read_list(parts: Framed) -> ListItem:
    """``(attributes) "delimiter" name``, for LIST, LSUB and XLIST (RFC 9051 §7.3.1)."""
    if len(parts[0]) > MOST_TEXT_BYTES:
        raise TooComplex("too long for a name")
    found = _LIST.match(parts[0])
    if found is not None:
        attributes = tuple(part.decode("utf-8", "replace") for part in found[1].split())
        delimiter = _delimiter(found[2])
        name, extended = _list_name((parts[0][found.end() :], *parts[1:]))
    else:  # one of them is a literal
        first, second, third, extended = (*tree(parts), (), (), (), ())[:4]
        attributes = words(first)
        delimiter = None if second is None else word(second)
        name = raw(third)
    return ListItem(
        # `\` alone comes from a Dovecot that does not know a mailbox's special use.
        attributes=frozenset(each.lower() for each in attributes if each != "\\"),
        delimiter=delimiter or None,
        name=mailbox_names.decode(name),
        raw=name,
        old_name=_old_name(extended),
    )


def _delimiter(token: bytes) -> str | None:
    """The delimiter out of NIL, ``"/"``, ``"\\\\"`` or the wrong ``"\\"``."""
    if token.upper() == b"NIL":
        return None
    inner = token[1:-1] if len(token) > 1 else token
    return inner[-1:].decode("ascii", "replace")


def _list_name(parts: Framed) -> tuple[bytes, Value]:
    """The name of a mailbox, and what is said of it behind that (RFC 5258 §3.5).

    Domino does not quote names with blanks, so an atom goes on to the end, or to
    the extended data, which begins with a quoted word.
    """
    text = parts[0]
    if len(parts) > 1 or text.startswith(b'"'):
        name, extended = (*tree(parts), (), ())[:2]
        return raw(name), extended
    atom, quote, rest = text.partition(b' ("')
    if not atom.rstrip():
        raise Malformed("no name")
    return atom.rstrip(), tree((quote + rest,))[0] if quote else ()


def _old_name(extended: Value) -> str | None:
    """``("OLDNAME" ("name"))`` among extended data of other kinds (RFC 5465 §9)."""
    items = extended if isinstance(extended, tuple) else ()
    for label, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(label, str | bytes) and word(label).upper() == "OLDNAME":
            first = value[0] if isinstance(value, tuple) and value else value
            return mailbox_names.decode(raw(first)) if isinstance(first, str | bytes) else None
    return None


def read_status_items(parts: Framed) -> MailboxItems:
    """``name (item number …)``: STATUS (RFC 9051 §7.3.4)."""
    *names, items = tree(parts) or ((),)
    if not names or not isinstance(items, tuple):
        raise Malformed("no name or no items")
    name = b" ".join(map(raw, names))  # an atom with blanks, from servers that do not quote
    read = {word(key).upper(): value for key, value in zip(items[::2], items[1::2], strict=False)}
    mailbox_id = words(read.pop("MAILBOXID", None))
    return MailboxItems(
        name=mailbox_names.decode(name),
        raw=name,
        items={key: number(value) for key, value in read.items() if value is not None},
        mailbox_id=mailbox_id[0] if mailbox_id else None,
    )


def read_flags(parts: Framed) -> Flags:
    """``(flag …)``, or the flags without their parentheses (RFC 9051 §7.3.5)."""
    values = tree(parts)
    return Flags(flags=words(values[0] if len(values) == 1 else values))


def read_namespace(parts: Framed) -> Namespace:
    """Three lists of prefixes, each may be NIL (RFC 9051 §7.3.6)."""
    personal, others, shared = (
        _namespaces(value) for value in (*tree(parts), None, None, None)[:3]
    )
    return Namespace(personal=personal, others=others, shared=shared)


def _namespaces(value: Value) -> tuple[NamespaceEntry, ...]:
    entries = value if isinstance(value, tuple) else ()
    return tuple(_namespace(entry) for entry in entries if isinstance(entry, tuple) and entry)


def _namespace(entry: tuple[Value, ...]) -> NamespaceEntry:
    name = raw(entry[0])
    delimiter = entry[1] if len(entry) > 1 else None
    return NamespaceEntry(
        prefix=mailbox_names.decode(name),
        raw=name,
        delimiter=None if delimiter is None else word(delimiter) or None,
    )


def read_search(parts: Framed) -> SearchResult:
    """``n n n (MODSEQ n)``, for SEARCH and SORT (RFC 3501 §7.2.5, RFC 7162 §3.1.5)."""
    numbers, bracket, rest = parts[0].partition(b"(")
    found = _MODSEQ.fullmatch(rest)
    if len(parts) > 1 or (bracket and found is None):
        raise Malformed("something else than numbers")
    return SearchResult(numbers=many(numbers), modseq=int(found[1]) if found else None)


def read_esearch(parts: Framed) -> ESearchResult:
    """``(TAG "A1") UID MIN 1 MAX 9 COUNT 3 ALL 1:2,9`` (RFC 4731 §3.1)."""
    values = list(reversed(tree(parts)))
    tag = _correlator(values.pop()) if values and isinstance(values[-1], tuple) else None
    is_uid = bool(values) and isinstance(values[-1], str) and values[-1].upper() == "UID"
    if is_uid:
        values.pop()
    said: dict[str, Value] = {}
    while len(values) > 1:
        name = word(values.pop()).upper()
        said[name] = values.pop()
    return ESearchResult(
        tag=tag,
        is_uid=is_uid,
        minimum=number(said["MIN"], most=MOST_32_BIT) if "MIN" in said else None,
        maximum=number(said["MAX"], most=MOST_32_BIT) if "MAX" in said else None,
        count=number(said["COUNT"], most=MOST_32_BIT) if "COUNT" in said else None,
        everything=number_set(said["ALL"]) if "ALL" in said else None,
        modseq=number(said["MODSEQ"]) if "MODSEQ" in said else None,
    )


def _correlator(value: Value) -> str | None:
    """The tag in ``(TAG "A1")`` (RFC 9051 §9, search-correlator)."""
    found = words(value)
    return found[1] if len(found) == 2 and found[0].upper() == "TAG" else None


def read_vanished(parts: Framed) -> Vanished:
    """``(EARLIER) uids`` (RFC 7162 §3.2.10)."""
    *modifiers, uids = tree(parts) or ((),)
    is_earlier = any("EARLIER" in map(str.upper, words(each)) for each in modifiers)
    return Vanished(uids=number_set(uids), is_earlier=is_earlier)
