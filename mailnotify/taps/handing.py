"""Hands a letter to the service that runs, and waits for what comes of it.

The command itself writes the letter into the outbox: when that returns, the
letter is on the disk, whatever becomes of the command or of the service. Then
it rings. Without a service that answers the bell there is nobody to hand
anything to, and the caller sends by itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

from msgspec import Struct
from twisted.python import usage

from mailnotify.core.frames import parse_since
from mailnotify.errors import Refusal, ServiceNeeded, SubmissionFailed
from mailnotify.outbox.doorbell import ring
from mailnotify.outbox.letter import Draft, Filed, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.outbox.verdict import Fate
from mailnotify.taps.errand import Errand
from mailnotify.taps.outcome import INTERRUPTED, exit_code
from mailnotify.taps.posting import DOORBELL, STORE

_MOST_KEY_CHARACTERS: Final = 200
_MOST_UNDO_SECONDS: Final = 86_400

_FIRST_LOOK_SECONDS: Final = 0.02
_LAST_LOOK_SECONDS: Final = 1.0
"""Between two looks at a letter: the pauses double from the first to the last."""


class Terms(Struct, frozen=True, kw_only=True):
    """When a letter is to go, and what the command waits for.

    Attributes:
        at: not before this moment; aware, or None for at once.
        undo_seconds: not before so long from now.
        key: the same key is the same letter.
        is_direct: send it from here in any case.
        waits: until the letter is sent, or has failed.
    """

    at: datetime | None = None
    undo_seconds: float = 0.0
    key: str | None = None
    is_direct: bool = False
    waits: bool = False

    def due(self, now: datetime) -> datetime:
        """Not before this moment."""
        return self.at or now + timedelta(seconds=self.undo_seconds)

    @property
    def needs_service(self) -> str:
        """The option that only a service can obey; empty if there is none."""
        wishes = {"--at": self.at, "--undo": self.undo_seconds, "--key": self.key}
        return next((name for name, value in wishes.items() if value), "")


def read_terms(options: Mapping[str, Any]) -> Terms:
    """The options ``at``, ``undo``, ``key``, ``now`` and ``wait``.

    Raises:
        UsageError: one has no value that makes sense, or two contradict each other.
    """
    terms = Terms(
        at=_moment(options["at"]),
        undo_seconds=_seconds(options["undo"]),
        key=options["key"],
        is_direct=bool(options["now"]),
        waits=bool(options["wait"]),
    )
    if terms.is_direct and terms.needs_service:
        raise usage.UsageError(f"found --now and {terms.needs_service}, expected one of them")
    if terms.at and terms.undo_seconds:
        raise usage.UsageError("found --at and --undo, expected one of them")
    if terms.key is not None and not (0 < len(terms.key) <= _MOST_KEY_CHARACTERS):
        raise usage.UsageError(f"--key: expected 1 to {_MOST_KEY_CHARACTERS} characters")
    return terms


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    with suppress(ValueError, OverflowError):
        moment = parse_since(text)
        if isinstance(moment, datetime):
            return moment
    raise usage.UsageError(
        f"--at: found {text[:80]!r}, expected a time with its zone such as 2026-01-31T08:00:00Z"
    )


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _MOST_UNDO_SECONDS):
        expected = f"seconds from 1 to {_MOST_UNDO_SECONDS}"
        raise usage.UsageError(f"--undo: found {text[:80]!r}, expected {expected}")
    return float(text)


def hand_over(
    errand: Errand, terms: Terms, now: datetime, *, stdout: TextIO, stderr: TextIO
) -> int | None:
    """Give a letter to the service; return the exit code, or None if there is no service.

    Raises:
        ServiceNeeded: there is none, and what was asked cannot be done without.
        OutboxUnreadable, OutboxUnwritable: there is one, and the letter is not queued.
    """
    if terms.is_direct:
        return None
    if not is_served(errand.state_dir):
        if terms.needs_service:
            raise ServiceNeeded(wish=terms.needs_service)
        return None
    letter = draft(errand, terms, now)
    number = queue(errand.state_dir, letter, now)
    if not terms.waits:
        later = f", to go at {letter.due:%Y-%m-%d %H:%M:%SZ}" if letter.due > now else ""
        print(f"queued as letter {number}{later}", file=stdout)
        return os.EX_OK
    try:
        filed = await_end(errand.state_dir, number, lambda line: print(line, file=stderr))
    except KeyboardInterrupt:
        print(f"letter {number} stays queued", file=stderr)
        return INTERRUPTED
    code, sentence = verdict(filed)
    print(sentence, file=stderr if code else stdout)
    return code


def is_served(state_dir: str) -> bool:
    """Whether a service sends from the outbox in this folder."""
    return ring(Path(state_dir) / DOORBELL)


def draft(errand: Errand, terms: Terms, now: datetime) -> Draft:
    """What is handed over."""
    submission, due = errand.submission, max(terms.due(now), now)
    return Draft(
        account=errand.account.name,
        envelope=errand.envelope,
        message=errand.message,
        message_id=errand.message_id,
        subject=errand.subject,
        due=due,
        expires=due + timedelta(days=errand.outbox.give_up_days),
        key=terms.key,
        wants_copy=submission.sent_copy != "never",
    )


def queue(state_dir: str, letter: Draft, now: datetime) -> int:
    """Store a letter and wake the service; return the letter's number.

    Raises:
        OutboxUnreadable, OutboxUnwritable: it is not queued.
    """
    with closing(SqliteOutbox.visit(Path(state_dir) / STORE)) as store:
        (number,) = store.enqueue([letter], now)
    ring(Path(state_dir) / DOORBELL)
    return number


def await_end(
    state_dir: str,
    number: int,
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> Filed:
    """Return when a letter is sent, failed or cancelled.

    Args:
        say: is told each time that it has to wait.
    """
    pause, reason = _FIRST_LOOK_SECONDS, ""
    with closing(SqliteOutbox.visit(Path(state_dir) / STORE)) as store:
        while not (letter := store.letter(number)).state.is_final:
            if letter.state is State.WAITING and letter.reason != reason:
                reason = letter.reason
                say(f"letter {number} waits: {reason}")
            sleep(pause)
            pause = min(pause * 2, _LAST_LOOK_SECONDS)
    return letter


def verdict(letter: Filed) -> tuple[int, str]:
    """The exit code and the sentence for a letter that is over."""
    if letter.state is State.SENT:
        who = ", ".join(each.recipient for each in letter.results)
        said = next((each.said for each in letter.results if each.said), "")
        return os.EX_OK, f"letter {letter.number} is sent to {who}: {said}".removesuffix(": ")
    if letter.state is State.CANCELLED:
        return os.EX_UNAVAILABLE, f"letter {letter.number} was cancelled"
    refused = letter.with_fate(Fate.REFUSED)
    refusals = tuple(
        Refusal(recipient=each.recipient, code=each.code, said=each.said) for each in refused
    )
    accepted = tuple(each.recipient for each in letter.with_fate(Fate.ACCEPTED))
    failure = SubmissionFailed(peer=letter.account, refusals=refusals, accepted=accepted)
    code = exit_code(failure) if any(each.is_permanent for each in refusals) else None
    reasons = "; ".join(f"{each.recipient}: {each.said}" for each in refused)
    return code or os.EX_UNAVAILABLE, f"letter {letter.number} failed: {reasons}"
