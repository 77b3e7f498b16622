"""The bytes of a compressed connection (RFC 4978): DEFLATE both ways, and no bomb.

A server may press a gigabyte into a megabyte. So what comes in is pressed out in
pieces of bounded size, one for each `received`, and a stream that grows beyond all
proportion is refused. What goes out is a few words now and then: the smallest
window and the least memory that zlib knows are as good as the largest.
"""

from __future__ import annotations

import zlib
from typing import Final, NoReturn

from mailnotify.errors import ProtocolViolated

PIECE_BYTES: Final = 65536
"""What a read of the transport brings, too: some milliseconds of parsing."""

MOST_RATIO: Final = 250
"""Ten thousand notifications that differ by a number shrink to a hundredth; a bomb to 1,000."""

SLACK_BYTES: Final = 4 * 1024 * 1024
"""Beyond the ratio: one header field of a mebibyte of spaces is no attack."""

_MOST_ALLOWED: Final = SLACK_BYTES + MOST_RATIO * PIECE_BYTES
"""However much came before: a long honest life is no licence."""

_RAW: Final = -zlib.MAX_WBITS
_SMALL: Final = -9
_LEAST_MEMORY: Final = 1


class Deflated:
    """Both directions of one connection, from the moment when compression begins.

    Args:
        peer: how the other end is called in errors.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._out = zlib.compressobj(1, zlib.DEFLATED, _SMALL, _LEAST_MEMORY)
        self._in = zlib.decompressobj(_RAW)
        self._waiting = b""
        self._allowed = SLACK_BYTES

    def press(self, data: bytes) -> bytes:
        """Compress what is to be sent, whole: nothing waits for more."""
        return self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH)

    def receive(self, data: bytes) -> None:
        """Take what the transport read. Call `received` until it returns nothing."""
        self._waiting += data
        self._allowed = min(self._allowed + MOST_RATIO * len(data), _MOST_ALLOWED)

    def received(self) -> bytes:
        """The next piece; empty if all that came is pressed out.

        Raises:
            ProtocolViolated: it is no DEFLATE, or a bomb.
        """
        if self._in.eof:
            self._refuse("an end of the compressed stream", "no end (RFC 4978)")
        try:
            piece = self._in.decompress(self._waiting, PIECE_BYTES)
        except zlib.error:
            self._refuse("compressed data that is damaged", "DEFLATE (RFC 1951)")
        self._waiting = self._in.unconsumed_tail
        self._allowed -= len(piece)
        if self._allowed < 0:
            self._refuse("compressed data out of all proportion", f"at most {MOST_RATIO} to 1")
        return piece

    def _refuse(self, found: str, expected: str) -> NoReturn:
        raise ProtocolViolated(peer=self._peer, found=found, expected=expected)
