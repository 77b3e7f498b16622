"""What a host has shown of itself, remembered as long as the service runs.

All connections to one host share this: what one has suffered, the others need
not. Nothing here is for ever, and nothing is certain; so one bad answer is
believed where it is plain, and a silence only the second time.

- Some servers cannot take a command before the one before it is answered. They
  are spoken to step by step, which costs a round trip for each message.
- Some offer what they then will not do, NOTIFY above all.
- Servers and NATs cut what is silent for too long, and few say when. Where it
  happened twice after the same time, IDLE is renewed before that. Of the large
  providers it is known before (`mailnotify.config.providers`).
"""

from __future__ import annotations

from collections.abc import Set

from mailnotify.imap.responses import shared

LONGEST_IDLE_SECONDS = 28 * 60.0
"""RFC 2177 lets a server log us out after 30 min."""

LEAST_SILENCE_SECONDS = 20.0
"""A connection that breaks sooner did not break because it was silent."""

_SAFELY = 0.8
"""Of the silence that a connection did not survive."""

_SAME = 0.1
"""Silences that differ by less have the same cause."""

_HANGS = 2
"""A network that fails looks like a server that hangs; it does not twice running."""


class Habits:
    """One host's.

    Args:
        idle_seconds: how long an IDLE is known to last there.

    Attributes:
        is_stepwise: it is to be sent one command at a time.
    """

    def __init__(
        self, *, is_stepwise: bool = False, idle_seconds: float = LONGEST_IDLE_SECONDS
    ) -> None:
        self.is_stepwise = is_stepwise
        self._takes_bursts = False
        self._hangs = 0
        self._untrue: set[str] = set()
        self._idle_seconds = min(idle_seconds, LONGEST_IDLE_SECONDS)
        self._last_silence_seconds = 0.0

    # -- what it offers

    def believed(self, capabilities: Set[str]) -> frozenset[str]:
        """Of what it offers, what it was not seen to refuse."""
        return shared(frozenset(capabilities - self._untrue))

    def refused(self, capability: str) -> None:
        """It will not do what it offers."""
        self._untrue.add(capability)

    # -- several commands in one write

    def took_burst(self) -> None:
        """It has answered a command that came behind another: now it is known."""
        self._takes_bursts = True

    def broke_at_burst(self) -> bool:
        """It did not understand one; whether that means that it never will."""
        self.is_stepwise = self.is_stepwise or not self._takes_bursts
        return self.is_stepwise

    def hung_at_burst(self) -> None:
        """It has not answered one."""
        self._hangs += 1
        if self._hangs >= _HANGS:
            self.broke_at_burst()

    # -- silence

    def idle_seconds(self, configured_seconds: float) -> float:
        """How long one IDLE may last."""
        return min(configured_seconds, self._idle_seconds)

    def cut_after(self, silence_seconds: float) -> None:
        """A connection was lost after so long a silence."""
        if silence_seconds < LEAST_SILENCE_SECONDS:
            return
        last, self._last_silence_seconds = self._last_silence_seconds, silence_seconds
        if abs(last - silence_seconds) <= _SAME * silence_seconds:
            shortest = min(last, silence_seconds)
            self._idle_seconds = min(self._idle_seconds, _SAFELY * shortest)
