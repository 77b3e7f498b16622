"""Servers as other clients have met them: providers, old versions, and test servers."""

from __future__ import annotations

import re

from tests.imap.hostile.faults import (
    before,
    say,
    say_and_hang_up,
    swap,
)
from tests.imap.hostile.server import Act, Conversation, Fault
from tests.imap.hostile.simulation import LATER, USUAL, Behaviour, letters

POLLED = 61.0
"""At most one poll later."""

FLAKY = 68
"""Attempts in half an hour where each connection works for a moment: delays up to 30 s."""

PATIENT = 32.0
"""After the longest delay between two such attempts."""

_SECTION = rb"BODY\[HEADER\.FIELDS \([^)]*\)\]"
_RESPONSE = re.compile(rb"\* \d+ FETCH .*?\r\n\r\n\)\r\n", re.S)


def lines(pattern: bytes) -> Act:
    """Only lines of an answer that do not fit remain."""
    return swap(rb"(?m)^" + pattern + rb"[^\n]*\n", b"")


def behind_the_tag(_: Conversation, honest: bytes) -> bytes:
    """The tagged answer comes before the data."""
    told = b"".join(_RESPONSE.findall(honest))
    return honest.replace(told, b"") + told if told else honest


def tagged_twice(_: Conversation, honest: bytes) -> bytes:
    """The last line comes once more."""
    return honest + honest.splitlines(keepends=True)[-1]


def dies_after(seconds: float) -> Act:
    """This and all else works, and the connection is closed soon."""

    def act(server: Conversation, honest: bytes) -> bytes:
        server.later(seconds, server.transport.loseConnection)
        return honest

    return act


def ended_at_once(server: Conversation, honest: bytes) -> bytes:
    """IDLE begins and is over."""
    tag, server.idle_tag = server.idle_tag, b""
    return honest + b"%b OK IDLE terminated\r\n" % tag


def empty_from_the_second_on(server: Conversation, honest: bytes) -> bytes:
    """A partial is forgotten with the first message."""
    if b"<" not in server.heard[-1]:
        return honest
    told = _RESPONSE.findall(honest)
    for each in told[1:]:
        bare = re.sub(rb"\{\d+\}\r\n.*\r\n\r\n", b"{0}\r\n", each, flags=re.S)
        honest = honest.replace(each, bare)
    return honest


def alert(server: Conversation, _: bytes) -> None:
    """A fatal alert in clear, in the middle of TLS."""
    server.socket.send(b"\x15\x03\x03\x00\x02\x02\x28")


