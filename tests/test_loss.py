"""Tests for `mailnotify.loss`."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import CertificateRefused, ChannelInsecure, MailnotifyError, NotConnected
from mailnotify.loss import REASON_BYTES, explain


def tls_error(words: str) -> SSL.Error:
    """As pyOpenSSL raises it."""
    return SSL.Error([("SSL routines", "", words)])


class ExplainTests(SynchronousTestCase):
    """Why a connection was lost, in our own terms."""

    def test_kinds(self) -> None:
        """Each cause has its error; an empty cause has at least a name."""
        cases: list[tuple[Exception, type[MailnotifyError], str]] = [
            (tls_error("certificate verify failed"), CertificateRefused, "verify failed"),
            (tls_error("wrong version number"), ChannelInsecure, "wrong version number"),
            (SSL.Error(), ChannelInsecure, "the server ended it"),
            (SSL.SysCallError(-1, "Unexpected EOF"), NotConnected, "the connection broke"),
            (VerificationError(errors=[]), CertificateRefused, "not for the name"),
            (ConnectionDone(), NotConnected, "the server closed the connection"),
            (ConnectionLost(), NotConnected, "the connection broke"),
            (ConnectError(111, "Connection refused"), NotConnected, "refused"),
            (DNSLookupError("no such host"), NotConnected, "no such host"),
            (ValueError(), NotConnected, "ValueError"),
        ]
        for cause, kind, words in cases:
            error = explain(Failure(cause), "mail:25", is_secure=False)
            self.assertIs(type(error), kind)
            self.assertIn(words, str(error))
            self.assertIn("mail:25", str(error))

    def test_after_the_handshake(self) -> None:
        """A line that breaks inside TLS says nothing against the server."""
        for words in ("bad record mac", "certificate unknown"):
            error = explain(Failure(tls_error(words)), "mail:25", is_secure=True)
            self.assertIs(type(error), NotConnected)
            self.assertIn(words, str(error))

    def test_known_already(self) -> None:
        """What says it in our terms is not said again."""
        named = CertificateRefused(peer="mail:25", reason="it is pinned")
        self.assertIs(explain(Failure(named), "mail:25", is_secure=False), named)

    def test_words_that_act(self) -> None:
        """Words of a stranger are one short line."""
        error = explain(Failure(OSError("a\x1b[2J\nb" + "c" * 9000)), "mail:25", is_secure=False)
        self.assertTrue(str(error).isprintable())
        self.assertLess(len(str(error)), REASON_BYTES + 50)
