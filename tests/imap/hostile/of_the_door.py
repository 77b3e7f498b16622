"""Servers that misbehave before they can be asked anything: TCP, TLS, greeting."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.protocol import Protocol

from mailnotify.config.schema import Security
from tests.imap.hostile.faults import after, late, say, say_and_hang_up, silence
from tests.imap.hostile.server import Conversation, Fault
from tests.imap.hostile.simulation import LATER, Behaviour, World

RETRIES = 17
"""Attempts in half an hour with delays from 1 s that double up to 300 s."""


class Saying(Protocol):
    """Says something to whoever connects, and hangs up or stays."""

    def __init__(self, words: bytes, stays: bool = False) -> None:
        self._words = words
        self._stays = stays

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._words)
        if not self._stays:
            self.transport.loseConnection()


def saying(words: bytes, *, stays: bool = False) -> Callable[[World], Protocol]:
    """No TLS at this door, but these bytes."""
    return lambda world: Saying(words, stays)


def refused(_: World) -> None:
    """Nobody listens."""


def clear(world: World) -> Protocol:
    """IMAP without any TLS."""
    return world.conversation()


def mute(world: World) -> None:
    """TCP itself gets no answer, from the second attempt on."""
    world.network.is_mute = True


def starttls(
    capability: bytes = b"IMAP4rev1 STARTTLS LOGINDISABLED",
) -> Callable[[World], Protocol]:
    """IMAP in clear that can begin TLS."""

    def door(world: World) -> Protocol:
        conversation = world.conversation()
        conversation.capability = capability
        conversation.options = world.options[world.behaviour.certificate]
        return conversation

    return door


def once(
    times: int, first: Callable[[World], Protocol | None]
) -> Callable[[World], Protocol | None]:
    """This door at the first attempts, the honest one from then on."""

    def door(world: World) -> Protocol | None:
        if len(world.network.attempts) <= times:
            return first(world)
        return world.over_tls(world.conversation())

    return door


def in_two(server: Conversation, honest: bytes) -> None:
    """The second half comes some seconds after the first."""
    server.say(honest[:7])
    server.later(3.0, server.say, honest[7:])


TCP_AND_TLS = (
    Behaviour(
        name="nobody listens",
        seen="every watcher; ours must neither give up nor hammer",
        door=refused,
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="refused",
    ),
    Behaviour(
        name="nobody listens for a while",
        seen="goimapnotify 30: gave up for ever when the network was down at start",
        door=once(5, refused),
        events=LATER,
        connections=6,
    ),
    Behaviour(
        name="TCP gets no answer",
        seen="mbsync: hung in connect() behind a dropping firewall",
        door=mute,
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
    Behaviour(
        name="the connection is closed at once",
        seen="DESIGN: 400 connections in 600 s by Twisted's ClientService",
        door=saying(b""),
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
    Behaviour(
        name="the TLS handshake gets no answer",
        seen="TRAPS 1: connect() fires and nothing ever follows",
        door=saying(b"", stays=True),
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="30 s",
    ),
    Behaviour(
        name="IMAP in clear on the TLS port",
        seen="MailKit 'An error occurred while attempting to establish an SSL or TLS connection'",
        door=clear,
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="TLS handshake failed",
    ),
    Behaviour(
        name="HTTP on the TLS port",
        seen="captive portals",
        door=saying(b"HTTP/1.1 302 Found\r\nLocation: http://login.wifi/\r\n\r\n"),
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
    Behaviour(
        name="noise on the TLS port",
        seen="fuzzing",
        door=saying(bytes(range(256)) * 40, stays=True),
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
    *(
        Behaviour(
            name=f"a certificate that is {certificate}",
            seen="NO STARTTLS (USENIX Security 2021): clients that only warn",
            certificate=certificate,
            security=security,
            door=starttls() if security is Security.STARTTLS else None,
            is_blind=True,
            connections=RETRIES,
            logins=0,
            complaint=complaint,
        )
        for security in (Security.IMPLICIT_TLS,)
        for certificate, complaint in {
            "expired": "expired",
            "for another host": "not for the name localhost",
            "of an unknown authority": "not trusted here",
            "self-signed": "self-signed",
        }.items()
    ),
)

STARTTLS = (
    Behaviour(
        name="STARTTLS as it should be",
        seen="RFC 9051 6.2.1, to see that the others can fail",
        security=Security.STARTTLS,
        door=starttls(),
    ),
    Behaviour(
        name="STARTTLS with a certificate for another host",
        seen="NO STARTTLS: clients that verify implicit TLS only",
        security=Security.STARTTLS,
        door=starttls(),
        certificate="for another host",
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="not for the name localhost",
    ),
    Behaviour(
        name="STARTTLS is stripped from the capabilities",
        seen="NO STARTTLS; TRAPS 26",
        security=Security.STARTTLS,
        door=starttls(b"IMAP4rev1 AUTH=PLAIN SASL-IR"),
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="STARTTLS",
    ),
    Behaviour(
        name="STARTTLS is offered and answered BAD",
        seen="NO STARTTLS",
        security=Security.STARTTLS,
        door=starttls(),
        faults=(Fault(step="STARTTLS", act=say_and_hang_up(b"TAG BAD TLS is down\r\n")),),
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
    Behaviour(
        name="STARTTLS is followed by an injected line in clear",
        seen="NO STARTTLS; TRAPS 21: Twisted believes it",
        security=Security.STARTTLS,
        door=starttls(),
        faults=(
            Fault(
                step="STARTTLS",
                act=after(b"* CAPABILITY IMAP4rev1 AUTH=INJECTED\r\n"),
            ),
        ),
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="in clear",
    ),
    Behaviour(
        name="STARTTLS gets no answer",
        seen="dead middleboxes",
        security=Security.STARTTLS,
        door=starttls(),
        faults=(Fault(step="STARTTLS", act=silence, times=1),),
        events=LATER,
        connections=2,
    ),
    Behaviour(
        name="PREAUTH before TLS",
        seen="NO STARTTLS; TRAPS 29: no STARTTLS is possible after it",
        security=Security.STARTTLS,
        door=starttls(),
        faults=(Fault(step="greeting", act=say(b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n")),),
        is_blind=True,
        connections=RETRIES,
        logins=0,
    ),
)

GREETING = (
    Behaviour(
        name="no greeting",
        seen="offlineimap: waits for ever in open()",
        faults=(Fault(step="greeting", act=silence, times=2),),
        events=LATER,
        connections=3,
    ),
    Behaviour(
        name="a greeting that takes 20 seconds",
        seen="servers with reverse DNS look-ups",
        faults=(Fault(step="greeting", act=late(20.0)),),
        events=LATER,
    ),
    Behaviour(
        name="a greeting in two pieces",
        seen="RFC 793: TCP has no messages",
        faults=(Fault(step="greeting", act=in_two),),
    ),
    Behaviour(
        name="a greeting without text",
        seen="TRAPS 16: an exception in IMAP4Client",
        faults=(Fault(step="greeting", act=say(b"* OK\r\n")),),
    ),
    Behaviour(
        name="a greeting that ends in base64 in brackets",
        seen="MailKit 1494: outlook.office365.com; TRAPS 24",
        faults=(
            Fault(
                step="greeting",
                act=say(
                    b"* OK The Microsoft Exchange IMAP4 service is ready. [RABCADcAUABSAD==]\r\n"
                ),
            ),
        ),
    ),
    Behaviour(
        name="a greeting with an alert",
        seen="TRAPS 23: taken for an empty list of capabilities",
        faults=(Fault(step="greeting", act=say(b"* OK [ALERT] Maintenance at ten\r\n")),),
        complaint="Maintenance at ten",
    ),
    Behaviour(
        name="a greeting of PREAUTH over TLS",
        seen="imap tunnels; RFC 9051 7.1.4",
        faults=(
            Fault(
                step="greeting",
                act=say(b"* PREAUTH [CAPABILITY IMAP4rev1 IDLE] logged in as demo\r\n"),
            ),
        ),
        logins=0,
    ),
    Behaviour(
        name="a greeting of BYE while the server is full",
        seen="Courier: '* BYE Too many connections from your IP'",
        faults=(
            Fault(step="greeting", act=say_and_hang_up(b"* BYE Too many connections\r\n"), times=4),
        ),
        events=LATER,
        connections=5,
        complaint="Too many connections",
    ),
    Behaviour(
        name="a greeting of BYE without a close",
        seen="K-9: the connection stayed in the pool",
        faults=(Fault(step="greeting", act=say(b"* BYE go away\r\n"), times=1),),
        events=LATER,
        connections=2,
    ),
    Behaviour(
        name="a greeting of an SMTP server",
        seen="a wrong port in the configuration",
        faults=(Fault(step="greeting", act=say(b"220 mx.example.org ESMTP Postfix\r\n")),),
        is_blind=True,
        connections=RETRIES,
        logins=0,
        complaint="greeting",
    ),
    Behaviour(
        name="a greeting in lower case without CR",
        seen="home-made servers; TRAPS 8",
        faults=(
            Fault(step="greeting", act=say(b"* ok [capability imap4rev1 idle auth=plain] x\n")),
        ),
    ),
)

BEHAVIOURS = TCP_AND_TLS + STARTTLS + GREETING
