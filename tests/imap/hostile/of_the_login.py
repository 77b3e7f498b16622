"""Servers that misbehave at the login: capabilities, SASL, and right behind it."""

from __future__ import annotations

from tests.imap.hostile.faults import (
    before,
    cut,
    hang_up,
    late,
    offering,
    reset,
    say,
    say_and_hang_up,
    silence,
    swap,
    vanish,
    without_data,
)
from tests.imap.hostile.of_the_door import RETRIES
from tests.imap.hostile.server import Fault
from tests.imap.hostile.simulation import LATER, Behaviour, letters

MUCH_LATER = (
    (2500.0, letters("one")),
    (2700.0, letters("two", "three")),
    (3400.0, letters("four")),
)

CAPABILITIES = (
    Behaviour(
        name="CAPABILITY gets no answer",
        seen="a stall at this step",
        faults=(
            Fault(step="greeting", act=say(b"* OK hi\r\n")),
            Fault(step="CAPABILITY", act=silence, times=1),
        ),
        events=LATER,
        connections=2,
    ),
    Behaviour(
        name="capabilities in lower case",
        seen="imapclient: IDLE not found",
        faults=(Fault(step="**", act=swap(rb"CAPABILITY [^\]\r]*", lambda m: m[0].lower())),),
    ),
    Behaviour(
        name="other capabilities after the login",
        seen="ocaml-imap 34: IDLE is only in the OK of the login",
        faults=(
            Fault(
                step="greeting",
                act=say(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n"),
            ),
        ),
    ),
    Behaviour(
        name="no capabilities after the login unless asked",
        seen="TRAPS 25",
        faults=(Fault(step="AUTHENTICATE", act=without_data(b"OK in")),),
    ),
    Behaviour(
        name="ID is offered and answered BAD",
        seen="Wino Mail 263: mail.de",
        faults=(Fault(step="ID", act=say(b"TAG BAD invalid command\r\n")),),
    ),
    Behaviour(
        name="ID is not offered and ends the connection",
        seen="hermes-agent 92979: Purelymail",
        faults=(
            Fault(step="greeting", act=offering(b"IMAP4rev1 IDLE SASL-IR AUTH=PLAIN")),
            Fault(step="ID", act=say_and_hang_up(b"* BYE Unknown command.\r\n")),
        ),
    ),
    Behaviour(
        name="everything is offered and answered BAD",
        seen="proxies that show the capabilities of another server (perdition, nginx)",
        faults=(
            Fault(
                step="greeting",
                act=offering(
                    b"IMAP4rev1 IMAP4rev2 IDLE SASL-IR AUTH=PLAIN ID ENABLE UIDPLUS CONDSTORE "
                    b"QRESYNC NOTIFY ESEARCH COMPRESS=DEFLATE UTF8=ACCEPT LIST-STATUS OBJECTID "
                    b"MOVE NAMESPACE SPECIAL-USE LITERAL+ BINARY METADATA X-GM-EXT-1"
                ),
            ),
            Fault(step="ID", act=say(b"TAG BAD what?\r\n")),
            Fault(step="IDLE", act=say(b"TAG BAD what?\r\n")),
        ),
        late_seconds=61.0,
    ),
)

LOGIN = (
    Behaviour(
        name="the login gets no answer",
        seen="mutt: 'Authenticating (PLAIN)...' for ever",
        faults=(Fault(step="AUTHENTICATE", act=silence, times=2),),
        events=LATER,
        connections=3,
        logins=3,
    ),
    Behaviour(
        name="the login is refused",
        seen="goimapnotify 44: an account locked by retries",
        faults=(Fault(step="AUTHENTICATE", act=say(b"TAG NO [AUTHENTICATIONFAILED] no\r\n")),),
        is_blind=True,
        seconds=7200.0,
        connections=9,
        logins=9,
        complaint="no",
    ),
    Behaviour(
        name="the login is refused without a code",
        seen="RFC 3501 servers: 'NO LOGIN failed'",
        faults=(Fault(step="AUTHENTICATE", act=say(b"TAG NO LOGIN failed\r\n")),),
        is_blind=True,
        connections=3,
        logins=3,
    ),
    *(
        Behaviour(
            name=f"the login is put off with {words.decode()}",
            seen=seen,
            faults=(Fault(step="AUTHENTICATE", act=say(b"TAG %b\r\n" % words), times=3),),
            events=MUCH_LATER,
            seconds=3600.0,
            connections=4,
            logins=4,
        )
        for words, seen in {
            b"NO [UNAVAILABLE] Internal error": "Dovecot while its password database is away",
            b"NO [INUSE] try later": "RFC 5530",
            b"NO [LIMIT] too many sessions": "RFC 5530",
            b"NO [ALERT] Too many simultaneous connections. (Failure)": "imapsync 61: Gmail",
            b"BAD Request is throttled. Suggested Backoff Time: 299000 ms": "Exchange",
            b"NO [UNAVAILABLE] Maximum number of connections from user+IP": "node-imap 606",
        }.items()
    ),
    Behaviour(
        name="the connection is closed at the login",
        seen="MailKit 564: Yahoo",
        faults=(Fault(step="AUTHENTICATE", act=hang_up, times=3),),
        events=LATER,
        connections=4,
        logins=4,
    ),
    Behaviour(
        name="the connection is closed after the login",
        seen="TRAPS: accepted, then dropped, 400 times",
        faults=(Fault(step="ID", act=hang_up), Fault(step="EXAMINE", act=hang_up)),
        is_blind=True,
        connections=RETRIES,
        logins=RETRIES,
    ),
    Behaviour(
        name="logged in but not connected",
        seen="node-imap 523: 'User is authenticated but not connected', Office 365",
        faults=(
            Fault(
                step="EXAMINE",
                act=say(b"TAG BAD User is authenticated but not connected.\r\n"),
                times=4,
            ),
        ),
        events=LATER,
        connections=5,
        complaint="not connected",
    ),
    Behaviour(
        name="the login is answered under a wrong tag",
        seen="TRAPS 16",
        faults=(Fault(step="AUTHENTICATE", act=before(b"ZZZ1 OK welcome\r\nA1 OK welcome\r\n")),),
    ),
    Behaviour(
        name="the login is answered under a wrong tag only",
        seen="an out-of-step proxy",
        faults=(Fault(step="AUTHENTICATE", act=say(b"ZZZ1 OK welcome\r\n"), times=1),),
        events=LATER,
        connections=2,
        logins=2,
    ),
    Behaviour(
        name="a go-ahead that nobody asked for",
        seen="qq.com sends '+' twice; TRAPS 16",
        faults=(
            Fault(step="ID", act=before(b"+ what?\r\n")),
            Fault(step="EXAMINE", act=before(b"+\r\n")),
        ),
    ),
    Behaviour(
        name="the first words of SASL are asked for again",
        seen="SASL-IR is offered but not understood",
        faults=(
            Fault(step="greeting", act=offering(b"IMAP4rev1 IDLE AUTH=PLAIN")),
            Fault(step="AUTHENTICATE +", act=say(b"+ go ahead\r\n")),
        ),
    ),
    Behaviour(
        name="LOGINDISABLED and no other way",
        seen="TRAPS 26",
        faults=(Fault(step="greeting", act=offering(b"IMAP4rev1 LOGINDISABLED")),),
        is_blind=True,
        connections=3,
        logins=0,
        complaint="no way to log in",
    ),
    Behaviour(
        name="the login takes 50 seconds",
        seen="Dovecot's auth_failure_delay behind a proxy",
        faults=(Fault(step="AUTHENTICATE", act=late(50.0)),),
        events=LATER,
    ),
    Behaviour(
        name="the connection is reset in the middle of the greeting",
        seen="load balancers",
        faults=(Fault(step="greeting", act=cut(9), times=1), Fault(step="ID", act=reset, times=1)),
        events=LATER,
        connections=3,
    ),
    Behaviour(
        name="the connection vanishes at the login",
        seen="NAT; imapflow 14",
        faults=(Fault(step="AUTHENTICATE", act=vanish, times=1),),
        events=LATER,
        connections=2,
    ),
)

BEHAVIOURS = CAPABILITIES + LOGIN
