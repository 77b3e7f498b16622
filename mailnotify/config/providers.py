"""The servers of the large providers, so that an account needs no URL.

Taken from Thunderbird's autoconfiguration database (github.com/thunderbird/
autoconfig, March 2026), where the providers themselves keep their entries, and
for mailbox.org, Infomaniak and the Proton Bridge from public code and reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from msgspec import Struct

from mailnotify.config.schema import Security, Server
from mailnotify.config.servers import IMAP, SMTP, Scheme

_APP_PASSWORD = "Wants an app password, made in the security settings of the account."  # noqa: S105
_OAUTH2_TOO = f"{_APP_PASSWORD[:-1]}, or `oauth`."
_AUTHORISATION_CODE = "Wants an authorisation code, made where IMAP is switched on in the web mail."
_OAUTH2_ONLY = "Accepts OAuth2 only: configure `oauth`, then run `mailnotify login`."
_SWITCH_ON = "IMAP must be switched on in the settings of the web mail."


class Provider(Struct, frozen=True, kw_only=True):
    """Where the mail of one provider is read and submitted.

    Attributes:
        names: what may be written as `provider`; the first is the usual one.
        imap, smtp: (scheme, host, port), the port 0 for the scheme's own.
        note: what a new user stumbles over.
        short_domains: addresses there log in to IMAP by their local part alone.
        signs_itself: no authority knows its certificate; `trust` must name it.
    """

    names: tuple[str, ...]
    imap: tuple[str, str, int]
    smtp: tuple[str, str, int]
    note: str = ""
    short_domains: frozenset[str] = frozenset()
    signs_itself: bool = False

    def imap_server(self, user: str) -> Server:
        """The IMAP server for the user of that address."""
        local, _, domain = user.rpartition("@")
        login = local if domain.lower() in self.short_domains else user
        return _server(self.imap, IMAP, login)

    def smtp_server(self, user: str) -> Server:
        """The submission server for the user of that address."""
        return _server(self.smtp, SMTP, user)


def _server(place: tuple[str, str, int], schemes: Mapping[str, Scheme], user: str) -> Server:
    name, host, port = place
    scheme = schemes[name]
    return Server(host=host, port=port or scheme.port, security=scheme.security, user=user)


def _provider(names: str, imap: str, smtp: str, note: str = "") -> Provider:
    """A provider with both servers on implicit TLS and their usual ports."""
    return Provider(
        names=tuple(names.split()), imap=("imaps", imap, 0), smtp=("smtps", smtp, 0), note=note
    )


PROVIDERS: tuple[Provider, ...] = (
    _provider("gmail googlemail google", "imap.gmail.com", "smtp.gmail.com", _OAUTH2_TOO),
    Provider(
        names=("outlook", "hotmail", "live"),
        imap=("imaps", "outlook.office365.com", 0),
        smtp=("smtp+starttls", "smtp-mail.outlook.com", 0),
        note=_OAUTH2_ONLY,
    ),
    Provider(
        names=("office365", "microsoft365"),
        imap=("imaps", "outlook.office365.com", 0),
        smtp=("smtp+starttls", "smtp.office365.com", 0),
        note=_OAUTH2_ONLY,
    ),
    _provider("yahoo", "imap.mail.yahoo.com", "smtp.mail.yahoo.com", _APP_PASSWORD),
    _provider("aol", "imap.aol.com", "smtp.aol.com", _APP_PASSWORD),
    Provider(
        names=("icloud", "apple"),
        imap=("imaps", "imap.mail.me.com", 0),
        smtp=("smtp+starttls", "smtp.mail.me.com", 0),
        note=_APP_PASSWORD,
        short_domains=frozenset({"icloud.com", "me.com", "mac.com"}),
    ),
    _provider("fastmail", "imap.fastmail.com", "smtp.fastmail.com", _APP_PASSWORD),
    _provider("gmx gmx.net gmx.de", "imap.gmx.net", "mail.gmx.net", _SWITCH_ON),
    _provider("gmx.com", "imap.gmx.com", "mail.gmx.com", _SWITCH_ON),
    _provider("web.de", "imap.web.de", "smtp.web.de", _SWITCH_ON),
    _provider("mail.com", "imap.mail.com", "smtp.mail.com"),
    _provider("posteo", "posteo.de", "posteo.de"),
    _provider("mailbox.org", "imap.mailbox.org", "smtp.mailbox.org"),
    _provider("t-online", "secureimap.t-online.de", "securesmtp.t-online.de"),
    _provider("strato", "imap.strato.de", "smtp.strato.de"),
    _provider("hetzner", "mail.your-server.de", "mail.your-server.de"),
    _provider("infomaniak", "mail.infomaniak.com", "mail.infomaniak.com"),
    _provider("gandi", "mail.gandi.net", "mail.gandi.net"),
    _provider("ovh", "ssl0.ovh.net", "ssl0.ovh.net"),
    _provider("orange", "imap.orange.fr", "smtp.orange.fr"),
    _provider("libero", "imapmail.libero.it", "smtp.libero.it"),
    _provider("seznam", "imap.seznam.cz", "smtp.seznam.cz"),
    _provider("zoho zoho.com", "imap.zoho.com", "smtp.zoho.com"),
    _provider("zoho.eu", "imap.zoho.eu", "smtp.zoho.eu"),
    _provider("yandex", "imap.yandex.com", "smtp.yandex.com", _APP_PASSWORD),
    _provider("mail.ru", "imap.mail.ru", "smtp.mail.ru", _APP_PASSWORD),
    _provider("naver", "imap.naver.com", "smtp.naver.com", _SWITCH_ON),
    _provider("163 163.com netease", "imap.163.com", "smtp.163.com", _AUTHORISATION_CODE),
    _provider("126 126.com", "imap.126.com", "smtp.126.com", _AUTHORISATION_CODE),
    _provider("qq qq.com", "imap.qq.com", "smtp.qq.com", _AUTHORISATION_CODE),
    Provider(
        names=("protonbridge", "proton"),
        imap=("imap+starttls", "127.0.0.1", 1143),
        smtp=("smtp+starttls", "127.0.0.1", 1025),
        note="The Bridge runs on this machine; it shows the password and exports its certificate.",
        signs_itself=True,
    ),
)

_KEEP_SENT = frozenset(
    {"smtp.gmail.com", "smtp-mail.outlook.com", "smtp.office365.com", "outlook.office365.com"}
)
"""Gmail and Exchange Online file what is submitted; a second copy would be a second letter."""

BY_NAME: Mapping[str, Provider] = {name: each for each in PROVIDERS for name in each.names}


def note_for(server: Server) -> str:
    """What a new user of this server stumbles over; empty if nothing is known."""
    for each in PROVIDERS:
        known = each.imap_server(server.user)
        if (known.host, known.port) == (server.host, server.port):
            return each.note
    return ""


def keeps_sent(server: Server) -> bool:
    """Whether this submission server puts a copy into the Sent mailbox by itself."""
    return server.host in _KEEP_SENT


_CONNECTIONS = {"imap.gmail.com": 10, "imap.mail.me.com": 3}
"""Of 15 and some 5 that are allowed; the rest is for the person's other programs."""

_FEW_CONNECTIONS = 4
"""Where nothing is known: what Courier allows for one address."""


def connections_for(server: Server) -> int:
    """How many connections an account at this server may hold."""
    return _CONNECTIONS.get(server.host, _FEW_CONNECTIONS)


_IDLE_SECONDS = {
    "imap.aol.com": 240.0,
    "imap.mail.yahoo.com": 240.0,
    "imap.larksuite.com": 540.0,
}
"""AOL ends an IDLE after 300 s (imapfilter, issue 311), and Yahoo runs it; Lark after 10 min."""


def idle_seconds_for(server: Server) -> float:
    """How long one IDLE may last at this server; for ever where nothing is known."""
    return _IDLE_SECONDS.get(server.host, inf)


def security_name(security: Security) -> str:
    """As people call it."""
    return {Security.IMPLICIT_TLS: "TLS", Security.STARTTLS: "STARTTLS"}[security]
