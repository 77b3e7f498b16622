"""How each frame of the line protocol is written as one line.

A line is a verb, a space and arguments, mostly one JSON object; CR LF ends it.
This module knows what one line means and nothing of what may follow what: that
is `mailnotify.core.wire`. docs/protocol.rst is the norm for both.

`FROM_CLIENT` and `FROM_SERVER` are the whole vocabulary: a verb and the function
that reads its arguments. `encode` is the way back. Strict in what is sent;
unknown keys in JSON are ignored, so that either end may be the newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from mailnotify.core.events import KINDS, Entry, Event, parse_position
from mailnotify.core.frames import (
    VERSION,
    Ack,
    Admitted,
    Announce,
    Auth,
    Bye,
    ClientFrame,
    Code,
    Edge,
    Gap,
    Hello,
    Live,
    Mechanism,
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
    parse_since,
)
from mailnotify.core.text import clean
from mailnotify.errors import WireError

_WORD_BYTES: Final = 200
"""A token or a reason is shown to people and logged, and has no need to be longer."""

KEY_CHARACTERS: Final = 200
"""The longest key of a letter."""

# --- the JSON objects of frames whose values are not JSON's own -------------------------


class _SubscribeBody(Struct, omit_defaults=True):
    since: str = Edge.NOW.value
    accounts: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    min_priority: Annotated[int, Meta(ge=1, le=5)] = 1
    poll: bool = False
    reader: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*\Z")] = ""


class _SubscribedBody(Struct, tag_field="to", tag="SUBSCRIBE", omit_defaults=True):
    position: str
    new: bool = False
    unknown: tuple[str, ...] = ()
    unknown_kinds: tuple[str, ...] = ()


class _SendBody(Struct, rename={"sender": "from"}, omit_defaults=True):
    size: Annotated[int, Meta(ge=1, le=2**53)]
    to: Annotated[tuple[str, ...], Meta(min_length=1)]
    sender: str = ""
    account: str = ""
    key: Annotated[str, Meta(max_length=KEY_CHARACTERS)] = ""


class _GapBody(Struct, rename={"since": "from"}):
    since: str
    to: str
    reason: str


class _HelloBody(Struct, omit_defaults=True):
    client: str = ""


class _ByeBody(Struct):
    reason: str


class _EventHead(Struct):
    at: Annotated[datetime, Meta(tz=True)]
    kind: str
    shortened: bool = False


# --- reading ------------------------------------------------------------------------------

_Value = TypeVar("_Value")


def _json(text: str, kind: type[_Value]) -> _Value:
    return msgspec.json.decode(text or "{}", type=kind)


def _read_hello(rest: str) -> Hello:
    version, _, body = rest.partition(" ")
    if not (version.isascii() and version.isdigit()):
        raise WireError(code=Code.SYNTAX, reason="expected HELLO 1 {json}")
    if version != str(VERSION):
        raise WireError(code=Code.VERSION, reason=f"this server speaks version {VERSION}")
    return Hello(client=clean(_json(body, _HelloBody).client, _WORD_BYTES))


def _read_subscribe(rest: str) -> Subscribe:
    body = _json(rest, _SubscribeBody)
    return Subscribe(
        since=parse_since(body.since),
        accounts=body.accounts,
        mailboxes=body.mailboxes,
        kinds=body.kinds,
        min_priority=body.min_priority,
        poll=body.poll,
        reader=body.reader,
    )


def _read_auth(rest: str) -> Auth:
    word, _, credential = rest.partition(" ")
    if word not in tuple(Mechanism) or bool(credential) is not (word == Mechanism.TOKEN):
        # Nothing of the line may be repeated: it may hold a token.
        raise WireError(code=Code.SYNTAX, reason="expected AUTH TOKEN token or AUTH EXTERNAL")
    return Auth(mechanism=Mechanism(word), credential=credential)


def _read_ack(rest: str) -> Ack:
    return Ack(position=parse_position(rest))


def _read_send(rest: str) -> Send:
    body = _json(rest, _SendBody)
    return Send(size=body.size, to=body.to, sender=body.sender, account=body.account, key=body.key)


def _read_part(rest: str) -> Part:
    return Part(text=rest)


def _read_starttls(_rest: str) -> StartTls:
    return StartTls()


def _read_ok(rest: str) -> Welcome | Secured | Admitted | Subscribed | Queued:
    body: Welcome | Secured | Admitted | _SubscribedBody | Queued = msgspec.json.decode(
        rest, type=Welcome | Secured | Admitted | _SubscribedBody | Queued
    )
    if isinstance(body, _SubscribedBody):
        position = parse_position(body.position)
        return Subscribed(
            position=position,
            is_new=body.new,
            unknown=body.unknown,
            unknown_kinds=body.unknown_kinds,
        )
    return body


def _read_gap(rest: str) -> Gap:
    body = _json(rest, _GapBody)
    since, to = parse_position(body.since), parse_position(body.to)
    return Gap(since=since, to=to, reason=clean(body.reason, _WORD_BYTES))


def _read_event(rest: str) -> Announce | Unreadable:
    place, _, body = rest.partition(" ")
    position = parse_position(place)
    head = _json(body, _EventHead)
    if head.kind not in KINDS:
        return Unreadable(position=position, kind=clean(head.kind, _WORD_BYTES))
    event: Event = msgspec.json.decode(body, type=Event)
    entry = Entry(seq=position.seq, at=head.at.astimezone(UTC), event=event)
    return Announce(epoch=position.epoch, entry=entry, is_shortened=head.shortened)


def _read_refused(rest: str) -> Refused:
    code, _, reason = rest.partition(" ")
    return Refused(code=clean(code, _WORD_BYTES), reason=clean(reason, _WORD_BYTES))


def _read_ping(rest: str) -> Ping:
    return Ping(token=clean(rest, _WORD_BYTES))


def _read_pong(rest: str) -> Pong:
    return Pong(token=clean(rest, _WORD_BYTES))


def _read_quit(_rest: str) -> Quit:
    return Quit()


def _read_live(rest: str) -> Live:
    return Live(position=parse_position(rest))


def _read_bye(rest: str) -> Bye:
    return Bye(reason=clean(_json(rest, _ByeBody).reason, _WORD_BYTES))


def _read_plain(rest: str) -> Plain:
    if not rest.startswith(_PLAIN_REST):
        raise ValueError("another line that begins with New")
    return Plain(subject=rest.removeprefix(_PLAIN_REST))


_PLAIN_VERB: Final = "New"
_PLAIN_REST: Final = "Email Received: "

FROM_CLIENT: Final[Mapping[str, Callable[[str], ClientFrame]]] = {
    "HELLO": _read_hello,
    "STARTTLS": _read_starttls,
    "AUTH": _read_auth,
    "SUBSCRIBE": _read_subscribe,
    "ACK": _read_ack,
    "SEND": _read_send,
    "PART": _read_part,
    "PING": _read_ping,
    "PONG": _read_pong,
    "QUIT": _read_quit,
}
"""Every verb of a client."""

FROM_SERVER: Final[Mapping[str, Callable[[str], ServerFrame]]] = {
    "OK": _read_ok,
    "GAP": _read_gap,
    "EVENT": _read_event,
    "LIVE": _read_live,
    "PING": _read_ping,
    "PONG": _read_pong,
    "ERR": _read_refused,
    "BYE": _read_bye,
    _PLAIN_VERB: _read_plain,
}
"""Every verb of a server, and the first word of the plain line."""

_Frame = TypeVar("_Frame")


def decode(line: bytes, vocabulary: Mapping[str, Callable[[str], _Frame]]) -> _Frame:
    """Read one line, without its end.

    Raises:
        WireError: with the `Code` that says why; nothing else, whatever the bytes.
    """
    try:
        verb, _, rest = line.decode("utf-8").partition(" ")
    except UnicodeDecodeError:
        raise WireError(code=Code.SYNTAX, reason="the line is not UTF-8") from None
    read = vocabulary.get(verb)
    if read is None:
        raise WireError(code=Code.UNKNOWN, reason="there is no such verb here")
    try:
        return read(rest)
    except (ValueError, OverflowError, RecursionError) as wrong:
        # OverflowError: a time near year 1 or 9999 in UTC. RecursionError: JSON 1,000 deep.
        reason = clean(f"{verb}: {wrong}", _WORD_BYTES)
        raise WireError(code=Code.SYNTAX, reason=reason) from None


# --- writing ------------------------------------------------------------------------------

_encode_json: Final = msgspec.json.Encoder().encode


def _write_subscribe(frame: Subscribe) -> bytes:
    since = frame.since.isoformat() if isinstance(frame.since, datetime) else str(frame.since)
    body = _SubscribeBody(
        since=since,
        accounts=frame.accounts,
        mailboxes=frame.mailboxes,
        kinds=frame.kinds,
        min_priority=frame.min_priority,
        poll=frame.poll,
        reader=frame.reader,
    )
    return b"SUBSCRIBE " + _encode_json(body)


def _write_send(frame: Send) -> bytes:
    body = _SendBody(
        size=frame.size, to=frame.to, sender=frame.sender, account=frame.account, key=frame.key
    )
    return b"SEND " + _encode_json(body)


def _write_subscribed(frame: Subscribed) -> bytes:
    body = _SubscribedBody(str(frame.position), frame.is_new, frame.unknown, frame.unknown_kinds)
    return b"OK " + _encode_json(body)


def _write_gap(frame: Gap) -> bytes:
    return b"GAP " + _encode_json(_GapBody(str(frame.since), str(frame.to), frame.reason))


def _write_event(frame: Announce) -> bytes:
    head: dict[str, Any] = {"at": frame.entry.at}
    if frame.is_shortened:
        head["shortened"] = True
    opened, event = _encode_json(head)[:-1], _encode_json(frame.entry.event)[1:]
    return b"EVENT %b %b,%b" % (str(frame.position).encode(), opened, event)


_WRITERS: Final[Mapping[type, Callable[[Any], bytes]]] = {
    Hello: lambda frame: b"HELLO %d " % frame.version + _encode_json(_HelloBody(frame.client)),
    StartTls: lambda _: b"STARTTLS",
    Auth: lambda frame: f"AUTH {frame.mechanism} {frame.credential}".rstrip().encode(),
    Subscribe: _write_subscribe,
    Ack: lambda frame: f"ACK {frame.position}".encode(),
    Send: _write_send,
    Part: lambda frame: f"PART {frame.text}".encode(),
    Ping: lambda frame: f"PING {frame.token}".rstrip().encode(),
    Pong: lambda frame: f"PONG {frame.token}".rstrip().encode(),
    Quit: lambda _: b"QUIT",
    Welcome: lambda frame: b"OK " + _encode_json(frame),
    Secured: lambda frame: b"OK " + _encode_json(frame),
    Admitted: lambda frame: b"OK " + _encode_json(frame),
    Subscribed: _write_subscribed,
    Queued: lambda frame: b"OK " + _encode_json(frame),
    Gap: _write_gap,
    Announce: _write_event,
    Live: lambda frame: f"LIVE {frame.position}".encode(),
    Refused: lambda frame: f"ERR {frame.code} {frame.reason}".encode(),
    Bye: lambda frame: b"BYE " + _encode_json(_ByeBody(frame.reason)),
    Plain: lambda frame: f"{_PLAIN_VERB} {_PLAIN_REST}{frame.subject}".encode(),
}


def encode(frame: ClientFrame | ServerFrame) -> bytes:
    """Write a frame as one line with its end.

    The caller has cleaned the texts that do not stand in JSON, and has shortened
    an `Announce` (`mailnotify.core.copies`): the length is not looked at here.
    """
    return _WRITERS[type(frame)](frame) + b"\r\n"
