"""The language of submission, without a connection: replies in, a letter out.

A server's bytes become whole replies (`ReplyFramer`), each with a code and its
lines, within limits that no server has a reason to pass. A letter becomes the
block that follows DATA (`data_block`), in one go over all of it: stuffed piece
by piece, a dot at the edge of a piece ends the letter early and what follows
runs as commands. After BDAT it goes as it is, with its length in front
(`chunk`), so nothing in it can end it.

RFC 5321 §4.2 (replies), §4.5.2 (transparency), §4.1.1.1 (EHLO); RFC 3463 and
RFC 2034 (enhanced status codes); RFC 3030 (BDAT).
"""

from __future__ import annotations

import re

from msgspec import Struct

from mailnotify.core.text import clean
from mailnotify.errors import ProtocolViolated

#: Bytes. RFC 5321 allows 512; RFC 4954 §4 allows 12288 for a challenge.
LONGEST_LINE = 12_288

#: Lines of one reply. The longest EHLO seen has about thirty.
MOST_LINES = 128

#: How much of a server's words a person is shown, in bytes.
_MOST_SAID = 500

#: How much of a line that is no reply.
_MOST_SHOWN = 120

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


class Reply(Struct, frozen=True, kw_only=True):
    """One whole reply.

    Attributes:
        code: 200 to 599.
        lines: without code and line end, as they came; at least one.
    """

    code: int
    lines: tuple[bytes, ...]

    @property
    def is_positive(self) -> bool:
        """Whether the server did what it was asked (2yz)."""
        return 200 <= self.code <= 299

    @property
    def is_temporary(self) -> bool:
        """Whether the same may work later (4yz)."""
        return 400 <= self.code <= 499

    @property
    def is_permanent(self) -> bool:
        """Whether the same will never work (5yz)."""
        return 500 <= self.code <= 599

    @property
    def enhanced(self) -> str:
        """The status among the words, as in ``5.1.1``; empty if none agrees with the code."""
        match = _ENHANCED.match(self.lines[0])
        status = match[1].decode("ascii") if match else ""
        return status if status[:1] == str(self.code)[0] else ""

    @property
    def said(self) -> str:
        """The words as one line that is safe to show."""
        return clean(b" ".join(self.lines).decode("utf-8", "replace"), _MOST_SAID)

    def __str__(self) -> str:
        return f"{self.code} {self.said}"


class ReplyFramer:
    """Bytes in, whole replies out: call `receive`, then `received`.

    Lines may end in LF alone. The memory held is at most one read, one line and
    one reply. What was given to `conceal` comes out as ``<secret>``, wherever a
    server says it back to us; in a challenge (334), which nobody is shown, it stays.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._buffer = b""
        self._code = 0
        self._lines: list[bytes] = []
        self._secrets: list[bytes] = []

    @property
    def is_between_replies(self) -> bool:
        """Whether nothing is left over of what was received."""
        return not self._buffer and not self._lines

    def conceal(self, secret: bytes) -> None:
        """Let this not be read back from the server's words."""
        if secret:
            self._secrets.append(secret)

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        self._buffer += data

    def received(self) -> list[Reply]:
        """The replies that are complete by now.

        Raises:
            ProtocolViolated: these bytes are no reply; nothing after it is of use.
        """
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            raise self._violated(f"a line of more than {LONGEST_LINE} bytes", "a short line")
        return [reply for line in lines if (reply := self._take(line.removesuffix(b"\r")))]

    def _take(self, line: bytes) -> Reply | None:
        """Add one line to the reply; the last one gives it away."""
        match = _LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
        if match is None:
            raise self._violated(self._shown(line), "a reply such as 250 OK")
        code = int(match[1])
        if self._lines and code != self._code:
            raise self._violated(
                f"{code} within a reply {self._code}", "one code for all its lines"
            )
        if len(self._lines) == MOST_LINES:
            raise self._violated(f"a reply of more than {MOST_LINES} lines", "an end of it")
        self._code = code
        text = match[3] or b""
        self._lines.append(text if code == 334 else self._concealed(text))
        if match[2] == b"-":
            return None
        reply = Reply(code=code, lines=tuple(self._lines))
        self._lines = []
        return reply

    def _concealed(self, text: bytes) -> bytes:
        for secret in self._secrets:
            text = text.replace(secret, b"<secret>")
        return text

    def _shown(self, line: bytes) -> str:
        return repr(clean(self._concealed(line).decode("utf-8", "replace"), _MOST_SHOWN))

    def _violated(self, found: str, expected: str) -> ProtocolViolated:
        return ProtocolViolated(peer=self._peer, found=found, expected=expected)


def extensions(reply: Reply) -> dict[str, tuple[str, ...]]:
    """What a reply to EHLO offers: keywords in upper case, each with its parameters.

    The old form ``AUTH=LOGIN`` counts as ``AUTH LOGIN``; empty lines do not count.
    """
    offered: dict[str, tuple[str, ...]] = {}
    for line in reply.lines[1:]:
        words = line.decode("ascii", "replace").replace("=", " ", 1).upper().split()
        if words:
            offered[words[0]] = offered.get(words[0], ()) + tuple(words[1:])
    return offered


def with_crlf(message: bytes) -> bytes:
    """The message with CR LF at the end of every line, the last one included.

    Whether a line ended in that, in LF or in a bare CR, which some servers take for a
    line end and some do not.
    """
    ends = message.count(b"\r\n")
    if message.endswith(b"\r\n") and ends == message.count(b"\n") == message.count(b"\r"):
        return message
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n")
    return lines.replace(b"\n", b"\r\n") + b"\r\n"


def data_block(message: bytes) -> bytes:
    """The message as it follows DATA, with its final dot.

    Every line ends in CR LF (`with_crlf`); then every line that begins with a dot gets
    a second one.
    """
    stuffed = (b"\r\n" + with_crlf(message)).replace(b"\r\n.", b"\r\n..")
    return stuffed[2:] + b".\r\n"


def chunk(content: bytes) -> bytes:
    """The content as the only chunk of a letter, behind its command (RFC 3030 §2)."""
    return b"BDAT %d LAST\r\n" % len(content) + content
