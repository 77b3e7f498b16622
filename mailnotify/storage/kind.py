"""What tells one of our files from the other."""

from __future__ import annotations

from msgspec import Struct

from mailnotify.errors import StoreBusy, StoreUnreadable, StoreUnwritable


class Kind(Struct, frozen=True, kw_only=True):
    """The journal is one kind of file, the outbox another.

    Attributes:
        name: as in "the journal".
        application_id: SQLite's own mark of whose file it is; the schema sets it.
        schema: the package with the SQL of each version, ``NNNN.sql``.
        busy, unwritable, unreadable: what is raised for such a file.
    """

    name: str
    application_id: int
    schema: str
    busy: type[StoreBusy]
    unwritable: type[StoreUnwritable]
    unreadable: type[StoreUnreadable]
