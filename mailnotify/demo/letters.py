"""The three letters of the demo, one of which means harm."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime

from mailnotify.smtp.compose import Envelope, Letter, address, compose

SENDER = "Ada Lovelace <ada@example.org>"
RECIPIENT = "demo@localhost"

#: What a subject may hold once it is decoded: a forged header, a terminal's colours
#: and title, a text that runs backwards, and an option for a careless notifier.
HOSTILE_SUBJECT = "--wait\r\nX-Forged: yes \x1b[31m\x1b]0;owned\x07 <b>\u202egnissim\u202c & more"


def letters(now: datetime) -> list[tuple[Envelope, bytes]]:
    """What is to be submitted, in order: plain, international, hostile."""
    friendly = [
        _friendly("Hello from mailnotify", 1, now),
        _friendly("Grüße, 日本語 and 🎉", 2, now),
    ]
    return [*friendly, (friendly[0][0], _hostile())]


def _friendly(subject: str, number: int, now: datetime) -> tuple[Envelope, bytes]:
    letter = Letter(
        sender=SENDER,
        to=(RECIPIENT,),
        subject=subject,
        text="This letter was sent, watched for and announced by one process.\n",
        message_id=f"<demo.{number}.{now.timestamp():.0f}@localhost>",
        date=now,
    )
    return address(letter), compose(letter)


def _hostile() -> bytes:
    """By hand: our own composing refuses to write such a thing."""
    word = b"=?utf-8?B?%s?=" % b64encode(HOSTILE_SUBJECT.encode())
    return b"From: Mallory <mallory@example.org>\r\nSubject: %s\r\n\r\nBoo.\r\n" % word
