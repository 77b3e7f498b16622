"""From rows of the outbox's tables to values, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any, Final
from zlib import crc32

from mailnotify.outbox.letter import Draft, Filed, Settlement, State, Ticket, Wish
from mailnotify.outbox.verdict import Fate, Result
from mailnotify.smtp.compose import Envelope
from mailnotify.storage.columns import micros, moment_of

COLUMNS: Final = """number, account, sender, message_id, subject, size_bytes, state, queued_at,
    due, expires, attempts, reason, finished_at"""

_INSERT: Final = """
    INSERT INTO letters (account, sender, message_id, subject, size_bytes, state, queued_at, due,
        expires, key, wants_copy, crc)
    VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)
"""
_CLAIMABLE: Final = """
    SELECT number, account, sender, message_id, attempts, expires, state, crc, size_bytes
    FROM letters
    WHERE account = ? AND state IN ('queued', 'waiting') AND due <= ? AND expires > ?
    ORDER BY due, number LIMIT ?
"""

SMALL_BYTES: Final = 65_536
MOST_CLAIMED_BYTES: Final = 1_048_576
"""Letters up to the first size are read when they are claimed, up to the second in all."""


def insert(connection: sqlite3.Connection, draft: Draft, now: datetime) -> int:
    """Store a draft; return its number, or that of the letter with its key."""
    if draft.key is not None:
        known = connection.execute("SELECT number FROM letters WHERE key = ?", (draft.key,))
        if (row := known.fetchone()) is not None:
            return int(row[0])
    sender, recipients = draft.envelope.sender, draft.envelope.recipients
    crc = checksum(draft.account, sender, recipients, draft.message)
    moments = (micros(now), micros(draft.due), micros(draft.expires))
    row = (draft.account, sender, draft.message_id, draft.subject, len(draft.message), *moments)
    number = connection.execute(_INSERT, (*row, draft.key, draft.wants_copy, crc)).lastrowid
    assert number is not None
    connection.executemany(
        "INSERT INTO recipients (letter, position, address) VALUES (?, ?, ?)",
        [(number, position, address) for position, address in enumerate(recipients)],
    )
    connection.execute("INSERT INTO messages VALUES (?, ?)", (number, draft.message))
    return number


def claim(connection: sqlite3.Connection, wish: Wish) -> list[Ticket]:
    """Take the letters that are due, in their order, with those bytes that are few."""
    moment = micros(wish.now)
    rows = connection.execute(_CLAIMABLE, (wish.account, moment, moment, wish.most)).fetchall()
    numbers = [row[0] for row in rows]
    connection.executemany(
        "UPDATE letters SET state = 'sending', attempts = attempts + 1 WHERE number = ?",
        [(number,) for number in numbers],
    )
    people: dict[int, list[tuple[str, str]]] = {number: [] for number in numbers}
    marks = ", ".join("?" * len(numbers))
    for number, address, fate in connection.execute(
        f"""SELECT letter, address, fate FROM recipients WHERE letter IN ({marks})
            ORDER BY letter, position""",  # noqa: S608
        numbers,
    ):
        people[number].append((address, fate))
    contents = _small(connection, [(row[0], row[-1]) for row in rows])
    return [_ticket(row[:-1], people[row[0]], contents.get(row[0])) for row in rows]


def _small(connection: sqlite3.Connection, sizes: Sequence[tuple[int, int]]) -> dict[int, bytes]:
    """The bytes of those letters that are small, as long as all are not too much."""
    numbers, left = [], MOST_CLAIMED_BYTES
    for number, size in sizes:
        if size <= min(SMALL_BYTES, left):
            numbers.append(number)
            left -= size
    marks = ", ".join("?" * len(numbers))
    query = f"SELECT letter, content FROM messages WHERE letter IN ({marks})"  # noqa: S608
    return dict(connection.execute(query, numbers))


def _ticket(row: Sequence[Any], people: Sequence[tuple[str, str]], content: bytes | None) -> Ticket:
    """A claimed letter, with the recipients who have no outcome yet.

    Bytes that are not those that were queued are left on the disk, for `message` to say so.
    """
    number, account, sender, message_id, attempts, expires, was, crc = row
    pending = tuple(address for address, fate in people if fate == Fate.PENDING.value)
    everyone = [address for address, _ in people]
    is_sound = content is not None and crc == checksum(account, sender, everyone, content)
    return Ticket(
        number=number,
        account=account,
        envelope=Envelope(sender=sender, recipients=pending),
        message_id=message_id,
        attempts=attempts + 1,
        expires=moment_of(expires),
        was=State(was),
        is_whole=len(pending) == len(everyone),
        message=content if is_sound else None,
    )


def settle(connection: sqlite3.Connection, group: Sequence[Settlement]) -> list[State]:
    """Keep what came of attempts; return the states that the letters are in now."""
    connection.executemany(
        "UPDATE recipients SET fate = ?, code = ?, said = ? WHERE letter = ? AND address = ?",
        [
            (each.fate.value, each.code, each.said, told.ticket.number, each.recipient)
            for told in group
            for each in told.results
        ],
    )
    states = [_end(connection, told) for told in group]
    connection.executemany(
        """UPDATE letters SET state = ?, reason = ?, due = ?, attempts = ?, finished_at = ?
           WHERE number = ?""",
        [
            (
                state.value,
                told.reason,
                micros(told.due or told.at),
                told.attempts,
                micros(told.at) if state.is_final else None,
                told.ticket.number,
            )
            for told, state in zip(group, states, strict=True)
        ],
    )
    return states


def _end(connection: sqlite3.Connection, told: Settlement) -> State:
    """The state after an attempt, whose results stand in the table already."""
    if told.due is None and any(each.fate is Fate.PENDING for each in told.results):
        give_up(connection, told.ticket.number, told.reason)
        return State.FAILED
    results = told.results
    if not told.ticket.is_whole:
        results = results_of(connection, told.ticket.number)
    return _state({each.fate for each in results})


def give_up(connection: sqlite3.Connection, number: int, reason: str) -> None:
    """Refuse those who are pending, in the last words that a server had for them."""
    connection.execute(
        """UPDATE recipients SET fate = 'refused', said = CASE said WHEN '' THEN ? ELSE said END
           WHERE letter = ? AND fate = 'pending'""",
        (reason, number),
    )


def _state(fates: Set[Fate]) -> State:
    """The state that follows from what became of the recipients."""
    if Fate.PENDING in fates:
        return State.WAITING
    return State.FAILED if Fate.REFUSED in fates else State.SENT


def results_of(connection: sqlite3.Connection, number: int, where: str = "1") -> tuple[Result, ...]:
    """What became of each recipient of a letter, or of those of whom `where` holds."""
    rows = connection.execute(
        f"""SELECT address, fate, code, said FROM recipients
            WHERE letter = ? AND {where} ORDER BY position""",  # noqa: S608
        (number,),
    )
    return tuple(
        Result(recipient=address, fate=Fate(fate), code=code, said=said)
        for address, fate, code, said in rows
    )


def filed_of(row: Sequence[object], results: tuple[Result, ...]) -> Filed:
    """A row of `COLUMNS` as a letter."""
    names = [each.strip() for each in COLUMNS.split(",")]
    values = dict(zip(names, row, strict=True))
    for name in ("queued_at", "due", "expires", "finished_at"):
        moment = values[name]
        values[name] = None if moment is None else moment_of(moment)  # type: ignore[arg-type]
    values["state"] = State(values["state"])
    return Filed(**values, results=results)  # type: ignore[arg-type]


def checksum(account: str, sender: str, recipients: Sequence[str], message: bytes) -> int:
    """Of all that goes out, and where it goes."""
    return crc32(message, crc32("\0".join((account, sender, *recipients)).encode()))
