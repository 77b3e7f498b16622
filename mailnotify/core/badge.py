"""What one reader of the stream may see and do.

A badge is given once, when a connection is let in: to a user of this machine
without a word, to everybody else for a token or a certificate. What a subscriber
asks for is cut down to his badge before anything is read for him, so that no
later step has to know of rights.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct, structs

from mailnotify.core.events import KINDS
from mailnotify.core.frames import Subscribe
from mailnotify.core.patterns import covers


class Badge(Struct, frozen=True, kw_only=True):
    """The rights of one connection.

    Attributes:
        name: whom it was given to; empty for users of this machine.
        token_id: by which it is revoked; empty for users of this machine.
        accounts: only these; all if empty. The same for the next two.
        mailboxes: names, patterns and exceptions, as in the configuration.
        kinds: of events, such as ``mail``.
        is_read_only: nothing may be changed on the server, not even a reader's position.
        may_send: letters may be queued for those accounts. Who is recognised by the
            machine has this from the door, for each letter anew.
    """

    name: str = ""
    token_id: str = ""
    accounts: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_read_only: bool = False
    may_send: bool = False

    def narrow(self, asked: Subscribe) -> Subscribe | None:
        """What of it may be shown; None if that is nothing."""
        accounts = _common(self.accounts, asked.accounts)
        kinds = _common(self.kinds, asked.kinds)
        mailboxes = tuple(each for each in asked.mailboxes if covers(self.mailboxes, each))
        if accounts is None or kinds is None or (asked.mailboxes and not mailboxes):
            return None
        return structs.replace(
            asked,
            accounts=accounts,
            mailboxes=mailboxes,
            kinds=kinds,
            among=() if mailboxes else self.mailboxes,
        )

    def strange(self, asked: Subscribe, watched: Collection[str]) -> tuple[str, ...]:
        """The accounts asked for that are not watched, or not his to know; both look the same."""
        known = [each for each in watched if not self.accounts or each in self.accounts]
        return tuple(each for each in asked.accounts if watched and each not in known)

    def strange_kinds(self, asked: Subscribe) -> tuple[str, ...]:
        """The kinds asked for that no event has, or none that he may see."""
        return tuple(
            each
            for each in asked.kinds
            if each not in KINDS or (self.kinds and each not in self.kinds)
        )


LOCAL = Badge()
"""For whom the machine itself vouches: all rights."""


def _common(allowed: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...] | None:
    """Both filters together, where an empty one means all; None if nothing passes both."""
    if not allowed or not asked:
        return allowed or asked
    both = tuple(each for each in asked if each in allowed)
    return both or None
