"""``mailnotify client``: alerts on the desktop, as ``twistd -n mailnotify-client``."""

from __future__ import annotations

from mailnotify.commands.under_twistd import run_plugin
from mailnotify.taps.client import Options as TapOptions


class Options(TapOptions):
    """The options of the plugin, which are handed on as they came."""

    def parseOptions(self, options: list[str] | None = None) -> None:
        self["given"] = list(options or ())
        super().parseOptions(options)


def run(options: Options) -> int:
    """Receive until a signal comes."""
    return run_plugin("mailnotify-client", options["given"])
