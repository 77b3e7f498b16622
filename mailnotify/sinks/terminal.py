"""Prints each entry as one line, for a person or for a program.

For a person: time, place, sender and subject, in colours only on a terminal. Everything
in it was cleaned again, whatever the server did: no byte of a mail acts on a terminal.
For a program: one JSON object per line, the position from which to resume and the entry
as the journal has it, in ASCII: what is dangerous to print stands there as ``\\uXXXX``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final

import msgspec
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.core.condition import CONNECTED, ENDED
from mailnotify.core.events import (
    AccountState,
    Entry,
    Event,
    MailFiled,
    MailGone,
    MailSeen,
    NewMail,
    Position,
    SentFailed,
)
from mailnotify.core.text import clean
from mailnotify.interfaces import ISink
from mailnotify.sinks.outlet import Outlet, OutletClosed

LINE_BYTES: Final = 1024
"""UTF-8; some ten lines of a terminal for the longest subject."""

_PART_BYTES: Final = 200
"""UTF-8, for the name of a place or of a sender."""

_FATES: Final = {MailFiled: "filed", MailSeen: "read", MailGone: "removed"}

_NOT_ASCII: Final = re.compile(r"[^ -~]")
"""DEL too; msgspec has escaped the controls below the space."""

_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_RED: Final = "\x1b[31m"
_GREEN: Final = "\x1b[32m"
_PLAIN: Final = "\x1b[0m"

Style = Callable[[str, str], str]
"""Takes an escape sequence and a text; gives the text, with colours or without."""


def with_colours(escape: str, text: str) -> str:
    """For a terminal."""
    return f"{escape}{text}{_PLAIN}"


def without_colours(escape: str, text: str) -> str:
    """For a pipe, a file or a log."""
    return text


def text_line(
    entry: Entry,
    _: Position | None = None,
    *,
    zone: tzinfo | None = None,
    style: Style = without_colours,
) -> str:
    """Say an entry in one line, without its line end.

    Args:
        zone: where the reader of the clock is; None for the system's zone.
    """
    at = _local(_happened_at(entry), zone)
    where = filter(None, (entry.event.account, entry.event.mailbox))  # a letter may be in none
    place = clean("/".join(where), _PART_BYTES)
    what = _what(entry.event, style)
    return f"{style(_DIM, f'{at:%Y-%m-%d %H:%M:%S}')}  {place}  {what}"


def json_line(entry: Entry, position: Position) -> str:
    """Say an entry as one JSON object, its position first, without its line end."""
    text = f'{{"position":"{position}",{msgspec.json.encode(entry).decode()[1:]}'
    return _NOT_ASCII.sub(_as_escape, text)


@implementer(ISink)
class TerminalSink:
    """Prints each entry.

    Args:
        line: makes the line of an entry: `text_line` or `json_line`.
        when_closed: called once, with the reason, when nothing can be written any more.
    """

    def __init__(
        self,
        *,
        outlet: Outlet,
        line: Callable[[Entry, Position], str],
        when_closed: Callable[[OutletClosed], object],
    ) -> None:
        self._outlet = outlet
        self._line = line
        self._when_closed = when_closed
        self._is_closed = False

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`; waits while a reader holds us up, since it asked for all."""
        if self._is_closed:
            return
        try:
            await self._outlet.write(f"{self._line(entry, position)}\n".encode())
        except OutletClosed as closed:
            self._is_closed = True
            self._when_closed(closed)

    async def close(self) -> None:
        """See `ISink.close`."""
        self._is_closed = True


@implementer(ISink)
class LogSink:
    """Writes each entry to the log of the process: what a client without a terminal has."""

    _log = Logger()

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        self._log.info("{line}", line=text_line(entry))

    async def close(self) -> None:
        """See `ISink.close`."""


def _what(event: Event, style: Style) -> str:
    if isinstance(event, AccountState):
        sentences = filter(None, (event.cause.rstrip("."), event.remedy))
        detail = clean(". ".join(sentences), LINE_BYTES)
        colour = _GREEN if event.state in (CONNECTED, ENDED) else _RED
        return f"{style(colour, clean(event.state, _PART_BYTES))}  {detail}".rstrip()
    if isinstance(event, MailFiled | MailSeen | MailGone):
        word = _FATES[type(event)]
        return style(_DIM, f"{word}: message {event.uid}")
    subject = clean(event.subject, LINE_BYTES) or "(no subject)"
    if isinstance(event, SentFailed):
        who = clean(", ".join(each.address for each in event.recipients), _PART_BYTES)
        why = clean(next((each.reason for each in event.recipients), event.reason), LINE_BYTES)
        return f"{style(_RED, f'not sent to {who}')}: {style(_BOLD, subject)}: {why}"
    return f"{_sender(event)}: {style(_BOLD, subject)}"


def _sender(event: NewMail) -> str:
    for author in event.sender:
        name, address = clean(author.name, _PART_BYTES), clean(author.address, _PART_BYTES)
        if name or address:
            return f"{name} <{address}>" if name and address else name or address
    return "(no sender)"


def _happened_at(entry: Entry) -> datetime:
    """When it happened, as far as a server said so; when it was journalled otherwise."""
    if isinstance(entry.event, AccountState):
        return entry.event.since
    if isinstance(entry.event, SentFailed | MailFiled | MailSeen | MailGone):
        return entry.at
    return entry.event.received or entry.at


def _local(moment: datetime, zone: tzinfo | None) -> datetime:
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError, OSError):  # year 1 or 9999, from a hostile header
        return moment


def _as_escape(match: re.Match[str]) -> str:
    """One character as JSON spells it in ASCII (RFC 8259 §7)."""
    units = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
