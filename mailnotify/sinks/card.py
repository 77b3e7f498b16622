"""Turns an event into the few words that a desktop notification has room for.

A card is plain text, the same on every platform; how a platform wants it spelled
(markup, escapes) is known to the adapter that shows it, `mailnotify.sinks.notifier`.
Whatever stands in the mail, a card keeps these rules:

- one line each for title and body, passed through `clean`;
- never empty: some daemons refuse an empty summary, and a blank popup tells nothing;
- never begins with ``-``: plyer hands both to ``notify-send`` without a ``--`` before
  them, so that a subject ``--wait`` would be an option, one that hangs for ever;
- at most 60 and 240 UTF-16 units: the fields of Windows hold 63 and 255, and a longer
  text raises there in a thread of plyer's own, out of our reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from mailnotify.core.events import AccountState, Event, MailFiled, MailGone, MailSeen, SentFailed
from mailnotify.core.message import Address
from mailnotify.core.text import clean

TITLE_UNITS: Final = 60
"""UTF-16 units; the title of a Windows balloon holds 63 and a NUL."""

BODY_UNITS: Final = 240
"""UTF-16 units; the text of a Windows balloon holds 255 and a NUL."""

_PLACE_UNITS: Final = 80
"""UTF-16 units that the name of account and mailbox may take from the body."""

_ELLIPSIS: Final = "…"

_FATES: Final = {MailFiled: "Filed", MailSeen: "Read", MailGone: "Removed"}


class Card(Struct, frozen=True, kw_only=True):
    """What one notification says, as plain text."""

    title: str
    body: str


def card(event: Event) -> Card:
    """Say what happened; never raises, whatever the event's text holds."""
    place = _line(f"{event.account}/{event.mailbox}", _PLACE_UNITS)
    if isinstance(event, AccountState):
        title = f"{event.state}: {place}"
        return _card(title, f"{event.cause} {event.remedy}", if_empty=f"{event.state}.")
    if isinstance(event, SentFailed):
        who = ", ".join(each.address for each in event.recipients)
        why = next((each.reason for each in event.recipients), event.reason)
        return _card(f"Not sent to {who}", f"{event.subject}: {why}", if_empty=event.account)
    if isinstance(event, MailFiled | MailSeen | MailGone):
        return _card(_FATES[type(event)], event.id, if_empty=place)
    subject = _line(event.subject, BODY_UNITS - _units(f" [{place}]")) or "(no subject)"
    return _card(_sender(event.sender), f"{subject} [{place}]", if_empty=place)


def card_of_more(count: int) -> Card:
    """Stand for messages that came too fast to be shown one by one."""
    plural = "" if count == 1 else "s"
    return Card(title="New mail", body=f"and {count} more message{plural}")


def _card(title: str, body: str, *, if_empty: str) -> Card:
    return Card(
        title=_unlike_an_option(_line(title, TITLE_UNITS) or "New mail"),
        body=_unlike_an_option(_line(body, BODY_UNITS) or if_empty),
    )


def _sender(addresses: Sequence[Address]) -> str:
    """The name of the first author, or the address: the address alone can be replied to."""
    return next((each.name or each.address for each in addresses), "")


def _line(text: str, most_units: int) -> str:
    """Clean and clip; leaves one unit for `_unlike_an_option`."""
    most_units -= 1
    line = clean(text, 4 * most_units + 4)
    if _units(line) <= most_units:
        return line
    kept = line.encode("utf-16-le")[: 2 * (most_units - 1)].decode("utf-16-le", "ignore")
    return clean(kept, len(line) * 4) + _ELLIPSIS


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _unlike_an_option(text: str) -> str:
    return f" {text}" if text.startswith("-") else text
