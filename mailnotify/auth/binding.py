"""What ties a login to the TLS connection that it is made over.

With channel binding (RFC 5056) a password's proof is good on one connection
only: whoever sits between, with a certificate that an authority gave by mistake,
cannot pass it on. TLS 1.3 has an exporter for it (RFC 9266); before, it is the
server's certificate that is named (RFC 5929 §4), since ``tls-unique`` is broken
without extended master secrets (RFC 7627).
"""

from __future__ import annotations

from typing import Any

from mailnotify.auth.sasl import Binding

_EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
_EXPORTER_BYTES = 32
_WEAK = {"md5", "sha1"}
"""Hashes that RFC 5929 §4.1 replaces by SHA-256."""


def binding_of(transport: object) -> Binding | None:
    """The binding of a transport inside TLS; None where there is none to be had.

    Args:
        transport: whose `getHandle` gives an `OpenSSL.SSL.Connection`.
    """
    handle: Any = getattr(transport, "getHandle", lambda: None)()
    if not hasattr(handle, "export_keying_material"):
        return None
    if handle.get_protocol_version_name() == "TLSv1.3":
        data = handle.export_keying_material(_EXPORTER_LABEL, _EXPORTER_BYTES, b"")
        return Binding(kind="tls-exporter", data=data)
    certificate = handle.get_peer_certificate()
    algorithm = certificate.to_cryptography().signature_hash_algorithm
    if algorithm is None:  # Ed25519, for which RFC 5929 defines nothing
        return None
    name = "sha256" if algorithm.name in _WEAK else algorithm.name
    digest = bytes.fromhex(certificate.digest(name).decode("ascii").replace(":", ""))
    return Binding(kind="tls-server-end-point", data=digest)
