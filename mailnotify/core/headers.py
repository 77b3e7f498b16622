"""Takes a raw header apart and reads its words.

A message header is a list of fields (RFC 5322 §2.2), folded over lines; the
words in them are ASCII, encoded words (RFC 2047), UTF-8 (RFC 6532), or
whatever the sender's machine had in memory. All of it is read leniently, in
one pass whose time grows with the length only: no pattern here can look at a
byte more than a few times.

Encoded words that stand side by side in one charset are joined as bytes before
they are decoded. RFC 2047 §5 forbids splitting a character between two words;
half the world's mail programs do it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Final

from mailnotify.core.charsets import codec_of, decode

_FIELD: Final = re.compile(rb"\n([!-9;-~]++)[ \t]*+:(.*+(?:\n[ \t].*+)*+)")
_EMPTY_LINE: Final = re.compile(rb"\n\r*+\n")
_WORD_HEAD: Final = re.compile(r"=\?([^?\s=]{1,60})\?([bBqQ])\?")
_WORD_LABEL: Final = re.compile(rb"=\?([^?\s=]{1,60})\?[bBqQ]\?")
_CHARSET: Final = re.compile(rb"charset\s{0,9}=\s{0,9}\"?([\w.:-]{1,60})", re.IGNORECASE)
_Q_BYTE: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=]+")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

MOST_BYTES: Final = 262_144
"""Of a header; what lies beyond is not looked at. Servers send up to 100 KiB of subject."""
_MOST_HINTS: Final = 4
"""Charsets tried on raw bytes; a message rarely has two."""


def fields(raw: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The fields of a header: their names in lower case, their unfolded values.

    Ends with the empty line; what is no field is left out, its continuation too.
    """
    lines = b"\n" + raw[:MOST_BYTES]  # each line has its break before it: such are found fast
    empty = _EMPTY_LINE.search(lines)
    found = _FIELD.findall(lines, 0, empty.start() if empty else len(lines))
    return [
        (name.lower(), _unfolded(value) if b"\n" in value else value.rstrip(b"\r"))
        for name, value in found
    ]


def _unfolded(lines: bytes) -> bytes:
    """The lines of one field without their ends."""
    return b"".join([line.rstrip(b"\r") for line in lines.split(b"\n")])


def charset_hints(raw: bytes) -> list[str]:
    """The codecs that this header names in encoded words or a Content-Type."""
    found = dict.fromkeys(
        codec_of(match[1].decode("latin-1"))
        for pattern in (_WORD_LABEL, _CHARSET)
        for match in pattern.finditer(raw[:MOST_BYTES])
    )
    return [codec for codec in found if codec is not None][:_MOST_HINTS]


def decode_words(text: str) -> str:
    """Read the encoded words in an unfolded text; all else stays as it is."""
    if "=?" not in text:
        return text
    parts: list[str] = []
    label, pending = "", b""
    for plain, charset, content in _words(text):
        if plain or charset != label:
            parts += decode(pending, label), plain
            label, pending = charset, b""
        pending += content
    return "".join((*parts, decode(pending, label)))


def _words(text: str) -> Iterator[tuple[str, str, bytes]]:
    """Each encoded word as (the text before it, its charset, its bytes); the rest at last.

    Blanks between two encoded words are no text (RFC 2047 §6.2).
    """
    heads = list(_WORD_HEAD.finditer(text))
    limits = [head.start() for head in heads[1:]] + [len(text)]
    done = 0
    for head, limit in zip(heads, limits, strict=False):
        end = text.find("?=", head.end(), limit)
        if end < 0:
            continue  # a word that never ends is plain text
        plain = text[done : head.start()]
        yield "" if done and plain.isspace() else plain, head[1].lower(), _content(head, text, end)
        done = end + 2
    yield text[done:], "", b""


def _content(head: re.Match[str], text: str, end: int) -> bytes:
    """The bytes of one encoded word, RFC 2047 §4, however sloppily it is written."""
    written = text[head.end() : end]
    codec = "ascii" if written.isascii() else codec_of(head[1]) or "utf-8"
    encoded = written.encode(codec, "replace")
    if head[2] in "bB":
        return _base64(encoded)
    return _Q_BYTE.sub(lambda byte: bytes.fromhex(byte[1].decode()), encoded.replace(b"_", b" "))


def _base64(encoded: bytes) -> bytes:
    """Base64 with or without padding, with padding in the middle, cut anywhere."""
    letters = _NOT_BASE64.sub(b"", encoded.translate(_URL_SAFE))
    pieces = (piece[: len(piece) - (len(piece) % 4 == 1)] for piece in letters.split(b"="))
    return b"".join(binascii.a2b_base64(piece + b"==") for piece in pieces if piece)
