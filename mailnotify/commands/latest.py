"""``mailnotify latest``: the subject of the latest message of each mailbox.

One connection for each account, one line for each mailbox that is named or that a
pattern brings. What fails is said on stderr and does not keep the others from answering.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python import usage
from twisted.python.failure import Failure

from mailnotify.commands.under_reactor import run_errand
from mailnotify.config.schema import Account, Config
from mailnotify.core.message import summarise
from mailnotify.core.text import clean
from mailnotify.errors import MailnotifyError
from mailnotify.imap.session import Session, open_session
from mailnotify.taps.configured import ConfiguredOptions
from mailnotify.taps.key_log import key_log_of
from mailnotify.taps.logins import Logins
from mailnotify.tls import Connector

_SUBJECT_BYTES = 1024
"""As much as the plain line of port 5050 shows."""

Report = Callable[[str], object]


class Options(ConfiguredOptions):
    """The command line."""

    synopsis = "[--config FILE]"


async def latest(
    account: Account, open_account: Callable[[Account], Awaitable[Session]], report: Report
) -> int:
    """Ask one account; return how many of its mailboxes did not answer."""
    try:
        session = await open_account(account)
    except MailnotifyError as error:
        _complain(account.name, error)
        return len(account.mailboxes)
    failures = 0
    mailboxes = list(account.wanted.names)
    if account.wanted.patterns:
        try:
            brought = (await session.list_mailboxes(account.wanted)).names
        except MailnotifyError as error:
            _complain(account.name, error)
            failures += 1
        else:
            mailboxes += [each for each in brought if each not in mailboxes]
    for mailbox in mailboxes:
        place = clean(f"{account.name}/{mailbox}", _SUBJECT_BYTES)
        try:
            await session.examine(mailbox)
            message = await session.latest()
        except MailnotifyError as error:
            _complain(place, error)
            failures += 1
            continue
        subject = clean(summarise(message.header).subject, _SUBJECT_BYTES) if message else ""
        nothing = "(no subject)" if message else "(no message)"
        report(f"{place}: Latest email subject: {subject or nothing}")
    await session.close()
    return failures


def _complain(place: str, error: MailnotifyError) -> None:
    print(f"{place}: {error.explain()}", file=sys.stderr)


async def _ask_all(reactor: Any, config: Config) -> int:
    connector = Connector(reactor, key_log_of(config))
    logins = Logins(reactor, state_dir=config.state_dir, connector=connector)

    async def open_account(account: Account) -> Session:
        return await logins.try_fresh(
            account,
            lambda credentials: open_session(
                account, connector=connector, credentials=credentials, clock=reactor
            ),
        )

    asked = [
        Deferred.fromCoroutine(latest(account, open_account, print)) for account in config.accounts
    ]
    failures = 0
    for _, outcome in await DeferredList(asked, consumeErrors=True):
        if isinstance(outcome, Failure):
            outcome.raiseException()
        failures += outcome
    return os.EX_UNAVAILABLE if failures else os.EX_OK


def run(options: usage.Options) -> int:
    """Ask all accounts at once.

    Raises:
        OSError: standard output cannot be written.
    """
    config: Config = options["loaded"]
    return run_errand(lambda reactor: Deferred.fromCoroutine(_ask_all(reactor, config)))
