"""What port 5050 demands of whoever connects: one value for all listening addresses.

Users of this machine are recognised by the owner of their socket and let in
without a word. Everybody else is a stranger: he is told nothing of the mail, has
to show a token or a certificate, and over anything but loopback in TLS only.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, ITransport
from zope.interface import implementer

from mailnotify.access.keeper import Keeper
from mailnotify.config.listen import PlainFor
from mailnotify.core.badge import LOCAL, Badge
from mailnotify.core.frames import Mechanism

Owner = Callable[[tuple[str, int], tuple[str, int]], int | None]
"""See `mailnotify.access.local_users.owner_of`."""


@implementer(IAddress)
class Forwarded(Struct, frozen=True, kw_only=True):
    """The address of a client, as a proxy tells it."""

    host: str
    port: int


class Caller(Protocol):
    """A connection, as far as the door looks at it."""

    @property
    def transport(self) -> ITransport:
        """Whose addresses are those of the machines that are really connected."""

    @property
    def address(self) -> str:
        """Where it comes from; behind a proxy, what the proxy says."""

    @property
    def is_proxied(self) -> bool:
        """Whether a proxy stands between."""

    @property
    def is_secure(self) -> bool:
        """Whether TLS is established."""


class Door(Struct, frozen=True, kw_only=True):
    """The rules, and who applies them.

    Attributes:
        plain: who on this machine is let in without a word.
        users: whose sockets are those of users of this mailnotify.
        owner_of: tells whose a socket is.
        keeper: judges tokens; None if there are none.
        tls: what STARTTLS begins TLS with; None if it is not offered.
        has_certificates: whether clients are asked for certificates.
    """

    plain: PlainFor = PlainFor.LOOPBACK
    users: frozenset[int] = frozenset()
    owner_of: Owner | None = None
    keeper: Keeper | None = None
    tls: IOpenSSLServerConnectionCreator | None = None
    has_certificates: bool = False

    def recognise(self, caller: Caller) -> Badge | None:
        """The badge of a user of this machine; None for a stranger."""
        if self.plain is PlainFor.NOBODY or not is_local(caller):
            return None
        if self.plain is PlainFor.LOOPBACK:
            return LOCAL
        return LOCAL if self._is_ours(caller) else None

    def may_send(self, caller: Caller, badge: Badge) -> bool:
        """Whether letters are taken from him.

        From a token that has the right; and from users of this mailnotify, but not from
        all who may read because every user of this machine may.
        """
        return badge.may_send or (not badge.token_id and self._is_ours(caller))

    def _is_ours(self, caller: Caller) -> bool:
        """Whether a user of this mailnotify is at the other end, on this machine."""
        if not is_local(caller):
            return False
        theirs, ours = caller.transport.getPeer(), caller.transport.getHost()
        if not (isinstance(theirs, _INET) and isinstance(ours, _INET) and self.owner_of):
            return False
        uid = self.owner_of((theirs.host, theirs.port), (ours.host, ours.port))
        return uid is not None and uid in self.users

    def mechanisms(self, caller: Caller) -> tuple[str, ...]:
        """How this caller may prove who he is, now."""
        if self.keeper is None or not self.is_private(caller):
            return ()
        has_external = self.has_certificates and caller.is_secure
        return (Mechanism.TOKEN, *((Mechanism.EXTERNAL,) if has_external else ()))

    def is_private(self, caller: Caller) -> bool:
        """Whether nobody on the way can read along."""
        return caller.is_secure or is_loopback(_host(caller.transport.getPeer()))


OPEN: Door = Door()
"""Everybody on this machine may read, and nobody else."""


def is_local(caller: Caller) -> bool:
    """Whether the other end is on this machine; behind a proxy it is not."""
    return not caller.is_proxied and is_loopback(caller.address)


_INET: Final = (IPv4Address, IPv6Address)


def _host(address: object) -> str:
    return str(address.host) if isinstance(address, _INET) else ""


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine; a socket without one, as of AF_UNIX, is."""
    if not address:
        return True
    ip = ip_address(address.partition("%")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
