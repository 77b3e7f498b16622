"""Counts the connections that have not proved who they are.

They have limits of their own, so that whoever comes only to stand around cannot
take the room of those who are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from mailnotify.config.schema import Limits


class Strangers:
    """Who waits to be let in, and from where."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[Hashable, str] = {}
        self._per_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, network: str) -> bool:
        """Whether one more from there may wait."""
        return (
            len(self._waiting) < self._limits.strangers
            and self._per_network[network] < self._limits.strangers_per_address
        )

    def join(self, who: Hashable, network: str) -> None:
        """This one waits."""
        self._waiting[who] = network
        self._per_network[network] += 1

    def leave(self, who: Hashable) -> None:
        """This one is known now, or has gone; no harm if he never waited."""
        network = self._waiting.pop(who, None)
        if network is not None:
            self._per_network[network] -= 1
            if not self._per_network[network]:
                del self._per_network[network]
