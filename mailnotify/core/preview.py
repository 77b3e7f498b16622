"""The first words of a message, from the first bytes of its body.

A preview is made of what was fetched anyway: the header's Content-Type and a
bounded piece of the body, cut anywhere. The first text part in it is decoded
as far as it goes. HTML becomes text by a parser that was made for hostile
pages; where that is not installed, mail without a plain part has no preview.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from email import policy
from email.message import Message
from email.parser import BytesParser
from typing import Final

from mailnotify.core.charsets import decode
from mailnotify.core.headers import fields
from mailnotify.core.text import clean

MOST_BODY_BYTES: Final = 16_384
"""Of a body, looked at for its first words; enough for a preamble and a style sheet."""

_MOST_FIELD_BYTES: Final = 4_096
"""Of Content-Type: the standard library takes 8 s for one of a megabyte."""

_MIME_FIELDS: Final = {b"content-type", b"content-transfer-encoding"}

_PARSER: Final = BytesParser(policy=policy.compat32)
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]+")
_QUOTED: Final = re.compile(r"^(>.*|On .{1,200} wrote:|-- )$", re.MULTILINE)

HtmlToText = Callable[[str], str]
"""Gives the visible text of a page; may raise anything."""


def preview(
    header: bytes, body: bytes, most_bytes: int, html_to_text: HtmlToText | None = None
) -> str:
    """One clean line of at most `most_bytes` of UTF-8; empty if there is no text. Never raises.

    Args:
        header: raw fields, of which Content-Type and Content-Transfer-Encoding count.
        body: the first bytes of the body.
    """
    if most_bytes <= 0:
        return ""
    try:
        message = _PARSER.parsebytes(_mime_header(header) + b"\r\n" + body[:MOST_BODY_BYTES])
        text = _text_of(message, html_to_text)
    except Exception:  # the standard library raises a dozen kinds on hostile MIME
        return ""
    return clean(_QUOTED.sub("", text), most_bytes)


def _mime_header(header: bytes) -> bytes:
    """The fields that say what the body is."""
    return b"".join(
        b"%b: %b\r\n" % (name, value[:_MOST_FIELD_BYTES])
        for name, value in fields(header)
        if name in _MIME_FIELDS
    )


def _text_of(message: Message, html_to_text: HtmlToText | None) -> str:
    pages: list[str] = []
    for part in message.walk():
        if part.get_content_maintype() != "text" or part.get_filename():
            continue
        text = _decoded(part)
        if part.get_content_subtype() != "html":
            if text.strip():
                return text
        else:
            pages.append(text)
    return html_to_text(pages[0]) if pages and html_to_text else ""


def _decoded(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
        # By hand: the standard library gives up on what was cut in the middle.
        letters = _NOT_BASE64.sub("", str(part.get_payload()))
        if len(letters) % 4 == 1:  # not even one byte
            letters = letters[:-1]
        payload: object = a2b_base64(letters + "=" * (-len(letters) % 4))
    else:
        payload = part.get_payload(decode=True)
    return _read(payload, charset) if isinstance(payload, bytes) else ""


def _read(raw: bytes, charset: str) -> str:
    """Bytes of a labelled text whose last character may be cut."""
    if not raw.isascii():  # ISO-2022 and UTF-7 are
        with suppress(UnicodeDecodeError):
            return getincrementaldecoder("utf-8")().decode(raw)
    return decode(raw, charset)
