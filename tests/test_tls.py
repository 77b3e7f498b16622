"""Tests for `mailnotify.tls`: real handshakes, over wires in memory."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mailnotify.config.schema import CaFile, Pinned, Security, Server, SystemTrust, Trust
from mailnotify.errors import CertificateRefused, ConfigInvalid
from mailnotify.tls import Connector, flaw
from tests.rigs.certificates import Certificates, shown
from tests.smtp.memory import MemoryConnector

SERVER = Server(host="localhost", port=993, security=Security.IMPLICIT_TLS, user="ada")
DAY = timedelta(days=1)


@cache
def certificates() -> Certificates:
    """One authority for all tests."""
    return Certificates(Path(tempfile.mkdtemp(prefix="mailnotify-certificates-")))


def issued(by: trustme.CA | None = None, **options: Any) -> Any:
    """What a server needs to present a certificate for localhost."""
    names = options.pop("names", ("localhost",))
    cert_file, key_file = certificates().issue("tls", *names, by=by, **options)
    return shown(cert_file.read_bytes(), key_file.read_bytes())


def self_made(*, since: datetime, until: datetime) -> Any:
    """A certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    ).sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return shown(built.public_bytes(Encoding.PEM), pem)


class Speaker(Protocol):
    """A server that starts TLS."""

    def __init__(self, options: Any) -> None:
        self._options = options

    def connectionMade(self) -> None:
        self.transport.startTLS(self._options)  # type: ignore[union-attr]


@implementer(IHandshakeListener)
class Listener(Protocol):
    """A client that keeps the verdict.

    Attributes:
        is_private: whether the handshake ended well.
        reason: why the connection was lost.
    """

    is_private = False
    reason: BaseException | None = None

    def handshakeCompleted(self) -> None:
        self.is_private = True

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason.value if isinstance(reason, Failure) else None


class VerdictTests(SynchronousTestCase):
    """Who is refused, and by which words."""

    def meet(self, options: CertificateOptions, trust: Trust | None = None) -> Listener:
        """One handshake with a server that presents this."""
        clock = Clock()
        connector = MemoryConnector(clock, lambda: Speaker(options))
        ours = CaFile(ca_file=str(certificates().ca_file))
        listener = self.successResultOf(
            connector.endpoint(SERVER, trust or ours).connect(Factory.forProtocol(Listener))
        )
        connector.links[0].run()
        assert isinstance(listener, Listener)
        return listener

    def refusal(self, options: Any, trust: Trust | None = None) -> str:
        """Why this was refused."""
        listener = self.meet(options, trust)
        self.assertFalse(listener.is_private)
        self.assertIsInstance(listener.reason, CertificateRefused)
        assert isinstance(listener.reason, CertificateRefused)
        self.assertEqual(listener.reason.peer, "localhost:993")
        return listener.reason.reason

    def test_good(self) -> None:
        """A certificate of a trusted authority for this name is accepted."""
        self.assertTrue(self.meet(issued()).is_private)

    def test_expired(self) -> None:
        """One that has expired is refused with the day."""
        yesterday = (datetime.now(UTC) - DAY).strftime("%Y-%m-%d")
        self.assertEqual(self.refusal(issued(expired=True)), f"it expired on {yesterday}")

    def test_not_yet_valid(self) -> None:
        """One from tomorrow on is refused with the day, and a doubt about the clock."""
        now = datetime.now(UTC)
        reason = self.refusal(
            issued(not_before=now + DAY, not_after=now + 9 * DAY),
        )
        day = (now + DAY).strftime("%Y-%m-%d")
        self.assertEqual(reason, f"it is not valid before {day}; is the clock right?")

    def test_unknown_issuer(self) -> None:
        """One of an authority that nobody trusts is refused as that."""
        reason = self.refusal(issued(by=trustme.CA()))
        self.assertIn("issued by an authority that is not trusted here", reason)
        self.assertIn("authority that is not trusted", self.refusal(issued(), SystemTrust()))

    def test_self_signed(self) -> None:
        """One that vouches for itself is refused as that."""
        now = datetime.now(UTC)
        options = self_made(since=now - DAY, until=now + DAY)
        self.assertEqual(self.refusal(options), "it is self-signed, and not trusted here")

    def test_other_name(self) -> None:
        """One for another host is refused with the name that was asked for."""
        reason = self.refusal(issued(names=("mail.example.org",)))
        self.assertEqual(reason, "it is not for the name localhost")

    def test_authority_and_rarities(self) -> None:
        """A flaw further up is told of the authority; one that nobody meets has its number."""
        cert = X509.from_cryptography(
            x509.load_pem_x509_certificate(certificates().ca_file.read_bytes())
        )
        self.assertIn("its authority's certificate expired on ", flaw(cert, 1, 10))
        self.assertEqual(flaw(cert, 0, 94), "it was refused by OpenSSL (error 94)")

    def test_pinned(self) -> None:
        """A fingerprint makes good whatever the certificate says, and nothing else does."""
        now = datetime.now(UTC)
        options = self_made(since=now - 9 * DAY, until=now - DAY)
        fingerprint = options.certificate.fingerprint(hashes.SHA256()).hex(":")
        self.assertTrue(self.meet(options, Pinned(fingerprint=fingerprint)).is_private)
        reason = self.refusal(issued(), Pinned(fingerprint=fingerprint))
        self.assertIn("not the pinned one", reason)

    def test_unreadable_authorities(self) -> None:
        """A CA file that is none is a mistake in the configuration."""
        connector = Connector(None)  # type: ignore[arg-type]
        trust = CaFile(ca_file=str(certificates().key_file))
        self.assertRaises(ConfigInvalid, connector.tls_options, SERVER, trust)
