"""What each account logs in with: passwords, tokens, and the grants behind them.

The top floor's part of OAuth2: where the threads, the environment, the state
folder and the ways to the providers meet. One `Logins` serves a whole process,
so that all mailboxes of an account, and what it sends, share one token.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI

from mailnotify.auth.grants import GrantStore, Holder
from mailnotify.auth.provider import Provider
from mailnotify.auth.sasl import Credentials, Password, Token
from mailnotify.auth.secrets import reveal, reveal_token
from mailnotify.auth.tokens import TokenKeeper
from mailnotify.config.schema import (
    Account,
    FromCommand,
    OAuth,
    OAuthClient,
    Secret,
    Security,
    Server,
    SystemTrust,
    TokenCommand,
)
from mailnotify.errors import LoginDenied
from mailnotify.interfaces import IConnector
from mailnotify.taps.threads import defer_to_daemon

GRANTS = "oauth"
"""The folder of grants in the state directory."""

T = TypeVar("T")


class Logins:
    """Fetches the credentials of accounts.

    Args:
        state_dir: where grants lie.
        connector: makes the way to a provider, as to a mail server.
        environ: the environment variables, for secrets.

    Attributes:
        connector: for the connections that are logged in by this.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        state_dir: str,
        connector: IConnector,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._reactor = reactor
        self._folder = Path(state_dir) / GRANTS
        self.connector = connector
        self._environ = environ
        self._keepers: dict[str, TokenKeeper] = {}
        self._shown: dict[str, str] = {}

    async def incoming(self, account: Account) -> Credentials:
        """What the account reads its mail with."""
        return await self._credentials(account, account.proof, account.server.user)

    async def outgoing(self, account: Account) -> Credentials:
        """What the account sends with; it has a `submission`."""
        submission = account.submission
        assert submission is not None
        return await self._credentials(account, submission.proof, submission.server.user)

    async def try_fresh(
        self,
        account: Account,
        attempt: Callable[[Callable[[], Awaitable[Credentials]]], Awaitable[T]],
    ) -> T:
        """Log in; if a token is refused that was not brand new, once more with another.

        A provider takes access back without telling: the hour of a token is not over.
        """
        credentials = partial(self.incoming, account)
        try:
            return await attempt(credentials)
        except LoginDenied:
            if not self.spent(account.name):
                raise
        return await attempt(credentials)

    def spent(self, account: str) -> bool:
        """A server has refused what this account showed last: no token is shown twice then.

        Returns:
            Whether another token is worth a try at once.
        """
        keeper, token = self._keepers.get(account), self._shown.get(account)
        return keeper is not None and token is not None and keeper.refused(token)

    def store(self, account: Account, client: OAuthClient) -> GrantStore:
        """Where the account's grant is kept."""
        return GrantStore(self._folder, holder(account, client), client)

    def provider(self) -> Provider:
        """The way to providers of OAuth2."""
        return Provider(self._endpoint, self._reactor)

    def reveal(self, secret: Secret, user: str) -> Deferred[str]:
        """Read a secret, in a thread."""
        return self.in_thread(reveal, secret, user=user, environ=self._environ)

    def in_thread(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> Deferred[T]:
        """Run what blocks."""
        return defer_to_daemon(self._reactor, call, *args, **kwargs)

    async def client_secret(self, client: OAuthClient) -> str:
        """The secret of an OAuth2 client; empty if it has none."""
        if client.client_secret is None:
            return ""
        return await self.reveal(client.client_secret, client.client_id)

    async def _credentials(self, account: Account, proof: Secret | OAuth, user: str) -> Credentials:
        match proof:
            case OAuthClient():
                token = self._shown[account.name] = await self._keeper(account, proof).token()
                return Token(user, token)
            case TokenCommand():
                command = FromCommand(command=proof.token_command)
                revealed = self.in_thread(reveal_token, command, environ=self._environ)
                return Token(user, await revealed)
            case _:
                return Password(user, await self.reveal(proof, user))

    def _keeper(self, account: Account, client: OAuthClient) -> TokenKeeper:
        if account.name not in self._keepers:
            self._keepers[account.name] = TokenKeeper(
                account.name,
                account.server.user,
                client,
                store=self.store(account, client),
                provider=self.provider(),
                secret=lambda: self.client_secret(client),
                in_thread=self.in_thread,
                clock=self._reactor,
                now=time.time,
            )
        return self._keepers[account.name]

    def _endpoint(self, uri: URI) -> IStreamClientEndpoint:
        host, port = uri.host.decode("ascii"), uri.port
        if uri.scheme != b"https":  # the configuration allows that on loopback only
            return HostnameEndpoint(self._reactor, host, port)
        server = Server(host=host, port=port, security=Security.IMPLICIT_TLS, user="")
        return self.connector.endpoint(server, SystemTrust())


def holder(account: Account, client: OAuthClient) -> Holder:
    """Whose grant an account's is."""
    return Holder(
        account=account.name,
        user=account.server.user,
        client_id=client.client_id,
        token_endpoint=client.token_endpoint,
    )
