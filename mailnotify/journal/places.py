"""Which message lies in which place: what the journal knows before it stores an entry.

Refused is what is known already: a message under its UID, and what became of it. A
UID that a server gave to another message before (`is_other`) gets an id of its own. A
message that was announced from another mailbox is not announced again, but filed
(`mailnotify.core.twins`). All of it is found by index, in the transaction of the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import structs

from mailnotify.core.events import MailFiled, MailGone, MailSeen, NewMail
from mailnotify.core.message import REUSED, Ref
from mailnotify.core.rematch import is_other
from mailnotify.core.twins import Twin, judge, past_key, twin_key
from mailnotify.storage.database import Database

_PLACE: Final = """
    SELECT event, twin FROM entries
    WHERE account = ? AND mailbox = ? AND uidvalidity = ? AND uid = ?
    AND uid IS NOT NULL AND kind IN ('mail', 'filed') ORDER BY seq DESC LIMIT 1
"""
_TWINS: Final = """
    SELECT event, mailbox, uidvalidity, uid, EXISTS (
        SELECT 1 FROM entries WHERE account = place.account AND mailbox = place.mailbox
        AND uidvalidity = place.uidvalidity AND uid = place.uid
        AND uid IS NOT NULL AND kind = 'gone'
    )
    FROM entries AS place WHERE twin = ? ORDER BY seq
"""
_MET: Final = """
    SELECT EXISTS (SELECT 1 FROM entries WHERE twin = ? AND twin IS NOT NULL),
        EXISTS (SELECT 1 FROM bygone WHERE twin = ?)
"""
_KEEP: Final = """
    INSERT OR IGNORE INTO bygone SELECT twin FROM entries WHERE seq <= ? AND twin IS NOT NULL
"""
_KNOWN: Final = """
    SELECT uid FROM entries AS place
    WHERE account = ? AND mailbox = ? AND uidvalidity = ? AND uid IS NOT NULL
    AND kind IN ('mail', 'filed')
    AND NOT EXISTS (
        SELECT 1 FROM entries WHERE account = place.account AND mailbox = place.mailbox
        AND uidvalidity = place.uidvalidity AND uid = place.uid
        AND uid IS NOT NULL AND kind = 'gone'
    )
    ORDER BY uid DESC LIMIT ?
