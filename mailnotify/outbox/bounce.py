"""Recognises a bounce: the report that a letter of ours was not delivered after all.

RFC 3464: a ``multipart/report`` whose second part, ``message/delivery-status``,
has one group of fields for each recipient, and whose third is the letter that
came back, or its header. From the status comes who did not get it and why; from
the returned header, the Message-ID that ties it to a letter of the outbox.

Everything in it was written by strangers, and anybody can send us a bounce: it
is believed only as far as it names a letter that we sent and a recipient whom it
was sent to, which the outbox checks. Only a failure counts (``Action: failed``);
a delay is no news, since the server that delays goes on by itself. A report that
is no RFC 3464 at all (qmail and others) is an ordinary letter here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from mailnotify.core.text import clean
from mailnotify.outbox.verdict import MOST_SAID_BYTES, Fate, Result

MOST_BYTES: Final = 262_144
"""Of a report that is looked at; the three parts of a real one take some KB."""

MOST_RECIPIENTS: Final = 1000

_MOST_BLOCKS: Final = 4000
_STATUS_TYPES: Final = ("message/delivery-status", "message/global-delivery-status")
_BOUNDARY: Final = re.compile(r';\s*boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s";]{1,70}))', re.I)
_MESSAGE_ID: Final = re.compile(r"<[^\s<>]{1,400}>")
_SMTP_CODE: Final = re.compile(r"\b([245]\d\d)[ -]")
_STATUS: Final = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")


class Bounce(Struct, frozen=True, kw_only=True):
    """A report that a letter was not delivered.

    Attributes:
        message_id: of the letter that came back, with its brackets; may be empty.
        envelope_id: the ENVID that we gave it (RFC 3461 §4.4); may be empty.
        results: the recipients who will not get it.
    """

    message_id: str
    envelope_id: str
    results: tuple[Result, ...]


def may_be_bounce(content_type: str) -> bool:
    """Whether a Content-Type field is worth fetching the body for."""
    kind, _, parameters = content_type.lower().partition(";")
    return kind.strip() == "multipart/report" and "delivery-status" in parameters


def recognise(raw: bytes) -> Bounce | None:
    """Read a message, header and body; None if it reports no failed delivery.

    Never raises, whatever the bytes are, and looks at each of them a few times at most.
    """
    text = raw[:MOST_BYTES].decode("utf-8", "replace").replace("\r\n", "\n")
    header, _, body = text.partition("\n\n")
    content_type = dict(_fields(header)).get("content-type", "")
    boundary = _BOUNDARY.search(content_type)
    if not may_be_bounce(content_type) or boundary is None:
        return None
    parts = list(_parts(body, boundary[1] or boundary[2]))
    statuses = [content for kind, content in parts if kind in _STATUS_TYPES]
    if not statuses:
        return None
    groups = [dict(_fields(group)) for group in statuses[0].split("\n\n", _MOST_BLOCKS)]
    results = tuple(result for group in groups if (result := _result(group)))
    if not results:
        return None
    return Bounce(
        message_id=_returned_id(parts),
        envelope_id=next((each for g in groups if (each := g.get("original-envelope-id"))), ""),
        results=results[:MOST_RECIPIENTS],
    )


def _parts(body: str, boundary: str) -> Iterator[tuple[str, str]]:
    """The parts of a multipart body (RFC 2046 §5.1): type, and content."""
    for piece in f"\n{body}".split(f"\n--{boundary}")[1:_MOST_BLOCKS]:
        if piece.startswith("--"):
            return
        _, _, rest = piece.partition("\n")
        header, _, content = rest.partition("\n\n")
        kind = dict(_fields(header)).get("content-type", "text/plain")
        yield kind.partition(";")[0].strip().lower(), content


def _fields(header: str) -> Iterator[tuple[str, str]]:
    """The fields of a header, unfolded, last one first, so that the first wins in a dict."""
    unfolded = re.sub(r"\n[ \t]+", " ", header)
    for line in reversed(unfolded.split("\n")):
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


def _result(group: dict[str, str]) -> Result | None:
    """One recipient of a delivery status (RFC 3464 §2.3), if it failed."""
    if group.get("action", "").partition(" ")[0].lower() != "failed":
        return None
    named = group.get("original-recipient") or group.get("final-recipient", "")
    address = named.partition(";")[2].strip().strip("<>")
    if "@" not in address:
        return None
    status, said = group.get("status", ""), group.get("diagnostic-code", "")
    said = said.partition(";")[2].strip() or said
    words = said if status in said else f"{status} {said}".strip()
    return Result(
        recipient=clean(address, 320),
        fate=Fate.REFUSED,
        code=_code(said, status),
        said=clean(words, MOST_SAID_BYTES),
    )


def _code(said: str, status: str) -> int:
    """The reply code that a server gave, or the one that its status amounts to."""
    if match := _SMTP_CODE.match(said):
        return int(match[1])
    match = _STATUS.match(status)
    return int(match[1]) * 100 + 50 if match else 0


def _returned_id(parts: list[tuple[str, str]]) -> str:
    """The Message-ID of the letter that came back, whole or as its header."""
    for kind, content in parts:
        if kind in ("message/rfc822", "text/rfc822-headers", "message/global"):
            header = content.lstrip("\n").partition("\n\n")[0]
            found = _MESSAGE_ID.search(dict(_fields(header)).get("message-id", ""))
            return found[0] if found else ""
    return ""
