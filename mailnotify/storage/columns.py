"""Values as the columns of our tables have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zlib import crc32

_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """A moment: microseconds since 1970, UTC."""
    return (moment - _ZERO) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """The moment that a column means."""
    return _ZERO + micros * _MICROSECOND


def checksum(*values: object) -> int:
    """Of the values that stand in one row: SQLite does not see a bit that flips in them."""
    return crc32("\0".join(map(str, values)).encode())
