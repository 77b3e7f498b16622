"""Which message lies in which place: what the journal knows before it stores an entry.

Refused is what is known already: a message under its UID, and what became of it. A
UID that a server gave to another message before (`is_other`) gets an id of its own. A
message that was announced from another mailbox is not announced again, but filed
(`mailnotify.core.twins`).

Nearly all that comes is a message above all that are known of its mailbox, by a name that
was never met (`mailnotify.core.kin`). It is news, and nothing is asked of the file: its
key, the place, would be refused there if it were not so. Only the rest is looked up.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import structs

from mailnotify.core.events import Event, MailFiled, MailGone, MailSeen, NewMail
from mailnotify.core.kin import Kin
from mailnotify.core.message import REUSED, Ref
from mailnotify.core.rematch import is_other
from mailnotify.core.twins import Twin, judge, name_of, past_key, twin_key
from mailnotify.journal.batches import Batch, Batches, Found
from mailnotify.journal.boxes import Boxes, box_of, place_in, salt_of, uid_at
from mailnotify.journal.bygone import Bygone
from mailnotify.journal.draft import Draft
from mailnotify.storage.database import Database

_READ, _GONE = 1, 2

_NO_ENTRY: Final = 0
"""The seq of a message that is known, but of which no entry tells."""

_FATE: Final = "SELECT told FROM fates WHERE place = ?"
_TELL: Final = """
    INSERT OR REPLACE INTO fates (place, told, sum) VALUES (?1, ?2, (?1 + 3 * ?2) % 65521)
