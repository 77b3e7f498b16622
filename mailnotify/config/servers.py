"""A mail server and the user there, read from one URL.

``imaps://ada%40example.org@imap.example.org:993``: the scheme says how the
connection is protected, the user is percent-decoded (RFC 3986 §2.1), the port
may be left out. What is wrong with a URL is told without showing any part of
it, since people write passwords into URLs, and into the wrong places there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from mailnotify.config.schema import Security, Server


class Scheme(NamedTuple):
    """What the first word of a URL stands for."""

    port: int
    security: Security


IMAP: Mapping[str, Scheme] = {
    "imaps": Scheme(993, Security.IMPLICIT_TLS),
    "imap+starttls": Scheme(143, Security.STARTTLS),
}
SMTP: Mapping[str, Scheme] = {
    "smtps": Scheme(465, Security.IMPLICIT_TLS),
    "smtp+starttls": Scheme(587, Security.STARTTLS),
}

_IN_CLEAR = {"imap", "smtp", "submission"}
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]{1,253})(?P<port>:[0-9]{0,5})?/?")
_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")


class Misfit(NamedTuple):
    """What is wrong with a URL, in the terms of a `Problem`."""

    found: str
    expected: str
    hint: str = ""


class _Misread(Exception):
    """Carries a misfit up to `read_url`."""


def read_url(text: str, schemes: Mapping[str, Scheme], user: str = "") -> Server | Misfit:
    """Read the URL of a server.

    Args:
        text: as written.
        schemes: `IMAP` or `SMTP`.
        user: the login if the URL names none.
    """
    try:
        scheme, rest = _scheme(text, schemes)
        userinfo, _, address = rest.rpartition("@")
        host, port = _address(address)
        login = _user(userinfo) if userinfo else user
        if not login:
            raise _Misread("no user", example(schemes), "An @ in the user's name is %40.")
    except _Misread as misread:
        return Misfit(*misread.args)
    return Server(host=host, port=port or scheme.port, security=scheme.security, user=login)


def _scheme(text: str, schemes: Mapping[str, Scheme]) -> tuple[Scheme, str]:
    word, colon, rest = text.partition("://")
    word = word.lower()
    if not colon:
        raise _Misread("a text without ://", example(schemes))
    if word in schemes:
        return schemes[word], rest
    if word in _IN_CLEAR:
        raise _Misread(
            f"{word}://, a connection in clear",
            example(schemes),
            "The password and the mail would be readable on the way; mailnotify never does that.",
        )
    raise _Misread("another scheme", example(schemes))


def _user(userinfo: str) -> str:
    if ":" in userinfo:
        raise _Misread(
            "a password in the URL",
            "the user only",
            "Write the secret as `password`; a colon in the user's name is %3A.",
        )
    try:
        user = unquote(userinfo, errors="strict")
    except UnicodeDecodeError:
        user = ""
    if not user.isprintable() or not user:
        raise _Misread("a user that is no printable text in UTF-8", "a percent-encoded user")
    return user


def _address(address: str) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or not is_host(match["host"]):
        raise _Misread(
            "an address that is none",
            "HOST or HOST:PORT after the user",
            "Mailboxes go into `mailboxes`, a secret into `password`.",
        )
    port = (match["port"] or "").removeprefix(":")
    if port and not 1 <= int(port) <= 65535:
        raise _Misread("a port out of range", "a port from 1 to 65535")
    return match["host"].strip("[]").lower(), int(port or 0)


def is_host(host: str) -> bool:
    """Whether this can be the name or the address of a machine."""
    if host.startswith("["):
        return ":" in host
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def example(schemes: Mapping[str, Scheme]) -> str:
    """What may be written, in one phrase."""
    return " or ".join(f"{name}://USER@HOST" for name in schemes)
