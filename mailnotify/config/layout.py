"""The tables of the document, and the fields that each may hold.

The document is laid out for a person who writes it: `[service]` and `[timing]`
are tables of their own there, an account's name is the key of its table. The
values (`schema`) are laid out for the program. This page joins the two; the
sample document, the documentation and the hints for misplaced keys follow it.
"""

from __future__ import annotations

from functools import cache
from inspect import getdoc

from msgspec import Struct

from mailnotify.config.connecting import Connecting
from mailnotify.config.fields import Field, fields_of
from mailnotify.config.listen import Listen, ListenTls
from mailnotify.config.outbox import Outbox
from mailnotify.config.schema import (
    Account,
    Config,
    Limits,
    OAuthClient,
    Retention,
    Submission,
    Timing,
)

PROVIDER = Field(
    name="provider",
    type_=str,
    description="The name of a large provider, in place of `server`.",
    takes="a text",
)
USER = Field(
    name="user",
    type_=str,
    description="The login, where `server` does not hold it; usually the whole address.",
    takes="a text",
)


TOKEN_COMMAND = Field(
    name="token_command",
    type_=object,
    description=(
        'A program that prints an access token, as in `["oama", "access", "ada@example.org"]`; '
        "then none of the other keys."
    ),
    takes="",
)
TENANT = Field(
    name="tenant",
    type_=str,
    description='At Microsoft: the id or the domain of an organisation. Default: `"common"`.',
    takes="a text",
)


class Section(Struct, frozen=True, kw_only=True):
    """One table of the document.

    Attributes:
        heading: as in ``accounts.NAME.timing``.
        meaning: one sentence.
    """

    heading: str
    meaning: str
    fields: tuple[Field, ...]


@cache
def sections() -> tuple[Section, ...]:
    """All tables, in the order in which a person wants to read them."""
    account = _without(Account, "name", "timing", "submission")
    return (
        Section(
            heading="accounts.NAME",
            meaning=f"{_meaning(Account)} NAME appears in every event.",
            fields=(account[0], PROVIDER, USER, *account[1:]),
        ),
        Section(
            heading="accounts.NAME.oauth",
            meaning="OAuth2 in place of a password: where this account's tokens come from.",
            fields=(TOKEN_COMMAND, *fields_of(OAuthClient), TENANT),
        ),
        Section(
            heading="accounts.NAME.submission",
            meaning=_meaning(Submission),
            fields=fields_of(Submission),
        ),
        Section(
            heading="accounts.NAME.timing",
            meaning="Overrides of `[timing]` for one account; the same keys.",
            fields=(),
        ),
        Section(heading="timing", meaning=_meaning(Timing), fields=fields_of(Timing)),
        Section(
            heading="service",
            meaning="What concerns the service as a whole.",
            fields=_only(Config, "state_dir", "key_log"),
        ),
        Section(
            heading="listen",
            meaning=_meaning(Listen),
            fields=_without(Listen, "tls"),
        ),
        Section(heading="listen.tls", meaning=_meaning(ListenTls), fields=fields_of(ListenTls)),
        Section(heading="connecting", meaning=_meaning(Connecting), fields=fields_of(Connecting)),
        Section(heading="limits", meaning=_meaning(Limits), fields=fields_of(Limits)),
        Section(heading="outbox", meaning=_meaning(Outbox), fields=fields_of(Outbox)),
        Section(heading="retention", meaning=_meaning(Retention), fields=fields_of(Retention)),
    )


def home_of(key: str) -> str:
    """The table that a key belongs in, as in ``[timing]``; empty if there is none."""
    for section in sections():
        if any(field.name == key for field in section.fields):
            return f"[{section.heading}]"
    return ""


def _only(struct: type[Struct], *names: str) -> tuple[Field, ...]:
    return tuple(each for each in fields_of(struct) if each.name in names)


def _without(struct: type[Struct], *names: str) -> tuple[Field, ...]:
    return tuple(each for each in fields_of(struct) if each.name not in names)


def _meaning(struct: type[Struct]) -> str:
    return (getdoc(struct) or "").partition("\n")[0]
