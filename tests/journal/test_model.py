"""The journal in its file against the simplest there could be, whatever is done with both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TypeGuard

from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Retention
from mailnotify.core.events import Event, MailFiled, MailGone, MailSeen, NewMail
from mailnotify.journal.sqlite import SqliteJournal
from tests.journal.events import NOON, copy, everything, gone, seen, state, unread

_BOXES = ("INBOX", "Lists", "Archive")
_LETTERS = [
    structs.replace(unread(uid), subject="x" * (24_000 if uid % 5 == 0 else uid))
    for uid in range(40)
]  # some of them share no row

_boxes = st.sampled_from(_BOXES)
_uids = st.lists(st.integers(1, 39), min_size=1, max_size=12)
_steps = st.lists(
    st.tuples(st.just("come"), _boxes, _uids | _uids.map(sorted))
    | st.tuples(st.sampled_from(["break_off", "gone", "seen"]), _boxes, _uids)
    | st.tuples(st.sampled_from(["prune", "reopen", "state"]), _boxes, _uids),
    min_size=1,
    max_size=14,
)


class ModelTests(SynchronousTestCase):
    """Letters lie under one UID in three mailboxes; they come, go, are read and forgotten."""

    @given(_steps, st.integers(1, 60), st.integers(0, 100), st.integers(1, 30))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def test_it_does_what_a_list_would(
        self, steps: list[tuple[str, str, list[int]]], kept: int, after: int, most: int
    ) -> None:
        """The same is told, read, known and forgotten, also after a restart and a failure."""
        self.path = Path(self.mktemp()) / "journal.sqlite"
        self.retention = Retention(entries=kept)
        self.journal = self.open()
        self.model = _Model()
        for number, (what, mailbox, uids) in enumerate(steps):
            # The clock goes back now and then.
            self.at = NOON + timedelta(seconds=number - 3 * (number % 3))
            getattr(self, what)(mailbox, uids)
            self.compare(after, most)
        self.journal.close()

    def open(self) -> SqliteJournal:
        epochs = (f"e{number}" for number in count())
        return SqliteJournal.open(
            self.path, retention=self.retention, make_epoch=lambda: next(epochs), now=NOON
        )

    def come(self, mailbox: str, uids: list[int]) -> None:
        self.append([_lying(mailbox, uid) for uid in uids])

    def break_off(self, mailbox: str, uids: list[int]) -> None:
        events = [*(_lying(mailbox, uid) for uid in uids), state("\ud800")]
        self.assertRaises(UnicodeEncodeError, self.journal.append, events, None, self.at)

    def gone(self, mailbox: str, uids: list[int]) -> None:
        self.append([gone(uid, mailbox=mailbox) for uid in uids])

    def seen(self, mailbox: str, uids: list[int]) -> None:
        self.append([seen(uid, mailbox=mailbox) for uid in uids])

    def state(self, mailbox: str, uids: list[int]) -> None:
        self.append([state(), *(_lying(mailbox, uid) for uid in uids), state()])

    def reopen(self, mailbox: str, uids: list[int]) -> None:
        self.journal.close()
        self.journal = self.open()

    def prune(self, mailbox: str, uids: list[int]) -> None:
        while self.journal.prune(NOON):
            pass
        self.model.oldest = max(
            self.model.oldest, len(self.model.told) - self.retention.entries + 1
        )

    def append(self, events: Sequence[Event]) -> None:
        entries = list(self.journal.append(events, None, self.at))
        told = [entry.event for entry in entries]
        for event in events:
            expected = self.model.expect(event)
            found = told[0] if told and told[0] in expected else None
            self.assertIn(found, expected, f"{event} {told}")
            if found is not None:
                self.model.tell(told.pop(0), self.at)
        self.assertEqual(told, [])

    def compare(self, after: int, most: int) -> None:
        model, journal = self.model, self.journal
        self.assertEqual((journal.oldest, journal.head), (model.oldest, len(model.told)))
        entries = everything(journal)
        self.assertEqual([each.event for each in entries], model.told[model.oldest - 1 :])
        self.assertEqual([each.at for each in entries], model.at[model.oldest - 1 :])
        first = max(after + 1, model.oldest)
        portion = journal.read(after, most)
        self.assertLessEqual(len(portion), most)
        self.assertEqual(bool(portion), first <= journal.head)
        self.assertEqual([each.seq for each in portion], list(range(first, first + len(portion))))
        before = journal.seq_before(self.at)
        for each in entries:
            self.assertTrue(each.seq > before or each.at < self.at)
        for mailbox in _BOXES:
            known = list(journal.known("home", mailbox, 7, 100))
            self.assertLessEqual(model.known(mailbox), set(known))
            self.assertLessEqual(set(known), model.known(mailbox, oldest=1))
            self.assertEqual(list(journal.known("home", mailbox, 7, 3)), known[-3:])
            for uid in known:
                found = journal.mail("home", mailbox, 7, uid)
                self.assertEqual(found, model.mail(mailbox, uid))


class _Model:
    """All that was told, in a list."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.at: list[datetime] = []
        self.oldest = 1

    def tell(self, event: Event, at: datetime) -> None:
        self.told.append(event)
        self.at.append(at)

    def expect(self, event: Event) -> list[Event | None]:
        """What may become of it; of what is forgotten in part the journal may know more."""
        if isinstance(event, NewMail):
            return self._expect_mail(event)
        if isinstance(event, MailSeen | MailGone):
            return self._expect_fate(event)
        return [event]

    def _expect_mail(self, mail: NewMail) -> list[Event | None]:
        places = self._places(mail.uid)
        if any(each.mailbox == mail.mailbox for each in places.values()):
            return [None] if self._is_kept(places, mail.mailbox) else [None, _filed(places, mail)]
        if not places:
            return [mail]
        return [_filed(places, mail)] + ([] if self._is_kept(places) else [None])

    def _expect_fate(self, event: MailSeen | MailGone) -> list[Event | None]:
        places = self._places(event.uid)
        lying = [each for each in places.values() if each.mailbox == event.mailbox]
        if not lying:
            return [None]
        first = next(iter(places.values()))
        if isinstance(event, MailSeen):
            told: Event = seen(event.uid, mailbox=first.mailbox)
            is_kept = self._is_kept(places, event.mailbox) and self._is_kept(places, first.mailbox)
        else:
            told = structs.replace(event, id=first.id)
            is_kept = self._is_kept(places, event.mailbox)
        if told in self.told[self.oldest - 1 :]:
            return [None]
        return [told] if is_kept and told not in self.told else [told, None]

    def known(self, mailbox: str, oldest: int | None = None) -> set[int]:
        """The UIDs of what lies in a mailbox."""
        events = self.told[(self.oldest if oldest is None else oldest) - 1 :]
        found = {each.uid for each in events if _tells(each, mailbox)}
        return found - {
            each.uid for each in self.told if isinstance(each, MailGone) and each.mailbox == mailbox
        }

    def mail(self, mailbox: str, uid: int) -> NewMail | None:
        """What was announced there; not if that was forgotten, and filed when it came again."""
        lying = [each for each in self.told if _tells(each, mailbox) and each.uid == uid]
        return lying[-1] if lying and isinstance(lying[-1], NewMail) else None

    def _places(self, uid: int) -> dict[int, NewMail | MailFiled]:
        return {
            seq: each
            for seq, each in enumerate(self.told, 1)
            if isinstance(each, NewMail | MailFiled) and each.uid == uid
        }

    def _is_kept(self, places: dict[int, NewMail | MailFiled], mailbox: str = "") -> bool:
        return any(
            seq >= self.oldest and mailbox in ("", each.mailbox) for seq, each in places.items()
        )


def _lying(mailbox: str, uid: int) -> NewMail:
    """One of the letters, in a mailbox."""
    there = copy(uid, mailbox, uid)
    return structs.replace(there, subject=_LETTERS[uid].subject, message_id=f"{uid}@example.org")


def _filed(places: dict[int, NewMail | MailFiled], mail: NewMail) -> MailFiled:
    first = next(iter(places.values()))
    return MailFiled(id=first.id, account="home", mailbox=mail.mailbox, uidvalidity=7, uid=mail.uid)


def _tells(event: Event, mailbox: str) -> TypeGuard[NewMail | MailFiled]:
    return isinstance(event, NewMail | MailFiled) and event.mailbox == mailbox
