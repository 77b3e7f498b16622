"""The certificate that port 5050 shows, read again whenever the operator says so.

Every connection is made from the context of the moment: new files change new
connections only, and nobody is cut off. Files that do not fit together are
refused, and what was served before is served on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailnotify.config.listen import ListenTls
from mailnotify.errors import ConfigInvalid, Problem

KeyLog = Callable[[SSL.Connection, bytes], None]
"""Writes one line of the NSS key log format down."""


@implementer(IOpenSSLServerConnectionCreator)
class ServedCertificate:
    """Makes the server's side of TLS connections.

    Args:
        files: as configured.
        key_log: writes down the keys, for a person who looks at his own traffic.

    Raises:
        ConfigInvalid: the files cannot be served.
    """

    def __init__(self, files: ListenTls, key_log: KeyLog | None = None) -> None:
        self._files = files
        self._key_log = key_log
        self._context = self._make_context()

    def reload(self) -> None:
        """Serve what the files hold now to whoever connects from now on.

        Raises:
            ConfigInvalid: they cannot be served, and what was served before still is.
        """
        self._context = self._make_context()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)

    def _make_context(self) -> SSL.Context:
        files = self._files
        context: SSL.Context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
        key = "cert_file"
        try:
            context.use_certificate_chain_file(files.cert_file)
            key = "key_file"
            context.use_privatekey_file(files.key_file)
            context.check_privatekey()
            if files.client_ca_file:
                key = "client_ca_file"
                context.load_verify_locations(files.client_ca_file)
                context.load_client_ca(files.client_ca_file.encode())
                # One who shows none may still show a token.
                context.set_verify(SSL.VERIFY_PEER, _take_verdict)
        except SSL.Error as error:
            problem = Problem(
                path=f"listen.tls.{key}",
                found=f"{getattr(files, key)}: {_words(error)}",
                expected="a certificate and its key in PEM form",
            )
            raise ConfigInvalid(source="TLS", problems=(problem,)) from error
        # Twisted's own asks the connection for what it has no use for here, and fails without.
        context.set_alpn_select_callback(_pass_over)
        if self._key_log is not None:
            context.set_keylog_callback(self._key_log)
        return context


def _pass_over(_: object, _offered: object) -> Any:
    """Our protocol has no name in ALPN (RFC 7301): whatever a client offers, go on without."""
    return SSL.NO_OVERLAPPING_PROTOCOLS


def _take_verdict(_: object, _cert: object, _error: int, _depth: int, is_good: int) -> bool:
    return bool(is_good)


def _words(error: SSL.Error) -> str:
    """The last of OpenSSL's complaints; a file that is not there has none."""
    complaints = error.args[0] if error.args else ()
    return str(complaints[-1][-1]) if complaints else "it cannot be read"
