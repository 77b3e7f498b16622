"""A commented document to begin with, written from the schema.

Every key of every table is in it once, with its meaning, what it takes and its
default; a key with a default is commented out. Read as it stands it is a valid
configuration of one account at an invented server.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from mailnotify.config.fields import Field
from mailnotify.config.layout import Section, sections

_WIDTH = 88

_HEAD = """\
# The configuration of mailnotify, in TOML (https://toml.io).
# Times are in seconds. A key behind a # has the default that it shows.
# When you have changed it: mailnotify check-config --secrets
"""

_EXAMPLES = {
    "accounts.NAME": {
        "server": 'server = "imaps://ada%40example.org@imap.example.org"',
        "provider": '#provider = "gmail"',
        "user": '#user = "ada@gmail.com"',
        "password": 'password = {command = ["pass", "mail/ada"]}',
        "oauth": '#oauth = {token_command = ["oama", "access", "ada@example.org"]}',
        "trust": '#trust = {ca_file = "ca.pem"}',
    },
    "accounts.NAME.oauth": {
        "token_command": '#token_command = ["oama", "access", "ada@example.org"]',
        "provider": '#provider = "google"',
        "client_id": '#client_id = "1234-abcd.apps.googleusercontent.com"',
        "client_secret": '#client_secret = {keyring = "mailnotify-client"}',
        "scopes": '#scopes = ["https://mail.google.com/"]',
        "authorization_endpoint": (
            '#authorization_endpoint = "https://accounts.google.com/o/oauth2/v2/auth"'
        ),
        "token_endpoint": '#token_endpoint = "https://oauth2.googleapis.com/token"',
        "device_endpoint": '#device_endpoint = "https://oauth2.googleapis.com/device/code"',
        "store": '#store = "file"',
        "tenant": '#tenant = "example.org"',
    },
    "accounts.NAME.submission": {
        "server": '#server = "smtps://ada%40example.org@smtp.example.org"',
        "sender": '#sender = "Ada Lovelace <ada@example.org>"',
        "password": '#password = {file = "submission.secret"}',
        "oauth": '#oauth = {token_command = ["oama", "access", "ada@example.org"]}',
        "trust": '#trust = "system"',
    },
    "listen.tls": {
        "cert_file": '#cert_file = "/etc/mailnotify/cert.pem"',
        "key_file": '#key_file = "/etc/mailnotify/key.pem"',
    },
    "service": {"state_dir": '#state_dir = "~/.local/state/mailnotify"'},
}
"""Lines for what has no default that could be shown."""

_OPTIONAL = {"accounts.NAME.oauth", "accounts.NAME.submission", "listen.tls"}
"""Tables that need a key as soon as they are there."""


def sample() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *("\n".join(_table(each)) + "\n" for each in sections())])


def _table(section: Section) -> Iterator[str]:
    mark = "#" if section.heading in _OPTIONAL else ""
    yield from _comment(section.meaning)
    yield f"{mark}[{section.heading.replace('NAME', 'home')}]"
    for field in section.fields:
        yield ""
        yield from _comment(field.description)
        yield from _entry(section.heading, field)


def _entry(heading: str, field: Field) -> Iterator[str]:
    examples = _EXAMPLES.get(heading, {})
    if field.name in examples:
        yield examples[field.name]
    else:
        bounds = f"  # {field.takes}" if field.takes else ""
        yield f"#{field.name} = {field.default}{bounds}"


def _comment(text: str) -> Iterator[str]:
    for line in wrap(text, _WIDTH):
        yield f"# {line}"
