"""The service under what befalls it: kills, and a hostile crowd; in any size.

`kill_under_load` ends the process with SIGKILL at random moments while mail pours
in and many readers resume. `besiege` opens hostile connections of every kind
beside honest readers. Both raise AssertionError where a promise is broken, and
return what they measured.
"""

from __future__ import annotations

import random
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.test_service import letter
from tests.rigs import free_port
from tests.rigs.certificates import Certificates
from tests.rigs.dovecot import Dovecot
from tests.rigs.service import PATIENCE_SECONDS, Service, account

_EVENT = re.compile(rb"EVENT (\w+:(\d+)) .*\"subject\":\"letter (\d+)\"")
_STEP_SECONDS = 3.0
_HOSTILE_KINDS = 5
_STEPS = 10


@dataclass
class Resuming:
    """A structured reader that comes back where it was, whatever cuts it off.

    Attributes:
        seqs: of all events that it was given, in this order.
        letters: the numbers of their letters.
        gaps: how often it was told that something lacks.
        away_seconds: so long it stays away when it was cut off, and has to catch up.
        back_at: not before this moment does it come back.
    """

    port: int
    position: str = "oldest"
    seqs: list[int] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)
    gaps: int = 0
    away_seconds: float = 0.0
    back_at: float = 0.0
    socket: socket.socket | None = None
    _buffer: bytes = b""

    def connect(self, selector: selectors.BaseSelector) -> None:
        """Come, or come back; harmless where nobody listens."""
        self._buffer = b""
        try:
            self.socket = socket.create_connection(
                ("127.0.0.1", self.port), timeout=PATIENCE_SECONDS
            )
            says = f'HELLO 1\r\nSUBSCRIBE {{"since":"{self.position}"}}\r\n'
            self.socket.sendall(says.encode())
        except OSError:
            self.close(None)
            return
        self.socket.setblocking(False)
        selector.register(self.socket, selectors.EVENT_READ, self)

    def read(self, selector: selectors.BaseSelector) -> None:
        """Take what is there; whole lines count, as for any client."""
        assert self.socket is not None
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(selector)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if found := _EVENT.match(line):
            self.position = found[1].decode()
            self.seqs.append(int(found[2]))
            self.letters.append(int(found[3]))
        elif line.startswith(b"PING"):
            assert self.socket is not None
            self.socket.sendall(b"PONG" + line[4:] + b"\r\n")
        self.gaps += line.startswith(b"GAP")

    def close(self, selector: selectors.BaseSelector | None) -> None:
        """Be cut off."""
        connection, self.socket = self.socket, None
        if connection is not None:
            if selector is not None:
                selector.unregister(connection)
            connection.close()
            self.back_at = time.monotonic() + self.away_seconds


class Crowd:
    """Many such readers, served by one selector."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        # Some are back at once, and some when there is much that they have not had.
        self.readers = [Resuming(port, away_seconds=n % 4 * 0.5) for n in range(count)]

    def turn(self, seconds: float = 0.02) -> None:
        """Bring back who was cut off, and read."""
        for each in self.readers:
            if each.socket is None and time.monotonic() >= each.back_at:
                each.connect(self.selector)
        for key, _ in self.selector.select(seconds):
            key.data.read(self.selector)

    def turns(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Read until something is so, or the time is over; return whether it is so."""
        end = time.monotonic() + seconds
        while not is_done() and time.monotonic() < end:
            self.turn()
        return is_done()

    def have(self, count: int) -> bool:
        """Whether everybody has so many events."""
        return all(len(each.seqs) >= count for each in self.readers)

    def judge(self, count: int) -> None:
        """0 lost, 0 repeated, in order, and no gap told where there was none."""
        for each in self.readers:
            assert each.seqs == list(range(1, count + 1)), _first_fault(each.seqs)
            assert sorted(each.letters) == list(range(count)), "a letter is lost or told twice"
            assert each.gaps == 0, "a gap is told where nothing lacks"

    def close(self) -> None:
        for each in self.readers:
            each.close(self.selector)
        self.selector.close()


def _first_fault(seqs: list[int]) -> str:
    for expected, seq in enumerate(seqs, 1):
        if seq != expected:
            return f"{seq} came where {expected} was due"
    return f"nothing came after {len(seqs)}"


@dataclass(frozen=True)
class Killed:
    """What came of it: so many kills, letters, and seconds to the longest return."""

    kills: int
    letters: int
    longest_start_seconds: float


def kill_under_load(kills: int, readers: int, seed: int = 5050) -> Killed:
    """SIGKILL at random moments, under a stream of mail; every reader gets each letter once."""
    chance = random.Random(seed)
    ended = threading.Event()
    sent = [0]
    with _watched() as (dovecot, service):
        crowd = Crowd(service.port, readers)
        delivering = threading.Thread(target=_deliver, args=(dovecot, ended, sent))
        delivering.start()
        longest = 0.0
        try:
            for _ in range(kills):
                crowd.turns(lambda: False, chance.uniform(0.02, 0.8))
                service.kill()
                began = time.monotonic()
                service.start()
                longest = max(longest, time.monotonic() - began)
        finally:
            ended.set()
            delivering.join()
        crowd.turns(lambda: crowd.have(sent[0]), PATIENCE_SECONDS)
        crowd.turns(lambda: False, 0.5)  # whatever would be told twice
        crowd.judge(sent[0])
        crowd.close()
    return Killed(kills, sent[0], longest)


