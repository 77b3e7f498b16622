"""The line protocol without a transport: one peer for each end of the connection.

Bytes go in by `receive`, frames come out of `received`; frames go in by `send`,
bytes come out of `to_send`. The peers keep to the order of the dialogue (which
verb may come in which stage), answer by themselves what needs no knowledge
(`PING`, `QUIT`, a line that cannot be read), and hand on the rest. Whatever the
other end sends, a `ServerPeer` raises nothing, and a `ClientPeer` nothing but
`ProtocolViolated`.

docs/protocol.rst is the norm; `mailnotify.core.frames` reads single lines.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mailnotify.core.frames import (
    RECEIVED_LINE_BYTES,
    SENT_LINE_BYTES,
    Ack,
    Admitted,
    Announce,
    Auth,
    Bye,
    ClientFrame,
    Code,
    Farewell,
    Gap,
    Hello,
    Live,
    Part,
    Ping,
    Plain,
    Pong,
    Queued,
    Quit,
    Refused,
    Secured,
    Send,
    ServerFrame,
    StartTls,
    Subscribe,
    Subscribed,
    Unreadable,
    Welcome,
)
from mailnotify.core.lines import FROM_CLIENT, FROM_SERVER, decode, encode
from mailnotify.core.text import clean
from mailnotify.errors import ProtocolViolated, WireError

_ANSWER_BYTES: Final = 4096
"""Answers that may wait before `received` stops: a peer that never reads costs no more."""

_LINES_AT_ONCE: Final = 50
"""So many lines are read before `received` stops: 0.2 ms at most, and then others have a turn."""


_HTTP: Final = re.compile(rb" HTTP/[0-9.]+$")
"""Ends the first line of a browser. A page can have it say any lines after that, to any
port of this machine, and the machine vouches for the browser: such lines could send mail."""


class Stage(enum.Enum):
    """How far a connection has come."""

    PLAIN = "plain"
    GREETED = "greeted"
    SUBSCRIBED = "subscribed"
    SECURING = "securing"
    CLOSED = "closed"


_OPEN: Final = frozenset({Stage.PLAIN, Stage.GREETED, Stage.SUBSCRIBED})

_STRUCTURED: Final = frozenset({Stage.GREETED, Stage.SUBSCRIBED})

_ALLOWED: Final[Mapping[type, frozenset[Stage]]] = {
    Hello: frozenset({Stage.PLAIN}),
    StartTls: frozenset({Stage.PLAIN, Stage.GREETED}),
    Auth: frozenset({Stage.PLAIN, Stage.GREETED}),
    Subscribe: frozenset({Stage.GREETED}),
    Ack: frozenset({Stage.SUBSCRIBED}),
    Send: _STRUCTURED,
    Part: _STRUCTURED,
    Welcome: frozenset({Stage.PLAIN}),
    Secured: frozenset({Stage.PLAIN, Stage.GREETED}),
    Admitted: frozenset({Stage.PLAIN, Stage.GREETED}),
    Subscribed: frozenset({Stage.GREETED}),
    Queued: _STRUCTURED,
    Gap: frozenset({Stage.SUBSCRIBED}),
    Announce: frozenset({Stage.SUBSCRIBED}),
    Unreadable: frozenset({Stage.SUBSCRIBED}),
    Live: frozenset({Stage.SUBSCRIBED}),
    Plain: frozenset({Stage.PLAIN}),
    Ping: _OPEN,
    Pong: _OPEN,
    Quit: _OPEN,
    Refused: _OPEN,
    Bye: _OPEN,
}
"""In which stages a frame may come, from either end."""

_LEADS_TO: Final[Mapping[type, Stage]] = {
    Welcome: Stage.GREETED,
    Secured: Stage.SECURING,
    Subscribed: Stage.SUBSCRIBED,
    Bye: Stage.CLOSED,
}
"""The frames that change the stage: all of them are the server's."""


