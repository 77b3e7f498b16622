"""Short numbers for mailboxes: a place in an account costs eight bytes, and a rename one row.

A box is a mailbox under one UIDVALIDITY, so that a UID means one message in it. Its
number and the UID together are the place of a message, one integer.
"""

from __future__ import annotations

import sqlite3
from typing import Final
from zlib import crc32

_PLACES: Final = 2**32  # so many UIDs has a box (RFC 9051 §2.3.1.1)

FIND: Final = "SELECT box FROM boxes WHERE account = ? AND mailbox = ? AND uidvalidity = ?"
_ALL: Final = "SELECT uidvalidity FROM boxes WHERE account = ? AND mailbox = ?"
_MAKE: Final = "INSERT INTO boxes (account, mailbox, uidvalidity) VALUES (?, ?, ?)"
_TOP: Final = "SELECT max(high) FROM batches WHERE high > 0 AND high BETWEEN ? AND ?"
_CALLED: Final = "SELECT account, mailbox, uidvalidity FROM boxes WHERE box = ?"
_CLASHING: Final = """
    UPDATE boxes SET mailbox = :interim WHERE account = :account AND mailbox = :new
    AND uidvalidity IN (
        SELECT uidvalidity FROM boxes WHERE account = :account AND mailbox = :old
    )
"""
_RENAME: Final = "UPDATE boxes SET mailbox = ? WHERE account = ? AND mailbox = ?"
_INTERIM: Final = "\0"  # no mailbox is called so


class Box:
    """A mailbox under one UIDVALIDITY.

    Attributes:
        number: from 1.
        first, last: the places of its lowest and highest possible UID.
        top: no message is known at a place above this.
        salt: makes names of this account differ from those of others.
    """

    __slots__ = ("first", "last", "number", "salt", "top")

    def __init__(self, number: int, account: str) -> None:
        self.number = number
        self.first = number * _PLACES
        self.last = self.top = self.first + _PLACES - 1
        self.salt = salt_of(account)


class Boxes:
    """All mailboxes of which messages are known, in the journal's file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str, int], Box] = {}

    def find(self, account: str, mailbox: str, uidvalidity: int) -> Box | None:
        """The box with this name, if it has a number."""
        key = (account, mailbox, uidvalidity)
        if (known := self._known.get(key)) is not None:
            return known
        row = self._connection.execute(FIND, key).fetchone()
        return None if row is None else self._remember(key, row[0])

    def make(self, account: str, mailbox: str, uidvalidity: int) -> Box:
        """The same, in a transaction that may give it a number."""
        key = (account, mailbox, uidvalidity)
        found = self._known.get(key) or self.find(*key)
        if found is not None:
            return found
        number = self._connection.execute(_MAKE, key).lastrowid
        assert number is not None
        return self._remember(key, number)

    def called(self, number: int) -> tuple[str, str, int]:
        """Account, mailbox as it is called now, and UIDVALIDITY of a box."""
        found: tuple[str, str, int] = self._connection.execute(_CALLED, (number,)).fetchone()
        return found

    def of(self, account: str, mailbox: str) -> list[Box]:
        """Those of a mailbox, one for each UIDVALIDITY."""
        rows = self._connection.execute(_ALL, (account, mailbox)).fetchall()
        return [self.make(account, mailbox, uidvalidity) for (uidvalidity,) in rows]

    def rename(self, account: str, old: str, new: str) -> None:
        """What lies in the one lies in the other from now on, in a transaction of the caller's.

        A box that has the new name already, with the same UIDVALIDITY, gets the old one:
        it is not the mailbox that has the name now.
        """
        names = {"account": account, "old": old, "new": new, "interim": _INTERIM}
        self._connection.execute(_CLASHING, names)
        self._connection.execute(_RENAME, (new, account, old))
        self._connection.execute(_RENAME, (old, account, _INTERIM))
        self._known.clear()

    def forget(self) -> None:
        """What was read or made since the transaction began may not be so."""
        self._known.clear()

    def _remember(self, key: tuple[str, str, int], number: int) -> Box:
        box = self._known[key] = Box(number, key[0])
        (top,) = self._connection.execute(_TOP, (box.first, box.last)).fetchone()
        box.top = box.first if top is None else top
        return box


def salt_of(account: str) -> int:
    """See `Box.salt`."""
    return crc32(account.encode())


def place_in(number: int, uid: int) -> int:
    """The place of a UID in the box of this number: what no two messages share."""
    return number * _PLACES + uid


def box_of(place: int) -> int:
    """The number of the box in which a place is."""
    return place // _PLACES


def uid_at(place: int) -> int:
    """The UID of a place."""
    return place % _PLACES
