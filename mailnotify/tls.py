"""The way to a mail server: a TCP connection, and who must be at its other end.

One OpenSSL context serves every connection with the same trust: loading the
system's authorities costs most of a megabyte. What differs from host to host,
the name that the certificate must bear (RFC 9525, by service_identity), is set
on each connection. Whatever goes wrong while a certificate is judged, the
judgement is "no", with the cause in words: OpenSSL itself says no more than
"certificate verify failed" to whom it refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IReactorTCP,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.config.schema import CaFile, Pinned, Security, Server, Trust
from mailnotify.direct import OverTLS
from mailnotify.errors import CertificateRefused, ConfigInvalid, Problem
from mailnotify.interfaces import IConnector
from mailnotify.key_shares import KeyShares

_REQUIRED = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT


class _Judge(Protocol):
    """Decides on one certificate of a chain, the leaf having depth 0."""

    def judge(self, cert: X509, depth: int, error: int) -> None:
        """Go on if this is acceptable.

        Args:
            error: what OpenSSL thinks of the chain so far (X509_V_ERR_…); 0 is good.

        Raises:
            CertificateRefused: it is not, and this is why.
        """


class Identity(Struct, frozen=True, kw_only=True):
    """A client's own certificate, with its chain, and the key for it: files in PEM."""

    cert_file: str
    key_file: str


@implementer(IConnector)
class Connector:
    """Endpoints and TLS options for mail servers, with one context for each trust.

    Args:
        key_log: writes the keys of connections down; see `mailnotify.taps.key_log`.
        identity: what to show to a server that asks who we are.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        key_log: Callable[[SSL.Connection, bytes], None] | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._reactor = reactor
        self._key_log = key_log
        self._identity = identity
        self._key_shares = KeyShares()
        self._contexts: dict[Trust, SSL.Context] = {}
        self._clients: dict[tuple[str, int, Trust], VerifyingClient] = {}

    def endpoint(self, server: Server, trust: Trust) -> IStreamClientEndpoint:
        """One attempt to connect; with TLS at once where the server's URL says so."""
        plain = HostnameEndpoint(self._reactor, server.host, server.port)
        if server.security is Security.IMPLICIT_TLS:
            return OverTLS(plain, self.tls_options(server, trust))
        return plain

    def tls_options(self, server: Server, trust: Trust) -> VerifyingClient:
        """What STARTTLS to this server needs; the same for all who go there.

        Raises:
            ConfigInvalid: the CA file or our own certificate cannot be read.
        """
        place = (server.host, server.port, trust)
        if place not in self._clients:
            judge = _PinnedLeaf(server, trust) if isinstance(trust, Pinned) else _NamedHost(server)
            self._clients[place] = VerifyingClient(
                self._context(trust), (server.host, server.port), judge, self._key_shares
            )
        return self._clients[place]

    def _context(self, trust: Trust) -> SSL.Context:
        if trust not in self._contexts:
            context = _make_context(trust)
            if self._identity is not None:
                _show(context, self._identity)
            if self._key_log is not None:
                context.set_keylog_callback(self._key_log)
            self._contexts[trust] = context
        return self._contexts[trust]


@implementer(IOpenSSLClientConnectionCreator)
class VerifyingClient:
    """Makes TLS connections that are good for one host only.

    Args:
        context: of `_make_context`.
        address: host and port.
    """

    def __init__(
        self,
        context: SSL.Context,
        address: tuple[str, int],
        judge: _Judge,
        key_shares: KeyShares,
    ) -> None:
        self._context = context
        self._address = address
        self._judge = judge
        self._key_shares = key_shares

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = _Meeting(self._context, self)
        host = self._address[0]
        if not _is_address(host):  # RFC 6066 §3 allows no addresses
            connection.set_tlsext_host_name(_ascii(host).encode("ascii"))
        self._key_shares.choose(connection, self._address)
        connection.set_app_data(tlsProtocol)
        return connection

    def judge(self, cert: X509, depth: int, error: int) -> None:
        """As `_Judge` has it."""
        self._judge.judge(cert, depth, error)

    def met(self, connection: SSL.Connection) -> None:
        """A handshake has ended well."""
        self._key_shares.took(connection, self._address)

    def refused(self) -> None:
        """The server has broken something off."""
        self._key_shares.failed(self._address)


class _Meeting(SSL.Connection):
    """A connection that knows for whom it is good, when its context calls back.

    A callback of its own would cost each connection 1 KiB.
    """

    def __init__(self, context: SSL.Context, client: VerifyingClient) -> None:
        super().__init__(context, None)
        self.client = client


def _is_acceptable(meeting: SSL.Connection, cert: X509, error: int, depth: int, ok: int) -> bool:
    assert isinstance(meeting, _Meeting)
    try:
        meeting.client.judge(cert, depth, 0 if ok else error or _UNSPECIFIED)
    except Exception:  # one that left a callback of OpenSSL would vanish
        protocol: TLSMemoryBIOProtocol = meeting.get_app_data()
        protocol.failVerification(Failure())
        return False
    return True


