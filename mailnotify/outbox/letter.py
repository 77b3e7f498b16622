"""A letter in the outbox, as a value: what was asked for, and what has become of it."""

from __future__ import annotations

import enum
from datetime import datetime

from msgspec import Struct

from mailnotify.outbox.verdict import Fate, Result
from mailnotify.smtp.compose import Envelope


class State(enum.Enum):
    """How far a letter has come.

    ::

        queued ──► sending ──► sent
          │          │  ▲
          │          ▼  │
          │        waiting ──► failed
          └──────────┴───────► cancelled

    `retry`, by hand, brings failed and cancelled letters back to queued.
    """

    QUEUED = "queued"
    SENDING = "sending"
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in FINAL


FINAL = frozenset({State.SENT, State.FAILED, State.CANCELLED})


class Draft(Struct, frozen=True, kw_only=True):
    """A letter that is to be queued.

    Attributes:
        message: header and body, as they will be sent each time.
        due: not before this moment.
        expires: given up from this moment on.
        key: a name of the caller's; a second draft with it is the same letter.
        wants_copy: put a copy into the account's Sent mailbox once it was sent.
    """

    account: str
    envelope: Envelope
    message: bytes
    message_id: str
    due: datetime
    expires: datetime
    subject: str = ""
    key: str | None = None
    wants_copy: bool = False


class Ticket(Struct, frozen=True, kw_only=True):
    """A letter that was claimed for an attempt.

    Attributes:
        envelope: to those recipients only that have no outcome yet.
        attempts: how many there were, this one included.
        was: the state before.
        is_whole: nobody has an outcome yet.
        message: its bytes, if they are few; else they are still on the disk.
    """

    number: int
    account: str
    envelope: Envelope
    message_id: str
    attempts: int
    expires: datetime
    was: State
    is_whole: bool = False
    message: bytes | None = None


class Wish(Struct, frozen=True, kw_only=True):
    """What one connection could carry.

    Attributes:
        most: so many letters of the account,
        now: of those that are due by this moment.
    """

    account: str
    most: int
    now: datetime


class Settlement(Struct, frozen=True, kw_only=True):
    """What came of an attempt, to be kept.

    Attributes:
        due: when to try those again that are pending; None gives them up.
        attempts: how many count.
        at: when it was known.
    """

    ticket: Ticket
    results: tuple[Result, ...]
    reason: str
    due: datetime | None
    attempts: int
    at: datetime


class Filed(Struct, frozen=True, kw_only=True):
    """A letter as it stands in the outbox.

    Attributes:
        reason: why the last attempt failed; empty if none has.
        finished_at: when it was sent, failed or cancelled; None before.
        results: one for each recipient.
    """

    number: int
    account: str
    sender: str
    message_id: str
    subject: str
    size_bytes: int
    state: State
    queued_at: datetime
    due: datetime
    expires: datetime
    attempts: int
    reason: str
    finished_at: datetime | None
    results: tuple[Result, ...]

    def with_fate(self, fate: Fate) -> tuple[Result, ...]:
        """The recipients of whom this has become."""
        return tuple(each for each in self.results if each.fate is fate)
