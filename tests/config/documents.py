"""Documents for tests, and what `parse` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailnotify.config.load import parse
from mailnotify.config.origin import Origin
from mailnotify.config.schema import Account, Config
from mailnotify.errors import ConfigInvalid, Problem

HOME = {"HOME": "/home/ada"}

ACCOUNT = """
[accounts.home]
server = "imaps://ada%40example.org@imap.example.org"
password = {env = "SECRET"}
"""
"""The least that is a configuration."""


def read(
    text: str,
    *,
    file: Path = Path("/home/ada/mail/config.toml"),
    environ: Mapping[str, str] = HOME,
    mode: int = 0o600,
) -> Config:
    """Parse a document as if it came from that file."""
    return parse(text, Origin(file=file, environ=environ, mode=mode))


def account(lines: str, *, file: Path = Path("/home/ada/mail/config.toml")) -> Account:
    """The account whose table has these lines."""
    return read(f"[accounts.home]\n{lines}", file=file).accounts[0]


def problems_of(text: str, **origin: object) -> dict[str, Problem]:
    """The problems of a document by their paths; empty if it is good."""
    try:
        read(text, **origin)  # type: ignore[arg-type]
    except ConfigInvalid as error:
        return {problem.path: problem for problem in error.problems}
    return {}


def problem(text: str, **origin: object) -> Problem:
    """The only problem of a document."""
    found = problems_of(text, **origin)
    assert len(found) == 1, found
    return next(iter(found.values()))


def account_problem(lines: str, **origin: object) -> Problem:
    """The only problem of an account with these lines and a sound rest."""
    sound = {
        "server": 'server = "imaps://ada%40example.org@imap.example.org"',
        "password": 'password = {env = "SECRET"}',
    }
    rest = [line for key, line in sound.items() if f"{key} =" not in lines.split("[")[0]]
    if "provider =" in lines:
        rest = [line for line in rest if not line.startswith("server")]
    return problem("\n".join(["[accounts.home]", *rest, lines]), **origin)
