"""Servers with untidy manners: what they say is odd all the time, and harmless."""

from __future__ import annotations

from tests.imap.hostile.faults import after, before, before_the_tag, in_pieces, swap
from tests.imap.hostile.server import Conversation, Fault
from tests.imap.hostile.simulation import Behaviour

GARBAGE = (
    b"* \r\n*\r\n* x EXISTS\r\n* -1 EXISTS\r\n* 4 \r\n* FETCH\r\n* 1 FETCH\r\n* 1 FETCH (\r\n"
    b"* 1 FETCH (UID)\r\n* 1 FETCH (UID x)\r\n* 1 FETCH )(\r\n* OK [\r\n* OK []\r\n* OK [ALERT\r\n"
    b'* LIST\r\n* LIST () "/"\r\n* LIST (\\X "/ INBOX\r\n* STATUS\r\n* STATUS INBOX (UIDNEXT\r\n'
    b"* SEARCH x y z\r\n* ESEARCH (TAG) UID\r\n* VANISHED 1:\r\n* VANISHED (EARLIER) x\r\n"
    b"* ENABLED\r\n* \xff\xfe\x00\x01\r\n* " + b'"' * 99 + b"\r\n* NO :(\r\n"
    b"* BAD\r\n* XYZZY (a (b (c\r\nhello\r\n\r\n \t\r\n* OK [UNKNOWN-CODE (a {5}] x {5}\r\n"
)
"""Nothing of it is valid IMAP, and some of it is where others crash (TRAPS 14 to 17)."""


def odd(name: str, seen: str, *acts: object, step: str = "*") -> Behaviour:
    """All answers are made odd in this way."""
    faults = tuple(Fault(step=step, act=act) for act in acts)  # type: ignore[arg-type]
    return Behaviour(name=name, seen=seen, faults=faults)


def lower(_: Conversation, honest: bytes) -> bytes:
    """All keywords in lower case, but neither tags nor texts of letters."""
    words = (
        rb"\b(OK|NO|BAD|EXISTS|EXPUNGE|FETCH|UIDNEXT|UIDVALIDITY|UID|FLAGS|BODY|SEARCH|RECENT)\b"
    )
    return swap(words, lambda found: found[0].lower())(_, honest) or b""


def in_order_of_hash(_: Conversation, honest: bytes) -> bytes:
    """The untagged lines of an answer without literals, the other way round."""
    lines = honest.splitlines(keepends=True)
    untagged = [line for line in lines if line.startswith(b"* ")]
    if b"{" in honest or len(untagged) < 2:
        return honest
    return b"".join([*reversed(untagged), *(line for line in lines if line not in untagged)])


BEHAVIOURS = (
    odd("keywords in lower case", "TRAPS 8", lower, step="**"),
    odd(
        "lines end with LF alone",
        "TRAPS 8; MailKit 225",
        swap(rb"\r\n(?=\* |\S+ OK|\Z)", b"\n"),
        step="**",
    ),
    odd("tagged answers without text", "TRAPS 8", swap(rb"(?m)^(\S+ OK) [^\[\r]*\r", rb"\1\r")),
    odd(
        "two spaces",
        "Exchange; Domino",
        swap(rb"(?m)^\* (\d+) (EXISTS|EXPUNGE|FETCH)", rb"*  \1  \2"),
    ),
    odd("a space at the end", "qq.com", swap(rb"(?m)(EXISTS|RECENT|idled|done)\r", rb"\1 \r")),
    odd("everything in single bytes", "TCP", in_pieces(1), step="greeting"),
    odd("untagged garbage before every answer", "TRAPS 14 to 17", before(GARBAGE)),
    odd("untagged garbage within every answer", "TRAPS 14 to 17", before_the_tag(GARBAGE)),
    odd(
        "tagged garbage before every answer",
        "TRAPS 16",
        before(b"A1\r\nA1 \r\nA1 MAYBE x\r\nOK\r\n"),
    ),
    odd("blank lines before every answer", "TRAPS 16", before(b"\r\n\r\n\n \r\n")),
    odd(
        "text that looks like syntax",
        "TRAPS 14, 15",
        before(b'* OK it is "almost full (\\ {7}\r\n'),
    ),
    odd("human text before every answer", "TRAPS 14", before(b"* OK [ALERT] :) \xc3\xa4\xff\r\n")),
    odd(
        "unsolicited STATUS, LIST, SEARCH and QUOTA",
        "RFC 9051 7; rust-imap 81",
        before(
            b"* STATUS INBOX (MESSAGES 99 UIDNEXT 999)\r\n* STATUS {5}\r\nINBOX (UIDNEXT 1)\r\n"
            b'* LIST () "/" {5}\r\nINBOX\r\n* LIST () NIL x\r\n* SEARCH 1 2 3\r\n* SEARCH\r\n'
            b'* QUOTA "" (STORAGE 1 2)\r\n* FLAGS ()\r\n* NAMESPACE NIL NIL NIL\r\n'
        ),
    ),
    odd("untagged lines in another order", "RFC 9051 7", in_order_of_hash, step="EXAMINE"),
    odd(
        "warnings all the time",
        "Cyrus: '* NO Mailbox is at 98% of quota'",
        before(b"* NO Mailbox is at 98% of quota\r\n* BAD something\r\n"),
    ),
    odd(
        "go-aheads that nobody asked for",
        "TRAPS 16",
        before(b"+ \r\n+\r\n"),
        step="NOOP",
    ),
    odd(
        "an OK for a tag that is not ours",
        "TRAPS 16",
        after(b"X1 OK done\r\nX2 NO no\r\nX3 BAD b\r\n"),
    ),
    odd(
        "capabilities change all the time",
        "proxies; RFC 9051 7.2.2",
        before(b"* CAPABILITY IMAP4rev1\r\n"),
        step="NOOP",
    ),
    odd(
        "alerts with terminal controls",
        "TRAPS",
        before(b"* NO [ALERT] \x1b[2J\x07\xe2\x80\xae\r\n"),
    ),
)
