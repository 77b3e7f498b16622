"""Judges tokens and certificates, and takes badges back.

The journey of a token: a look among those that proved good before, then the
record by its id, then, if the address may try once more (`Throttle`), the hash in
a thread, a few at a time. Whatever is wrong with it, the answer comes at a time
that depends on the number of failures alone, and says the same: neither tells
how far a guess has come.

The file of tokens may change at any moment. It is looked at again for each
attempt and once a second (`patrol`); who holds a badge of a token that is gone,
or has expired, is sent away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailnotify.access.throttle import Throttle
from mailnotify.access.token import Hash, Offer, Token, matches, parse_token
from mailnotify.access.token_file import Stamp, TokenFile
from mailnotify.core.badge import Badge
from mailnotify.core.frames import Code, Refused
from mailnotify.errors import TokensUnreadable

_HASHES_AT_ONCE: Final = 2
"""Each takes a thread and a MiB for some milliseconds."""

DENIED: Final = Refused(code=Code.DENIED, reason="this opens nothing here")
TOO_MANY: Final = Refused(
    code=Code.DENIED, reason="too many attempts from this address; try again in a minute"
)

Offload = Callable[[Callable[[Hash, bytes], bool], Hash, bytes], Deferred[bool]]
"""Calls a function with its arguments in a thread."""


class Keeper:
    """Keeps the door.

    Args:
        file: the tokens.
        clock: for the delays.
        now: the time in UTC, for expiry.
        offload: where hashes are computed.
    """

    _log = Logger()

    def __init__(
        self,
        file: TokenFile,
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        offload: Offload,
    ) -> None:
        self._file = file
        self._clock = clock
        self._now = now
        self._offload = offload
        self._throttle = Throttle()
        self._hashing = DeferredSemaphore(_HASHES_AT_ONCE)
        self._stamp: Stamp | None = None
        self._tokens: Mapping[str, Token] = {}
        self._proved: dict[bytes, str] = {}
        self._holders: dict[object, tuple[str, Callable[[], object]]] = {}

    @property
    def has_tokens(self) -> bool:
        """Whether there is anybody who could be let in."""
        return bool(self._tokens)

    def load(self) -> None:
        """Read the tokens for the first time.

        Raises:
            TokensUnreadable: they cannot be read.
        """
        self._stamp = self._file.stamp()
        self._take({each.id: each for each in self._file.read()})

    async def judge_token(self, text: str, address: str) -> Badge | Refused:
        """Whom this token lets in, or the refusal, which takes seconds."""
        began = self._clock.seconds()
        self.refresh()
        offer = parse_token(text)
        token = self._valid(offer.id) if offer else None
        if offer is None or token is None:
            return await self._deny(DENIED, address, began)
        proof = sha256(text.encode()).digest()
        if self._proved.get(proof) == token.id:
            return token.badge()
        if not self._throttle.may_try(address, began):
            return await self._deny(TOO_MANY, address, began)
        if not await self._is_right(token, offer):
            return await self._deny(DENIED, address, began)
        self._throttle.succeeded(address)
        self._proved[proof] = token.id
        return token.badge()

    async def judge_certificate(self, fingerprint: str, address: str) -> Badge | Refused:
        """Whom this client certificate, which TLS has verified, lets in."""
        began = self._clock.seconds()
        self.refresh()
        now = self._now()
        for token in self._tokens.values():
            if token.certificate and token.certificate == fingerprint and token.is_valid(now):
                return token.badge()
        return await self._deny(DENIED, address, began)

    def hold(self, holder: object, badge: Badge, send_away: Callable[[], object]) -> None:
        """Call `send_away` as soon as the badge is worth nothing; until `release`."""
        if badge.token_id:
            self._holders[holder] = badge.token_id, send_away

    def release(self, holder: object) -> None:
        """This one has gone."""
        self._holders.pop(holder, None)

    def patrol(self) -> None:
        """Send away whose token is gone or has expired."""
        self.refresh()
        gone = [
            (holder, send_away)
            for holder, (token_id, send_away) in self._holders.items()
            if self._valid(token_id) is None
        ]
        for holder, send_away in gone:
            self.release(holder)
            send_away()

    def refresh(self) -> None:
        """Read the file again if it has changed; if that fails, what was read before stays."""
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            tokens = {each.id: each for each in self._file.read()}
        except TokensUnreadable as failure:
            self._log.error("{why}", why=failure.explain())
            return
        self._take(tokens)
        self._log.info("{count} tokens are in force", count=len(tokens))

    def _take(self, tokens: Mapping[str, Token]) -> None:
        self._tokens = tokens
        self._proved = {proof: id_ for proof, id_ in self._proved.items() if id_ in tokens}

    def _valid(self, token_id: str) -> Token | None:
        token = self._tokens.get(token_id)
        return token if token is not None and token.is_valid(self._now()) else None

    async def _is_right(self, token: Token, offer: Offer) -> bool:
        if token.hash is None:
            return False
        try:
            is_right = await self._hashing.run(self._offload, matches, token.hash, offer.secret)
        except ValueError as broken:
            self._log.error(
                "the record of token {id} is broken: {broken}", id=token.id, broken=broken
            )
            return False
        # Meanwhile it may have been revoked.
        return is_right and self._valid(token.id) is not None

    async def _deny(self, refusal: Refused, address: str, began: float) -> Refused:
        now = self._clock.seconds()
        until = began + self._throttle.failed(address, now)
        self._log.info(
            "somebody at {address} could not be let in: {why}", address=address, why=refusal.reason
        )
        await deferLater(self._clock, max(until - now, 0.0))
        return refusal
