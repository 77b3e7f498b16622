"""Fetches a secret from where the configuration says it is.

A secret is one line. It lives in the memory of its caller and nowhere else: no
exception, log line or argument of a process holds it, and what a failing
command said is searched for it before it is quoted.

`reveal` blocks, on a program, a disk or a keyring that asks the user: callers
run it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from mailnotify.auth import child
from mailnotify.config import files
from mailnotify.config.origin import credentials_directory
from mailnotify.config.schema import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Literal,
    Secret,
)
from mailnotify.core.text import clean
from mailnotify.errors import SecretUnavailable

DEADLINE_SECONDS = 30.0
"""For a command: enough for a person to unlock a password store, once."""

MOST_BYTES = 64 * 1024
"""Of a file or a command's output: an OAuth token has some 3 KiB, `pass` may print notes."""

_CREDENTIAL_OTHERS = 0o007
"""systemd lets the service's user read by an ACL, which looks like a bit of the group."""

_MOST_QUOTED_BYTES = 200

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750 §2.1): what a program says beside it has blanks, or a colon."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Controls would end a command of IMAP; surrogates stand for bytes that are not UTF-8."""


class Keyring(Protocol):
    """What is used of the package `keyring`."""

    def get_password(self, service_name: str, username: str) -> str | None:
        """The secret, or None if there is no such entry."""


class _Unavailable(Exception):
    """The reason, on its way to `reveal`, which knows the origin."""


def installed_keyring() -> Keyring:
    """The keyring of the desktop.

    Raises:
        ImportError: the extra is not installed.
    """
    import keyring  # an optional extra

    return keyring


def reveal(
    secret: Secret,
    *,
    user: str,
    environ: Mapping[str, str],
    deadline_seconds: float = DEADLINE_SECONDS,
    open_keyring: Callable[[], Keyring] = installed_keyring,
) -> str:
    """Fetch a secret; blocks.

    Args:
        user: the login that it belongs to, which a keyring wants to know.
        environ: the environment variables, for the secret and for a command.
        deadline_seconds: after this a command is killed.

    Raises:
        SecretUnavailable: it is not there, or not in a state to be used.
    """
    reason = ""
    try:
        match secret:
            case FromCommand():
                return _of_command(secret, environ, deadline_seconds)
            case FromFile():
                return _of_file(Path(secret.file), environ)
            case FromEnvironment():
                return _of_environment(secret.env, environ)
            case FromKeyring():
                return _of_keyring(secret.keyring, user, open_keyring)
            case Literal():
                return _checked(secret.text)
    except _Unavailable as unavailable:
        reason = str(unavailable)
    # Outside the handler: no chain of exceptions leads back to what was read.
    raise SecretUnavailable(origin=origin(secret), reason=reason, advice=_advice(secret))


def reveal_token(command: FromCommand, *, environ: Mapping[str, str]) -> str:
    """Fetch an access token from a program; blocks.

    Raises:
        SecretUnavailable: also if its first line is something else than a token, which
            a server would only call wrong.
    """
    token = reveal(command, user="", environ=environ)
    if _BEARER.fullmatch(token):
        return token
    reason = "its first line is no token (RFC 6750), but something with other characters"
    raise SecretUnavailable(origin=origin(command), reason=reason, advice=_advice(command))


def origin(secret: Secret) -> str:
    """Where a secret comes from, in words that may be shown."""
    match secret:
        case FromCommand():
            # The program only: some put a token among the arguments.
            return f"the command {clean(secret.command[0], _MOST_QUOTED_BYTES)}"
        case FromFile():
            return f"the file {clean(secret.file, _MOST_QUOTED_BYTES)}"
        case FromEnvironment():
            return f"the environment variable {clean(secret.env, _MOST_QUOTED_BYTES)}"
        case FromKeyring():
            return f"the keyring entry {clean(secret.keyring, _MOST_QUOTED_BYTES)}"
        case Literal():
            return "the configuration itself"


