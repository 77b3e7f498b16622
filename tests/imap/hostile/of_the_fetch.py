"""Servers that misbehave while mail is fetched."""

from __future__ import annotations

import re

from tests.imap.hostile.faults import (
    after,
    before,
    before_the_tag,
    cut,
    dribble,
    in_pieces,
    late,
    meanwhile,
    say,
    silence,
    swap,
    without_data,
)
from tests.imap.hostile.server import Act, Conversation, Fault
from tests.imap.hostile.simulation import Behaviour

_RESPONSE = re.compile(rb"\* \d+ FETCH .*?\r\n\r\n\)\r\n", re.S)
AFTER_THE_FIRST = 1
"""The FETCH that follows EXAMINE is honest; trouble begins with the first arrival."""

JUNK = b"X-Junk: junk\r\n" * 1_214_286
"""17 MB of a header."""

BROKEN = 3.0
"""A command that failed costs the connection, a second, and a new login."""

STALLED = 65.0
"""The deadline of a command, and a new login."""


def backwards(_: Conversation, honest: bytes) -> bytes:
    """The last letter comes first."""
    told = _RESPONSE.findall(honest)
    return b"".join(reversed(told)) + _RESPONSE.sub(b"", honest)


def twice(_: Conversation, honest: bytes) -> bytes:
    """Every letter comes two times."""
    return b"".join(_RESPONSE.findall(honest)) + honest


def without_the_last(_: Conversation, honest: bytes) -> bytes:
    """One letter is left out, and the server says OK."""
    told = _RESPONSE.findall(honest)
    return honest.replace(told[-1], b"") if told else honest


def in_halves(_: Conversation, honest: bytes) -> bytes:
    """Flags and header of one letter come in two responses."""

    def split(found: re.Match[bytes]) -> bytes:
        seq, uid = found[1], found[2]
        return b"* %b FETCH (UID %b FLAGS ())\r\n* %b FETCH (UID %b" % (seq, uid, seq, uid)

    return re.sub(rb"\* (\d+) FETCH \(UID (\d+) FLAGS \(\)", split, honest)


def as_quoted(_: Conversation, honest: bytes) -> bytes:
    """The header is a quoted string, on one line as that must be."""
    return re.sub(rb"\{\d+\}\r\nFrom: [^\r]*\r\n(Subject: [^\r]*)\r\n\r\n", rb'"\1"', honest)


def arrival(*subjects: bytes) -> object:
    """Letters arrive in the middle of the answer."""
    return meanwhile(lambda server: server.box.add(*subjects))


def unable_to_give(item: bytes, status: bytes) -> Act:
    """Whoever asks for this item gets nothing but an excuse."""

    def act(server: Conversation, honest: bytes) -> bytes:
        if item not in server.heard[-1]:
            return honest
        return b"%b %b cannot %b\r\n" % (server.tag, status, item)

    return act


