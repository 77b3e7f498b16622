"""What was learnt of servers that say they can take commands in groups, and cannot.

RFC 2920 lets a client write MAIL, RCPT and DATA at once where the server offers
PIPELINING. Some servers, and some firewalls in front of them, offer it and then
lose what came behind the first line, mix up the order or hang. A server with
which a group went wrong is spoken to step by step for a while, and the while
doubles each time: it costs a good one that was only unplugged a minute, and a
bad one is hardly ever asked again.
"""

from __future__ import annotations

#: Where the server itself said that it was out of step, and where it may have been the network.
CERTAIN_SECONDS = 86_400.0
FIRST_SECONDS = 60.0
MOST_SECONDS = 86_400.0


class Habits:
    """What is known of every server, by ``host:port``. Times are a clock's seconds."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def is_stepwise(self, peer: str, now: float) -> bool:
        """Whether to wait for each reply before the next command."""
        return now < self._until.get(peer, now)

    def broke(self, peer: str, now: float, *, is_certain: bool) -> None:
        """A group of commands went wrong."""
        doubled = min(self._seconds.get(peer, FIRST_SECONDS / 2) * 2, MOST_SECONDS)
        self._seconds[peer] = CERTAIN_SECONDS if is_certain else doubled
        self._until[peer] = now + self._seconds[peer]

    def held(self, peer: str) -> None:
        """A group of commands went well."""
        self._seconds.pop(peer, None)
        self._until.pop(peer, None)
