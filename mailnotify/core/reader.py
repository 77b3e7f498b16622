"""How far a named reader has come: what the server keeps for one who cannot."""

from __future__ import annotations

from msgspec import Struct


class ReaderMark(Struct, frozen=True, kw_only=True):
    """The position of one named reader; its epoch is the journal's.

    Attributes:
        owner: the name of the token that it reads by; empty for users of this machine.
        name: given by the reader, unique for its owner.
        seq: the last entry that it has acknowledged.
    """

    owner: str
    name: str
    seq: int
