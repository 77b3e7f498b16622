"""A letter packed for one server: its commands, and its content as bytes.

What the server offers decides what may be said: a letter that it cannot carry
as it is, since it is too big, 8-bit or international, is refused here, before
anything is sent. What is merely a wish (reports on the delivery) is left out
where it is not offered, and the parcel says so.

RFC 5321 §4.1.2 (MAIL, RCPT), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531
(SMTPUTF8), RFC 3461 (NOTIFY, RET, ENVID, ORCPT), RFC 6533 (ORCPT beyond ASCII),
RFC 8689 (REQUIRETLS).
"""

from __future__ import annotations

import enum

from msgspec import Struct

from mailnotify.errors import LetterInvalid
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.offer import Offer
from mailnotify.smtp.wire import with_crlf

#: RFC 3461 §4.4, in characters as they go out.
LONGEST_ENVELOPE_ID = 100


class Notify(enum.Enum):
    """When the sender wants a report (RFC 3461 §4.1)."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class Returned(enum.Enum):
    """What a report brings back of the letter (RFC 3461 §4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


class Wishes(Struct, frozen=True, kw_only=True):
    """What a sender wants besides delivery.

    Attributes:
        notify: the reports to order; none at all if empty, the server's usual if None.
        returned: what reports bring back; the server's usual if None.
        envelope_id: comes back in each report, so that it can be tied to the letter.
        requires_tls: never to be sent on without verified TLS; a server that cannot
            promise that does not get the letter.
        all_or_nothing: if one recipient is refused, the others do not get it either.
    """

    notify: tuple[Notify, ...] | None = None
    returned: Returned | None = None
    envelope_id: str = ""
    requires_tls: bool = False
    all_or_nothing: bool = False


class Parcel(Struct, frozen=True, kw_only=True):
    """What is said for one letter, each command without its line end.

    Attributes:
        rcpts: one for each of `recipients`, in their order.
        content: the letter, every line with CR LF, nothing stuffed.
        orders_reports: whether the server was asked for reports.
    """

    recipients: tuple[str, ...]
    mail: bytes
    rcpts: tuple[bytes, ...]
    content: bytes
    all_or_nothing: bool = False
    orders_reports: bool = False


def pack(envelope: Envelope, message: bytes, *, offer: Offer, wishes: Wishes, peer: str) -> Parcel:
    """Pack a letter for a server with this offer.

    Args:
        peer: how the server is called in errors.

    Raises:
        LetterInvalid: the server cannot carry it.
    """
    content = with_crlf(message)
    is_utf8 = _is_international(envelope, content)
    _check(offer, wishes, content, is_utf8=is_utf8, peer=peer)
    reports = offer.has_dsn and bool(wishes.notify is not None or wishes.envelope_id)
    mail = [f"MAIL FROM:<{envelope.sender}>"]
    if offer.has_size:
        mail.append(f"SIZE={len(content)}")
    if not content.isascii():
        mail.append("BODY=8BITMIME")
    if is_utf8:
        mail.append("SMTPUTF8")
    if wishes.requires_tls:
        mail.append("REQUIRETLS")
    if offer.has_dsn:
        mail += _mail_dsn(wishes)
    order = _rcpt_dsn(wishes) if offer.has_dsn else ""
    return Parcel(
        recipients=envelope.recipients,
        mail=" ".join(mail).encode(),
        rcpts=tuple(_rcpt(each, order).encode() for each in envelope.recipients),
        content=content,
        all_or_nothing=wishes.all_or_nothing,
        orders_reports=reports,
    )


def _is_international(envelope: Envelope, content: bytes) -> bool:
    """Whether addresses or header go beyond ASCII: then every server must know (RFC 6531)."""
    addresses = (envelope.sender, *envelope.recipients)
    if not all(each.isascii() for each in addresses):
        return True
    return not content.isascii() and not content.partition(b"\r\n\r\n")[0].isascii()


def _check(offer: Offer, wishes: Wishes, content: bytes, *, is_utf8: bool, peer: str) -> None:
    if 0 < offer.most_bytes < len(content):
        raise LetterInvalid(
            field="size",
            found=f"{len(content)} bytes",
            expected=f"at most the {offer.most_bytes} bytes that {peer} takes",
        )
    if is_utf8 and not offer.has_utf8:
        raise LetterInvalid(
            field="address or header",
            found="international (beyond ASCII)",
            expected=f"ASCII: {peer} does not offer SMTPUTF8",
        )
    if not content.isascii() and not (offer.has_eight_bit or is_utf8):
        raise LetterInvalid(
            field="body", found="8-bit", expected=f"7-bit, which is all {peer} takes"
        )
    if wishes.requires_tls and not offer.has_require_tls:
        raise LetterInvalid(
            field="way",
            found="to be TLS throughout",
            expected=f"no such demand: {peer} does not offer REQUIRETLS",
        )
    if len(_xtext(wishes.envelope_id)) > LONGEST_ENVELOPE_ID:
        raise LetterInvalid(
            field="envelope id",
            found=f"{len(wishes.envelope_id)} characters long",
            expected=f"at most {LONGEST_ENVELOPE_ID}, as they go out",
        )


def _mail_dsn(wishes: Wishes) -> list[str]:
    words = []
    if wishes.returned is not None:
        words.append(f"RET={wishes.returned.value}")
    if wishes.envelope_id:
        words.append(f"ENVID={_xtext(wishes.envelope_id)}")
    return words


def _rcpt_dsn(wishes: Wishes) -> str:
    if wishes.notify is None:
        return ""
    return "NOTIFY=" + (",".join(each.value for each in wishes.notify) or "NEVER")


def _rcpt(recipient: str, order: str) -> str:
    if not order:
        return f"RCPT TO:<{recipient}>"
    if recipient.isascii():
        return f"RCPT TO:<{recipient}> {order} ORCPT=rfc822;{_xtext(recipient)}"
    return f"RCPT TO:<{recipient}> {order} ORCPT=utf-8;{_utf8_xtext(recipient)}"


def _xtext(text: str) -> str:
    """RFC 3461 §4: what could be mistaken goes as ``+`` and two digits."""
    return "".join(
        char if "!" <= char <= "~" and char not in "+=" else _escaped(char) for char in text
    )


def _utf8_xtext(text: str) -> str:
    """RFC 6533 §3, utf-8-addr-xtext: in ASCII, since not every hop need know SMTPUTF8."""
    return "".join(
        char if "!" <= char <= "~" and char not in "+=\\" else f"\\x{{{ord(char):02X}}}"
        for char in text
    )


def _escaped(char: str) -> str:
    return "".join(f"+{byte:02X}" for byte in char.encode("utf-8", "replace"))
