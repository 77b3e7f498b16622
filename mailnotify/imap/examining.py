"""EXAMINE (RFC 9051 §6.3.3), and a real UIDNEXT whatever the server leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.defer import Deferred

from mailnotify.core.sync import MOST_MODSEQ, MailboxStatus
from mailnotify.errors import CommandRefused, ProtocolViolated
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import encode, quoted
from mailnotify.imap.responses import (
    Exists,
    Expunged,
    FetchData,
    MailboxItems,
    Response,
    Status,
    StatusResponse,
    Tagged,
    Value,
)
from mailnotify.imap.tokens import words
from mailnotify.imap.view import MailboxView

EXAMINE = "EXAMINE"

_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)

Run = Callable[[Command], Deferred[Tagged]]


async def examine(
    run: Run, mailbox: str, peer: str, parameter: bytes = b""
) -> tuple[MailboxStatus, MailboxView]:
    """Open a mailbox for reading; a UIDVALIDITY of 0 means that the server has none.

    Args:
        parameter: of EXAMINE (RFC 4466 §2.1), with its blank.

    Raises:
        CommandRefused: there is no such mailbox, or its name cannot be one.
        ProtocolViolated: the server will not say where its UIDs are.
    """
    try:
        name = quoted(encode(mailbox))
    except ValueError as error:
        said = "such a name cannot be written in IMAP"
        raise CommandRefused(peer=peer, command=EXAMINE, status="BAD", said=said) from error
    told = _Told()
    answer = await run(Command(EXAMINE, name + parameter, collect=told))
    if answer.status is not Status.OK:
        word, said = answer.status.name, answer.text
        raise CommandRefused(peer=peer, command=EXAMINE, status=word, said=said)
    has_said_all = told.is_steady and told.uidnext and told.uidvalidity
    if not told.uidnext or not told.uidvalidity:
        await run(Command("STATUS", name + b" (UIDNEXT UIDVALIDITY)", collect=told))
    if not told.uidnext and told.exists:
        await run(Command("UID FETCH", b"* (UID)", collect=told))
    if not told.uidnext and told.exists:
        found, expected = "a mailbox without UIDNEXT or UIDs", "one of them"
        raise ProtocolViolated(peer=peer, found=found, expected=expected)
    status = MailboxStatus(
        uidvalidity=told.uidvalidity,
        uidnext=told.uidnext or 1,
        exists=told.exists,
        modseq=told.modseq,
        mailbox_id=told.mailbox_id,
    )
    return status, MailboxView(told.exists, told.uidnext if has_said_all else 0)


class _Told:
    """What the server says of the mailbox while it opens it."""

    def __init__(self) -> None:
        self.exists = 0
        self.uidvalidity = 0
        self.modseq = 0
        self.mailbox_id = ""
        self._uidnext = 0
        self._changes = 0

    @property
    def uidnext(self) -> int:
        """0 if the server did not say, or cannot be right: UIDs ascend from 1.

        A baseline by too low a number would announce what has been there for years.
        """
        return self._uidnext if self._uidnext > self.exists else 0

    @property
    def is_steady(self) -> bool:
        """Whether EXISTS and UIDNEXT certainly speak of the same moment."""
        return self._changes == 1

    def __call__(self, response: Response) -> None:
        if isinstance(response, Exists):
            self.exists = response.count
            self._changes += 1
        elif isinstance(response, Expunged):
            self.exists = max(self.exists - 1, 0)
            self._changes += 1
        elif isinstance(response, StatusResponse) and response.code is not None:
            self._note(response.code.name, response.code.number or 0)
            if response.code.name == "MAILBOXID":
                self.mailbox_id = _object_id(response.code.arguments)
        elif isinstance(response, MailboxItems):
            for item, number in response.items.items():
                self._note(item, number)
        elif isinstance(response, FetchData) and response.uid is not None:
            self._note("UIDNEXT", max(response.uid + 1, self.uidnext))

    def _note(self, item: str, number: int) -> None:
        if item == "UIDNEXT" and number:
            self._uidnext = number
        elif item == "UIDVALIDITY" and number:
            self.uidvalidity = number
        elif item == "HIGHESTMODSEQ" and number <= MOST_MODSEQ:
            self.modseq = number


def _object_id(arguments: tuple[Value, ...]) -> str:
    """The id in ``[MAILBOXID (id)]``; empty if it is none (RFC 8474 §7)."""
    (found,) = words(arguments[0])[:1] or ("",) if arguments else ("",)
    return found if _OBJECT_ID.fullmatch(found) else ""
