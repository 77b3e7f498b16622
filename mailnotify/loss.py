"""Why a connection ended, in words and in the class that says who must act.

Twisted and OpenSSL say it in a dozen ways, and some of them mean another thing
before the TLS handshake than after it: there a verdict on the server, here only
a broken line. IMAP and SMTP are told the same by the same words.
"""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from mailnotify.core.text import clean
from mailnotify.errors import CertificateRefused, ChannelInsecure, NotConnected, PeerError

#: A sentence; more than that of a stranger's words helps nobody.
REASON_BYTES = 300


def explain(reason: Failure, peer: str, *, is_secure: bool) -> PeerError:
    """Turn what Twisted says of a lost or failed connection into one of our errors.

    Args:
        is_secure: whether the TLS handshake was over.
    """
    error = reason.value
    assert error is not None
    if isinstance(error, PeerError):
        return error
    if isinstance(error, VerificationError):
        return CertificateRefused(peer=peer, reason="it is not for the name of this server")
    if isinstance(error, SSL.Error) and not isinstance(error, SSL.SysCallError):
        return _explain_tls(error, peer, is_secure=is_secure)
    return NotConnected(peer=peer, reason=_sentence(error))


def _explain_tls(error: SSL.Error, peer: str, *, is_secure: bool) -> PeerError:
    said = _openssl_words(error)
    if is_secure:
        return NotConnected(peer=peer, reason=f"TLS broke: {said}")
    if "certificate" in said:
        return CertificateRefused(peer=peer, reason=said)
    return ChannelInsecure(peer=peer, reason=f"the TLS handshake failed: {said}")


def _openssl_words(error: SSL.Error) -> str:
    """The last of the three words that OpenSSL gives for each error."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = "; ".join(str(entry[-1]) for entry in entries)
    return clean(words, REASON_BYTES) or "the server ended it"


def _sentence(error: BaseException) -> str:
    if isinstance(error, ConnectionDone):
        return "the server closed the connection"
    if isinstance(error, (ConnectionLost, SSL.SysCallError)):
        return "the connection broke"
    return clean(str(error), REASON_BYTES).rstrip(".") or type(error).__name__
