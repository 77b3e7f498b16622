"""Looks one message up in the journal of a service that may be running.

The file belongs to the service, so it is opened for reading only, and for one
question. Nothing is checked but the entry that is asked for.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mailnotify.core.events import Event, NewMail, Position, parse_position
from mailnotify.core.message import Ref, parse_id
from mailnotify.errors import JournalUnreadable, LetterInvalid
from mailnotify.journal.batches import WITH_SEQ, find_row, read_row
from mailnotify.journal.boxes import FIND, place_in

_KEPT = "SELECT 1 FROM journal WHERE epoch = ? AND pruned < ?"


def find_mail(path: Path, wanted: str) -> NewMail:
    """The event of a message.

    Args:
        wanted: its ``id`` in the stream, or its position ``epoch:seq``.

    Raises:
        LetterInvalid: it is no id, or the journal has no such message.
        JournalUnreadable: there is no journal.
    """
    name = parse_id(wanted) or _position(wanted)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            event = _find(connection, name)
    except (sqlite3.Error, ValueError) as problem:
        raise JournalUnreadable(path=str(path), reason=str(problem)) from problem
    if not isinstance(event, NewMail):
        raise LetterInvalid(
            field="reply-to-id", found="of no message that is kept", expected="an id of the stream"
        )
    return event


def _find(connection: sqlite3.Connection, name: Ref | Position) -> Event | None:
    if isinstance(name, Ref):
        return _by_id(connection, name)
    return _by_position(connection, name)


def _by_id(connection: sqlite3.Connection, ref: Ref) -> Event | None:
    box = connection.execute(FIND, (ref.account, ref.mailbox, ref.uidvalidity)).fetchone()
    if box is None:
        return None
    place = place_in(box[0], ref.uid)
    row = find_row(connection, place)
    return None if row is None else read_row(row).find(place)


def _by_position(connection: sqlite3.Connection, position: Position) -> Event | None:
    if connection.execute(_KEPT, (position.epoch, position.seq)).fetchone() is None:
        return None
    row = connection.execute(WITH_SEQ, (position.seq,)).fetchone()
    batch = None if row is None else read_row(row)
    if batch is None:
        return None
    return batch.events[position.seq - batch.first]


def _position(wanted: str) -> Position:
    try:
        return parse_position(wanted)
    except ValueError as problem:
        raise LetterInvalid(
            field="reply-to-id",
            found=repr(wanted[:80]),
            expected="an id of the stream, or EPOCH:SEQ",
        ) from problem