def _deliver(dovecot: Dovecot, ended: threading.Event, sent: list[int]) -> None:
    while not ended.wait(0.1):
        numbers = range(sent[0], sent[0] + 5)
        dovecot.deliver("demo", *(letter(b"letter %d" % each) for each in numbers))
        sent[0] += len(numbers)


@contextmanager
def _watched(extra: str = "") -> Iterator[tuple[Dovecot, Service]]:
    """A Dovecot, and a service that watches it."""
    dovecot = Dovecot.start()
    try:
        server = f"imaps://demo@localhost:{dovecot.imaps_port}"
        service = Service(account("home", server, ca_file=dovecot.ca_file), extra=extra)
        try:
            service.start()
            service.await_log("] watching ")
            yield dovecot, service
        finally:
            service.stop()
    finally:
        dovecot.stop()


@dataclass(frozen=True)
class Besieged:
    """What a siege cost: connections, bytes of memory, seconds."""

    hostile: int
    honest: int
    rss_before_bytes: int
    rss_peak_bytes: int
    slowest_letter_seconds: float
    cut_seconds: float


class Siege:
    """Hostile connections: noise, half a handshake, long lines, silence, drips."""

    def __init__(self, port: int, tls_port: int, seed: int) -> None:
        self._ports = port, tls_port
        self._chance = random.Random(seed)
        self._context = ssl.create_default_context()
        self.open: list[socket.socket] = []
        self._dripping: list[socket.socket] = []

    def add(self, number: int) -> None:
        """One more, each kind in its turn."""
        kind = number % _HOSTILE_KINDS
        connection = socket.create_connection(
            ("127.0.0.1", self._ports[kind == 1]), timeout=PATIENCE_SECONDS
        )
        connection.setblocking(False)
        self.open.append(connection)
        if kind == 4:
            self._dripping.append(connection)
        with suppress(OSError):
            connection.send(self._says(kind))

    def _says(self, kind: int) -> bytes:
        if kind == 0:
            # Whole lines only would be those of a plain reader, whatever they say.
            return self._chance.randbytes(self._chance.randrange(1, 3000)) + b"\xff"
        if kind == 1:
            return self._half_handshake()
        return (b"", b"", b"HELLO 1 " + b"x" * 60_000, b"", b"H")[kind]

    def _half_handshake(self) -> bytes:
        """A ClientHello, whole or cut in the middle; nothing follows."""
        outgoing = ssl.MemoryBIO()
        client = self._context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        return hello[: self._chance.randrange(1, len(hello) + 1)]

    def drip(self) -> None:
        """One byte more of a line that never ends, from each of those who do this."""
        for each in self._dripping:
            with suppress(OSError):
                each.send(b"E")

    def reap(self) -> int:
        """Forget who was cut; return how many are left."""
        self.open = [each for each in self.open if not _is_cut(each)]
        return len(self.open)

    def close(self) -> None:
        for each in self.open:
            each.close()


def _is_cut(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def besiege(folder: Path, hostile: int, honest: int, seed: int = 5050) -> Besieged:
    """Hostile connections beside honest readers, who get every letter in time.

    Silence is a right of plain readers: these are cut by nobody, and not waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _watched(_listen(folder, tls_port := free_port(), hostile + honest + 10)) as rig:
        dovecot, service = rig
        crowd, siege = Crowd(service.port, honest), Siege(service.port, tls_port, seed)
        before = peak = _rss_bytes(service.pid)
        slowest = 0.0
        for step in range(_STEPS):
            _advance(siege, crowd, range(step * hostile // _STEPS, (step + 1) * hostile // _STEPS))
            slowest = max(slowest, _letter_seconds(dovecot, crowd, step))
            peak = max(peak, _rss_bytes(service.pid))
        # One kind of five is silence, which a plain reader is entitled to.
        entitled = sum(number % _HOSTILE_KINDS == 3 for number in range(hostile))
        cut = _cut_seconds(siege, crowd, entitled)
        crowd.judge(_STEPS)
        assert "Traceback" not in service.log, service.log
        crowd.close()
        siege.close()
    return Besieged(hostile, honest, before, peak, slowest, cut)


def _advance(siege: Siege, crowd: Crowd, numbers: range) -> None:
    """More of the hostile, while the honest go on reading."""
    for number in numbers:
        siege.add(number)
        if number % 50 == 0:
            crowd.turn(0)
    siege.drip()


def _letter_seconds(dovecot: Dovecot, crowd: Crowd, number: int) -> float:
    """How long one letter takes from the mail server to the last of the honest."""
    began = time.monotonic()
    dovecot.deliver("demo", letter(b"letter %d" % number))
    has_come = crowd.turns(lambda: crowd.have(number + 1), PATIENCE_SECONDS)
    assert has_come, "honest readers wait in vain"
    return time.monotonic() - began


def _cut_seconds(siege: Siege, crowd: Crowd, entitled: int) -> float:
    """How long it takes from the last of the hostile until no more than so many are left."""
    began = time.monotonic()

    def are_cut() -> bool:
        siege.drip()
        return siege.reap() <= entitled

    assert crowd.turns(are_cut, PATIENCE_SECONDS), f"{siege.reap()} are not cut"
    return time.monotonic() - began


def _listen(folder: Path, tls_port: int, connections: int) -> str:
    files = Certificates(folder)
    return (
        f'[listen.tls]\ncert_file = "{files.cert_file}"\nkey_file = "{files.key_file}"\n'
        f"port = {tls_port}\n[limits]\nconnections = {connections}\n"
        f"connections_per_address = {connections}\nstep_seconds = {_STEP_SECONDS}\n"
    )


def _rss_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
