"""``--tls``, ``--ca-file``, ``--fingerprint``, ``--token-file``: how a client reaches its server.

Beyond loopback it is always TLS, and the certificate is always verified: by the
authorities of the system, by a file of them, or by being exactly one certificate.
A token is read anew for each connection, from a file that nobody else can read, and
is never sent in clear but over loopback.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python import usage

from mailnotify.auth.secrets import reveal
from mailnotify.config.listening import is_loopback
from mailnotify.config.schema import (
    CaFile,
    FromFile,
    Pinned,
    Security,
    Server,
    SystemTrust,
    Trust,
)
from mailnotify.errors import OperatorError
from mailnotify.tls import Connector

DEFAULT_PORT: Final = 5050
DEFAULT_TLS_PORT: Final = 5051

CONNECT_SECONDS: Final = 15.0
"""For name and TCP together; the server is near, or reached through a tunnel."""

PARAMETERS: Final = [
    ["ca-file", None, None, "Believe the authorities in this PEM file only."],
    ["fingerprint", None, None, "Believe exactly the certificate with this SHA-256 (hex)."],
    ["token-file", "t", None, "The file (mode 0600) with the token that the server wants."],
]
FLAGS: Final = [["tls", None, "Speak TLS over loopback, too; elsewhere it is always TLS."]]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Address(Struct, frozen=True, kw_only=True):
    """Where a mailnotify service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Way(Struct, frozen=True, kw_only=True):
    """How to get there.

    Attributes:
        trust: who vouches for the server; None to speak in clear.
        token_file: holds the token; empty for none.
    """

    address: Address
    trust: Trust | None = None
    token_file: str = ""

    def endpoint(
        self,
        reactor: Any,
        around: Callable[[IStreamClientEndpoint], IStreamClientEndpoint] = lambda plain: plain,
    ) -> IStreamClientEndpoint:
        """One attempt to connect.

        Args:
            around: put around the way in clear, below TLS.

        Raises:
            ConfigInvalid: the CA file cannot be read.
        """
        plain = around(endpoint_of(self.address, reactor))
        if self.trust is None:
            return plain
        host, port = self.address.host, self.address.port
        server = Server(host=host, port=port, security=Security.IMPLICIT_TLS, user="")
        return wrapClientTLS(Connector(reactor).tls_options(server, self.trust), plain)

    def token(self) -> str:
        """What the file holds now; empty if there is none to show.

        Raises:
            SecretUnavailable: the file cannot be read, or others can.
        """
        if not self.token_file:
            return ""
        return reveal(FromFile(file=self.token_file), user="", environ=os.environ)


def read_way(options: usage.Options) -> Way:
    """What the command line says.

    Raises:
        UsageError: it makes no sense.
    """
    text = str(options["server"])
    address = _option(text, DEFAULT_PORT)
    is_far = not _is_this_machine(address.host)
    if is_far or options["tls"]:
        address = _option(text, DEFAULT_TLS_PORT)
        trust = _trust(options)
    elif options["ca-file"] or options["fingerprint"]:
        raise usage.UsageError("--ca-file and --fingerprint need --tls over loopback")
    else:
        trust = None
    way = Way(
        address=address,
        trust=trust,
        token_file=str(Path(options["token-file"]).absolute()) if options["token-file"] else "",
    )
    try:
        way.token()
    except OperatorError as error:
        raise usage.UsageError(f"--token-file: {error.explain()}") from error
    return way


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> Address:
    """Read ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT`` or an IPv6 address.

    Raises:
        ValueError: with what was found and expected.
    """
    if isIPv6Address(text):
        return Address(host=text, port=default_port)
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    bare = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    is_host = isIPv6Address(bare) if host != bare else _is_host_name(bare)
    if not (is_port and is_host):
        raise ValueError(f"found {text!r}, expected HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}")
    return Address(host=bare, port=int(port))


def endpoint_of(address: Address, reactor: Any) -> IStreamClientEndpoint:
    """The way there in clear; an address is not looked up, since that can hang in a thread."""
    host, port = address.host, address.port
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout=CONNECT_SECONDS)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout=CONNECT_SECONDS)
    return HostnameEndpoint(reactor, host, port, timeout=CONNECT_SECONDS)


def _option(text: str, default_port: int) -> Address:
    try:
        return parse_address(text, default_port)
    except ValueError as wrong:
        raise usage.UsageError(f"--server: {wrong}") from wrong


def _is_host_name(text: str) -> bool:
    return 0 < len(text) < 254 and text.isprintable() and not set(text) & set(" /:@[]")


def _is_this_machine(host: str) -> bool:
    """Only what is sure: a name can lead anywhere."""
    is_address = isIPAddress(host) or isIPv6Address(host)
    return host == "localhost" or (is_address and is_loopback(host))


def _trust(options: usage.Options) -> Trust:
    ca_file, fingerprint = options["ca-file"], options["fingerprint"]
    if ca_file and fingerprint:
        raise usage.UsageError("give --ca-file or --fingerprint, not both")
    if ca_file:
        return CaFile(ca_file=str(Path(ca_file).absolute()))
    if not fingerprint:
        return SystemTrust()
    digest = str(fingerprint).replace(":", "").lower()
    if not _SHA256.fullmatch(digest):
        raise usage.UsageError("--fingerprint: expected 64 hexadecimal digits")
    return Pinned(fingerprint=digest)
