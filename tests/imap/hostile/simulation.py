"""Half an hour with one behaviour: the real watcher, session and client, and a clock.

Every `Behaviour` is held to the same promises: each letter that arrives is in the
journal exactly once and in order, and nothing that lay there before; it comes in
time; no exception is logged; no more connections than allowed; the password is
heard only over verified TLS; when the watcher is stopped, nothing of it is left;
no turn of the reactor took long, and no memory is held.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from math import inf
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import trustme
from msgspec import Struct
from twisted.internet.defer import succeed
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from mailnotify.auth.sasl import Password
from mailnotify.config.schema import Account, CaFile, Literal, Security, Server, Timing
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import AccountState, NewMail
from mailnotify.core.patterns import read_wanted
from mailnotify.imap.session import open_session
from mailnotify.interfaces import IMailSession
from mailnotify.watching.crew import Crew, Seat
from mailnotify.watching.gate import LoginGate
from mailnotify.watching.lookout import Lookout
from mailnotify.watching.place import Place
from mailnotify.watching.roster import Roster
from mailnotify.watching.turnstile import Turnstile
from mailnotify.watching.watcher import Watcher
from tests.fakes import NOON, MemoryJournal
from tests.imap.hostile.network import MemoryConnector, Network, server_side_tls
from tests.imap.hostile.server import PASSWORD, SECRETS, USER, Box, Conversation, Fault
from tests.rigs.certificates import Certificates, shown

MOST_TURNS = 150_000
"""Of the reactor, in one play; who needs more has been caught in a loop."""

OLD = (b"old 1", b"old 2")
"""What lies in the mailbox before the watcher comes."""


class Behaviour(Struct, frozen=True, kw_only=True):
    """One way in which servers were seen to misbehave, and what must come out.

    Attributes:
        name: as a sentence; becomes the name of a test.
        seen: who met it: a client's issue, a TRAPS-like finding, an RFC.
        faults: what is done to the answers.
        prepare: changes the mailbox before the watcher starts.
        events: what happens in the mailbox, and at which second.
        subjects: what must be journalled, if it is not every letter of `events`.
        late_seconds: how long each letter may take from its arrival.
        connections: how many attempts there may be in all.
        logins: how often the password may be sent.
        commands: how many lines may be sent to the server in all, if that is to be bounded.
        states: what readers must be told of the mailbox, in this order, if it matters.
        patterns: bring mailboxes beside the one that is named.
        complaint: words that the log must have, so that a person knows.
        is_blind: whether nothing can be watched: no letter is expected.
        certificate: which one of `certificates` the server shows.
        security: TLS from the first byte or STARTTLS.
        door: what becomes of the TCP connection, before any TLS.
        seconds: how long it is played.
        growth_bytes: how much the process may have grown in the end.
        turn_seconds: of processor time, in the longest turn of the reactor; 50 ms are the
            aim, but coverage costs much.
    """

    name: str
    seen: str
    faults: tuple[Fault, ...] = ()
    prepare: Callable[[Box], object] = lambda box: None
    events: tuple[tuple[float, Callable[[Box], object]], ...] | None = None
    subjects: tuple[str, ...] | None = None
    late_seconds: float = 1.0
    connections: int = 1
    logins: int | None = None
    commands: int | None = None
    states: tuple[str, ...] | None = None
    patterns: tuple[str, ...] = ()
    complaint: str = ""
    is_blind: bool = False
    certificate: str = "good"
    security: Security = Security.IMPLICIT_TLS
    door: Callable[[World], Protocol | None] | None = None
    seconds: float = 1800.0
    growth_bytes: int = 32 * 1024 * 1024
    turn_seconds: float = 0.5


def letters(*subjects: str) -> Callable[[Box], object]:
    """These letters arrive together."""
    return lambda box: box.add(*(subject.encode() for subject in subjects))


LATER = ((400.0, letters("one")), (600.0, letters("two", "three")), (1400.0, letters("four")))
"""The same for behaviours that begin with some minutes of trouble."""

USUAL = ((20.0, letters("one")), (200.0, letters("two", "three")), (1000.0, letters("four")))
"""One letter soon, two at once later, and one after a renewal of IDLE."""


@cache
def certificates() -> tuple[Path, dict[str, CertificateOptions]]:
    """The authority that the watcher trusts, and what servers may show."""
    folder = Path(mkdtemp(prefix="mailnotify-hostile-"))
    own, other = Certificates(folder), trustme.CA()
    alone = folder / "alone.cert.pem", folder / "alone.key.pem"
    other.cert_pem.write_to_path(str(alone[0]))
    other.private_key_pem.write_to_path(str(alone[1]))
    files = {
        "good": (own.cert_file, own.key_file),
        "expired": own.issue("expired", "localhost", expired=True),
        "for another host": own.issue("other", "mail.example.net"),
        "of an unknown authority": own.issue("unknown", "localhost", by=other),
        "self-signed": alone,
    }
    options = {}
    for name, (cert_file, key_file) in files.items():
        options[name] = shown(cert_file.read_bytes(), key_file.read_bytes())
    return own.ca_file, options


class Outcome(Struct):
    """What came of it."""

    journalled: list[tuple[str, float]]
    attempts: list[float]
    logins: int
    commands: int
    states: tuple[str, ...]
    leaks: int
    complaints: str
    failures: list[str]
    left_over: int
    slowest_seconds: float
    growth_bytes: int


class World:
    """One watcher and one server on one clock."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.clock = Clock()
        self.box = Box()
        self.box.add(*OLD)
        behaviour.prepare(self.box)
        self.network = Network(self.clock, self._accept)
        self.journal = MemoryJournal()
        self.journalled: list[tuple[str, float]] = []
        self.arrived = self.box.arrived
        self.states: list[str] = []
        self.logins = self.leaks = self.commands = 0
        self.slowest_seconds = 0.0
        self._turns = 0
        self._seen: dict[int, int] = {}
        self._logged: list[Any] = []
        self.ca_file, self.options = certificates()
        self.lookout = Lookout(
            accept=self._accept_events, recall=self.journal.state, clock=self.clock, now=self._now
        )

    # -- the server's side

    def conversation(self) -> Conversation:
        """The server's side of a new connection, without TLS yet."""
        return Conversation(
            self.box, self.clock, self.behaviour.faults, self._seen, self._hear_secrets
        )

    def _accept(self) -> Protocol | None:
        if self.behaviour.door is not None:
            return self.behaviour.door(self)
        return self.over_tls(self.conversation())

    def over_tls(self, protocol: Protocol) -> Protocol:
        """This protocol behind the certificate of the behaviour."""
        return server_side_tls(self.options[self.behaviour.certificate], protocol, self.clock)

    def _hear_secrets(self, conversation: Conversation, data: bytes) -> None:
        self.commands += data.count(b"\r\n")
        if any(secret in data for secret in SECRETS):
            self.logins += 1
            is_verified = self.behaviour.certificate == "good"
            self.leaks += not (conversation.is_private and is_verified)

    # -- our side

    def _crew(self) -> Crew:
        """The watching of one account, composed as the service does it."""
        timing = Timing(idle_poll_seconds=60.0)
        account = Account(
            name="home",
            server=Server(host="localhost", port=993, security=self.behaviour.security, user=USER),
            password=Literal(text=PASSWORD),
            trust=CaFile(ca_file=str(self.ca_file)),
            timing=timing,
        )
        connector = MemoryConnector(self.network)
        gate = LoginGate(timing, jitter=_jitter, clock=self.clock)
        turnstile = Turnstile(per_host=4, in_all=50, jitter=_jitter, clock=self.clock)

        async def connect() -> IMailSession:
            return await open_session(
                account,
                connector=connector,
                credentials=lambda: succeed(Password(USER, PASSWORD)),
                clock=self.clock,
            )

        async def opened() -> IMailSession:
            return await gate.enter(lambda: turnstile.enter("localhost", connect))

        def watcher(seat: Seat) -> Watcher:
            backoff = Backoff(
                first_seconds=timing.first_retry_seconds,
                most_seconds=timing.longest_retry_seconds,
                jitter=_jitter,
            )
            return Watcher(
                seat,
                seat.begin,
                timing=timing,
                backoff=backoff,
                clock=self.clock,
                jitter=_jitter,
                witness=seat,
            )

        return Crew(
            [self._place(timing, self.box.name)],
            opened,
            watcher,
            most_connections=1 if self.behaviour.patterns else 4,
            clock=self.clock,
            roster=self._roster(timing) if self.behaviour.patterns else None,
        )

    def _place(self, timing: Timing, mailbox: str) -> Place:
        witness = self.lookout.witness("home", mailbox, timing)
        return Place("home", mailbox, self.journal, self._accept_events, witness)

    def _roster(self, timing: Timing) -> Roster:
        """What patterns bring, composed as the service does it."""

        def brought(mailbox: str) -> Place:
            place = self._place(timing, mailbox)
            place.is_brought = True
            return place

        return Roster(
            "home",
            read_wanted((self.box.name, *self.behaviour.patterns)),
            self.journal,
            brought,
            witness=self.lookout.witness("home", "*", timing),
            list_seconds=timing.list_seconds,
            clock=self.clock,
            now=self._now,
        )

    def _now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def _accept_events(self, events: Any, move: Any = None) -> None:
        for entry in self.journal.append(events, move, self._now()):
            if isinstance(entry.event, NewMail):
                self.journalled.append((entry.event.subject, self.clock.seconds()))
            elif isinstance(entry.event, AccountState) and entry.event.mailbox == self.box.name:
                self.states.append(entry.event.state)

    # -- the play

    def play(self) -> Outcome:
        """Run the watcher through all of it and stop it."""
        before = resident_bytes()
        globalLogPublisher.addObserver(self._logged.append)
        try:
            crew = self._crew()
            events = USUAL if self.behaviour.events is None else self.behaviour.events
            for second, happens in events:
                self.clock.callLater(second, self._happen, happens)
            self._turn(self.lookout.startService)
            self._turn(crew.startService)
            self.run(self.behaviour.seconds)
            growth = resident_bytes() - before
            stopped: list[object] = []
            self._turn(self.lookout.stopService)
            self._turn(lambda: crew.stopService().addBoth(stopped.append))
            self.run(5.0)
            assert stopped, "the watcher does not stop"
        finally:
            globalLogPublisher.removeObserver(self._logged.append)
        return Outcome(
            journalled=self.journalled,
            attempts=self.network.attempts,
            logins=self.logins,
            commands=self.commands,
            states=tuple(self.states),
            leaks=self.leaks,
            complaints=self._complaints(),
            failures=self._failures(),
            left_over=len(self.clock.getDelayedCalls()),
            slowest_seconds=self.slowest_seconds,
            growth_bytes=growth,
        )

    def run(self, seconds: float) -> None:
        """Let time pass, from one timer to the next, until all is quiet at each."""
        end = self.clock.seconds() + seconds
        while True:
            self.network.pump(self._turn)
            due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=inf)
            if due > end:
                break
            self.clock.rightNow = max(due, self.clock.seconds())  # a sum may fall short of it
            self._turn(lambda: self.clock.advance(0))
        self.clock.rightNow = end

    def _turn(self, work: Callable[[], object]) -> None:
        self._turns += 1
        assert self._turns < MOST_TURNS, "it goes round and round"
        started = time.thread_time()
        work()
        self.slowest_seconds = max(self.slowest_seconds, time.thread_time() - started)

    def _happen(self, happens: Callable[[Box], object]) -> None:
        known = set(self.box.letters.values())
        happens(self.box)
        for subject in self.box.letters.values():
            if subject not in known:
                self.arrived[subject.decode()] = self.clock.seconds()

    def _complaints(self) -> str:
        levels = (LogLevel.warn, LogLevel.error, LogLevel.critical)
        logged = [event for event in self._logged if event.get("log_level") in levels]
        return "\n".join(formatEvent(event) for event in logged)

    def _failures(self) -> list[str]:
        return [str(event["log_failure"]) for event in self._logged if "log_failure" in event]


def _jitter() -> float:
    return 0.5


def resident_bytes() -> int:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
