"""Tests of `mailnotify.core.renames`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.renames import find_renames
from mailnotify.core.sync import Cursor, MailboxStatus


def cursor(uidvalidity: int, last_uid: int, mailbox_id: str = "") -> Cursor:
    return Cursor(uidvalidity=uidvalidity, last_uid=last_uid, mailbox_id=mailbox_id)


def status(uidvalidity: int, uidnext: int, mailbox_id: str = "") -> MailboxStatus:
    return MailboxStatus(
        uidvalidity=uidvalidity, uidnext=uidnext, exists=uidnext - 1, mailbox_id=mailbox_id
    )


class RenamesTests(SynchronousTestCase):
    """Which mailbox was which."""

    def found(
        self,
        gone: dict[str, Cursor],
        come: dict[str, MailboxStatus],
        told: dict[str, str] | None = None,
        uidvalidities: set[int] | None = None,
    ) -> dict[str, str]:
        return find_renames(gone, come, told=told or {}, uidvalidities=uidvalidities or set())

    def test_told(self) -> None:
        """What the server says is believed, of mailboxes that we know."""
        gone, come = {"a": cursor(1, 5)}, {"b": status(1, 6), "c": status(1, 6)}
        self.assertEqual(self.found(gone, come, {"c": "a", "d": "a", "b": "x"}), {"c": "a"})

    def test_by_id(self) -> None:
        """An id is enough, whatever became of the UIDs; another id is another mailbox."""
        gone = {"a": cursor(1, 5, "F1"), "b": cursor(2, 5, "F2")}
        come = {"x": status(9, 3, "F1"), "y": status(2, 6, "F9")}
        self.assertEqual(self.found(gone, come), {"x": "a"})

    def test_by_uidvalidity(self) -> None:
        """One that nobody else has, and mail may have come meanwhile."""
        gone, come = {"a": cursor(1, 5)}, {"b": status(1, 6), "c": status(2, 6)}
        self.assertEqual(self.found(gone, come), {"b": "a"})
        self.assertEqual(self.found(gone, {"b": status(1, 60)}), {"b": "a"})
        self.assertEqual(self.found(gone, {"b": status(1, 5)}), {})  # UIDs never go back
        self.assertEqual(self.found(gone, {"b": status(0, 6)}), {})

    def test_shared_uidvalidity(self) -> None:
        """Only the very UIDNEXT tells then, and only if it is that of one."""
        gone, come = {"a": cursor(1, 5)}, {"b": status(1, 7)}
        self.assertEqual(self.found(gone, come, uidvalidities={1}), {})
        self.assertEqual(self.found(gone, {"b": status(1, 6)}, uidvalidities={1}), {"b": "a"})
        both = {"a": cursor(1, 5), "b": cursor(1, 8)}
        self.assertEqual(
            self.found(both, {"x": status(1, 9), "y": status(1, 6)}), {"x": "b", "y": "a"}
        )
        twice = {"x": status(1, 6), "y": status(1, 6)}
        self.assertEqual(self.found(both, twice), {})

    def test_empty_ones(self) -> None:
        """Two mailboxes without mail are the same to anybody, and need not be."""
        self.assertEqual(self.found({"a": cursor(1, 0)}, {"b": status(1, 1)}, {}, {1}), {})
