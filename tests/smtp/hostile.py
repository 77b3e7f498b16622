"""What submission servers do wrong, as data: what each does, and what must come out.

Each is tried for one letter by itself and for one on a connection that is held;
the outcome is the same. Where it is a matter of the way that is spoken, the
behaviour names the offer that leads there.
"""

from __future__ import annotations

from msgspec import Struct

from mailnotify.errors import (
    ChannelInsecure,
    DeadlinePassed,
    LetterInvalid,
    LoginDeferred,
    LoginDenied,
    MailnotifyError,
    NotConnected,
    OutcomeUnknown,
    ProtocolViolated,
    SubmissionFailed,
)
from tests.smtp.scripted import CUT, STALL, TLS, Behaviour

BOB, EVE = "bob@x.org", "eve@x.org"

_COMMON = b"250-x\r\n250-SIZE 1000000\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-8BITMIME\r\n"
STEPWISE = _COMMON + b"250 AUTH PLAIN\r\n"
GROUPED = _COMMON + b"250-PIPELINING\r\n250 AUTH PLAIN\r\n"
CHUNKED = _COMMON + b"250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH PLAIN\r\n"


class Hostile(Struct, frozen=True, kw_only=True):
    """One server.

    Attributes:
        kind: the error that must come; None for a letter that is accepted by all.
        words: part of what it says.
        accepted, refused: recipients, the refused ones with their codes.
        letters: how many the server took in.
        is_remembered: whether it is spoken to step by step from then on.
    """

    name: str
    does: Behaviour
    kind: type[MailnotifyError] | None = None
    words: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[tuple[str, int], ...] = ()
    letters: int = 0
    is_remembered: bool = False


def _server(offer: bytes = GROUPED, **does: object) -> Behaviour:
    """A server that lies in some of its replies, given by verb in capitals."""
    replies = {verb: [words] for verb, words in does.items() if verb.isupper()}
    others = {key: value for key, value in does.items() if not key.isupper()}
    return Behaviour(private=offer, replies=replies, **others)  # type: ignore[arg-type]


_NOBODY = ((BOB, 550), (EVE, 550))
_UNKNOWN = {BOB: b"550 5.1.1 unknown\r\n", EVE: b"550 5.1.1 unknown\r\n"}
_SLOW = b"250-a\r\n250-b\r\n250 c\r\n"

