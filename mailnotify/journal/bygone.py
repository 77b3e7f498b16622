"""What the copies of messages are known by that no entry tells of.

Such messages lay in a mailbox when it was first seen, or their entries were forgotten:
found in another mailbox they are no news. Of each there is the key that all its places
share (`mailnotify.core.twins`). Those that came first are forgotten first, a mailbox's
mark just before what it stands for, so that the mailbox is looked through again while
it is known. An end that comes too early costs a second announcement, and never a message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

MOST: Final = 500_000
"""Of 100 letters a day those of 13 years, in 20 MB."""

_KEEP: Final = "INSERT OR REPLACE INTO bygone (name, twin) VALUES (?, ?)"
_CUT: Final = "DELETE FROM bygone WHERE number <= (SELECT max(number) FROM bygone) - ?"


class Bygone:
    """The keys, in the journal's file.

    Args:
        most: so many are kept.
    """

    def __init__(self, connection: sqlite3.Connection, most: int = MOST) -> None:
        self._connection = connection
        self._most = most

    def __contains__(self, twin: int) -> bool:
        found = self._connection.execute("SELECT 1 FROM bygone WHERE twin = ?", (twin,))
        return found.fetchone() is not None

    def names(self) -> Iterator[int]:
        """The names (`mailnotify.core.kin`) of all of them."""
        return (name for (name,) in self._connection.execute("SELECT name FROM bygone"))

    def keep(self, keys: Iterable[tuple[int, int]]) -> None:
        """Names and keys, the newest now, in a transaction of the caller's."""
        self._connection.executemany(_KEEP, keys)
        self._connection.execute(_CUT, (self._most,))
