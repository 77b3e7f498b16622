"""Everything an operator may configure, as frozen values that document themselves.

The description, the bounds and the default of each field stand here once.
`load` turns a TOML document into these values and reports every problem;
`sample` writes a commented document from them; docs/configuration.rst is
generated from them. Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct

from mailnotify.config.connecting import Compress, Connecting
from mailnotify.config.credentials import (
    FromCommand as FromCommand,
    FromEnvironment as FromEnvironment,
    FromFile as FromFile,
    FromKeyring as FromKeyring,
    Literal as Literal,
    OAuth as OAuth,
    OAuthClient as OAuthClient,
    OAuthProvider as OAuthProvider,
    Secret as Secret,
    TokenCommand as TokenCommand,
    TokenStore as TokenStore,
)
from mailnotify.config.listen import Limits as Limits, Listen as Listen
from mailnotify.config.outbox import Outbox
from mailnotify.core.patterns import Wanted, read_wanted


class Security(enum.Enum):
    """How a connection to a mail server is protected; there is no third way."""

    IMPLICIT_TLS = "tls"
    STARTTLS = "starttls"


class Server(Struct, frozen=True, kw_only=True):
    """One mail server and the user there, written as one URL."""

    host: str
    port: int
    security: Security
    user: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SystemTrust(Struct, frozen=True, kw_only=True):
    """The certificate authorities of the system. The default."""


class CaFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the authorities in this PEM file; the host name is verified all the same."""

    ca_file: str


class Pinned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly the certificate with this SHA-256 fingerprint (hex), whatever its name."""

    fingerprint: str


Trust = SystemTrust | CaFile | Pinned


class Timing(Struct, frozen=True, kw_only=True):
    """Intervals and deadlines of watching and sending.

    ``[timing]`` sets them for all accounts, ``[accounts.NAME.timing]`` for one.
    """

    poll_seconds: Annotated[
        float,
        Meta(
            description=(
                "How often mailboxes are polled of which the server does not tell by itself. Each "
                "time up to a fifth sooner, by chance."
            ),
            ge=0.05,
            le=86400,
        ),
    ] = 60.0
    idle_poll_seconds: Annotated[
        float,
        Meta(
            description=(
                "The same with IDLE or NOTIFY: how often a server that should tell must prove "
                "that it is still there. A dead line is noticed before (`silent_peer_seconds`)."
            ),
            ge=0.05,
            le=86400,
        ),
    ] = 180.0
    idle_renewal_seconds: Annotated[
        float,
        Meta(
            description="How long one IDLE lasts before its renewal; RFC 2177 allows 29 min.",
            ge=0.05,
            le=1740,
        ),
    ] = 540.0
    connect_seconds: Annotated[
        float,
        Meta(
            description="The deadline for TCP, TLS handshake and greeting together.",
            ge=0.05,
            le=600,
        ),
    ] = 30.0
    command_seconds: Annotated[
        float,
        Meta(description="The deadline for one command and its whole answer.", ge=0.05, le=3600),
    ] = 60.0
    accept_seconds: Annotated[
        float,
        Meta(
            description=(
                "How long a server may take to accept a letter that it has in full; giving up "
                "early doubles letters, so RFC 5321 asks for 600."
            ),
            ge=0.05,
            le=3600,
        ),
    ] = 600.0
    first_retry_seconds: Annotated[
        float,
        Meta(
            description="The delay before the first reconnect; it doubles from there.",
            ge=0.01,
            le=86400,
        ),
    ] = 1.0
    longest_retry_seconds: Annotated[
        float, Meta(description="No delay between reconnects is longer.", ge=0.01, le=86400)
    ] = 300.0
    safety_seconds: Annotated[
        float,
        Meta(
            description=(
                "How often the server's hints are compared with what its mailbox holds; in "
                "place of a poll, and at least as often if this is less."
            ),
            ge=0.05,
            le=86400,
        ),
    ] = 600.0
    list_seconds: Annotated[
        float,
        Meta(
            description=(
                "How often patterns of `mailboxes` are looked into for mailboxes that came and "
                "went; where the server has NOTIFY, it tells of them at once."
            ),
            ge=0.05,
            le=86400,
        ),
    ] = 300.0
    blind_seconds: Annotated[
        float,
        Meta(
            description=(
                "How long a mailbox may be out of sight (no connection, a refused login, a "
                "server that asks to wait) before readers are told by an `account` event."
            ),
            ge=0.05,
            le=604800,
        ),
    ] = 300.0
    silent_peer_seconds: Annotated[
        float,
        Meta(
            description=(
                "A connection whose other end acknowledges nothing for so long is cut (TCP "
                "keepalive and user timeout)."
            ),
            ge=2,
            le=32767,
        ),
    ] = 60.0
    denied_retry_seconds: Annotated[
        float,
        Meta(
            description=(
                "The delay after a refused login, so that no account gets locked; it doubles "
                "with each."
            ),
            ge=0.01,
            le=86400,
        ),
    ] = 900.0
    longest_denied_retry_seconds: Annotated[
        float,
        Meta(description="No delay after a refused login is longer.", ge=0.01, le=604800),
    ] = 21600.0


class Submission(Struct, frozen=True, kw_only=True):
    """Where an account's outgoing mail is submitted (RFC 6409)."""

    server: Annotated[
        Server,
        Meta(
            description=(
                "`smtps://USER@HOST[:465]` or `smtp+starttls://USER@HOST[:587]`. "
                "Default: the provider's; without `USER@`, the account's user."
            )
        ),
    ]
    sender: Annotated[
        str,
        Meta(
            description="The From of letters: an address, or `Name <address>`. Default: the user."
        ),
    ]
    password: Annotated[
        Secret | None, Meta(description="Default: the password or `oauth` of the account.")
    ] = None
    oauth: Annotated[
        OAuth | None, Meta(description="In place of a password, as in the account.")
    ] = None
    trust: Annotated[Trust, Meta(description="Default: the trust of the account.")] = SystemTrust()
    identities: Annotated[
        tuple[str, ...],
        Meta(description="Further senders, as `sender` is; `--from` chooses one by its address."),
    ] = ()
    sent_copy: Annotated[
        str,
        Meta(
            description=(
                "The mailbox for copies of what the service has sent. `auto`: the one that the "
                "server marks as such, unless the provider keeps copies itself. `never`: none."
            )
        ),
    ] = "auto"

    @property
    def proof(self) -> Secret | OAuth:
        """The password or the OAuth2 that was configured: there is exactly one."""
        proof = self.password or self.oauth
        assert proof is not None
        return proof


