"""Servers that misbehave in IDLE, and when they should tell of news."""

from __future__ import annotations

from tests.imap.hostile.faults import (
    after,
    before,
    flood,
    hang_up,
    late,
    meanwhile,
    offering,
    reset,
    say,
    say_and_hang_up,
    silence,
    swap,
    vanish,
)
from tests.imap.hostile.server import Conversation, Fault
from tests.imap.hostile.simulation import LATER, USUAL, Behaviour, letters

POLLED = 61.0
"""At most one poll later."""

SETTLED = 1.5
"""The first question in an IDLE."""

BLIND = 125.0
"""One poll that gets no answer, and a new login."""


def ended(server: Conversation, honest: bytes) -> bytes:
    """The server ends the IDLE by itself, with its news."""
    tag, server.idle_tag = server.idle_tag, b""
    return honest + b"%b OK IDLE terminated\r\n" % tag


def each(second: float, words: bytes, *, until: float = 1800.0):  # type: ignore[no-untyped-def]
    """Something that is said in IDLE at this interval."""
    return tuple(
        (
            second * count,
            lambda box: [conversation.say(words) for conversation in box.conversations],
        )
        for count in range(1, int(until / second))
    )


BEHAVIOURS = (
    Behaviour(
        name="IDLE is offered and answered BAD",
        seen="FairEmail 86: Yahoo 'IDLE not supported'",
        faults=(Fault(step="IDLE", act=say(b"TAG BAD IDLE not supported\r\n")),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="IDLE is offered and answered NO",
        seen="mail.ru under load",
        faults=(Fault(step="IDLE", act=say(b"TAG NO not now\r\n")),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="IDLE is not offered",
        seen="maddy 446",
        faults=(Fault(step="greeting", act=offering(b"IMAP4rev1 AUTH=PLAIN SASL-IR")),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="IDLE is never acknowledged",
        seen="php-imap 258; imapclient 349",
        faults=(Fault(step="IDLE", act=silence, times=1),),
        events=LATER,
        connections=2,
    ),
    Behaviour(
        name="IDLE is acknowledged late",
        seen="slow proxies",
        faults=(Fault(step="IDLE", act=late(20.0)),),
        late_seconds=45.0,
    ),
    Behaviour(
        name="IDLE is answered BYE",
        seen="stalwart 280: 'BYE Server shutting down.' at once after IDLE",
        faults=(
            Fault(step="IDLE", act=say_and_hang_up(b"* BYE Server shutting down.\r\n"), times=3),
        ),
        events=LATER,
        connections=4,
    ),
    Behaviour(
        name="EXISTS before IDLE is acknowledged",
        seen="php-imap 258: 'idle failed', Office 365",
        faults=(
            Fault(
                step="IDLE",
                act=lambda server, honest: (
                    server.box.add(b"early")  # type: ignore[func-returns-value]
                    or server.news() + honest
                ),
                times=1,
            ),
        ),
        subjects=("early", "one", "two", "three", "four"),
    ),
    Behaviour(
        name="a letter arrives just before IDLE begins and is not told of",
        seen="cyrus-imapd 3668: updates just before IDLE are told at the next poll",
        faults=(
            Fault(step="IDLE", act=meanwhile(lambda server: server.slip_in(b"early")), times=1),
        ),
        late_seconds=SETTLED,
        complaint="without a hint",
    ),
    Behaviour(
        name="a letter arrives between a fetch and its IDLE and is not told of",
        seen="cyrus-imapd 3668; the same after each letter",
        faults=(
            Fault(
                step="UID FETCH",
                act=lambda server, honest: server.slip_in(b"between") or honest,  # type: ignore[func-returns-value]
                skip=1,
                times=1,
            ),
        ),
        late_seconds=SETTLED,
        complaint="without a hint",
    ),
    Behaviour(
        name="a letter is not told of and STATUS is refused",
        seen="RFC 9051 6.3.11: STATUS of the open mailbox is discouraged",
        faults=(
            Fault(step="IDLE", act=meanwhile(lambda server: server.slip_in(b"early")), times=1),
            Fault(step="STATUS", act=say(b"TAG BAD the mailbox is selected\r\n")),
        ),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="EXISTS after DONE",
        seen="RFC 2177: news may come until the tagged OK",
        faults=(
            Fault(
                step="DONE",
                act=lambda server, honest: (
                    server.box.add(b"meanwhile")  # type: ignore[func-returns-value]
                    or server.news() + honest
                ),
                skip=1,
                times=1,
            ),
        ),
        subjects=("one", "meanwhile", "two", "three", "four"),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="DONE gets no answer",
        seen="imapclient 403: 'Hang on idle_done'",
        faults=(Fault(step="DONE", act=silence, skip=1, times=1),),
        late_seconds=BLIND,
        connections=2,
    ),
    Behaviour(
        name="DONE is answered BAD",
        seen="Courier: 'BAD Protocol error'",
        faults=(Fault(step="DONE", act=swap(rb"(\S+) OK idled", rb"\1 BAD Protocol error")),),
    ),
    Behaviour(
        name="the server ends IDLE by itself",
        seen="Exchange after a while; hMailServer",
        faults=(Fault(step="news", act=ended, times=2),),
        late_seconds=3.0,
    ),
    Behaviour(
        name="IDLE is ended with NO",
        seen="Zimbra during a fail-over",
        faults=(Fault(step="DONE", act=swap(rb"(\S+) OK idled", rb"\1 NO going down")),),
    ),
    Behaviour(
        name="BYE in IDLE",
        seen="NotiMail 4: 'BYE IMAP server shutting down' and nothing after",
        faults=(Fault(step="news", act=say_and_hang_up(b"* BYE shutting down\r\n"), times=1),),
        late_seconds=3.0,
        connections=2,
        complaint="shutting down",
    ),
    Behaviour(
        name="BYE in IDLE without a close",
        seen="'* BYE Autologout; idle for too long' and a half-open connection",
        faults=(Fault(step="news", act=say(b"* BYE Autologout; idle for too long\r\n"), times=1),),
        late_seconds=3.0,
        connections=2,
    ),
    Behaviour(
        name="the connection is closed in IDLE",
        seen="imapclient 234: Yandex",
        faults=(Fault(step="news", act=hang_up),),
        late_seconds=3.0,
        connections=4,
    ),
    Behaviour(
        name="the connection is reset in IDLE",
        seen="imapclient 349: BrokenPipeError",
        faults=(Fault(step="news", act=reset),),
        late_seconds=3.0,
        connections=4,
    ),
    Behaviour(
        name="the connection vanishes in IDLE",
        seen="mailProc 4, imapflow 14: nothing, for ever",
        faults=(Fault(step="news", act=vanish, times=2),),
        late_seconds=BLIND,
        connections=3,
    ),
    Behaviour(
        name="the connection is closed after every command",
        seen="stateless proxies",
        faults=(
            Fault(
                step="UID FETCH",
                act=lambda server, honest: server.say(honest) or server.transport.loseConnection(),
                skip=1,
                times=3,
            ),
        ),
        connections=4,
        late_seconds=3.0,
    ),
    Behaviour(
        name="IDLE tells nothing but NOOP does",
        seen="S22.Imap 57: Exchange 2010; nmail 112",
        faults=(Fault(step="news", act=silence),),
        prepare=lambda box: setattr(box, "changed", lambda: None),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="IDLE tells only of RECENT",
        seen="old UW-IMAP derivatives",
        faults=(Fault(step="news", act=swap(rb"\* \d+ EXISTS\r\n\* 0", b"* 1")),),
    ),
    Behaviour(
        name="nothing tells of more than RECENT",
        seen="old UW-IMAP derivatives; EXISTS comes with EXAMINE alone",
        faults=(Fault(step="*", act=swap(rb"(?<!\(\)\] none\r\n)\* \d+ EXISTS\r\n\* 0", b"* 1")),),
    ),
    Behaviour(
        name="RECENT comes before EXISTS",
        seen="RFC 9051 7: data may come in any order",
        faults=(
            Fault(step="*", act=swap(rb"(\* \d+ EXISTS\r\n)\* 0 RECENT\r\n", rb"* 1 RECENT\r\n\1")),
        ),
    ),
    Behaviour(
        name="EXISTS at every command",
        seen="servers that tell the number whenever they are asked anything",
        faults=(
            Fault(step="*", act=lambda server, said: b"* %d EXISTS\r\n" % len(server.uids) + said),
        ),
    ),
    Behaviour(
        name="RECENT at every command",
        seen="nobody took the mailbox's recent letters, since it is only examined",
        faults=(Fault(step="*", act=before(b"* 2 RECENT\r\n")),),
    ),
    Behaviour(
        name="EXISTS with the old number after an EXPUNGE",
        seen="imapclient 321: outlook.com '337 EXPUNGE, 337 EXISTS'",
        events=(
            (10.0, letters("one")),
            (50.0, lambda box: (box.letters.pop(1), box.add(b"two"))),
            (100.0, lambda box: (box.letters.pop(2), box.add(b"three"))),
        ),
        faults=(Fault(step="news", act=swap(rb"\* 0 RECENT\r\n", b"")),),
    ),
    Behaviour(
        name="EXISTS without the EXPUNGE before it",
        seen="imapflow 57: CommuniGate Pro",
        events=(
            (10.0, letters("one")),
            (50.0, lambda box: (box.letters.pop(1), box.add(b"two"))),
        ),
        faults=(Fault(step="*", act=swap(rb"\* \d+ EXPUNGE\r\n", b"")),),
    ),
    Behaviour(
        name="EXISTS is less after removals and an arrival in one go",
        seen="a filter that moves mail; the number alone says that nothing came",
        events=(
            (10.0, letters("one", "two", "three")),
            (50.0, lambda box: (box.letters.pop(3), box.letters.pop(4), box.add(b"four"))),
            (90.0, lambda box: (box.letters.pop(1), box.letters.pop(2), box.add(b"five"))),
        ),
        faults=(Fault(step="*", act=swap(rb"\* \d+ EXPUNGE\r\n", b"")),),
    ),
    Behaviour(
        name="EXISTS that goes down",
        seen="fuzzing; a rebuilt mailbox",
        faults=(Fault(step="news", act=before(b"* 1 EXISTS\r\n")),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="EXPUNGE of numbers that do not exist",
        seen="fuzzing; trojita",
        faults=(Fault(step="news", act=before(b"* 900 EXPUNGE\r\n* 0 EXPUNGE\r\n")),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="EXISTS of four billion",
        seen="fuzzing",
        faults=(Fault(step="news", act=before(b"* 4294967295 EXISTS\r\n"), times=1),),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="still here",
        seen="Dovecot, Exchange: every two minutes",
        events=tuple(
            sorted((*USUAL, *each(7.0, b"* OK Still here\r\n")), key=lambda event: event[0])
        ),
    ),
    Behaviour(
        name="flags change all the time",
        seen="another client at work",
        events=tuple(
            sorted(
                (
                    *USUAL,
                    *each(3.0, b"* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 FLAGS ())\r\n"),
                ),
                key=lambda event: event[0],
            )
        ),
    ),
    Behaviour(
        name="100 MB of OK in IDLE",
        seen="TRAPS 20: 590 MB of memory and 39 s",
        faults=(
            Fault(
                step="news",
                act=flood((b"* OK " + b"x" * 1017 + b"\r\n") * 100, 1000, seconds=30.0),
                times=1,
            ),
        ),
        late_seconds=BLIND,
        connections=2,
    ),
    Behaviour(
        name="100 MB of OK in answer to NOOP",
        seen="TRAPS 20",
        faults=(
            Fault(
                step="NOOP",
                act=flood((b"* OK " + b"x" * 1017 + b"\r\n") * 100, 1000, seconds=100.0),
                skip=1,
                times=1,
            ),
        ),
        late_seconds=BLIND,
        connections=2,
    ),
    Behaviour(
        name="EXISTS without end",
        seen="a mailing list, or a broken server",
        faults=(
            Fault(
                step="news",
                act=flood(b"* 3 EXISTS\r\n* 4 EXISTS\r\n" * 5, 300, seconds=30.0),
                times=1,
            ),
        ),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="the poll is answered NO",
        seen="Gmail: 'NO [THROTTLED]'",
        faults=(Fault(step="NOOP", act=say(b"TAG NO [THROTTLED] slow down\r\n"), skip=3, times=1),),
        connections=2,
        late_seconds=3.0,
    ),
    Behaviour(
        name="the poll gets no answer",
        seen="nmail 112",
        faults=(Fault(step="NOOP", act=silence, skip=2, times=1),),
        connections=2,
        late_seconds=BLIND,
    ),
    Behaviour(
        name="news behind the answer of a poll",
        seen="RFC 9051 7: at any time",
        faults=(Fault(step="NOOP", act=after(b"* 2 FETCH (FLAGS ())\r\n")),),
    ),
    Behaviour(
        name="the logout gets no answer",
        seen="imapflow 44",
        faults=(Fault(step="LOGOUT", act=silence),),
    ),
)
