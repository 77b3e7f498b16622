"""Every seam of mailnotify on one page.

Above each seam stands code that knows only these methods; below it stand one
or more implementations, each held to the seam by ``verifyObject`` in the tests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import Attribute, Interface

from mailnotify.config.schema import Server, Trust
from mailnotify.core.events import AccountState, Entry, Event, NewMail, Position
from mailnotify.core.message import Fetched
from mailnotify.core.patterns import Listing, Wanted
from mailnotify.core.reader import ReaderMark
from mailnotify.core.sync import Cursor, CursorMove, MailboxStatus
from mailnotify.errors import PeerError
from mailnotify.imap.responses import ListItem, NumberSet


class IJournal(Interface):
    """The durable order of events.

    One writer, in the reactor's thread. What `append` returned survives a power
    cut; what `append` raised for has left no trace.
    """

    epoch: str = Attribute("The name of this journal's life: letters and digits.")
    head: int = Attribute("The seq of the newest entry; 0 in a new journal.")
    oldest: int = Attribute("The seq of the oldest entry kept; head + 1 if there is none.")

    def cursor(account: str, mailbox: str) -> Cursor | None:
        """How far this mailbox is journalled; None at first sight."""

    def cursors(account: str) -> Mapping[str, Cursor]:
        """How far each mailbox of an account is journalled, also such that are gone."""

    def begin(moves: Sequence[CursorMove], at: datetime) -> None:
        """Store the first cursors of mailboxes, in one transaction.

        Raises:
            JournalUnwritable: all stands as before.
        """

    def rename(account: str, old: str, new: str) -> None:
        """What is known of a mailbox is known of it under another name from now on.

        Messages keep the ids under which they were told.

        Raises:
            JournalUnwritable: all stands as before.
        """

    def resolved(account: str) -> Mapping[str, datetime]:
        """When each pattern of mailboxes of an account was last looked into."""

    def resolve(account: str, patterns: Collection[str], at: datetime) -> None:
        """These patterns of an account, and no others, were looked into now.

        Raises:
            JournalUnwritable: all stands as before.
        """

    def moved(account: str, mailbox: str) -> datetime | None:
        """When this mailbox's cursor was last stored; None at first sight."""

    def begun(account: str) -> datetime | None:
        """When the first mailbox of an account was first seen; None if none was."""

    def mails(account: str, mailbox: str) -> Iterator[NewMail]:
        """The messages of a mailbox that are kept, of whatever UIDVALIDITY, in order.

        Nothing may be appended before the last one is taken.
        """

    def state(account: str, mailbox: str) -> AccountState | None:
        """What was last told of this mailbox, however long ago; None if nothing was."""

    def states() -> Sequence[AccountState]:
        """The same of all mailboxes of which something was told."""

    def known(account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        """The newest UIDs of messages in the journal that were not told gone, ascending."""

    def mail(account: str, mailbox: str, uidvalidity: int, uid: int) -> NewMail | None:
        """What was last announced under this UID; None if nothing was, or it is forgotten."""

    def has_past(account: str, mailbox: str, uidvalidity: int) -> bool:
        """Whether `keep_past` was called for this mailbox, and is not forgotten."""

    def keep_past(account: str, mailbox: str, uidvalidity: int, mails: Sequence[NewMail]) -> None:
        """These lay in a mailbox when it was first seen: found in another, they are no news.

        Raises:
            JournalUnwritable: nothing was stored; try again later.
        """

    def pass_over(mails: Sequence[NewMail]) -> None:
        """These are no news, wherever they are found.

        Raises:
            JournalUnwritable: nothing was stored; try again later.
        """

    def append(
        events: Sequence[Event],
        move: CursorMove | None,
        at: datetime,
        *,
        announce_copies: bool = False,
    ) -> Sequence[Entry]:
        """Store events and a cursor in one transaction.

        Mail that is already known (by account, mailbox, UIDVALIDITY and UID) is
        left out, so the result may be shorter than `events`; but another message under
        a known UID (`mailnotify.core.rematch.is_other`) is stored with a UIDVALIDITY
        and an id of its own. A further place of a message that was announced
        (`mailnotify.core.twins`) is stored as `MailFiled`, unless `announce_copies`.

        What becomes of a message (`MailSeen`, `MailGone`) is named by a place, and stored
        under the id of the message that is there: that it was read once for all places,
        if it was not when it came; that it is gone once for each place.

        Raises:
            JournalUnwritable: nothing was stored; try again later.
        """

    def read(after: int, most: int) -> Sequence[Entry]:
        """The next entries with a seq above `after`, in order: `most`, or fewer large ones.

        None only where there is none.
        """

    def seq_before(moment: datetime) -> int:
        """The seq of the last entry journalled before `moment`; 0 if there is none."""

    def prune(now: datetime) -> int:
        """Forget entries beyond the retention's age and count; return how many.

        One call may forget a part only, so that it is short: call again until it
        returns 0 (`mailnotify.journal.pruning` does).

        The identities of pruned mail need not be kept: the cursor is above them. But it
        stays known by what its copies share (`mailnotify.core.twins`), and so does what
        `keep_past` was told: of so many messages, the newest, that an end is no matter.
        """

    def reader(owner: str, name: str) -> int | None:
        """The seq that this named reader has acknowledged; None if it is not known."""

    def count_readers() -> int:
        """How many named readers are known."""

    def keep_readers(marks: Sequence[ReaderMark], now: datetime) -> None:
        """Store what named readers have acknowledged, in one transaction.

        Raises:
            JournalUnwritable: nothing was stored; try again later.
        """

    def forget_readers(before: datetime) -> int:
        """Forget readers whose mark was last kept before this moment; return how many."""

    def close() -> None:
        """Release the file. Nothing may be called after this."""


class IPokable(Interface):
    """A reader that wants to know that the journal has more."""

    def poke() -> None:
        """There may be entries after your position. Must not raise, must not block."""


class IMailSession(Interface):
    """One logged-in connection to an IMAP server, with one mailbox EXAMINEd at a time.

    Every method ends within the configured deadline, by its result or by one of
    the `PeerError` exceptions; after a failure the session is of no more use.
    """

    capabilities: frozenset[str] = Attribute("Upper case, as valid after login.")
    was_there: int = Attribute(
        "The highest UID that `fetch` has met of the messages that were there at `examine`; 0 "
        "if none. A UIDNEXT that is not above it was wrong."
    )
    mailbox: str = Attribute("Which one is open, or was to be; empty before `examine`.")
    has_changed: bool = Attribute("Messages were read or removed, and it must be asked which.")

    def follow(told: Callable[[NumberSet, bool], None]) -> Awaitable[None]:
        """Have `told` called with UIDs that were read, or that are gone (True).

        Call it before `examine`, once. A server with QRESYNC (RFC 7162) tells by itself;
        what comes may be of messages that nobody knows. Others are asked: by `examine`,
        and by `inquire` when `has_changed`.
        """

    def inquire(known: Sequence[int]) -> Awaitable[None]:
        """Ask what became of these messages of the open mailbox; ends `has_changed`."""

    def examine(
        mailbox: str, since: Cursor | None = None, known: Sequence[int] = ()
    ) -> Awaitable[MailboxStatus]:
        """EXAMINE a mailbox; `uidnext` and `uidvalidity` are always real.

        With `since`, what became meanwhile of the `known` messages is told to whoever
        follows, before the result.

        Where the server's answer lacks UIDNEXT, the session asks for it (STATUS,
        or the highest UID), since a baseline without it would announce everything.

        Raises:
            CommandRefused: there is no such mailbox, or it cannot be opened; the
                session is good for others.
        """

    def survey(mailboxes: Sequence[str]) -> Awaitable[Mapping[str, MailboxStatus]]:
        """Ask about mailboxes that are not open, in one round trip.

        What is missing in the answer does not exist; a number that the server did
        not say is 0. The open mailbox is asked too (NOOP), and hints if it changed.
        """

    def list_mailboxes(wanted: Wanted) -> Awaitable[Listing]:
        """Which mailboxes the patterns of an account bring (LIST).

        Raises:
            CommandRefused: the server does not list.
        """

    def hear_names(told: Callable[[ListItem], object]) -> None:
        """Have `told` called when the server says by itself that a name has changed."""

    def notify(
        mailboxes: Sequence[str], below: Sequence[str] = (), roots: Sequence[str] = ()
    ) -> Awaitable[Mapping[str, MailboxStatus]]:
        """Have the server tell of these too, without being asked (NOTIFY, RFC 5465).

        Call it before `examine`, once. New messages of the open mailbox then come
        with their hint, so that `fetch` has nothing to ask for.

        Args:
            below: mailboxes too, which lie below one of the roots.
            roots: below these the server is to tell of all mailboxes, and of their names;
                "" is everything.

        Returns:
            As `survey`: how they stand now.

        Raises:
            CommandRefused: the server offers it and will not do it.
        """

    def fetch(first_uid: int) -> Coroutine[Any, Any, Sequence[Fetched]]:
        """Fetch all messages from this UID on, in order of UID, none below it.

        Works during `listen` too: the session leaves and enters IDLE by itself.
        At most `BATCH` (`mailnotify.imap.session`) messages come back; ask again
        from the next UID until nothing comes.
        """

    def arrived_since(day: date) -> Awaitable[Sequence[int]]:
        """The UIDs of messages whose INTERNALDATE is of this day or later, ascending.

        Raises:
            CommandRefused: the server does not search.
        """

    def fetch_only(uids: Sequence[int]) -> Awaitable[Sequence[Fetched]]:
        """Exactly these messages, but for those that are gone; at most `BATCH`."""

    def poll() -> Awaitable[None]:
        """One round trip (NOOP) in which the server tells what changed."""

    def status() -> Awaitable[MailboxStatus | None]:
        """One round trip in which the server says what the mailbox holds, apart from hints.

        None if it will not say; the round trip has proved that it is there.
        """

    def listen(changed: Callable[[str, MailboxStatus | None], None]) -> Awaitable[None]:
        """From now on call `changed` whenever the server hints at new mail.

        It is called with the mailbox, and with what a STATUS said of it, if that was
        the hint: a number that was not said is 0. Call `listen` again after each
        `examine`; until then the mailbox is only polled.

        Enters IDLE (RFC 2177) if the server offers it and renews it in time. A
        server without IDLE hints during `poll` and `fetch` only. Hints that came
        before `listen` are not lost: `changed` is then called at once.
        """

    def close() -> Awaitable[None]:
        """LOGOUT within a short deadline, then abort. Never fails."""

    def abort() -> None:
        """Cut the connection now."""

    def when_lost(told: Callable[[PeerError], object]) -> None:
        """Call this with the reason once the connection is gone; now if it is."""


class ISink(Interface):
    """Where a client shows what it received."""

    def deliver(entry: Entry, position: Position) -> Awaitable[None]:
        """Show one entry.

        Args:
            position: where it stands: a reader who resumes there is told what follows.

        Returns when the entry was shown, or has been given up with a log line: a
        sink never fails and never takes longer than its own deadline.
        """

    def close() -> Awaitable[None]:
        """Release threads and processes; fires when none is left."""


class IConnector(Interface):
    """Makes the way to a server; the top floor has the real one, tests have others."""

    def endpoint(server: Server, trust: Trust) -> IStreamClientEndpoint:
        """An endpoint for one connection attempt.

        For implicit TLS the endpoint wraps the connection in verified TLS. Note that
        such an endpoint fires before the handshake: wait for `handshakeCompleted`
        (`IHandshakeListener`) before anything is sent.
        """

    def tls_options(server: Server, trust: Trust) -> object:
        """The `IOpenSSLClientConnectionCreator` for STARTTLS to this server."""