SERVERS: tuple[Hostile, ...] = (
    # Good servers, in every way that is spoken, however their bytes come.
    *(
        Hostile(
            name=f"good, {offer_name}{', byte by byte' if dribbles else ''}",
            does=_server(offer, dribbles=dribbles),
            accepted=(BOB, EVE),
            letters=1,
        )
        for offer_name, offer in (("plain", STEPWISE), ("groups", GROUPED), ("chunks", CHUNKED))
        for dribbles in (False, True)
    ),
    Hostile(
        name="replies of several lines everywhere",
        does=_server(CHUNKED, MAIL=_SLOW, RCPT=_SLOW, BDAT=_SLOW, AUTH=b"235-a\r\n235 b\r\n"),
        accepted=(BOB, EVE),
        letters=1,
    ),
    # Refusals.
    Hostile(
        name="one recipient refused in a group",
        does=_server(refused={EVE: b"550 5.1.1 unknown\r\n"}),
        kind=SubmissionFailed,
        words="eve@x.org: 550 5.1.1 unknown",
        accepted=(BOB,),
        refused=((EVE, 550),),
        letters=1,
    ),
    Hostile(
        name="one recipient deferred in a group with BDAT",
        does=_server(CHUNKED, refused={BOB: b"450 4.2.0 greylisted\r\n"}),
        kind=SubmissionFailed,
        accepted=(EVE,),
        refused=((BOB, 450),),
        letters=1,
    ),
    Hostile(
        name="all recipients refused, and DATA too",
        does=_server(refused=_UNKNOWN),
        kind=SubmissionFailed,
        refused=_NOBODY,
    ),
    Hostile(
        name="all recipients refused, and DATA allowed: a lone dot ends it",
        does=_server(refused=_UNKNOWN, DATA=b"354 go\r\n", DOT=b"554 5.5.1 nobody\r\n"),
        kind=SubmissionFailed,
        refused=_NOBODY,
        letters=1,
    ),
    Hostile(
        name="all recipients refused, and the letter came along by BDAT",
        does=_server(CHUNKED, refused=_UNKNOWN),
        kind=SubmissionFailed,
        refused=_NOBODY,
    ),
    Hostile(
        name="all recipients refused, and then the line is cut",
        does=_server(CHUNKED, refused=_UNKNOWN, BDAT=CUT),
        kind=SubmissionFailed,
        refused=_NOBODY,
    ),
    *(
        Hostile(
            name=f"sender refused, {offer_name}",
            does=_server(offer, MAIL=b"550 5.7.1 not yours\r\n"),
            kind=SubmissionFailed,
            words="not yours",
            refused=_NOBODY,
        )
        for offer_name, offer in (("plain", STEPWISE), ("groups", GROUPED), ("chunks", CHUNKED))
    ),
    Hostile(
        name="sender refused, and DATA allowed: cut, not a letter of nobody's",
        does=_server(MAIL=b"550 5.7.1 not yours\r\n", DATA=b"354 go\r\n"),
        kind=SubmissionFailed,
        words="not yours",
        refused=_NOBODY,
    ),
    Hostile(
        name="DATA refused for now",
        does=_server(DATA=b"451 4.3.1 no disk\r\n"),
        kind=SubmissionFailed,
        refused=((BOB, 451), (EVE, 451)),
    ),
    Hostile(
        name="letter refused by DATA",
        does=_server(DOT=b"554 5.7.1 spam\r\n"),
        kind=SubmissionFailed,
        refused=((BOB, 554), (EVE, 554)),
        letters=1,
    ),
    Hostile(
        name="letter refused by BDAT, one recipient before it",
        does=_server(CHUNKED, BDAT=b"452 4.3.1 full\r\n", refused={BOB: b"550 5.1.1 unknown\r\n"}),
        kind=SubmissionFailed,
        refused=((BOB, 550), (EVE, 452)),
        letters=1,
    ),
    Hostile(
        name="a limit on size",
        does=_server(STEPWISE.replace(b"1000000", b"10")),
        kind=LetterInvalid,
        words="at most the 10 bytes",
    ),
    # Logins.
    Hostile(
        name="wrong password",
        does=_server(AUTH=b"535 5.7.8 authentication failed: (reason unavailable)\r\n"),
        kind=LoginDenied,
        words="535 5.7.8",
    ),
    Hostile(
        name="no judge for logins now",
        does=_server(AUTH=b"454 4.7.0 later\r\n"),
        kind=LoginDeferred,
        words="454 4.7.0",
    ),
    Hostile(name="no login at all", does=_server(b"250 x\r\n"), kind=LoginDenied),
    Hostile(
        name="challenges without end",
        does=_server(AUTH=b"334 \r\n"),
        kind=ProtocolViolated,
    ),
    # Groups that the server offers and cannot take.
    Hostile(
        name="throws away what is behind the first line of a group",
        does=_server(flushes=True),
        kind=DeadlinePassed,
        words="RCPT",
        is_remembered=True,
    ),
    Hostile(
        name="hangs after a group",
        does=_server(RCPT=STALL),
        kind=DeadlinePassed,
        words="RCPT",
        is_remembered=True,
    ),
    Hostile(
        name="cuts after a group",
        does=_server(RCPT=CUT),
        kind=NotConnected,
        words="closed the connection",
        is_remembered=True,
    ),
    Hostile(
        name="calls a group a bad sequence",
        does=_server(MAIL=b"503 5.5.1 bad sequence of commands\r\n"),
        kind=SubmissionFailed,
        words="lost count",
        refused=((BOB, -1), (EVE, -1)),
        is_remembered=True,
    ),
    Hostile(
        name="calls a group a synchronization error",
        does=_server(RCPT=b"554 SMTP synchronization error\r\n"),
        kind=SubmissionFailed,
        refused=((BOB, -1), (EVE, -1)),
        is_remembered=True,
    ),
    Hostile(
        name="calls DATA in a group a bad sequence",
        does=_server(DATA=b"503 5.5.1 bad sequence\r\n"),
        kind=SubmissionFailed,
        refused=((BOB, -1), (EVE, -1)),
        is_remembered=True,
    ),
    Hostile(
        name="answers MAIL twice",
        does=_server(MAIL=b"250 a\r\n250 b\r\n"),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    Hostile(
        name="answers MAIL twice, and the letter came along by BDAT",
        does=_server(CHUNKED, MAIL=b"250 a\r\n250 b\r\n"),
        kind=OutcomeUnknown,
        words="once too often",
        letters=1,
        is_remembered=True,
    ),
    Hostile(
        name="offers CHUNKING and takes the letter for commands",
        does=_server(CHUNKED, ignores_bdat=True),
        kind=OutcomeUnknown,
        is_remembered=True,
    ),
    Hostile(
        name="hangs at BDAT",
        does=_server(CHUNKED, BDAT=STALL),
        kind=OutcomeUnknown,
        words="within 40 s",
        letters=1,
        is_remembered=True,
    ),
    Hostile(
        name="garbage within a group",
        does=_server(RCPT=b"* OK IMAP4rev1\r\n"),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    # 421, the end in good order, at every step.
    *(
        Hostile(
            name=f"421 at {verb}, {offer_name}",
            does=_server(offer, **{verb: b"421 4.3.2 shutting down\r\n" + CUT}),
            kind=NotConnected,
            words="it is closing: 421 4.3.2 shutting down",
        )
        for offer_name, offer in (("plain", STEPWISE), ("groups", GROUPED), ("chunks", CHUNKED))
        for verb in ("EHLO", "AUTH", "MAIL", "RCPT", *(() if offer is CHUNKED else ("DATA",)))
    ),
    Hostile(
        name="421 at BDAT: refused for now, in good order",
        does=_server(CHUNKED, BDAT=b"421 4.3.2 shutting down\r\n" + CUT),
        kind=SubmissionFailed,
        refused=((BOB, 421), (EVE, 421)),
        letters=1,
    ),
    Hostile(
        name="421 for one recipient, and then the letter is taken for the other",
        does=_server(CHUNKED, refused={BOB: b"421 4.7.0 slow down\r\n"}),
        kind=SubmissionFailed,
        accepted=(EVE,),
        refused=((BOB, 421),),
        letters=1,
    ),
    # Lines that are cut, and silence.
    *(
        Hostile(
            name=f"cut at {verb}, {offer_name}",
            does=_server(offer, **{verb: CUT}),
            kind=kind,
            letters=1 if verb in ("DOT", "BDAT") else 0,
            is_remembered=offer is not STEPWISE and verb != "DOT",
        )
        for offer_name, offer, verb, kind in (
            ("plain", STEPWISE, "MAIL", NotConnected),
            ("plain", STEPWISE, "DOT", OutcomeUnknown),
            ("groups", GROUPED, "MAIL", NotConnected),
            ("groups", GROUPED, "DATA", NotConnected),
            ("groups", GROUPED, "DOT", OutcomeUnknown),
            ("chunks", CHUNKED, "MAIL", OutcomeUnknown),
            ("chunks", CHUNKED, "RCPT", OutcomeUnknown),
            ("chunks", CHUNKED, "BDAT", OutcomeUnknown),
        )
    ),
    *(
        Hostile(
            name=f"silent at {verb}, {offer_name}",
            does=_server(offer, **{verb: STALL}),
            kind=kind,
            letters=1 if verb in ("DOT", "BDAT") else 0,
            is_remembered=offer is not STEPWISE and verb not in ("DOT", "AUTH"),
        )
        for offer_name, offer, verb, kind in (
            ("plain", STEPWISE, "RCPT", DeadlinePassed),
            ("groups", GROUPED, "AUTH", DeadlinePassed),
            ("groups", GROUPED, "MAIL", DeadlinePassed),
            ("groups", GROUPED, "DATA", DeadlinePassed),
            ("groups", GROUPED, "DOT", OutcomeUnknown),
            ("chunks", CHUNKED, "MAIL", OutcomeUnknown),
        )
    ),
    Hostile(name="silent from the start", does=Behaviour(greeting=STALL), kind=DeadlinePassed),
    # What is no answer.
    Hostile(name="HTTP", does=Behaviour(greeting=b"HTTP/1.1 400 no\r\n"), kind=ProtocolViolated),
    Hostile(
        name="refused in the greeting", does=Behaviour(greeting=b"554 no\r\n"), kind=NotConnected
    ),
    Hostile(
        name="a line without end",
        does=_server(MAIL=b"250 " + b"x" * 20_000),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    Hostile(
        name="a reply without end",
        does=_server(RCPT=b"250-x\r\n" * 1000),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    Hostile(
        name="a flood of replies",
        does=_server(MAIL=b"250 x\r\n" * 1000),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    Hostile(
        name="success before there is a letter",
        does=_server(DATA=b"250 accepted\r\n"),
        kind=ProtocolViolated,
        is_remembered=True,
    ),
    Hostile(
        name="354 after the letter",
        does=_server(DOT=b"354 more\r\n"),
        kind=OutcomeUnknown,
        letters=1,
    ),
    Hostile(
        name="terminal codes in a refusal",
        does=_server(DOT=b"554 \x1b[2J\x07\xe2\x80\xaespam\r\n"),
        kind=SubmissionFailed,
        refused=((BOB, 554), (EVE, 554)),
        letters=1,
    ),
    # TLS.
    Hostile(
        name="STARTTLS taken away",
        does=Behaviour(is_tls=False, clear=b"250-x\r\n250 AUTH PLAIN\r\n"),
        kind=ChannelInsecure,
    ),
    Hostile(
        name="an answer put behind STARTTLS",
        does=Behaviour(is_tls=False, replies={"STARTTLS": [b"220 go\r\n250 ok\r\n" + TLS]}),
        kind=ProtocolViolated,
        words="unasked",
    ),
)
