"""What a submission server offers, read from its reply to EHLO.

RFC 5321 §4.1.1.1; RFC 1870 (SIZE), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING),
RFC 3461 (DSN), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 8689 (REQUIRETLS).
"""

from __future__ import annotations

from msgspec import Struct

from mailnotify.smtp.wire import Reply, extensions


class Offer(Struct, frozen=True, kw_only=True):
    """What may be used on this connection.

    Attributes:
        mechanisms: of AUTH, in upper case.
        has_size: whether MAIL may say how big a letter is.
        most_bytes: the biggest letter; 0 if the server names no limit.
        has_pipelining: whether a group of commands may go in one write.
        has_chunking: whether BDAT may take the place of DATA.
        has_eight_bit: whether bytes beyond ASCII may stand in a body.
        has_utf8: whether they may stand in addresses and headers.
        has_dsn: whether reports on the delivery can be ordered.
        has_require_tls: whether the server can promise TLS on all of the way.
    """

    mechanisms: tuple[str, ...] = ()
    has_starttls: bool = False
    has_size: bool = False
    most_bytes: int = 0
    has_pipelining: bool = False
    has_chunking: bool = False
    has_eight_bit: bool = False
    has_utf8: bool = False
    has_dsn: bool = False
    has_require_tls: bool = False


def read_offer(reply: Reply) -> Offer:
    """Read a positive reply to EHLO."""
    offered = extensions(reply)
    limit = "".join(offered.get("SIZE", ())[:1])
    return Offer(
        mechanisms=offered.get("AUTH", ()),
        has_starttls="STARTTLS" in offered,
        has_size="SIZE" in offered,
        most_bytes=int(limit) if limit.isdigit() and len(limit) <= 20 else 0,
        has_pipelining="PIPELINING" in offered,
        has_chunking="CHUNKING" in offered,
        has_eight_bit="8BITMIME" in offered,
        has_utf8="SMTPUTF8" in offered,
        has_dsn="DSN" in offered,
        has_require_tls="REQUIRETLS" in offered,
    )
