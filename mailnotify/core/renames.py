"""Which of the mailboxes that have come is one of those that have gone, under a new name.

A mailbox that is renamed keeps its messages, their UIDs and so its cursor: taken for
a new one it would be told all over again. Some servers say what a mailbox was called
(RFC 5465 §5.4). Else its id tells (RFC 8474), or, since a mailbox keeps UIDVALIDITY
(RFC 9051 §6.3.6) and UIDs only go up, a UIDVALIDITY that no other mailbox has and a
UIDNEXT beyond the cursor. Where several have one UIDVALIDITY, as in mailboxes that were
made in the same second, only the very UIDNEXT tells. Whatever is not certain is no
rename: to be told a message twice is better than never.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping

from mailnotify.core.sync import Cursor, MailboxStatus


def find_renames(
    gone: Mapping[str, Cursor],
    come: Mapping[str, MailboxStatus],
    *,
    told: Mapping[str, str],
    uidvalidities: Collection[int],
) -> dict[str, str]:
    """Old names by new ones.

    Args:
        gone: mailboxes that are there no more, and how far they were read.
        come: mailboxes that nobody knew.
        told: old names by new ones, where the server said so.
        uidvalidities: of the mailboxes that are there as before.
    """
    found = {new: old for new, old in told.items() if new in come and old in gone}

    def pair(
        of_gone: Callable[[Cursor], Hashable], of_come: Callable[[MailboxStatus], Hashable]
    ) -> None:
        """Those that share what nobody else has; None is shared with nobody."""
        olds = _unique({old: of_gone(gone[old]) for old in gone if old not in found.values()})
        news = _unique({new: of_come(come[new]) for new in come if new not in found})
        for value in olds.keys() & news.keys():
            old, new = olds[value], news[value]
            if _can_be(gone[old], come[new]):
                found[new] = old

    shared = set(uidvalidities)
    pair(lambda cursor: cursor.mailbox_id or None, lambda status: status.mailbox_id or None)
    pair(
        lambda cursor: None if cursor.uidvalidity in shared else cursor.uidvalidity,
        lambda status: status.uidvalidity or None,
    )
    pair(
        lambda cursor: (cursor.uidvalidity, cursor.last_uid + 1) if cursor.last_uid else None,
        lambda status: (status.uidvalidity, status.uidnext),
    )
    return found


def _can_be(cursor: Cursor, status: MailboxStatus) -> bool:
    """Whether nothing speaks against it."""
    if cursor.mailbox_id and status.mailbox_id:
        return cursor.mailbox_id == status.mailbox_id
    return cursor.uidvalidity == status.uidvalidity and status.uidnext > cursor.last_uid


def _unique(values: Mapping[str, Hashable]) -> dict[Hashable, str]:
    """Names by the value that only one of them has."""
    found: dict[Hashable, str] = {}
    several: set[Hashable] = {None}
    for name, value in values.items():
        if value in found:
            several.add(value)
        found[value] = name
    return {value: name for value, name in found.items() if value not in several}
