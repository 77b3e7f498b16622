"""What can happen, as facts, and the place that each fact has in the journal.

These values are what the journal stores and what the line protocol carries:
their JSON form is public (docs/protocol.rst) and only ever grows.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType, field

from mailnotify.core.message import Address, Fetched, Ref, Summary


class NewMail(Struct, frozen=True, kw_only=True, tag_field="kind", tag="mail"):
    """A message that was not in the mailbox when the mailbox was first seen.

    Attributes:
        id: `Ref.id`, the same in every replay.
        sender: ``from`` in JSON.
        received: INTERNALDATE (RFC 9051 §2.3.3), in UTC.
        size: RFC822.SIZE, in bytes.
        flags: as they stood when the message was fetched.
        attachments: how many a person would count; 0 if the server did not say.
        preview: the first words of the text, if the account asks for them.
        object_id: what the server calls the message wherever it lies, if it has such names.
    """

    id: str
    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    subject: str = ""
    sender: tuple[Address, ...] = field(default=(), name="from")
    to: tuple[Address, ...] = ()
    message_id: str = ""
    date: datetime | None = None
    received: datetime | None = None
    size: int = 0
    flags: tuple[str, ...] = ()
    attachments: int = 0
    preview: str = ""
    object_id: str | UnsetType = UNSET


class MailFiled(Struct, frozen=True, kw_only=True, tag_field="kind", tag="filed"):
    """A message that was announced lies in this mailbox too: labelled, copied, or moved.

    Attributes:
        id: that of the message's `NewMail`.
        mailbox: where it was found now; the UID is the one it has there.
    """

    id: str
    account: str
    mailbox: str
    uidvalidity: int
    uid: int


class MailSeen(Struct, frozen=True, kw_only=True, tag_field="kind", tag="seen"):
    """A message that was announced has been read, here or elsewhere, in any of its places.

    Attributes:
        id: that of the message's `NewMail`, and so are mailbox and UID.
    """

    id: str
    account: str
    mailbox: str
    uidvalidity: int
    uid: int


class MailGone(Struct, frozen=True, kw_only=True, tag_field="kind", tag="gone"):
    """A message that was announced is no longer in this mailbox: removed, or moved.

    Attributes:
        id: that of the message's `NewMail`.
        mailbox: that of the `NewMail` or of a `MailFiled`: each place is left by itself.
    """

    id: str
    account: str
    mailbox: str
    uidvalidity: int
    uid: int


class AccountState(Struct, frozen=True, kw_only=True, tag_field="kind", tag="account"):
    """An account can be seen, or no longer can, and why.

    Attributes:
        state: ``connected``, ``blind``, ``throttled`` or ``denied``.
        cause: one sentence; empty when connected.
        since: when this state began, in UTC.
        remedy: what a person can do; empty when connected.
    """

    account: str
    mailbox: str
    state: str
    since: datetime
    cause: str = ""
    remedy: str = ""


class Undelivered(Struct, frozen=True, kw_only=True):
    """A recipient whom a letter of ours will not reach.

    Attributes:
        code: the reply code (RFC 5321 §4.2); 0 if none is known.
        reason: a server's words, or ours.
    """

    address: str
    code: int
    reason: str


class SentFailed(Struct, frozen=True, kw_only=True, tag_field="kind", tag="sent-failed"):
    """A letter of the outbox will not reach these recipients.

    It was refused, given up, or came back; other recipients may have it.

    Attributes:
        id: the same when it is told again.
        letter: its number in the outbox.
        mailbox: where the bounce lies that told it; empty if a server refused directly.
    """

    id: str
    account: str
    letter: int
    message_id: str
    subject: str
    recipients: tuple[Undelivered, ...]
    reason: str
    mailbox: str = ""


Event = NewMail | MailFiled | MailSeen | MailGone | AccountState | SentFailed

KINDS = frozenset(str(each.__struct_config__.tag) for each in Event.__args__)
"""Every ``kind`` of event."""


class Position(Struct, frozen=True, kw_only=True, order=True):
    """A place in the journal: ``epoch:seq``.

    Attributes:
        epoch: the name of this journal's life; a rebuilt journal has another.
        seq: the last entry that was seen; 0 is before the first.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


def parse_position(text: str) -> Position:
    """Read ``epoch:seq``.

    Raises:
        ValueError: the text is no position.
    """
    epoch, colon, seq = text.rpartition(":")
    is_number = seq.isascii() and seq.isdigit() and len(seq) <= 18
    if not (colon and is_number and epoch.isascii() and epoch.isalnum() and len(epoch) <= 64):
        raise ValueError(f"found {text[:80]!r}, expected epoch:seq")
    return Position(epoch=epoch, seq=int(seq))


class Entry(Struct, frozen=True, kw_only=True):
    """An event at its place in the journal.

    Attributes:
        seq: grows by one for each entry within an epoch, from 1.
        at: when it was journalled, in UTC.
    """

    seq: int
    at: datetime
    event: Event


def new_mail(ref: Ref, summary: Summary, fetched: Fetched, preview: str = "") -> NewMail:
    """Join where a message lies, what it says of itself, and what its server says of it."""
    return NewMail(
        id=ref.id,
        account=ref.account,
        mailbox=ref.mailbox,
        uidvalidity=ref.uidvalidity,
        uid=ref.uid,
        subject=summary.subject,
        sender=summary.sender,
        to=summary.to,
        message_id=summary.message_id,
        date=summary.date,
        received=fetched.received,
        size=fetched.size,
        flags=fetched.flags,
        attachments=fetched.attachments,
        preview=preview,
        object_id=fetched.object_id or UNSET,
    )
