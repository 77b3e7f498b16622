"""What has happened to subscribers since the start, counted."""

from __future__ import annotations

from msgspec import Struct


class Tally(Struct):
    """Counts of the connections of one service.

    Attributes:
        accepted: taken.
        refused: turned away at a limit.
        foreign: turned away because they come from beyond loopback, and nobody could let them in.
        admitted: let in for a token or a certificate.
        slow: cut; a line or a step of the dialogue took too long.
        silent: cut; structured, and gave no sign of life.
        stalled: cut; plain, and stopped reading.
        failed: cut because of a fault of ours.
    """

    accepted: int = 0
    refused: int = 0
    foreign: int = 0
    admitted: int = 0
    slow: int = 0
    silent: int = 0
    stalled: int = 0
    failed: int = 0
