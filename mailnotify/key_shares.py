"""The key shares of a TLS handshake: which of them a server is sent unasked.

A client of TLS 1.3 guesses the group that the server will take, and sends a share of
a fresh key for it (RFC 8446 §4.2.8). OpenSSL sends two by default: one for X25519, and
one for X25519MLKEM768, whose secrets a quantum computer does not open either. It keeps
both keys for as long as the connection lives, and the second costs 10 KiB, a quarter of
all that OpenSSL needs for one.

So a server that was sent both and took X25519 is offered the other one from then on
without a share. It can still ask for it (HelloRetryRequest), at the price of a round
trip; but many a server takes what lies before it rather than ask. Every `_ASK_AGAIN`
connections it gets both, so that one that learns the better group is soon given it. What
a server took is known from handshakes that ended well: nobody else can have said so. One
that breaks a handshake off with an alert gets both with the next: it may be for want of it.

Where pyOpenSSL cannot tell the group, or OpenSSL knows of no such choice (before 3.5),
all is left as OpenSSL has it.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

_TAKEN: Final = "x25519"
"""As OpenSSL calls the group whose share is always sent."""

_SPARING: Final = b"?X25519MLKEM768:?SecP256r1MLKEM768:?*X25519:DEFAULT"
"""OpenSSL's own groups, the better ones first as it has them, and a share for X25519 alone.

See SSL_CTX_set1_groups_list(3): ``?`` passes over what this OpenSSL has not, ``*`` sends
a share, and what stands before DEFAULT is not repeated by it.
"""

_ASK_AGAIN: Final = 20
"""The share of one connection in twenty adds half a KiB to the mean of all."""

# pyOpenSSL has no method for this yet (26.4); `cryptography` binds it, for pyOpenSSL to
# use. Without it a connection costs more memory, and nothing else.
_set_groups: Final = getattr(Binding().lib, "SSL_set1_curves_list", None)
_CAN_SPARE: Final = _set_groups is not None and hasattr(SSL.Connection, "get_group_name")


class KeyShares:
    """What each server took, and so is sent."""

    def __init__(self) -> None:
        self._spared: dict[tuple[str, int], int] = {}

    def choose(self, connection: SSL.Connection, server: tuple[str, int]) -> None:
        """Choose for a handshake that has not begun.

        Args:
            server: host and port.
        """
        if server not in self._spared:
            return
        self._spared[server] = (self._spared[server] + 1) % _ASK_AGAIN
        if self._spared[server]:
            _spare(connection)

    def took(self, connection: SSL.Connection, server: tuple[str, int]) -> None:
        """A handshake with this server has ended well."""
        if not _CAN_SPARE:
            return
        if (connection.get_group_name() or "").lower() == _TAKEN:
            self._spared.setdefault(server, 0)
        else:
            self._spared.pop(server, None)

    def failed(self, server: tuple[str, int]) -> None:
        """This server broke something off."""
        self._spared.pop(server, None)


def _spare(connection: SSL.Connection) -> None:
    assert _set_groups is not None
    handle = getattr(connection, "_ssl", None)  # pyOpenSSL's own; it may call it otherwise
    if handle is not None and _set_groups(handle, _SPARING) != 1:
        Binding().lib.ERR_clear_error()  # it would be taken for an error of the handshake
