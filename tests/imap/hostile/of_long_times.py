"""Servers that work for hours, and then something happens."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.imap.hostile.faults import hang_up, say, say_and_hang_up, silence, swap
from tests.imap.hostile.of_providers import FLAKY, PATIENT
from tests.imap.hostile.server import Box, Conversation, Fault
from tests.imap.hostile.simulation import USUAL, Behaviour, letters

Event = tuple[float, Callable[[Box], object]]


def cut_often(every_seconds: float, until: float) -> list[Event]:
    """All connections end, again and again."""
    return [
        (every_seconds * count, lambda box: box.hang_up())
        for count in range(1, int(until / every_seconds))
    ]


def renewing(server: Conversation, honest: bytes) -> bytes:
    """Another UIDVALIDITY each time."""
    return re.sub(rb"UIDVALIDITY \d+", b"UIDVALIDITY %d" % (7 + server.clock.seconds()), honest)


def at(second: float, *subjects: str) -> Event:
    return second, letters(*subjects)


HOUR = 3600.0
DAY = 24 * HOUR

BEHAVIOURS = (
    Behaviour(
        name="a day with a connection that is cut every 29 minutes",
        seen="routers; RFC 2177",
        events=tuple(
            sorted(
                (
                    *cut_often(1740.0, DAY),
                    at(1000.0, "one"),
                    at(5.2 * HOUR, "two", "three"),
                    at(1740.0 * 20 + 0.5, "four"),
                    at(23.5 * HOUR, "five"),
                ),
                key=lambda event: event[0],
            )
        ),
        seconds=DAY,
        connections=50,
        late_seconds=2.0,
        states=(),
    ),
    Behaviour(
        name="a UIDVALIDITY of its own at each opening",
        seen="offlineimap: Zimbra proxies, Proton Bridge; K-9 1074",
        faults=(Fault(step="EXAMINE", act=renewing),),
        events=tuple(
            sorted(
                (*cut_often(400.0, 1800.0), *USUAL, at(1400.5, "five")), key=lambda event: event[0]
            )
        ),
        connections=FLAKY,
        late_seconds=PATIENT,
    ),
    Behaviour(
        name="a night in which nothing works",
        seen="a provider's outage: refused, full, put off, cut, and then as if nothing was",
        faults=(
            Fault(
                step="greeting",
                act=say_and_hang_up(b"* BYE Too many connections\r\n"),
                skip=1,
                times=20,
            ),
            Fault(
                step="AUTHENTICATE", act=say(b"TAG NO [UNAVAILABLE] later\r\n"), skip=1, times=10
            ),
            Fault(step="EXAMINE", act=hang_up, skip=1, times=10),
            Fault(step="IDLE", act=say(b"TAG BAD no\r\n"), skip=2, times=2),
        ),
        events=(
            at(1 * HOUR, "one"),
            (2 * HOUR, lambda box: box.hang_up()),
            at(3 * HOUR, "two", "three"),
            at(12 * HOUR, "four"),
        ),
        seconds=DAY / 2 + HOUR,
        connections=42,
        late_seconds=9 * HOUR,
        states=("blind", "throttled", "connected"),
    ),
    Behaviour(
        name="IDLE stops to tell after an hour",
        seen="S22.Imap 57, FairEmail: a notification service that died behind the server",
        faults=(Fault(step="news", act=silence, skip=2),),
        events=(at(600.0, "one"), at(1200.0, "two"), at(2 * HOUR, "three"), at(3 * HOUR, "four")),
        seconds=4 * HOUR,
        late_seconds=901.0,
        complaint="without a hint",
    ),
    Behaviour(
        name="a server whose clock is years off and which is rebuilt",
        seen="virtual machines without NTP: INTERNALDATE 1970",
        faults=(
            Fault(step="UID FETCH", act=swap(rb"-Jan-2026", b"-Jan-1970")),
            Fault(step="UID SEARCH", act=lambda server, honest: honest),
        ),
        events=(
            *USUAL,
            (1200.0, lambda box: (box.renew(8, *box.letters.values(), b"five"), box.hang_up())),
            at(1400.0, "six"),
        ),
        connections=2,
        late_seconds=3.0,
    ),
)
