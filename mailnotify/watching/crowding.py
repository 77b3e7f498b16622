"""Whether a server means that we hold too many connections.

There is a code for it (RFC 5530 §3, LIMIT), and most servers do not send it:
they refuse the login, or say BYE, with words of their own.
"""

from __future__ import annotations

import re

from mailnotify.errors import CommandRefused, LoginDeferred, LoginDenied, NotConnected

_WORDS = re.compile(
    r"""
    (too\ many | maximum | max\b | limit | exceed) .{0,40}
    (connection | session | login | simultaneous | concurrent)
    | (connection | session)s? .{0,40} (limit | exceed | too\ many)
    | simultaneous\ (connection | session | login)s?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Tries are limited too, and fewer connections would not help against that.
_TRIES = re.compile(r"\bfail(?:ed|ures)\b|attempt|incorrect|password", re.IGNORECASE)


def is_crowded(error: BaseException) -> bool:
    """Whether the server would take us, if we had fewer connections there."""
    if isinstance(error, LoginDenied | LoginDeferred | CommandRefused):
        said = error.said
    elif isinstance(error, NotConnected):
        said = error.reason
    else:
        return False
    return _WORDS.search(said) is not None and _TRIES.search(said) is None
