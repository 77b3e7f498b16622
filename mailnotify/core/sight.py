"""Whether a mailbox is seen: what was proved, for how long nothing was, what to tell.

A watcher that has died looks like a quiet mailbox. So a mailbox counts as seen
only as long as its server *proves* that it would have told us: by answering a
poll, by its answer when we caught up. A `Sight` keeps the last of these proofs
and the first failure after it, and says when an account event is due:

::

    connected ──no proof for longer than the bound──▶ blind ──▶ throttled ──▶ denied
        ▲                                               │           │            │
        └─────────────────────── proved ────────────────┴───────────┴────────────┘

In the dark a state only ever gets worse: a server that refuses the login, and
then cannot be reached, has still refused it. So a server that comes and goes is
no flood. What was told last outlives the process: a service that starts again
tells that it sees only to those who heard that it did not. A mailbox that is gone, or
is watched no more, while readers believe it unseen, is told ``ended``.

Durations are measured on a clock that nobody can set and that stands still
while the machine sleeps: nobody looked then, and nobody is alarmed at waking.
"""

from __future__ import annotations

from datetime import datetime
from math import inf
from typing import Final

from msgspec import Struct

from mailnotify.core.condition import BLIND, CONNECTED, DENIED, ENDED, THROTTLED, Condition
from mailnotify.core.events import AccountState

RECONNECT_SECONDS: Final = 30.0
"""A failure is told no sooner, unless the bound is shorter: most are mended by then."""

_WORSE: Final = (CONNECTED, BLIND, THROTTLED, DENIED)
"""Each is worse than the one before."""


class Instant(Struct, frozen=True, kw_only=True):
    """A moment on two clocks.

    Attributes:
        seconds: on a clock that nobody can set, to measure with.
        at: in UTC, to tell people.
    """

    seconds: float
    at: datetime


_SILENCE: Final = Condition(
    state=BLIND,
    cause="the server has shown nothing for too long",
    remedy="Check the network and the server; mailnotify keeps trying.",
)


_END: Final = Condition(state=ENDED, cause="the mailbox is not there or not watched any more")


class Bounds(Struct, frozen=True, kw_only=True):
    """How long nothing may be proved.

    Attributes:
        blind_seconds: after a failure.
        quiet_seconds: without one: how far apart the proofs of a healthy server are.
    """

    blind_seconds: float
    quiet_seconds: float


class Health(Struct, frozen=True, kw_only=True):
    """How it stands with one mailbox.

    Attributes:
        state: what readers believe: ``connected``, ``blind``, ``throttled``, ``denied``, or
            ``ended`` of one that was gone and is not seen again yet.
        since: when that began, in UTC.
        last_proof: when the server last showed that it would have told us; None if it
            has not since the service began.
        cause: what is in the way now, told or not; empty if nothing is.
        remedy: what a person can do; empty if nothing is in the way.
        checks: how often the server's hints were compared with its STATUS.
        missed: how many messages only these comparisons have found.
    """

    account: str
    mailbox: str
    state: str
    since: datetime
    last_proof: datetime | None
    cause: str
    remedy: str
    checks: int
    missed: int


class Sight:
    """What is known of one mailbox. Tell it what happens, then ask `due`.

    Args:
        bounds: how long nothing may be proved.
        now: when the watching begins.
        told: what readers were told last, perhaps in another life of the service.

    Attributes:
        checks: see `Health`.
        missed: see `Health`.
        has_ended: nobody watches it any more.
    """

    __slots__ = (
        *("_account", "_begun", "_bounds", "_dark_at", "_failed", "_mailbox", "_proof", "_told"),
        *("_trouble", "_worst", "_worst_since", "checks", "has_ended", "missed"),
    )

    def __init__(
        self,
        account: str,
        mailbox: str,
        *,
        bounds: Bounds,
        now: Instant,
        told: AccountState | None = None,
    ) -> None:
        self.checks = 0
        self.missed = 0
        self.has_ended = False
        self._account = account
        self._mailbox = mailbox
        self._bounds = bounds
        self._begun = now
        self._told = told
        self._proof: Instant | None = None
        self._failed: Instant | None = None
        self._trouble: Condition | None = None
        self._worst = _SILENCE
        self._worst_since = now.at
        self._dark_at = self._measure()

    @property
    def state(self) -> str:
        """What readers believe; what they were never told of, they believe seen."""
        return CONNECTED if self._told is None else self._told.state

    def proved(self, now: Instant) -> None:
        """The server showed that it would have told us."""
        self._proof = now
        self._failed = self._trouble = None
        self._worst, self._worst_since = _SILENCE, now.at
        self._dark_at = self._measure()

    def failed(self, now: Instant, trouble: Condition) -> None:
        """It cannot tell us now."""
        self._failed = self._failed or now
        self._trouble = trouble
        if _badness(trouble.state) > _badness(self._worst.state):
            self._worst_since = now.at
        if _badness(trouble.state) >= _badness(self._worst.state):
            self._worst = trouble
        self._dark_at = self._measure()

    @property
    def due_at(self) -> float:
        """From when on `due` may have something to tell, if nothing more happens."""
        if self.has_ended:
            return -inf if self._is_believed_unseen else inf
        if self._is_seen_again:
            return -inf
        return self._dark_at if _badness(self._worst.state) > _badness(self.state) else inf

    def due(self, now: Instant) -> AccountState | None:
        """What readers have to be told; call `told` when it is journalled."""
        if self.has_ended:
            return self._event(_END, now.at) if self._is_believed_unseen else None
        if now.seconds >= self._dark_at:
            is_news = _badness(self._worst.state) > _badness(self.state)
            return self._event(self._worst, self._worst_since) if is_news else None
        return self._event(Condition(state=CONNECTED), now.at) if self._is_seen_again else None

    @property
    def _is_seen_again(self) -> bool:
        """Whether a proof ended what readers still believe."""
        is_proved = self._proof is not None and self._failed is None
        return is_proved and self.state != CONNECTED

    @property
    def _is_believed_unseen(self) -> bool:
        return self.state not in (CONNECTED, ENDED)

    def told(self, event: AccountState) -> None:
        """Readers know this now."""
        self._told = event

    def health(self) -> Health:
        """All of it, for a page or a person."""
        return Health(
            account=self._account,
            mailbox=self._mailbox,
            state=self.state,
            since=self._begun.at if self._told is None else self._told.since,
            last_proof=None if self._proof is None else self._proof.at,
            cause="" if self._trouble is None else self._trouble.cause,
            remedy="" if self._trouble is None else self._trouble.remedy,
            checks=self.checks,
            missed=self.missed,
        )

    def _event(self, condition: Condition, since: datetime) -> AccountState:
        return AccountState(
            account=self._account,
            mailbox=self._mailbox,
            state=condition.state,
            since=since,
            cause=condition.cause,
            remedy=condition.remedy,
        )

    def _measure(self) -> float:
        """From when on this mailbox counts as unseen, if nothing more happens."""
        proved_at = (self._proof or self._begun).seconds
        blind_seconds = self._bounds.blind_seconds
        if self._failed is None:
            return proved_at + max(blind_seconds, self._bounds.quiet_seconds)
        grace_seconds = min(blind_seconds, RECONNECT_SECONDS)
        return max(proved_at + blind_seconds, self._failed.seconds + grace_seconds)


def _badness(state: str) -> int:
    """A state that only a newer mailnotify knows gives way to any of ours."""
    return _WORSE.index(state) if state in _WORSE else 0
