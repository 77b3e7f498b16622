"""Numbers and sets of numbers in a response (RFC 9051 §9: number, nz-number, sequence-set).

Digits only: `int` by itself would also take ``1_000``, ``+5`` and the digits of
every script, and would work for hours on a megabyte of nines. And no line may hold
the reactor, so each kind has a maximum that takes less than 50 ms.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from mailnotify.imap.responses import NumberSet, Value
from mailnotify.imap.tokens import Malformed, TooComplex

MOST_32_BIT = 2**32 - 1
"""The highest UID, UIDVALIDITY, sequence number and count."""

MOST_64_BIT = 2**64 - 1
"""The highest size, mod-sequence (RFC 7162 §3) and Gmail id."""

MOST_RANGES = 40_000
"""In one set, which takes some 40 ms; a set of a whole huge mailbox has a few ranges."""

MOST_NUMBERS = 500_000
"""In one SEARCH, which takes some 30 ms; nobody has so much new mail."""

_MOST_ODD_BYTES: Final = 1024 * 1024
"""Of numbers with tabs or several blanks between them; who sends more sends one blank."""

_BLANKS: Final = b"\t\n\v\f\r "
_32_BITS: Final = msgspec.json.Decoder(
    tuple[Annotated[int, msgspec.Meta(ge=0, le=MOST_32_BIT)], ...]
)
_SET = re.compile(r"[0-9]{1,10}(?::[0-9]{1,10})?(?:,[0-9]{1,10}(?::[0-9]{1,10})?)*+")
_MOST_DIGITS = 20


def number(value: Value, *, least: int = 0, most: int = MOST_64_BIT) -> int:
    """One number; some servers put it in quotes, or in a list of one.

    Raises:
        Malformed: it is none, or outside of the limits.
    """
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and is_digits(value):
        found = int(value)
        if least <= found <= most:
            return found
    raise Malformed("something else where a number is expected")


def is_digits(text: str) -> bool:
    """Whether a text is one or more of 0 to 9."""
    return text.isascii() and text.isdigit()


def many(text: bytes) -> tuple[int, ...]:
    """Numbers of 32 bits with blanks between them.

    They are read as a list of JSON, by code in C: `int` on each takes five times as long.

    Raises:
        Malformed: there is anything else, or a number that is too large.
        TooComplex: there are more than `MOST_NUMBERS`.
    """
    if text.translate(None, b"0123456789" + _BLANKS):
        raise Malformed("something else between numbers")
    if len(text) <= _MOST_ODD_BYTES:
        text = b" ".join(text.split())
    if text.count(b" ") >= MOST_NUMBERS:
        raise TooComplex("too many numbers")
    try:
        return _32_BITS.decode(b"[%b]" % text.strip().replace(b" ", b","))
    except msgspec.DecodeError:
        raise Malformed("a number that is too large, or too odd for so many") from None


def number_set(value: Value) -> NumberSet:
    """A set as in ``1:3,7``, its ranges put the right way round.

    Raises:
        Malformed: it is none, or holds `*`, or a number outside of 1 to 2^32-1.
        TooComplex: it has more than `MOST_RANGES` ranges.
    """
    if not isinstance(value, str) or not _SET.fullmatch(value):
        raise Malformed("something else where a set of numbers is expected")
    if value.count(",") >= MOST_RANGES:
        raise TooComplex("too many ranges")
    return NumberSet(tuple(map(_range, value.split(","))))


def _range(text: str) -> tuple[int, int]:
    one, _, other = text.partition(":")
    first, last = sorted((int(one), int(other or one)))
    if not 1 <= first <= last <= MOST_32_BIT:
        raise Malformed("a number that is too small or too large")
    return first, last
