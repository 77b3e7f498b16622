"""Runs a plugin of ours under twistd, in this process and in the foreground.

For an installation that does not expose ``twistd``: pipx and ``uv tool`` give
only the console script of the package itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from twisted.scripts import twistd


def run_plugin(plugin: str, arguments: Sequence[str]) -> int:
    """Do as ``twistd -n --pidfile= PLUGIN ARGUMENTS``; return when the reactor stopped."""
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", plugin, *arguments]
    twistd.run()
    return 0
