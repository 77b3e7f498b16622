"""Watching mailboxes: how fast, and what it costs, beside imapflow.

    python -m benchmarks.imap_watch latency     EXISTS sent → subject out, both, ratio
    python -m benchmarks.imap_watch catchup     10,000 letters at once, both, ratio
    python -m benchmarks.imap_watch memory      1,000 connections to a Dovecot, both
    python -m benchmarks.imap_watch many        5,000 mailboxes in one process of ours
    python -m benchmarks.imap_watch             all of them

Ours is the whole service in a process of its own, journal included, read on its
port as ``nc`` does; imapflow's time ends in its own process, when it has the
subject. Both are told by the same server (`benchmarks.fake_imap`), in turns, five
times; medians count. imapflow comes from npm into a temporary folder; without node
ours is measured alone. What an idle hour of polls costs on the wire is counted by
``tests.live.test_dovecot_strategies``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mailnotify.config.schema import Timing
from tests.rigs import child_environment
from tests.rigs.certificates import Certificates
from tests.rigs.service import Follower, Lines, Service

RUNS = 5
EVENTS = 100
PATIENCE_SECONDS = 600.0
SHM = Path("/dev/shm")
"""Memory that looks like a disk (Linux)."""

FASTER_START = "[connecting]\nper_host = 50\nin_all = 200\n"
"""More attempts at once than by default: the server stands on this machine."""


class FakeServer:
    """`benchmarks.fake_imap` in its process, and its port for orders."""

    def __init__(self, folder: Path) -> None:
        certificates = Certificates(folder)
        self.ca_file = certificates.ca_file
        files = (str(certificates.cert_file), str(certificates.key_file))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fake_imap", *files],
            stdout=subprocess.PIPE,
            env=child_environment(),
        )
        assert self._process.stdout is not None
        self.port, orders = map(int, self._process.stdout.readline().split())
        self._orders = socket.create_connection(("127.0.0.1", orders)).makefile("rwb", 0)

    def order(self, *words: object) -> str:
        """Give an order; return the answer."""
        self._orders.write(" ".join(map(str, words)).encode() + b"\n")
        return self._orders.readline().decode().strip()

    def await_idling(self, count: int) -> None:
        """Return when so many connections idle."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while int(self.order("idling")) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.order('idling')} of {count} idle")
            time.sleep(0.1)

    def accounts(self, *users: str) -> str:
        """The configuration of these users' accounts."""
        return _accounts(users, self.port, self.ca_file)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def _accounts(users: Sequence[str], port: int, ca_file: Path) -> str:
    """Accounts with the service's own intervals, in as few words as can be."""
    return "".join(
        f'[accounts.{user}]\nserver="imaps://{user}@localhost:{port}"\npassword="{user}"\n'
        f'trust={{ca_file="{ca_file}"}}\n'
        for user in users
    )


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = FakeServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running(service: Service) -> Iterator[Service]:
    try:
        yield service.start()
    finally:
        service.stop()


