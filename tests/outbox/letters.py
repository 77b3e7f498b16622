"""Drafts and doubles for the tests of the outbox."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred

from mailnotify.outbox.letter import Draft, Settlement, State, Ticket
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Result
from mailnotify.smtp.compose import Envelope

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
DAYS = timedelta(days=5)


def draft(
    subject: str = "Lunch?",
    *to: str,
    account: str = "home",
    due: datetime = NOON,
    key: str | None = None,
    message: bytes = b"Subject: Lunch?\r\n\r\nAt one?\r\n",
    wants_copy: bool = False,
) -> Draft:
    """A letter to bob, or to these recipients."""
    return Draft(
        account=account,
        envelope=Envelope(sender="ada@x.org", recipients=to or ("bob@x.org",)),
        message=message,
        message_id=f"<{subject}@x.org>",
        subject=subject,
        due=due,
        expires=due + DAYS,
        key=key,
        wants_copy=wants_copy,
    )


def settle(
    store: SqliteOutbox,
    ticket: Ticket,
    *results: Result,
    reason: str = "",
    due: datetime | None = None,
    at: datetime = NOON,
) -> State:
    """Keep what came of one attempt."""
    (state,), _ = store.settle(
        [
            Settlement(
                ticket=ticket,
                results=results,
                reason=reason,
                due=due,
                attempts=ticket.attempts,
                at=at,
            )
        ]
    )
    return state


class Postman:
    """Takes letters as `Submit` does, and does with them what the test says.

    Attributes:
        taken: (account, recipients, message) of each attempt.
        answer: what becomes of the next attempts: words, an error, or None to wait.
        waiting: the attempts that wait for the test.
        following: which letter was to come after each.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[str, tuple[str, ...], bytes]] = []
        self.answer: str | Exception | None = "queued as 4711"
        self.waiting: list[Deferred[str]] = []
        self.following: list[int | None] = []
        self.look: Callable[[], object] = lambda: None

    def __call__(self, ticket: Ticket, message: bytes, following: Ticket | None) -> Any:
        self.taken.append((ticket.account, ticket.envelope.recipients, message))
        self.following.append(following.number if following is not None else None)
        self.look()
        return self._result()

    async def _result(self) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        waiting: Deferred[str] = Deferred()
        self.waiting.append(waiting)
        return await waiting
