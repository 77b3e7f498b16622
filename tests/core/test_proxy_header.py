"""The header of a proxy: real ones, cut ones, and what is none."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from struct import pack

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.proxy_header import MOST_BYTES, BadHeader, Header, parse_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def header(host: str = "192.0.2.7", port: int = 40000, extra: bytes = b"") -> bytes:
    """As HAProxy sends it (send-proxy-v2)."""
    family = AF_INET6 if ":" in host else AF_INET
    ours = "::1" if ":" in host else "127.0.0.1"
    body = inet_pton(family, host) + inet_pton(family, ours) + pack("!HH", port, 5050) + extra
    kind = 0x21 if ":" in host else 0x11
    return SIGNATURE + pack("!BBH", 0x21, kind, len(body)) + body


class HeaderTests(SynchronousTestCase):
    """`parse_header`."""

    def test_addresses(self) -> None:
        """The client's address and port, of either family, and what stands behind."""
        for host in ("192.0.2.7", "2001:db8::7"):
            found = parse_header(header(host) + b"HELLO 1\n")
            self.assertEqual(found, Header(host=host, port=40000, rest=b"HELLO 1\n"))

    def test_more_values(self) -> None:
        """What a proxy adds (TLVs) is passed over."""
        found = parse_header(header(extra=b"\x03\x00\x04abcd") + b"x")
        self.assertEqual(found, Header(host="192.0.2.7", port=40000, rest=b"x"))

    def test_a_proxy_that_speaks_for_itself(self) -> None:
        """A check of health has no client, whatever addresses stand in it."""
        for kind, body in ((0, b""), (0x11, b"\xff" * 12)):
            local = SIGNATURE + pack("!BBH", 0x20, kind, len(body)) + body
            self.assertEqual(parse_header(local + b"x"), Header(rest=b"x"))

    def test_every_beginning_is_waited_for(self) -> None:
        """However the network cuts it."""
        for host in ("192.0.2.7", "2001:db8::7"):
            whole = header(host)
            for end in range(len(whole)):
                self.assertIsNone(parse_header(whole[:end]), end)

    def test_what_is_no_header(self) -> None:
        """Refused as soon as it can be known."""
        for wrong in (
            b"HELLO 1\r\n",
            b"\r\n\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n",
            b"\x16\x03\x01",
            SIGNATURE + pack("!BBH", 0x11, 0x11, 12) + b"x" * 12,
            SIGNATURE + pack("!BBH", 0x22, 0x11, 12) + b"x" * 12,
            SIGNATURE + pack("!BBH", 0x21, 0x12, 12) + b"x" * 12,
            SIGNATURE + pack("!BBH", 0x21, 0x31, 216) + b"x" * 216,
            SIGNATURE + pack("!BBH", 0x21, 0x00, 0),
            SIGNATURE + pack("!BBH", 0x21, 0x11, 11) + b"x" * 11,
            SIGNATURE + pack("!BBH", 0x21, 0x11, MOST_BYTES),
        ):
            self.assertRaises(BadHeader, parse_header, wrong)

    @given(st.binary(max_size=64), st.integers(0, 28))
    def test_anything(self, tail: bytes, kept: int) -> None:
        """Any bytes are a header, the beginning of one, or none."""
        try:
            found = parse_header(header()[:kept] + tail)
        except BadHeader:
            return
        self.assertTrue(found is None or isinstance(found, Header))
