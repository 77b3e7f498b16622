"""Where a document comes from, and what its relative names therefore mean.

The environment is a mapping that the caller hands in: nothing here looks at
the process's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from mailnotify.config.files import OTHERS, exists


class Origin(Struct, frozen=True, kw_only=True):
    """One configuration file in its surroundings.

    Attributes:
        file: its absolute path; relative names in it begin at its folder.
        environ: the environment variables.
        mode: the permission bits that the file had when it was opened.
    """

    file: Path
    environ: Mapping[str, str]
    mode: int = 0o600

    @property
    def is_private(self) -> bool:
        """Whether only its owner can read it."""
        return not self.mode & OTHERS

    def resolve(self, name: str) -> Path:
        """An absolute path: `~` is the home folder, relative is beside the file."""
        return self.file.parent / expand_home(name, self.environ)

    def resolve_secret(self, name: str) -> Path:
        """As `resolve`, but a bare name is a systemd credential if there is one."""
        credential = credentials_directory(self.environ) / name
        if credential.name == name and exists(credential):
            return credential
        return self.resolve(name)


def credentials_directory(environ: Mapping[str, str]) -> Path:
    """Where systemd put the credentials of this service; nowhere, if it did not."""
    return Path(environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent")


def expand_home(name: str, environ: Mapping[str, str]) -> Path:
    """Replace a leading `~` by $HOME, if that is set."""
    first, *rest = Path(name).parts or (".",)
    home = environ.get("HOME")
    return Path(home, *rest) if first == "~" and home else Path(name)


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where the journal lies if nobody said where.

    systemd names the folder that it made for us; else the XDG base directories
    hold; a service without a home has its place in /var/lib.
    """
    made_by_systemd = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if made_by_systemd:
        return Path(made_by_systemd)
    base = xdg_base(environ, "XDG_STATE_HOME", ".local/state")
    return (base or Path("/var/lib")) / "mailnotify"


def xdg_base(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """One of the XDG base directories; None without a home. Relative ones do not count."""
    base = Path(environ.get(variable, ""))
    if base.is_absolute():
        return base
    home = environ.get("HOME")
    return Path(home, below_home) if home else None
