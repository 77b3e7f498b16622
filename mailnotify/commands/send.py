"""``mailnotify send``: one letter, as ``twistd -n mailnotify-send``."""

from mailnotify.taps.send import Options, run

__all__ = ["Options", "run"]
