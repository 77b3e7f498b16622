"""The stream on 5050 beside what one would use instead: the table of its speed.

Run as ``python -m benchmarks.stream`` (about ten minutes), or with ``--quick``
(about one, and then for orientation only). Needs gcc; the peers are Debian's::

    apt-get install gcc libssl-dev mosquitto nats-server redis-server

Do not let the package's own services run beside it. What is missing is named and
left out. Everything runs on loopback: each server in a process of its own, one
load generator in C (`readers.c`) that plays all subscribers and the publisher. Its
share of one CPU is shown, so that one sees whether it was the bound.

What is told are ratios within one run; medians of five, the servers taken in
turns. One message at a time: the next is sent when every subscriber has this one.
CPU per delivery is what the kernel counts for the server's process, its time in
the kernel included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks import journal
from benchmarks.peers import (
    MOSQUITTO,
    NAIVE,
    NATS,
    OURS,
    REDIS,
    STRUCTURED,
    Peer,
    Running,
    send_loop,
)
from tests.rigs.certificates import Certificates

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Scale:
    """How long all of it may take."""

    runs: int
    seconds: float
    crowd: int
    replayed: int
    secured: int


FULL = Scale(runs=5, seconds=1.5, crowd=10_000, replayed=1_000_000, secured=1000)
QUICK = Scale(runs=1, seconds=0.7, crowd=3_000, replayed=100_000, secured=500)


@dataclass(frozen=True)
class Sample:
    """What one measurement gave.

    Attributes:
        rate: deliveries in a second.
        cpu_us: of the server, for one delivery.
        p99_us: of the rounds, from the publisher to the last subscriber.
        load: the share of one CPU that the load generator used.
    """

    rate: float
    cpu_us: float
    p99_us: float
    load: float


class Readers:
    """The load generator on one server."""

    def __init__(self, program: Path, peer: Peer, server: Running, count: int, tls: bool) -> None:
        words = [str(server.port), str(count), peer.greeting.hex()]
        words += [str(server.control), peer.control_greeting.hex(), peer.message.hex()]
        words += [peer.tls] if tls else []
        self._server = server
        self._count = count
        self._child = subprocess.Popen(
            [str(program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.connect_seconds = self._answer("READY")[0]

    def measure(self, seconds: float, per_round: int = 1) -> Sample:
        """Deliver for so long."""
        assert self._child.stdin is not None
        before = self._server.cpu_seconds
        self._child.stdin.write(f"FOR {seconds} {per_round}\n")
        self._child.stdin.flush()
        rounds, took, cpu, _p50, p99 = self._answer("RAN")
        total = rounds * per_round * self._count
        used = self._server.cpu_seconds - before
        return Sample(total / took, used / total * 1e6, p99, cpu / took)

    def close(self) -> None:
        """Reset all connections."""
        self._child.kill()
        self._child.communicate()

    def _answer(self, word: str) -> list[float]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line.startswith(word):
            self.close()
            raise RuntimeError(f"the load generator says {line!r}")
        return [float(each) for each in line.split()[1:]]


class Bench:
    """What all measurements share.

    Args:
        scale: how long it may take.
        folder: for journals, and for what is compiled.
    """

    def __init__(self, scale: Scale, folder: Path) -> None:
        self.scale = scale
        self.folder = folder
        self.rows: list[tuple[str, str, str]] = []
        self.loop = send_loop(self._compile("send_loop.c", "send_loop"))
        self._readers = self._compile("readers.c", "readers")
        self._tls_readers = self._compile(
            "readers.c", "readers-tls", "-DWITH_TLS", "-lssl", "-lcrypto"
        )
        certificates = Certificates(folder)
        self.pem = folder / "both.pem"
        self.pem.write_bytes(
            certificates.key_file.read_bytes() + certificates.cert_file.read_bytes()
        )

    def _compile(self, source: str, name: str, *options: str) -> Path:
        program = self.folder / name
        command = ["gcc", "-O2", "-o", str(program), str(HERE / source), *options]
        subprocess.run(command, check=True)
        return program

    @contextmanager
    def readers(
        self, peer: Peer, count: int, *, tls: bool = False
    ) -> Iterator[tuple[Running, Readers]]:
        """A server with so many subscribers."""
        program = self._tls_readers if tls else self._readers
        with peer.running(self.folder, self.pem if tls else None) as server:
            readers = Readers(program, peer, server, count, tls)
            try:
                yield server, readers
            finally:
                readers.close()

    def samples(
        self, peers: Sequence[Peer], count: int, *per_round: int, tls: bool = False
    ) -> list[dict[str, Sample]]:
        """For each number of messages in a round, the median of each peer."""
        found: dict[tuple[str, int], list[Sample]] = {}
        for run in range(self.scale.runs):
            for peer in filter(lambda each: each.is_installed, peers):
                self._say(f"{peer.name}, {count} subscribers, run {run + 1}")
                with self.readers(peer, count, tls=tls) as (_, readers):
                    readers.measure(self.scale.seconds / 5)
                    for each in per_round:
                        sample = readers.measure(self.scale.seconds, each)
                        found.setdefault((peer.name, each), []).append(sample)
        return [
            {name: _median(runs) for (name, number), runs in found.items() if number == each}
            for each in per_round
        ]

    def show(self, title: str, samples: dict[str, Sample]) -> None:
        """All that was found, before the ratios."""
        self._say("")
        print(f"\n{title}")
        for name, each in samples.items():
            print(
                f"  {name:14} {each.rate:11,.0f}/s {each.cpu_us:7.2f} us CPU each, "
                f"p99 {each.p99_us / 1000:7.2f} ms, load generator {each.load:4.0%}"
            )

    def row(self, what: str, target: str, found: float | None, *, is_reached: bool) -> None:
        """One line of the table at the end."""
        told = "not measured" if found is None else f"{found:.2f}"
        verdict = "" if found is None else ("reached" if is_reached else "NOT reached")
        self.rows.append((what, target, f"{told:>12}  {verdict}"))

    def at_least(self, what: str, target: float, found: float | None) -> None:
        """A row where more is better."""
        is_reached = found is not None and found >= target
        self.row(what, f">= {target:g}", found, is_reached=is_reached)

    def at_most(self, what: str, target: float, found: float | None) -> None:
        """A row where less is better."""
        is_reached = found is not None and found <= target
        self.row(what, f"<= {target:g}", found, is_reached=is_reached)

    def _say(self, what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _median(samples: Sequence[Sample]) -> Sample:
    names = Sample.__dataclass_fields__
    return Sample(**{name: median(getattr(each, name) for each in samples) for name in names})


def _ratio(
    samples: dict[str, Sample], of: Peer, to: Peer, figure: Callable[[Sample], float]
) -> float | None:
    if of.name not in samples or to.name not in samples:
        return None
    divisor = figure(samples[to.name])
    return figure(samples[of.name]) / divisor if divisor else None


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sample.cpu_us


def fanout(bench: Bench) -> None:
    """1,000 plain subscribers: one message at a time, and bursts."""
    peers = (OURS, STRUCTURED, bench.loop, NAIVE, REDIS, NATS, MOSQUITTO)
    single, bursts = bench.samples(peers, 1000, 1, 32)
    bench.show("1,000 subscribers, one message at a time", single)
    bench.show("1,000 subscribers, bursts of 32", bursts)
    for peer, target in ((MOSQUITTO, 1.4), (NATS, 1.4), (REDIS, 1.0), (NAIVE, 2.0)):
        what = f"one at a time: rate / {peer.name}"
        bench.at_least(what, target, _ratio(single, OURS, peer, _rate))
    bench.at_most("one at a time: CPU / bare C loop", 1.25, _ratio(single, OURS, bench.loop, _cpu))
    for peer, target in ((REDIS, 1.25), (NATS, 1.25), (MOSQUITTO, 10.0)):
        what = f"bursts of 32: rate / {peer.name}"
        bench.at_least(what, target, _ratio(bursts, OURS, peer, _rate))
    for name, samples in (("one at a time", single), ("bursts of 32", bursts)):
        found = _ratio(samples, STRUCTURED, OURS, _rate)
        bench.at_least(f"{name}: structured with a filter each / plain", 0.8, found)


def crowd(bench: Bench) -> None:
    """Ten thousand subscribers; the bare loop shows how far anybody could come."""
    count = bench.scale.crowd
    (samples,) = bench.samples((OURS, bench.loop, REDIS, NATS), count, 1)
    bench.show(f"{count:,} subscribers, one message at a time", samples)
    for peer in filter(lambda each: each.is_installed, (NATS, REDIS)):
        print(f"  C loop / {peer.name}: {_ratio(samples, bench.loop, peer, _rate):.2f}")
    bench.at_least(f"{count:,}: rate / nats-server", 1.8, _ratio(samples, OURS, NATS, _rate))
    bench.at_least(f"{count:,}: rate / redis-server", 1.0, _ratio(samples, OURS, REDIS, _rate))


def secured(bench: Bench) -> None:
    """TLS subscribers: what a delivery costs the server."""
    count = bench.scale.secured
    (samples,) = bench.samples((OURS, NAIVE, MOSQUITTO, NATS), count, 1, tls=True)
    bench.show(f"{count:,} TLS subscribers, one message at a time", samples)
    for peer, target in ((MOSQUITTO, 1.0), (NATS, 1.0), (NAIVE, 0.5)):
        found = _ratio(samples, OURS, peer, _cpu)
        bench.at_most(f"TLS: CPU / {peer.name}", target, found)


def memory(bench: Bench) -> None:
    """What a connection costs that is told nothing."""
    print("\nMemory of the server for each idle connection; seconds until all were connected")
    for name, peer, count, tls, target in (
        ("plain", OURS, bench.scale.crowd, False, 2.5),
        ("structured", STRUCTURED, bench.scale.crowd, False, 4.0),
        ("TLS", OURS, bench.scale.secured * 2, True, 50.0),
    ):
        program = bench._tls_readers if tls else bench._readers
        with peer.running(bench.folder, bench.pem if tls else None) as server:
            Readers(program, peer, server, 100, tls).close()
            before = server.resident_kib
            readers = Readers(program, peer, server, count, tls)
            kib = (server.resident_kib - before) / count
            readers.close()
        print(f"  {name:14} {kib:6.2f} KiB; {count:,} in {readers.connect_seconds:.2f} s")
        bench.at_most(f"memory of an idle {name} connection, KiB", target, kib)


def replay(bench: Bench) -> None:
    """Somebody replays the whole journal; do the live ones notice?"""
    entries = bench.scale.replayed
    print(f"\nReplay of {entries:,} entries to one reader beside 1,000 live ones")
    ours = replace(OURS, options=("--entries", str(entries)))
    ratios = []
    with bench.readers(ours, 1000) as (server, readers):
        readers.measure(1.0)
        behind = _Replay(server.port)
        while not behind.is_done() and len(ratios) < _MOST_PAIRS:
            behind.pause()
            alone = readers.measure(bench.scale.seconds)
            behind.go_on()
            beside = readers.measure(bench.scale.seconds)
            if behind.is_done():
                break
            ratios.append(beside.p99_us / alone.p99_us)
            print(
                f"  live p99 {alone.p99_us / 1000:6.2f} ms alone, {beside.p99_us / 1000:6.2f} ms "
                f"beside the replay; CPU {alone.cpu_us:.2f} and {beside.cpu_us:.2f} us each"
            )
        print(f"  all {behind.finish():,} were replayed")
    found = median(ratios) if ratios else None
    bench.at_most("replay: p99 of the live beside it / alone", 2.0, found)


_MOST_PAIRS = 15
"""Of measurements alone and beside a replay: the load generator ends itself after a while."""


class _Replay:
    """A reader in a process of its own that asks for everything and throws it away.

    It is stopped and continued, so that the same minute shows how it is without it.
    """

    def __init__(self, port: int) -> None:
        code = (
            "import socket, sys\n"
            "with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as server:\n"
            "    server.sendall(sys.argv[2].encode())\n"
            "    print(sum(line.startswith(b'EVENT ') for line in server.makefile('rb')))"
        )
        asks = 'HELLO 1\r\nSUBSCRIBE {"since":"oldest","poll":true}\r\n'
        self._child = subprocess.Popen(
            [sys.executable, "-c", code, str(port), asks], stdout=subprocess.PIPE, text=True
        )

    def pause(self) -> None:
        """Read no more for now."""
        self._child.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Read again."""
        self._child.send_signal(signal.SIGCONT)

    def is_done(self) -> bool:
        """Whether it has all."""
        return self._child.poll() is not None

    def finish(self) -> int:
        """Wait until it has all; return how many events that were."""
        try:
            return int(self._child.communicate(timeout=600)[0])
        finally:
            self._child.kill()


