"""Where a secret or a token comes from, as frozen values that document themselves."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct


class FromCommand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line that a command prints, run without a shell."""

    command: tuple[str, ...]


class FromFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a file that nobody else can read (mode 0600)."""

    file: str


class FromEnvironment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of an environment variable."""

    env: str


class FromKeyring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the desktop's keyring; needs the extra ``mailnotify[keyring]``."""

    keyring: str


class Literal(Struct, frozen=True, kw_only=True):
    """A secret in the configuration itself, which then must have mode 0600."""

    text: str

    def __repr__(self) -> str:
        return "Literal(text=<secret>)"


Secret = FromCommand | FromFile | FromEnvironment | FromKeyring | Literal


class TokenCommand(Struct, frozen=True, kw_only=True):
    """A program that prints an OAuth2 access token and keeps it fresh by itself."""

    token_command: tuple[str, ...]


class OAuthProvider(enum.Enum):
    """Who gives out the tokens, and thereby how a person is asked for consent."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"


class TokenStore(enum.Enum):
    """Where grants are kept."""

    KEYRING = "keyring"
    FILE = "file"


class OAuthClient(Struct, frozen=True, kw_only=True):
    """An application registered with an OAuth2 provider (RFC 6749), and its endpoints."""

    provider: Annotated[
        OAuthProvider,
        Meta(
            description=(
                '`"google"`, where consent comes back through the browser, or `"microsoft"`, '
                "where a code is typed in. Run `mailnotify login NAME` once."
            )
        ),
    ]
    client_id: Annotated[
        str, Meta(description="The id of your application, as the provider shows it.")
    ]
    client_secret: Annotated[
        Secret | None,
        Meta(description="Google gives one to each desktop application; written as a `password`."),
    ] = None
    scopes: Annotated[
        tuple[str, ...],
        Meta(description="What is asked for. Default: reading by IMAP and sending by SMTP."),
    ]
    authorization_endpoint: Annotated[
        str,
        Meta(
            description=(
                "Where the browser is sent; https, as all endpoints but those on loopback. "
                "Default: the provider's."
            )
        ),
    ]
    token_endpoint: Annotated[
        str, Meta(description="Where tokens are fetched. Default: the provider's.")
    ]
    device_endpoint: Annotated[
        str, Meta(description="Where codes to type in are fetched. Default: the provider's.")
    ]
    store: Annotated[
        TokenStore | None,
        Meta(
            description=(
                'Where the grant is kept: `"keyring"`, or `"file"` for one with mode 0600 in '
                "`state_dir`. Default: the keyring where there is one."
            )
        ),
    ] = None


OAuth = TokenCommand | OAuthClient
