"""``--server``, ``--tls``, ``--token-file`` and the like: how a client reaches its servers.

Beyond loopback it is always TLS, and the certificate is always verified: by the
authorities of the system, by a file of them, or by being exactly one certificate.
A token is read anew for each connection, from a file that nobody else can read, and
is never sent in clear but over loopback.

``--server`` may be given several times. What says how to reach one (``--token-file``
…) is given once for all of them, or once for each, in their order.
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
from mailnotify.direct import OverTLS
from mailnotify.errors import OperatorError
from mailnotify.taps.command_line import CommandLine
from mailnotify.taps.key_log import key_log_of
from mailnotify.tls import Connector, Identity, VerifyingClient

DEFAULT_PORT: Final = 5050
DEFAULT_TLS_PORT: Final = 5051

CONNECT_SECONDS: Final = 15.0
"""For name and TCP together; the server is near, or reached through a tunnel."""

_EACH: Final = ("ca-file", "fingerprint", "token-file", "cert", "key")
"""What may differ from server to server."""

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
        is_starttls: begin in clear, and go on in TLS.
        token_file: holds the token; empty for none.
        identity: our own certificate; None to show none.
        key_log: write the keys of TLS down where SSLKEYLOGFILE says.
    """

    address: Address
    trust: Trust | None = None
    is_starttls: bool = False
    token_file: str = ""
    identity: Identity | None = None
    key_log: bool = False

    def endpoint(
        self,
        reactor: Any,
        around: Callable[[IStreamClientEndpoint], IStreamClientEndpoint] = lambda plain: plain,
    ) -> IStreamClientEndpoint:
        """One attempt to connect.

        Args:
            around: put around the way in clear, below TLS.

        Raises:
            ConfigInvalid: the CA file or our own certificate cannot be read.
        """
        plain = around(endpoint_of(self.address, reactor))
        if self.trust is None or self.is_starttls:
            return plain
        return OverTLS(plain, self._options(reactor, self.trust))

    def starttls(self, reactor: Any) -> VerifyingClient | None:
        """How the connection goes on in TLS; None if it stays as it is.

        Raises:
            ConfigInvalid: as for `endpoint`.
        """
        if self.trust is None or not self.is_starttls:
            return None
        return self._options(reactor, self.trust)

    def check(self) -> None:
        """Read every file that there is to read, while there is somebody to complain to.

        Raises:
            ConfigInvalid: the CA file or our own certificate cannot be read.
            SecretUnavailable: the token cannot.
        """
        self.token()
        if self.trust is not None:
            self._options(None, self.trust)

    def _options(self, reactor: Any, trust: Trust) -> VerifyingClient:
        host, port = self.address.host, self.address.port
        server = Server(host=host, port=port, security=Security.IMPLICIT_TLS, user="")
        keys = None if reactor is None else key_log_of(self)
        return Connector(reactor, keys, self.identity).tls_options(server, trust)

    def token(self) -> str:
        """What the file holds now; empty if there is none to show.

        Raises:
            SecretUnavailable: the file cannot be read, or others can.
        """
        if not self.token_file:
            return ""
        return reveal(FromFile(file=self.token_file), user="", environ=os.environ)


class ReachingOptions(CommandLine):
    """The options of whoever follows services."""

    optFlags = [
        ["tls", None, "Speak TLS over loopback, too; elsewhere it is always TLS."],
        ["starttls", None, "Begin on the plain port, and go on in TLS."],
        ["key-log", None, "Write the keys of TLS to $SSLKEYLOGFILE: who has that can read along."],
    ]

    def __init__(self) -> None:
        super().__init__()
        for name in ("server", *_EACH):
            self[name] = []

    def opt_server(self, address: str) -> None:
        """A service to follow, HOST:PORT; several times for several. Default 127.0.0.1:5050."""
        self["server"].append(address)

    def opt_ca_file(self, file: str) -> None:
        """Believe the authorities in this PEM file only."""
        self["ca-file"].append(file)

    def opt_fingerprint(self, digest: str) -> None:
        """Believe exactly the certificate with this SHA-256 (hex)."""
        self["fingerprint"].append(digest)

    def opt_token_file(self, file: str) -> None:
        """The file (mode 0600) with the token that the server wants."""
        self["token-file"].append(file)

    def opt_cert(self, file: str) -> None:
        """Our own certificate (PEM), for a server that knows it."""
        self["cert"].append(file)

    def opt_key(self, file: str) -> None:
        """The key (PEM) of that certificate."""
        self["key"].append(file)

    opt_s = opt_server
    opt_t = opt_token_file


def read_ways(options: ReachingOptions) -> list[Way]:
    """What the command line says of each server.

    Raises:
        UsageError: it makes no sense.
    """
    if options["key-log"] and not os.environ.get("SSLKEYLOGFILE"):
        raise usage.UsageError("--key-log: found no SSLKEYLOGFILE in the environment")
    servers = options["server"] or [f"127.0.0.1:{DEFAULT_PORT}"]
    for name in _EACH:
        if len(options[name]) not in (0, 1, len(servers)):
            raise usage.UsageError(
                f"found --{name} {len(options[name])} times, expected it once, or once for each"
                f" of {len(servers)} servers"
            )
    ways = [
        _way(text, {name: _of(options[name], number) for name in _EACH}, options)
        for number, text in enumerate(servers)
    ]
    addresses = [str(way.address) for way in ways]
    for address in addresses:
        if addresses.count(address) > 1:
            raise usage.UsageError(f"--server: found {address} twice, expected different ones")
    return ways


def _of(values: list[str], number: int) -> str:
    """The value for one server."""
    return "" if not values else values[number] if len(values) > 1 else values[0]


def _way(text: str, given: dict[str, str], options: ReachingOptions) -> Way:
    address = _option(text, DEFAULT_PORT)
    is_starttls = bool(options["starttls"])
    is_secure = not _is_this_machine(address.host) or options["tls"] or is_starttls
    if is_secure and not is_starttls:
        address = _option(text, DEFAULT_TLS_PORT)
    needless = [name for name in ("ca-file", "fingerprint", "cert", "key") if given[name]]
    if needless and not is_secure:
        raise usage.UsageError(f"--{needless[0]} needs --tls or --starttls over loopback")
    if options["tls"] and is_starttls:
        raise usage.UsageError("give --tls or --starttls, not both")
    if bool(given["cert"]) != bool(given["key"]):
        raise usage.UsageError("--cert and --key belong together")
    way = Way(
        address=address,
        trust=_trust(given["ca-file"], given["fingerprint"]) if is_secure else None,
        is_starttls=is_starttls,
        token_file=_absolute(given["token-file"]),
        identity=Identity(cert_file=_absolute(given["cert"]), key_file=_absolute(given["key"]))
        if given["cert"]
        else None,
        key_log=bool(options["key-log"]),
    )
    try:
        way.check()
    except OperatorError as error:
        raise usage.UsageError(f"--server {text}: {error.explain()}") from error
    return way


def _absolute(name: str) -> str:
    return str(Path(name).absolute()) if name else ""


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


def _trust(ca_file: str, fingerprint: str) -> Trust:
    if ca_file and fingerprint:
        raise usage.UsageError("give --ca-file or --fingerprint, not both")
    if ca_file:
        return CaFile(ca_file=_absolute(ca_file))
    if not fingerprint:
        return SystemTrust()
    digest = fingerprint.replace(":", "").lower()
    if not _SHA256.fullmatch(digest):
        raise usage.UsageError("--fingerprint: expected 64 hexadecimal digits")
    return Pinned(fingerprint=digest)
