"""Asking about many mailboxes in one round trip, without opening any of them.

LIST with STATUS (RFC 5819) where it is offered, else one STATUS for each, all in
one write. Or NOTIFY (RFC 5465), after which the server tells by itself: a STATUS
of each of these when it changes, and of the open mailbox every new message, in
full. The answers are only hints: whether a mailbox has something new is decided
by its UIDs once it is open.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set

from mailnotify.core.patterns import UNOPENABLE
from mailnotify.core.sync import MOST_MODSEQ, MailboxStatus
from mailnotify.imap.answers import HEADER_FIELDS
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import encode, quoted
from mailnotify.imap.responses import ListItem, MailboxItems, Response, Status, Tagged

_ITEMS = b"(MESSAGES UIDNEXT UIDVALIDITY %b)"
_CHANGES = {True: b"HIGHESTMODSEQ", False: b"UNSEEN"}
"""What shows that messages were read or removed: with CONDSTORE (RFC 7162 §3.1.2), and without."""

_HERE = b"(SELECTED (MessageNew %b MessageExpunge FlagChange))"
_THERE = b"(MessageNew MessageExpunge FlagChange)"
_THERE_AND_NAMES = b"(MessageNew MessageExpunge FlagChange MailboxName)"

_MOST_NAMES_BYTES = 6000
"""Of one LIST: its line stays below the 8192 bytes that every server takes (RFC 7162 §4)."""


class Survey:
    """The question about some mailboxes, and what the server says of them.

    Attributes:
        statuses: by mailbox, for those that there are; numbers that the server did
            not say are 0.
    """

    def __init__(self, mailboxes: Sequence[str]) -> None:
        self._names = {key(each): each for each in mailboxes}
        self.statuses: dict[str, MailboxStatus] = {}

    def commands(self, capabilities: Set[str]) -> list[Command]:
        """What to send, in one write if that is allowed."""
        names = _quoted(self._names.values())
        together: list[bytes] = []
        if {"LIST-STATUS", "LIST-EXTENDED"} <= capabilities:
            # To LIST a name with a wildcard is a pattern.
            together = [name for name in names if b"*" not in name and b"%" not in name]
            names = [name for name in names if b"*" in name or b"%" in name]
        items = _ITEMS % _CHANGES["CONDSTORE" in capabilities]
        question = b'"" (%b) RETURN (STATUS ' + items + b")"
        return [
            *(Command("LIST", question % line, collect=self) for line in joined_lines(together)),
            *(Command("STATUS", name + b" " + items, collect=self) for name in names),
        ]

    @staticmethod
    def relied_on(capabilities: Set[str]) -> Set[str]:
        """What the server has to understand beyond RFC 3501."""
        return {"CONDSTORE", "LIST-STATUS"} & capabilities

    def notify(
        self,
        items: bytes = HEADER_FIELDS,
        *,
        named: Sequence[str] | None = None,
        roots: Sequence[str] = (),
        is_utf8: bool = False,
    ) -> Command:
        """What to send so that nobody has to ask again; begins with a STATUS of each.

        Args:
            items: what the server shall tell of a new message.
            named: the mailboxes that do not lie below one of the roots; default: all.
            roots: below these the server shall tell of all mailboxes, also of those that
                come; "" is everything.
            is_utf8: the names are written as Dovecot takes them here.
        """
        written = _in_utf8 if is_utf8 else _quoted
        names = written(self._names.values() if named is None else named)
        groups = []
        if names:
            groups.append(b"(MAILBOXES (%b) %b)" % (b" ".join(names), _THERE))
        if "" in roots:
            groups.append(b"(PERSONAL %b)" % _THERE_AND_NAMES)
        elif roots:
            groups.append(b"(SUBTREE (%b) %b)" % (b" ".join(written(roots)), _THERE_AND_NAMES))
        events = _HERE % items
        if groups:
            events = b" ".join((b"STATUS", events, *groups))
        return Command("NOTIFY", b"SET " + events, collect=self)

    @property
    def is_misread(self) -> bool:
        """Whether the server says nothing of a name beyond ASCII."""
        return any(not each.isascii() for each in self._names.values() if each not in self.statuses)

    def __call__(self, response: Response) -> None:
        """Take one untagged response, also one that was not asked for."""
        if isinstance(response, ListItem) and not response.attributes & UNOPENABLE:
            self._note(response.name, MailboxStatus(uidvalidity=0, uidnext=0, exists=0))
        elif isinstance(response, MailboxItems):
            self._note(response.name, status_of(response))

    def _note(self, name: str, status: MailboxStatus) -> None:
        mailbox = self._names.get(key(name))
        if mailbox is None or (status.uidnext == 0 and mailbox in self.statuses):
            return
        self.statuses[mailbox] = status


async def be_notified(
    run: Callable[[Command], Awaitable[Tagged]],
    items: bytes,
    named: Sequence[str],
    below: Sequence[str],
    roots: Sequence[str],
) -> tuple[Survey, Tagged]:
    """Let the server tell of these; see `Survey.notify`.

    Dovecot (up to 2.3 at least) passes over names in modified UTF-7 here without a word, and
    takes UTF-8, which for others is a mistake: then what was agreed on before still holds.
    """
    survey = Survey([*named, *below])
    answer = await run(survey.notify(items, named=named, roots=roots))
    if answer.status is Status.OK and survey.is_misread:
        await run(survey.notify(items, named=named, roots=roots, is_utf8=True))
    return survey, answer


def status_of(response: MailboxItems) -> MailboxStatus:
    """What STATUS tells; what it does not is 0."""
    items = response.items
    modseq = items.get("HIGHESTMODSEQ", 0)
    return MailboxStatus(
        uidvalidity=items.get("UIDVALIDITY", 0),
        uidnext=items.get("UIDNEXT", 0),
        exists=items.get("MESSAGES", 0),
        modseq=modseq if modseq <= MOST_MODSEQ else 0,
        unseen=items.get("UNSEEN"),
    )


def key(mailbox: str) -> str:
    """By which names are compared: INBOX is the one whose case means nothing."""
    return "INBOX" if mailbox.upper() == "INBOX" else mailbox


def _encoded(mailbox: str) -> bytes | None:
    """The name on the wire; None if it cannot be written there, so there is no such mailbox."""
    try:
        name = encode(mailbox)
        quoted(name)
    except ValueError:
        return None
    return name


def _quoted(names: Iterable[str]) -> list[bytes]:
    return [quoted(name) for name in map(_encoded, names) if name is not None]


def _in_utf8(names: Iterable[str]) -> list[bytes]:
    sayable = [each for each in names if _encoded(each) is not None]
    return [b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", each.encode()) for each in sayable]


def joined_lines(names: Sequence[bytes]) -> list[bytes]:
    """The names, joined into as few lines as they fit in."""
    lines = [b""]
    for name in names:
        if lines[-1] and len(lines[-1]) + len(name) > _MOST_NAMES_BYTES:
            lines.append(b"")
        lines[-1] += b" " + name if lines[-1] else name
    return [each for each in lines if each]
