"""Errands of the outbox at an account's IMAP server: copies, and bounces to look into."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mailnotify.auth.sasl import Credentials
from mailnotify.config.schema import Account, Config
from mailnotify.core.events import NewMail
from mailnotify.errors import CommandRefused, LetterInvalid
from mailnotify.imap.errands import append, fetch_message, find_sent, has_copy, wire_name
from mailnotify.imap.session import Session, open_session
from mailnotify.outbox.bounce import MOST_BYTES
from mailnotify.outbox.copying import Copying
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.wire import with_crlf
from mailnotify.taps.logins import Logins

Opened = Callable[[], Awaitable[Session]]
"""Makes a session of its own with the account's server."""

_USUAL: Final = "Sent"
"""Where a server marks no mailbox for copies, the name that most programs use."""

_REPORTERS: Final = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon", ""})


class Errands:
    """Makes sessions for errands, each for one."""

    def __init__(self, config: Config, logins: Logins, reactor: Any) -> None:
        self._accounts = {each.name: each for each in config.accounts}
        self._logins = logins
        self._reactor = reactor

    async def open(self, account: Account) -> Session:
        """Connect and log in, as `open_session`."""

        async def attempt(credentials: Callable[[], Awaitable[Credentials]]) -> Session:
            return await open_session(
                account,
                connector=self._logins.connector,
                credentials=credentials,
                clock=self._reactor,
            )

        return await self._logins.try_fresh(account, attempt)

    def copying(self, account: Account, store: SqliteOutbox) -> Copying:
        """What makes the copies of an account."""
        return Copying(
            account.name,
            store,
            open_cabinet=lambda: SentMailbox.open(account, lambda: self.open(account)),
            clock=self._reactor,
            jitter=random.random,
        )

    async def fetch(self, event: NewMail) -> bytes:
        """The beginning of a message; empty if it is gone."""
        account = self._accounts.get(event.account)
        if account is None:  # it stands in an old entry only
            return b""
        return await fetch_report(event, lambda: self.open(account))


class SentMailbox:
    """The Sent mailbox of an account: a `Cabinet`."""

    def __init__(self, session: Session, mailbox: bytes) -> None:
        self._session = session
        self._mailbox = mailbox

    @classmethod
    async def open(cls, account: Account, opened: Opened) -> SentMailbox:
        """Connect, and find out which mailbox it is."""
        submission = account.submission
        assert submission is not None
        session = await opened()
        try:
            if submission.sent_copy == "auto":
                mailbox = await find_sent(session) or wire_name(_USUAL)
            else:
                mailbox = wire_name(submission.sent_copy)
        except BaseException:
            session.abort()
            raise
        return cls(session, mailbox)

    async def keep(self, message: bytes, message_id: str) -> None:
        """See `Cabinet.keep`.

        Raises:
            CommandRefused: the server will not, or there is no such mailbox.
            LetterInvalid: the letter cannot be written there.
        """
        if b"\0" in message or not message_id.isascii():
            raise LetterInvalid(field="body", found="with NUL", expected="text")
        if not await has_copy(self._session, self._mailbox, message_id):
            await append(self._session, self._mailbox, with_crlf(message))

    async def close(self) -> None:
        """See `Cabinet.close`."""
        await self._session.close()


def may_be_report(event: NewMail) -> bool:
    """Whether a message looks like one that a mail server wrote."""
    return not event.sender or any(
        each.address.partition("@")[0].lower() in _REPORTERS
        or each.address.lower().startswith("microsoftexchange")
        for each in event.sender
    )


async def fetch_report(event: NewMail, opened: Opened) -> bytes:
    """The beginning of a message, over a connection of its own; empty if it is gone."""
    session = await opened()
    try:
        return await fetch_message(session, event.mailbox, event.uidvalidity, event.uid, MOST_BYTES)
    except CommandRefused:
        return b""
    finally:
        await session.close()
