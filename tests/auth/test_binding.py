"""What ties a login to its TLS connection, on real TLS in memory."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.binding import binding_of
from mailnotify.auth.sasl import Binding, Password, ScramSha256Plus, is_unfit
from mailnotify.errors import ProtocolViolated
from tests.rigs.certificates import Certificates


class Transport:
    """A transport inside TLS."""

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def getHandle(self) -> object:
        return self._handle


class Handle:
    """A connection of TLS 1.2 with a certificate that is signed with this hash."""

    export_keying_material = None

    def __init__(self, name: str | None) -> None:
        self.name = name

    def get_protocol_version_name(self) -> str:
        return "TLSv1.2"

    def get_peer_certificate(self) -> Handle:
        return self

    def to_cryptography(self) -> Handle:
        return self

    @property
    def signature_hash_algorithm(self) -> Handle | None:
        return self if self.name else None

    def digest(self, name: str) -> bytes:
        return name.encode().hex(":").encode()


class BindingCase(SynchronousTestCase):
    """Two ends of one TLS connection."""

    def connect(self, version: int) -> tuple[SSL.Connection, SSL.Connection]:
        folder = Path(self.mktemp())
        folder.mkdir()
        certificates = Certificates(folder)
        ours, theirs = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        ours.set_max_proto_version(version)
        theirs.use_certificate_chain_file(str(certificates.cert_file))
        theirs.use_privatekey_file(str(certificates.key_file))
        client, server = SSL.Connection(ours, None), SSL.Connection(theirs, None)
        client.set_connect_state()
        server.set_accept_state()
        for _ in range(10):
            for end, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(end.bio_read(65536))
        return client, server


class KindTests(BindingCase):
    """Which binding there is."""

    def test_tls_1_3(self) -> None:
        """Both ends export the same, and another connection something else (RFC 9266)."""
        client, server = self.connect(SSL.TLS1_3_VERSION)
        found = binding_of(Transport(client))
        assert found is not None
        self.assertEqual((found.kind, len(found.data)), ("tls-exporter", 32))
        theirs = server.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        self.assertEqual(found.data, theirs)
        other = binding_of(Transport(self.connect(SSL.TLS1_3_VERSION)[0]))
        assert other is not None
        self.assertNotEqual(other.data, found.data)

    def test_tls_1_2(self) -> None:
        """Before, it is the hash of the server's certificate (RFC 5929 §4)."""
        client, _ = self.connect(SSL.TLS1_2_VERSION)
        found = binding_of(Transport(client))
        certificate = client.get_peer_certificate()
        assert found is not None
        assert certificate is not None
        der = bytes.fromhex(certificate.digest("sha256").decode().replace(":", ""))
        expected = Binding(kind="tls-server-end-point", data=der)
        self.assertEqual(found, expected)

    def test_hashes(self) -> None:
        """A weak hash is replaced, a strong one kept; where none is named there is no binding."""
        for named, used in (("sha1", "sha256"), ("md5", "sha256"), ("sha384", "sha384")):
            found = binding_of(Transport(Handle(named)))
            assert found is not None
            self.assertEqual(found.data, used.encode())
        self.assertIsNone(binding_of(Transport(Handle(None))))  # Ed25519

    def test_none(self) -> None:
        """Without TLS there is nothing to bind to."""
        self.assertIsNone(binding_of(object()))
        self.assertIsNone(binding_of(Transport(object())))


class PlusTests(BindingCase):
    """SCRAM-SHA-256-PLUS between two ends."""

    def talk(self, theirs: bytes) -> ScramSha256Plus:
        """A server that knows the password, and is at the end with that binding."""
        client, _ = self.connect(SSL.TLS1_3_VERSION)
        binding = binding_of(Transport(client))
        assert binding is not None
        mechanism = ScramSha256Plus(Password("user", "pencil"), "peer", "ours", binding)
        opening = mechanism.initial()
        header, bare = opening[: opening.index(b",,") + 2], opening[opening.index(b",,") + 2 :]
        self.assertEqual(header, b"p=tls-exporter,,")
        first = b"r=ourstheirs,s=c2FsdA==,i=4096"
        final = mechanism.answer(first)
        channel = base64.b64encode(header + (theirs or binding.data))
        if not final.startswith(b"c=" + channel + b","):
            self.assertEqual(mechanism.answer(b"e=channel-bindings-dont-match"), b"")
            return mechanism
        without_proof = final[: final.index(b",p=")]
        message = b",".join((bare, first, without_proof))
        salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 4096)
        key = hmac.digest(salted, b"Server Key", "sha256")
        signature = base64.b64encode(hmac.digest(key, message, "sha256"))
        mechanism.answer(b"v=" + signature)
        return mechanism

    def test_same_connection(self) -> None:
        """Bound to the connection that both are on, the proof is good."""
        mechanism = self.talk(b"")
        mechanism.finished()

    def test_somebody_between(self) -> None:
        """On another connection it is not."""
        mechanism = self.talk(b"another connection")
        self.assertRaises(ProtocolViolated, mechanism.finished)
        self.assertEqual(mechanism.complaint, "channel-bindings-dont-match")
        self.assertFalse(is_unfit(mechanism))

    def test_unsupported(self) -> None:
        """A server that cannot bind in our way has not judged us."""
        for complaint in (b"unsupported-channel-binding-type", b"channel-binding-not-supported"):
            binding = Binding(kind="tls-exporter", data=b"x")
            mechanism = ScramSha256Plus(Password("user", "pencil"), "peer", "ours", binding)
            mechanism.answer(b"e=" + complaint)
            self.assertTrue(is_unfit(mechanism))
