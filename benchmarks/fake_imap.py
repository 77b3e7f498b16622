"""An IMAP server for measuring clients: minimal, over TLS, in a process of its own.

Every user that logs in has a mailbox of its own. A second port takes orders, one a
line, and answers each with one line:

``letter USER``    a letter arrives; its subject is the moment at which EXISTS was sent
``fill USER N``    N letters arrive at once
``idling``         how many connections idle
``asked``          when the last first question after `fill` came (CLOCK_MONOTONIC, ns)
``speaks``         how many commands it has been given so far

    python -m benchmarks.fake_imap CERT KEY
"""

from __future__ import annotations

import base64
import resource
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.imap.hostile.server import Box, Conversation

CAPABILITY = b"IMAP4rev1 IDLE SASL-IR AUTH=PLAIN ID"
HEADER = (
    b"From: Somebody Else <somebody.else@example.net>\r\nTo: demo@example.org\r\n"
    b"Subject: %b\r\nDate: Mon, 15 Jan 2024 10:20:30 +0100\r\n"
    b"Message-ID: <%d.17@mail.example.org>\r\nContent-Type: text/plain\r\n"
)


class Fake(Conversation):
    """The honest server of the tests, for any user."""

    def __init__(self, server: Server) -> None:
        super().__init__(Box(), reactor, (), {}, lambda *_: None)
        self._server = server
        self._gathered: list[bytes] | None = None
        self.capability = CAPABILITY

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """All answers to one write leave in one, as from any real server."""
        self._gathered = []
        super().dataReceived(data)
        gathered, self._gathered = self._gathered, None
        if gathered:
            self._write(b"".join(gathered))

    def say(self, data: bytes) -> None:
        if self._gathered is None:
            self._write(data)
        else:
            self._gathered.append(data)

    def _obey(self, line: bytes) -> None:
        self._server.commands += 1
        super()._obey(line)

    def _judge(self, step: str, proof: bytes) -> None:
        self._enter(base64.b64decode(proof).split(b"\0")[1], step)

    def do_login(self, arguments: bytes) -> None:
        self._enter(arguments.split()[0].strip(b'"'), "LOGIN")

    def _enter(self, user: bytes, step: str) -> None:
        self.connectionLost()
        self.is_closed = False
        self.box = self._server.box(user)
        self.box.conversations.append(self)
        self._end(step, said=b"OK [CAPABILITY %b] welcome" % self.capability)

    def do_list(self, _: bytes) -> None:
        self._end("LIST", b'* LIST (\\HasNoChildren) "/" INBOX\r\n')

    do_lsub = do_list

    def do_uid_fetch(self, arguments: bytes) -> None:
        self._server.asked = self._server.asked or time.monotonic_ns()
        super().do_uid_fetch(arguments)

    def do_uid_search(self, arguments: bytes) -> None:
        self._server.asked = self._server.asked or time.monotonic_ns()
        super().do_uid_search(arguments)

    def do_fetch(self, arguments: bytes) -> None:
        """FETCH by sequence number."""
        words, _, items = arguments.partition(b" ")
        first, _, last = words.partition(b":")
        ends = [len(self.uids) if end == b"*" else int(end) for end in (first, last or first)]
        told = b"".join(self.fetched(uid, items) for uid in self.uids[min(ends) - 1 : max(ends)])
        self._end("FETCH", told + self.news())

    def news(self, *, may_remove: bool = False) -> bytes:
        """In as little time for ten thousand letters as for one: they have all UIDs from 1 on."""
        added = range(len(self.uids) + 1, self.box.uidnext) if self.is_selected else ()
        self.uids += added
        return b"* %d EXISTS\r\n* 0 RECENT\r\n" % len(self.uids) if added else b""

    def _expand(self, words: bytes) -> list[int]:
        found: list[int] = []
        for part in words.split(b","):
            first, _, last = part.partition(b":")
            ends = [len(self.uids) if end == b"*" else int(end) for end in (first, last or first)]
            found += self.uids[min(ends) - 1 : max(ends)]
        return found

    def fetched(self, uid: int, items: bytes = b"") -> bytes:
        told = b"UID %d" % uid
        if b"FLAGS" in items:
            told += b" FLAGS ()"
        if b"INTERNALDATE" in items:
            told += b' INTERNALDATE "%b"' % self._server.arrived
        if b"RFC822.SIZE" in items:
            told += b" RFC822.SIZE 345"
        if b"BODYSTRUCTURE" in items:
            told += b' BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 6 1 NIL NIL NIL NIL)'
        if b"HEADER.FIELDS" in items:
            names = items.split(b"HEADER.FIELDS (", 1)[1].split(b")", 1)[0]
            wanted = tuple(name.lower() + b":" for name in names.split())
            lines = (HEADER % (self.box.letters[uid], uid)).splitlines(keepends=True)
            header = b"".join(each for each in lines if each.lower().startswith(wanted)) + b"\r\n"
            told += b" BODY[HEADER.FIELDS (%b)] {%d}\r\n%b" % (names, len(header), header)
        return b"* %d FETCH (%b)\r\n" % (uid, told)  # nothing is ever removed here


class Server(Factory):
    """All mailboxes."""

    def __init__(self) -> None:
        self.boxes: dict[bytes, Box] = {}
        self.arrived = b""
        self.asked = 0
        self.commands = 0

    def buildProtocol(self, addr: Any) -> Fake:
        return Fake(self)

    def box(self, user: bytes) -> Box:
        if user not in self.boxes:
            self.boxes[user] = Box()
            self.boxes[user].add(b"old")
        return self.boxes[user]


class Orders(LineReceiver):
    """The second port."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        word, *rest = line.split()
        server: Server = self.factory.server
        server.arrived = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime()).encode()
        answer = b"done"
        if word == b"letter":
            server.box(rest[0]).add(b"%d" % time.monotonic_ns())
        elif word == b"fill":
            server.asked = 0
            server.box(rest[0]).add(*(b"no %d" % number for number in range(int(rest[1]))))
        elif word == b"idling":
            talks = (each for box in server.boxes.values() for each in box.conversations)
            answer = b"%d" % sum(bool(each.idle_tag) for each in talks)
        elif word == b"asked":
            answer = b"%d" % server.asked
        elif word == b"speaks":
            answer = b"%d" % server.commands
        self.sendLine(answer)


def main() -> None:
    """Listen and say where."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pem = b"".join(Path(path).read_bytes() for path in sys.argv[1:3])
    server = Server()
    over_tls = TLSMemoryBIOFactory(PrivateCertificate.loadPEM(pem).options(), False, server)
    orders = Factory.forProtocol(Orders)
    orders.server = server
    ports = [
        reactor.listenTCP(0, each, backlog=4096, interface="127.0.0.1").getHost().port
        for each in (over_tls, orders)
    ]
    print(*ports, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
