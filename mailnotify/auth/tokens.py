"""Keeps an account's OAuth2 access fresh: whoever logs in asks here for a token.

A token is renewed shortly before it ends, once for all who wait: ten mailboxes
of an account that reconnect together ask the provider once. A new refresh token
is kept before the access token is used, since the old one may be dead by then.
A dead grant is remembered: nobody asks the provider again until a person has
run ``mailnotify login``, which is noticed by itself, as the stored grant is then
another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.auth.grants import GrantStore
from mailnotify.auth.oauth import Client, Grant, Refusal, read_grant, renewal
from mailnotify.auth.provider import Provider
from mailnotify.config.schema import OAuthClient
from mailnotify.errors import (
    LoginDenied,
    LoginNeeded,
    MailnotifyError,
    NotConnected,
    SecretUnavailable,
)

EARLY_SECONDS: Final = 120.0
"""Renew so long before the end: clocks differ, and a login may take a minute."""

BRAND_NEW_SECONDS: Final = 60.0
"""A token that is refused at this age was not taken back: another would be refused too."""

LOCK_SECONDS: Final = 45.0
"""Another process that renews needs less, even at a provider that does not answer."""

_LOCK_RETRY_SECONDS: Final = 0.25

_LOCKED: Final = "End the other `mailnotify login`, or whatever has hung while it renewed a token."

CLIENT_ADVICE: Final = "Check `client_id`, `client_secret`, `scopes` and the endpoints of `oauth`."


class TokenKeeper:
    """The access token of one account.

    Args:
        account: its name.
        user: who logs in, for errors.
        oauth: the client, and where it asks.
        store: keeps the grant; blocks, so it is called by `in_thread`.
        provider: is asked for renewals.
        secret: reveals the client's secret.
        in_thread: runs a call that blocks.
        clock: runs the deadlines.
        now: seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self,
        account: str,
        user: str,
        oauth: OAuthClient,
        *,
        store: GrantStore,
        provider: Provider,
        secret: Callable[[], Awaitable[str]],
        in_thread: Callable[..., Awaitable[Any]],
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._account = account
        self._user = user
        self._oauth = oauth
        self._store = store
        self._provider = provider
        self._secret = secret
        self._in_thread = in_thread
        self._clock = clock
        self._now = now
        self._grant: Grant | None = None
        self._spent = ""
        self._fetched_at = -BRAND_NEW_SECONDS
        self._dead: tuple[str, LoginNeeded] | None = None
        self._renewing: Deferred[Grant] | None = None
        self._waiting: list[Deferred[str]] = []

    async def token(self) -> str:
        """An access token that is good for a login now.

        Raises:
            LoginNeeded: a person must allow the access first.
            LoginDenied: the provider does not take this client.
            SecretUnavailable: the grant cannot be read.
            PeerError: the provider cannot be asked now.
        """
        if self._grant is not None and self._is_fresh(self._grant):
            return self._grant.access_token
        return await self._renewed()

    def refused(self, token: str) -> bool:
        """A mail server refused this token: it is not given out again.

        Returns:
            Whether another one is worth a try at once: this one was not brand new.
        """
        is_first = token != self._spent
        is_old = self._clock.seconds() - self._fetched_at >= BRAND_NEW_SECONDS
        is_ours = self._grant is not None and self._grant.access_token == token
        self._spent = token
        return is_first and is_old and is_ours

    def _is_fresh(self, grant: Grant) -> bool:
        left_seconds = grant.expires_at - self._now()
        return left_seconds > EARLY_SECONDS and grant.access_token != self._spent

    # -- one renewal, however many wait for it

    def _renewed(self) -> Deferred[str]:
        def leave(waiting: Deferred[str]) -> None:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

        waiting: Deferred[str] = Deferred(leave)
        self._waiting.append(waiting)
        if self._renewing is None:
            # Never cancelled: the answer may hold the only refresh token that works.
            self._renewing = renewing = Deferred.fromCoroutine(self._renew())
            renewing.addBoth(self._tell)
        return waiting

    def _tell(self, result: Grant | Failure) -> None:
        self._renewing = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(result, Failure):
                each.errback(result)
            else:
                each.callback(result.access_token)

    async def _renew(self) -> Grant:
        descriptor = await lock(self._store, self._in_thread, self._clock)
        try:
            kept: Grant | None = await self._in_thread(self._store.load)
            if kept is None:
                raise LoginNeeded(account=self._account, reason="none is kept here")
            # Fresh already: another process has renewed it while we waited.
            fresh = kept if self._is_fresh(kept) else await self._fetch(kept.refresh_token)
            self._grant = fresh
            return fresh
        finally:
            self._store.unlock(descriptor)

    async def _fetch(self, refresh_token: str) -> Grant:
        if self._dead is not None and self._dead[0] == _digest(refresh_token):
            raise self._dead[1]
        if not refresh_token:
            reason = "it has ended, and came without a refresh token"
            raise LoginNeeded(account=self._account, reason=reason)
        oauth = self._oauth
        client = Client(client_id=oauth.client_id, client_secret=await self._secret())
        answer = await self._provider.ask(oauth.token_endpoint, renewal(client, refresh_token))
        found = read_grant(answer, now=self._now(), refresh_token=refresh_token)
        if isinstance(found, Refusal):
            raise self._explain(found, refresh_token)
        self._fetched_at = self._clock.seconds()
        await self._keep(found)
        return found

    async def _keep(self, grant: Grant) -> None:
        """Store a new grant. Where that fails, it lives as long as this process."""
        try:
            await self._in_thread(self._store.save, grant)
        except SecretUnavailable as error:
            self._log.warn("{why}", why=error.explain())

    def _explain(self, refusal: Refusal, refresh_token: str) -> MailnotifyError:
        peer = urlsplit(self._oauth.token_endpoint).netloc
        if refusal.is_dead:
            reason = f"{peer} says {refusal}"
            needed = LoginNeeded(account=self._account, reason=reason)
            self._dead = (_digest(refresh_token), needed)
            return needed
        return refused_client(refusal, peer=peer, user=self._user)


async def lock(
    store: GrantStore, in_thread: Callable[..., Awaitable[Any]], clock: IReactorTime
) -> int:
    """Wait for the lock of a grant; give the descriptor to `GrantStore.unlock`.

    Raises:
        SecretUnavailable: there can be no lock, or another process does not let go.
    """
    give_up_at = clock.seconds() + LOCK_SECONDS
    while True:
        descriptor: int | None = await in_thread(store.lock)
        if descriptor is not None:
            return descriptor
        if clock.seconds() > give_up_at:
            raise store.unavailable("another process holds its lock", _LOCKED)
        await deferLater(clock, _LOCK_RETRY_SECONDS, lambda: None)


def refused_client(refusal: Refusal, *, peer: str, user: str) -> MailnotifyError:
    """A refusal that says nothing of the grant, as an error."""
    if refusal.is_passing:
        return NotConnected(peer=peer, reason=f"it gives no tokens now ({refusal})")
    return LoginDenied(peer=peer, user=user, said=str(refusal), advice=CLIENT_ADVICE)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()
