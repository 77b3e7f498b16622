"""Lets the kernel notice an other end that is gone without a word.

A mail server that loses power, a NAT that forgets, a cable that is pulled: TCP
says nothing of them as long as nothing is sent, and for a quarter of an hour if
something is. Keepalive (RFC 9293 §3.8.4) asks while all is quiet, and the user
timeout (RFC 5482) gives up on what stays unacknowledged. Both end the connection
within `seconds`, whatever the application is at; where a platform lacks them, the
polls still do.

What we say is short, and no second word of it may wait for the acknowledgement of
the first: TCP_NODELAY is set in the same place.
"""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.interfaces import ITCPTransport
from twisted.protocols.policies import ProtocolWrapper

_PROBES: Final = 4
"""How many may stay unanswered: one that was lost is no death."""


def keep_alive(transport: object, seconds: float) -> None:
    """Cut this connection when its other end acknowledges nothing for so long.

    Args:
        transport: of TCP, with TLS or without; any other kind is let be.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    if ITCPTransport.providedBy(transport) and hasattr(transport, "getHandle"):
        for level, name, value in _options(seconds):
            if hasattr(socket, name):
                transport.getHandle().setsockopt(level, getattr(socket, name), value)


def _options(seconds: float) -> tuple[tuple[int, str, int], ...]:
    """Half of the time in quiet, the other half for the probes."""
    idle_seconds = max(int(seconds / 2), 1)
    probe_seconds = max(int((seconds - idle_seconds) / _PROBES), 1)
    return (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle_seconds),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", probe_seconds),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", _PROBES),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", int(seconds * 1000)),
    )
