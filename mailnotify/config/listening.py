"""The tables [listen] and [listen.tls]: where the line protocol is offered, and to whom.

Whatever is not loopback needs TLS. That there is a token, too, is looked at when
the service starts: tokens are no part of the configuration.
"""

from __future__ import annotations

import ipaddress
import stat

from mailnotify.config import files
from mailnotify.config.listen import Listen, ListenTls, PlainFor
from mailnotify.config.origin import Origin
from mailnotify.config.servers import is_host
from mailnotify.config.tables import Table, kind, shown

_MOST_PEM_BYTES = 4 * 1024 * 1024
_WORLD = 0o007
"""A group may read a key, as Debian's ssl-cert does; the world may not."""

_ADDRESS = 'an address, as "127.0.0.1" or "::"'


def read_listen(table: Table, origin: Origin) -> Listen:
    """The whole of [listen]."""
    plain = table.plain(Listen)
    listen = Listen(
        host=_host(table, plain.get("host", Listen().host)),
        port=plain.get("port", Listen().port),
        plain=_plain_for(table),
        users=_texts(table, "users", "names of users"),
        proxies=_networks(table),
        tls=_read_tls(table.table("tls"), origin) if "tls" in table else None,
    )
    if listen.tls is None and not is_loopback(listen.host):
        table.complain(
            "host",
            shown(listen.host),
            "an address of loopback, as 127.0.0.1 or ::1, or a table [listen.tls]",
            "Other machines are served over TLS only: write cert_file and key_file into "
            "[listen.tls], and make a token by `mailnotify token add NAME`.",
        )
    table.close()
    return listen


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only; what is no address counts as such."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True  # a problem of its own


def _host(table: Table, host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        table.complain("host", shown(host) if is_host(host) else "a text", _ADDRESS)
        return host


def _plain_for(table: Table) -> PlainFor:
    found = table.value("plain")
    if found is None:
        return Listen().plain
    if isinstance(found, str) and found in tuple(PlainFor):
        return PlainFor(found)
    choices = ", ".join(f'"{each.value}"' for each in PlainFor)
    table.complain("plain", kind(found), f"one of {choices}")
    return PlainFor.NOBODY


def _texts(table: Table, key: str, what: str) -> tuple[str, ...]:
    found = table.value(key)
    if found is None:
        return ()
    if isinstance(found, list) and all(isinstance(each, str) and each for each in found):
        return tuple(found)
    table.complain(key, kind(found), f"a list of {what}")
    return ()


def _networks(table: Table) -> tuple[str, ...]:
    """Addresses and networks; bits of a host may be set in a network."""
    networks = []
    for text in _texts(table, "proxies", "addresses"):
        try:
            networks.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            table.complain("proxies", "a text", 'addresses, as "10.0.0.7" or "10.0.0.0/24"')
    return tuple(networks)


def _read_tls(table: Table, origin: Origin) -> ListenTls:
    plain = table.plain(ListenTls)
    tls = ListenTls(
        cert_file=_pem(table, "cert_file", "CERTIFICATE", plain, origin),
        key_file=_pem(table, "key_file", "PRIVATE KEY", plain, origin, _WORLD),
        client_ca_file=(
            _pem(table, "client_ca_file", "CERTIFICATE", plain, origin)
            if plain.get("client_ca_file")
            else ""
        ),
        host=_host(table, plain.get("host", "127.0.0.1")),
        port=plain.get("port", 5051),
    )
    table.close()
    return tls


def _pem(
    table: Table, key: str, label: str, plain: dict[str, str], origin: Origin, forbidden: int = 0
) -> str:
    """The path of a PEM file that holds what is expected of it."""
    expected = f"a file with a {label.lower()} in PEM form"
    if not plain.get(key):
        if key not in table:
            table.complain(key, "nothing", expected)
        return ""
    path = origin.resolve(plain[key])
    try:
        content = files.read(path, _MOST_PEM_BYTES)
    except OSError as error:
        table.complain(key, f"{path}: {files.reason(error)}", expected)
        return str(path)
    if f"{label}-----".encode() not in content.data:
        table.complain(key, f"{path}: no {label.lower()} in it", expected)
    elif content.mode & forbidden:
        found = f"{path} with mode {stat.S_IMODE(content.mode):04o}"
        table.complain(key, found, "a file that not everybody can read", f"chmod o= {path}")
    return str(path)