"""

Located = NewMail | MailFiled | MailSeen | MailGone
"""What has a place: an account, a mailbox, a UIDVALIDITY and a UID."""

_Found = NewMail | MailFiled

_decode_found = msgspec.json.Decoder(_Found).decode


class Places:
    """The places of messages; see `IJournal`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def known(self, account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        """The newest UIDs of messages that are known and were not told gone, ascending."""
        with self._database.reading() as connection:
            values = (account, mailbox, uidvalidity, most)
            rows = connection.execute(_KNOWN, values).fetchall()
        return [uid for (uid,) in reversed(rows)]

    def mail(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> NewMail | None:
        """What was last announced under this UID; None if nothing was, or it is forgotten."""
        with self._database.reading():
            found, _ = self._latest(account, mailbox, uidvalidity, uid)
        return found if isinstance(found, NewMail) else None

    def settle(self, event: Located, *, announce_copies: bool) -> tuple[Located | None, int | None]:
        """As what an event is to be stored, and the key of its message; None if it is known.

        Args:
            announce_copies: a further place of a message is news.
        """
        if isinstance(event, MailFiled):
            return None, None  # it is made here, and nowhere else
        if not isinstance(event, NewMail):
            return self._fate(event), None
        key = twin_key(event)
        if key is None or announce_copies:
            return event, key
        is_known, is_bygone = self._connection.execute(_MET, (key, key)).fetchone()
        if is_known:
            return judge(event, self._twins(key)), key
        return (None if is_bygone else event), key

    def has_past(self, account: str, mailbox: str, uidvalidity: int) -> bool:
        """Whether `keep_past` was called for this mailbox."""
        key = past_key(account, mailbox, uidvalidity)
        with self._database.reading() as connection:
            return bool(connection.execute(_MET, (key, key)).fetchone()[1])

    def keep_past(
        self, account: str, mailbox: str, uidvalidity: int, mails: Sequence[NewMail]
    ) -> None:
        """These lay in a mailbox when it was first seen: found in another, they are no news.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._pass_over([past_key(account, mailbox, uidvalidity), *map(twin_key, mails)])

    def pass_over(self, mails: Sequence[NewMail]) -> None:
        """These are no news, wherever they are found.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._pass_over([twin_key(each) for each in mails])

    def _pass_over(self, keys: Sequence[int | None]) -> None:
        rows = [(key,) for key in keys if key is not None]
        with self._database.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO bygone VALUES (?)", rows)

    def forget(self, last: int) -> None:
        """Forget all entries up to this seq, in a transaction of the caller's."""
        self._connection.execute(_KEEP, (last,))
        self._connection.execute("DELETE FROM entries WHERE seq <= ?", (last,))

    def under_a_used_uid(self, mail: NewMail) -> NewMail | None:
        """This message, under whose UID one is known, with another id; None if it is that one."""
        while (known := self._find(*place_of(mail))[0]) is not None:
            if not isinstance(known, NewMail) or not is_other(mail, known):
                return None
            uidvalidity = mail.uidvalidity + REUSED
            ref = Ref(
                account=mail.account, mailbox=mail.mailbox, uidvalidity=uidvalidity, uid=mail.uid
            )
            mail = structs.replace(mail, id=ref.id, uidvalidity=uidvalidity)
        return mail

    def _fate(self, event: MailSeen | MailGone) -> MailSeen | MailGone | None:
        """Under the id of the message that is there; None if none is that was announced."""
        found, key = self._latest(*place_of(event))
        if found is None:
            return None
        if isinstance(event, MailGone):
            return structs.replace(event, id=found.id, uidvalidity=found.uidvalidity)
        mail = found if isinstance(found, NewMail) else self._announced(found, key)
        if mail is None or "\\seen" in map(str.lower, mail.flags):
            return None
        account, mailbox, uidvalidity, uid = place_of(mail)
        return MailSeen(
            id=mail.id, account=account, mailbox=mailbox, uidvalidity=uidvalidity, uid=uid
        )

    def _announced(self, filed: MailFiled, key: int | None) -> NewMail | None:
        """The message of which this is a further place; None if it is forgotten."""
        rows = self._connection.execute(_TWINS, (key,))
        events = (_decode_found(row[0]) for row in rows)
        mails = (each for each in events if isinstance(each, NewMail) and each.id == filed.id)
        return next(mails, None)

    def _twins(self, key: int) -> list[Twin]:
        return [
            Twin(
                id=_decode_found(event).id,
                mailbox=mailbox,
                uidvalidity=uidvalidity,
                uid=uid,
                is_gone=bool(is_gone),
            )
            for event, mailbox, uidvalidity, uid, is_gone in self._connection.execute(
                _TWINS, (key,)
            )
        ]

    def _latest(
        self, account: str, mailbox: str, uidvalidity: int, uid: int
    ) -> tuple[_Found | None, int | None]:
        """What was last found under a UID, which may have been given out anew, and its key."""
        latest: tuple[_Found | None, int | None] = None, None
        while (found := self._find(account, mailbox, uidvalidity, uid))[0] is not None:
            latest = found
            uidvalidity += REUSED
        return latest

    def _find(
        self, account: str, mailbox: str, uidvalidity: int, uid: int
    ) -> tuple[_Found | None, int | None]:
        row = self._connection.execute(_PLACE, (account, mailbox, uidvalidity, uid)).fetchone()
        return (None, None) if row is None else (_decode_found(row[0]), row[1])


def place_of(event: Located) -> tuple[str, str, int, int]:
    """What no two messages share."""
    return (event.account, event.mailbox, event.uidvalidity, event.uid)
