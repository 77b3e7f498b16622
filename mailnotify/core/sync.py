"""How far a mailbox has been read, and what is to be fetched next.

All thinking about UIDVALIDITY and UIDNEXT (RFC 9051 §2.3.1.1) is here. "New"
is decided by UID alone: never by UNSEEN, RECENT or a sequence number, since
mail that was read on the phone first is new all the same.
"""

from __future__ import annotations

from msgspec import Struct, structs

MOST_MODSEQ = 2**63 - 1
"""RFC 7162 §7; more than that no journal could keep."""


class Cursor(Struct, frozen=True, kw_only=True):
    """How far one mailbox has been journalled.

    Attributes:
        uidvalidity: the value under which `last_uid` means something.
        last_uid: every UID up to here is journalled or was there before us.
        modseq: what became of older messages is journalled up to this mod-sequence
            (RFC 7162); 0 if nothing is known of it.
        mailbox_id: names the mailbox whatever it is called (RFC 8474); empty if unknown.
    """

    uidvalidity: int
    last_uid: int
    modseq: int = 0
    mailbox_id: str = ""


class CursorMove(Struct, frozen=True, kw_only=True):
    """A new cursor for one mailbox, to be stored with the events it covers."""

    account: str
    mailbox: str
    cursor: Cursor


class MailboxStatus(Struct, frozen=True, kw_only=True):
    """What a server says of a mailbox when it is examined (RFC 9051 §6.3.3).

    Attributes:
        uidvalidity: 0 if the server did not say.
        uidnext: 0 if the server did not say.
        exists: the number of messages.
        modseq: HIGHESTMODSEQ; 0 if the server has none.
        mailbox_id: RFC 8474 §4.1; empty if the server did not say.
        unseen: how many of them are unread; None if the server did not say.
    """

    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int = 0
    mailbox_id: str = ""
    unseen: int | None = None

    @property
    def is_of_flags(self) -> bool:
        """Whether it tells that a flag has changed, and nothing else (RFC 5465 §5.3)."""
        return not self.uidnext and (self.modseq > 0 or self.unseen is not None)


class Baseline(Struct, frozen=True, kw_only=True):
    """What lies in the mailbox now is known from here on and not announced."""

    cursor: Cursor


class FetchFrom(Struct, frozen=True, kw_only=True):
    """Ask for every message from this UID on; those below it may come and are dropped."""

    first_uid: int


class UpToDate(Struct, frozen=True, kw_only=True):
    """The server has nothing that the journal lacks."""


Plan = Baseline | FetchFrom | UpToDate


def plan(cursor: Cursor | None, status: MailboxStatus) -> Plan:
    """Decide what a freshly examined mailbox needs.

    A mailbox without a cursor, or with another UIDVALIDITY than the cursor's,
    gets a baseline just below UIDNEXT. UIDNEXT is only a hint otherwise: a
    server that does not send it, or sends one below the cursor, is asked.
    """
    if cursor is None or is_rebuilt(cursor, status):
        last_uid = max(status.uidnext - 1, 0)
        return Baseline(
            cursor=Cursor(
                uidvalidity=status.uidvalidity,
                last_uid=last_uid,
                modseq=status.modseq,
                mailbox_id=status.mailbox_id,
            )
        )
    if status.exists == 0 or status.uidnext == cursor.last_uid + 1:
        return UpToDate()
    return FetchFrom(first_uid=cursor.last_uid + 1)


def is_rebuilt(cursor: Cursor | None, status: MailboxStatus) -> bool:
    """Whether the UIDs of a mailbox that was known have lost their meaning.

    They have too if UIDNEXT went back, against RFC 9051 §2.3.1.1: what comes now gets
    UIDs that the cursor takes for read. GMX has done it.
    """
    if cursor is None:
        return False
    return cursor.uidvalidity != status.uidvalidity or 0 < status.uidnext <= cursor.last_uid


def has_news(cursor: Cursor | None, status: MailboxStatus) -> bool:
    """Whether a mailbox of which only a STATUS is known deserves to be opened.

    What the status does not tell (0) may be anything.
    """
    if cursor is None or status.uidvalidity not in (0, cursor.uidvalidity):
        return True
    return status.uidnext != cursor.last_uid + 1


def advance(cursor: Cursor, uids: tuple[int, ...]) -> Cursor:
    """Move past these UIDs; a cursor never goes back."""
    return structs.replace(cursor, last_uid=max((cursor.last_uid, *uids)))
