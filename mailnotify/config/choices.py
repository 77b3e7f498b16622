"""Where a secret comes from, and who vouches for a server: tables with one key.

Nothing that was found is ever shown here.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from mailnotify.config import files
from mailnotify.config.origin import Origin, credentials_directory
from mailnotify.config.schema import (
    CaFile,
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Literal,
    Pinned,
    Secret,
    SystemTrust,
    Trust,
)
from mailnotify.config.tables import Table, kind

_SECRET_FORMS = (  # how one may be written
    'one of {command = ["PROGRAM", …]}, {file = "PATH"}, {env = "NAME"}, {keyring = "SERVICE"}'  # noqa: S105
)
_TRUST_FORMS = 'one of {ca_file = "PATH"}, {fingerprint = "SHA256-HEX"}, "system"'
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_CA_BYTES = 4 * 1024 * 1024
"""The whole bundle of Mozilla is a quarter of a MiB."""


def read_secret(table: Table, key: str, origin: Origin) -> Secret | None:
    """The secret at `key`; None if there is none, or none that fits."""
    found = table.value(key)
    match found:
        case None:
            return None
        case str():
            return _literal(table, key, found, origin)
        case {"command": command, **rest} if not rest:
            return _checked_command(table, key, command, origin)
        case {"file": str(name), **rest} if _is_word(name) and not rest:
            return _file(table, key, origin.resolve_secret(name), origin)
        case {"env": str(name), **rest} if _is_word(name) and not rest:
            return FromEnvironment(env=name)
        case {"keyring": str(service), **rest} if _is_word(service) and not rest:
            return FromKeyring(keyring=service)
    hint = "Put a password that is all digits in quotes." if isinstance(found, int) else ""
    table.complain(key, _one_of(found), _SECRET_FORMS, hint)
    return None


def read_trust(table: Table, key: str, origin: Origin) -> Trust | None:
    """The trust at `key`; None if there is none, or none that fits."""
    found = table.value(key)
    match found:
        case None:
            return None
        case "system":
            return SystemTrust()
        case {"ca_file": str(name), **rest} if _is_word(name) and not rest:
            return _ca_file(table, key, origin.resolve(name))
        case {"fingerprint": str(text), **rest} if not rest:
            return _pinned(table, key, text)
    table.complain(
        key, _one_of(found), _TRUST_FORMS, "Verification is never off; it may have another anchor."
    )
    return None


def read_command(table: Table, key: str, origin: Origin) -> FromCommand | None:
    """The command at `key`, a bare list; None if none fits."""
    return _checked_command(table, key, table.value(key), origin)


def _literal(table: Table, key: str, text: str, origin: Origin) -> Secret | None:
    if not text or not text.isprintable():
        table.complain(key, kind(text), _SECRET_FORMS)
    elif not origin.is_private:
        table.complain(
            key,
            f"a secret in a file with mode {origin.mode:04o}",
            "mode 0600",
            f"chmod 600 {origin.file}",
        )
    else:
        return Literal(text=text)
    return None


def _checked_command(table: Table, key: str, found: object, origin: Origin) -> FromCommand | None:
    if not isinstance(found, list) or not found or not all(_is_word(each) for each in found):
        table.complain(
            key,
            f"a command that is {kind(found)}",
            'a list of texts, the program first, as in ["pass", "mail/home"]',
            "There is no shell: write each word as a text of its own.",
        )
        return None
    program, *words = found
    if "/" in program:  # a bare name is looked up in $PATH
        program = str(origin.resolve(program))
    return FromCommand(command=(program, *words))


def _is_word(found: object) -> bool:
    """A NUL would end a path or an argument early."""
    return isinstance(found, str) and bool(found) and "\0" not in found


def _file(table: Table, key: str, path: Path, origin: Origin) -> Secret:
    """A file that is not there yet is no problem; one that others can read is."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mode = 0
    if mode & files.OTHERS and path.parent != credentials_directory(origin.environ):
        table.complain(
            key, f"{path} with mode {mode:04o}", "a file with mode 0600", f"chmod 600 {path}"
        )
    return FromFile(file=str(path))


def _ca_file(table: Table, key: str, path: Path) -> Trust | None:
    try:
        data = files.read(path, _MOST_CA_BYTES).data
    except OSError as error:
        found = files.reason(error)
    else:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return CaFile(ca_file=str(path))
        found = "no certificate in it"
    table.complain(key, f"{path}: {found}", "a file of certificates in PEM form")
    return None


def _pinned(table: Table, key: str, text: str) -> Trust | None:
    digest = re.sub(r"^sha-?256( fingerprint)?[:=]|[\s:]", "", text.lower().strip())
    if _SHA256.fullmatch(digest):
        return Pinned(fingerprint=digest)
    table.complain(
        key,
        "a fingerprint that is no SHA-256 in hex",
        "64 hexadecimal digits, with or without colons",
        "openssl x509 -in CERTIFICATE -noout -fingerprint -sha256",
    )
    return None


def _one_of(found: object) -> str:
    if isinstance(found, dict) and found:
        return "a table with " + (" and ".join(sorted(_name(key) for key in found)))
    return kind(found)


def _name(key: str) -> str:
    return key if key.isidentifier() and len(key) < 32 else "another key"
