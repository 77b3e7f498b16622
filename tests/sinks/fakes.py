"""Stand-ins for a desktop and for events, shared by the tests of the receiving end."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mailnotify.core.events import AccountState, Entry, Event, NewMail, Position
from mailnotify.core.message import Address
from mailnotify.interfaces import ISink
from mailnotify.sinks.card import Card

WHEN = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
HERE = Position(epoch="e1", seq=7)


def mail(subject: str = "Lunch?", sender: str = "Ann", address: str = "ann@example.org") -> NewMail:
    """A message in home/INBOX."""
    return NewMail(
        id="home/INBOX;UIDVALIDITY=1/;UID=7",
        account="home",
        mailbox="INBOX",
        uidvalidity=1,
        uid=7,
        subject=subject,
        sender=(Address(address=address, name=sender),) if sender or address else (),
        received=WHEN,
    )


def blind(cause: str = "no connection", remedy: str = "Check the network.") -> AccountState:
    """An account that can no longer be seen."""
    return AccountState(
        account="home", mailbox="INBOX", state="blind", since=WHEN, cause=cause, remedy=remedy
    )


def entry(seq: int = 1, event: Event | None = None) -> Entry:
    """An entry of the journal; without an event, a message of its own."""
    message = structs.replace(mail(f"subject {seq}"), id=f"home/INBOX;UIDVALIDITY=1/;UID={seq}")
    return Entry(seq=seq, at=WHEN, event=event or message)


class FakeShower:
    """A desktop thread whose calls end when the test says so.

    Attributes:
        cards: what was to be shown, in order.
        shown: the Deferreds of these, to be fired by the test.
        interruptions: how often a hanging call was interrupted.
    """

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.shown: list[Deferred[None]] = []
        self.interruptions = 0
        self.ended: Deferred[None] = succeed(None)

    def show(self, card: Card) -> Deferred[None]:
        self.cards.append(card)
        self.shown.append(Deferred())
        return self.shown[-1]

    def interrupt(self) -> None:
        self.interruptions += 1

    def close(self) -> Deferred[None]:
        return self.ended


@implementer(ISink)
class FakeSink:
    """Remembers what it was given; while `holds` is set, the test ends each delivery."""

    def __init__(self, *, holds: bool = False) -> None:
        self.entries: list[Entry] = []
        self.holds = holds
        self.held: list[Deferred[None]] = []
        self.is_closed = False

    async def deliver(self, entry: Entry, position: Position) -> None:
        self.entries.append(entry)
        if self.holds:
            self.held.append(Deferred())
            await self.held[-1]

    async def close(self) -> None:
        self.is_closed = True
