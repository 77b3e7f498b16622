"""``mailnotify login ACCOUNT``: allow mailnotify the access to an account by OAuth2.

Once, by a person, as the user that the service runs as. At Google the browser
asks and comes back to a port of ours on loopback; at Microsoft a short code is
typed into a page, on any device. What comes of it is kept where the service
finds it; a service that waits for it goes on by itself.
"""

from __future__ import annotations

import os
import time
import webbrowser
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python import usage

from mailnotify.auth.consent import Asking, by_device, by_redirect
from mailnotify.auth.oauth import Client, DeviceCode, Grant
from mailnotify.auth.tokens import lock
from mailnotify.commands.under_reactor import run_errand
from mailnotify.config.schema import Account, Config, OAuthClient, OAuthProvider
from mailnotify.core.text import clean
from mailnotify.errors import ConfigInvalid, Problem
from mailnotify.taps.configured import ConfiguredOptions
from mailnotify.taps.key_log import key_log_of
from mailnotify.taps.logins import Logins
from mailnotify.tls import Connector

Report = Callable[[str], object]
Browser = Callable[[str], object]


class Options(ConfiguredOptions):
    """The command line."""

    synopsis = "ACCOUNT [--no-browser] [--config FILE]"
    longdesc = "Run it as the user that the service runs as."
    optFlags = [["no-browser", None, "Print the address instead of opening a browser."]]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the account before the options too, as people write it."""
        words = list(options or ())
        if words and not words[0].startswith("-"):
            words.append(words.pop(0))
        super().parseOptions(words)

    def parseArgs(self, *words: str) -> None:
        """Take the name of one account."""
        if len(words) != 1:
            raise usage.UsageError(f"found {len(words)} words, expected one ACCOUNT; see --help")
        self["account"] = words[0]


def chosen(config: Config, path: str, name: str) -> tuple[Account, OAuthClient]:
    """The account, and the client that asks for it.

    Raises:
        UsageError: there is no such account.
        ConfigInvalid: it does not log in by a client of ours.
    """
    for account in config.accounts:
        if account.name == name:
            client = account.oauth_client
            if client is None:
                raise _without_client(path, name)
            return account, client
    names = ", ".join(each.name for each in config.accounts)
    raise usage.UsageError(f"found no account {name!r}, expected one of {names}")


def _without_client(path: str, name: str) -> ConfigInvalid:
    problem = Problem(
        path=f"accounts.{name}.oauth",
        found="no provider",
        expected="a table with `provider` and `client_id`",
        hint="docs/configuration.rst tells how to register a client.",
    )
    return ConfigInvalid(source=path, problems=(problem,))


async def log_in(
    account: Account,
    client: OAuthClient,
    logins: Logins,
    reactor: Any,
    *,
    open_browser: Browser | None,
    report: Report,
) -> None:
    """Ask for consent, and keep the grant.

    Args:
        open_browser: None to have the address printed only.

    Raises:
        MailnotifyError: there is no grant.
    """
    secret = await logins.client_secret(client)
    asking = Asking(
        account=account.name,
        user=account.server.user,
        endpoints=client,
        client=Client(client_id=client.client_id, client_secret=secret, scopes=client.scopes),
        provider=logins.provider(),
        clock=reactor,
        now=time.time,
    )
    if client.provider is OAuthProvider.GOOGLE:
        listener = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        show = partial(_show_address, open_browser=open_browser, report=report)
        grant = await by_redirect(asking, listener, show)
    else:
        grant = await by_device(asking, partial(_show_code, report=report))
    place = await _keep(grant, account, client, logins, reactor)
    report(f"The access to {clean(account.name, 64)} is kept in {place}.")
    if not grant.refresh_token:
        report("The provider gave no refresh token: the access ends soon, and cannot be renewed.")


async def _keep(
    grant: Grant, account: Account, client: OAuthClient, logins: Logins, reactor: Any
) -> str:
    store = logins.store(account, client)
    descriptor = await lock(store, logins.in_thread, reactor)
    try:
        place: str = await logins.in_thread(store.save, grant)
        return place
    finally:
        store.unlock(descriptor)


def _show_address(url: str, *, open_browser: Browser | None, report: Report) -> None:
    if open_browser is None:
        report("Open this address in a browser on this machine:")
    else:
        open_browser(url)
        report("The browser opens now. If it does not, open this address on this machine:")
    report(f"\n{url}\n")
    report("Waiting for you to allow the access there ...")


def _show_code(code: DeviceCode, *, report: Report) -> None:
    report(f"Open {code.verification_uri} in a browser on any device and type in this code:")
    report(f"\n    {code.user_code}\n")
    report("Waiting for you to allow the access there ...")


def run(options: usage.Options) -> int:
    """Log in to one account."""
    config: Config = options["loaded"]
    account, client = chosen(config, options["path"], options["account"])

    async def attempt(reactor: Any) -> int:
        connector = Connector(reactor, key_log_of(config))
        logins = Logins(reactor, state_dir=config.state_dir, connector=connector)

        def open_browser(url: str) -> None:
            # In a thread: some browsers do not return until they are closed.
            logins.in_thread(webbrowser.open, url).addErrback(lambda _: None)

        await log_in(
            account,
            client,
            logins,
            reactor,
            open_browser=None if options["no-browser"] else open_browser,
            report=partial(print, flush=True),
        )
        return os.EX_OK

    return run_errand(lambda reactor: Deferred.fromCoroutine(attempt(reactor)))
