"""Tests of `mailnotify.taps.posting`: which letter goes over which connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import NotConnected
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.parcel import Wishes
from mailnotify.smtp.sender import Following, Receipt
from mailnotify.taps.posting import Ways

ENVELOPE = Envelope(sender="ada@x.org", recipients=("bob@x.org",))


def letter(number: int) -> Following:
    """A letter like no other."""
    return Following(envelope=ENVELOPE, message=b"%d" % number, wishes=Wishes())


class Connection:
    """What `Ways` knows of a `Submitter`."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.waiting: Deferred[Any] | None = None
        self.is_open = False
        self._awaited: bytes | None = None

    def awaits(self, message: bytes) -> bool:
        return self._awaited is message

    @property
    def is_reserved(self) -> bool:
        return self._awaited is not None

    async def submit(
        self, _envelope: Envelope, message: bytes, _wishes: Wishes, following: Following | None
    ) -> Receipt:
        self.taken.append(message)
        self.waiting = Deferred()
        await self.waiting
        self.is_open = True
        self._awaited = following.message if following else None
        return Receipt(peer="x", recipients=("bob@x.org",), said="ok")

    def answer(self, error: Exception | None = None) -> None:
        """The letter under way is over."""
        assert self.waiting is not None
        if error is None:
            self.waiting.callback(None)
        else:
            self.waiting.errback(error)


class WaysTests(SynchronousTestCase):
    """The connections of one account."""

    def setUp(self) -> None:
        self.made: list[Connection] = []
        self.ways = Ways(self.make)  # type: ignore[arg-type]

    def make(self) -> Connection:
        self.made.append(Connection())
        return self.made[-1]

    def submit(self, this: Following, following: Following | None = None) -> Deferred[str]:
        return Deferred.fromCoroutine(self.ways.submit(this, following))

    def test_announced_letters_stay_on_their_way(self) -> None:
        """Whatever ends in which order, a letter goes where it was announced."""
        one, two, three, four, five = map(letter, range(5))
        self.submit(one, two)
        self.submit(three, four)
        first, second = self.made
        second.answer()
        first.answer()
        self.submit(four)
        self.submit(two)
        self.assertEqual((first.taken, second.taken), ([b"0", b"1"], [b"2", b"3"]))
        first.answer()
        self.submit(five)
        self.assertEqual(first.taken, [b"0", b"1", b"4"])
        self.assertEqual(len(self.made), 2)

    def test_a_free_one_rather_than_a_reserved_one(self) -> None:
        """A letter that nobody awaits disturbs nobody, if that can be."""
        one, two, three, four = map(letter, range(4))
        self.submit(one, two)
        self.submit(three)
        first, second = self.made
        second.answer()
        first.answer()
        self.submit(four)
        self.assertEqual((first.taken, second.taken), ([b"0"], [b"2", b"3"]))

    def test_a_dead_connection(self) -> None:
        """What a server closed while it was held is tried over a new connection, once."""
        self.submit(letter(1))
        self.made[0].answer()
        outcome = self.submit(letter(2))
        self.made[0].answer(NotConnected(peer="x", reason="gone"))
        self.assertEqual(self.made[0].taken, [b"1", b"2", b"2"])
        self.made[0].answer(NotConnected(peer="x", reason="gone"))
        self.failureResultOf(outcome, NotConnected)
