"""Letters that come by port 5050, on their way into the outbox.

A letter is written to a nameless file beside the outbox as it comes (the first part
of it to memory), so that a client that never ends it costs next to nothing, and a
kill leaves nothing. When all of it is there, a thread makes it fit to be submitted
and commits it, with whatever else has come meanwhile: the reactor never waits for
the disk, and a hundred clients share a commit.

Whose letter it is was judged before its first byte: the account is one that the
badge names, the sender one of the account's identities.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from mailnotify.config.schema import Account, Config, Submission
from mailnotify.core.badge import Badge
from mailnotify.core.frames import Code, Queued, Send
from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid, OutboxUnwritable, WireError
from mailnotify.outbox.letter import Draft
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.addresses import parse_address
from mailnotify.smtp.relayed import MOST_RECIPIENTS, Defaults, adopt
from mailnotify.taps.errand import MOST_BYTES, identities, new_message_id
from mailnotify.taps.posting import STORE

MEMORY_BYTES: Final = 262_144
"""Of one letter that is coming in; the rest of it waits on the disk."""

ALL_BYTES: Final = 4 * MOST_BYTES
"""Of all letters that are coming in."""

GROUP_BYTES: Final = 8_388_608
"""Committed at once, if there is more than one letter: others want to write too."""


Outcome = Queued | Exception
InThread = Callable[[Callable[[], list[Outcome]]], Deferred[list[Outcome]]]


class Accepting(Service):
    """Takes letters for the outbox: a `Post`.

    Args:
        rung: called when letters were queued.
        in_thread: calls what blocks, in a thread.
        now: the time in UTC.
    """

    def __init__(
        self,
        config: Config,
        *,
        rung: Callable[[], object],
        in_thread: InThread,
        now: Callable[[], datetime],
    ) -> None:
        self._accounts = [each for each in config.accounts if each.submission is not None]
        self._folder = Path(config.state_dir)
        self._give_up = timedelta(days=config.outbox.give_up_days)
        self._rung = rung
        self._in_thread = in_thread
        self._now = now
        self._promised_bytes = 0
        self._waiting: deque[_Letter] = deque()
        self._storing: Deferred[None] | None = None

    def stopService(self) -> Deferred[None] | None:
        """What was all there is stored before we end."""
        super().stopService()
        return self._storing

    def begin(self, asked: Send, badge: Badge) -> _Letter:
        """See `Post.begin`."""
        account = self._account(asked, badge)
        sender = _sender(account, asked.sender)
        if len(asked.to) > MOST_RECIPIENTS:
            found = f"{len(asked.to)} recipients"
            raise LetterInvalid(field="to", found=found, expected=f"at most {MOST_RECIPIENTS}")
        for each in asked.to:
            parse_address("to", each)
        if asked.size > MOST_BYTES:
            raise WireError(code=Code.SIZE, reason=f"a letter has at most {MOST_BYTES} bytes")
        if self._promised_bytes + asked.size > ALL_BYTES:
            raise WireError(code=Code.OUTBOX, reason="too much is coming in; try again later")
        return _Letter(self, self._folder, asked, account, sender, badge.name)

    def promised(self, size_bytes: int) -> None:
        """So much more is coming in, or less."""
        self._promised_bytes += size_bytes

    def store(self, letter: _Letter) -> None:
        """Queue a letter that is all there; its `stored` fires."""
        self._waiting.append(letter)
        if self._storing is None or self._storing.called:
            self._storing = Deferred.fromCoroutine(self._store_all())

    async def _store_all(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft()]
            size = group[0].asked.size
            while self._waiting and (size := size + self._waiting[0].asked.size) <= GROUP_BYTES:
                group.append(self._waiting.popleft())
            enter = partial(_enter, self._folder / STORE, group, self._now(), self._give_up)
            outcomes: list[Outcome]
            try:
                outcomes = await self._in_thread(enter)
            except Exception as error:
                outcomes = [error] * len(group)
            self._rung()
            for letter, outcome in zip(group, outcomes, strict=True):
                letter.settle(outcome)

    def _account(self, asked: Send, badge: Badge) -> Account:
        able = [
            each for each in self._accounts if not badge.accounts or each.name in badge.accounts
        ]
        if asked.account:
            able = [each for each in able if each.name == asked.account]
        elif asked.sender:
            sender = parse_address("from", asked.sender).address
            able = [each for each in able if sender in identities(_submission(each))]
        if not able:
            raise WireError(code=Code.DENIED, reason="no account that you may use sends this")
        if len(able) > 1:
            names = ", ".join(each.name for each in able)
            raise LetterInvalid(field="account", found="none", expected=f"one of {names}")
        return able[0]


class _Letter:
    """One letter that is coming in: an `Incoming`."""

    def __init__(
        self,
        accepting: Accepting,
        folder: Path,
        asked: Send,
        account: Account,
        sender: Address,
        name: str,
    ) -> None:
        self.asked = asked
        self._accepting = accepting
        self._folder = folder
        self._account = account
        self._sender = sender
        self._name = name
        self._stored: Deferred[Queued] = Deferred()
        self._file: IO[bytes] | None = _spool(folder)
        accepting.promised(asked.size)

    def write(self, content: bytes) -> None:
        """See `Incoming.write`."""
        assert self._file is not None
        try:
            self._file.write(content)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise OutboxUnwritable(path=str(self._folder), reason=reason) from problem

    async def queue(self) -> Queued:
        """See `Incoming.queue`."""
        self._accepting.store(self)
        return await self._stored

    def settle(self, outcome: Outcome) -> None:
        """It is in the outbox, or it is not."""
        if self._stored.called:  # nobody waits any more
            self.close()
        elif isinstance(outcome, Queued):
            self._stored.callback(outcome)
        else:
            self._stored.errback(outcome)

    def close(self) -> None:
        """See `Incoming.close`."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._accepting.promised(-self.asked.size)

    def draft(self, now: datetime, give_up: timedelta) -> Draft:
        """As the outbox takes it.

        Raises:
            LetterInvalid: it cannot be sent as it is.
        """
        assert self._file is not None
        self._file.seek(0)
        date, message_id = now.astimezone(), new_message_id(self._sender.address)
        defaults = Defaults(sender=self._sender, message_id=message_id, date=date)
        relayed = adopt(self._file.read(), self.asked.to, defaults, reads_header=False)
        # Another client's key is another letter; those of this machine's users are one set.
        key = f"{self._name}:{self.asked.key}" if self._name else self.asked.key
        return Draft(
            account=self._account.name,
            envelope=relayed.envelope,
            message=relayed.message,
            message_id=relayed.message_id,
            subject=relayed.subject,
            due=now,
            expires=now + give_up,
            key=key if self.asked.key else None,
            wants_copy=_submission(self._account).sent_copy != "never",
        )


