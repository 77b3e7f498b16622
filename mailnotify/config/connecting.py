"""How connections to mail servers are made: how many at a time, and whether compressed."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct


class Compress(enum.StrEnum):
    """Whether an IMAP connection may be compressed (RFC 4978)."""

    AUTO = "auto"
    OFF = "off"


class Connecting(Struct, frozen=True, kw_only=True):
    """How many connections to mail servers may be on their way at the same time."""

    per_host: Annotated[
        int,
        Meta(
            description=(
                "Attempts at one host, from TCP to the end of the login; others wait their turn."
            ),
            ge=1,
            le=100_000,
        ),
    ] = 8
    in_all: Annotated[
        int, Meta(description="Attempts at all hosts together.", ge=1, le=100_000)
    ] = 32
