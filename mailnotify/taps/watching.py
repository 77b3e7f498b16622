"""The watching part of the service, composed: a crew of watchers for each account.

Mailboxes of an account share a gate for their logins; all accounts share the
connector with its TLS contexts, the turnstile, and the lookout that says which
of them is seen.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailnotify.auth.sasl import Credentials
from mailnotify.config.providers import connections_for, idle_seconds_for
from mailnotify.config.schema import Account, Config, Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.patterns import Wanted
from mailnotify.core.preview import preview
from mailnotify.core.sight import Health
from mailnotify.html_text import is_installed, visible_text
from mailnotify.hub import Hub
from mailnotify.imap.alerts import Alerts
from mailnotify.imap.habits import Habits
from mailnotify.imap.session import open_session
from mailnotify.interfaces import IJournal, IMailSession
from mailnotify.taps.logins import Logins
from mailnotify.taps.waking import Waking, read_clocks
from mailnotify.watching.chorus import Chorus
from mailnotify.watching.crew import Crew, Seat
from mailnotify.watching.gate import LoginGate
from mailnotify.watching.lookout import Lookout
from mailnotify.watching.place import Place, Preview
from mailnotify.watching.roster import Roster
from mailnotify.watching.turnstile import Turnstile
from mailnotify.watching.watcher import COMPLAINT, Watcher
from mailnotify.watching.witness import Witness

Opener = Callable[[], Coroutine[Deferred[Any], Any, IMailSession]]
"""Makes one connection to an account's server, logged in."""


