"""What the durable outbox costs: letters a second with it and without, in one run.

Both ways use one held connection to `benchmarks.smtp_sink`; the outbox commits every
letter as queued, as being sent and as sent. ``python -m benchmarks.outbox [LETTERS]``.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.smtp_senders import LETTER, RECIPIENT, SENDER
from mailnotify.auth.sasl import Password
from mailnotify.config.schema import CaFile, Security, Server, Timing
from mailnotify.outbox.lane import Route
from mailnotify.outbox.letter import Draft
from mailnotify.outbox.service import Outbox
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.submit import Submitter
from mailnotify.tls import Connector
from tests.rigs.certificates import Certificates

RUNS = 5
ENVELOPE = Envelope(sender=SENDER, recipients=(RECIPIENT,))


def now() -> datetime:
    return datetime.now(UTC)


async def directly(submitter: Submitter, letters: int) -> float:
    """Letters a second, without an outbox."""
    started = time.perf_counter()
    for _ in range(letters):
        await submitter.submit(ENVELOPE, LETTER)
    return letters / (time.perf_counter() - started)


async def through(submitter: Submitter, letters: int, reactor: Any) -> tuple[float, float]:
    """Letters a second into the outbox, and out of it."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteOutbox.open(Path(folder) / "outbox.sqlite", now())
        drafts = [
            Draft(
                account="home",
                envelope=ENVELOPE,
                message=LETTER,
                message_id="<1@x>",
                due=now(),
                expires=now() + timedelta(days=5),
            )
        ] * letters
        started = time.perf_counter()
        store.enqueue(drafts, now())
        queued = letters / (time.perf_counter() - started)
        done: Deferred[None] = Deferred()
        left = [letters]

        def sent(_account: str) -> None:
            left[0] -= 1
            if not left[0]:
                done.callback(None)

        async def submit(_account: str, envelope: Envelope, message: bytes, _id: str) -> str:
            return (await submitter.submit(envelope, message)).said

        outbox = Outbox(
            store, [Route(account="home", connections=1)], submit=submit, tell=print, now=now,
            clock=reactor, chance=lambda: 0.0, when_sent=sent,
        )  # fmt: skip
        started = time.perf_counter()
        outbox.startService()
        await done
        rate = letters / (time.perf_counter() - started)
        await outbox.stopService()
        store.close()
    return queued, rate


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
        rows.append((direct, *await through(submitter, letters, reactor)))
    await submitter.close()
    direct, queued, rate = (statistics.median(each) for each in zip(*rows, strict=True))
    share = statistics.median(row[2] / row[0] for row in rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"without outbox {direct:7.0f} letters/s")
    print(f"queued         {queued:7.0f} letters/s, {letters} in one group")
    print(f"through it     {rate:7.0f} letters/s, {share:.2f} of without (median of the ratios)")
    print(f"most memory    {memory:7.0f} MiB")


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
