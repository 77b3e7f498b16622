"""A letter as a person means it, as the bytes that a server carries.

Everything a caller gives is looked at here, before anything is written: a
control character in any field is refused (it could forge a header line), an
address list is taken apart (`addresses`), a header value is encoded (`fields`).
Bodies and attachments are the standard library's `email`. The result is 7 bit
with CR LF, so it passes through every server unchanged (but for international
addresses, which stand in the header as they are: RFC 6532), and the same letter
always gives the same bytes: a letter that has to be sent again is the same one.

Blind recipients are in the envelope and nowhere else.

RFC 5322, RFC 2045 to 2047, RFC 2183 and RFC 2231 (attachments).
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import cast

from msgspec import Struct

from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid
from mailnotify.smtp import fields
from mailnotify.smtp.addresses import parse_address, parse_addresses, refuse_controls

#: Bytes of UTF-8: what file systems allow, and three times that fits into a line.
LONGEST_FILE_NAME = 255

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}@[A-Za-z0-9.-]{1,200}>")


class Attachment(Struct, frozen=True, kw_only=True):
    """A file that goes with a letter.

    Attributes:
        name: as the recipient sees it, without folders.
        type: ``main/sub``, as in ``application/pdf``.
    """

    name: str
    type: str
    content: bytes


class Letter(Struct, frozen=True, kw_only=True):
    """What one person writes to others.

    Attributes:
        sender: ``address`` or ``Name <address>``.
        to, cc, bcc: each text is one such mailbox or several, separated by commas.
        subject: one line.
        text: the body; any line ends.
        message_id: with its brackets; unique, and the same when sent again.
        date: aware.
        html: the same as `text` for readers that show HTML; None if there is none.
        in_reply_to: the Message-ID of the letter that this one answers; may be empty.
        references: the Message-IDs of the thread so far, oldest first.
    """

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    message_id: str
    date: datetime
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()


class Envelope(Struct, frozen=True, kw_only=True):
    """Who gets a message, and where its bounces go (RFC 5321 §2.3.1).

    Attributes:
        sender: the address of MAIL FROM; empty for a message that is a bounce.
        recipients: the addresses of RCPT TO, no address twice.
    """

    sender: str
    recipients: tuple[str, ...]


def address(letter: Letter) -> Envelope:
    """Write the envelope of a letter.

    Raises:
        LetterInvalid: an address cannot be used, or there is no recipient.
    """
    everyone = (
        *_parsed("to", letter.to),
        *_parsed("cc", letter.cc),
        *_parsed("bcc", letter.bcc),
    )
    if not everyone:
        raise LetterInvalid(field="to", found="empty", expected="at least one recipient")
    return Envelope(
        sender=parse_address("sender", letter.sender).address,
        recipients=tuple(dict.fromkeys(each.address for each in everyone)),
    )


def compose(letter: Letter) -> bytes:
    """Write a letter as an Internet message.

    Raises:
        LetterInvalid: a field cannot be sent as it is.
    """
    message = EmailMessage(policy=fields.VERBATIM)
    _write_header(message, letter)
    _set_text(message, "text", letter.text)
    if letter.html is not None:
        _add_html(message, letter.html)
    for attachment in letter.attachments:
        _attach(message, attachment)
    _name_boundaries(message, letter.message_id)
    return message.as_bytes()


def _parsed(field: str, texts: tuple[str, ...]) -> tuple[Address, ...]:
    return tuple(each for text in texts for each in parse_addresses(field, text))


def _write_header(message: EmailMessage, letter: Letter) -> None:
    refuse_controls("subject", letter.subject)
    _check_message_id("message_id", letter.message_id)
    if letter.date.tzinfo is None:
        raise LetterInvalid(field="date", found="without a time zone", expected="an aware time")
    sender = parse_address("sender", letter.sender)
    message["From"] = fields.addresses("From", [sender])
    for name, texts in (("To", letter.to), ("Cc", letter.cc)):
        if mailboxes := _parsed(name.lower(), texts):
            message[name] = fields.addresses(name, mailboxes)
    if letter.subject:
        message["Subject"] = fields.unstructured("Subject", letter.subject)
    message["Date"] = format_datetime(letter.date)
    message["Message-ID"] = letter.message_id
    _write_thread(message, letter)
    message["MIME-Version"] = "1.0"


def _write_thread(message: EmailMessage, letter: Letter) -> None:
    """RFC 5322 §3.6.4: one Message-ID a line, which no folding has to cut."""
    if letter.in_reply_to:
        _check_message_id("in_reply_to", letter.in_reply_to)
        message["In-Reply-To"] = letter.in_reply_to
    for each in letter.references:
        _check_message_id("references", each)
    if letter.references:
        message["References"] = "\r\n ".join(letter.references)


def _check_message_id(field: str, message_id: str) -> None:
    if not _MESSAGE_ID.fullmatch(message_id):
        refuse_controls(field, message_id)
        raise LetterInvalid(field=field, found=repr(message_id), expected="<left@right>")


def _set_text(message: EmailMessage, field: str, text: str) -> None:
    message.set_content(_sendable(field, text), charset=_charset(text), cte=_encoding(text))


def _add_html(message: EmailMessage, html: str) -> None:
    message.add_alternative(
        _sendable("html", html), subtype="html", charset=_charset(html), cte=_encoding(html)
    )


def _charset(text: str) -> str:
    return "us-ascii" if text.isascii() else "utf-8"


def _encoding(text: str) -> str | None:
    """Quoted-printable where there are controls; None lets the library choose.

    It would pass NUL and its like as "7 bit", which servers need not carry
    (RFC 5321 §4.1.1.4).
    """
    return "quoted-printable" if _CONTROLS.search(text) else None


def _sendable(field: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise LetterInvalid(
            field=field, found="a text with bytes that are no UTF-8", expected="UTF-8"
        ) from None
    return text


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    name, kind = attachment.name, attachment.type
    refuse_controls("attachment name", name)
    if not name or "/" in name or len(name.encode("utf-8")) > LONGEST_FILE_NAME:
        raise LetterInvalid(
            field="attachment name",
            found=repr(name[:80]),
            expected=f"a file name of at most {LONGEST_FILE_NAME} bytes without a folder",
        )
    main_type, _, sub_type = kind.partition("/")
    # RFC 2046 §5.2.1: a part of these types must not be encoded, so it cannot be exact.
    if not _TYPE.fullmatch(kind) or main_type.lower() in ("multipart", "message"):
        raise LetterInvalid(
            field="attachment type",
            found=repr(kind[:80]),
            expected="a type such as application/pdf, not multipart or message",
        )
    message.add_attachment(attachment.content, maintype=main_type, subtype=sub_type)
    part = cast("list[EmailMessage]", message.get_payload())[-1]
    del part["Content-Disposition"]
    # RFC 2231 where a plain name would not do, and where a reader might decode it.
    is_plain = name.isascii() and "=?" not in name
    part.add_header(
        "Content-Disposition", "attachment", filename=name if is_plain else ("utf-8", "", name)
    )


def _name_boundaries(message: EmailMessage, message_id: str) -> None:
    """Boundaries from the Message-ID, which nobody could put into a text before."""
    for depth, part in enumerate(message.walk()):
        if part.is_multipart():
            digest = hashlib.sha256(f"{depth} {message_id}".encode()).hexdigest()
            part.set_boundary(f"=_{digest[:32]}")
