"""Brings a file to the newest schema of its kind.

Each file ``NNNN.sql`` in the package of the schemas leads from version NNNN - 1 to NNNN, in one
transaction that also sets SQLite's ``user_version``: a power cut between two
statements leaves the version before. A file that was ever released is never
edited; what changes is a new file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files

from mailnotify.storage.kind import Kind


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
        sqlite3.Error: a step failed; the file has the version before it.
    """
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if tables and application != kind.application_id:
        raise kind.unreadable(path=path, reason="it is the database of another program")
    if version > len(steps):
        reason = f"its schema has version {version}, this mailnotify knows up to {len(steps)}"
        raise kind.unreadable(path=path, reason=reason)
    for number, step in enumerate(steps[version:], version + 1):
        _run(connection, step, number)


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
