"""One mailbox of one account, and what the journal knows of it.

A place turns what a session brought into events, and stores them together with
the cursor that covers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from msgspec import structs
from twisted.logger import Logger

from mailnotify.core.events import Event, MailGone, MailSeen, NewMail, new_mail
from mailnotify.core.message import Fetched, Ref, summarise
from mailnotify.core.rematch import Known, is_other
from mailnotify.core.sync import Baseline, Cursor, CursorMove, MailboxStatus, advance, plan
from mailnotify.core.text import gist
from mailnotify.core.twins import twin_key
from mailnotify.errors import JournalUnwritable, PeerError
from mailnotify.imap.responses import NumberSet
from mailnotify.interfaces import IJournal
from mailnotify.watching.freshness import Freshness
from mailnotify.watching.witness import Witness

_MOST_KNOWN = 10_000
"""Of one mailbox; whoever cares that older mail was read has looked for himself."""

_FEW = 100
"""So many UIDs are looked up one by one; of more only those that are known."""

Accept = Callable[[Sequence[Event], CursorMove | None], object]
"""Takes events and the cursor that covers them into the journal, and tells readers."""

Preview = Callable[[bytes, bytes], str]
"""Makes the first words of a message from its header and the first bytes of its body."""


def no_preview(header: bytes, body: bytes) -> str:
    """For an account that asks for none."""
    return ""


class Place:
    """A mailbox of an account, and the journal that remembers how far it was read.

    Args:
        preview: makes the first words of each message.
        has_others: the account has other mailboxes, into which messages may be moved.
        announces_copies: it wants to hear of each place of a message, as `accept` knows.

    Attributes:
        witness: hears how it stands.
        refusal: why it cannot be watched, though the account can; else None.
        is_brought: by a pattern, so that it may be gone.
        since: when it was not there yet, or was not to be looked at; None if it may have
            been there for ever.
        freshness: what of it was looked at, and when.
        held: messages that are gone, or in a mailbox that has another name now.
    """

    _log = Logger()

    def __init__(
        self,
        account: str,
        mailbox: str,
        journal: IJournal,
        accept: Accept,
        witness: Witness | None = None,
        preview: Preview = no_preview,
        *,
        has_others: bool = False,
        announces_copies: bool = False,
    ) -> None:
        self.account = account
        self.mailbox = mailbox
        self.witness = witness or Witness()
        self.refusal: PeerError | None = None
        self.is_brought = False
        self.since: datetime | None = None
        self.freshness = Freshness()
        self.held: Sequence[Ref] = ()
        self._owes = False
        self._promised = 0
        self._past_of = 0
        self._replaced: NewMail | None = None
        self._journal = journal
        self._accept = accept
        self._preview = preview
        self._has_others = has_others
        self._announces_copies = announces_copies

    def __str__(self) -> str:
        return f"{self.account}/{self.mailbox}"

    @property
    def cursor(self) -> Cursor | None:
        """How far this mailbox is journalled."""
        return self._journal.cursor(self.account, self.mailbox)

    @property
    def is_new(self) -> bool:
        """Whether its mail came with it, and nobody has looked into it yet."""
        return self.since is not None and self.cursor is None

    @property
    def next_uid(self) -> int:
        """From here on there may be something new; of use after `begin`."""
        return self._begun.last_uid + 1

    def begin(self, status: MailboxStatus) -> None:
        """The mailbox was seen like this; on first sight remember where it ends.

        Raises:
            JournalUnwritable: the first cursor could not be stored.
        """
        self.refusal = None
        decided = plan(self.cursor, status)
        if isinstance(decided, Baseline):
            self._move((), decided.cursor)
            return
        begun = self._begun
        if status.mailbox_id:
            begun = structs.replace(begun, mailbox_id=status.mailbox_id)
        if status.modseq != begun.modseq and not self._owes:  # a lost index begins it anew
            begun = structs.replace(begun, modseq=status.modseq)
        if begun != self._begun:
            self._move((), begun)

    def baseline(self, status: MailboxStatus) -> CursorMove:
        """What `begin` would store of a mailbox that was never seen before."""
        self.refusal = None
        decided = plan(None, status)
        assert isinstance(decided, Baseline)
        return CursorMove(account=self.account, mailbox=self.mailbox, cursor=decided.cursor)

    def end_at(self, uid: int) -> None:
        """Nobody had seen it before, and what lay in it up to here was there before us.

        Raises:
            JournalUnwritable: the cursor could not be stored.
        """
        self._move((), advance(self._begun, (uid,)))

    def ended(self, status: MailboxStatus) -> None:
        """All that there is was read; say once what UIDNEXT promised and nobody has."""
        if max(self.next_uid, self._promised) < status.uidnext:
            self._promised = status.uidnext
            self._log.info(
                "{place}: nothing is left of UIDs {first} to {last}: it was gone before it"
                " could be read, or never there",
                place=self,
                first=self.next_uid,
                last=status.uidnext - 1,
            )

    def prepare(self) -> None:
        """The mailbox is about to be opened."""
        self._owes = False

    def looked(self) -> None:
        """The mailbox is open, and what became of known messages is told, unless it is owed."""
        if not self._owes:
            self.freshness.looked()

    def told(self, uids: NumberSet, *, is_gone: bool) -> None:
        """These were read, or are gone: journal it of those that were announced.

        What cannot be journalled now is told again by the server when the mailbox is
        opened the next time, since the cursor stays where it is.

        If all are gone at once, a mailbox that a pattern brings may have been renamed,
        which some servers tell in no other way: it is `held`, until `release`.
        """
        cursor = self.cursor
        if cursor is None:
            return
        found = list(uids) if len(uids) <= _FEW else uids.among(self.known())
        refs = [self._ref(uid, cursor.uidvalidity) for uid in found]
        if not is_gone:
            self._journal_fate(MailSeen, refs)
        elif self.is_brought and self._are_all(found):
            self.held = refs
        else:
            self._journal_fate(MailGone, refs)

    def deleted(self) -> None:
        """The mailbox is no more, and nothing that was in it; unless it has another name now."""
        if (cursor := self.cursor) is not None:
            self.held = [self._ref(uid, cursor.uidvalidity) for uid in self.known()]
        self.release()

    def release(self) -> None:
        """What was held is gone, unless the journal knows it under another name by now."""
        held, self.held = self.held, ()
        self._journal_fate(MailGone, held)

    def _are_all(self, uids: Sequence[int]) -> bool:
        """Whether nothing is known beside these."""
        known = self.known(len(uids) + 1)
        return bool(known) and set(known) <= set(uids)

    def _journal_fate(self, kind: type[MailSeen] | type[MailGone], refs: Sequence[Ref]) -> None:
        try:
            if refs:
                self._accept([_fate(kind, each) for each in refs], None)
        except JournalUnwritable:
            self._owes = True

    def known(self, most: int = _MOST_KNOWN) -> Sequence[int]:
        """The newest announced messages that are still there, as far as anybody knows."""
        cursor = self.cursor
        if cursor is None:
            return ()
        return self._journal.known(self.account, self.mailbox, cursor.uidvalidity, most)

    def is_stale(self, status: MailboxStatus) -> bool:
        """Whether known messages were read or removed since we looked, as this has shown.

        What does not tell where the next message will be may be about a new one.
        """
        cursor = self.cursor
        if cursor is None:
            return True
        if not self.freshness.is_stale(cursor):
            return False
        return not status.uidnext or bool(self.known(1))

    def events(
        self, fetched: Sequence[Fetched], uidvalidity: int | None = None
    ) -> Iterator[NewMail]:
        """What there is to tell of these messages, made one by one; call `store` with it.

        Args:
            uidvalidity: if it is another one than the cursor's.
        """
        if uidvalidity is None:
            uidvalidity = self._begun.uidvalidity
        return (self._event(each, uidvalidity) for each in fetched)

    def store(self, events: Sequence[NewMail], bygone: Sequence[NewMail] = ()) -> None:
        """Journal these events together with the cursor that covers them.

        Args:
            bygone: those of them that are no news, here or elsewhere.

        Raises:
            JournalUnwritable: nothing was stored, or nothing but what is bygone.
        """
        if bygone:
            self._journal.pass_over(bygone)
        # Else the journal knows them by their names, and tells where one has got to.
        unheard = {each.uid for each in bygone if self._announces_copies or twin_key(each) is None}
        news = [each for each in events if each.uid not in unheard]
        self._move(news, advance(self._begun, tuple(each.uid for each in events)))

    @property
    def landmark(self) -> NewMail | None:
        """The last message that was announced, if it has the UID of the cursor.

        Where another one has it now, UIDs below the cursor were given out anew.
        """
        begun = self._begun
        return self._journal.mail(self.account, self.mailbox, begun.uidvalidity, begun.last_uid)

    def is_replaced(self, landmark: NewMail, fetched: Sequence[Fetched]) -> bool:
        """Whether another message lies where the landmark was; true once for each of them."""
        there = next((each for each in fetched if each.uid == landmark.uid), None)
        if there is None:
            return False
        mail = self._event(there, landmark.uidvalidity)
        self._replaced, known = mail, self._replaced
        return is_other(mail, landmark) and (known is None or is_other(mail, known))

    @property
    def lacks_past(self) -> bool:
        """Whether nobody has looked yet at what lay in it at first sight, and it matters."""
        uidvalidity = self._begun.uidvalidity
        if not self._has_others or self._past_of == uidvalidity:
            return False
        if self._journal.has_past(self.account, self.mailbox, uidvalidity):
            self._past_of = uidvalidity
            return False
        return True

    def keep_past(self, mails: Sequence[NewMail]) -> None:
        """These lay in it: moved into another mailbox, they are no news there.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._journal.keep_past(self.account, self.mailbox, self._begun.uidvalidity, mails)

    @property
    def begun(self) -> datetime | None:
        """When the account was first seen."""
        return self._journal.begun(self.account)

    def remembered(self) -> Known:
        """What the journal knows of this mailbox, for when its UIDs have lost their meaning."""
        since = self._journal.moved(self.account, self.mailbox) or self.since
        assert since is not None, "a mailbox that was seen has a cursor"
        return Known(self._journal.mails(self.account, self.mailbox), since)

    def store_unknown(self, known: Known, events: Sequence[NewMail]) -> int:
        """Journal those that were never told of; return how many.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        unknown = known.unknown(events)
        if unknown:
            self._accept(unknown, None)
        return len(unknown)

    def refused(self, error: PeerError) -> None:
        """This mailbox cannot be watched, though the account can; say so once."""
        if gist(str(error)) != gist(str(self.refusal)):
            self._log.warn("not watching {place}: {why}", place=self, why=error.explain())
        self.refusal = error
        self.witness.failed(error)

    @property
    def _begun(self) -> Cursor:
        cursor = self.cursor
        assert cursor is not None, "a mailbox that was seen has a cursor"
        return cursor

    def _move(self, events: Sequence[Event], cursor: Cursor) -> None:
        move = CursorMove(account=self.account, mailbox=self.mailbox, cursor=cursor)
        self._accept(events, move)

    def _ref(self, uid: int, uidvalidity: int) -> Ref:
        return Ref(account=self.account, mailbox=self.mailbox, uidvalidity=uidvalidity, uid=uid)

    def _event(self, fetched: Fetched, uidvalidity: int) -> NewMail:
        ref = self._ref(fetched.uid, uidvalidity)
        preview = self._preview(fetched.header, fetched.text)
        return new_mail(ref, summarise(fetched.header), fetched, preview)


def _fate(kind: type[MailSeen] | type[MailGone], ref: Ref) -> MailSeen | MailGone:
    return kind(
        id=ref.id,
        account=ref.account,
        mailbox=ref.mailbox,
        uidvalidity=ref.uidvalidity,
        uid=ref.uid,
    )
