"""Asks a person for consent, and brings home the grant: what ``mailnotify login`` does.

`by_redirect` sends the browser to the provider and waits on loopback for it to
come back (RFC 8252), `by_device` shows a code to type in anywhere (RFC 8628).
Both end by a grant or an error within the time that a person may take.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.internet.task import deferLater

from mailnotify.auth import oauth
from mailnotify.auth.oauth import Client, DeviceCode, Grant, Refusal
from mailnotify.auth.provider import Provider
from mailnotify.auth.redirect import QuietSite, Redirect
from mailnotify.auth.tokens import refused_client
from mailnotify.config.schema import OAuthClient
from mailnotify.errors import DeadlinePassed, LoginNeeded, NotConnected

CONSENT_SECONDS: Final = 600.0
"""For a person with a password manager, a second factor and a page of terms."""


class Asking(Struct, frozen=True, kw_only=True):
    """Who asks whom for what.

    Attributes:
        account: the name of the account.
        user: the login; shown by the provider's page.
        endpoints: where to ask.
        client: who asks; its secret is revealed.
        now: seconds since 1970.
    """

    account: str
    user: str
    endpoints: OAuthClient
    client: Client
    provider: Provider
    clock: IReactorTime
    now: Callable[[], float]

    def __repr__(self) -> str:
        return f"Asking(account={self.account!r})"

    def fail(self, refusal: Refusal) -> NoReturn:
        """There is no grant, and this is why."""
        if refusal.is_dead or refusal.error in {"access_denied", "authorization_declined"}:
            reason = oauth.consent_missing(refusal)
            raise LoginNeeded(account=self.account, reason=reason)
        peer = urlsplit(self.endpoints.token_endpoint).netloc
        raise refused_client(refusal, peer=peer, user=self.user)


async def by_redirect(
    asking: Asking, listener: IStreamServerEndpoint, show: Callable[[str], object]
) -> Grant:
    """Send the browser to the provider, and wait for it to come back.

    Args:
        listener: a port on loopback.
        show: opens or prints the URL.

    Raises:
        LoginNeeded: the person did not allow it, or not in time.
        LoginDenied: the provider does not take this client.
        PeerError: the provider could not be asked.
    """
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    redirect = Redirect(state)
    port: IListeningPort = await listener.listen(QuietSite(redirect))
    try:
        address: Any = port.getHost()
        redirect.host = f"{address.host}:{address.port}"
        redirect_uri = f"http://{redirect.host}/"
        show(
            oauth.authorization_url(
                asking.endpoints.authorization_endpoint,
                asking.client,
                user=asking.user,
                redirect_uri=redirect_uri,
                state=state,
                verifier=verifier,
            )
        )
        found = await redirect.arrived.addTimeout(CONSENT_SECONDS, asking.clock, _too_late(asking))
    finally:
        await maybeDeferred(port.stopListening)
    if isinstance(found, Refusal):
        asking.fail(found)
    form = oauth.exchange(asking.client, code=found, redirect_uri=redirect_uri, verifier=verifier)
    answer = await asking.provider.ask(asking.endpoints.token_endpoint, form)
    grant = oauth.read_grant(answer, now=asking.now())
    return grant if isinstance(grant, Grant) else asking.fail(grant)


def _too_late(asking: Asking) -> Callable[[object, float], NoReturn]:
    def fail(result: object, seconds: float) -> NoReturn:
        reason = f"the browser did not come back within {seconds / 60:g} minutes"
        raise LoginNeeded(account=asking.account, reason=reason)

    return fail


async def by_device(asking: Asking, show: Callable[[DeviceCode], object]) -> Grant:
    """Let the person type a code in, and poll until that has happened.

    Args:
        show: prints the code and the place for it.

    Raises:
        As `by_redirect`.
    """
    form = oauth.device_request(asking.client)
    answer = await asking.provider.ask(asking.endpoints.device_endpoint, form)
    code = oauth.read_device_code(answer, now=asking.now())
    if isinstance(code, Refusal):
        asking.fail(code)
    show(code)
    interval_seconds = code.interval_seconds
    give_up_at = asking.clock.seconds() + code.expires_at - asking.now()
    while asking.clock.seconds() < give_up_at:
        await _pause(asking.clock, interval_seconds)
        found = await _poll(asking, code)
        if isinstance(found, Grant):
            return found
        interval_seconds = _next(asking, found, interval_seconds)
    raise LoginNeeded(account=asking.account, reason="the code was not typed in in time")


def _next(asking: Asking, refusal: Refusal, interval_seconds: float) -> float:
    if refusal.error in {"invalid_client", "unauthorized_client", "invalid_request"}:
        asking.fail(refusal)
    return oauth.pause_after(refusal, interval_seconds, account=asking.account)


async def _poll(asking: Asking, code: DeviceCode) -> Grant | Refusal:
    form = oauth.device_poll(asking.client, code.device_code)
    try:
        answer = await asking.provider.ask(asking.endpoints.token_endpoint, form)
    except (NotConnected, DeadlinePassed) as error:  # RFC 8628 §3.5: ask less often
        return Refusal(error="temporarily_unavailable", said=str(error))
    return oauth.read_grant(answer, now=asking.now())


def _pause(clock: IReactorTime, seconds: float) -> Deferred[None]:
    return deferLater(clock, seconds, lambda: None)
