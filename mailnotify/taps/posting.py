"""The sending part of the service, composed: the outbox and the ways to its servers.

Nothing is opened before the service starts: neither a database nor a lock
survives the fork of a daemon.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailnotify.config.schema import Account, Config
from mailnotify.errors import LoginDenied, MailnotifyError, NotConnected
from mailnotify.hub import Hub
from mailnotify.outbox.copying import Copying
from mailnotify.outbox.doorbell import Doorbell
from mailnotify.outbox.lane import Route
from mailnotify.outbox.letter import Ticket
from mailnotify.outbox.service import Outbox
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.parcel import LONGEST_ENVELOPE_ID, Wishes
from mailnotify.smtp.sender import Following, Receipt
from mailnotify.smtp.submit import Submitter
from mailnotify.taps.filing import Errands
from mailnotify.taps.logins import Logins
from mailnotify.taps.returns import Returns

STORE: Final = "outbox.sqlite"
DOORBELL: Final = "outbox.bell"
"""In the state directory."""

_FORGET_SECONDS: Final = 600.0
"""How often letters are forgotten, a slice at a time; they are kept for days."""


class Posting(MultiService):
    """The outbox of the service, with a connection or two for each account that sends.

    Args:
        hub: is told of letters that failed.
        logins: of all accounts, what they read with included.
        now: the time in UTC.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        *,
        hub: Hub,
        logins: Logins,
        reactor: Any,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__()
        self._config = config
        self._reactor = reactor
        self._now = now
        self._hub = hub
        self._logins = logins
        habits = Habits()
        self._ways = {
            each.name: Ways(partial(_submitter, each, logins, habits, reactor))
            for each in config.accounts
            if each.submission is not None
        }
        self._store: SqliteOutbox | None = None
        self._outbox: Outbox | None = None
        self._bell: Doorbell | None = None
        self._copying: dict[str, Copying] = {}

    def startService(self) -> None:
        """Open the outbox and begin to send.

        Raises:
            OutboxBusy, OutboxUnreadable, OutboxUnwritable: as `SqliteOutbox.open`.
        """
        folder = Path(self._config.state_dir)
        store = self._store = SqliteOutbox.open(folder / STORE, self._now())
        outbox = self._outbox = Outbox(
            store,
            [_route(self._config, each) for each in self._config.accounts if each.submission],
            submit=self._submit,
            tell=self._hub.accept,
            now=self._now,
            clock=self._reactor,
            chance=random.random,
            when_sent=self._sent,
        )
        outbox.setServiceParent(self)
        forgetting = TimerService(_FORGET_SECONDS, self._forget, outbox)
        forgetting.clock = self._reactor
        forgetting.setServiceParent(self)
        errands = Errands(self._config, self._logins, self._reactor)
        for account in self._config.accounts:
            if account.submission is not None and account.submission.sent_copy != "never":
                self._copying[account.name] = errands.copying(account, store)
                self._copying[account.name].setServiceParent(self)
        Returns(
            self._hub,
            store,
            errands,
            now=self._now,
            clock=self._reactor,
            jitter=random.random,
            when_news=outbox.rung,
        ).setServiceParent(self)
        super().startService()
        self._bell = Doorbell(folder / DOORBELL, outbox.rung, self._reactor)
        self._bell.open()

    def stopService(self) -> Deferred[None]:
        """Take no more letters, part from the servers, close the outbox."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._bell is not None:
            self._bell.close()
        for ways in self._ways.values():
            ways.closing()
        await super().stopService()
        for ways in self._ways.values():
            await ways.close()
        if self._store is not None:
            self._store.close()

    def rung(self) -> None:
        """There is something new in the outbox."""
        if self._outbox is not None:
            self._outbox.rung()

    async def _submit(self, ticket: Ticket, message: bytes, following: Ticket | None) -> str:
        letter = _letter(ticket, message)
        after = None
        if following is not None and following.message is not None:
            after = _letter(following, following.message)
        try:
            return await self._ways[ticket.account].submit(letter, after)
        except LoginDenied:
            self._logins.spent(ticket.account)  # the next attempt shows another token
            raise

    def _sent(self, account: str) -> None:
        if account in self._copying:
            self._copying[account].wake()

    def _forget(self, outbox: Outbox) -> None:
        try:
            outbox.forget(self._config.outbox.kept_days)
        except MailnotifyError as error:  # a timer of Twisted's ends with the first failure
            self._log.warn("letters are forgotten later: {error}", error=error.explain())


class Ways:
    """The connections of one account, each used by one letter at a time.

    Args:
        make: makes a submitter; no more of them than letters at the same time.
    """

    def __init__(self, make: Callable[[], Submitter]) -> None:
        self._make = make
        self._is_closing = False
        self._all: list[Submitter] = []
        self._free: list[Submitter] = []

    async def submit(self, letter: Following, following: Following | None) -> str:
        """Submit a letter over a connection that stands, else over a new one.

        Args:
            following: the letter that this is called with next, over the same connection.
        """
        submitter = self._choose(letter.message)
        try:
            was_open = submitter.is_open
            try:
                receipt = await self._hand(submitter, letter, following)
            except NotConnected:
                if not was_open or self._is_closing:
                    raise
                # The server had closed what was held; nothing was sent, nobody is down.
                receipt = await self._hand(submitter, letter, following)
        finally:
            self._free.append(submitter)
        return receipt.said

    def _choose(self, message: bytes) -> Submitter:
        """Who awaits this letter; else who awaits none; else anybody, who then connects anew."""
        for fits in (lambda each: each.awaits(message), lambda each: not each.is_reserved):
            for submitter in self._free:
                if fits(submitter):
                    self._free.remove(submitter)
                    return submitter
        return self._free.pop() if self._free else self._made()

    async def _hand(
        self, submitter: Submitter, letter: Following, following: Following | None
    ) -> Receipt:
        return await submitter.submit(letter.envelope, letter.message, letter.wishes, following)

    def closing(self) -> None:
        """From now on nothing is tried again."""
        self._is_closing = True

    async def close(self) -> None:
        """Part from the server."""
        for submitter in self._all:
            await submitter.close()

    def _made(self) -> Submitter:
        submitter = self._make()
        self._all.append(submitter)
        return submitter


def _letter(ticket: Ticket, message: bytes) -> Following:
    return Following(envelope=ticket.envelope, message=message, wishes=_wishes(ticket.message_id))


def _wishes(message_id: str) -> Wishes:
    """That a bounce names the letter, also where it does not bring back its header."""
    name = message_id.strip("<>")
    # RFC 3461 §4: of what is printable, these two go out as three characters.
    length = len(name) + 2 * (name.count("+") + name.count("="))
    fits = name.isascii() and name.isprintable() and length <= LONGEST_ENVELOPE_ID
    return Wishes(envelope_id=name if fits else "")


def _submitter(account: Account, logins: Logins, habits: Habits, reactor: Any) -> Submitter:
    submission = account.submission
    assert submission is not None
    return Submitter(
        server=submission.server,
        trust=submission.trust,
        credentials=lambda: logins.outgoing(account),
        connector=logins.connector,
        clock=reactor,
        deadlines=account.timing,
        habits=habits,
    )


def _route(config: Config, account: Account) -> Route:
    return Route(
        account=account.name,
        timing=account.timing,
        connections=config.outbox.connections,
        letters_per_minute=config.outbox.letters_per_minute,
    )
