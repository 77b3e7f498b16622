"""What sending costs: turns, packets, and letters per second, beside others.

Run it as ``python -m benchmarks.smtp``; nodemailer is measured too if node and npm
are there (``--node-modules`` names a folder that has it, else npm fetches it). All
of it happens in one run, every figure is a median of five, and the senders take
turns, so that a busy machine is busy for all. Each sends letters of 3,200 bytes
inside verified TLS, after AUTH, to a sink on loopback.

A *turn* is a flight of the client that the server answers, counted on the wire by
a proxy, from the ClientHello on: the TCP handshake before it is the same for all.
A *packet* is a frame on the loopback, either way, from SYN to the last FIN or ACK;
counting them needs root.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.smtp_senders import LETTER_BYTES
from tests.rigs.certificates import Certificates

RUNS = 5
_HERE = Path(__file__).parent
_NAMES = {"full": ("PIPELINING", "CHUNKING"), "pipelining": ("PIPELINING",), "plain": ()}
_SO_ATTACH_FILTER = 26  # Linux
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Bench:
    """Where things are.

    Attributes:
        ports: of the sinks, by what they offer.
        pids: of the sinks.
    """

    ca_file: str
    node_modules: str | None
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    def command(self, kind: str, port: int, letters: int) -> tuple[list[str], dict[str, str]]:
        """How a sender is started."""
        rest = [str(port), self.ca_file, str(letters)]
        if kind == "nodemailer":
            environ = {**os.environ, "NODE_PATH": self.node_modules or ""}
            return ["node", str(_HERE / "smtp_nodemailer.cjs"), *rest], environ
        return [sys.executable, "-m", "benchmarks.smtp_senders", kind, *rest], dict(os.environ)

    def send(self, kind: str, port: int, letters: int) -> str:
        """Run a sender to its end; return what it printed."""
        command, environ = self.command(kind, port, letters)
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode or "Traceback" in done.stderr:
            raise RuntimeError(f"{kind} failed: {done.stderr[-2000:]}")
        return done.stdout


class Proxy:
    """Carries one connection at a time to a sink, and counts its turns."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.turns: list[int] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with (
                closing(client),
                closing(socket.create_connection(("127.0.0.1", self._port))) as to,
            ):
                for each in (client, to):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.turns.append(self._carry(client, to))

    def _carry(self, client: socket.socket, server: socket.socket) -> int:
        turns, speaker = 0, server
        while True:
            for ready in select.select([client, server], [], [])[0]:
                try:
                    data = ready.recv(65536)
                    (server if ready is client else client).sendall(data)
                except OSError:
                    return turns
                if not data:
                    return turns
                if ready is server and speaker is client:
                    turns += 1  # what we asked is answered
                speaker = ready

    def close(self) -> None:
        self._listener.close()


def _filter(port: int) -> tuple[tuple[int, int, int, int], ...]:
    """A program of BPF: TCP over IPv4, to or from this port."""
    load_byte, load_half, equal, give = 0x30, 0x28, 0x15, 0x06
    return (
        (load_byte, 0, 0, 9),
        (equal, 0, 4, 6),
        (load_half, 0, 0, 20),
        (equal, 3, 0, port),
        (load_half, 0, 0, 22),
        (equal, 1, 0, port),
        (give, 0, 0, 0),
        (give, 0, 0, 65535),
    )


@contextmanager
def captured(port: int) -> Iterator[Callable[[], tuple[int, int]]]:
    """Count packets and bytes of TCP on the loopback to or from a port; needs root."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sniffer:
        # Loopback carries what others do too: only ours may fill the buffer.
        program = struct.pack("HBBI" * 8, *(word for step in _filter(port) for word in step))
        code = ctypes.create_string_buffer(program)
        fprog = struct.pack("HL", 8, ctypes.addressof(code))
        sniffer.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
        sniffer.bind(("lo", 0))
        sniffer.setblocking(False)

        def count() -> tuple[int, int]:
            packets = size = 0
            while select.select([sniffer], [], [], 0.2)[0]:
                data, (_, _, kind, *_) = sniffer.recvfrom(65536)
                if kind == socket.PACKET_OUTGOING:  # each comes in again
                    packets += 1
                    size += len(data)
            return packets, size

        yield count


def cpu_seconds(pid: int) -> float:
    """What a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure_turns(bench: Bench, kind: str, offer: str, letters: int) -> float:
    """Turns of a connection with so many letters."""
    proxy = Proxy(bench.ports[offer])
    try:
        bench.send(kind, proxy.port, letters)
        time.sleep(0.1)
        return proxy.turns[0]
    finally:
        proxy.close()


