"""Header fields as bytes that say exactly what was meant.

The standard library parses a header value that it is given: an encoded word in
a subject is decoded, and ``=?utf-8?q?a=0D=0AX:_1?=`` comes out as a header line
of its own (Python 3.11.7). So a value is encoded here, once, and the library is
told to write it as it stands (`VERBATIM`).

A value that is plain printable ASCII stays readable and is only folded; any
other one becomes encoded words throughout (RFC 2047), also when it merely looks
like one, so that what is read is what was written, to the last space.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from email.policy import EmailPolicy
from typing import Any

from mailnotify.core.message import Address

#: RFC 5322 §2.1.1 asks for 78 characters without CR LF, RFC 2047 §2 for 76 where
#: there are encoded words.
LINE_LENGTH = 76

#: Bytes of UTF-8 in one encoded word. In base64 that is 52 characters, 64 with the
#: frame: a line of at most 76 also behind the longest name of ours, ``Subject: ``.
_WORD_BYTES = 39

_ATOM_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"
)


class Verbatim(EmailPolicy):
    """The policy of SMTP (CR LF, bodies in 7 bit) for values that are encoded already."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        return value

    def fold(self, name: str, value: Any) -> str:
        return f"{name}: {value}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        # Beyond ASCII only in an address, for which there are no encoded words (RFC 6532).
        return self.fold(name, value).encode("utf-8")


VERBATIM = Verbatim(linesep="\r\n", cte_type="7bit")


def unstructured(name: str, text: str) -> str:
    """The value of a field such as Subject, folded.

    Args:
        name: of the field, which takes room on the first line.
        text: one line without control characters.
    """
    words = text.split(" ")
    is_plain = (
        _is_printable_ascii(text)
        and all(words)  # a line of spaces only would look like the end of the header
        and max(map(len, words)) <= LINE_LENGTH - len(name) - 2
    )
    if not is_plain:
        return "\r\n ".join(_encoded_words(text))
    return _folded(len(name) + 2, words)


def addresses(name: str, mailboxes: Iterable[Address]) -> str:
    """The value of a field such as To, folded."""
    tokens: list[str] = []
    for mailbox in mailboxes:
        words = _phrase(mailbox.name)
        address = f"<{mailbox.address}>" if words else mailbox.address
        tokens += [*words, f"{address},"]
    return _folded(len(name) + 2, tokens).removesuffix(",")


def _phrase(name: str) -> Iterable[str]:
    """A display name (RFC 5322 §3.2.5) as words between which a line may end."""
    if not name:
        return ()
    words = name.split(" ")
    if _is_printable_ascii(name) and all(words) and len(name) <= LINE_LENGTH // 2:
        if _ATOM_CHARACTERS.issuperset(name.replace(" ", "")):
            return words
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return (f'"{escaped}"',)
    return _encoded_words(name)


def _is_printable_ascii(text: str) -> bool:
    """Also false for what a reader would take for an encoded word."""
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded_words(text: str) -> Iterator[str]:
    """Encoded words of whole characters (RFC 2047 §5), UTF-8 in base64."""
    piece = b""
    for character in text:
        encoded = character.encode("utf-8")
        if len(piece) + len(encoded) > _WORD_BYTES:
            yield _encoded_word(piece)
            piece = b""
        piece += encoded
    if piece:
        yield _encoded_word(piece)


def _encoded_word(piece: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(piece).decode('ascii')}?="


def _folded(indent: int, words: Iterable[str]) -> str:
    """Join words by spaces, each line as long as it may be."""
    lines: list[str] = []
    room = LINE_LENGTH - indent
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
            continue
        if lines:
            room = LINE_LENGTH - 1
        lines.append(word)
    return "\r\n ".join(lines)
