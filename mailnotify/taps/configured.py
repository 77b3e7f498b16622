"""``--config``, as every command takes it."""

from __future__ import annotations

import os
from typing import Final

from twisted.python import usage

from mailnotify.config.load import find, load
from mailnotify.errors import ConfigInvalid
from mailnotify.taps.command_line import CommandLine


def _file(name: str) -> str:
    if not name:
        raise ValueError("--config: found nothing, expected the name of a file")
    return name


CONFIG: Final = [
    "config",
    "c",
    None,
    "The configuration; see `mailnotify check-config` for the default.",
    _file,
]


class SubOptions(CommandLine):
    """Options of one word of a command such as ``outbox list``; --config may stand here, too."""

    optParameters = [CONFIG]


class ConfiguredOptions(CommandLine):
    """Options that begin with a configuration.

    After parsing, ``["path"]`` is the file that was found and ``["loaded"]`` the
    `mailnotify.config.schema.Config` that it holds.
    """

    optParameters = [CONFIG]

    def postOptions(self) -> None:
        """Load the configuration now, while there is a terminal to complain to."""
        below = self.subOptions["config"] if self.subCommand else None
        try:
            path = find(os.environ, below or self["config"])
            self["path"] = str(path)
            self["loaded"] = load(path, os.environ)
        except ConfigInvalid as error:
            raise usage.UsageError(f"{error}\n{error.remedy}") from error
