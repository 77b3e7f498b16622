"""How an account gets its OAuth2 tokens: the table `oauth`, read into values.

Either a program of the operator's prints a token, or mailnotify is itself the
client of a provider whose endpoints stand here. Every endpoint may be named by
the document too, for a tenant of its own or a test; a token goes over https or
does not leave this machine (RFC 6749 §1.6, §3.2).

Sources of the endpoints: accounts.google.com/.well-known/openid-configuration
and login.microsoftonline.com/TENANT/v2.0/.well-known/openid-configuration.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from mailnotify.config.choices import read_command, read_secret
from mailnotify.config.origin import Origin
from mailnotify.config.schema import (
    OAuth,
    OAuthClient,
    OAuthProvider,
    TokenCommand,
    TokenStore,
)
from mailnotify.config.servers import is_host
from mailnotify.config.tables import Table, kind

_FORMS = 'a table with `token_command`, or with `provider` ("google", "microsoft") and `client_id`'
_URL = "an https URL; http is for addresses of loopback alone"
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")
"""A scope-token (RFC 6749 §3.3); ids of clients are no wilder."""
_TENANT = re.compile(r"[A-Za-z0-9.-]{1,253}")
_STAND_IN = "-"

_Choice = TypeVar("_Choice", bound=Enum)


class _Known(Struct, frozen=True, kw_only=True):
    """The endpoints of one provider, and the scopes that mail needs there."""

    authorization_endpoint: str
    token_endpoint: str
    device_endpoint: str
    scopes: tuple[str, ...]


_MICROSOFT = "https://login.microsoftonline.com/TENANT/oauth2/v2.0"
_PROVIDERS: Mapping[OAuthProvider, _Known] = {
    OAuthProvider.GOOGLE: _Known(
        authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
        token_endpoint="https://oauth2.googleapis.com/token",  # noqa: S106
        device_endpoint="https://oauth2.googleapis.com/device/code",
        scopes=("https://mail.google.com/",),
    ),
    OAuthProvider.MICROSOFT: _Known(
        authorization_endpoint=f"{_MICROSOFT}/authorize",
        token_endpoint=f"{_MICROSOFT}/token",
        device_endpoint=f"{_MICROSOFT}/devicecode",
        scopes=(
            "https://outlook.office.com/IMAP.AccessAsUser.All",
            "https://outlook.office.com/SMTP.Send",
            "offline_access",
        ),
    ),
}


def read_oauth(above: Table, origin: Origin) -> OAuth | None:
    """The value of `oauth`; None if there is none, or none that fits."""
    found = above.value("oauth")
    if found is None:
        return None
    if not isinstance(found, dict):
        above.complain("oauth", kind(found), _FORMS)
        return None
    table = above.table("oauth")
    if "token_command" in table:
        command = read_command(table, "token_command", origin)
        table.close()
        return TokenCommand(token_command=command.command) if command else None
    client = _client(table, origin)
    table.close()
    return client


def _client(table: Table, origin: Origin) -> OAuthClient | None:
    provider = _choice(table, "provider", OAuthProvider)
    if provider is None and "provider" not in table:
        table.complain("provider", "nothing", _choices(OAuthProvider), "Or a `token_command`.")
    known = _PROVIDERS[provider or OAuthProvider.GOOGLE]
    tenant = _tenant(table, provider)
    return OAuthClient(
        provider=provider or OAuthProvider.GOOGLE,
        client_id=_client_id(table),
        client_secret=read_secret(table, "client_secret", origin),
        scopes=_scopes(table) or known.scopes,
        authorization_endpoint=_endpoint(table, "authorization", known, tenant),
        token_endpoint=_endpoint(table, "token", known, tenant),
        device_endpoint=_endpoint(table, "device", known, tenant),
        store=_choice(table, "store", TokenStore),
    )


def _client_id(table: Table) -> str:
    found = table.text("client_id", "the id of your application")
    if found is None and "client_id" not in table:
        table.complain(
            "client_id",
            "nothing",
            "the id of your application",
            "docs/configuration.rst tells how to register one.",
        )
    elif found is not None and not _WORD.fullmatch(found):
        table.complain("client_id", "a text that is no id", "the id of your application")
    return found or _STAND_IN


def _tenant(table: Table, provider: OAuthProvider | None) -> str:
    found = table.text("tenant", "the id or the domain of a tenant")
    if found is None:
        return "common"
    if provider is OAuthProvider.GOOGLE:
        table.complain("tenant", "a tenant at Google", "none: only Microsoft has them")
    elif not _TENANT.fullmatch(found):
        table.complain("tenant", "a text", "the id or the domain of a tenant")
    return found


def _scopes(table: Table) -> tuple[str, ...]:
    found = table.value("scopes")
    if found is None:
        return ()
    is_list = isinstance(found, list) and bool(found)
    if not isinstance(found, list) or not is_list or not all(_is_scope(each) for each in found):
        table.complain("scopes", kind(found), "a list of scopes, each a text without spaces")
        return ()
    return tuple(found)


def _is_scope(found: object) -> bool:
    return isinstance(found, str) and _WORD.fullmatch(found) is not None


def _endpoint(table: Table, which: str, known: _Known, tenant: str) -> str:
    key = f"{which}_endpoint"
    found = table.text(key, _URL)
    if found is None:
        usual: str = getattr(known, key)
        return usual.replace("TENANT", tenant)
    if not _is_safe(found):
        # Not shown: somebody may have pasted a code or a token with it.
        table.complain(key, "a text that is no such URL", _URL)
    return found


def _is_safe(url: str) -> bool:
    """Whether what is sent there can be read on the way by nobody."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not url.isascii() or " " in url or parts.fragment or "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return is_host(f"[{host}]" if ":" in host else host)
    return parts.scheme == "http" and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _choice(table: Table, key: str, choices: type[_Choice]) -> _Choice | None:
    found = table.text(key, _choices(choices))
    for each in choices:
        if each.value == found:
            return each
    if found is not None:
        table.complain(key, "a text", _choices(choices))
    return None


def _choices(choices: type[Enum]) -> str:
    return "one of " + ", ".join(f'"{each.value}"' for each in choices)