def _advice(secret: Secret) -> str:
    """What helps where a secret comes from such a place."""
    match secret:
        case FromCommand():
            return "Run the command by hand, as the user whom mailnotify runs as."
        case FromFile():
            path = clean(secret.file, _MOST_QUOTED_BYTES)
            return (
                "The file has to belong to the user whom mailnotify runs as, with mode 0600, and"
                f" hold one line: look at `ls -l {path}`."
            )
        case FromEnvironment():
            return (
                f"Set {clean(secret.env, _MOST_QUOTED_BYTES)} where mailnotify is started: export"
                " it in that shell, or write EnvironmentFile= into the unit of systemd."
            )
        case FromKeyring():
            name = clean(secret.keyring, _MOST_QUOTED_BYTES)
            return (
                f"Put it there: `keyring set {name} USER`, in the session that mailnotify runs in."
            )
        case Literal():
            return "Write another one into the configuration."


def _of_command(secret: FromCommand, environ: Mapping[str, str], deadline_seconds: float) -> str:
    try:
        outcome = child.run(
            secret.command,
            environ=environ,
            deadline_seconds=deadline_seconds,
            most_bytes=MOST_BYTES,
        )
    except OSError as error:
        raise _Unavailable(files.reason(error)) from None
    except child.ChildOverran as overran:
        limits = f"{deadline_seconds:g} s, {MOST_BYTES} bytes"
        raise _Unavailable(f"it used up {overran.what} ({limits}) and was killed") from None
    if outcome.status != 0:
        raise _Unavailable(_failure(outcome))
    return _first_line(outcome.stdout)


def _failure(outcome: child.Outcome) -> str:
    """How a command failed, with the first line that it had to say of it."""
    status = outcome.status
    ended = f"it ended with status {status}" if status > 0 else f"signal {-status} ended it"
    said = outcome.stderr.strip().partition(b"\n")[0]
    printed = outcome.stdout.strip()
    if printed and any(line.strip() in said for line in printed.splitlines() if line.strip()):
        return f"{ended}, and what it said is not fit to be shown"
    quoted = clean(said.decode("utf-8", "replace"), _MOST_QUOTED_BYTES)
    return f"{ended}: {quoted}" if quoted else f"{ended} and said nothing"


def _of_file(path: Path, environ: Mapping[str, str]) -> str:
    try:
        content = files.read(path, MOST_BYTES)
    except OSError as error:
        raise _Unavailable(files.reason(error)) from None
    is_credential = path.parent == credentials_directory(environ)
    if content.mode & (_CREDENTIAL_OTHERS if is_credential else files.OTHERS):
        raise _Unavailable(f"others can use it (mode {content.mode:04o}): chmod 600 {path}")
    return _first_line(content.data)


def _of_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise _Unavailable("it is not set")
    return _checked(environ[name].partition("\n")[0])


def _of_keyring(service: str, user: str, open_keyring: Callable[[], Keyring]) -> str:
    try:
        found = open_keyring().get_password(service, user)
    except ImportError:
        raise _Unavailable('it needs the extra: pip install "mailnotify[keyring]"') from None
    except Exception as error:  # each backend has exceptions of its own
        said = clean(str(error), _MOST_QUOTED_BYTES)
        raise _Unavailable(f"no keyring answers here ({type(error).__name__}: {said})") from None
    if found is None:
        raise _Unavailable(f"there is none for the user {clean(user, _MOST_QUOTED_BYTES)}")
    return _checked(found.partition("\n")[0])


def _first_line(data: bytes) -> str:
    line = data.partition(b"\n")[0].removesuffix(b"\r")
    text = line.decode("utf-8-sig", "ignore")  # some editors begin a file with a mark
    if text.encode("utf-8") != line.removeprefix(b"\xef\xbb\xbf"):
        raise _Unavailable("its first line is not UTF-8")
    return _checked(text)


def _checked(text: str) -> str:
    if not text:
        raise _Unavailable("it is empty, or begins with an empty line")
    if _UNFIT.search(text):
        raise _Unavailable("it holds control characters, as coloured output does")
    return text
