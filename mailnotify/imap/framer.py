"""The bytes of an IMAP server, cut into whole responses.

First stop of every byte: the client gives what the transport read to
`Framer.receive`, and takes whole responses from `Framer.received`; `parser`
turns each into one value. A response is a line, or several lines with the
literals between them (RFC 9051 §4.3). It is cut by these rules:

- A line ends with CRLF or with LF alone. Blank lines are passed over and counted.
- ``{n}``, ``{n+}`` and ``~{n}`` at the end of a line announce a literal, and
  only where a string may stand: in untagged data, as a word of its own. The
  human text of a status response, tagged or not, of a continuation request and
  of whatever is no IMAP at all never has one (RFC 9051 §7.1): ``* OK see {5}``
  is text. `n` is digits only.
- Every length has a maximum. Untagged data that is too long is spilled: its bytes
  are counted and dropped as they come, so that a letter that makes an honest server
  say too much costs that response and not the connection. What is far too long, or
  is no data, ends the connection, a literal when it is announced.

Responses are cut one at a time, as the iteration asks for them: a client that
stops in the middle (the connection is being closed, TLS begins) has not had
the rest interpreted, and `is_empty` says whether there is a rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from msgspec import Struct

from mailnotify.errors import ProtocolViolated

Framed = tuple[bytes, ...]
"""One whole response: text, literal, text, literal …, text.

The even places hold text without line ends and without the announcements of
literals, the odd ones hold literals. There is an odd number of parts; but of a
response that was too long to keep there are two, its beginning and nothing.
"""


class Limits(Struct, frozen=True, kw_only=True):
    """What one server may make us keep in memory.

    Attributes:
        line_bytes: one line without its literals. The longest honest line is the
            answer to a SEARCH: 8 MiB hold a million UIDs of seven digits. Twisted's
            16 KiB cut off an ENVELOPE with 600 recipients.
        literal_bytes: one literal. We ask for headers only; 16 MiB is far above
            every header that a server accepted, and below what hurts.
        response_bytes: all lines and literals of one response together.
        literals: how many of them one response may have; each costs an object. An
            ENVELOPE of 1,000 recipients, each name a literal, has some 2,000.
        spilled_bytes: of one response that is too long to be kept. Dovecot tells of a
            letter within a letter with 100,000 recipients in 3 MB of literals.
        blank_lines: how many blank lines in a row are passed over.
    """

    line_bytes: int = 8 * 1024 * 1024
    literal_bytes: int = 16 * 1024 * 1024
    response_bytes: int = 32 * 1024 * 1024
    literals: int = 10_000
    spilled_bytes: int = 64 * 1024 * 1024
    blank_lines: int = 1_000


_USUAL = Limits()

_ANNOUNCEMENT = re.compile(rb"(?<![^ \t(\[\])>])~?\{([0-9]+)\+?\}\Z")
"""A literal's announcement at the end of a line, as a word of its own.

