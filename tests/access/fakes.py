"""Tokens for tests, and a keeper whose threads are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from mailnotify.access.keeper import Keeper
from mailnotify.access.token import Offer, Token, hashed
from mailnotify.access.token_file import TokenFile
from tests.fakes import NOON


def token(number: int, name: str, **fields: Any) -> tuple[Token, str]:
    """A record, and the text that its owner keeps."""
    offer = Offer(id=f"{number:016x}", secret=bytes([number % 256]) * 32)
    record = Token(
        id=offer.id, name=name, made=NOON, hash=hashed(offer.secret, b"salt" * 4), **fields
    )
    return record, str(offer)


class Offloaded:
    """Computes at once, or when the test says so; counts.

    Attributes:
        hashes: how many were asked for.
        is_slow: keep them waiting, until `finish`.
    """

    def __init__(self) -> None:
        self.hashes = 0
        self.is_slow = False
        self._waiting: list[Callable[[], None]] = []

    def __call__(self, function: Callable[..., bool], *args: Any) -> Deferred[bool]:
        self.hashes += 1
        if not self.is_slow:
            return maybeDeferred(function, *args)
        result: Deferred[bool] = Deferred()
        self._waiting.append(lambda: None if result.called else result.callback(function(*args)))
        return result

    @property
    def at_once(self) -> int:
        """How many are under way."""
        return len(self._waiting)

    def finish(self) -> None:
        """Let those end that are under way."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()


class Tokens:
    """A file of tokens and its keeper.

    Args:
        folder: of the test.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], datetime] = lambda: NOON,
        folder: str | None = None,
    ) -> None:
        self.file = TokenFile(Path(folder or mkdtemp(dir=".")) / "tokens.json")
        self.offloaded = Offloaded()
        self.keeper = Keeper(self.file, clock=clock, now=now, offload=self.offloaded)

    def add(self, number: int, name: str, **fields: Any) -> str:
        """Write one down; return its text."""
        record, text = token(number, name, **fields)
        with self.file.changing() as tokens:
            tokens.append(record)
        return text

    def revoke(self, name: str) -> None:
        """Take it out of the file."""
        with self.file.changing() as tokens:
            tokens[:] = [each for each in tokens if each.name != name]
