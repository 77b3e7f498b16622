"""How many connections an account's mailboxes take, and which mailbox goes where.

Every connection has one mailbox open, its *home*, of which the server tells at
once. About the others it is told by NOTIFY (RFC 5465) where that is offered, so
that one connection is enough for a whole account; else they are swept: asked
about all together, in one round trip, at the interval of the polls.

So on a server with IDLE each mailbox gets a home of its own as long as the
budget lasts, and the last connection sweeps the rest. Without IDLE a home has
no advantage, and one connection sweeps them all.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from msgspec import Struct


class Group(Struct, frozen=True, kw_only=True):
    """The mailboxes of one connection.

    Attributes:
        mailboxes: the first one is the home.
        is_notified: the server tells of all of them; otherwise those after the first
            are swept.
    """

    mailboxes: tuple[str, ...]
    is_notified: bool = False


def share_out(
    capabilities: Set[str], mailboxes: Sequence[str], most_connections: int
) -> tuple[Group, ...]:
    """Share the mailboxes out among as few connections as see all of them well.

    The groups stay in their places when the number of connections changes: only
    the last one grows.

    Args:
        capabilities: as valid after login, without those that proved to be untrue.
        mailboxes: at least one; the most important first.
        most_connections: at least one.
    """
    everything = tuple(mailboxes)
    if "IDLE" not in capabilities:
        return (Group(mailboxes=everything),)
    if "NOTIFY" in capabilities:
        return (Group(mailboxes=everything, is_notified=True),)
    last = min(len(everything), most_connections) - 1
    alone = [Group(mailboxes=(each,)) for each in everything[:last]]
    return (*alone, Group(mailboxes=everything[last:]))


def arrange(groups: Sequence[Group], held: Sequence[Group | None]) -> tuple[Group, ...]:
    """The same groups, each at the place where it is held already, so that few move.

    Args:
        held: what the connections do now, by their places.
    """
    left = list(groups)
    places: list[Group | None] = []
    for has in held[: len(groups)]:
        is_kept = has is not None and has in left
        if is_kept:
            left.remove(has)  # type: ignore[arg-type]
        places.append(has if is_kept else None)
    places += [None] * (len(groups) - len(places))
    return tuple(each or left.pop(0) for each in places)
