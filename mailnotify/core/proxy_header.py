"""The header by which a proxy tells whom it speaks for: PROXY protocol, version 2.

Source: https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, §2.2. Version 1
is not read. Bytes go in as they come; the header is 16 bytes and as many as they
say, of which at most `MOST_BYTES` are waited for.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = Layout("!12sBBH")
_VERSION: Final = 0x20
_LOCAL, _PROXY = 0, 1
_TCP4: Final = Layout("!4s4sHH")
_TCP6: Final = Layout("!16s16sHH")
_STREAM_IPV4, _STREAM_IPV6 = 0x11, 0x21

MOST_BYTES: Final = 536
"""With its addresses, a proxy adds a few values; the specification counts on no more."""


class BadHeader(Exception):
    """These bytes are no such header, or one that nobody should send."""


class Header(Struct, frozen=True, kw_only=True):
    """A whole header.

    Attributes:
        host, port: of the client; empty and 0 if the proxy speaks for itself.
        rest: the bytes behind the header.
    """

    host: str = ""
    port: int = 0
    rest: bytes = b""


def parse_header(data: bytes) -> Header | None:
    """Read a header; None if there has to come more of it.

    Raises:
        BadHeader: it is none.
    """
    if data[: len(_SIGNATURE)] != _SIGNATURE[: len(data)]:
        raise BadHeader("no signature")
    if len(data) < _FIXED.size:
        return None
    _, version, family, length = _FIXED.unpack_from(data)
    end = _FIXED.size + length
    if end > MOST_BYTES:
        raise BadHeader(f"{end} bytes long")
    if version not in (_VERSION | _LOCAL, _VERSION | _PROXY):
        raise BadHeader(f"version and command {version:#x}")
    if len(data) < end:
        return None
    host, port = "", 0
    if version == _VERSION | _PROXY:
        host, port = _source(family, data[_FIXED.size : end])
    return Header(host=host, port=port, rest=data[end:])


def _source(family: int, body: bytes) -> tuple[str, int]:
    if family == _STREAM_IPV4 and len(body) >= _TCP4.size:
        source, _, port, _ = _TCP4.unpack_from(body)
        return str(IPv4Address(source)), port
    if family == _STREAM_IPV6 and len(body) >= _TCP6.size:
        source, _, port, _ = _TCP6.unpack_from(body)
        return str(IPv6Address(source)), port
    raise BadHeader(f"family {family:#x} with {len(body)} bytes")