def _enter(
    path: Path, letters: Sequence[_Letter], now: datetime, give_up: timedelta
) -> list[Outcome]:
    """Commit letters, in a thread; return what became of each."""
    drafts: list[Draft] = []
    outcomes: list[Exception | None] = []
    for each in letters:
        try:
            drafts.append(each.draft(now, give_up))
            outcomes.append(None)
        except Exception as error:  # of this letter alone, be it a stranger's or ours
            outcomes.append(error)
    with closing(SqliteOutbox.visit(path)) as store:
        numbers = store.enqueue(drafts, now)
        filed = iter([_queued(store, *each) for each in zip(numbers, drafts, strict=True)])
    return [next(filed) if each is None else each for each in outcomes]


def _queued(store: SqliteOutbox, number: int, draft: Draft) -> Queued:
    """The answer; with a key that was known it is the letter of then."""
    known = draft if draft.key is None else store.letter(number)
    return Queued(letter=number, message_id=known.message_id)


def _spool(folder: Path) -> IO[bytes]:
    return SpooledTemporaryFile(MEMORY_BYTES, dir=str(folder))


def _sender(account: Account, wanted: str) -> Address:
    """The sender that was asked for, as the account has it.

    Raises:
        WireError: it is none of its identities.
        LetterInvalid: it is no address.
    """
    known = identities(_submission(account))
    address = parse_address("from", wanted).address if wanted else next(iter(known))
    if address not in known:
        raise WireError(code=Code.DENIED, reason=f"that is no identity of {account.name}")
    return known[address]


def _submission(account: Account) -> Submission:
    assert account.submission is not None
    return account.submission