FETCHES = (
    Behaviour(
        name="a partial of the second message is empty",
        seen="hoodiecrow 2.1: the length of BODY[..]<0.n> is forgotten after one message",
        faults=(Fault(step="UID FETCH", act=empty_from_the_second_on),),
    ),
    Behaviour(
        name="RFC822.HEADER instead of the fields",
        seen="servers that translate what they are asked into what they know",
        faults=(Fault(step="UID FETCH", act=swap(_SECTION, b"RFC822.HEADER")),),
    ),
    Behaviour(
        name="the fields in another order and without the partial",
        seen="Domino, SmarterMail: echo what they have parsed",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(_SECTION, b'BODY[HEADER.FIELDS ("Subject" "From" "X-Other")]'),
            ),
        ),
    ),
    Behaviour(
        name="a space before the last bracket",
        seen="mail-api 209: imap.qq.com 'FETCH (UID 19436 )'",
        faults=(Fault(step="UID FETCH", act=swap(rb"\r\n\r\n\)\r\n", b"\r\n\r\n )\r\n")),),
    ),
    Behaviour(
        name="a message with the UID 0 among the answers",
        seen="offlineimap 336: 'UID FETCH Invalid parameter: 0'",
        faults=(Fault(step="UID FETCH", act=before(b"* 1 FETCH (UID 0 FLAGS ())\r\n")),),
    ),
    Behaviour(
        name="NO behind all that was asked for",
        seen="imap_tools 203: Scalix 'Some of the requested messages no longer exist'",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"(?m)^(\S+) OK done", rb"\1 NO Some of the messages no longer exist"),
            ),
        ),
    ),
    Behaviour(
        name="the tagged answer comes before the data",
        seen="proxies with two queues",
        faults=(Fault(step="UID FETCH", act=behind_the_tag, skip=1, times=4),),
    ),
    Behaviour(
        name="each tagged answer comes twice",
        seen="a proxy that retries",
        faults=(Fault(step="*", act=tagged_twice),),
    ),
    Behaviour(
        name="all items are NIL",
        seen="MailKit 124; a message whose file is gone",
        faults=(
            Fault(step="UID FETCH", act=swap(rb"FLAGS \(\)", b"FLAGS NIL")),
            Fault(step="UID FETCH", act=swap(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE NIL")),
            Fault(step="UID FETCH", act=swap(rb"RFC822.SIZE \d+", b"RFC822.SIZE NIL")),
            Fault(step="UID FETCH", act=swap(rb"BODYSTRUCTURE \([^)]*\)", b"BODYSTRUCTURE NIL")),
        ),
    ),
    Behaviour(
        name="flags that only a mailbox may have",
        seen="RFC 9051 2.3.2: \\Recent and \\* in FETCH",
        faults=(
            Fault(
                step="UID FETCH", act=swap(rb"FLAGS \(\)", rb"FLAGS (\\Recent \\* $X \\\\ [x] 5)")
            ),
        ),
    ),
    Behaviour(
        name="SEARCH without an untagged answer",
        seen="servers that say nothing where nothing is found; here all that there is is found",
        faults=(
            Fault(step="UID FETCH", act=swap(rb"(?s)\A\* .*\r\n(?=\S+ OK)", b""), skip=1, times=1),
            Fault(step="UID SEARCH", act=lines(rb"\* SEARCH"), times=1),
        ),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="everything is throttled and says so",
        seen="node-imap 593: Gmail 'A2 OK Success [THROTTLED]'",
        faults=(
            Fault(step="*", act=swap(rb"(?m)^(\S+) OK done\r", rb"\1 OK Success [THROTTLED]\r")),
        ),
    ),
    Behaviour(
        name="untagged words without OK before them",
        seen="net-imap 250: Exchange 2013 '[COPYUID 124 10 233]'",
        faults=(Fault(step="*", act=before(b"[COPYUID 124 10 233]\r\n")),),
    ),
)

IDLES = (
    Behaviour(
        name="the go-ahead has no text",
        seen="RFC 3501 servers: '+' alone",
        faults=(Fault(step="IDLE", act=say(b"+\r\n")),),
        prepare=lambda box: setattr(box, "uidnext", 3),
    ),
    Behaviour(
        name="the go-ahead is repeated as long as IDLE lasts",
        seen="gateways that keep a line alive with '+ idling'",
        events=tuple(
            sorted(
                (
                    *USUAL,
                    *(
                        (
                            30.0 * count + 7,
                            lambda box: [each.say(b"+ idling\r\n") for each in box.conversations],
                        )
                        for count in range(1, 58)
                    ),
                ),
                key=lambda event: event[0],
            )
        ),
    ),
    Behaviour(
        name="each IDLE is over at once",
        seen="Exchange behind a load balancer; hMailServer",
        faults=(Fault(step="IDLE", act=ended_at_once),),
        late_seconds=POLLED,
        commands=400,
    ),
    Behaviour(
        name="the connection is closed a moment after each IDLE has begun",
        seen="courier 89: Gmail throws the oldest of 15 out; 1 connection a second for ever",
        faults=(Fault(step="IDLE", act=dies_after(0.2)),),
        late_seconds=PATIENT,
        connections=FLAKY,
    ),
    Behaviour(
        name="the connection is closed ten seconds after each login",
        seen="proxies that limit a session",
        faults=(Fault(step="AUTHENTICATE", act=dies_after(10.0)),),
        late_seconds=PATIENT,
        connections=FLAKY,
    ),
    Behaviour(
        name="BYE a moment after each IDLE has begun",
        seen="stalwart 280; servers that shut down for an hour",
        faults=(
            Fault(
                step="IDLE",
                act=lambda server, honest: (
                    server.say(honest)
                    or server.later(0.5, say_and_hang_up(b"* BYE gone\r\n"), server, b"")
                ),
            ),
        ),
        late_seconds=PATIENT,
        connections=FLAKY,
        complaint="gone",
    ),
    Behaviour(
        name="BYE in IDLE with a tagged OK behind it",
        seen="Courier at a restart; aioimaplib",
        faults=(
            Fault(
                step="news", act=say_and_hang_up(b"* BYE restarting\r\nTAG OK IDLE\r\n"), times=1
            ),
        ),
        late_seconds=3.0,
        connections=2,
    ),
    Behaviour(
        name="a TLS alert in the middle",
        seen="load balancers that lose their key: 'SSLV3_ALERT_HANDSHAKE_FAILURE' in IDLE",
        faults=(Fault(step="news", act=alert, times=1),),
        late_seconds=3.0,
        connections=2,
    ),
    Behaviour(
        name="STATUS tells another UIDVALIDITY than EXAMINE, always",
        seen="replicas behind one name; Zimbra during a move",
        faults=(Fault(step="STATUS", act=swap(rb"UIDVALIDITY \d+", b"UIDVALIDITY 9")),),
        late_seconds=PATIENT,
        connections=FLAKY,
    ),
    Behaviour(
        name="STATUS tells less with every answer",
        seen="replicas that are not in step",
        faults=(Fault(step="STATUS", act=swap(rb"UIDNEXT \d+", b"UIDNEXT 2")),),
    ),
    Behaviour(
        name="STATUS tells more with every answer",
        seen="bichon 342: Yahoo's UIDNEXT runs ahead",
        faults=(
            Fault(
                step="STATUS",
                act=lambda server, honest: re.sub(
                    rb"UIDNEXT \d+", b"UIDNEXT %d" % (1000 + server.clock.seconds()), honest
                ),
            ),
        ),
        commands=300,
    ),
    Behaviour(
        name="the session falls back to being logged in only",
        seen="Exchange after a fail-over: 'BAD Command received in Invalid state.'",
        faults=(
            Fault(
                step="NOOP",
                act=say(b"TAG BAD Command received in Invalid state.\r\n"),
                skip=3,
                times=2,
            ),
        ),
        connections=3,
        late_seconds=3.0,
    ),
    Behaviour(
        name="IDLE is offered before the login and not behind it",
        seen="proxies that greet for another server",
        faults=(
            Fault(
                step="AUTHENTICATE",
                act=swap(rb"OK \[CAPABILITY [^\]]*\]", b"OK [CAPABILITY IMAP4rev1]"),
            ),
        ),
        late_seconds=POLLED,
    ),
    Behaviour(
        name="the selected mailbox is deleted and comes back",
        seen="Dovecot: 'BYE Mailbox disappeared'; MailKit FolderNotFoundException",
        faults=(
            Fault(
                step="NOOP", act=say_and_hang_up(b"* BYE Mailbox disappeared\r\n"), skip=3, times=1
            ),
            Fault(
                step="EXAMINE",
                act=say(b"TAG NO [NONEXISTENT] Mailbox doesn't exist\r\n"),
                skip=1,
                times=5,
            ),
        ),
        connections=8,
        late_seconds=75.0,
        complaint="doesn't exist",
    ),
)

LOGINS = (
    *(
        Behaviour(
            name=f"the login is put off with {words.decode()!r}",
            seen=seen,
            faults=(Fault(step="AUTHENTICATE", act=say(b"TAG %b\r\n" % words), times=2),),
            events=tuple((second + 1000.0, happens) for second, happens in LATER),
            seconds=2800.0,
            connections=3,
            logins=3,
        )
        for words, seen in {
            b"NO Server Unavailable. 15": "Office 365, modern authentication",
            b"NO LOGIN failed. Too many simultaneous connections": "Gmail's older words",
            b"NO [THROTTLED] Account is throttled": "Gmail",
            b"NO [LIMIT] Rate limit hit.": "Yahoo",
            b"BAD [SERVERBUG] internal error": "Yahoo",
            b"NO Login Denied. Server is too busy, please try again later": "QQ",
        }.items()
    ),
    Behaviour(
        name="the login is refused once after ten minutes of work",
        seen="Yahoo, outlook.com: AUTHENTICATIONFAILED while their directory is away",
        faults=(
            Fault(
                step="AUTHENTICATE",
                act=say(b"TAG NO [AUTHENTICATIONFAILED] LOGIN failed.\r\n"),
                skip=1,
                times=1,
            ),
        ),
        events=(
            (20.0, letters("one")),
            (600.0, lambda box: box.hang_up()),
            (700.0, letters("two", "three")),
            (1700.0, letters("four")),
        ),
        connections=3,
        logins=3,
        late_seconds=900.0,
        states=("denied", "connected"),
        complaint="LOGIN failed",
    ),
    Behaviour(
        name="a blank line before the greeting",
        seen="home-made servers and badly set proxies",
        faults=(Fault(step="greeting", act=before(b"\r\n")),),
    ),
    Behaviour(
        name="the greeting announces PROXY",
        seen="a load balancer that speaks its own protocol to the wrong end",
        faults=(
            Fault(
                step="greeting", act=before(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 993\r\n"), times=3
            ),
        ),
        events=LATER,
        connections=4,
    ),
    Behaviour(
        name="no capabilities at all",
        seen="'* OK [CAPABILITY]' and an empty CAPABILITY behind the login",
        faults=(
            Fault(
                step="AUTHENTICATE",
                act=swap(rb"OK \[CAPABILITY [^\]]*\]", b"OK [CAPABILITY]"),
            ),
            Fault(step="CAPABILITY", act=swap(rb"\* CAPABILITY [^\r]*", b"* CAPABILITY")),
        ),
        late_seconds=POLLED,
    ),
)

BEHAVIOURS = FETCHES + IDLES + LOGINS
