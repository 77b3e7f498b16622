"""An honest IMAP server in memory, with a place in every answer for a `Fault`.

A `Conversation` answers commands from a `Box` of letters as RFC 9051 asks: it tells
of arrivals during IDLE at once and otherwise with the next answer, of removals
never during a FETCH, and speaks of UIDs and sequence numbers by its own view. Each
answer passes the faults before it is sent; an unknown command is answered BAD.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol

from tests.imap.hostile.network import Socket

USER, PASSWORD = "demo", "hunter2-Zq9"
CAPABILITY = b"IMAP4rev1 IDLE SASL-IR AUTH=PLAIN ID"

SECRETS = (
    PASSWORD.encode(),
    base64.b64encode(PASSWORD.encode()),
    base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()),
)
"""The password as LOGIN, AUTHENTICATE LOGIN and AUTHENTICATE PLAIN would send it."""

Act = Callable[["Conversation", bytes], bytes | None]
"""Makes of an honest answer what is sent; None and b"" are silence."""


class Fault(Struct, frozen=True, kw_only=True):
    """What is done to some of the answers.

    Attributes:
        step: ``greeting``, ``news`` (pushed in IDLE), the name of a command as in
            ``UID FETCH``, ``DONE``; ``*`` for all but the greeting, ``**`` for all.
        act: what is done.
        skip: so many of them are honest first, over all connections.
        times: so many are not, after that; None for all.
    """

    step: str
    act: Act
    skip: int = 0
    times: int | None = None

    def fits(self, step: str) -> bool:
        return self.step in (step, "**") or (self.step == "*" and step != "greeting")


class Box:
    """The mailbox as the server has it, and who must be told of its changes."""

    def __init__(self) -> None:
        self.name = "INBOX"
        self.uidvalidity = 7
        self.uidnext = 1
        self.letters: dict[int, bytes] = {}
        self.conversations: list[Conversation] = []
        self.arrived: dict[str, float] = {}
        """When each letter came that is to be announced, by subject."""

    def add(self, *subjects: bytes, uid: int | None = None) -> None:
        """Letters arrive together."""
        for subject in subjects:
            self.letters[uid or self.uidnext] = subject
            self.uidnext = max(self.uidnext, (uid or self.uidnext) + 1)
        self.changed()

    def remove(self, *uids: int) -> None:
        """Letters are removed by somebody else."""
        for uid in uids:
            del self.letters[uid]
        self.changed()

    def renew(self, uidvalidity: int, *subjects: bytes, first_uid: int = 1) -> None:
        """The mailbox is rebuilt: another UIDVALIDITY, and all UIDs anew."""
        self.uidvalidity = uidvalidity
        subjects = subjects or tuple(self.letters.values())
        self.letters = {first_uid + place: each for place, each in enumerate(subjects)}
        self.uidnext = first_uid + len(subjects)

    def changed(self) -> None:
        """Tell whoever idles."""
        for each in tuple(self.conversations):
            each.push()

    def hang_up(self) -> None:
        """Close all connections, without a word."""
        for each in tuple(self.conversations):
            each.transport.loseConnection()


class Conversation(Protocol):
    """One connection's server side.

    Args:
        box: the only mailbox.
        faults: in order; each makes its answer of that of the one before it.
        seen: how many answers each fault has met, shared by all connections.
        record: gets whatever the client sends, for judging it.

    Attributes:
        tag: of the command that came last.
        idle_tag: of the IDLE that runs.
        uids: what the client was told of, by sequence number.
        busy_until: whatever is said before that moment is sent then, in order.
    """

    transport: Any

    def __init__(
        self,
        box: Box,
        clock: IReactorTime,
        faults: tuple[Fault, ...],
        seen: dict[int, int],
        record: Callable[[Conversation, bytes], None],
    ) -> None:
        self.box = box
        self.clock = clock
        self.capability = CAPABILITY
        self.piece_bytes = 0
        self.busy_until = 0.0
        self.uids: list[int] = []
        self.is_closed = False
        self.is_selected = False
        self.options: Any = None  # for STARTTLS
        self.heard: list[bytes] = []
        self._faults = faults
        self._seen = seen
        self._record = record
        self._buffer = b""
        self._timers: list[IDelayedCall] = []
        self.idle_tag = b""
        self._more: Callable[[bytes], None] | None = None
        self.tag = b""

    # -- what Twisted calls

    def connectionMade(self) -> None:
        self.box.conversations.append(self)
        self.answer("greeting", b"* OK [CAPABILITY %b] ready\r\n" % self.capability)

    def connectionLost(self, reason: Any = None) -> None:
        self.is_closed = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        if self in self.box.conversations:
            self.box.conversations.remove(self)

    def dataReceived(self, data: bytes) -> None:
        self._record(self, data)
        self._buffer += data
        while b"\r\n" in self._buffer and not self.is_closed:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self.heard.append(line)
            if self._more is not None:
                more, self._more = self._more, None
                more(line)
            else:
                self._obey(line)

    # -- what is said

    def answer(self, step: str, honest: bytes) -> None:
        """Send an answer, or what the faults make of it."""
        said: bytes | None = honest
        for place, fault in enumerate(self._faults):
            if said is None or not fault.fits(step):
                continue
            count = self._seen[place] = self._seen.get(place, 0) + 1
            if count > fault.skip and (fault.times is None or count <= fault.skip + fault.times):
                said = fault.act(self, said)
        if said:
            self.say(said)

    def say(self, data: bytes) -> None:
        """Send bytes now, in the pieces that are asked for."""
        if self.clock.seconds() < self.busy_until:
            self.later(self.busy_until - self.clock.seconds(), self._write, data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self.is_closed:
            return
        size = self.piece_bytes or len(data)
        for start in range(0, len(data), size):
            self.transport.write(data[start : start + size])

    def later(self, seconds: float, work: Callable[..., object], *arguments: object) -> None:
        """Do this in some time, if the connection still stands then."""
        self._timers.append(self.clock.callLater(seconds, work, *arguments))

    def push(self) -> None:
        """Tell of changes if the client idles."""
        if self.idle_tag and (news := self.news(may_remove=True)):
            self.answer("news", news)

    def news(self, *, may_remove: bool = False) -> bytes:
        """What the client has not been told of the mailbox; from here on it has."""
        if not self.box.name or not self.is_selected:
            return b""
        said = b""
        if may_remove:
            for seq in range(len(self.uids), 0, -1):
                if self.uids[seq - 1] not in self.box.letters:
                    said += b"* %d EXPUNGE\r\n" % seq
                    del self.uids[seq - 1]
        if added := sorted(set(self.box.letters) - set(self.uids)):
            self.uids = sorted([*self.uids, *added])
            said += b"* %d EXISTS\r\n* 0 RECENT\r\n" % len(self.uids)
        return said

    def slip_in(self, subject: bytes) -> None:
        """A letter arrives, and the server takes it for told."""
        uid = self.box.uidnext
        self.box.letters[uid], self.box.uidnext = subject, uid + 1
        self.box.arrived[subject.decode()] = self.clock.seconds()
        self.uids.append(uid)

    # -- the commands

    def _obey(self, line: bytes) -> None:
        if self.idle_tag:
            tag, self.idle_tag = self.idle_tag, b""
            ended = b"%b OK idled\r\n" if line.upper() == b"DONE" else b"%b BAD no DONE\r\n"
            self.answer("DONE", self.news(may_remove=True) + ended % tag)
            return
        self.tag, _, words = line.partition(b" ")
        name, _, arguments = words.partition(b" ")
        name = name.upper()
        if name == b"UID":
            verb, _, arguments = arguments.partition(b" ")
            name += b" " + verb.upper()
        step = name.decode("latin-1")
        method = getattr(self, "do_" + step.lower().replace(" ", "_"), None)
        if method is None:
            self.answer(step, b"%b BAD unknown command\r\n" % self.tag)
        else:
            method(arguments)

    def _end(self, step: str, untagged: bytes = b"", said: bytes = b"OK done") -> None:
        self.answer(step, untagged + b"%b %b\r\n" % (self.tag, said))

    def do_capability(self, _: bytes) -> None:
        self._end("CAPABILITY", b"* CAPABILITY %b\r\n" % self.capability)

    def do_starttls(self, _: bytes) -> None:
        self._end("STARTTLS")
        if self.options is not None:
            self.capability = CAPABILITY
            self.transport.startTLS(self.options, False)

    def do_id(self, _: bytes) -> None:
        self._end("ID", b'* ID ("name" "hostile")\r\n')

    def do_authenticate(self, arguments: bytes) -> None:
        _, _, opening = arguments.partition(b" ")
        if opening:
            self._judge("AUTHENTICATE", opening)
        else:
            self._more = lambda line: self._judge("AUTHENTICATE", line)
            self.answer("AUTHENTICATE +", b"+ \r\n")

    def do_login(self, arguments: bytes) -> None:
        self._judge("LOGIN", SECRETS[2] if PASSWORD.encode() in arguments else b"")

    def _judge(self, step: str, proof: bytes) -> None:
        if proof == SECRETS[2]:
            self._end(step, said=b"OK [CAPABILITY %b] welcome" % self.capability)
        else:
            self._end(step, said=b"NO [AUTHENTICATIONFAILED] wrong")

    def do_examine(self, _: bytes) -> None:
        self.uids, self.is_selected = sorted(self.box.letters), True
        told = (
            b"* FLAGS (\\Answered \\Seen)\r\n* OK [PERMANENTFLAGS ()] none\r\n"
            b"* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] ok\r\n"
        )
        told %= len(self.uids), self.box.uidvalidity, self.box.uidnext
        self._end("EXAMINE", told, b"OK [READ-ONLY] done")

    do_select = do_examine

    def do_status(self, arguments: bytes) -> None:
        name = arguments.rpartition(b" (")[0]
        values = {
            b"MESSAGES": len(self.box.letters),
            b"UIDNEXT": self.box.uidnext,
            b"UIDVALIDITY": self.box.uidvalidity,
            b"UNSEEN": len(self.box.letters),
            b"RECENT": 0,
        }
        asked = arguments.rpartition(b"(")[2].rstrip(b")").upper().split()
        told = b" ".join(b"%b %d" % (each, values[each]) for each in asked if each in values)
        self._end("STATUS", b"* STATUS %b (%b)\r\n" % (name, told) + self.news(may_remove=True))

    def do_list(self, arguments: bytes) -> None:
        name = b'""' if arguments.endswith(b' ""') else self.box.name.encode()
        self._end("LIST", b'* LIST () "/" %b\r\n' % name)

    def do_noop(self, _: bytes) -> None:
        self._end("NOOP", self.news(may_remove=True))

    do_check = do_noop

    def do_idle(self, _: bytes) -> None:
        if b"IDLE" not in self.capability:
            self._end("IDLE", said=b"BAD no IDLE here")
            return
        self.idle_tag = self.tag
        self.answer("IDLE", b"+ idling\r\n")
        self.push()

    def do_logout(self, _: bytes) -> None:
        self._end("LOGOUT", b"* BYE bye\r\n")
        self.transport.loseConnection()

    def do_uid_search(self, arguments: bytes) -> None:
        found = re.search(rb"UID ([0-9*:,]+)", arguments)
        uids = self._expand(found[1]) if found else [*self.uids]
        told = b"".join(b" %d" % uid for uid in uids if uid in self.box.letters)
        self._end("UID SEARCH", b"* SEARCH%b\r\n" % told + self.news())

    def do_uid_fetch(self, arguments: bytes) -> None:
        words, _, items = arguments.partition(b" ")
        told = b"".join(self.fetched(uid, items) for uid in self._expand(words))
        self._end("UID FETCH", told + self.news())

    def fetched(self, uid: int, items: bytes = b"FLAGS HEADER.FIELDS (SUBJECT)") -> bytes:
        """One FETCH response of a letter that is still there."""
        if uid not in self.box.letters:
            return b""
        told = b"UID %d" % uid
        if b"FLAGS" in items:
            told += b" FLAGS ()"
        if b"INTERNALDATE" in items:
            is_old = self.box.letters[uid].startswith(b"old")
            told += b' INTERNALDATE "%b-2026 12:00:00 +0000"' % (b"01-Jan", b"02-Jan")[not is_old]
        if b"RFC822.SIZE" in items:
            told += b" RFC822.SIZE 345"
        if b"BODYSTRUCTURE" in items:
            told += b' BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 6 1 NIL NIL NIL NIL)'
        if section := re.search(rb"(HEADER\.FIELDS \([^)]*\))\]?", items):
            header = b"From: a@example.org\r\nSubject: %b\r\n\r\n" % self.box.letters[uid]
            told += b" BODY[%b] {%d}\r\n%b" % (section[1], len(header), header)
        return b"* %d FETCH (%b)\r\n" % (self.uids.index(uid) + 1, told)

    def _expand(self, words: bytes) -> list[int]:
        """UIDs of a sequence-set, as the client was told of them."""
        found, highest = set(), max(self.uids, default=0)
        for part in words.split(b","):
            first, _, last = part.partition(b":")
            ends = [highest if end == b"*" else int(end) for end in (first, last or first)]
            found |= {uid for uid in self.uids if min(ends) <= uid <= max(ends)}
        return sorted(found)

    @property
    def is_private(self) -> bool:
        """Whether what the client sends comes over TLS."""
        return self.transport is not self.socket or self.socket.is_private

    @property
    def socket(self) -> Socket:
        """The connection below TLS."""
        transport = self.transport
        while not isinstance(transport, Socket):
            transport = transport.transport
        return transport
