"""Tests of `mailnotify.core.bulk`."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.bulk import FLOOD, Bulk
from mailnotify.core.events import NewMail
from tests.journal.events import NOON, mail

_YEARS = timedelta(days=1000)


def letters(
    count: int, received: datetime | None = NOON, date: datetime | None = NOON
) -> list[NewMail]:
    return [structs.replace(mail(uid), received=received, date=date) for uid in range(1, count + 1)]


class BulkTests(SynchronousTestCase):
    """An account that has been seen for years since these were sent."""

    def setUp(self) -> None:
        self.bulk = Bulk(NOON + _YEARS)

    def test_many(self) -> None:
        """They are no news, and neither are the few in the last batch of them."""
        first, last = letters(FLOOD + 1), letters(2)
        self.assertEqual(self.bulk.bygone(first), first)
        self.assertEqual(self.bulk.bygone(last), last)
        self.assertEqual(self.bulk.count, FLOOD + 3)

    def test_few(self) -> None:
        """What somebody takes out of the spam is announced."""
        self.assertEqual(self.bulk.bygone(letters(FLOOD)), [])
        self.assertEqual(self.bulk.count, 0)

    def test_new_mail_among_them(self) -> None:
        """It is not among what is passed over."""
        (fresh,) = letters(1, received=NOON + _YEARS)
        old = letters(FLOOD + 1)
        self.assertEqual(self.bulk.bygone([*old, fresh]), old)

    def test_one_date_is_not_enough(self) -> None:
        """A server with a wrong clock, and a sender with one, make no letter old; nor has none."""
        now = NOON + _YEARS
        for received, date in ((NOON, now), (now, NOON), (NOON, None), (None, NOON)):
            self.assertEqual(self.bulk.bygone(letters(FLOOD + 1, received, date)), [])

    def test_younger_than_the_account(self) -> None:
        """A day before it was first seen is not certainly before."""
        bulk = Bulk(NOON + timedelta(hours=23))
        self.assertEqual(bulk.bygone(letters(FLOOD + 1)), [])

    def test_an_account_that_was_never_seen(self) -> None:
        """Nothing is older than that."""
        self.assertEqual(Bulk(None).bygone(letters(FLOOD + 1)), [])
