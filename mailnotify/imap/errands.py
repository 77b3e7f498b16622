"""What is asked of a server beside watching: a whole message, a copy for the Sent mailbox.

Each function works on a session of its own, never on one that watches: APPEND is
the one command of ours that changes anything on a server, and a long literal
would hold up what a watcher waits for. Reading is by EXAMINE and PEEK as ever.
"""

from __future__ import annotations

from typing import Final

from mailnotify.errors import CommandRefused
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import encode, quoted
from mailnotify.imap.responses import (
    ESearchResult,
    FetchData,
    ListItem,
    Response,
    SearchResult,
    Status,
    Tagged,
)
from mailnotify.imap.session import Session

SENT: Final = "\\sent"
"""The mark of the mailbox for copies of what was sent (RFC 6154 §2), in lower case."""


async def fetch_message(
    session: Session, mailbox: str, uidvalidity: int, uid: int, most_bytes: int
) -> bytes:
    """A message, header and body, or its beginning; empty if it is not there any more."""
    status = await session.examine(mailbox)
    if status.uidvalidity != uidvalidity:
        return b""
    found: list[bytes] = []

    def collect(response: Response) -> None:
        if isinstance(response, FetchData) and response.uid == uid:
            found.extend(each for each in response.sections.values() if each)

    words = b"%d (UID BODY.PEEK[]<0.%d>)" % (uid, most_bytes)
    await _obeyed(session, Command("UID FETCH", words, collect=collect))
    return found[0] if found else b""


async def find_sent(session: Session) -> bytes | None:
    """The name, as written on the wire, of the mailbox for copies; None if none is marked."""
    found: list[ListItem] = []

    def collect(response: Response) -> None:
        if isinstance(response, ListItem) and SENT in response.attributes:
            found.append(response)

    # RFC 6154 §2: the marks stand in a plain LIST too, also of servers without RFC 5258.
    await _obeyed(session, Command("LIST", b'"" "*"', collect=collect))
    return found[0].raw if found else None


async def has_copy(session: Session, mailbox: bytes, message_id: str) -> bool:
    """Whether a mailbox holds a message of that Message-ID already."""
    await _obeyed(session, Command("EXAMINE", quoted(mailbox)))
    found: list[int] = []

    def collect(response: Response) -> None:
        if isinstance(response, SearchResult):
            found.extend(response.numbers)
        elif isinstance(response, ESearchResult):
            found.append(1)

    words = b"HEADER MESSAGE-ID " + quoted(message_id.encode("ascii"))
    await _obeyed(session, Command("UID SEARCH", words, collect=collect))
    return bool(found)


async def append(session: Session, mailbox: bytes, message: bytes) -> None:
    """Put a message into a mailbox, as read (RFC 9051 §6.3.12).

    Args:
        message: with CR LF, and without NUL.
    """
    words = quoted(mailbox) + b" (\\Seen) {%d}" % len(message)
    await _obeyed(session, Command("APPEND", words, reply=lambda _: message))


def wire_name(mailbox: str) -> bytes:
    """A name from the configuration as it is written on the wire."""
    return encode(mailbox)


async def _obeyed(session: Session, command: Command) -> Tagged:
    answer = await session.client.run(command)
    if answer.status is not Status.OK:
        raise CommandRefused(
            peer=session.client.peer,
            command=command.name,
            status=answer.status.name,
            said=answer.text,
        )
    return answer