class Account(Struct, frozen=True, kw_only=True):
    """One IMAP account and its watched mailboxes."""

    name: Annotated[str, Meta(description="The key of the table; appears in every event.")]
    server: Annotated[
        Server,
        Meta(
            description=(
                "`imaps://USER@HOST[:993]` or `imap+starttls://USER@HOST[:143]`; "
                "or `provider` and `user` instead."
            )
        ),
    ]
    password: Annotated[
        Secret | None,
        Meta(
            description=(
                '`{command = ["pass", "mail"]}`, `{file = "PATH"}`, `{env = "NAME"}`, '
                '`{keyring = "SERVICE"}`, or a string if only you can read this file.'
            )
        ),
    ] = None
    oauth: Annotated[
        OAuth | None,
        Meta(
            description=(
                'OAuth2 in place of a password: `{token_command = ["PROGRAM", …]}`, or a table '
                "[accounts.NAME.oauth]."
            )
        ),
    ] = None
    mailboxes: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "The mailboxes to watch: names, patterns (`Lists/*`, `Lists/%`) and exceptions "
                "from patterns (`!Lists/spam`)."
            )
        ),
    ] = ("INBOX",)
    announce_copies: Annotated[
        bool,
        Meta(
            description=(
                "Whether a message that lies in several watched mailboxes (labels, copies, "
                "moved mail) is announced in each; else once, where it is found first."
            )
        ),
    ] = False
    connections: Annotated[
        int,
        Meta(description="Held at most; 0 for what its provider allows.", ge=0, le=1000),
    ] = 0
    trust: Annotated[
        Trust,
        Meta(
            description=(
                '`{ca_file = "PATH"}`, `{fingerprint = "SHA256-HEX"}` or `"system"`, the default.'
            )
        ),
    ] = SystemTrust()
    compress: Annotated[
        Compress,
        Meta(
            description=(
                '`"auto"` compresses a connection on which there is much to fetch, if the server '
                'can; `"off"` none.'
            )
        ),
    ] = Compress.AUTO
    preview_bytes: Annotated[
        int,
        Meta(
            description="First words told of a mail; HTML needs `mailnotify[preview]`.",
            ge=0,
            le=1000,
        ),
    ] = 0
    backfill_days: Annotated[
        int,
        Meta(
            description=(
                "Of a mailbox that is seen for the first time, mail that is not older than this "
                "is announced; 0 for none."
            ),
            ge=0,
            le=365,
        ),
    ] = 0
    timing: Annotated[Timing, Meta(description="Overrides of [timing] for this account.")] = (
        Timing()
    )
    submission: Annotated[
        Submission | None, Meta(description="How this account sends mail; None if it does not.")
    ] = None

    @property
    def wanted(self) -> Wanted:
        """Which mailboxes these are."""
        return read_wanted(self.mailboxes)

    @property
    def proof(self) -> Secret | OAuth:
        """The password or the OAuth2 that was configured: there is exactly one."""
        proof = self.password or self.oauth
        assert proof is not None
        return proof

    @property
    def oauth_client(self) -> OAuthClient | None:
        """The one OAuth2 client that `mailnotify login` asks for; None if there is none."""
        ways = [self.oauth, self.submission.oauth if self.submission else None]
        return next((each for each in ways if isinstance(each, OAuthClient)), None)


class Retention(Struct, frozen=True, kw_only=True):
    """How much of the past the journal keeps."""

    days: Annotated[
        float, Meta(description="Entries older than this are forgotten.", gt=0, le=36500)
    ] = 90.0
    entries: Annotated[
        int, Meta(description="No more entries than this are kept.", ge=1, le=1_000_000_000)
    ] = 1_000_000
    reader_days: Annotated[
        float,
        Meta(description="A named reader that is idle for so long is forgotten.", gt=0, le=36500),
    ] = 90.0


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration of the service."""

    state_dir: Annotated[
        str,
        Meta(
            description=(
                "Where the journal lies. Default: $STATE_DIRECTORY, $XDG_STATE_HOME/mailnotify, "
                "~/.local/state/mailnotify."
            )
        ),
    ]
    accounts: Annotated[tuple[Account, ...], Meta(description="One table for each account.")]
    key_log: Annotated[
        bool,
        Meta(
            description=(
                "Whether SSLKEYLOGFILE is honoured: whoever reads that file can read all that "
                "went through TLS."
            )
        ),
    ] = False
    listen: Annotated[Listen, Meta(description="Where the line protocol is offered.")] = Listen()
    connecting: Annotated[
        Connecting, Meta(description="How many servers are connected to at a time.")
    ] = Connecting()
    limits: Annotated[Limits, Meta(description="What subscribers may cost.")] = Limits()
    outbox: Annotated[Outbox, Meta(description="How letters are sent.")] = Outbox()
    retention: Annotated[Retention, Meta(description="How much of the past is kept.")] = Retention()
