"""``mailnotify sample-config``: a commented configuration to begin with, on stdout."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from mailnotify.config.sample import sample
from mailnotify.taps.command_line import CommandLine


class Options(CommandLine):
    """No options."""

    synopsis = "[> ~/.config/mailnotify/config.toml]"
    longdesc = "Prints a commented configuration with every key, its bounds and its default."


def run(options: Options) -> int:
    """Print the sample; return an exit code of sysexits(3)."""
    return write(sys.stdout)


def write(stdout: TextIO) -> int:
    """Print the sample on a stream."""
    stdout.write(sample())
    return os.EX_OK
