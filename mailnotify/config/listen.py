"""Where port 5050 is offered, to whom, and what they may cost: a part of `schema`."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct


class PlainFor(enum.StrEnum):
    """Who may read over loopback without proving who he is."""

    USER = "user"
    LOOPBACK = "loopback"
    NOBODY = "off"


class ListenTls(Struct, frozen=True, kw_only=True):
    """A second port that speaks TLS from the first byte; the first one then offers STARTTLS."""

    cert_file: Annotated[str, Meta(description="The certificate with its chain, in PEM form.")]
    key_file: Annotated[str, Meta(description="The private key that belongs to it, in PEM form.")]
    client_ca_file: Annotated[
        str,
        Meta(
            description=(
                "The authorities of client certificates, in PEM form; empty if clients have none."
            )
        ),
    ] = ""
    host: Annotated[
        str, Meta(description='The address to listen on, such as "0.0.0.0" or "::" for all.')
    ] = "127.0.0.1"
    port: Annotated[int, Meta(description="The TCP port; 0 takes a free one.", ge=0, le=65535)] = (
        5051
    )


class Listen(Struct, frozen=True, kw_only=True):
    """Where the line protocol is offered, and to whom."""

    host: Annotated[
        str,
        Meta(
            description=(
                "The address to listen on. One that is not of loopback demands "
                "`[listen.tls]` and a token."
            )
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(description="The TCP port; 0 takes a free one.", ge=0, le=65535)] = (
        5050
    )
    plain: Annotated[
        PlainFor,
        Meta(
            description=(
                'Who may read over loopback without a token: `"user"` (the user of the service, '
                'root and `users`), `"loopback"` (every user of this machine) or `"off"` '
                "(nobody)."
            )
        ),
    ] = PlainFor.USER
    users: Annotated[
        tuple[str, ...],
        Meta(description="Names of further users who may read over loopback, and send letters."),
    ] = ()
    proxies: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Addresses or networks of proxies, which have to begin each connection with a "
                "header of the PROXY protocol, version 2."
            )
        ),
    ] = ()
    tls: Annotated[ListenTls | None, Meta(description="TLS; None if there is none.")] = None


class Limits(Struct, frozen=True, kw_only=True):
    """What one subscriber, and all of them together, may cost."""

    connections: Annotated[int, Meta(description="Subscribers in all.", ge=1, le=1_000_000)] = (
        10_000
    )
    connections_per_address: Annotated[
        int,
        Meta(
            description="Subscribers from one address; of IPv6 a /64 counts as one.",
            ge=1,
            le=1_000_000,
        ),
    ] = 10_000
    strangers: Annotated[
        int,
        Meta(
            description="Of all connections, those that have not proved who they are.",
            ge=1,
            le=1_000_000,
        ),
    ] = 1000
    strangers_per_address: Annotated[
        int,
        Meta(
            description="The same from one address.",
            ge=1,
            le=1_000_000,
        ),
    ] = 50
    readers: Annotated[
        int, Meta(description="Named readers whose positions are kept.", ge=0, le=1_000_000)
    ] = 1000
    line_bytes: Annotated[
        int, Meta(description="The longest line taken from a subscriber.", ge=512, le=65536)
    ] = 4096
    step_seconds: Annotated[
        float,
        Meta(
            description="How long a subscriber may take from one step of its dialogue to the next.",
            gt=0,
            le=86400,
        ),
    ] = 30.0
    ping_seconds: Annotated[
        float,
        Meta(
            description="After this silence a structured subscriber is pinged; after two, cut.",
            gt=0,
            le=86400,
        ),
    ] = 60.0
    stalled_seconds: Annotated[
        float,
        Meta(
            description="A plain subscriber that reads nothing for so long is cut.", gt=0, le=86400
        ),
    ] = 60.0
