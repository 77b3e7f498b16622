"""Messages that come with their event: taken only if none can be missing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.imap.pushed import Pushed
from mailnotify.imap.responses import Exists, Expunged, FetchData
from mailnotify.imap.view import MailboxView


def message(seq: int, uid: int) -> FetchData:
    return FetchData(
        seq=seq, uid=uid, sections={"BODY[HEADER.FIELDS (SUBJECT)]": b"Subject: x\r\n"}
    )


class PushedTests(SynchronousTestCase):
    """A mailbox with two messages, the next UID is 12."""

    def setUp(self) -> None:
        self.view = MailboxView(2, 12)
        self.pushed = Pushed(self.view, 5)

    def push(self, exists: int, *messages: FetchData) -> list[bool]:
        """The server says EXISTS, then the messages; whether each was the last."""
        self.view.heard(Exists(count=exists))
        return [self.pushed.heard(each) for each in messages]

    def uids(self, first_uid: int) -> list[int] | None:
        taken = self.pushed.take(first_uid)
        return None if taken is None else [each.uid for each in taken]

    def test_whole(self) -> None:
        """All from the last known message to the last there is: nothing has to be fetched."""
        self.assertEqual(self.push(4, message(3, 12), message(4, 19)), [False, True])
        self.assertEqual(self.uids(12), [12, 19])

    def test_taken_once(self) -> None:
        """What was taken is not there any more; the next push is judged from there."""
        self.push(3, message(3, 14))
        self.assertEqual(self.uids(12), [14])
        self.assertIsNone(self.uids(15))
        self.push(4, message(4, 15))
        self.assertEqual(self.uids(15), [15])

    def test_one_is_missing(self) -> None:
        """A message that was not pushed is fetched, with all others."""
        for messages in ([message(4, 19)], [message(3, 12)], [message(3, 12), message(5, 20)]):
            self.setUp()
            self.push(4 if len(messages) == 1 else 5, *messages)
            self.assertIsNone(self.uids(12))

    def test_nothing_was_pushed(self) -> None:
        """EXISTS alone is a reason to ask."""
        self.push(3)
        self.assertIsNone(self.uids(12))

    def test_behind(self) -> None:
        """Where something before it is missing in the journal, pushes are no proof."""
        self.push(3, message(3, 14))
        self.assertIsNone(self.uids(10))

    def test_removed_meanwhile(self) -> None:
        """When sequence numbers have moved, nobody knows any more who is who."""
        self.push(4, message(3, 12), message(4, 13))
        self.view.heard(Expunged(seq=1))
        self.assertIsNone(self.uids(12))
        self.push(4, message(4, 14))
        self.assertIsNone(self.uids(12))

    def test_removed_before(self) -> None:
        """A push after a removal counts again."""
        self.view.heard(Expunged(seq=1))
        self.assertEqual(self.push(2, message(2, 12)), [True])
        self.assertEqual(self.uids(12), [12])

    def test_flags_are_no_message(self) -> None:
        """A FETCH without a header, or with none, tells of no new message."""
        flags = FetchData(seq=3, uid=12, flags=("\\Seen",))
        empty = FetchData(seq=3, uid=12, sections={"BODY[HEADER.FIELDS (SUBJECT)]": None})
        self.assertEqual(self.push(3, flags, empty), [False, False])
        self.assertIsNone(self.uids(12))

    def test_one_uid_twice(self) -> None:
        """A server that gives two messages one UID is asked."""
        self.push(4, message(3, 12), message(4, 12))
        self.assertIsNone(self.uids(12))

    def test_flood(self) -> None:
        """More than the bound is not kept."""
        self.push(9, *[message(3 + each, 12 + each) for each in range(7)])
        self.assertIsNone(self.uids(12))

    def test_old_news(self) -> None:
        """What was journalled before is nothing new, and no reason to ask."""
        self.push(3, message(3, 12))
        self.assertEqual(self.uids(13), [])
