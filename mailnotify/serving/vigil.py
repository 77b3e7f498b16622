"""The deadlines of one subscriber's connection, as values: no timer, no clock.

Ten thousand connections with timers of their own would cost more than what they
are sent. So a connection only notes until when it waits for what, and the factory
looks through all of them now and then.
"""

from __future__ import annotations

import enum
from typing import Final

from mailnotify.config.schema import Limits
from mailnotify.core.frames import Farewell
from mailnotify.core.wire import ServerPeer, Stage

CLOSE_SECONDS: Final = 1.0
"""How long a peer may take to read the last words: twistd has to stop within two seconds."""


_OWED: Final = frozenset({Farewell.POLLED, Farewell.QUIT})
"""What was said before these was asked for, and may still be on its way."""


class Lapse(enum.Enum):
    """What can take too long."""

    STEP = "step"
    PING = "ping"
    SILENCE = "silence"
    STALL = "stall"
    CLOSE = "close"


class Vigil:
    """Until when one subscriber may be waited for, and what for.

    Args:
        limits: how long each wait may be.
    """

    __slots__ = ("_limits", "_until")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._until: dict[Lapse, float] = {}

    def heard(
        self,
        peer: ServerPeer,
        now: float,
        *,
        has_progressed: bool,
        is_owing: bool,
        is_unfinished: bool = False,
    ) -> None:
        """Bytes came, or were taken; `has_progressed` if a step of the dialogue was done.

        Args:
            is_owing: he has one step to do, whatever he says meanwhile: a stranger, to be let
                in; who has said HELLO, to say what he wants.
            is_unfinished: he has begun what takes more lines.
        """
        if peer.stage is not Stage.PLAIN:
            self._until[Lapse.PING] = now + self._limits.ping_seconds
            self._until[Lapse.SILENCE] = now + 2 * self._limits.ping_seconds
        if has_progressed and not is_owing:
            self._until.pop(Lapse.STEP, None)
        if peer.has_input or is_owing or is_unfinished:
            self._until.setdefault(Lapse.STEP, now + self._limits.step_seconds)

    def held(self, peer: ServerPeer, now: float) -> None:
        """The subscriber has stopped reading."""
        if peer.stage is Stage.PLAIN:
            self._until[Lapse.STALL] = now + self._limits.stalled_seconds

    def released(self) -> None:
        """The subscriber reads again."""
        self._until.pop(Lapse.STALL, None)

    def closing(self, now: float, farewell: str) -> bool:
        """The last words are said; return whether this was so before."""
        if Lapse.CLOSE in self._until:
            return True
        is_owed = farewell in _OWED
        seconds = self._limits.stalled_seconds if is_owed else CLOSE_SECONDS
        self._until = {Lapse.CLOSE: now + seconds}
        return False

    def lapsed(self, now: float) -> Lapse | None:
        """Take one deadline that has passed."""
        for lapse, until in self._until.items():
            if until <= now:
                del self._until[lapse]
                return lapse
        return None