def _note(meeting: SSL.Connection, where: int, value: int) -> None:
    assert isinstance(meeting, _Meeting)
    if where & SSL.SSL_CB_HANDSHAKE_DONE:
        meeting.client.met(meeting)
    elif where == SSL.SSL_CB_READ_ALERT and value >> 8 == _FATAL:
        meeting.client.refused()


class _NamedHost:
    """A good chain whose leaf bears the name of the host."""

    def __init__(self, server: Server) -> None:
        self._server = server
        host = server.host
        self._id = IPAddress_ID(host) if _is_address(host) else DNS_ID(_ascii(host))

    def judge(self, cert: X509, depth: int, error: int) -> None:
        peer = str(self._server)
        if error:
            raise CertificateRefused(peer=peer, reason=flaw(cert, depth, error))
        if depth != 0:
            return
        try:
            verify_service_identity(extract_patterns(cert), [self._id], [])
        except VerificationError as refused:
            raise CertificateRefused(
                peer=peer, reason=f"it is not for the name {self._server.host}"
            ) from refused


class _PinnedLeaf:
    """One certificate, by its SHA-256 fingerprint, whatever it says of itself."""

    def __init__(self, server: Server, pinned: Pinned) -> None:
        self._server = server
        self._fingerprint = pinned.fingerprint.replace(":", "").lower()

    def judge(self, cert: X509, depth: int, error: int) -> None:
        if depth != 0:
            return
        found = cert.digest("sha256").decode("ascii").replace(":", "").lower()
        if found != self._fingerprint:
            raise CertificateRefused(
                peer=str(self._server), reason=f"its fingerprint is {found}, not the pinned one"
            )


#: X509_V_ERR_UNSPECIFIED.
_UNSPECIFIED = 1

#: The level of an alert that ends a connection (RFC 8446 §6).
_FATAL = 2

#: The flaws that are met in practice, by OpenSSL's number (``x509_vfy.h``), as what
#: is true of the certificate.
_FLAWS = {
    2: "was issued by an authority that is not trusted here",
    7: "has a wrong signature",
    9: "is not valid before {since}; is the clock right?",
    10: "expired on {until}",
    18: "is self-signed, and not trusted here",
    19: "was issued by a self-signed authority that is not trusted here",
    20: "was issued by an authority that is not trusted here",
    21: "was issued by an authority that is not trusted here, or its intermediate is missing",
    22: "has too long a chain",
    23: "was revoked",
    24: "was issued by what is no authority",
    26: "is not for use as a server",
    47: "is for a name that its authority may not vouch for",
    66: "has too weak a key",
    67: "was issued by an authority with too weak a key",
    68: "was signed with too weak a digest",
    79: "was issued by what is no authority",
}


def flaw(cert: X509, depth: int, error: int) -> str:
    """What is wrong with a certificate of the chain, as the end of a sentence."""
    flaw = _FLAWS.get(error, f"was refused by OpenSSL (error {error})")
    told = flaw.format(since=_day(cert.get_notBefore()), until=_day(cert.get_notAfter()))
    return f"it {told}" if depth == 0 else f"its authority's certificate {told}"


def _day(moment: bytes | None) -> str:
    """The day of an ASN.1 time such as ``20261123103239Z``."""
    digits = (moment or b"").decode("ascii", "replace")
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if digits[:8].isdigit() else "a day unknown"


def _make_context(trust: Trust) -> SSL.Context:
    options = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2)
    context: SSL.Context = options.getContext()
    context.set_verify(_REQUIRED, _is_acceptable)
    context.set_info_callback(_note)
    if isinstance(trust, CaFile):
        try:
            context.load_verify_locations(trust.ca_file)
        except SSL.Error as error:
            problem = Problem(
                path="trust.ca_file",
                found=trust.ca_file,
                expected="a readable file of PEM certificates",
            )
            raise ConfigInvalid(source="TLS", problems=(problem,)) from error
    elif not isinstance(trust, Pinned):
        context.set_default_verify_paths()
    return context


def _show(context: SSL.Context, identity: Identity) -> None:
    """Raises ConfigInvalid: it cannot be read, or the key is for another certificate."""
    context.set_passwd_cb(lambda *_: b"")  # nobody is there to be asked
    try:
        context.use_certificate_chain_file(identity.cert_file)
        context.use_privatekey_file(identity.key_file)
        context.check_privatekey()
    except SSL.Error as error:
        problem = Problem(
            path="certificate",
            found=f"{identity.cert_file} with the key {identity.key_file}",
            expected="readable files in PEM that belong together, the key without a passphrase",
        )
        raise ConfigInvalid(source="TLS", problems=(problem,)) from error


def _is_address(host: str) -> bool:
    return bool(isIPAddress(host) or isIPv6Address(host))


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")
