"""What all command lines of ours have in common: a name, a version, no stray words."""

from __future__ import annotations

from twisted.python import usage

from mailnotify import __version__


class CommandLine(usage.Options):
    """The base of our options, under twistd and under the console script.

    Attributes:
        command: what was typed before these options, such as ``mailnotify tail``; empty
            under twistd, which names itself.
        synopsis: what may follow.
    """

    command = ""
    synopsis = ""

    def opt_version(self) -> None:
        """Display the version of mailnotify and exit."""
        print(f"mailnotify {__version__}")
        raise SystemExit(0)

    def getSynopsis(self) -> str:
        """The first line of the help."""
        above = self.parent
        if isinstance(above, CommandLine) and above.command:
            return f"Usage: {above.command} {above.subCommand} {self.synopsis}".rstrip()
        if self.command:
            return f"Usage: {self.command} {self.synopsis}".rstrip()
        return str(super().getSynopsis())

    def parseArgs(self, *words: str) -> None:
        """Take no words beside options."""
        if words:
            raise usage.UsageError(f"found {words[0]!r}, expected options only; see --help")
