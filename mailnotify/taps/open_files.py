"""Room for many connections: each is an open file, and systems allow few by default.

The usual soft limit is 1,024, the hard one far above. At the limit the kernel's
refusal says nothing to those who connect; ours says why. So the soft limit is
raised, and no more subscribers are taken than it leaves room for.
"""

from __future__ import annotations

import resource
from typing import Any, Final

from twisted.logger import Logger

_SPARE: Final = 256
"""Files for all else: ports, the journal, watched mailboxes, letters on their way, logs."""

_FEWEST: Final = 16
"""Where a system allows next to nothing, some subscribers are tried all the same."""

_log = Logger()


def room_for(connections: int, system: Any = resource) -> int:
    """Raise the limit of open files if need be; return how many of these connections fit.

    Args:
        connections: how many there may be, by the configuration.
        system: what knows the limits: the module `resource`.
    """
    soft, hard = system.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        system.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS has a second limit, of the kernel's own
        allowed = soft
    if allowed >= needed:
        return connections
    room = max(allowed - _SPARE, _FEWEST)
    _log.warn(
        "the system allows {allowed} open files, so {room} subscribers instead of {connections}: "
        "raise the limit (LimitNOFILE= in systemd, ulimit -n), or lower limits.connections",
        allowed=allowed,
        room=room,
        connections=connections,
    )
    return min(room, connections)
