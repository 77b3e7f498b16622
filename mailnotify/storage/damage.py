"""What damage looks like: in what SQLite complains of, and in the header of its file.

A bit that flips in the header can make a sound file look like one of another program,
of another version, or of a SQLite that nobody has. Such a file must be moved aside as
any other damaged one: a service that refused to start because of it would refuse for ever.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NOT_TEXT: Final = "Could not decode to UTF-8"
"""How Python says (in `_sqlite/cursor.c`, since 2.5) that a bit of a text has flipped."""

_HEADER_BYTES: Final = 100
_FORMATS: Final = slice(18, 20)
_SCHEMA_FORMAT: Final = slice(44, 48)
"""Where they stand: https://sqlite.org/fileformat2.html#the_database_header."""


class Damaged(Exception):
    """What is in the file cannot be what we wrote; it has to be moved aside."""


def is_damage(problem: sqlite3.Error) -> bool:
    """Whether SQLite complains of the content, rather than of disk or circumstances.

    Python's own complaint, of text that is not UTF-8, has no code.
    """
    code = getattr(problem, "sqlite_errorcode", None)
    if code is None:
        return str(problem).startswith(_NOT_TEXT)
    return code & 0xFF in _DAMAGED


def is_odd_schema(problem: sqlite3.Error) -> bool:
    """Whether a statement makes no sense to SQLite: ours do, for the tables that we made."""
    return getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_OK) == sqlite3.SQLITE_ERROR


def has_odd_header(path: Path) -> bool:
    """Whether the header names a format that there is not: SQLite then calls it read-only."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return False  # a new file that the disk would not take
    are_known = set(header[_FORMATS]) <= {1, 2}
    return not (are_known and int.from_bytes(header[_SCHEMA_FORMAT]) <= 4)
