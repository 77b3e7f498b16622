"""``--config``, as every command takes it."""

from __future__ import annotations

import os

from twisted.python import usage

from mailnotify.config.load import find, load
from mailnotify.errors import ConfigInvalid


class ConfiguredOptions(usage.Options):
    """Options that begin with a configuration.

    After parsing, ``["path"]`` is the file that was found and ``["loaded"]`` the
    `mailnotify.config.schema.Config` that it holds.
    """

    optParameters = [
        ["config", "c", None, "The configuration; see `mailnotify check-config` for the default."]
    ]

    def parseArgs(self, *words: str) -> None:
        """Take no words beside options."""
        if words:
            raise usage.UsageError(f"found {words[0]!r}, expected options only; see --help")

    def postOptions(self) -> None:
        """Load the configuration now, while there is a terminal to complain to."""
        try:
            path = find(os.environ, self["config"])
            self["path"] = str(path)
            self["loaded"] = load(path, os.environ)
        except ConfigInvalid as error:
            raise usage.UsageError(f"{error}\n{error.remedy}") from error