class Imapflow:
    """imapflow in a process of node, if both can be had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.is_there = bool(shutil.which("node") and shutil.which("npm")) and self._install()

    def _install(self) -> bool:
        script = Path(__file__).with_name("imapflow_watch.js")
        shutil.copy(script, self._folder)
        command = ["npm", "install", "--silent", "--no-audit", "--prefix", ".", "imapflow"]
        return subprocess.call(command, cwd=self._folder, stderr=subprocess.DEVNULL) == 0

    def start(self, mode: str, server: object, *arguments: object) -> subprocess.Popen[str]:
        where = ("localhost", server.imaps_port if hasattr(server, "imaps_port") else server.port)
        words = (mode, *where, server.ca_file, *arguments)
        command = ["node", "imapflow_watch.js", *map(str, words)]
        environment = {**os.environ, "UV_THREADPOOL_SIZE": "4"}
        return subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.PIPE, text=True, env=environment
        )


@contextmanager
def imapflow() -> Iterator[Imapflow]:
    with tempfile.TemporaryDirectory() as folder:
        peer = Imapflow(Path(folder))
        if not peer.is_there:
            print("imapflow: cannot be installed here (it needs node and npm); ours alone")
        yield peer


# -- from EXISTS to the subject


def latency() -> None:
    """Of ours twice: with the journal on the disk, and in memory to see what the disk takes."""
    with fake_server() as server, imapflow() as peer:
        ours, unsynced, theirs = [], [], []
        for _run in range(RUNS):
            ours.append(_ask_ours(server, None))
            if SHM.is_dir():
                with tempfile.TemporaryDirectory(dir=SHM) as folder:
                    unsynced.append(_ask_ours(server, Path(folder)))
            if peer.is_there:
                theirs.append(_ask_theirs(server, peer))
        _tell("EXISTS to subject, us", ours, theirs)
        if unsynced:
            _tell("  the same with the journal in memory", unsynced, theirs)


def _watching(server: FakeServer, state_dir: Path | None = None) -> Service:
    return Service(server.accounts("demo"), state_dir=state_dir)


def _ask_ours(server: FakeServer, state_dir: Path | None) -> float:
    delays = []
    with running(_watching(server, state_dir)) as service:
        server.await_idling(1)
        reader = Lines(service.port)
        time.sleep(0.5)
        for _ in range(EVENTS):
            server.order("letter", "demo")
            line = reader.line()
            delays.append((time.monotonic_ns() - int(line.rpartition(": ")[2])) / 1000)
            time.sleep(0.005)
        reader.close()
    server.await_idling(0)
    return statistics.median(delays)


def _ask_theirs(server: FakeServer, peer: Imapflow) -> float:
    process = peer.start("latency", server, EVENTS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    server.await_idling(1)
    delays = []
    for _ in range(EVENTS):
        server.order("letter", "flow")
        delays.append(int(process.stdout.readline()) / 1000)
        time.sleep(0.005)
    process.wait()
    return statistics.median(delays)


# -- ten thousand letters at once


def catchup(count: int = 10_000) -> None:
    with imapflow() as peer:
        ours, theirs = [], []
        for _ in range(RUNS):
            with fake_server() as server:
                ours.append(_catch_up_ours(server, count))
                server.order("fill", "flowmany", count)
                if peer.is_there:
                    process = peer.start("catchup", server, count)
                    milliseconds, got = process.communicate()[0].split()
                    assert int(got) == count, got
                    theirs.append(float(milliseconds))
        _tell(f"{count} letters caught up, ms", ours, theirs)


def _catch_up_ours(server: FakeServer, count: int) -> float:
    """From the first question to the last letter on the port."""
    service = _watching(server)
    with running(service):
        server.await_idling(1)
        service.terminate()
        server.order("fill", "demo", count)
        service.start()
        reader = Follower(service.port, "oldest")
        for _ in range(count):
            reader.event(PATIENCE_SECONDS)
        return (time.monotonic_ns() - int(server.order("asked"))) / 1e6


# -- memory


def memory(count: int = 1000) -> None:
    from tests.rigs.dovecot import Dovecot

    _raise_limits()
    dovecot = Dovecot.start()
    try:
        lines = (f"box{number}:{{PLAIN}}box{number}\n" for number in range(count))
        (dovecot.directory / "users").write_text("".join(lines))
        with imapflow() as peer:
            ours = _memory_of_ours(dovecot, count)
            print(f"memory for each of {count} mailboxes, Dovecot, TLS: {ours:.1f} KiB")
            if peer.is_there:
                process = peer.start("many", dovecot, count, "box")
                theirs = int(process.communicate()[0]) / count / 1024
                print(f"  imapflow {theirs:.1f} KiB; ratio {ours / theirs:.2f}")
    finally:
        dovecot.stop()


def _memory_of_ours(dovecot: object, count: int) -> float:
    resident = []
    for each in (10, count):
        users = [f"box{number}" for number in range(each)]
        accounts = _accounts(users, dovecot.imaps_port, dovecot.ca_file)
        with running(Service(accounts, extra=FASTER_START)) as service:
            _await_watching(service, each)
            time.sleep(3)
            resident.append(_resident_bytes(service.pid))
    return (resident[1] - resident[0]) / (count - 10) / 1024


def _await_watching(service: Service, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while service.log.count("] watching ") < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service.log.count('] watching ')} of {count} are watched")
        time.sleep(0.2)


# -- many mailboxes


def many(count: int = 5000, seconds: float = Timing().idle_poll_seconds) -> None:
    """Idle for as long as it takes until each mailbox was polled."""
    _raise_limits()
    with fake_server() as server:
        users = [f"user{number}" for number in range(count)]
        started = time.monotonic()
        with running(Service(server.accounts(*users), extra=FASTER_START)) as service:
            server.await_idling(count)
            print(f"{count} mailboxes: all idle after {time.monotonic() - started:.0f} s")
            print(f"  resident {_resident_bytes(service.pid) / 1048576:.0f} MiB")
            time.sleep(5)
            commands = int(server.order("speaks"))
            before = _cpu_seconds(service.pid)
            time.sleep(seconds)
            share = (_cpu_seconds(service.pid) - before) / seconds
            commands = int(server.order("speaks")) - commands
            print(f"  CPU while idle {share:.1%} of a core; {commands / seconds:.1f} commands/s")
            _ask_each(server, service, users)


def _ask_each(server: FakeServer, service: Service, users: list[str]) -> None:
    """New mail in any of them is on the port."""
    follower = Follower(service.port, "now")
    asked = users[:: max(len(users) // 500, 1)]
    for user in asked:
        server.order("letter", user)
    told = {follower.event()["account"] for _ in asked}
    assert told == set(asked), len(told)
    print(f"  new mail in {len(asked)} of them: all on the port")


# -- the machine


def _raise_limits() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tell(what: str, ours: list[float], theirs: list[float]) -> None:
    print(
        f"{what}: mailnotify {statistics.median(ours):,.0f} {json.dumps([round(x) for x in ours])}"
    )
    if theirs:
        ratio = statistics.median(ours) / statistics.median(theirs)
        rounded = json.dumps([round(x) for x in theirs])
        print(f"  imapflow {statistics.median(theirs):,.0f} {rounded}; ratio {ratio:.2f}")


def main() -> None:
    parts: dict[str, Callable[..., None]] = {
        "latency": latency,
        "catchup": catchup,
        "memory": memory,
        "many": many,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=list(parts))
    parser.add_argument("--count", type=int, help="of mailboxes or letters")
    options = parser.parse_args()
    for name, part in parts.items():
        if options.part in (None, name):
            part(options.count) if options.count else part()


if __name__ == "__main__":
    main()
