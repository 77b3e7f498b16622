"""Looks names up in daemon threads: one that hangs holds up neither the others nor the end.

`getaddrinfo` blocks for as long as a name server is silent. Twisted's own resolver calls
it in the reactor's pool, which the end of a process waits for; nobody waits for these.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

from mailnotify.taps.threads import defer_to_daemon

MOST_AT_ONCE: Final = 16
"""Threads; a thousand accounts have few hosts, and the system remembers no answers."""

_KINDS: Final = {socket.AF_INET: IPv4Address, socket.AF_INET6: IPv6Address}
_TRANSPORTS: Final = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}

LookUp = Callable[..., Sequence[Any]]
"""As `socket.getaddrinfo`."""


def resolve_in_daemons(reactor: Any) -> None:
    """Make this reactor look names up here; to be called once."""
    reactor.installNameResolver(DaemonResolver(reactor))


@implementer(IHostResolution)
class _Resolution:
    """One name that is looked up; what comes after `cancel` is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_wanted = True

    def cancel(self) -> None:
        self.is_wanted = False


@implementer(IHostnameResolver)
class DaemonResolver:
    """See `IHostnameResolver`."""

    def __init__(self, reactor: Any, look_up: LookUp | None = None) -> None:
        self._reactor = reactor
        self._look_up = look_up or socket.getaddrinfo
        self._turns = DeferredSemaphore(MOST_AT_ONCE)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell the receiver each address; none if the name has none."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        kinds = tuple(addressTypes or _KINDS.values())
        asked = (hostName, portNumber, socket.AF_UNSPEC, _TRANSPORTS[transportSemantics])

        async def tell() -> None:
            found = await self._turns.run(self._ask, *asked)
            for family, _, _, _, place in found if resolution.is_wanted else ():
                kind = _KINDS.get(family)
                if kind in kinds:
                    resolutionReceiver.addressResolved(kind(transportSemantics, *place))
            if resolution.is_wanted:
                resolutionReceiver.resolutionComplete()

        Deferred.fromCoroutine(tell())
        return resolution

    async def _ask(self, *asked: Any) -> Sequence[Any]:
        try:
            return await defer_to_daemon(self._reactor, self._look_up, *asked)
        except (OSError, UnicodeError):  # no such name, or none that could be one
            return ()