class Watching(MultiService):
    """All watchers, and what they share.

    Args:
        journal: remembers how far each mailbox was read.
        hub: takes what is new.
        logins: of all accounts, what they send included.
        now: the time in UTC, for people.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        *,
        journal: IJournal,
        hub: Hub,
        logins: Logins,
        reactor: Any,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__()
        if not is_installed():
            self._warn_of_previews([each.name for each in config.accounts if each.preview_bytes])
        self._journal = journal
        self._hub = hub
        self._reactor = reactor
        self._now = now
        self._logins = logins
        self._turnstile = Turnstile(
            per_host=config.connecting.per_host,
            in_all=config.connecting.in_all,
            jitter=random.random,
            clock=reactor,
        )
        self._habits: dict[str, Habits] = {}
        self._accept = {
            announces: partial(hub.accept, announce_copies=announces) for announces in (False, True)
        }
        self._lookout = Lookout(accept=hub.accept, recall=journal.state, clock=reactor, now=now)
        self._complaints = Chorus(
            self._log.warn, COMPLAINT, "not watching {count} more: {why}", clock=reactor
        )
        crews = [self._crew(account) for account in config.accounts]
        checks = [crew.check for crew in crews]
        waking = Waking(checks, clocks=read_clocks, clock=reactor, jitter=random.random)
        self._wanted = {account.name: account.wanted for account in config.accounts}
        for part in (self._lookout, *crews, waking, self._complaints):
            part.setServiceParent(self)

    def startService(self) -> None:
        """As in the base class; what was told of others than these is over."""
        self._lookout.end_others(self._journal.states(), self._is_watched)
        super().startService()

    def _is_watched(self, account: str, mailbox: str) -> bool:
        """Where patterns bring mailboxes, whether they can bring this one is not known yet."""
        wanted = self._wanted.get(account)
        return wanted is not None and (bool(wanted.patterns) or mailbox in wanted.names)

    def _warn_of_previews(self, accounts: list[str]) -> None:
        if accounts:
            self._log.warn(
                "{accounts}: preview_bytes is set, but mail that is only HTML has no preview:"
                " install mailnotify[preview]",
                accounts=", ".join(accounts),
            )

    def health(self) -> tuple[Health, ...]:
        """How it stands with each mailbox."""
        return self._lookout.health()

    def _crew(self, account: Account) -> Crew:
        """As many watchers as the mailboxes of an account need."""
        alerts = Alerts(account.name)
        wanted = account.wanted
        return Crew(
            [self._place(account, mailbox, alerts) for mailbox in wanted.names],
            self._opener(account, alerts),
            partial(self._watcher, account.timing),
            most_connections=account.connections or connections_for(account.server),
            clock=self._reactor,
            roster=self._roster(account, wanted, alerts) if wanted.patterns else None,
        )

    def _roster(self, account: Account, wanted: Wanted, alerts: Alerts) -> Roster:
        """What the patterns of an account bring; the first one stands for all in `health`."""

        def brought(mailbox: str) -> Place:
            place = self._place(account, mailbox, alerts)
            place.is_brought = True
            return place

        return Roster(
            account.name,
            wanted,
            self._journal,
            brought,
            witness=self._witness(account, wanted.patterns[0], alerts),
            list_seconds=account.timing.list_seconds,
            clock=self._reactor,
            now=self._now,
        )

    def _witness(self, account: Account, mailbox: str, alerts: Alerts) -> Witness:
        return self._lookout.witness(account.name, mailbox, account.timing, lambda: alerts.latest)

    def _place(self, account: Account, mailbox: str, alerts: Alerts) -> Place:
        witness = self._witness(account, mailbox, alerts)
        words, accept = _previewing(account.preview_bytes), self._accept[account.announce_copies]
        has_others = len(account.wanted.names) > 1 or bool(account.wanted.patterns)
        place = Place(
            account.name,
            mailbox,
            self._journal,
            accept,
            witness,
            words,
            has_others=has_others,
            announces_copies=account.announce_copies,
        )
        if account.backfill_days:  # as if it had not been there before
            place.since = self._now() - timedelta(days=account.backfill_days)
        return place

    def _opener(self, account: Account, alerts: Alerts) -> Opener:
        """How the connections of one account are made: its mailboxes share a gate."""
        learned = Habits(idle_seconds=idle_seconds_for(account.server))
        habits = self._habits.setdefault(account.server.host, learned)
        gate = LoginGate(account.timing, jitter=random.random, clock=self._reactor)

        return _Opening(
            account, self._logins, self._turnstile, gate, habits, alerts, self._reactor
        ).open

    def _watcher(self, timing: Timing, seat: Seat) -> Watcher:
        backoff = Backoff(
            first_seconds=timing.first_retry_seconds,
            most_seconds=timing.longest_retry_seconds,
            jitter=random.random,
        )
        return Watcher(
            seat,
            seat.begin,
            timing=timing,
            backoff=backoff,
            clock=self._reactor,
            jitter=random.random,
            witness=seat,
            complain=self._complaints.say,
        )


@cache
def _previewing(most_bytes: int) -> Preview:
    """One for all mailboxes that have previews of this size."""
    return partial(preview, most_bytes=most_bytes, html_to_text=visible_text)


class _Opening:
    """How the connections of one account are made."""

    __slots__ = (*("_account", "_alerts", "_clock", "_gate", "_habits", "_logins", "_turnstile"),)

    def __init__(
        self,
        account: Account,
        logins: Logins,
        turnstile: Turnstile,
        gate: LoginGate,
        habits: Habits,
        alerts: Alerts,
        clock: IReactorTime,
    ) -> None:
        self._account = account
        self._logins = logins
        self._turnstile = turnstile
        self._gate = gate
        self._habits = habits
        self._alerts = alerts
        self._clock = clock

    async def open(self) -> IMailSession:
        """Connect and log in when it is our turn."""
        return await self._gate.enter(self._log_in)

    def _log_in(self) -> Awaitable[IMailSession]:
        return self._logins.try_fresh(self._account, self._attempt)

    def _attempt(
        self, credentials: Callable[[], Awaitable[Credentials]]
    ) -> Awaitable[IMailSession]:
        attempt = partial(
            open_session,
            self._account,
            connector=self._logins.connector,
            credentials=credentials,
            clock=self._clock,
            alerted=self._alerts,
            habits=self._habits,
        )
        return self._turnstile.enter(self._account.server.host, attempt)
