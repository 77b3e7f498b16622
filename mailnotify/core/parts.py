"""A letter on the line protocol: its bytes in lines, and the count of what is still to come.

Bytes go in base64, a line at a time, so that nothing in a letter can ever be read as a
line of the protocol: neither where it is refused nor where a client has miscounted.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from typing import Final

from mailnotify.core.frames import RECEIVED_LINE_BYTES, Code, Part
from mailnotify.core.text import clean
from mailnotify.errors import WireError

_AROUND_BYTES: Final = len(b"PART \r\n")


def cut(letter: bytes, line_bytes: int = RECEIVED_LINE_BYTES) -> Iterator[Part]:
    """A letter in parts, each of which fits into a line of this length with its end."""
    size = (line_bytes - _AROUND_BYTES) // 4 * 3
    for start in range(0, len(letter), size):
        yield Part(text=b2a_base64(letter[start : start + size], newline=False).decode("ascii"))


class Count:
    """How much of a letter has come.

    Args:
        size: of all of it, in bytes; at least 1.

    Attributes:
        missing_bytes: 0 when all is there.
    """

    __slots__ = ("missing_bytes",)

    def __init__(self, size: int) -> None:
        self.missing_bytes = size

    def take(self, part: Part) -> bytes:
        """Read and count a part.

        Raises:
            WireError: it is no base64, empty, or goes beyond what was announced. The
                letter cannot become whole any more.
        """
        try:
            content = a2b_base64(part.text, strict_mode=True)
        except ValueError as wrong:
            raise WireError(code=Code.SYNTAX, reason=clean(f"PART: {wrong}", 200)) from None
        more = len(content) - self.missing_bytes
        if not content:
            raise WireError(code=Code.SYNTAX, reason="PART: there is nothing in it")
        if more > 0:
            raise WireError(code=Code.SIZE, reason=f"{more} bytes more than SEND has announced")
        self.missing_bytes = -more
        return content
