"""Events to put into journals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from mailnotify.core.events import AccountState, Entry, MailGone, MailSeen, NewMail, new_mail
from mailnotify.core.message import Address, Fetched, Ref, Summary
from mailnotify.core.sync import Cursor, CursorMove
from mailnotify.interfaces import IJournal

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def everything(journal: IJournal) -> list[Entry]:
    """All entries that it keeps, read as a reader does: one portion after the other."""
    found: list[Entry] = []
    while portion := journal.read(found[-1].seq if found else 0, 1000):
        found += portion
    return found


def mail(
    uid: int, *, account: str = "home", mailbox: str = "INBOX", uidvalidity: int = 7
) -> NewMail:
    """A message with something in every field."""
    return new_mail(
        Ref(account=account, mailbox=mailbox, uidvalidity=uidvalidity, uid=uid),
        Summary(
            subject=f'Größe {uid}, 👋 "quoted"',
            sender=(Address(name="Ana", address="ana@example.org"),),
            to=(Address(address="bo@example.org"),),
            message_id=f"{uid}.{uidvalidity}.{mailbox}@example.org",
            date=NOON,
        ),
        Fetched(uid=uid, received=NOON, size=1234, flags=("\\Seen",), attachments=2),
        preview="Dear Bo",
    )


def unread(uid: int, **place: Any) -> NewMail:
    """The same message before anybody has read it."""
    return structs.replace(mail(uid, **place), flags=())


def copy(uid: int, mailbox: str, as_uid: int) -> NewMail:
    """The same message, unread, found in another place."""
    return structs.replace(unread(uid), **place(mailbox, as_uid))


def place(mailbox: str, uid: int) -> dict[str, Any]:
    """Where a message may lie."""
    return _identity(mail(uid, mailbox=mailbox))


def seen(uid: int, **place: Any) -> MailSeen:
    """It was read."""
    return MailSeen(**_identity(mail(uid, **place)))


def gone(uid: int, **place: Any) -> MailGone:
    """It was removed."""
    return MailGone(**_identity(mail(uid, **place)))


def _identity(mail: NewMail) -> dict[str, Any]:
    names = ("id", "account", "mailbox", "uidvalidity", "uid")
    return {name: getattr(mail, name) for name in names}


def state(name: str = "blind") -> AccountState:
    """An account whose server went away."""
    return AccountState(account="home", mailbox="INBOX", state=name, since=NOON, cause="no route")


def move(last_uid: int, *, mailbox: str = "INBOX", uidvalidity: int = 7) -> CursorMove:
    """The cursor of a mailbox of the account ``home``."""
    cursor = Cursor(uidvalidity=uidvalidity, last_uid=last_uid)
    return CursorMove(account="home", mailbox=mailbox, cursor=cursor)