class _Lines:
    """Cuts bytes into lines: LF ends one, a CR before it is dropped."""

    __slots__ = ("_bytes", "_most_bytes", "_searched")

    def __init__(self, most_bytes: int) -> None:
        self._bytes = bytearray()
        self._most_bytes = most_bytes
        self._searched = 0

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def clear(self) -> None:
        self._bytes.clear()
        self._searched = 0

    def next(self) -> bytes | None:
        """The next whole line, or None.

        Raises:
            WireError: the line, with its end, is longer than it may be.
        """
        end = self._bytes.find(b"\n", self._searched)
        self._searched = len(self._bytes)
        if (self._searched if end < 0 else end) >= self._most_bytes:
            raise WireError(code=Code.TOOLONG, reason=f"over {self._most_bytes} bytes in a line")
        if end < 0:
            return None
        line = bytes(self._bytes[:end])
        del self._bytes[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")


Question = Hello | StartTls | Auth | Subscribe | Ack | Send | Part
"""What a server has to answer with knowledge that a peer does not have."""


class ServerPeer:
    """The server's end: plain until it has been spoken to.

    In `Stage.SECURING` nothing more is said or heard: TLS begins, with a new peer.

    Args:
        line_bytes: the longest line taken, with its end.

    Attributes:
        is_waiting: an answer takes time; until this is False again no line is taken.
        is_pausing: `received` has stopped early: write `to_send`, and come back later.
        farewell: the reason of `Bye`, when it was said; else empty.
    """

    __slots__ = ("_lines", "_out", "farewell", "is_pausing", "is_waiting", "stage")

    def __init__(self, line_bytes: int = RECEIVED_LINE_BYTES) -> None:
        self._lines = _Lines(line_bytes)
        self._out: list[bytes] = []
        self.is_pausing = False
        self.is_waiting = False
        self.farewell = ""
        self.stage = Stage.PLAIN

    @property
    def has_input(self) -> bool:
        """Whether bytes wait; after `received`, whether a line is half there."""
        return len(self._lines) > 0

    def receive(self, data: bytes) -> None:
        """Take bytes from the transport; call `received` next."""
        if self.stage in _OPEN:
            self._lines.feed(data)

    def received(self) -> Iterator[Question]:
        """What the owner has to answer, frame by frame, with `send`.

        Answer each before the next is taken: it decides what may follow. Stops
        early while answers wait, and after many lines (see `is_pausing`).
        """
        self.is_pausing = False
        for _ in range(_LINES_AT_ONCE):
            if self.stage not in _OPEN or self.is_waiting:
                return
            if sum(map(len, self._out)) >= _ANSWER_BYTES:
                break
            try:
                line = self._lines.next()
                if line is None:
                    return
                frame = self._judge(line)
            except WireError as refusal:
                self._refuse(refusal)
                continue
            if isinstance(frame, Question):
                yield frame
        self.is_pausing = self.stage in _OPEN

    def send(self, frame: ServerFrame) -> None:
        """Say something; after `Bye` and `Secured` nothing more is said."""
        if self.stage not in _OPEN:
            return
        self._out.append(encode(frame))
        self.stage = _LEADS_TO.get(type(frame), self.stage)
        if isinstance(frame, Bye):
            self.farewell = frame.reason
        if self.stage not in _OPEN:
            self._lines.clear()

    def close(self, reason: Farewell) -> None:
        """Say `Bye`, if the other end has shown that it understands it; close either way."""
        if self.stage is not Stage.PLAIN:
            self.send(Bye(reason=reason))
        self.stage = Stage.CLOSED
        self._lines.clear()

    def relay(self, lines: bytes) -> None:
        """Send lines that were encoded before, for many."""
        if self.stage in _OPEN:
            self._out.append(lines)

    def to_send(self) -> bytes:
        """Take the bytes for the transport."""
        out, self._out = b"".join(self._out), []
        return out

    def _judge(self, line: bytes) -> ClientFrame | None:
        if not line:  # someone pressed Enter in nc
            return None
        if self.stage is Stage.PLAIN and _HTTP.search(line):
            raise WireError(code=Code.FOREIGN, reason="this is no web server")
        frame = decode(line, FROM_CLIENT)
        if self.stage not in _ALLOWED[type(frame)]:
            raise WireError(code=Code.STATE, reason=_EXPECTED[self.stage])
        if isinstance(frame, StartTls) and len(self._lines):
            # Whoever sent it would have us take it for words of TLS.
            raise WireError(code=Code.TLS, reason="nothing may come between STARTTLS and TLS")
        answer = _ANSWERS.get(type(frame))
        if answer is not None:
            answer(self, frame)
        return frame

    def _refuse(self, refusal: WireError) -> None:
        self.send(Refused(code=refusal.code, reason=refusal.reason))
        farewell = _FATAL.get(refusal.code)
        if farewell is not None:
            self.send(Bye(reason=farewell))


_FATAL: Final[Mapping[str, Farewell]] = {
    # Where the next line begins cannot be known without reading on for ever.
    Code.TOOLONG: Farewell.OVERLONG,
    Code.TLS: Farewell.INSECURE,
    # What follows is the word of a page that a browser of ours has opened.
    Code.FOREIGN: Farewell.FOREIGN,
}
"""The refusals of a `ServerPeer` that end a connection."""

_EXPECTED: Final[Mapping[Stage, str]] = {
    Stage.PLAIN: "say HELLO 1 first",
    Stage.GREETED: "HELLO was said already; expected SUBSCRIBE",
    Stage.SUBSCRIBED: "this connection has subscribed already; open another one",
}

_ANSWERS: Final[Mapping[type, Callable[[ServerPeer, ClientFrame], None]]] = {
    Ping: lambda peer, ping: peer.send(Pong(token=ping.token)),  # type: ignore[union-attr]
    Quit: lambda peer, _: peer.send(Bye(reason=Farewell.QUIT)),
}
"""What a server answers without knowing anything."""


class ClientPeer:
    """The client's end.

    Args:
        peer: the name of the server in errors.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._lines = _Lines(SENT_LINE_BYTES)
        self._out: list[bytes] = []
        self.stage = Stage.PLAIN

    def receive(self, data: bytes) -> None:
        """Take bytes from the transport; call `received` next."""
        if self.stage in _OPEN:
            self._lines.feed(data)

    def received(self) -> Iterator[ServerFrame]:
        """What the server said, frame by frame.

        `Ping` is answered here (write `to_send` afterwards) and not handed on, nor
        are `Pong`, and the plain lines that come before the answer to `Hello`.

        Raises:
            ProtocolViolated: this is no mailnotify, or a broken one: abort.
        """
        while self.stage in _OPEN:
            try:
                line = self._lines.next()
                if line is None:
                    return
                frame = self._judge(line)
            except WireError as wrong:
                self.stage = Stage.CLOSED
                raise ProtocolViolated(
                    peer=self._peer, found=str(wrong), expected="a line as in docs/protocol.rst"
                ) from None
            if frame is not None:
                yield frame

    def send(self, frame: ClientFrame) -> None:
        """Say something; write `to_send` next."""
        self._out.append(encode(frame))

    def to_send(self) -> bytes:
        """Take the bytes for the transport."""
        out, self._out = b"".join(self._out), []
        return out

    def _judge(self, line: bytes) -> ServerFrame | None:
        try:
            frame = decode(line, FROM_SERVER)
        except WireError as wrong:
            if wrong.code == Code.UNKNOWN and self.stage is not Stage.PLAIN:
                return None  # a newer server says more than we know
            raise self._quoting(wrong, line) from None
        if self.stage not in _ALLOWED[type(frame)]:
            raise self._quoting(WireError(code=Code.STATE, reason="out of turn"), line)
        self.stage = _LEADS_TO.get(type(frame), self.stage)
        if isinstance(frame, Secured) and len(self._lines):
            # Whoever sent it would have us take it for words of TLS.
            raise WireError(code=Code.TLS, reason="bytes in clear after OK to STARTTLS")
        if isinstance(frame, Ping):
            self.send(Pong(token=frame.token))
        return None if isinstance(frame, Ping | Pong | Plain) else frame

    def _quoting(self, wrong: WireError, line: bytes) -> WireError:
        said = clean(line[:200].decode("utf-8", "replace"), 80)
        return WireError(code=wrong.code, reason=f"{wrong.reason} (in {said!r})")
