"""Long work in short turns of the reactor.

A batch of letters is decoded letter by letter. Most take 50 µs, a page that was made
for it takes 30 ms: so turns are measured in time, and not by letters alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

TURN_SECONDS: Final = 0.01
"""In one turn, and what the item takes that is begun last."""

MOST_ITEMS: Final = 100
"""In one turn, whatever the clock says."""

T = TypeVar("T")


async def in_turns(items: Iterable[T], clock: IReactorTime) -> list[T]:
    """All of these, each made when it is asked for, with everybody else's turns in between."""
    made: list[T] = []
    until = clock.seconds() + TURN_SECONDS
    for item in items:
        made.append(item)
        if clock.seconds() >= until or len(made) % MOST_ITEMS == 0:
            await deferLater(clock, 0)
            until = clock.seconds() + TURN_SECONDS
    return made