def appending(bench: Bench) -> None:
    """The journal alone, durable."""
    print("\nDurable append, messages in one transaction: ours and bare SQLite")
    for size, count in journal.SIZES:
        mine, theirs, _ = journal.compare(size, count * bench.scale.runs // 5, bench.folder)
        print(f"  {size:3} at a time: {mine:8.0f} us, {theirs:8.0f} us")
        bench.at_least(f"append {size} at a time: rate / bare SQLite", 0.8, theirs / mine)


PARTS = {each.__name__: each for each in (fanout, crowd, secured, memory, replay, appending)}


def main() -> None:
    """Measure, and print the table of issue 4."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--folder", help="where journals are written: which disk is measured")
    options = parser.parse_args()
    if shutil.which("gcc") is None:
        raise SystemExit("gcc is missing: see the head of benchmarks/stream.py")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    missing = [each.name for each in (MOSQUITTO, NATS, REDIS) if not each.is_installed]
    if missing:
        print(f"not installed, so not measured: {', '.join(missing)}")
    print(f"{os.cpu_count()} CPUs; load at the beginning {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="mailnotify-bench-") as folder:
        bench = Bench(QUICK if options.quick else FULL, Path(folder))
        for name in options.only or PARTS:
            PARTS[name](bench)
    print()
    for what, target, found in bench.rows:
        print(f"{what:55} {target:>8} {found}")
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
