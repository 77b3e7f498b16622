"""A certificate authority for one test run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.ssl import CertificateOptions


def shown(cert_pem: bytes, key_pem: bytes) -> CertificateOptions:
    """What a server in Twisted shows; `PrivateCertificate` does it in a way that is deprecated."""
    return CertificateOptions(
        privateKey=load_pem_private_key(key_pem, None),
        certificate=load_pem_x509_certificate(cert_pem),
    )


class Certificates:
    """A throw-away CA in a folder, with a good certificate for localhost and 127.0.0.1.

    Attributes:
        ca_file: the PEM file that clients are told to trust.
        cert_file, key_file: the server's chain and key.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))
        self.cert_file, self.key_file = self.issue("server", "localhost", "127.0.0.1")

    def issue(
        self,
        stem: str,
        *names: str,
        expired: bool = False,
        by: trustme.CA | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> tuple[Path, Path]:
        """Write STEM.cert.pem and STEM.key.pem for these names; return their paths."""
        if expired:
            not_after = datetime.now(UTC) - timedelta(days=1)
            not_before = datetime.now(UTC) - timedelta(days=30)
        issued = (by or self._ca).issue_cert(*names, not_after=not_after, not_before=not_before)
        cert_file = self._directory / f"{stem}.cert.pem"
        key_file = self._directory / f"{stem}.key.pem"
        cert_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key_file))
        key_file.chmod(0o600)
        return cert_file, key_file