"""
_GONE_FROM: Final = "SELECT place FROM fates WHERE place BETWEEN ? AND ? AND told & 2"
_FORGET: Final = "DELETE FROM fates WHERE place = ?"


class _Lying(NamedTuple):
    """A message in one of its places."""

    event: Found
    place: int
    batch: Batch


class Places:
    """The places of messages; see `IJournal`."""

    def __init__(self, database: Database, batches: Batches) -> None:
        self._database = database
        self._connection = database.connection
        self._batches = batches
        self._boxes = Boxes(self._connection)
        self._bygone = Bygone(self._connection)
        self._kin = Kin()
        with database.reading():
            for last, names in batches.names():
                for seq, name in enumerate(names, last - len(names) + 1):
                    self._kin.add(name, seq)
            for name in self._bygone.names():
                self._kin.add(name, _NO_ENTRY)

    def known(self, account: str, mailbox: str, uidvalidity: int, most: int) -> Sequence[int]:
        """The newest UIDs of messages that are known and were not told gone, ascending."""
        uids: list[int] = []
        with self._database.reading() as connection:
            box = self._boxes.find(account, mailbox, uidvalidity)
            if box is None:
                return []
            rows = connection.execute(_GONE_FROM, (box.first, box.last))
            gone = {uid_at(place) for (place,) in rows}
            for batch in self._batches.of(box):
                found = [each.uid for _, each in batch.messages()]
                if len(uids) == most and found[-1] < uids[0]:
                    break  # else some of these are newer: they came late
                uids += [uid for uid in found if uid not in gone]
                if len(uids) >= most:
                    uids = sorted(uids)[-most:]
        return sorted(uids)

    def mail(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> NewMail | None:
        """What was last announced under this UID; None if nothing was, or it is forgotten."""
        with self._database.reading():
            lying = self._latest(account, mailbox, uidvalidity, uid)
        return lying.event if lying and isinstance(lying.event, NewMail) else None

    def mails(self, account: str, mailbox: str) -> Iterator[NewMail]:
        """The messages of a mailbox that are kept, in order."""
        with self._database.reading():
            boxes = self._boxes.of(account, mailbox)
            lasts = [batch.last for box in boxes for batch in self._batches.of(box)]
            for last in sorted(lasts):
                batch = self._batches.with_seq(last)
                assert batch is not None
                yield from (each for _, each in batch.messages() if isinstance(each, NewMail))

    def settle(self, events: Sequence[Event], draft: Draft, *, announce_copies: bool) -> None:
        """Add events as what they turn out to be, but for those that are known.

        Args:
            announce_copies: a further place of a message is news.
        """
        if self._are_news(events, draft):
            return
        for event in events:
            if self._are_news((event,), draft):
                continue
            if isinstance(event, NewMail):
                draft.flush()
                self._settle_mail(event, draft, announce_copies=announce_copies)
            elif isinstance(event, MailSeen | MailGone):
                draft.flush_news()
                fate = self._fate(event)
                if fate is not None:
                    draft.add(fate)
            elif not isinstance(event, MailFiled):  # it is made here, and nowhere else
                draft.add(event)

    def _are_news(self, events: Sequence[Event], draft: Draft) -> bool:
        """Whether all are messages of one mailbox of which nothing is known; they are added.

        They are, if their UIDs are above all that were met there, and their names are new.
        """
        first = events[0] if events else None
        if not isinstance(first, NewMail):
            return False
        account, mailbox, uidvalidity = first.account, first.mailbox, first.uidvalidity
        box = self._boxes.make(account, mailbox, uidvalidity)
        places, names, top = [], [], box.top
        for mail in events:
            if not isinstance(mail, NewMail):
                return False
            place, name = box.first + mail.uid, _name(mail, box.salt)
            is_here = mail.mailbox == mailbox and mail.uidvalidity == uidvalidity
            if not (name and place > top and is_here and mail.account == account):
                return False
            places.append(place)
            names.append(name)
            top = place
        if not self._kin.enter(names, draft.seq):
            return False
        box.top = top
        draft.add_news(events, places, names)
        return True

    def undo(self, seq: int) -> None:
        """What was settled from this seq on was not stored."""
        self._kin.cut(seq)
        self._boxes.forget()
        self._batches.undo()

    def rename(self, account: str, old: str, new: str) -> None:
        """Messages go with their mailbox, in a transaction of the caller's.

        The events themselves, and their ids, stay as they were told.
        """
        self._boxes.rename(account, old, new)

    def has_past(self, account: str, mailbox: str, uidvalidity: int) -> bool:
        """Whether `keep_past` was called for this mailbox, and what it was told is kept."""
        with self._database.reading():
            return past_key(account, mailbox, uidvalidity) in self._bygone

    def keep_past(
        self, account: str, mailbox: str, uidvalidity: int, mails: Sequence[NewMail]
    ) -> None:
        """These lay in a mailbox when it was first seen: found in another, they are no news.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._pass_over([(0, past_key(account, mailbox, uidvalidity)), *_keys(mails)])

    def pass_over(self, mails: Sequence[NewMail]) -> None:
        """These are no news, wherever they are found.

        Raises:
            JournalUnwritable: nothing was stored.
        """
        self._pass_over(_keys(mails))

    def _pass_over(self, keys: Sequence[tuple[int, int]]) -> None:
        with self._database.writing():
            self._bygone.keep(keys)
        for name, _ in keys:
            self._kin.add(name, _NO_ENTRY)

    def forget(self, last: int) -> None:
        """Forget all batches that end here or before, in a transaction of the caller's."""
        for batch in self._batches.up_to(last):
            found = [each for _, each in batch.messages()]
            self._bygone.keep(_keys([each for each in found if isinstance(each, NewMail)]))
            places = [(place_in(batch.box, each.uid),) for each in found]
            self._connection.executemany(_FORGET, places)
        self._batches.forget(last)

    def _settle_mail(self, mail: NewMail, draft: Draft, *, announce_copies: bool) -> None:
        """Add a message of which something may be known, by name or by place."""
        name, key = _name(mail, salt_of(mail.account)), twin_key(mail)
        told: Found | None = mail
        if key is not None and not announce_copies:
            twins = self._twins(name, key)
            told = judge(mail, twins) if twins or key not in self._bygone else None
        if told is not None:
            told = self._under_a_used_uid(mail, told, key)
        if told is None:
            return
        box = self._boxes.make(told.account, told.mailbox, told.uidvalidity)
        place = box.first + told.uid
        self._kin.add(name, draft.seq)
        box.top = max(box.top, place)
        draft.add_single(told, place, name, key if key and isinstance(told, MailFiled) else 0)

    def _under_a_used_uid(self, mail: NewMail, told: Found, key: int | None) -> Found | None:
        """What to tell of this message, if need be with another id; None if its UID is known."""
        uidvalidity = mail.uidvalidity
        while lying := self._at(mail.account, mail.mailbox, uidvalidity, mail.uid):
            if not self._is_other(mail, key, lying):
                return None
            uidvalidity += REUSED
        if uidvalidity == mail.uidvalidity:
            return told
        ref = Ref(account=mail.account, mailbox=mail.mailbox, uidvalidity=uidvalidity, uid=mail.uid)
        new_id = ref.id if isinstance(told, NewMail) else told.id
        return structs.replace(told, id=new_id, uidvalidity=uidvalidity)

    def _is_other(self, mail: NewMail, key: int | None, lying: _Lying) -> bool:
        """Whether this message is not the one that was found under its UID before."""
        if isinstance(lying.event, MailFiled) and lying.batch.twin == key:
            return False
        announced = self._announced(lying)
        return announced is None or is_other(mail, announced[0])

    def _fate(self, event: MailSeen | MailGone) -> MailSeen | MailGone | None:
        """Under the id of the message that is there; None if it was told, or none is there."""
        lying = self._latest(event.account, event.mailbox, event.uidvalidity, event.uid)
        if lying is None:
            return None
        found = lying.event
        if isinstance(event, MailGone):
            if not self._tell(lying.place, _GONE):
                return None
            return structs.replace(event, id=found.id, uidvalidity=found.uidvalidity)
        announced = self._announced(lying)
        if announced is None:
            return None
        mail, place = announced
        if "\\seen" in map(str.lower, mail.flags) or not self._tell(place, _READ):
            return None
        return MailSeen(
            id=mail.id,
            account=mail.account,
            mailbox=mail.mailbox,
            uidvalidity=mail.uidvalidity,
            uid=mail.uid,
        )

    def _told(self, place: int) -> int:
        """What was told of the message in a place."""
        row = self._connection.execute(_FATE, (place,)).fetchone()
        return 0 if row is None else row[0]

    def _tell(self, place: int, fate: int) -> bool:
        """Remember what became of a message; False if it was told before."""
        told = self._told(place)
        if told & fate:
            return False
        self._connection.execute(_TELL, (place, told | fate))
        return True

    def _announced(self, lying: _Lying) -> tuple[NewMail, int] | None:
        """The message that lies there, and the place where it was announced; None if forgotten."""
        if isinstance(lying.event, NewMail):
            return lying.event, lying.place
        (name,) = array("I", lying.batch.names)
        for event, place, _ in self._kindred(name):
            if isinstance(event, NewMail) and event.id == lying.event.id:
                return event, place
        return None

    def _twins(self, name: int, key: int) -> list[Twin]:
        """All known places of the message with this key, in the order in which they came."""
        return [
            self._twin(event, place)
            for event, place, batch in self._kindred(name)
            if key == (twin_key(event) if isinstance(event, NewMail) else batch.twin)
        ]

    def _kindred(self, name: int) -> Iterator[_Lying]:
        """All that may tell of a message with a name, in the order in which they came."""
        for seq in sorted(set(self._kin.find(name)) - {_NO_ENTRY}):
            batch = self._batches.with_seq(seq)
            event = None if batch is None else batch.events[seq - batch.first]
            if batch is not None and isinstance(event, Found):
                yield _Lying(event, place_in(batch.box, event.uid), batch)

    def _twin(self, event: Found, place: int) -> Twin:
        _, mailbox, uidvalidity = self._boxes.called(box_of(place))
        return Twin(
            id=event.id,
            mailbox=mailbox,
            uidvalidity=uidvalidity,
            uid=event.uid,
            is_gone=bool(self._told(place) & _GONE),
        )

    def _latest(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> _Lying | None:
        """What was last found under a UID, which may have been given out anew."""
        latest = None
        while lying := self._at(account, mailbox, uidvalidity, uid):
            latest = lying
            uidvalidity += REUSED
        return latest

    def _at(self, account: str, mailbox: str, uidvalidity: int, uid: int) -> _Lying | None:
        box = self._boxes.find(account, mailbox, uidvalidity)
        if box is None:
            return None
        place = box.first + uid
        batch = self._batches.with_place(place)
        event = None if batch is None else batch.find(place)
        return None if batch is None or event is None else _Lying(event, place, batch)


def _name(mail: NewMail, salt: int) -> int:
    """See `mailnotify.core.kin`; 0 if there is none."""
    name = name_of(mail)
    return crc32(name.encode(), salt) if name else 0


def _keys(mails: Sequence[NewMail]) -> list[tuple[int, int]]:
    """Names and keys of messages, as far as they have such."""
    found = ((_name(each, salt_of(each.account)), twin_key(each)) for each in mails)
    return [(name, key) for name, key in found if key is not None]
