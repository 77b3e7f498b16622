"""Which messages are one: a letter that has several places in an account.

A label, a copy, a filter or a person's hand gives a message that was announced a
further place, with a UID of its own. It is the same message, by the first of these
that its server tells:

- Gmail's ``X-GM-MSGID``, which no two messages of an account share;
- Dovecot's ``X-GUID``, which a copy inherits and a delivery never does;
- ``EMAILID`` (RFC 8474), and the same INTERNALDATE, which a copy keeps (RFC 9051
  §6.4.7): some servers make it of the content alone, so that a letter which is put
  there twice has it twice;
- else all that is told of it: Message-ID, Date, size, INTERNALDATE to the second,
  subject, senders and recipients. A Message-ID alone decides nothing: a mailing list
  sends the letter again that came to us directly, and anybody can write one.

Nothing lost outranks never twice. Two messages that lie in one mailbox at a time are
two deliveries, whatever they share (but at Gmail, where that cannot be). And what comes
out of a mailbox that is not watched, as from among the spam, is announced, however old.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Struct, json

from mailnotify.core.events import MailFiled, NewMail
from mailnotify.core.message import REUSED

_encode = json.Encoder().encode

GMAIL: Final = "gmail:"
GUID: Final = "guid:"
EMAIL: Final = "email:"
"""How an `object_id` begins, by who gave it."""


class Twin(Struct, frozen=True, kw_only=True):
    """One known place of a message.

    Attributes:
        id: under which the message was announced.
        mailbox: what it is called now.
        is_gone: it was told that the message is there no longer.
    """

    id: str
    mailbox: str
    uidvalidity: int
    uid: int
    is_gone: bool


def twin_key(mail: NewMail) -> int | None:
    """What all places of this message share, and no other message; None if nothing is known.

    64 bits: who could make two letters of his own collide has hidden one of them himself.
    """
    said: tuple[object, ...]
    if mail.object_id:
        is_of_content = str(mail.object_id).startswith(EMAIL)
        said = (mail.object_id, mail.received if is_of_content else None)
    elif _is_told(mail):
        said = (mail.message_id, mail.date, mail.size, mail.received)
        said += (mail.subject, mail.sender, mail.to)
    else:
        return None
    return _number((mail.account, said))


def name_of(mail: NewMail) -> str:
    """What stands in the message itself of its `twin_key`; empty if it has none.

    Without one name no two messages have one key. The time is in it since some machines,
    and whoever means us ill, put one Message-ID into all that they send; and those that
    have one name are compared one by one.
    """
    if mail.object_id:
        return str(mail.object_id)
    return f"{mail.message_id} {mail.received}" if _is_told(mail) else ""


def _is_told(mail: NewMail) -> bool:
    return bool(mail.message_id and mail.size and mail.received)


def past_key(account: str, mailbox: str, uidvalidity: int) -> int:
    """Stands among the keys of messages for a mailbox whose past was looked at."""
    return _number((account, mailbox, uidvalidity, "past"))


def judge(mail: NewMail, twins: Sequence[Twin]) -> NewMail | MailFiled | None:
    """What to tell of a message that was found: news, a further place, or nothing.

    Args:
        twins: all known places with its `twin_key`, in the order in which they were found.
    """
    beside = [each for each in twins if _mailbox(each) == _mailbox(mail)]
    if any(each.uid == mail.uid for each in beside):
        return None
    is_second = any(not each.is_gone for each in beside) and not _is_unique(mail)
    if not twins or is_second:
        return mail
    return MailFiled(
        id=twins[0].id,
        account=mail.account,
        mailbox=mail.mailbox,
        uidvalidity=mail.uidvalidity,
        uid=mail.uid,
    )


def _number(said: tuple[object, ...]) -> int:
    digest = blake2b(_encode(said), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


def _is_unique(mail: NewMail) -> bool:
    """Whether its server would never show two messages with this key."""
    return bool(mail.object_id) and str(mail.object_id).startswith(GMAIL)


def _mailbox(place: NewMail | Twin) -> tuple[str, int]:
    return place.mailbox, place.uidvalidity % REUSED
