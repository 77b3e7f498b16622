"""Servers whose LIST is not what a pattern expects."""

from __future__ import annotations

from tests.imap.hostile.faults import say, silence, swap
from tests.imap.hostile.server import Conversation, Fault
from tests.imap.hostile.simulation import LATER, Behaviour, letters


def other_names(*names: bytes) -> tuple[Fault, ...]:
    """LIST tells of these too, and none of them can be opened."""
    told = b"".join(b'* LIST () "/" %b\r\n' % each for each in names)

    def act(server: Conversation, honest: bytes) -> bytes:
        return honest if server.heard[-1].endswith(b' ""') else told + honest

    def refuse(server: Conversation, honest: bytes) -> bytes:
        is_inbox = b'"INBOX"' in server.heard[-1]
        return honest if is_inbox else b"%b NO no such mailbox\r\n" % server.tag

    return (
        Fault(step="LIST", act=act),
        Fault(step="EXAMINE", act=refuse),
        Fault(step="STATUS", act=lambda server, honest: _status(server, honest)),
    )


def _status(server: Conversation, honest: bytes) -> bytes:
    """Of whatever mailbox somebody asks: nobody answers for another one than INBOX."""
    if b'"INBOX"' in honest:
        return honest
    return b"%b NO no such mailbox\r\n" % server.tag


BEHAVIOURS = (
    Behaviour(
        name="a pattern brings what cannot be written",
        seen="modern-email defects 46: Yandex writes '&' within a shift; invalid base64",
        faults=other_names(b'"&BBAEMQQyACYEMwQ0BDU-"', b'"&bad"', b'"&AGEAYg-"'),
        patterns=("*",),
        complaint="&BBAEMQQyACYEMwQ0BDU-",
    ),
    Behaviour(
        name="100,000 mailboxes",
        seen="public folders: a LIST that never ends",
        faults=other_names(*(b'"Public/%d"' % n for n in range(100_000))),
        patterns=("*",),
        complaint="mailboxes more than patterns may bring",
        events=((20.0, letters("one")),),
        seconds=70.0,
        growth_bytes=128 * 1024 * 1024,
        turn_seconds=3.0,  # the 10,000 that may come are enrolled in one
        commands=45_000,
        late_seconds=70.0,
    ),
    Behaviour(
        name="INBOX cannot be opened says LIST",
        seen="virtual users: '* LIST (\\Noselect) NIL INBOX'",
        faults=(Fault(step="LIST", act=swap(rb'\(\) "/" INBOX', b"(\\\\Noselect) NIL inbox")),),
        patterns=("*",),
    ),
    Behaviour(
        name="LIST is refused",
        seen="POP gateways that speak some IMAP",
        faults=(Fault(step="LIST", act=say(b"TAG BAD no LIST here\r\n")),),
        patterns=("*",),
        complaint="no LIST here",
    ),
    Behaviour(
        name="LIST gets no answer at first",
        seen="thousands of mailboxes on a slow disk",
        faults=(Fault(step="LIST", act=silence, times=1),),
        patterns=("*",),
        events=LATER,
        connections=2,
    ),
)
