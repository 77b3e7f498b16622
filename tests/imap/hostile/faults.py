"""The ways in which an answer goes wrong: each function here makes an `Act`.

``TAG`` in given bytes stands for the command's tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.imap.hostile.server import Act, Conversation

_TAGGED = re.compile(rb"^(\S+) (OK|NO|BAD)[^\r\n]*\r\n\Z", re.M)


def _tag(honest: bytes) -> bytes:
    """The tag of the command that this answer ends, if it does."""
    found = _TAGGED.search(honest)
    return found[1] if found and found[1] not in b"*+" else b""


def silence(_: Conversation, __: bytes) -> None:
    """Nothing is ever said."""


def hang_up(server: Conversation, _: bytes) -> None:
    """The connection is closed instead."""
    server.transport.loseConnection()


def reset(server: Conversation, _: bytes) -> None:
    """The connection is reset instead."""
    server.socket.abortConnection()


def vanish(server: Conversation, _: bytes) -> None:
    """Nothing passes any more, in either direction, and nobody is told."""
    server.socket.vanish()


def say(words: bytes) -> Act:
    """Something else is said; if it has the tag, the command is over."""

    def act(server: Conversation, honest: bytes) -> bytes:
        if b"TAG" in words:
            server.idle_tag = b""
        return words.replace(b"TAG", _tag(honest) or server.tag)

    return act


def say_and_hang_up(words: bytes) -> Act:
    """Something else is said, and the connection is closed."""

    def act(server: Conversation, honest: bytes) -> None:
        server.say(words.replace(b"TAG", _tag(honest) or server.tag))
        server.transport.loseConnection()

    return act


def cut(size_bytes: int) -> Act:
    """The connection is closed so many bytes into the answer."""
    return lambda server, honest: say_and_hang_up(honest[:size_bytes])(server, honest)


def before(words: bytes) -> Act:
    """Something is said before it."""
    return lambda server, honest: words.replace(b"TAG", server.tag) + honest


def after(words: bytes) -> Act:
    """Something is said behind it, in the same packet."""
    return lambda server, honest: honest + words.replace(b"TAG", server.tag)


def before_the_tag(words: bytes) -> Act:
    """Something is said between the data and the tagged end."""

    def act(_: Conversation, honest: bytes) -> bytes:
        tag = _tag(honest)
        at = honest.rindex(tag + b" ") if tag else 0
        return honest[:at] + words + honest[at:]

    return act


def swap(pattern: bytes, by: bytes | Callable[[Any], bytes]) -> Act:
    """A part of it is replaced, by a regular expression."""
    return lambda _, honest: re.sub(pattern, by, honest)


def without_data(words: bytes = b"OK done") -> Act:
    """Only the tagged end is said."""
    return lambda _, honest: _tag(honest) + b" " + words + b"\r\n"


def late(seconds: float) -> Act:
    """It comes later, and so does all that would follow it."""

    def act(server: Conversation, honest: bytes) -> bytes:
        server.busy_until = max(server.clock.seconds(), server.busy_until) + seconds
        return honest

    return act


def dribble(bytes_per_second: float) -> Act:
    """It comes byte by byte."""

    def act(server: Conversation, honest: bytes) -> None:
        for place in range(len(honest)):
            server.later(place / bytes_per_second, server.say, honest[place : place + 1])

    return act


def meanwhile(happens: Callable[[Conversation], object]) -> Act:
    """Something happens just before the honest answer is sent."""

    def act(server: Conversation, honest: bytes) -> bytes:
        happens(server)
        return honest

    return act


def flood(piece: bytes, pieces: int, *, seconds: float) -> Act:
    """The same bytes come again and again over some time, and then the honest answer."""

    def act(server: Conversation, honest: bytes) -> None:
        for place in range(pieces):
            server.later(seconds * place / pieces, server.say, piece)
        server.later(seconds, server.say, honest)

    return act


def in_pieces(size_bytes: int) -> Act:
    """From here on everything comes in such pieces."""

    def act(server: Conversation, honest: bytes) -> bytes:
        server.piece_bytes = size_bytes
        return honest

    return act


def offering(capability: bytes) -> Act:
    """The server claims these capabilities from its greeting on."""

    def act(server: Conversation, honest: bytes) -> bytes:
        honest = honest.replace(server.capability, capability)
        server.capability = capability
        return honest

    return act
