"""One open account with one examined mailbox: everything a watcher asks of a server.

`open_session` goes from nothing to a login, and `Session` turns the words of
`IMailSession` into commands. What the server says by itself arrives at
`Session._hear` at once, in whatever state the connection is: an EXISTS becomes
a hint, during IDLE or during any command, and is kept if nobody listens yet.
So does a STATUS that nobody asked for, of a mailbox that is not open.
Nothing is ever changed on the server: EXAMINE (RFC 9051 §6.3.3) and BODY.PEEK only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.auth.sasl import Credentials
from mailnotify.config.connecting import Compress
from mailnotify.config.schema import Account
from mailnotify.core.message import Fetched
from mailnotify.core.patterns import Listing, Wanted
from mailnotify.core.sync import Cursor, MailboxStatus
from mailnotify.errors import (
    CommandRefused,
    DeadlinePassed,
    PeerError,
    ProtocolViolated,
)
from mailnotify.imap.answers import HEADER_FIELDS, PREVIEW_FIELDS, with_name
from mailnotify.imap.awaiting import Awaiting
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Command, Pipeline, is_news
from mailnotify.imap.comparing import ask_status
from mailnotify.imap.examining import EXAMINE, examine
from mailnotify.imap.fetching import BATCH, Fetching
from mailnotify.imap.habits import Habits
from mailnotify.imap.hints import Changed, Hints
from mailnotify.imap.idling import Idling
from mailnotify.imap.inquiring import Inquiry
from mailnotify.imap.listing import list_mailboxes
from mailnotify.imap.login import introduce, log_in
from mailnotify.imap.reaching import reach
from mailnotify.imap.responses import (
    FetchData,
    ListItem,
    MailboxItems,
    Response,
    Status,
    StatusResponse,
    Tagged,
)
from mailnotify.imap.resync import Resync, Told
from mailnotify.imap.surveying import Survey, be_notified, key, status_of
from mailnotify.imap.view import MailboxView
from mailnotify.interfaces import IConnector, IMailSession

__all__ = ["BATCH", "Session", "open_session"]

CLOSE_SECONDS = 1.0
"""For LOGOUT and the end of TLS together: a courtesy, and nobody waits long for it."""


async def open_session(
    account: Account,
    *,
    connector: IConnector,
    credentials: Callable[[], Awaitable[Credentials]],
    clock: IReactorTime,
    alerted: Callable[[str], object] | None = None,
    habits: Habits | None = None,
) -> Session:
    """Connect to an account's server and log in.

    Args:
        credentials: fetches a `Password` or a `Token`; called when the channel is
            private, not before.
        alerted: is told what the server wants a person to read; default: the log.
        habits: of the host; more is learned.

    Raises:
        PeerError: it did not work; nothing is left open.
        OperatorError: the credentials cannot be had or used.
    """
    client: MailboxClient | None = None
    habits = habits or Habits()
    seconds = account.timing.connect_seconds
    peer = str(account.server)

    def too_late(result: object, _: float) -> MailboxClient:
        raise DeadlinePassed(peer=peer, step="connecting", seconds=seconds)

    def build() -> MailboxClient:
        nonlocal client
        client = MailboxClient(
            peer,
            clock=clock,
            command_seconds=account.timing.command_seconds,
            pipeline=Pipeline(is_stepwise=habits.is_stepwise),
        )
        client.alerted = alerted or client.alerted
        return client

    try:
        reached = Deferred.fromCoroutine(reach(account, connector, build))
        await reached.addTimeout(seconds, clock, too_late)
        assert client is not None
        if await client.greeted.wait() is not Status.PREAUTH:
            await log_in(client, await credentials())
        maker = await introduce(client)
        return _session(client, account, clock, habits, maker)
    except BaseException:  # also when we are cancelled: nothing may stay open
        if client is not None:
            client.abort()
        raise


def _session(
    client: MailboxClient, account: Account, clock: IReactorTime, habits: Habits, maker: str
) -> Session:
    may_compress = account.compress is Compress.AUTO
    items = PREVIEW_FIELDS if account.preview_bytes else HEADER_FIELDS
    return Session(
        client,
        clock,
        account.timing.idle_renewal_seconds,
        habits,
        may_compress=may_compress,
        items=with_name(items, client.capabilities or frozenset(), maker),
    )


@implementer(IMailSession)
class Session:
    """A logged-in connection. Call `examine` first, then `fetch`, then `listen`.

    Args:
        client: logged in; the session becomes its listener.
        clock: renews IDLE.
        renewal_seconds: how long one IDLE lasts at most.
        habits: of the host; more is learned.
        may_compress: compress where the server can and there is much to fetch. A window
            of 32 KiB for each connection that waits for news is worth nothing.
        items: what is asked of each message.
    """

    __slots__ = (
        *("_awaiting", "_client", "_clock", "_fetches", "_fetching", "_habits", "_heard_at"),
        *("_hints", "_idling", "_inquiry", "_is_notified", "_items", "_may_compress", "_name_told"),
        *("_resync", "_uidvalidity", "_view", "capabilities", "mailbox"),
    )

    _log = Logger()

    def __init__(
        self,
        client: MailboxClient,
        clock: IReactorTime,
        renewal_seconds: float,
        habits: Habits,
        *,
        may_compress: bool = False,
        items: bytes = HEADER_FIELDS,
    ) -> None:
        self._client = client
        self._items = items
        self._may_compress = may_compress
        self._clock = clock
        self._view = MailboxView(0, 0)
        self._fetching = Fetching(self._run, self._view, client.peer, items)
        self._idling = Idling(client, clock, renewal_seconds, habits, self._hint_here)
        self._awaiting = Awaiting(clock, client, self._hint_here)
        self._resync = Resync()
        self._inquiry = Inquiry(clock)
        self._is_notified = False
        self._name_told: Callable[[ListItem], object] | None = None
        self._hints = Hints()
        self._habits = habits
        self._heard_at = clock.seconds()
        self._fetches = 0
        self.mailbox = ""
        self._uidvalidity = 0
        self.capabilities = habits.believed(client.capabilities or frozenset())
        client.listener = self._hear
        client.lost.tell(self._lost)

    @property
    def client(self) -> MailboxClient:
        """For errands that no watcher has (`imap.errands`), over a session of their own."""
        return self._client

    async def follow(self, told: Told) -> None:
        """See `IMailSession.follow`."""
        self._inquiry.follow(told)
        if {"ENABLE", "QRESYNC"} <= self.capabilities:
            await self._run(self._resync.enable(told))

    async def examine(
        self, mailbox: str, since: Cursor | None = None, known: Sequence[int] = ()
    ) -> MailboxStatus:
        """See `IMailSession.examine`."""
        self._hush()
        self.mailbox = mailbox
        parameter = self._resync.opening(since, known)
        status, view = await examine(self._run, mailbox, self._client.peer, parameter)
        self._resync.opened()
        self._view, self._uidvalidity = view, status.uidvalidity
        self._fetching = Fetching(self._run, view, self._client.peer, self._items)
        modseq = since.modseq if since and "CONDSTORE" in self.capabilities else 0
        self._inquiry.opened(modseq, has_known=bool(known))
        await self.inquire(known, now=status.modseq)
        return status

    @property
    def has_changed(self) -> bool:
        """See `IMailSession.has_changed`."""
        return self._inquiry.is_due

    async def inquire(self, known: Sequence[int], *, now: int = 0) -> None:
        """See `IMailSession.inquire`."""
        if not self._resync.is_enabled:
            await self._inquiry.ask(self._run, self._fetching.search, known, now=now)

    @property
    def was_there(self) -> int:
        """See `IMailSession.was_there`."""
        return self._view.was_there

    async def fetch(self, first_uid: int) -> Sequence[Fetched]:
        """See `IMailSession.fetch`."""
        if self._is_worth_compressing(first_uid):
            self._may_compress = False
            await self._client.compress()
        if not self._fetching.is_in_backlog(first_uid):
            self._hints.forget(self.mailbox)  # the answer will have all that was hinted so far
        self._fetches += 1
        try:
            fetched = await self._fetching.fetch(first_uid)
        finally:
            self._fetches -= 1
        if fetched:
            self._inquiry.has_known()
        return fetched

    def _is_worth_compressing(self, first_uid: int) -> bool:
        can = self._may_compress and "COMPRESS=DEFLATE" in self.capabilities
        return can and not self._idling.is_wanted and self._view.most_waiting(first_uid) > BATCH

    async def fetch_only(self, uids: Sequence[int]) -> Sequence[Fetched]:
        """See `IMailSession.fetch_only`."""
        return await self._fetching.fetch_only(uids)

    async def arrived_since(self, day: date) -> Sequence[int]:
        """See `IMailSession.arrived_since`."""
        return await self._fetching.arrived_since(day)

    async def latest(self) -> Fetched | None:
        """The message with the highest UID; None if the mailbox is empty.

        Raises:
            CommandRefused: the server will not.
        """
        return await self._fetching.latest()

    async def poll(self) -> None:
        """See `IMailSession.poll`."""
        self._demand_ok("NOOP", await self._run(Command("NOOP")))

    async def survey(self, mailboxes: Sequence[str]) -> Mapping[str, MailboxStatus]:
        """See `IMailSession.survey`."""
        survey = Survey(mailboxes)
        noop = Command("NOOP")
        answer = self._client.expect(noop)  # a server answers in order: this one is the last
        commands = survey.commands(self.capabilities)
        first = self._client.expect(commands[0]) if commands else succeed(None)
        first.addErrback(lambda _: None)
        self._client.submit(*commands, noop, *self._idling.next())
        self._demand_ok("NOOP", await answer)
        tagged, relied_on = await first, survey.relied_on(self.capabilities)
        if tagged is None or tagged.status is not Status.BAD or not relied_on:
            return survey.statuses
        for each in relied_on:  # it does not understand what it offers
            self._habits.refused(each)
        self.capabilities = self._habits.believed(self.capabilities)
        return await self.survey(mailboxes)

    async def list_mailboxes(self, wanted: Wanted) -> Listing:
        """See `IMailSession.list_mailboxes`."""
        return await list_mailboxes(self._run, wanted, self._client.peer, self.capabilities)

    def hear_names(self, told: Callable[[ListItem], object]) -> None:
        """See `IMailSession.hear_names`."""
        self._name_told = told

    async def notify(
        self, mailboxes: Sequence[str], below: Sequence[str] = (), roots: Sequence[str] = ()
    ) -> Mapping[str, MailboxStatus]:
        """See `IMailSession.notify`."""
        survey, answer = await be_notified(self._run, self._items, mailboxes, below, roots)
        if answer.status is not Status.OK:
            self._habits.refused("NOTIFY")
        self._demand_ok("NOTIFY", answer)
        self._is_notified = True
        return survey.statuses

    async def status(self) -> MailboxStatus | None:
        """See `IMailSession.status`."""
        status = await ask_status(self._run, self.mailbox)
        self._awaiting.hurry()  # an EXISTS that came before the answer is a hint already
        if status is not None and status.uidvalidity:
            self._check_uidvalidity(status.uidvalidity)
        return status

    async def listen(self, changed: Changed) -> None:
        """See `IMailSession.listen`."""
        self._hints.listen(changed)
        if "IDLE" in self.capabilities:
            await self._idling.start()

    async def close(self) -> None:
        """See `IMailSession.close`."""
        self._hush()
        if self._client.lost.has_passed:
            return
        late = self._clock.callLater(CLOSE_SECONDS, self._client.abort)
        try:
            with suppress(PeerError):  # many servers close without an OK
                await self._client.run(Command("LOGOUT"))
                self._client.transport.loseConnection()
            await self._client.lost.wait()
        finally:
            if late.active():
                late.cancel()

    def abort(self) -> None:
        """See `IMailSession.abort`."""
        self._hush()
        self._client.abort()

    def when_lost(self, told: Callable[[PeerError], object]) -> None:
        """See `IMailSession.when_lost`."""
        self._client.lost.tell(told)

    def _run(self, command: Command) -> Deferred[Tagged]:
        """Run a command; while we idle, go back into IDLE in the same write."""
        answer = self._client.run(command, *self._idling.next())
        return (
            answer.addCallback(self._check_burst, command) if self._idling.is_in_burst else answer
        )

    def _check_burst(self, tagged: Tagged, command: Command) -> Tagged:
        if command.name == "STATUS":  # of the open mailbox, which many refuse; IDLE will tell
            return tagged
        if tagged.status is Status.BAD and self._habits.broke_at_burst():
            refusal = self._refusal(command.name, tagged)
            self._client.abort(refusal)
            raise refusal
        return tagged

    def _lost(self, reason: PeerError) -> None:
        """Learn why, if it is not for us."""
        is_late = isinstance(reason, DeadlinePassed)
        if is_late and self._idling.is_in_burst:
            self._habits.hung_at_burst()
        if self._idling.is_wanted:  # else it was we who ended it
            waited_seconds = reason.seconds if isinstance(reason, DeadlinePassed) else 0.0
            silence_seconds = self._clock.seconds() - self._heard_at - waited_seconds
            self._habits.cut_after(silence_seconds)
        self._hush()

    def _hear(self, response: Response, command: Command | None) -> None:
        """Every untagged response, the moment it comes."""
        if not (isinstance(response, StatusResponse) and response.status is Status.BYE):
            self._heard_at = self._clock.seconds()
        self._resync.heard(response)
        if self._heard_of_others(response, command):
            return
        if command is not None and command.name == EXAMINE:
            return  # it speaks of a mailbox that we do not watch yet
        code = response.code if isinstance(response, StatusResponse) else None
        if code is not None and code.name == "UIDVALIDITY":
            self._check_uidvalidity(code.number)
        elif code is not None and code.name == "NOTIFICATIONOVERFLOW":
            self._end_notify()
        if self._view.heard(response, is_news=is_news(command)):
            self._exists()
        elif not self._resync.is_enabled and self._inquiry.heard(response, command):
            self._hint_here()
        elif isinstance(response, FetchData) and self._is_notified and not self._fetches:
            self._awaiting.heard(response, self._fetching.pushed)

    def _heard_of_others(self, response: Response, command: Command | None) -> bool:
        """Take what is said of mailboxes, whether they are open or not."""
        if isinstance(response, MailboxItems):
            if not self._is_answer(response, command):
                self._hints.hint(response.name, status_of(response))
        elif isinstance(response, ListItem):
            is_change = command is None or command.name != "LIST" or response.old_name is not None
            if is_change and self._name_told is not None:
                self._name_told(response)
        else:
            return False
        return True

    def _is_answer(self, items: MailboxItems, command: Command | None) -> bool:
        """Whether a STATUS was asked for, and is taken care of where it was."""
        if command is None or command.name != "STATUS":
            return command is not None and isinstance(command.collect, Survey)
        return isinstance(command.collect, Survey) or key(items.name) == key(self.mailbox)

    def _exists(self) -> None:
        if self._is_notified and not self._fetches:
            self._awaiting.exists()
        else:
            self._hint_here()

    def _check_uidvalidity(self, uidvalidity: int | None) -> None:
        """All that we know of UIDs is void if this changes while the mailbox is open."""
        if uidvalidity != self._uidvalidity:
            found, expected = "a new UIDVALIDITY in an open mailbox", "none before EXAMINE"
            peer = self._client.peer
            self._client.abort(ProtocolViolated(peer=peer, found=found, expected=expected))

    def _hint_here(self) -> None:
        self._hints.hint(self.mailbox, None)

    def _hush(self) -> None:
        """No IDLE and no timer, until somebody listens again."""
        self._idling.stop()
        self._awaiting.stop()

    def _end_notify(self) -> None:
        """The server has stopped to tell (RFC 5465 §5.8); the next session does without."""
        self._habits.refused("NOTIFY")
        found, expected = "NOTIFICATIONOVERFLOW", "notifications"
        peer = self._client.peer
        self._client.abort(ProtocolViolated(peer=peer, found=found, expected=expected))

    def _demand_ok(self, command: str, answer: Tagged) -> None:
        if answer.status is not Status.OK:
            raise self._refusal(command, answer)

    def _refusal(self, command: str, answer: Tagged) -> CommandRefused:
        status, said = answer.status.name, answer.text
        return CommandRefused(peer=self._client.peer, command=command, status=status, said=said)
