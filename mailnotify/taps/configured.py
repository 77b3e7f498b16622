"""``--config``, as every command takes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt
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
    """Options of one word of a command such as ``outbox list``; --config may stand here, too.

    They may stand before and behind the arguments.
    """

    optParameters = [CONFIG]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """As in the base class, which takes options only before the arguments."""
        given = list(options or ())
        try:
            found, words = gnu_getopt(given, self.shortOpt, self.longOpt)
        except GetoptError:  # the base class says what is wrong
            super().parseOptions(given)
        else:
            ordered = [part for pair in found for part in self._again(*pair)]
            super().parseOptions([*ordered, "--", *words])

    def _again(self, name: str, value: str) -> list[str]:
        """An option as it was given; its value may be empty, or it may have none."""
        if name.startswith("--"):
            return [f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name]
        return [name, value] if f"{name[1:]}:" in self.shortOpt else [name]


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
            said = f"{error}\n{error.remedy}"
            if self.command:
                raise usage.UsageError(said) from error
            # twistd would put all of its help before this.
            print(f"mailnotify: {said}", file=sys.stderr)
            raise SystemExit(os.EX_CONFIG) from error
