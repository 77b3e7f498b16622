"""A message that a program on this machine wrote, made fit to be submitted.

``sendmail`` takes whatever cron, git and their like put together: a header that
is complete or not, recipients as arguments or in the header, line ends of any
kind. Here it gets what a submission server demands and what the program left
out (RFC 6409 §8), and nothing else of it is touched:

* Bcc goes, wherever it stands;
* From, Date and Message-ID are added where they are missing;
* a From without a domain (cron writes ``root (Cron Daemon)``) becomes the
  sender of the account, under that name;
* a recipient without a domain is a user of this machine, who reads mail at the
  account's own address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from email.utils import format_datetime

from msgspec import Struct

from mailnotify.core.addresses import parse_addresses as parse_leniently
from mailnotify.core.message import Address
from mailnotify.core.text import clean
from mailnotify.errors import LetterInvalid
from mailnotify.smtp import fields
from mailnotify.smtp.addresses import LONGEST_NAME, parse_address
from mailnotify.smtp.compose import Envelope

MOST_RECIPIENTS = 1000
"""Servers take 100 at least (RFC 5321 §4.5.3.1.8), large providers 500."""

_MOST_SUBJECT_BYTES = 500
_FIELD = re.compile(rb"(?P<name>[!-9;-~]+)[ \t]*:(?P<value>(?:[^\n]|\n[ \t])*+)")
_MESSAGE_ID = re.compile(r"<[^\s<>]{1,400}>")
_RECIPIENTS = frozenset({b"to", b"cc", b"bcc"})
_GONE = frozenset({b"bcc", b"resent-bcc"})


class Defaults(Struct, frozen=True, kw_only=True):
    """What is filled in where a program has left it out.

    Attributes:
        sender: of the account: for From, and for users of this machine.
        message_id: with its brackets.
    """

    sender: Address
    message_id: str
    date: datetime


class Relayed(Struct, frozen=True, kw_only=True):
    """A message that can be submitted."""

    envelope: Envelope
    message: bytes
    message_id: str
    subject: str


def adopt(
    raw: bytes,
    recipients: Iterable[str],
    defaults: Defaults,
    *,
    reads_header: bool,
    name: str = "",
) -> Relayed:
    """Make a message fit to be submitted.

    Args:
        recipients: as given on the command line.
        reads_header: whether To, Cc and Bcc name recipients too.
        name: of the sender, where the message has no From.

    Raises:
        LetterInvalid: there is no recipient, or one that is no address.
    """
    header, body = _split(raw)
    everyone = [*recipients, *(_named(header) if reads_header else ())]
    kept = [(key, line) for key, line in header if key not in _GONE]
    kept = _with_sender(kept, defaults.sender, name)
    values = {key: _text(line) for key, line in kept}
    message_id = values.get(b"message-id", "")
    if not _MESSAGE_ID.fullmatch(message_id):
        kept = [each for each in kept if each[0] != b"message-id"]
        message_id = defaults.message_id
        kept.append((b"message-id", f"Message-ID: {message_id}".encode("ascii")))
    if b"date" not in values:
        kept.append((b"date", f"Date: {format_datetime(defaults.date)}".encode("ascii")))
    return Relayed(
        envelope=_envelope(everyone, defaults.sender.address),
        message=b"".join(line + b"\r\n" for _, line in kept) + b"\r\n" + body,
        message_id=message_id,
        subject=clean(values.get(b"subject", ""), _MOST_SUBJECT_BYTES),
    )


def _split(raw: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The fields of the header, each with its name in lower case, and the body.

    A line that is no field ends the header, as if an empty line stood before it: a
    program that writes no header at all sends a body.
    """
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if raw.startswith(b"From "):  # the envelope line of an mbox
        raw = raw.partition(b"\n")[2]
    found: list[tuple[bytes, bytes]] = []
    position = 0
    while field := _FIELD.match(raw, position):
        found.append((field["name"].lower(), field[0]))
        position = field.end() + 1  # the field ends at a line end, or with everything
    return found, raw[position:].removeprefix(b"\n")


def _named(header: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    for key, line in header:
        if key in _RECIPIENTS:
            for _, address in parse_leniently(_text(line), MOST_RECIPIENTS + 1):
                yield address


def _text(line: bytes) -> str:
    """The value of a field, unfolded."""
    value = line.partition(b":")[2]
    return value.replace(b"\n", b"").decode("utf-8", "replace").strip()


def _with_sender(
    header: list[tuple[bytes, bytes]], sender: Address, name: str
) -> list[tuple[bytes, bytes]]:
    """A header whose From has one address with a domain at least."""
    for key, line in header:
        if key == b"from":
            authors = parse_leniently(_text(line), MOST_RECIPIENTS)
            if any("@" in address for _, address in authors):
                return header
            name = name or next((each for each, _ in authors if each), "")
    name = clean(name or sender.name, LONGEST_NAME)
    value = fields.addresses("From", [Address(address=sender.address, name=name)])
    return [(b"from", f"From: {value}".encode()), *(each for each in header if each[0] != b"from")]


def _envelope(recipients: Iterable[str], own: str) -> Envelope:
    addresses = [own if "@" not in each else _checked(each) for each in recipients if each.strip()]
    unique = tuple(dict.fromkeys(addresses))
    if not 0 < len(unique) <= MOST_RECIPIENTS:
        raise LetterInvalid(
            field="to", found=f"{len(unique)} recipients", expected=f"1 to {MOST_RECIPIENTS}"
        )
    return Envelope(sender=own, recipients=unique)


def _checked(text: str) -> str:
    return parse_address("to", text).address
