"""One entry as the bytes that go to every subscriber: encoded once, sent to all.

An entry has two forms on the wire, the plain line and the ``EVENT`` line. Both
keep within their length whatever the entry holds: the plain line by cutting the
subject, the ``EVENT`` line by `shorten`, in the same way each time, so that a
replay of a year later shows the very same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from mailnotify.core.events import Entry, Event, NewMail, SentFailed
from mailnotify.core.frames import SENT_LINE_BYTES, Announce, Plain
from mailnotify.core.lines import encode
from mailnotify.core.text import clean

PLAIN_LINE_BYTES: Final = 1024
"""The longest plain line, with its end: a terminal shows it, an old client reads it at once."""

_SUBJECT_BYTES: Final = PLAIN_LINE_BYTES - len(encode(Plain(subject="")))

_FEW: Final = 20
"""So many recipients tell what a letter to 600 is."""

_CLIPPED_BYTES: Final = 1000
"""A text cut to this fits, with all others of an event, in a line even if JSON escapes it all."""


class Copy:
    """An entry and its two forms, each encoded when it is first asked for."""

    __slots__ = ("_epoch", "_line", "_plain", "entry")

    def __init__(self, entry: Entry, epoch: str) -> None:
        self.entry = entry
        self._epoch = epoch
        self._plain: bytes | None = None
        self._line: bytes | None = None

    @property
    def plain(self) -> bytes:
        """The line for a plain subscriber; empty if the event is not for it."""
        if self._plain is None:
            self._plain = _plain_line(self.entry.event)
        return self._plain

    @property
    def line(self) -> bytes:
        """The ``EVENT`` line."""
        if self._line is None:
            self._line = _event_line(self.entry, self._epoch)
        return self._line


def _plain_line(event: Event) -> bytes:
    if not isinstance(event, NewMail):
        return b""
    return encode(Plain(subject=clean(event.subject, _SUBJECT_BYTES)))


def _event_line(entry: Entry, epoch: str) -> bytes:
    line = encode(Announce(epoch=epoch, entry=entry))
    if len(line) <= SENT_LINE_BYTES:
        return line
    for shorten in _SHORTENINGS:
        entry = replace(entry, event=shorten(entry.event))
        line = encode(Announce(epoch=epoch, entry=entry, is_shortened=True))
        if len(line) <= SENT_LINE_BYTES:
            break
    return line


def _fewer_recipients(event: Event) -> Event:
    if isinstance(event, SentFailed):
        return replace(event, recipients=event.recipients[:_FEW])
    if not isinstance(event, NewMail):
        return event
    return replace(event, to=event.to[:_FEW], sender=event.sender[:_FEW], flags=event.flags[:_FEW])


def _one_sender(event: Event) -> Event:
    if isinstance(event, SentFailed):
        return replace(event, recipients=event.recipients[:1])
    if not isinstance(event, NewMail):
        return event
    return replace(event, to=(), sender=event.sender[:1], flags=())


_Record = TypeVar("_Record", bound=Struct)


def _clip(record: _Record) -> _Record:
    """Cut every text of a record, and of the records in it, to a bound."""
    return replace(record, **{name: _clip_value(value) for name, value in asdict(record).items()})


def _clip_value(value: object) -> object:
    if isinstance(value, str):
        return value.encode()[:_CLIPPED_BYTES].decode("utf-8", "ignore")
    if isinstance(value, tuple):
        return tuple(_clip(each) if isinstance(each, Struct) else each for each in value)
    return value


_SHORTENINGS: Final[tuple[Callable[[Event], Event], ...]] = (
    _fewer_recipients,
    _one_sender,
    _clip,
)
"""Applied one after the other until the line is short enough; the last always suffices."""
