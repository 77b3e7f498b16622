"""How letters are sent that the service has taken, as frozen values; a part of `schema`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Outbox(Struct, frozen=True, kw_only=True):
    """How the service sends letters; the limits hold for each account by itself."""

    give_up_days: Annotated[
        float,
        Meta(
            description="A letter that no server took for so long has failed; RFC 5321 asks for 4.",
            gt=0,
            le=365,
        ),
    ] = 5.0
    kept_days: Annotated[
        float,
        Meta(
            description="So long a letter that was sent, failed or cancelled is kept.",
            gt=0,
            le=36500,
        ),
    ] = 14.0
    connections: Annotated[
        int, Meta(description="Connections to a submission server at the same time.", ge=1, le=20)
    ] = 2
    letters_per_minute: Annotated[
        float, Meta(description="No more letters than this; 0 is no limit.", ge=0, le=1_000_000)
    ] = 0.0