The look-behind also takes `]`, `)` and `>`: some servers forget the space in
``BODY[]{5}``.
"""

_UNTAGGED_DATA = re.compile(rb"[ \t]*+\*[ \t]++(?!(?:OK|NO|BAD|BYE|PREAUTH)(?![A-Z0-9-]))", re.I)
"""The beginning of a response that may have literals."""

_HEAD_BYTES = 512
"""Kept of a response that is spilled: what it is, for the log."""

_TAIL_BYTES = 64
"""Kept of a spilled line that goes on: it may end in the announcement of a literal."""

_BLANK = b" \t\r"
_MOST_DIGITS = 20  # more than any limit needs; int() is for sane numbers only


class Framer:
    """Cuts what `receive` takes into the whole responses that `received` gives.

    After a violated limit it keeps nothing, and `received` raises for ever.

    Attributes:
        blank_lines: how many blank lines have been passed over.
    """

    __slots__ = (
        *("_at", "_blank_in_a_row", "_buffer", "_head", "_limits", "_literal_bytes", "_parts"),
        *("_parts_bytes", "_peer", "_searched", "_spilled_bytes", "_violation", "blank_lines"),
    )

    def __init__(self, limits: Limits | None = None, *, peer: str = "the server") -> None:
        """Begin with nothing.

        Args:
            limits: None for the defaults.
            peer: how exceptions call the server.
        """
        self.blank_lines = 0
        self._limits = limits or _USUAL
        self._peer = peer
        self._buffer = bytearray()
        self._at = 0  # what lies before is cut
        self._searched = 0  # what lies between has no line end
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._literal_bytes: int | None = None  # the announced literal that must come next
        self._head = b""
        self._spilled_bytes: int | None = None  # of a response that is not kept
        self._blank_in_a_row = 0
        self._violation: ProtocolViolated | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every byte received has been given away in a whole response.

        Must be true in the moment of the OK to STARTTLS: what follows it in clear
        was injected (RFC 9051 §6.2.1).
        """
        is_between = not self._parts and self._spilled_bytes is None
        return self._at == len(self._buffer) and is_between

    def clear(self) -> None:
        """Forget every byte that is not yet part of a whole response."""
        self._buffer.clear()
        self._at = self._searched = 0
        self._parts.clear()
        self._parts_bytes = 0
        self._literal_bytes = self._spilled_bytes = None

    def take_rest(self) -> bytes:
        """Give away uncut what came behind the last whole response, in another coding."""
        rest = bytes(self._buffer[self._at :])
        self.clear()
        return rest

    def receive(self, data: bytes) -> None:
        """Take what the transport read. Call `received` next."""
        if self._violation is None:
            self._buffer += data

    def received(self) -> Iterator[Framed]:
        """Each response that is whole by now, in order.

        Raises:
            ProtocolViolated: a limit was violated, after the responses before it.
        """
        if self._violation is not None:
            raise self._violation
        while (framed := self._next()) is not None:
            yield framed
        self._release()

    def _next(self) -> Framed | None:
        """Cut the next response; None if it is not whole."""
        while self._take_literal():
            line = self._take_line()
            if line is None:
                break
            is_first = not self._parts and self._spilled_bytes is None
            if is_first and not line.strip(_BLANK):
                self._pass_over_blank()
            elif not self._begin_literal(line):
                return self._finish(line)
        return None

    def _finish(self, line: bytes) -> Framed:
        """The response that ends with this line."""
        is_kept = self._spilled_bytes is None
        framed = (*self._parts, line) if is_kept else (self._head, b"")
        self._parts.clear()
        self._parts_bytes = self._blank_in_a_row = 0
        self._spilled_bytes = None
        return framed

    def _take_line(self) -> bytes | None:
        """Cut one line, without its end; None if it is not whole."""
        end = self._buffer.find(b"\n", self._searched)
        self._searched = len(self._buffer) if end < 0 else end + 1
        length = (self._searched if end < 0 else end) - self._at
        self._admit("line", length, self._limits.line_bytes)
        self._spill(length - _TAIL_BYTES)
        if end < 0:
            return None
        self._count_spilled(end + 1 - self._at)
        start, self._at = self._at, end + 1
        if end > start and self._buffer[end - 1] == 0x0D:
            end -= 1
        return bytes(self._buffer[start:end])

    def _begin_literal(self, line: bytes) -> bool:
        """If the line announces a literal, keep the line and expect the literal."""
        announced = _announcement(line)
        if announced is None:
            return False
        if self._spilled_bytes is None:
            if not _UNTAGGED_DATA.match(self._parts[0] if self._parts else line):
                return False
            self._parts.append(line[: announced.start()])
            self._parts_bytes += announced.start()
        digits = announced[1].lstrip(b"0")
        length = int(digits or b"0") if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
        self._admit("literal", length, self._limits.literal_bytes)
        if len(self._parts) > 2 * self._limits.literals:
            self._exceed("too many literals in a response", self._limits.literals)
        self._literal_bytes = length
        self._count_spilled(length)
        return True

    def _take_literal(self) -> bool:
        """Cut the announced literal, if there is one; whether a line comes next."""
        length = self._literal_bytes
        if length is None:
            return True
        if self._spilled_bytes is not None:
            return self._drop_literal(length)
        end = self._at + length
        if len(self._buffer) < end:
            return False
        self._parts.append(bytes(self._buffer[self._at : end]))
        self._parts_bytes += length
        self._at = self._searched = end
        self._literal_bytes = None
        return True

    def _drop_literal(self, length: int) -> bool:
        """Drop what there is of the announced literal; whether a line comes next."""
        dropped = min(length, len(self._buffer) - self._at)
        self._at = self._searched = self._at + dropped
        self._literal_bytes = length - dropped if dropped < length else None
        return dropped == length

    def _admit(self, what: str, length: int, most: int) -> None:
        """Keep no line or literal that is too long by itself or for its response."""
        if self._spilled_bytes is not None:
            return
        whole = self._parts_bytes + length
        if length > most:
            self._exceed(f"a {what} of {length} bytes or more", most)
        elif whole > self._limits.response_bytes:
            self._exceed(f"a response of {whole} bytes or more", self._limits.response_bytes)

    def _exceed(self, found: str, most: int) -> None:
        """From here on drop what comes of this response; refuse it if it is no data."""
        most_head = min(_HEAD_BYTES, self._limits.line_bytes)
        rest = self._buffer[self._at : self._at + most_head]
        self._head = (self._parts[0] if self._parts else bytes(rest))[:most_head]
        if not _UNTAGGED_DATA.match(self._head):
            self._refuse(found, most)
        self._spilled_bytes = 0
        self._count_spilled(self._parts_bytes)
        self._parts.clear()

    def _spill(self, length: int) -> None:
        """Drop so many bytes if this response is not kept."""
        if self._spilled_bytes is not None and length > 0:
            self._at += length
            self._count_spilled(length)

    def _count_spilled(self, length: int) -> None:
        if self._spilled_bytes is None:
            return
        self._spilled_bytes += length
        if self._spilled_bytes > self._limits.spilled_bytes:
            found = f"a response of {self._spilled_bytes} bytes or more"
            self._refuse(found, self._limits.spilled_bytes)

    def _pass_over_blank(self) -> None:
        self.blank_lines += 1
        self._blank_in_a_row += 1
        if self._blank_in_a_row > self._limits.blank_lines:
            self._refuse("too many blank lines in a row", self._limits.blank_lines)

    def _refuse(self, found: str, most: int) -> NoReturn:
        self.clear()
        self._violation = ProtocolViolated(peer=self._peer, found=found, expected=f"at most {most}")
        raise self._violation

    def _release(self) -> None:
        """Give back the memory of what has been cut.

        Deleting at the front of a bytearray moves few bytes for what it frees.
        """
        del self._buffer[: self._at]
        self._searched -= self._at
        self._at = 0


def _announcement(line: bytes) -> re.Match[bytes] | None:
    """The announcement of a literal at the end of a line."""
    brace = line.rfind(b"{") if line.endswith(b"}") else -1
    if brace < 0:
        return None
    return _ANNOUNCEMENT.match(line, brace - 1 if line[brace - 1 : brace] == b"~" else brace)
