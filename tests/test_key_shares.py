"""Tests for `mailnotify.key_shares`: what a ClientHello holds, and which group is agreed on."""

from __future__ import annotations

import contextlib
import tempfile
from functools import cache
from pathlib import Path

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import CaFile, Security, Server, SystemTrust, Trust
from mailnotify.key_shares import KeyShares
from mailnotify.tls import Connector
from tests.rigs.certificates import Certificates

X25519 = 0x001D
X25519MLKEM768 = 0x11EC  # draft-ietf-tls-ecdhe-mlkem

PLAIN = b"X25519:secp256r1"
"""What a server has that knows of no better group."""

HASTY = b"X25519:X25519MLKEM768"
"""What one has that takes the share before it rather than ask for a better one."""

BETTER = b"X25519MLKEM768/X25519"
"""What one has that asks."""

STRANGE = b"ffdhe8192"
"""What one has that agrees on nothing."""


@cache
def certificates() -> Certificates:
    """One authority for all tests."""
    return Certificates(Path(tempfile.mkdtemp(prefix="mailnotify-certificates-")))


class Peer:
    """Takes what a protocol is told."""

    def failVerification(self, reason: object) -> None:
        """It is refused."""


def server(groups: bytes) -> SSL.Connection:
    """The other end of a handshake, with these groups."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_chain_file(str(certificates().cert_file))
    context.use_privatekey_file(str(certificates().key_file))
    connection = SSL.Connection(context, None)
    assert Binding().lib.SSL_set1_curves_list(connection._ssl, groups) == 1
    connection.set_accept_state()
    return connection


def shares(hello: bytes) -> list[int]:
    """The groups of the key shares in a ClientHello (RFC 8446 §4.1.2, §4.2.8)."""

    def number(at: int, length: int = 2) -> int:
        return int.from_bytes(hello[at : at + length], "big")

    at = 5 + 4 + 2 + 32  # record, handshake, version, random
    at += 1 + number(at, 1)  # session
    at += 2 + number(at)  # ciphers
    at += 1 + number(at, 1) + 2  # compressions
    while number(at) != 51:
        at += 4 + number(at + 2)
    at, end = at + 6, at + 4 + number(at + 2)
    found = []
    while at < end:
        found.append(number(at))
        at += 4 + number(at + 2)
    return found


class KeySharesTests(SynchronousTestCase):
    """A second key is kept only for servers that have shown a use for it."""

    if SSL.OPENSSL_VERSION_NUMBER < 0x30500000:
        skip = "this OpenSSL knows of no post-quantum group"

    def setUp(self) -> None:
        self.connector = Connector(None)  # type: ignore[arg-type]

    def meet(
        self, groups: bytes, port: int = 993, trust: Trust | None = None
    ) -> tuple[list[int], str]:
        """Connect once: the shares that were sent unasked, and the group agreed on."""
        trust = trust or CaFile(ca_file=str(certificates().ca_file))
        place = Server(host="localhost", port=port, security=Security.STARTTLS, user="ada")
        options = self.connector.tls_options(place, trust)
        client = options.clientConnectionForTLS(Peer())  # type: ignore[arg-type]
        client.set_connect_state()
        there = server(groups)
        hello = b""
        for _ in range(4):
            for here, other in ((client, there), (there, client)):
                with contextlib.suppress(SSL.Error):
                    here.do_handshake()
                with contextlib.suppress(SSL.Error):
                    said = here.bio_read(2**16)
                    hello = hello or said
                    other.bio_write(said)
        return shares(hello), client.get_group_name() or ""

    def test_unknown(self) -> None:
        """A server that was never met is sent both."""
        self.assertEqual(self.meet(PLAIN), ([X25519MLKEM768, X25519], "x25519"))

    def test_spared(self) -> None:
        """One that took X25519 is sent the other no more; another server still is."""
        self.meet(PLAIN)
        self.assertEqual(self.meet(PLAIN), ([X25519], "x25519"))
        self.assertEqual(len(self.meet(PLAIN, port=994)[0]), 2)

    def test_broken(self) -> None:
        """One that breaks the handshake off, perhaps for want of the share, is sent it again."""
        self.meet(PLAIN)
        self.assertEqual(self.meet(STRANGE), ([X25519], ""))
        self.assertEqual(len(self.meet(PLAIN)[0]), 2)

    def test_out_of_reach(self) -> None:
        """Where pyOpenSSL does not let us at what it has from OpenSSL, nothing is spared."""

        class Closed:
            def get_group_name(self) -> str:
                return "x25519"

        shares, place = KeyShares(), ("localhost", 993)
        for _ in range(3):
            shares.choose(Closed(), place)  # type: ignore[arg-type]
            shares.took(Closed(), place)  # type: ignore[arg-type]

    def test_better(self) -> None:
        """One that takes the better group is always sent its share: no round trip more."""
        for _ in range(3):
            self.assertEqual(self.meet(BETTER), ([X25519MLKEM768, X25519], "X25519MLKEM768"))

    def test_asked_for(self) -> None:
        """One that has learned the better group since gets it at once, if it asks."""
        self.meet(PLAIN)
        self.assertEqual(self.meet(BETTER), ([X25519], "X25519MLKEM768"))
        self.assertEqual(len(self.meet(BETTER)[0]), 2)

    def test_asked_again(self) -> None:
        """One that would not ask for it gets it within twenty connections."""
        self.meet(PLAIN)
        met = [self.meet(HASTY) for _ in range(20)]
        self.assertEqual({group for _, group in met[:19]}, {"x25519"})
        self.assertEqual(met[19], ([X25519MLKEM768, X25519], "X25519MLKEM768"))
        self.assertEqual(len(self.meet(HASTY)[0]), 2)

    def test_refused(self) -> None:
        """A server that is not the right one has not been met."""
        self.meet(PLAIN, trust=SystemTrust())
        self.assertEqual(len(self.meet(PLAIN)[0]), 2)
