"""A server to be measured, in a process of its own: ours, or naive Twisted.

Run by `benchmarks.stream` as ``python -m benchmarks.serve KIND FOLDER``. It prints
two ports, for subscribers and for control, and ends with SIGTERM. Each byte on the
control connection asks for one message. What arrives there in one read is accepted
together, as a watcher accepts what one FETCH has brought.

``mailnotify`` is the real `NotifyFactory` over the real `Hub` and the real journal
(SQLite, synchronous=FULL) in FOLDER; nothing is left out but the watchers. With
``--entries`` the journal is filled first. ``naive`` is a `LineReceiver` that calls
`sendLine` for each connection. ``--tls`` puts TLS in front of either.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailnotify.config.schema import Limits, Retention
from mailnotify.core.events import NewMail, new_mail
from mailnotify.core.message import Fetched, Ref, Summary
from mailnotify.direct import DirectTLSFactory
from mailnotify.hub import Hub
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.serving.server import NotifyFactory
from mailnotify.taps.timebase import keep_time_monotonic

LINE_BYTES = 120
MARK = "~"
"""Stands once in each message, to be counted by the readers."""

_SUBJECT = MARK.ljust(LINE_BYTES - len("New Email Received: \r\n"), "x")


class Ours:
    """The real server."""

    tls_factory = DirectTLSFactory

    def __init__(self, folder: Path, entries: int) -> None:
        journal = SqliteJournal.open(
            folder / "journal.sqlite",
            retention=Retention(entries=10_000_000),
            make_epoch=lambda: "benchmark",
            now=datetime.now(UTC),
        )
        self._hub = Hub(journal, lambda: datetime.now(UTC))
        limits = Limits(connections=100_000, connections_per_address=100_000)
        self.factory = NotifyFactory(self._hub, limits, reactor)
        self._mails = _mails()
        for _ in range(0, entries, 1000):
            self.publish(1000)

    def publish(self, count: int) -> None:
        """Mail arrives."""
        self._hub.accept([next(self._mails) for _ in range(count)])


def _mails() -> Iterator[NewMail]:
    uid = 0
    while True:
        uid += 1
        ref = Ref(account="home", mailbox="INBOX", uidvalidity=1, uid=uid)
        yield new_mail(ref, Summary(subject=_SUBJECT), Fetched(uid=uid, size=1000))


class NaiveReceiver(LineReceiver):
    """What one writes first."""

    def connectionMade(self) -> None:
        self.factory.receivers[self] = None

    def connectionLost(self, reason: object = None) -> None:
        del self.factory.receivers[self]


class Naive:
    """The naive server."""

    tls_factory = TLSMemoryBIOFactory

    def __init__(self, _folder: Path, _entries: int) -> None:
        self.factory = Factory.forProtocol(NaiveReceiver)
        self.factory.receivers = {}

    def publish(self, count: int) -> None:
        """The same line to everybody."""
        line = f"New Email Received: {_SUBJECT}".encode()
        for _ in range(count):
            for receiver in self.factory.receivers:
                receiver.sendLine(line)


class Control(Protocol):
    """Asks for messages."""

    def dataReceived(self, data: bytes) -> None:
        self.factory.server.publish(len(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("mailnotify", "naive"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=0)
    parser.add_argument("--tls", type=Path, help="a PEM file with key and certificate")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    keep_time_monotonic()
    server = {"mailnotify": Ours, "naive": Naive}[options.kind](options.folder, options.entries)
    factory = server.factory
    if options.tls:
        pem = PrivateCertificate.loadPEM(options.tls.read_bytes())
        factory = server.tls_factory(pem.options(), False, factory, reactor)
    control = Factory.forProtocol(Control)
    control.server = server
    ports = [
        reactor.listenTCP(0, each, backlog=4096, interface="127.0.0.1").getHost().port
        for each in (factory, control)
    ]
    print(*ports, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