def measure_packets(bench: Bench, kind: str, offer: str) -> tuple[int, int]:
    """Packets and bytes of one cold letter."""
    port = bench.ports[offer]
    with captured(port) as count:
        bench.send(kind, port, 1)
        return count()


def measure_rate(bench: Bench, kind: str, offer: str, letters: int) -> tuple[float, float, float]:
    """Letters per second, CPU of the sender for each (us), the sink's share of one CPU."""
    before = cpu_seconds(bench.pids[offer])
    seconds, used = map(float, bench.send(kind, bench.ports[offer], letters).split())
    share = (cpu_seconds(bench.pids[offer]) - before) / seconds
    return (letters - 1) / seconds, used / (letters - 1) * 1e6, share


@contextmanager
def sinks(certificates: Certificates) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """One sink for each offer: ports and process ids."""
    processes = {}
    ports = {}
    try:
        for name, keywords in _NAMES.items():
            files = [str(certificates.cert_file), str(certificates.key_file)]
            command = [sys.executable, "-m", "benchmarks.smtp_sink", *files, *keywords]
            processes[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            ports[name] = int(processes[name].stdout.readline())
        yield ports, {name: each.pid for name, each in processes.items()}
    finally:
        for each in processes.values():
            each.send_signal(signal.SIGTERM)
            each.wait(10)


def node_modules(folder: str) -> str | None:
    """Fetch nodemailer; None where there is no node."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    command = ["npm", "install", "--silent", "--no-audit", "--prefix", folder, "nodemailer"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return None if done.returncode else str(Path(folder) / "node_modules")


def report(bench: Bench, letters: int) -> None:
    """Measure, and print the tables."""
    kinds = ["mailnotify", "smtplib", "ESMTPSenderFactory"]
    if bench.node_modules:
        kinds.append("nodemailer")
    else:
        print("nodemailer: cannot be installed here (it needs node and npm), so not measured")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"\none cold letter of {LETTER_BYTES} bytes     turns    packets      bytes")
    cases = [("mailnotify", offer) for offer in _NAMES]
    cases += [(kind, "full") for kind in kinds[1:]]
    for kind, offer in cases:
        turns = statistics.median(measure_turns(bench, kind, offer, 1) for _ in range(RUNS))
        packets = size = "-"
        if os.getuid() == 0:
            found = [measure_packets(bench, kind, offer) for _ in range(RUNS)]
            packets, size = (f"{statistics.median(each):.0f}" for each in zip(*found, strict=True))
        print(f"{kind + ', ' + offer:34}{turns:6.0f}{packets:>11}{size:>11}")

    held = [("mailnotify", offer) for offer in _NAMES]
    held += [(kind, "full") for kind in kinds[1:] if kind != "ESMTPSenderFactory"]
    print("\nheld connection             turns a letter   letters/s  CPU us each  sink's CPU")
    rates: dict[tuple[str, str], list[tuple[float, float, float]]] = {each: [] for each in held}
    for _ in range(RUNS):
        for case in held:
            rates[case].append(measure_rate(bench, *case, letters))
    medians = {}
    for case in held:
        few, many = (
            statistics.median(measure_turns(bench, *case, count) for _ in range(RUNS))
            for count in (2, 22)
        )
        rate, used, share = map(statistics.median, zip(*rates[case], strict=True))
        medians[case] = rate
        turns = (many - few) / 20
        print(f"{', '.join(case):30}{turns:8.2f}{rate:16,.0f}{used:13.0f}{share:12.0%}")
    ours = medians["mailnotify", "full"]
    for kind, target in (("smtplib", 2.0), ("nodemailer", 2.5)):
        if (kind, "full") in medians:
            ratio = ours / medians[kind, "full"]
            print(f"mailnotify to {kind}: {ratio:.2f} times (to reach: {target})")
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--letters", type=int, default=4000)
    parser.add_argument("--node-modules", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        modules = options.node_modules or node_modules(folder)
        with sinks(certificates) as (ports, pids):
            bench = Bench(str(certificates.ca_file), modules, ports, pids)
            report(bench, options.letters)


if __name__ == "__main__":
    main()
