"""Whose process is at the other end of a connection over loopback.

Linux tells the owner of a socket by sock_diag(7): one question over netlink for
one pair of addresses, answered from the kernel's hash table in some 20 µs, however
many connections there are. A socket that its process has let go of has no owner
(its number of an inode is 0, and its uid would read as root's): nobody is there.

Elsewhere the question cannot be asked, and the answer is always "unknown".
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import ip_address
from typing import Final

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST: Final = 1  # NLM_F_REQUEST
_HEADER: Final = struct.Struct("=IHHII")
_ANY_STATE: Final = 0xFFFFFFFF
_NO_COOKIE: Final = b"\xff" * 8
_UID_AT: Final = _HEADER.size + 4 + 48 + 12  # idiag_uid and idiag_inode of inet_diag_msg
_OWNER: Final = struct.Struct("=II")
_MOST_BYTES: Final = 8192

Place = tuple[str, int]
"""An address and a port."""


def can_tell() -> bool:
    """Whether `owner_of` has anybody to ask: Linux, without a sandbox that forbids netlink."""
    try:
        _open_kernel().close()
    except OSError:
        return False
    return True


def owner_of(theirs: Place, ours: Place) -> int | None:
    """The user id of the process whose socket is bound to `theirs` and connected to `ours`.

    None if there is no such socket on this machine, or nobody can tell.
    """
    question = _question(theirs, ours)
    try:
        with _open_kernel() as kernel:
            kernel.settimeout(1)  # the kernel answers before `send` returns
            kernel.send(question)
            return _answer(kernel.recv(_MOST_BYTES))
    except OSError:
        return None


def _open_kernel() -> socket.socket:
    if sys.platform != "linux":
        raise OSError("only Linux tells")
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG)


def _question(theirs: Place, ours: Place) -> bytes:
    family, source = _packed(theirs[0])
    _, destination = _packed(ours[0])
    body = (
        struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ANY_STATE)
        + struct.pack("!HH", theirs[1], ours[1])
        + source.ljust(16, b"\0")
        + destination.ljust(16, b"\0")
        + struct.pack("=I", 0)
        + _NO_COOKIE
    )
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body


def _packed(address: str) -> tuple[int, bytes]:
    """An address that is IPv4 within IPv6 is looked up as what it is."""
    ip = ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return (socket.AF_INET if ip.version == 4 else socket.AF_INET6), ip.packed


def _answer(message: bytes) -> int | None:
    if len(message) < _UID_AT + _OWNER.size or _HEADER.unpack_from(message)[1] != _BY_FAMILY:
        return None
    uid, inode = _OWNER.unpack_from(message, _UID_AT)
    return uid if inode else None
