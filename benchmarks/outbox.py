"""What the durable outbox costs: letters a second with it and without, in one run.

Both ways use one held connection to `benchmarks.smtp_sink`; the outbox commits every
letter as queued, as being sent and as sent. Then what it costs the stream: how late a
subscriber on port 5050 hears of a message, from the moment when it was to come, with
nothing to send and while the outbox of the same process sends as fast as it can.
``python -m benchmarks.outbox [LETTERS]``; CPU is that of this process, user and system.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from benchmarks.smtp_senders import LETTER, RECIPIENT, SENDER
from mailnotify.auth.sasl import Password
from mailnotify.config.schema import CaFile, Limits, Retention, Security, Server, Timing
from mailnotify.hub import Hub
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.outbox.lane import Route
from mailnotify.outbox.letter import Draft, Ticket
from mailnotify.outbox.service import Outbox
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.serving.server import NotifyFactory
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.parcel import Wishes
from mailnotify.smtp.sender import Following
from mailnotify.smtp.submit import Submitter
from mailnotify.tls import Connector
from tests.fakes import mail
from tests.rigs.certificates import Certificates

RUNS = 5
EVERY_SECONDS = 0.05
"""Between two messages of the stream."""
ENVELOPE = Envelope(sender=SENDER, recipients=(RECIPIENT,))


def now() -> datetime:
    return datetime.now(UTC)


async def directly(submitter: Submitter, letters: int) -> float:
    """Letters a second, without an outbox."""
    started = time.perf_counter()
    for _ in range(letters):
        await submitter.submit(ENVELOPE, LETTER)
    return letters / (time.perf_counter() - started)


@contextmanager
def queue(letters: int) -> Iterator[tuple[SqliteOutbox, float]]:
    """An outbox with so many letters in it, and how many a second went in."""
    draft = Draft(
        account="home",
        envelope=ENVELOPE,
        message=LETTER,
        message_id="<1@x>",
        due=now(),
        expires=now() + timedelta(days=5),
    )
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteOutbox.open(Path(folder) / "outbox.sqlite", now())
        started = time.perf_counter()
        store.enqueue([draft] * letters, now())
        yield store, letters / (time.perf_counter() - started)
        store.close()


async def send_all(
    store: SqliteOutbox, submitter: Submitter, letters: int, reactor: Any
) -> tuple[float, float]:
    """Letters a second out of an outbox, and the CPU seconds of each."""
    done: Deferred[None] = Deferred()
    left = [letters]

    def sent(_account: str) -> None:
        left[0] -= 1
        if not left[0]:
            done.callback(None)

    async def submit(ticket: Ticket, message: bytes, following: Ticket | None) -> str:
        after = None
        if following is not None and following.message is not None:
            after = Following(
                envelope=following.envelope, message=following.message, wishes=Wishes()
            )
        receipt = await submitter.submit(ticket.envelope, message, Wishes(), after)
        return receipt.said

    outbox = Outbox(
        store, [Route(account="home", connections=1)], submit=submit, tell=print, now=now,
        clock=reactor, chance=lambda: 0.0, when_sent=sent,
    )  # fmt: skip
    started, used = time.perf_counter(), time.process_time()
    outbox.startService()
    await done
    rate, used = letters / (time.perf_counter() - started), time.process_time() - used
    await outbox.stopService()
    return rate, used / letters


READER = """
import socket, sys, time
late = []
lines = socket.create_connection(("127.0.0.1", int(sys.argv[1]))).makefile("rb")
for line in lines:
    subject = line.split()[-1]
    if subject == b"end":
        break
    late.append(time.monotonic() - float(subject))
late.sort()
print(len(late), *(late[int(len(late) * share)] for share in (0.5, 0.99)), late[-1])
"""


async def lateness(reactor: Any, work: Callable[[], Awaitable[object]]) -> list[float]:
    """How many messages a subscriber heard of while this went on; p50, p99, most, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        journal = SqliteJournal.open(
            Path(folder) / "journal.sqlite", retention=Retention(),
            make_epoch=lambda: "e1", now=now(),
        )  # fmt: skip
        hub = Hub(journal, now)
        factory = NotifyFactory(hub, Limits(), reactor)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        command = [sys.executable, "-c", READER, str(port.getHost().port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            while not factory.open_connections:
                await deferLater(reactor, 0.01)
            ending = Deferred.fromCoroutine(tell(reactor, hub))
            await work()
            ending.cancel()
            await ending
            assert reader.stdout is not None
            await deferLater(reactor, 0.1)
            found = [float(each) for each in reader.stdout.readline().split()]
        await port.stopListening()
        journal.close()
    return found


async def tell(reactor: Any, hub: Hub) -> None:
    """A message every so often, until this is cancelled; the subject says when it was due."""
    due, uid = time.monotonic(), 0
    try:
        while True:
            due, uid = due + EVERY_SECONDS, uid + 1
            await deferLater(reactor, max(due - time.monotonic(), 0))
            hub.accept([mail(uid, f"{due:.6f}")])
    except CancelledError:
        hub.accept([mail(uid + 1, "end")])


async def measure(reactor: Any, port: int, ca_file: str, letters: int) -> None:
    """Measure both ways in turn, and print the medians."""

    async def credentials() -> Password:
        return Password("ada", "secret")

    submitter = Submitter(
        server=Server(host="localhost", port=port, security=Security.IMPLICIT_TLS, user="ada"),
        trust=CaFile(ca_file=ca_file),
        credentials=credentials,
        connector=Connector(reactor),
        clock=reactor,
        deadlines=Timing(),
        habits=Habits(),
    )
    await submitter.submit(ENVELOPE, LETTER)
    rows = []
    for _ in range(RUNS):
        direct = await directly(submitter, letters)
        with queue(letters) as (store, queued):
            rows.append((direct, queued, *await send_all(store, submitter, letters, reactor)))
    quiet = await lateness(reactor, lambda: deferLater(reactor, 10.0))
    with queue(letters) as (store, _):
        busy = await lateness(reactor, lambda: send_all(store, submitter, letters, reactor))
    await submitter.close()
    direct, queued, rate, used = (statistics.median(each) for each in zip(*rows, strict=True))
    share = statistics.median(row[2] / row[0] for row in rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"without outbox {direct:7.0f} letters/s")
    print(f"queued         {queued:7.0f} letters/s, {letters} in one group")
    print(f"through it     {rate:7.0f} letters/s, {share:.2f} of without (median of the ratios)")
    print(
        f"most memory    {memory:7.0f} MiB, {used * 1e6:.0f} us of CPU a letter out of the outbox"
    )
    for what, (count, *late) in (("quiet", quiet), ("sending", busy)):
        p50, p99, most = (each * 1e3 for each in late)
        print(
            f"stream, {what:7}: {count:.0f} messages, late by {p50:.2f} ms (p50), "
            f"{p99:.2f} (p99), {most:.2f} (most)"
        )


def main() -> None:
    """Start a sink and measure."""
    letters = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        files = [str(certificates.cert_file), str(certificates.key_file)]
        keywords = ["PIPELINING", "CHUNKING", "AUTH PLAIN", "SIZE 0"]
        command = [sys.executable, "-m", "benchmarks.smtp_sink", *files, *keywords]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
            try:
                assert sink.stdout is not None
                port, ca_file = int(sink.stdout.readline()), str(certificates.ca_file)
                react(
                    lambda reactor: Deferred.fromCoroutine(measure(reactor, port, ca_file, letters))
                )
            finally:
                sink.terminate()


if __name__ == "__main__":
    main()
