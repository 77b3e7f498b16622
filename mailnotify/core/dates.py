"""Reads when a message says that it was written (RFC 5322 §3.3).

Nearly all dates are written in one way, which one regular expression knows; the
others, with names of zones and all that §4.3 still allows, are left to the standard
library, which takes five times as long.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from typing import Final

_DATE_BYTES: Final = 128
_YEARS: Final = range(1970, 2200)
"""A Date outside is a broken clock or a trick to stay on top of a list."""
_FURTHEST_ZONE_SECONDS: Final = 15 * 3600

_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_USUAL: Final = re.compile(
    rf"\s*+(?:[A-Z][a-z]{{2}}, )?+([0-9]{{1,2}}) ({_MONTHS.replace(' ', '|')})"
    r" ((?:19[7-9]|2[01][0-9])[0-9]) ([0-9]{2}:[0-9]{2}:[0-9]{2})"  # in `_YEARS`
    r" ([+-](?:0[0-9]|1[0-4]))([0-5][0-9])(?: \([A-Z]*+\))?+\s*+"
)


def read_date(text: str) -> datetime | None:
    """The moment in UTC; None if this is none. A zone's name that is unknown means UTC."""
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return _read_odd(text)
    day, name, year, clock, hours, minutes = usual.groups()
    month = _MONTHS.index(name) // 4 + 1
    try:
        local = datetime.fromisoformat(f"{year}-{month:02}-{day:0>2}T{clock}{hours}:{minutes}")
    except ValueError:  # a leap second, or no date at all
        return _read_odd(text)
    return local.astimezone(UTC)


def _read_odd(text: str) -> datetime | None:
    """In the obsolete forms too (RFC 5322 §4.3)."""
    parsed = parsedate_tz(text[:_DATE_BYTES])
    if parsed is None or parsed[0] not in _YEARS:
        return None
    zone_seconds = parsed[9] or 0
    if abs(zone_seconds) > _FURTHEST_ZONE_SECONDS:
        return None
    second = min(parsed[5], 59)  # a leap second is :60
    try:
        local = datetime(*parsed[:5], second, tzinfo=UTC)
    except ValueError:
        return None
    return local - timedelta(seconds=zone_seconds)
