"""``mailnotify serve``: the service in the foreground, as ``twistd -n mailnotify``."""

from __future__ import annotations

from mailnotify.commands.under_twistd import run_plugin
from mailnotify.taps.service import Options

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Serve until a signal comes."""
    return run_plugin("mailnotify", ["--config", options["path"]])
