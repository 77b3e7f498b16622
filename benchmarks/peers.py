"""The servers that mailnotify is measured beside, each started on loopback.

What they are given is what makes them fastest here: no persistence, QoS 0. They
deliver a message of 120 bytes to each subscriber; ours is a line of 120 bytes.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serve import LINE_BYTES, MARK

PAYLOAD = MARK.encode().ljust(LINE_BYTES, b"x")


@dataclass(frozen=True)
class Running:
    """A server that listens.

    Attributes:
        pid: whose CPU time and memory count.
        port: for subscribers.
        control: for the publisher.
    """

    pid: int
    port: int
    control: int

    @property
    def cpu_seconds(self) -> float:
        """What the server has used so far, all its threads together, by the kernel's fine clock."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    @property
    def resident_kib(self) -> int:
        """How much memory it has."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@dataclass(frozen=True)
class Peer:
    """One kind of server.

    Attributes:
        name: in the table.
        program: what has to be installed; empty if it comes with us.
        command: makes the command line, from a port, a folder and the PEM file for TLS.
        greeting: what a subscriber says first.
        control_greeting: what the publisher says first.
        message: what the publisher says for one message.
        tls: how TLS begins.
    """

    name: str
    program: str
    command: Callable[[int, Path, Path | None], list[str]]
    greeting: bytes = b""
    control_greeting: bytes = b""
    message: bytes = b"!"
    tls: str = "tls"
    options: tuple[str, ...] = field(default=())

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        return not self.program or self._found() is not None

    def _found(self) -> str | None:
        return shutil.which(self.program, path="/usr/local/bin:/usr/bin:/usr/sbin:/sbin")

    @contextmanager
    def running(self, folder: Path, pem: Path | None = None) -> Iterator[Running]:
        """Start it in a folder of its own; it is ended by its process id."""
        own = folder / f"{self.name.replace(' ', '-')}-{time.monotonic_ns()}"
        own.mkdir()
        port = 0 if not self.program else _free_port()
        command = [*self.command(port, own, pem), *self.options]
        child = subprocess.Popen(
            command,
            cwd=None if not port else own,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if port else None,
        )
        try:
            assert child.stdout is not None
            if port:
                _wait_for(port)
                yield Running(child.pid, port, port)
            else:
                words = child.stdout.readline().split()
                yield Running(child.pid, int(words[0]), int(words[1]))
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            shutil.rmtree(own)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _serve(kind: str) -> Callable[[int, Path, Path | None], list[str]]:
    def command(_port: int, folder: Path, pem: Path | None) -> list[str]:
        secured = ["--tls", str(pem)] if pem else []
        return [sys.executable, "-m", "benchmarks.serve", kind, str(folder), *secured]

    return command


def _mosquitto(port: int, folder: Path, pem: Path | None) -> list[str]:
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_connections -1",
        "set_tcp_nodelay true",
        "persistence false",
        "user root",
    ]
    if pem:
        lines += [f"certfile {pem}", f"keyfile {pem}"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    return ["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")]


def _nats(port: int, _folder: Path, pem: Path | None) -> list[str]:
    secured = ["--tls", "--tlscert", str(pem), "--tlskey", str(pem)] if pem else []
    return ["nats-server", "-a", "127.0.0.1", "-p", str(port), *secured]


def _redis(port: int, _folder: Path, pem: Path | None) -> list[str]:
    ports = ["--port", str(port)]
    if pem:
        files = ["--tls-cert-file", str(pem), "--tls-key-file", str(pem)]
        ports = ["--port", "0", "--tls-port", str(port), *files, "--tls-auth-clients", "no"]
    rest = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "15000"]
    return ["redis-server", *ports, *rest]


def _mqtt(kind: int, body: bytes) -> bytes:
    size = (
        bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
    )
    return bytes([kind]) + size + body


_MQTT_CONNECT = _mqtt(0x10, b"\0\4MQTT\4\2\0\0\0\0")
_NATS_CONNECT = b'CONNECT {"verbose":false,"pedantic":false}\r\n'

OURS = Peer("mailnotify", "", _serve("mailnotify"))
STRUCTURED = Peer(
    "structured",
    "",
    _serve("mailnotify"),
    greeting=b'HELLO 1\r\nSUBSCRIBE {"accounts":["home","a####"],"kinds":["mail"]}\r\n',
)
NAIVE = Peer("naive Twisted", "", _serve("naive"))
MOSQUITTO = Peer(
    "mosquitto",
    "mosquitto",
    _mosquitto,
    greeting=_MQTT_CONNECT + _mqtt(0x82, b"\0\1\0\1c\0"),
    control_greeting=_MQTT_CONNECT,
    message=_mqtt(0x30, b"\0\1c" + PAYLOAD),
)
NATS = Peer(
    "nats-server",
    "nats-server",
    _nats,
    greeting=_NATS_CONNECT + b"SUB c 1\r\n",
    control_greeting=_NATS_CONNECT,
    message=b"PUB c %d\r\n%b\r\n" % (LINE_BYTES, PAYLOAD),
    tls="tls-after-line",
)
REDIS = Peer(
    "redis-server",
    "redis-server",
    _redis,
    greeting=b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n",
    message=b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%d\r\n%b\r\n" % (LINE_BYTES, PAYLOAD),
)


def send_loop(program: Path) -> Peer:
    """The bare loop in C, once it is compiled."""
    return Peer("bare C loop", "", lambda _port, _folder, _pem: [str(program), str(LINE_BYTES)])
