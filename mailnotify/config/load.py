"""From a TOML document to frozen values; all problems at once.

After `load` nobody sees a dict, and nothing needs a second check: every number
is within its bounds, every path absolute, every server's URL taken apart. What
does not fit is reported with its path, what was found, what was expected and a
hint; never with a secret.
"""

from __future__ import annotations

import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailnotify.config import files
from mailnotify.config.accounts import read_account, read_timing
from mailnotify.config.connecting import Connecting
from mailnotify.config.listening import read_listen
from mailnotify.config.origin import Origin, default_state_dir, expand_home, xdg_base
from mailnotify.config.outbox import Outbox
from mailnotify.config.schema import (
    Account,
    Config,
    Limits,
    Retention,
    Server,
    Timing,
)
from mailnotify.config.tables import Table, shown
from mailnotify.core.text import clean
from mailnotify.errors import ConfigInvalid, Problem

SYSTEM_WIDE = Path("/etc/mailnotify/config.toml")
"""Looked at last: a service of the system has no home folder."""

MOST_BYTES = 1024 * 1024
"""A thousand accounts take a quarter of it."""


_FROM_ELSEWHERE = {
    **dict.fromkeys(("account", "imap", "server"), "An account is a table [accounts.NAME]."),
}


@dataclass(eq=False, kw_only=True)
class ConfigMissing(ConfigInvalid):
    """There is none in any of the places where one is looked for."""

    places: tuple[Path, ...]

    def __str__(self) -> str:
        return f"there is no configuration: no file {' and no file '.join(map(str, self.places))}"

    @property
    def remedy(self) -> str:
        """The way to a first one, ready to be copied."""
        path = self.places[0]
        return (
            f"Begin with: mkdir -p {path.parent} && mailnotify sample-config > {path}\n"
            "Write your server and user into it, and look at it with `mailnotify check-config`."
        )


def find(environ: Mapping[str, str], explicit: str | None, system_wide: Path = SYSTEM_WIDE) -> Path:
    """The configuration file of this process.

    A place that somebody named, on the command line or in $MAILNOTIFY_CONFIG, is
    the only one looked at. Else it is the first that exists of
    $XDG_CONFIG_HOME/mailnotify/config.toml and `system_wide`.

    Raises:
        ConfigMissing: there is none.
    """
    named = explicit or environ.get("MAILNOTIFY_CONFIG")
    if named:
        places = [expand_home(named, environ).absolute()]
    else:
        base = xdg_base(environ, "XDG_CONFIG_HOME", ".config")
        places = [base / "mailnotify/config.toml"] if base else []
        places.append(system_wide)
    for place in places:
        if files.exists(place):
            return place
    raise _nowhere(places)


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read one file.

    Raises:
        ConfigInvalid: it cannot be read, or says something that makes no sense.
    """
    path = path.absolute()
    try:
        content = files.read(path, MOST_BYTES)
    except OSError as error:
        raise _invalid(path, "file", files.reason(error), "a readable file") from None
    try:
        text = content.data.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        if content.data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise _invalid(path, "file", "UTF-16", "TOML in UTF-8") from None
        line = content.data.count(b"\n", 0, error.start) + 1
        found = f"a byte that is no UTF-8 in line {line}"
        raise _invalid(path, "file", found, "TOML in UTF-8") from None
    return parse(text, Origin(file=path, environ=environ, mode=content.mode))


def parse(text: str, origin: Origin) -> Config:
    """Read one document.

    Raises:
        ConfigInvalid: with all problems of the document.
    """
    problems: list[Problem] = []
    document = Table("", _toml(text, origin.file), problems)
    config = _read_config(document, origin)
    if problems:
        raise ConfigInvalid(source=str(origin.file), problems=tuple(problems))
    return config


def _read_config(document: Table, origin: Origin) -> Config:
    timing = read_timing(document, Timing())
    service = document.table("service")
    config = Config(
        state_dir=_state_dir(service, origin),
        key_log=service.is_true("key_log"),
        accounts=_accounts(document, timing, origin),
        listen=read_listen(document.table("listen"), origin),
        connecting=document.table("connecting").whole(Connecting),
        limits=document.table("limits").whole(Limits),
        outbox=document.table("outbox").whole(Outbox),
        retention=document.table("retention").whole(Retention),
    )
    service.close()
    document.close(_FROM_ELSEWHERE)
    return config


def _state_dir(table: Table, origin: Origin) -> str:
    written = table.text("state_dir", "a folder")
    return str(origin.resolve(written) if written else default_state_dir(origin.environ))


def _accounts(document: Table, timing: Timing, origin: Origin) -> tuple[Account, ...]:
    table = document.table("accounts")
    accounts = tuple(read_account(name, each, timing, origin) for name, each in table.tables())
    if not accounts:
        document.complain("accounts", "nothing", "at least one table [accounts.NAME]")
    _check_watched_once(table, accounts)
    return accounts


def _check_watched_once(table: Table, accounts: tuple[Account, ...]) -> None:
    """Two watchers of one mailbox would announce each message twice."""
    watchers: dict[tuple[Server, str], str] = {}
    for account in accounts:
        for mailbox in dict.fromkeys(account.mailboxes):
            first = watchers.setdefault((account.server, mailbox), account.name)
            if account.server.host and first != account.name:
                table.complain(
                    account.name,
                    f"{shown(mailbox)}, which {shown(first)} watches too",
                    "each mailbox of a user in one account",
                    "Each of its messages would be announced twice.",
                )


def _toml(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # "Invalid value (at line 3, column 5)"
        said, _, place = str(error).removesuffix(")").rpartition(" (at ")
    except (ValueError, RecursionError):  # a number of 5,000 digits, 5,000 brackets
        said, place = "a value beyond all measure", "file"
    # The words of the parser may quote a key, of any length.
    raise _invalid(file, place, f"{clean(said, 120)}", "TOML, see https://toml.io")


def _invalid(file: Path, path: str, found: str, expected: str) -> ConfigInvalid:
    problem = Problem(path=path, found=found, expected=expected)
    return ConfigInvalid(source=str(file), problems=(problem,))


def _nowhere(places: Sequence[Path]) -> ConfigMissing:
    return ConfigMissing(source="configuration", problems=(), places=tuple(places))
