"""A whole response, split into words, strings and lists.

Between `framer` and `parser`: `tree` knows the lexical grammar that all of IMAP
shares (atoms, quoted strings, literals, parenthesised lists, RFC 9051 §4) and
nothing of what a response means. It is tolerant, since one odd word must not
hide the rest of a response:

- a list that is never closed ends with the response, a `)` too many is nothing;
- a quoted string that is never closed ends with its line;
- `[` and `]` are letters of an atom, as in ``[Gmail]/All``, except in the
  name of a section, ``BODY[HEADER.FIELDS ("Subject" From)]<0>``, which is one
  atom with all that stands in its brackets;
- any byte that belongs to nothing else is a letter of an atom; but a word with
  bytes beyond ASCII, which no atom may have, is `bytes` like a string.

It is iterative and takes time in proportion to the bytes, however they nest.
What is deeper or longer than any honest response is `TooComplex`, so that
nobody who walks a tree can be led to Python's recursion limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from mailnotify.imap.responses import Value

DEEPEST = 100
"""Lists in lists. Honest mail nests some ten deep; Python's own limit is at 1,000."""

MOST_TOKENS = 200_000
"""Tokens in one response. An honest one has some thousand; these take 40 ms."""

MOST_TEXT_BYTES = 1024 * 1024
"""Text of one response without its literals: an ENVELOPE of 10,000 recipients."""

# Every loop is possessive: no text makes it try a second way. Blanks match nothing.
_TOKEN = re.compile(
    r"""
        [()]
      | "[^"\\]*+(?:\\.[^"\\]*+)*+"
      | [^Bb()"\ \t\r\n\f\v][^()"\ \t\r\n\f\v]*+
        (?:\ [^Bb()"\ \t\r\n\f\v][^()"\ \t\r\n\f\v]*+)*+
      | [Bb](?:[Oo][Dd]|[Ii][Nn][Aa][Rr])[Yy](?:\.[A-Za-z]++)?
        \[ [^]["]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^]["]*+)*+ \] (?:<[0-9.]*+>)?
      | [Bb][^()"\ \t\r\n\f\v]*+
      | ".*
    """,
    re.VERBOSE | re.DOTALL,
)
"""A parenthesis; a string; atoms in a row, for speed; an atom or a section that begins with B."""

_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*+"\Z', re.DOTALL)
_NIL = frozenset(map("".join, product("Nn", "Ii", "Ll")))
_DELIMITERS = b' \t\r\n\f\v()"\\'


class Malformed(ValueError):
    """A response that breaks its grammar beyond what is tolerated."""


class TooComplex(Malformed):
    """A response with more tokens or deeper lists than are worth the time."""


def tree(parts: Sequence[bytes]) -> tuple[Value, ...]:
    """Read text, literal, text … as `framer` gives them.

    Raises:
        TooComplex: there are more than `MOST_TEXT_BYTES` of text, some `MOST_TOKENS`
            tokens, or lists nested deeper than `DEEPEST`.
    """
    texts = parts[::2]
    length = sum(map(len, texts))
    is_long = 2 * length + len(texts) > MOST_TOKENS  # if not, there is nothing to count
    if length > MOST_TEXT_BYTES or (is_long and _most_tokens(texts) > MOST_TOKENS):
        raise TooComplex("too many tokens")
    stack: list[list[Value]] = [[]]
    for place, part in enumerate(parts):
        if place % 2:
            stack[-1].append(part)
        else:
            # A letter for each byte: what is no ASCII can be had back as it came.
            _grow(stack, _TOKEN.findall(part.decode("latin-1")))
    while len(stack) > 1:
        _close_list(stack)
    return tuple(stack[0])


def _most_tokens(texts: Sequence[bytes]) -> int:
    """An upper limit of the tokens in texts, cheaply: one on each side of a delimiter."""
    return sum(2 * (len(text) - len(text.translate(None, _DELIMITERS))) + 1 for text in texts)


def _grow(stack: list[list[Value]], tokens: list[str]) -> None:
    """Hang tokens into the innermost open list, which is the last of the stack."""
    here = stack[-1]
    for token in tokens:
        first = token[0]
        if first == '"':
            here.append(_unquote(token) if "\\" in token else token.strip('"').encode("latin-1"))
        elif first == "(":
            if len(stack) > DEEPEST:
                raise TooComplex("lists too deep")
            here = []
            stack.append(here)
        elif first == ")":
            if len(stack) > 1:
                here = _close_list(stack)
        elif first in "Bb":
            here.append(_atom(token))
        else:
            here += [_atom(each) for each in token.split(" ")]


def _close_list(stack: list[list[Value]]) -> list[Value]:
    """Hang the innermost list into the one around it, which is the innermost now."""
    done = tuple(stack.pop())
    stack[-1].append(done)
    return stack[-1]


def _unquote(token: str) -> bytes:
    """The content of a quoted string with quoted pairs in it, closed or not."""
    inner = token[1:-1] if _CLOSED.match(token) else token[1:]
    return _QUOTED_PAIR.sub(r"\1", inner).encode("latin-1")


def _atom(token: str) -> Value:
    if token in _NIL:
        return None
    return token if token.isascii() else token.encode("latin-1")


def raw(value: Value) -> bytes:
    """The bytes of an atom or a string.

    Raises:
        Malformed: it is a list.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("ascii")
    if value is None:  # NIL where no NIL may stand is a word of three letters
        return b"NIL"
    raise Malformed("a list where a string is expected")


def word(value: Value) -> str:
    """An atom or a string as text; what is not UTF-8 becomes U+FFFD.

    Raises:
        Malformed: it is a list.
    """
    if isinstance(value, str):
        return value
    return raw(value).decode("utf-8", "replace")


def words(value: Value) -> tuple[str, ...]:
    """Each word of a list; NIL is an empty one, and a lone word a list of one.

    Raises:
        Malformed: there is a list in the list.
    """
    if isinstance(value, tuple):
        return tuple(map(word, value))
    return () if value is None else (word(value),)
