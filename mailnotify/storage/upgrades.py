"""Brings a file to the newest schema of its kind.

Each file ``NNNN.sql`` in the package of the schemas leads from version NNNN - 1 to NNNN, in one
transaction that also sets SQLite's ``user_version``: a power cut between two
statements leaves the version before. A file that was ever released is never
edited; what changes is a new file. Each step changes tables or columns, so that these
tell the version of a file, too, should a bit of the number flip.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files

from mailnotify.storage.damage import Damaged
from mailnotify.storage.kind import Kind

_SHAPE = """
    SELECT tables.name, columns.name
    FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table'
"""


def scripts(package: str) -> list[str]:
    """The SQL in a package that leads to version 1, 2 and so on, in this order."""
    found = [each for each in files(package).iterdir() if _is_script(each.name)]
    return [each.read_text("utf-8") for each in sorted(found, key=lambda each: each.name)]


def _is_script(name: str) -> bool:
    return name.endswith(".sql") and name[:4].isdigit()


def upgrade(connection: sqlite3.Connection, path: str, kind: Kind, steps: Sequence[str]) -> None:
    """Run the steps that this file has not seen.

    Raises:
        StoreUnreadable: the file is from a newer mailnotify, or another program's.
        Damaged: its tables are ours, but what it says of itself is wrong.
        sqlite3.Error: a step failed; the file has the version before it.
    """
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if tables and (application, version) != (kind.application_id, len(steps)):
        made = _made_by(connection, steps)
        if made and (application != kind.application_id or version != made):
            raise Damaged(f"it has the tables of version {made} under the header of another")
    if tables and application != kind.application_id:
        raise kind.unreadable(path=path, reason="it is the database of another program")
    if version > len(steps):
        reason = f"its schema has version {version}, this mailnotify knows up to {len(steps)}"
        raise kind.unreadable(path=path, reason=reason)
    for number, step in enumerate(steps[version:], version + 1):
        _run(connection, step, number)


def _made_by(connection: sqlite3.Connection, steps: Sequence[str]) -> int:
    """The version that has the tables of this file; 0 if we know of none."""
    shape = _shape(connection)
    beside = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for number, step in enumerate(steps, 1):
            _run(beside, step, number)
            if _shape(beside) == shape:
                return number
    finally:
        beside.close()
    return 0


def _shape(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every table and column."""
    return set(connection.execute(_SHAPE))


def _run(connection: sqlite3.Connection, step: str, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(step):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit before it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _number(connection: sqlite3.Connection, question: str) -> int:
    answer: int = connection.execute(question).fetchone()[0]
    return answer
