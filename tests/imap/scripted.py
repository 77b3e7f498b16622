"""An IMAP server in a script: what it says to each command stands in a table.

::

    server = ScriptedServer()
    server.answers[b"NOOP"] = [b"* 3 EXISTS\r\nTAG OK\r\n"]
    client = server.connect(clock)
    ...
    server.pump()

Keys are the beginnings of commands without their tag; the longest one that fits
counts. The value is a list of steps: the first answers the command, each other
one the client's next line (a literal, a SASL answer, ``DONE``). ``TAG`` stands
for the command's tag; an empty step is silence. A function of the command's
words may stand in place of the list.

Nothing is sent from within the client's `write`: `pump` lets the server read and
answer until both are quiet, in pieces of `piece_bytes`, or cut at `cut_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.config.schema import Security, Server, Trust
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Pipeline
from mailnotify.interfaces import IConnector

Steps = list[bytes]
Answer = Steps | Callable[[bytes], Steps]

CAPABILITY = b"IMAP4rev1 IDLE SASL-IR AUTH=PLAIN"

ORDINARY: dict[bytes, Answer] = {
    b"CAPABILITY": [b"* CAPABILITY %b\r\nTAG OK\r\n" % CAPABILITY],
    b"STARTTLS": [b"TAG OK begin\r\n"],
    b"AUTHENTICATE": [b"TAG OK [CAPABILITY %b] welcome\r\n" % CAPABILITY],
    b"EXAMINE": [
        b"* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n"
        b"* OK [UIDNEXT 12] n\r\nTAG OK [READ-ONLY] done\r\n"
    ],
    b"NOOP": [b"TAG OK\r\n"],
    b"IDLE": [b"+ idling\r\n", b"TAG OK idled\r\n"],
    b"LOGOUT": [b"* BYE\r\nTAG OK\r\n"],
}


class ScriptedTransport(StringTransport):
    """Ends at once when it is told to, as no real one does, and remembers how."""

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self.server = server
        self.is_aborted = False
        self.is_lost = False

    def write(self, data: bytes) -> None:
        self.server.writes.append(data)

    def abortConnection(self) -> None:
        self.is_aborted = True
        self.server.lose(ConnectionAborted())

    def loseConnection(self) -> None:
        if not self.server.is_frozen:
            self.server.lose(ConnectionDone())

    def startTLS(self, options: object) -> None:
        self.server.tls_options.append(options)


class ScriptedServer:
    """One connection's other end.

    Attributes:
        answers: begins as `ORDINARY`.
        greeting: sent when the client has connected.
        heard: the client's lines without their tags, in order.
        writes: what the client wrote, each write by itself, until the next `pump`.
        all_writes: those before it.
        is_frozen: the server neither answers nor closes.
    """

    def __init__(self, greeting: bytes = b"* OK hello\r\n", **changes: Any) -> None:
        self.greeting = greeting
        self.answers: dict[bytes, Answer] = dict(ORDINARY)
        self.heard: list[bytes] = []
        self.writes: list[bytes] = []
        self.all_writes: list[bytes] = []
        self.tls_options: list[object] = []
        self.is_frozen = False
        self.piece_bytes = 65536
        self.cut_at = -1
        self.sent_bytes = 0
        self.client: MailboxClient
        self.transport = ScriptedTransport(self)
        self._steps: Steps = []
        self._tag = b""
        self._out = b""
        for name, value in changes.items():
            setattr(self, name, value)

    # -- the connection

    def connect(self, clock: IReactorTime, **options: Any) -> MailboxClient:
        """A client that is connected, privately, and greeted."""
        pipeline = Pipeline(**options)
        client = MailboxClient(
            "imap.example:993", clock=clock, command_seconds=60.0, pipeline=pipeline
        )
        self.attach(client)
        client.handshakeCompleted()
        self.send(self.greeting)
        self.pump()
        return client

    def attach(self, client: MailboxClient) -> None:
        """Be the other end of this client."""
        self.client = client
        client.makeConnection(self.transport)

    def lose(self, reason: Exception) -> None:
        """The connection is gone."""
        if not self.transport.is_lost:
            self.transport.is_lost = True
            self.client.connectionLost(Failure(reason))

    # -- the dialogue

    def send(self, data: bytes) -> None:
        """Say something; it leaves with the next `pump`."""
        self._out += data

    def say(self, data: bytes) -> None:
        """Say something now."""
        self.send(data)
        self.pump()

    def finish(self, words: bytes = b"OK") -> None:
        """End the command that a silent step has left open."""
        self._steps = []
        self.say(self._tag + b" " + words + b"\r\n")

    def pump(self) -> None:
        """Read, answer and send until both sides are quiet."""
        while self.writes or self._out:
            written, self.writes = self.writes, []
            self.all_writes += written
            for line in b"".join(written).split(b"\r\n")[:-1]:
                self._hear(line)
            out, self._out = self._out, b""
            self._deliver(out)

    def _deliver(self, out: bytes) -> None:
        while out and not self.transport.is_lost and not self.is_frozen:
            length = min(self.piece_bytes, len(out))
            if self.sent_bytes < self.cut_at < self.sent_bytes + length:
                length = self.cut_at - self.sent_bytes
            piece, out = out[:length], out[length:]
            self.sent_bytes += length
            self.client.dataReceived(piece)

    def _hear(self, line: bytes) -> None:
        if self._steps:
            self.heard.append(line)
        else:
            self._tag, _, words = line.partition(b" ")
            self.heard.append(words)
            self._steps = self._find(words)
        if self._steps:
            self._out += self._steps.pop(0).replace(b"TAG", self._tag)

    def _find(self, words: bytes) -> Steps:
        fitting = [key for key in self.answers if words.startswith(key)]
        if not fitting:
            return [b"TAG BAD what?\r\n"]
        answer = self.answers[max(fitting, key=len)]
        return answer(words) if callable(answer) else list(answer)


@implementer(IConnector)
class ScriptedConnector:
    """Leads to scripted servers, each of them once, in order.

    Attributes:
        is_stalled: TCP works, and then the TLS handshake never ends.
        handshake: ends an attempt at TLS with this, if it is set.
        refusal: fails an attempt at TCP with this, if it is set.
        never_connects: TCP itself stalls.
    """

    def __init__(self, *servers: ScriptedServer) -> None:
        self.servers = list(servers)
        self.is_stalled = False
        self.handshake: Exception | None = None
        self.refusal: Exception | None = None
        self.never_connects = False

    def endpoint(self, server: Server, trust: Trust) -> IStreamClientEndpoint:
        return ScriptedEndpoint(self, server)

    def tls_options(self, server: Server, trust: Trust) -> object:
        return VerifyingOptions()


@implementer(IOpenSSLClientConnectionCreator)
class VerifyingOptions:
    """Stands for options that verify; no scripted server speaks TLS."""

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        raise NotImplementedError


@implementer(IStreamClientEndpoint)
class ScriptedEndpoint:
    """One attempt."""

    def __init__(self, connector: ScriptedConnector, server: Server) -> None:
        self._connector = connector
        self._server = server

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self._connector.refusal is not None:
            return fail(self._connector.refusal)
        if self._connector.never_connects:
            return Deferred()
        scripted = self._connector.servers.pop(0)
        client = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(client, MailboxClient)
        scripted.attach(client)
        if self._server.security is Security.IMPLICIT_TLS:
            if self._connector.handshake is not None:
                scripted.lose(self._connector.handshake)
            elif not self._connector.is_stalled:
                client.handshakeCompleted()
        scripted.send(scripted.greeting)
        return succeed(client)


class Letters:
    """A mailbox that answers UID FETCH and UID SEARCH as a server would.

    Attributes:
        uids: ascending; sequence numbers follow from it.
        mute: UIDs that no FETCH of several messages, or none at all, is told of.
        broken: UIDs that even a FETCH of their own is refused for.
        pushed: sent before the tagged answer of the next command, once.
    """

    def __init__(self, *uids: int) -> None:
        self.uids = list(uids)
        self.mute: set[int] = set()
        self.broken: set[int] = set()
        self.pushed = b""
        self.fetch_status = b"OK"

    def install(self, server: ScriptedServer) -> None:
        """Answer for this server."""
        server.answers[b"UID FETCH"] = self.fetch
        server.answers[b"UID SEARCH"] = self.search

    def fetch(self, words: bytes) -> Steps:
        """``UID FETCH set (…)``."""
        asked = words.split(b" ")[2]
        uids = self._expand(asked)
        if b"," not in asked and b":" not in asked and uids and uids[0] in self.broken:
            return [b"TAG NO cannot\r\n"]
        lines = [self.line(uid) for uid in uids if uid not in self.mute | self.broken]
        status = b"NO" if self.broken & set(uids) else self.fetch_status
        return [b"".join(lines) + self._push() + b"TAG %b done\r\n" % status]

    def search(self, words: bytes) -> Steps:
        """``UID SEARCH UID set``."""
        uids = self._expand(words.split(b" ")[3])
        numbers = b"".join(b" %d" % uid for uid in uids)
        return [b"* SEARCH" + numbers + b"\r\n" + self._push() + b"TAG OK done\r\n"]

    def line(self, uid: int) -> bytes:
        """One FETCH response."""
        header = b"Subject: %d\r\n\r\n" % uid
        return (
            b'* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "01-Jan-2026 10:00:00 +0000" '
            b"RFC822.SIZE 99 BODY[HEADER.FIELDS (FROM TO SUBJECT)] {%d}\r\n%b)\r\n"
            % (self.uids.index(uid) + 1, uid, len(header), header)
        )

    def _push(self) -> bytes:
        pushed, self.pushed = self.pushed, b""
        return pushed

    def _expand(self, words: bytes) -> list[int]:
        found = set()
        highest = max(self.uids, default=0)
        for part in words.split(b","):
            first, _, last = part.partition(b":")
            ends = [highest if end == b"*" else int(end) for end in (first, last or first)]
            found |= {uid for uid in self.uids if min(ends) <= uid <= max(ends)}
        return sorted(found)
