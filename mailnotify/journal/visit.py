"""Looks one message up in the journal of a service that may be running.

The file belongs to the service, so it is opened for reading only, and for one
question. Nothing is checked but the entry that is asked for.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from mailnotify.core.events import Event, NewMail, parse_position
from mailnotify.core.message import parse_id
from mailnotify.errors import JournalUnreadable, LetterInvalid

_BY_SEQ = """SELECT event FROM entries, journal WHERE epoch = ? AND seq = ?"""
_BY_IDENTITY = """SELECT event FROM entries
    WHERE account = ? AND mailbox = ? AND uidvalidity = ? AND uid = ? AND kind = 'mail'"""


def find_mail(path: Path, wanted: str) -> NewMail:
    """The event of a message.

    Args:
        wanted: its ``id`` in the stream, or its position ``epoch:seq``.

    Raises:
        LetterInvalid: it is no id, or the journal has no such message.
        JournalUnreadable: there is no journal.
    """
    statement, values = _question(wanted)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
            row = connection.execute(statement, values).fetchone()
        event = None if row is None else msgspec.json.decode(row[0], type=Event)
    except (sqlite3.Error, msgspec.MsgspecError) as problem:
        raise JournalUnreadable(path=str(path), reason=str(problem)) from problem
    if not isinstance(event, NewMail):
        raise LetterInvalid(
            field="reply-to-id", found="of no message that is kept", expected="an id of the stream"
        )
    return event


def _question(wanted: str) -> tuple[str, tuple[object, ...]]:
    if ref := parse_id(wanted):
        return _BY_IDENTITY, (ref.account, ref.mailbox, ref.uidvalidity, ref.uid)
    try:
        position = parse_position(wanted)
    except ValueError as problem:
        raise LetterInvalid(
            field="reply-to-id",
            found=repr(wanted[:80]),
            expected="an id of the stream, or EPOCH:SEQ",
        ) from problem
    return _BY_SEQ, (position.epoch, position.seq)