BEHAVIOURS = (
    *(
        Behaviour(
            name=f"BODYSTRUCTURE is answered {status.decode()}",
            seen="MailKit 1841, 777: what servers make of broken MIME",
            faults=(Fault(step="UID FETCH", act=unable_to_give(b"BODYSTRUCTURE", status), skip=1),),
            late_seconds=STALLED,
            connections=4,
        )
        for status in (b"NO", b"BAD")
    ),
    Behaviour(
        name="BODYSTRUCTURE is nonsense",
        seen="MailKit 32, 81, 124, 777, 1430",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(
                    rb"BODYSTRUCTURE \([^)]*\)",
                    b'BODYSTRUCTURE (NIL NIL () "x" -1 (("a")) {3}\r\nabc)',
                ),
            ),
        ),
    ),
    Behaviour(
        name="BODYSTRUCTURE is left out",
        seen="Gmail after a conversion",
        faults=(Fault(step="UID FETCH", act=swap(rb" BODYSTRUCTURE \([^)]*\)", b"")),),
    ),
    Behaviour(
        name="FETCH in reverse order",
        seen="greenmail 377: letters are missed",
        faults=(Fault(step="UID FETCH", act=backwards),),
    ),
    Behaviour(
        name="FETCH tells everything twice",
        seen="RFC 9051 7.5.2",
        faults=(Fault(step="UID FETCH", act=twice),),
    ),
    Behaviour(
        name="FETCH in two responses for one letter",
        seen="imapclient test_same_message_appearing_multiple_times",
        faults=(Fault(step="UID FETCH", act=in_halves),),
    ),
    Behaviour(
        name="FETCH of flags without UID in between",
        seen="imapclient 334, node-imap 464: taken for the answer",
        faults=(
            Fault(step="UID FETCH", act=before(b"* 1 FETCH (FLAGS (\\Seen))\r\n")),
            Fault(step="UID FETCH", act=before_the_tag(b"* 2 FETCH (FLAGS (\\Seen $Junk))\r\n")),
        ),
    ),
    Behaviour(
        name="FETCH of letters that nobody asked for",
        seen="node-imap 464",
        faults=(
            Fault(
                step="UID FETCH",
                act=before(b"* 1 FETCH (UID 1 MODSEQ (99) FLAGS (\\Seen))\r\n"),
            ),
        ),
    ),
    Behaviour(
        name="FETCH without any UID",
        seen="offlineimap 479: DavMail",
        faults=(Fault(step="UID FETCH", act=swap(rb"UID \d+ ", b""), skip=1, times=2),),
        late_seconds=STALLED,
        connections=3,
    ),
    Behaviour(
        name="FETCH with UID at the end",
        seen="Exchange",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\(UID (\d+)((?s:.*?\r\n\r\n))\)\r\n", rb"(X 1\2 UID \1)\r\n"),
            ),
        ),
    ),
    Behaviour(
        name="FETCH leaves one letter out and says OK",
        seen="msgvault 731, nextcloud mail 13590",
        faults=(Fault(step="UID FETCH", act=without_the_last, skip=1, times=2),),
        late_seconds=STALLED,
    ),
    Behaviour(
        name="FETCH has no data and says OK",
        seen="bichon 342",
        faults=(Fault(step="UID FETCH", act=without_data(), skip=1, times=1),),
        late_seconds=STALLED,
    ),
    Behaviour(
        name="FETCH is answered NO at first",
        seen="MailKit 358: Yahoo 'FETCH Server error while fetching messages'",
        faults=(
            Fault(step="UID FETCH", act=say(b"TAG NO [SERVERBUG] error\r\n"), skip=1, times=1),
        ),
        late_seconds=BROKEN,
        connections=2,
    ),
    Behaviour(
        name="FETCH is answered BAD at first",
        seen="offlineimap 574: 'UID command error: BAD'",
        faults=(Fault(step="UID FETCH", act=say(b"TAG BAD Tran\r\n"), skip=1, times=2),),
        late_seconds=STALLED,
        connections=3,
    ),
    Behaviour(
        name="FETCH gets no answer",
        seen="mutt, mbsync: 'Socket error on ... timeout'",
        faults=(Fault(step="UID FETCH", act=silence, skip=1, times=1),),
        late_seconds=STALLED,
        connections=2,
    ),
    Behaviour(
        name="FETCH takes 40 seconds",
        seen="busy servers: must not be taken for dead",
        faults=(Fault(step="UID FETCH", act=late(40.0), skip=1),),
        late_seconds=85.0,
    ),
    *(
        Behaviour(
            name=f"the connection is closed {size_bytes} bytes into a FETCH",
            seen="TRAPS: half an answer is no answer",
            faults=(Fault(step="UID FETCH", act=cut(size_bytes), skip=1, times=1),),
            late_seconds=BROKEN,
            connections=2,
        )
        for size_bytes in (1, 30, 120, 200, 240)
    ),
    Behaviour(
        name="FETCH in single bytes",
        seen="mailroom 30: crashed on literals across packets",
        faults=(Fault(step="greeting", act=in_pieces(1)),),
    ),
    Behaviour(
        name="FETCH in pieces of seven bytes",
        seen="mailroom 30",
        faults=(Fault(step="greeting", act=in_pieces(7)),),
    ),
    Behaviour(
        name="FETCH dribbles ten bytes a second",
        seen="TRAPS 10: resets every idle timer",
        faults=(Fault(step="UID FETCH", act=dribble(1.0), skip=1, times=1),),
        late_seconds=STALLED,
        connections=2,
    ),
    Behaviour(
        name="EXISTS during FETCH",
        seen="TRAPS 1: thrown away by Twisted",
        faults=(Fault(step="UID FETCH", act=arrival(b"meanwhile"), skip=1, times=1),),
        subjects=("one", "meanwhile", "two", "three", "four"),
    ),
    Behaviour(
        name="EXISTS in the middle of the data of FETCH",
        seen="cyrus-imapd 1967: a FETCH beyond EXISTS",
        faults=(
            Fault(
                step="UID FETCH",
                act=lambda server, honest: (
                    server.box.add(b"meanwhile")  # type: ignore[func-returns-value]
                    or server.news() + honest
                ),
                skip=1,
                times=1,
            ),
        ),
        subjects=("one", "meanwhile", "two", "three", "four"),
    ),
    Behaviour(
        name="EXISTS before a FETCH that is refused",
        seen="TRAPS 1: dropped after NO",
        faults=(
            Fault(step="UID FETCH", act=say(b"* 4 EXISTS\r\nTAG NO busy\r\n"), skip=1, times=1),
        ),
        late_seconds=STALLED,
        connections=2,
    ),
    Behaviour(
        name="EXISTS with the old number at every FETCH",
        seen="go-imap: an endless loop of fetching",
        faults=(
            Fault(
                step="UID FETCH",
                act=lambda server, honest: b"* %d EXISTS\r\n" % len(server.uids) + honest,
            ),
        ),
    ),
    Behaviour(
        name="EXPUNGE during FETCH",
        seen="RFC 9051 7.5.1 forbids it; Exchange does it",
        faults=(Fault(step="UID FETCH", act=before(b"* 1 EXPUNGE\r\n"), skip=1, times=1),),
        late_seconds=STALLED,
    ),
    Behaviour(
        name="the header is NIL",
        seen="MailKit 124: mail.ru",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\{\d+\}\r\nFrom.*?\r\nSubject: one\r\n\r\n", b"NIL"),
            ),
        ),
        subjects=("", "two", "three", "four"),
    ),
    Behaviour(
        name="the header is an empty literal",
        seen="TRAPS 7",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\{\d+\}\r\nFrom.*?\r\nSubject: one\r\n\r\n", b"{0}\r\n"),
            ),
        ),
        subjects=("", "two", "three", "four"),
    ),
    Behaviour(
        name="the header is a quoted string",
        seen="RFC 9051: a string is a string",
        faults=(Fault(step="UID FETCH", act=as_quoted),),
    ),
    Behaviour(
        name="the literal is a literal8 or not synchronising",
        seen="TRAPS 8; mailroom 30",
        faults=(
            Fault(step="UID FETCH", act=swap(rb"\{(\d+)\}", rb"~{\1}"), times=2),
            Fault(step="UID FETCH", act=swap(rb"\{(\d+)\}", rb"{\1+}"), skip=2),
        ),
    ),
    Behaviour(
        name="no space before the literal",
        seen="old Courier",
        faults=(Fault(step="UID FETCH", act=swap(rb"\] \{", b"]{")),),
    ),
    Behaviour(
        name="items in lower case and quoted field names",
        seen="Domino, Zimbra",
        faults=(
            Fault(step="UID FETCH", act=swap(rb"FLAGS \(\)", b"flags ()")),
            Fault(
                step="UID FETCH",
                act=swap(
                    rb"BODY\[HEADER\.FIELDS \(([^)]*)\)\]",
                    lambda m: (
                        b"body[header.fields (%b)]"
                        % b" ".join(b'"%b"' % word for word in m[1].lower().split())
                    ),
                ),
            ),
        ),
    ),
    Behaviour(
        name="INTERNALDATE is NIL and the size is negative",
        seen="offlineimap 676; MailKit",
        faults=(
            Fault(step="UID FETCH", act=swap(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE NIL")),
            Fault(step="UID FETCH", act=swap(rb"RFC822.SIZE \d+", b"RFC822.SIZE -1")),
        ),
    ),
    Behaviour(
        name="INTERNALDATE is nonsense and the size is huge",
        seen="MailKit; fuzzing",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "31-Feb-0000 99:99:99 +9999"'),
            ),
            Fault(step="UID FETCH", act=swap(rb"RFC822.SIZE \d+", b"RFC822.SIZE " + b"9" * 40)),
        ),
    ),
    Behaviour(
        name="a header with a line like a tagged answer",
        seen="omamail 74: X-Spam-Flag: NO",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(
                    rb"\{(\d+)\}\r\n",
                    lambda m: (
                        b"{%d}\r\nX-Spam-Flag: NO\r\nA1 NO no\r\n* BYE x\r\n" % (int(m[1]) + 36)
                    ),
                ),
            ),
        ),
    ),
    Behaviour(
        name="a literal that is longer than what follows",
        seen="MailKit 954: Domino",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\{(\d+)\}", lambda m: b"{%d}" % (int(m[1]) + 500)),
                skip=1,
                times=1,
            ),
        ),
        late_seconds=STALLED,
        connections=2,
    ),
    Behaviour(
        name="a literal that is shorter than what follows",
        seen="MailKit 225",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\{(\d+)\}", lambda m: b"{%d}" % (int(m[1]) - 9)),
                skip=1,
                times=1,
            ),
        ),
        subjects=("", "two", "three", "four"),
    ),
    Behaviour(
        name="a header of 17 MB, whatever is asked for",
        seen="a letter made for it, on a server that knows no partial",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(
                    rb"\{(\d+)\}\r\n(?=From: a@example.org\r\nSubject: one\r)",
                    lambda m: b"{%d}\r\n%b" % (int(m[1]) + len(JUNK), JUNK),
                ),
            ),
        ),
        subjects=("", "two", "three", "four"),
        growth_bytes=64 * 1024 * 1024,
    ),
    Behaviour(
        name="BODYSTRUCTURE with 100,000 literals",
        seen="Dovecot, of a letter within a letter to as many recipients with 8-bit names",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(
                    rb"BODYSTRUCTURE \(\"TEXT\"(?=[^*]*Subject: one\r)",
                    b'BODYSTRUCTURE ("TEXT" ' + b"({1}\r\nx NIL {1}\r\na {1}\r\nb) " * 33_334,
                ),
            ),
        ),
    ),
    Behaviour(
        name="a literal of 200 MB is announced",
        seen="TRAPS 20: 664 MB of memory",
        faults=(
            Fault(
                step="UID FETCH",
                act=swap(rb"\{\d+\}\r\n", b"{200000000}\r\n" + b"x" * 5_000_000),
                skip=1,
                times=1,
            ),
        ),
        late_seconds=BROKEN,
        connections=2,
    ),
    Behaviour(
        name="a literal with a negative or endless length",
        seen="TRAPS 15",
        faults=(
            Fault(step="UID FETCH", act=before(b"* 1 FETCH (BODY[] {-5}\r\n"), skip=1, times=1),
            Fault(
                step="UID FETCH",
                act=before(b"* 1 FETCH (BODY[] {%b}\r\n" % (b"9" * 500)),
                skip=2,
                times=1,
            ),
        ),
        late_seconds=STALLED,
        connections=2,
    ),
    Behaviour(
        name="parentheses 10,000 deep",
        seen="TRAPS 20: RecursionError",
        faults=(
            Fault(
                step="UID FETCH",
                act=before(b"* 1 FETCH (BODYSTRUCTURE " + b"(" * 10_000 + b")" * 10_000 + b")\r\n"),
            ),
        ),
    ),
    Behaviour(
        name="a line of 5 MB",
        seen="TRAPS 3: 16 KiB were too many",
        faults=(Fault(step="UID FETCH", act=before(b"* OK " + b"x" * 5_000_000 + b"\r\n")),),
    ),
    Behaviour(
        name="a line without an end",
        seen="fuzzing",
        faults=(Fault(step="UID FETCH", act=say(b"* OK " + b"x" * 20_000_000), skip=1, times=1),),
        late_seconds=BROKEN,
        connections=2,
    ),
    Behaviour(
        name="FETCH is followed by the rest of another dialogue",
        seen="a proxy that mixes connections",
        faults=(Fault(step="UID FETCH", act=after(b"A77 OK FETCH completed\r\n* 1 FETCH ()\r\n")),),
    ),
)
