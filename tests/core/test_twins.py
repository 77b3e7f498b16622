"""Which messages are one, and what their places mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import MailFiled, NewMail
from mailnotify.core.message import REUSED, Address
from mailnotify.core.twins import Twin, judge, name_of, twin_key

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
LETTER = NewMail(
    id="home/INBOX;UIDVALIDITY=7/;UID=1",
    account="home",
    mailbox="INBOX",
    uidvalidity=7,
    uid=1,
    subject="Minutes",
    sender=(Address(address="ada@example.org"),),
    message_id="1@example.org",
    date=NOON,
    received=NOON,
    size=1000,
)


def elsewhere(**changes: Any) -> NewMail:
    """The same letter, found in Lists."""
    return structs.replace(LETTER, mailbox="Lists", uidvalidity=9, uid=4, **changes)


def place(mailbox: str = "INBOX", uid: int = 1, *, is_gone: bool = False, more: int = 0) -> Twin:
    """A place in which it is known."""
    return Twin(id=LETTER.id, mailbox=mailbox, uidvalidity=7 + more, uid=uid, is_gone=is_gone)


class KeyTests(SynchronousTestCase):
    """What all places of a message share."""

    def test_all_that_is_told(self) -> None:
        """Without a name of the server's, all of it has to agree."""
        self.assertEqual(twin_key(elsewhere(flags=("\\Seen",))), twin_key(LETTER))
        others = (
            elsewhere(message_id="2@example.org"),
            elsewhere(date=NOON + timedelta(seconds=1)),
            elsewhere(received=NOON + timedelta(seconds=1)),
            elsewhere(size=1001),
            elsewhere(subject="Minute"),
            elsewhere(to=LETTER.sender),
            elsewhere(account="work"),
        )
        self.assertNotIn(twin_key(LETTER), [twin_key(each) for each in others])

    def test_too_little(self) -> None:
        """What has no Message-ID, date or size is like nothing else."""
        for lack in ({"message_id": ""}, {"received": None}, {"size": 0}):
            self.assertIsNone(twin_key(elsewhere(**lack)))

    def test_name_of_the_server(self) -> None:
        """It decides alone; EMAILID with the date, since equal letters may share it."""
        later = {"received": NOON + timedelta(days=1), "size": 5, "message_id": ""}
        for name, is_same in (("gmail:12", True), ("guid:ab", True), ("email:M1", False)):
            one, other = elsewhere(object_id=name), elsewhere(object_id=name, **later)
            self.assertEqual(twin_key(one) == twin_key(other), is_same, name)
            self.assertNotEqual(twin_key(one), twin_key(elsewhere(object_id=name + "0")))

    def test_what_is_compared(self) -> None:
        """One key means one name; a Message-ID that is in all of many letters is no name."""
        self.assertEqual(name_of(elsewhere(flags=("\\Seen",))), name_of(LETTER))
        self.assertNotEqual(
            name_of(elsewhere(received=NOON + timedelta(seconds=1))), name_of(LETTER)
        )
        for lack in ({"message_id": ""}, {"received": None}, {"size": 0}):
            self.assertEqual(name_of(elsewhere(**lack)), "")

    @given(st.text(), st.text())
    def test_hostile_text(self, subject: str, message_id: str) -> None:
        """Whatever stands in a header, the key fits where it is kept."""
        key = twin_key(elsewhere(subject=subject, message_id=message_id))
        self.assertEqual(key is None, not message_id)
        self.assertTrue(key is None or -(2**63) <= key < 2**63)


class JudgeTests(SynchronousTestCase):
    """News, a further place, or nothing."""

    def filed(self, mail: NewMail, *twins: Twin) -> tuple[str, str, int] | None:
        told = judge(mail, twins)
        return (told.id, told.mailbox, told.uid) if isinstance(told, MailFiled) else None

    def test_unknown(self) -> None:
        """It is news."""
        self.assertEqual(judge(LETTER, ()), LETTER)

    def test_another_mailbox(self) -> None:
        """A further place, under its own UID and the id of the message, gone or not before."""
        expected = (LETTER.id, "Lists", 4)
        self.assertEqual(self.filed(elsewhere(), place()), expected)
        self.assertEqual(self.filed(elsewhere(), place(is_gone=True)), expected)

    def test_two_in_one_mailbox(self) -> None:
        """These are two deliveries, whatever lies elsewhere; but not at Gmail."""
        second = structs.replace(LETTER, uid=2)
        self.assertEqual(judge(second, [place()]), second)
        self.assertEqual(judge(second, [place("Lists"), place()]), second)
        at_gmail = structs.replace(second, object_id="gmail:1")
        self.assertEqual(self.filed(at_gmail, place()), (LETTER.id, "INBOX", 2))

    def test_moved_back(self) -> None:
        """What went away and came back is no news."""
        back = structs.replace(LETTER, uid=2)
        self.assertEqual(
            self.filed(back, place(is_gone=True), place("Lists", 4)), (LETTER.id, "INBOX", 2)
        )

    def test_seen_there_before(self) -> None:
        """The very place is known, also under a UID that was given out anew."""
        self.assertIsNone(judge(LETTER, [place()]))
        self.assertIsNone(judge(LETTER, [place("Lists"), place(more=REUSED)]))
