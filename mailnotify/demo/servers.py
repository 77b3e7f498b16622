"""An IMAP and an ESMTP server over TLS that share one mailbox.

Both are Twisted's own. What is submitted over ESMTP lies in the mailbox a
moment later, and every IMAP client that idles there is told: the shortest
honest road from a letter to an alert.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.mail.imap4 import (
    IMAP4Server,
    MemoryAccountWithoutNamespaces,
    PLAINCredentials as ImapPlainCredentials,
)
from twisted.mail.interfaces import IAccountIMAP, IMessageDelivery, IMessageSMTP
from twisted.mail.smtp import ESMTP, User
from zope.interface import Interface, implementer

from mailnotify.demo.mailbox import MemoryMailbox


@implementer(IMessageSMTP)
class _Delivery:
    """Collects the lines of one letter for one recipient."""

    def __init__(self, mailbox: MemoryMailbox) -> None:
        self._mailbox = mailbox
        self._content = io.BytesIO()

    def lineReceived(self, line: bytes) -> None:
        self._content.write(line + b"\r\n")

    def eomReceived(self) -> Deferred[None]:
        self._mailbox.deliver(self._content.getvalue())
        return succeed(None)

    def connectionLost(self) -> None:
        self._content.close()


@implementer(IMessageDelivery)
class _Deliveries:
    """Whoever has logged in may send to anybody: all of it lands in the one mailbox."""

    def __init__(self, mailbox: MemoryMailbox) -> None:
        self._mailbox = mailbox

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        return b"Received: by the demo of mailnotify"

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        return origin

    def validateTo(self, user: User) -> Any:
        return lambda: _Delivery(self._mailbox)


@implementer(IRealm)
class _Realm:
    """One mailbox behind both protocols."""

    def __init__(self, mailbox: MemoryMailbox) -> None:
        self._mailbox = mailbox

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Any]:
        if IAccountIMAP in interfaces:
            account = MemoryAccountWithoutNamespaces(avatarId)
            account.addMailbox("INBOX", self._mailbox)
            return IAccountIMAP, account, lambda: None
        return IMessageDelivery, _Deliveries(self._mailbox), lambda: None


class MailServer:
    """One mailbox, one user, two factories to listen with (behind TLS).

    Attributes:
        watched: fires when a client idles for the first time.
        imap: a factory for IMAP4rev1 with IDLE.
        esmtp: a factory for ESMTP with AUTH PLAIN.
    """

    def __init__(self, user: str, password: str) -> None:
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(user.encode("ascii"), password.encode("ascii"))
        self.mailbox = MemoryMailbox()
        self.watched: Deferred[None] = Deferred()
        portal = Portal(_Realm(self.mailbox), [checker])
        self.imap = _PortalFactory(lambda: _Imap(self.watched), portal)
        self.esmtp = _PortalFactory(_Esmtp, portal)


class _Imap(IMAP4Server):
    """Tells when somebody begins to watch."""

    def __init__(self, watched: Deferred[None]) -> None:
        super().__init__({b"PLAIN": ImapPlainCredentials})
        self._watched = watched

    def connectionMade(self) -> None:
        # Without it an answer in several writes waits 40 ms for the client's delayed ACK.
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # TLS hands it on
        super().connectionMade()

    def do_IDLE(self, tag: bytes) -> None:
        super().do_IDLE(tag)
        if not self._watched.called:
            self._watched.callback(None)

    select_IDLE = (do_IDLE,)  # type: ignore[assignment]  # looked up by Twisted, unbound


class _Esmtp(ESMTP):
    """An ESMTP server without delivery factories of its own."""

    def __init__(self) -> None:
        super().__init__({b"PLAIN": ImapPlainCredentials})
        self.host = b"demo.localhost"
        self.delivery = None


class _PortalFactory(ServerFactory):
    """Gives each protocol the portal that it asks for logins."""

    noisy = False

    def __init__(self, make: Callable[[], _Imap | _Esmtp], portal: Portal) -> None:
        self._make = make
        self._portal = portal

    def buildProtocol(self, addr: IAddress | None) -> _Imap | _Esmtp:
        protocol = self._make()
        protocol.portal = self._portal  # type: ignore[assignment]  # the class attribute is None
        protocol.factory = self
        return protocol
