"""A rebuilt mailbox: nothing twice, nothing lost, no flood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import NewMail
from mailnotify.core.rematch import CLOCK_SKEW, FLOOD, Known

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def mail(
    uid: int,
    received: datetime | None,
    *,
    message_id: str = "",
    size: int = 1000,
    uidvalidity: int = 2,
    date: datetime | None = None,
) -> NewMail:
    """A message as the journal or a rebuilt mailbox has it."""
    return NewMail(
        id=f"home/INBOX;UIDVALIDITY={uidvalidity}/;UID={uid}",
        account="home",
        mailbox="INBOX",
        uidvalidity=uidvalidity,
        uid=uid,
        subject=f"message {uid}",
        message_id=message_id or f"{uid}@example.org",
        received=received,
        size=size,
        date=date,
    )


class KnownTests(SynchronousTestCase):
    """What the journal remembers against what lies in the mailbox now."""

    def setUp(self) -> None:
        self.journalled = [mail(n, NOON + n * HOUR, uidvalidity=1) for n in range(5)]
        self.known = Known(self.journalled, since=NOON + 5 * HOUR)

    def unknown(self, *mails: NewMail) -> list[int]:
        """The UIDs that are to be announced."""
        return [each.uid for each in self.known.unknown(mails)]

    def test_everything_known(self) -> None:
        """Renumbered messages are recognised."""
        rebuilt = [mail(100 + n, NOON + n * HOUR, message_id=f"{n}@example.org") for n in range(5)]
        self.assertEqual(self.unknown(*rebuilt), [])

    def test_arrived_meanwhile(self) -> None:
        """What came in while the mailbox was rebuilt is announced."""
        fresh = mail(105, NOON + 6 * HOUR)
        self.assertEqual(self.unknown(mail(1, NOON - DAY), fresh), [105])

    def test_older_than_all_we_heard_of(self) -> None:
        """What lay there before us was never journalled, and is old all the same."""
        self.assertEqual(self.unknown(*(mail(n, NOON - n * DAY) for n in range(100, 110))), [])

    def test_of_the_same_moment_as_the_newest(self) -> None:
        """INTERNALDATE has seconds only: what is as old as the newest may be new."""
        newest = NOON + 4 * HOUR
        outside = mail(106, newest - timedelta(seconds=1))
        self.assertEqual(self.unknown(mail(105, newest), outside), [105])

    def test_the_servers_clock_may_be_slow(self) -> None:
        """Where nothing was journalled, an hour is allowed between its clock and ours."""
        known = Known([], since=NOON)
        inside = mail(1, NOON - CLOCK_SKEW)
        outside = mail(2, NOON - CLOCK_SKEW - timedelta(seconds=1))
        self.assertEqual(known.unknown([inside, outside]), [inside])

    def test_a_message_dated_in_the_future(self) -> None:
        """It does not make everything that follows look old."""
        known = Known([mail(1, NOON + 9999 * DAY, uidvalidity=1)], since=NOON)
        self.assertEqual(known.unknown([fresh := mail(2, NOON + HOUR)]), [fresh])

    def test_no_date_at_all(self) -> None:
        """A message without INTERNALDATE is announced rather than lost."""
        self.assertEqual(self.unknown(mail(105, None)), [105])

    def test_a_forged_message_id_hides_nothing(self) -> None:
        """The Message-ID of a known message on another letter does not make it known."""
        forged = mail(105, NOON + 6 * HOUR, message_id="4@example.org", size=77)
        self.assertEqual(self.unknown(forged), [105])

    def test_a_changed_date_or_size_alone(self) -> None:
        """One of the two may change when a mailbox moves."""
        redated = mail(104, NOON + 6 * HOUR, message_id="4@example.org")
        resized = mail(105, NOON + 3 * HOUR, message_id="3@example.org", size=1009)
        self.assertEqual(self.unknown(redated, resized), [])

    def test_without_message_id(self) -> None:
        """Subject, date and sender stand in for it."""
        nameless = [
            NewMail(
                id=str(n),
                account="home",
                mailbox="INBOX",
                uidvalidity=n,
                uid=1,
                subject=subject,
                received=NOON,
                size=10,
            )
            for n, subject in ((1, "same"), (2, "same"), (3, "other"))
        ]
        known = Known(nameless[:1], since=NOON - DAY)
        self.assertEqual([each.subject for each in known.unknown(nameless[1:])], ["other"])

    def test_a_journal_without_entries(self) -> None:
        """The moment of first sight divides old from new."""
        known = Known([], since=NOON)
        old, new = mail(1, NOON - 2 * HOUR), mail(2, NOON + HOUR)
        self.assertEqual(known.unknown([old, new]), [new])

    def test_every_message_dated_by_the_rebuilding(self) -> None:
        """Ten thousand messages that claim to be of today are no flood."""
        today = NOON + 30 * DAY
        rebuilt = [mail(n, today, date=NOON - n * DAY) for n in range(10, 10_010)]
        fresh = mail(10_010, today, date=NOON + 29 * DAY)
        self.assertEqual(self.unknown(*rebuilt, fresh), [10_010])

    def test_many_that_are_really_new(self) -> None:
        """After a long absence, more than a few may be new."""
        since = NOON + DAY
        rebuilt = [mail(n, since + n * HOUR, date=since + n * HOUR) for n in range(10, 500)]
        self.assertGreater(len(rebuilt), FLOOD)
        self.assertEqual(self.unknown(*rebuilt), list(range(10, 500)))
