"""What we say to an IMAP server, and in what order: pure, without a socket.

A `Pipeline` holds the commands that wait and those that are on their way. One
command runs at a time, with two exceptions that save round trips and are safe
because a server works in order (RFC 9051 §5.5):

- A *group* of commands goes out in one write: a FETCH with the IDLE after it.
- A running IDLE (RFC 2177) is ended by ``DONE`` in the same write as the group
  that waits for it. A renewal is nothing but ``DONE`` and the next IDLE.

``DONE`` is never sent before the server's ``+``: until then some servers take
it for a command. Nor is it in the middle of what a server says: a Dovecot that
gets it while it pushes a long message forgets it. A server that cannot take groups
is spoken to step by step.

Call `submit`, `continued` and `finished` for what happens; after each of them
write `to_send()`, and give `step` a deadline if it is another than before.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from mailnotify.errors import PeerError
from mailnotify.imap.responses import Response, Tagged

CRLF = b"\r\n"

Step = tuple["Command", str]
"""What the server owes us now: a command, and the word for it in an error."""


class Command:
    """One command, of use once.

    Args:
        name: as in ``UID FETCH``; all of it that ever stands in an error or a log.
        arguments: what follows the name, ready for the wire.
        reply: gives the line to send at each ``+``, without CRLF; None if it has
            sent something itself.
        collect: gets each untagged response that comes while the command runs.
    """

    __slots__ = ("_arguments", "collect", "name", "reply", "tag")

    def __init__(
        self,
        name: str,
        arguments: bytes = b"",
        *,
        reply: Callable[[str], bytes | None] | None = None,
        collect: Callable[[Response], None] | None = None,
    ) -> None:
        self.name = name
        self.tag = ""
        self.reply = reply
        self.collect = collect
        self._arguments = arguments

    def __repr__(self) -> str:
        return f"<{self.tag or 'waiting'} {self.name}>"

    def line(self) -> bytes:
        """The whole command with its tag, as one line."""
        words = [self.tag.encode("ascii"), self.name.encode("ascii")]
        if self._arguments:
            words.append(self._arguments)
        return b" ".join(words) + CRLF

    def fail(self, error: PeerError) -> None:
        """The connection ended before the answer came."""


class Idle(Command):
    """IDLE (RFC 2177). Runs from the server's ``+`` until our ``DONE``.

    Attributes:
        is_running: the server has begun it.
        is_ended: we have sent DONE: what comes now is the end that we asked for.
    """

    __slots__ = ("is_ended", "is_running")

    def __init__(self) -> None:
        super().__init__("IDLE")
        self.is_running = False
        self.is_ended = False

    def begin(self) -> None:
        """The server says ``+``."""
        self.is_running = True

    def end(self, tagged: Tagged) -> None:
        """The server has ended or refused it."""

    @property
    def is_listening(self) -> bool:
        """Whether what comes now answers nothing: the server says it by itself."""
        return self.is_running and not self.is_ended


def is_news(command: Command | None) -> bool:
    """Whether what a server says during this command is said by itself, or to a NOOP."""
    if isinstance(command, Idle):
        return command.is_listening
    return command is None or command.name == "NOOP"


class Pipeline:
    """The commands of one connection.

    Args:
        prefix: begins every tag. It cannot be guessed, so that nobody who can
            put text on the line can answer a command that we have yet to send.
        is_stepwise: never send more than one command in one write.
    """

    __slots__ = (
        *("_count", "_is_held", "_is_stepwise", "_out", "_prefix", "_under_way", "_waiting"),
        *("strays",),
    )

    def __init__(self, *, prefix: str | None = None, is_stepwise: bool = False) -> None:
        self._prefix = secrets.token_hex(4).upper() if prefix is None else prefix
        self._is_stepwise = is_stepwise
        self._count = 0
        self._waiting: list[tuple[Command, ...]] = []  # short; an empty deque has 600 bytes
        self._under_way: list[Command] = []
        self._out = bytearray()
        self._is_held = False
        self.strays = 0
        """How many continuations and tags came that answer nothing."""

    @property
    def running(self) -> Command | None:
        """The command that the server is at now."""
        return self._under_way[0] if self._under_way else None

    @property
    def step(self) -> Step | None:
        """What the server owes us; None while nothing runs, or an IDLE does."""
        command = self.running
        if command is None:
            return None
        if isinstance(command, Idle) and command.is_running:
            if command.is_ended:
                return command, "DONE"
            return (command, "what it began to say") if self._waiting else None
        return command, command.name

    def submit(self, *group: Command) -> None:
        """Send these, together if that is allowed, as soon as it is their turn."""
        if self._is_stepwise:
            self._waiting.extend((command,) for command in group)
        else:
            self._waiting.append(group)
        self._go_on()

    def hold(self, is_held: bool) -> None:
        """Whether the server is saying something, so that IDLE is not to be ended now."""
        self._is_held = is_held
        self._go_on()

    def to_send(self) -> bytes:
        """What is to be written now, in one write."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def continued(self, text: str) -> None:
        """The server said ``+``. One that nobody asked for is counted and passed over."""
        command = self.running
        if isinstance(command, Idle) and not command.is_running:
            command.begin()
        elif command is not None and command.reply is not None:
            line = command.reply(text)
            self._out += b"" if line is None else line + CRLF
        else:
            self.strays += 1
        self._go_on()

    def finished(self, tagged: Tagged) -> Command | None:
        """The server ended a command; None if it is none of ours."""
        for command in self._under_way:
            if command.tag == tagged.tag:
                self._under_way.remove(command)
                self._go_on()
                return command
        self.strays += 1
        return None

    def clear(self) -> list[Command]:
        """Nothing can be sent any more; return what has not been answered."""
        left = [*self._under_way, *(command for group in self._waiting for command in group)]
        self._under_way.clear()
        self._waiting.clear()
        self._out.clear()
        return left

    def _go_on(self) -> None:
        """Send the next group if the line is free, or can be freed by DONE."""
        command = self.running
        if not self._waiting or (self._is_held and isinstance(command, Idle)):
            return
        if command is None:
            self._send(self._waiting.pop(0))
        elif isinstance(command, Idle) and command.is_listening:
            command.is_ended = True
            self._out += b"DONE" + CRLF
            if not self._is_stepwise:
                self._send(self._waiting.pop(0))

    def _send(self, group: tuple[Command, ...]) -> None:
        for command in group:
            self._count += 1
            command.tag = f"{self._prefix}{self._count}"
            self._under_way.append(command)
            self._out += command.line()


def uid_set(uids: Iterable[int]) -> bytes:
    """A sequence-set (RFC 9051 §9) of exactly these UIDs."""
    ranges: list[list[int]] = []
    for uid in sorted(uids):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    words = (f"{first}:{last}" if first < last else f"{first}" for first, last in ranges)
    return ",".join(words).encode("ascii")
