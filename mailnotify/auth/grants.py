"""Keeps OAuth2 grants: in the keyring, or in files that only their owner can read.

A grant belongs to an account, a user, a client and a token endpoint. If any of
them is another one now, the grant counts as missing: no refresh token is ever
sent to an endpoint that it did not come from. Several processes may use one
account (the service, `mailnotify send`), and providers give a new refresh token
for an old one that is then dead; so whoever renews holds `lock`, and reads again
before it asks.

All of this blocks, on a disk or on a keyring that asks the user: callers run it
in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from mailnotify.auth.oauth import Grant
from mailnotify.config import files
from mailnotify.config.schema import OAuthClient, TokenStore
from mailnotify.core.text import clean
from mailnotify.errors import SecretUnavailable

SERVICE = "mailnotify-oauth"
"""The name of our entries in a keyring."""

_MOST_BYTES = 64 * 1024
_UNTAME = re.compile(r"[^A-Za-z0-9.-]+")
_WORKS_FROM_PRIORITY = 1
"""Below are keyring's backends that keep nothing, or keep it in the open."""

_NO_KEYRING: Final = (
    'Unlock it, or install one with mailnotify[keyring]; or write `store = "file"` into `oauth`.'
)
_OURS: Final = "`state_dir` and what is in it has to belong to the user whom mailnotify runs as."


class Keyring(Protocol):
    """What is used of the package `keyring`."""

    def get_password(self, service: str, username: str) -> str | None:
        """The secret, or None if there is no such entry."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a secret."""


class Holder(Struct, frozen=True, kw_only=True):
    """Whose grant it is."""

    account: str
    user: str
    client_id: str
    token_endpoint: str


class _Kept(Struct, frozen=True, kw_only=True):
    """What stands in the file or the keyring."""

    holder: Holder
    grant: Grant


def installed_keyring() -> Keyring | None:
    """The keyring of the desktop; None if there is none that could keep a secret."""
    try:
        import keyring  # an optional extra

        backend = keyring.get_keyring()
        works: bool = backend.priority >= _WORKS_FROM_PRIORITY
    except Exception:  # each backend has exceptions of its own
        return None
    return backend if works else None


class GrantStore:
    """The grant of one account.

    Args:
        folder: for files; made when needed.
        client: says where grants are kept.
        open_keyring: finds the keyring; None if there is none.
    """

    def __init__(
        self,
        folder: Path,
        holder: Holder,
        client: OAuthClient,
        open_keyring: Callable[[], Keyring | None] = installed_keyring,
    ) -> None:
        tame = _UNTAME.sub("-", holder.account)[:32]
        name = f"{tame}-{hashlib.sha256(holder.account.encode()).hexdigest()[:12]}"
        self._path = folder / f"{name}.json"
        self._holder = holder
        self._store = client.store
        self._open_keyring = open_keyring

    def load(self) -> Grant | None:
        """The grant; None if there is none for this very account, user and client.

        Raises:
            SecretUnavailable: it is there and cannot be read.
        """
        kept = (self._read(self._from_keyring()), self._read(self._from_file()))
        grants = [each for each in kept if each is not None]
        # Two, where the keyring came or went meanwhile: the older one may be dead.
        return max(grants, key=lambda grant: grant.expires_at, default=None)

    def save(self, grant: Grant) -> str:
        """Keep a grant; return where, in words.

        Raises:
            SecretUnavailable: it cannot be kept.
        """
        data = msgspec.json.encode(_Kept(holder=self._holder, grant=grant))
        if self._store is not TokenStore.FILE and self._to_keyring(data):
            self._path.unlink(missing_ok=True)  # what is older must not be found again
            return "the keyring"
        if self._store is TokenStore.KEYRING:
            raise self.unavailable("there is no keyring that works", _NO_KEYRING)
        try:
            self._make_folder()
            files.replace(self._path, data)
        except OSError as error:
            raise self.unavailable(f"{self._path}: {files.reason(error)}") from None
        return str(self._path)

    def lock(self) -> int | None:
        """Take the lock among processes; give its descriptor to `unlock`. None: it is taken.

        Raises:
            SecretUnavailable: there can be no lock.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._make_folder()
            descriptor = os.open(self._path.with_suffix(".lock"), flags, 0o600)
        except OSError as error:
            raise self.unavailable(f"{self._path}: {files.reason(error)}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise self.unavailable(f"{self._path}: {files.reason(error)}") from None
        return descriptor

    @staticmethod
    def unlock(descriptor: int) -> None:
        """Let another process renew."""
        os.close(descriptor)

    def _read(self, data: bytes | None) -> Grant | None:
        try:
            kept = msgspec.json.decode(data or b"", type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # what is damaged is replaced when the person logs in again
        return kept.grant if kept.holder == self._holder else None

    def _make_folder(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.parent.chmod(0o700)

    def _from_file(self) -> bytes | None:
        if self._store is TokenStore.KEYRING:
            return None
        try:
            content = files.read(self._path, _MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unavailable(f"{self._path}: {files.reason(error)}") from None
        if content.mode & files.OTHERS:
            raise self.unavailable(
                f"others can use it (mode {content.mode:04o}): chmod 600 {self._path}"
            )
        return content.data

    def _from_keyring(self) -> bytes | None:
        if self._store is TokenStore.FILE:
            return None
        keyring = self._open_keyring()
        if keyring is None:
            return None
        try:
            found = keyring.get_password(SERVICE, self._holder.account)
        except Exception as error:  # each backend has exceptions of its own
            if self._store is TokenStore.KEYRING:
                raise self.unavailable(
                    f"the keyring: {type(error).__name__}", _NO_KEYRING
                ) from None
            return None
        return None if found is None else found.encode("utf-8", "replace")

    def _to_keyring(self, data: bytes) -> bool:
        keyring = self._open_keyring()
        if keyring is None:
            return False
        text = data.decode("utf-8")
        try:
            keyring.set_password(SERVICE, self._holder.account, text)
            return keyring.get_password(SERVICE, self._holder.account) == text
        except Exception:  # each backend has exceptions of its own
            return False

    def unavailable(self, reason: str, advice: str = _OURS) -> SecretUnavailable:
        """An error that says which grant it is about."""
        origin = f"the OAuth2 grant of {clean(self._holder.account, 64)}"
        return SecretUnavailable(origin=origin, reason=reason, advice=advice)
