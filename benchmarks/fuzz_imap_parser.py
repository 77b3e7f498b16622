"""Feeds mutated transcripts of real servers to the framer and the parser.

Each round takes one transcript of tests/corpus/imap, or a part of one, damages
it in a few places (bits, bytes, tokens, repetitions, splices of another) and
feeds it in pieces of any size. It stops with the damaged bytes, and exit code 1,

- if anything but `ProtocolViolated` is raised,
- if the reading of one response took over 50 ms of processor time three times,
- if `parse` gives anything but a response, or one that cannot be encoded,
- if the process has grown by over 64 MB at the end.

    python benchmarks/fuzz_imap_parser.py [rounds] [seed]
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import time
from pathlib import Path

import msgspec

from mailnotify.errors import ProtocolViolated
from mailnotify.imap.framer import Framer, Limits
from mailnotify.imap.parser import parse

ROUNDS = 200_000
MOST_SECONDS = 0.050
MOST_GROWTH_BYTES = 64 * 1024 * 1024
WARM_UP_ROUNDS = 2_000

CORPUS = Path(__file__).parent.parent / "tests" / "corpus" / "imap"
SMALL = Limits(line_bytes=64 * 1024, literal_bytes=4096, response_bytes=128 * 1024, literals=50)
TOKENS = [b"(", b")", b'"', b"\\", b"[", b"]", b"{", b"}", b"{5}\r\n", b"~{3}\r\n", b"{0}\r\n"]
TOKENS += [b"\r", b"\n", b"\r\n", b"* ", b"+ ", b"NIL", b"<0>", b"\0", b"\xff", b" ", b"1:*", b"&-"]
TOKENS += [b"BODY[", b"FETCH (", b"UID 0", b"* OK [", b"99999999999999999999", b"-1", b"&AOk", b","]

REPEATS = (1,) * 40 + (2,) * 20 + (5,) * 3 + (2000,)
"""How often a token is put in: mostly once; what many of one kind do is tried now and then."""


class Fuzzer:
    """Makes damaged transcripts, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._corpus = [path.read_bytes() for path in sorted(CORPUS.glob("*.imap"))]

    def damaged(self) -> bytes:
        """A transcript, or a part of one, with one to eight damages."""
        data = self._part()
        for _ in range(self._random.randint(1, 8)):
            data = self._damage(data)
        return data

    def pieces(self, data: bytes) -> list[bytes]:
        """The data as the network may bring it."""
        step = self._random.choice((1, 7, 50, len(data) or 1, len(data) or 1))
        return [data[start : start + step] for start in range(0, len(data), step)]

    def _part(self) -> bytes:
        data = self._random.choice(self._corpus)
        start = self._random.randrange(len(data))
        return data[start : start + self._random.randint(1, 600)]

    def _damage(self, data: bytes) -> bytes:
        pick = self._random
        start = pick.randint(0, len(data))
        end = min(len(data), start + pick.choice((0, 1, 1, 2, 5, 30)))
        kind = pick.randrange(6)
        if kind == 0:
            middle = b""
        elif kind == 1:
            middle = pick.randbytes(max(end - start, 1))
        elif kind == 2:
            middle = pick.choice(TOKENS) * pick.choice(REPEATS)
        elif kind == 3:
            middle = data[start:end] * pick.choice((2, 3, 3, 5, 200))
        elif kind == 4:
            middle = self._part()
        else:
            middle = bytes(byte ^ (1 << pick.randrange(8)) for byte in data[start:end])
        return data[:start] + middle + data[end:]


def read(pieces: list[bytes], limits: Limits | None) -> tuple[int, float]:
    """Read everything; how many responses there were and the seconds of the slowest."""
    framer, count, slowest = Framer(limits), 0, 0.0
    for piece in pieces:
        framer.receive(piece)
        try:
            for framed in framer.received():
                start = time.thread_time()
                response = parse(framed)
                slowest = max(slowest, time.thread_time() - start)
                msgspec.json.encode(response, enc_hook=repr)
                count += 1
        except ProtocolViolated:
            break
    return count, slowest


def resident_bytes() -> int:
    """What the process holds now (Linux), or at most ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fail(reason: str, data: bytes) -> None:
    """Show what broke the promise, and stop."""
    print(f"FAILED: {reason}\n{data!r}")
    sys.exit(1)


def main() -> None:
    """Fuzz and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    fuzzer, before, responses, slowest = Fuzzer(seed), 0, 0, 0.0
    start = time.monotonic()
    for done in range(rounds):
        if done == min(WARM_UP_ROUNDS, rounds - 1):
            gc.collect()
            before = resident_bytes()
        data = fuzzer.damaged()
        limits, pieces = SMALL if done % 2 else None, fuzzer.pieces(data)
        try:
            count, seconds = read(pieces, limits)
            for _ in range(2 if seconds > MOST_SECONDS else 0):  # it, or only the machine?
                seconds = min(seconds, read(pieces, limits)[1])
        except Exception as error:
            fail(f"{type(error).__name__}: {error} (round {done}, seed {seed})", data)
        if seconds > MOST_SECONDS:
            fail(f"{seconds * 1000:.0f} ms for one response (round {done}, seed {seed})", data)
        responses += count
        slowest = max(slowest, seconds)
    gc.collect()
    growth = resident_bytes() - before
    took = time.monotonic() - start
    print(f"{rounds} damaged transcripts, {responses} responses in {took:.0f} s, seed {seed}")
    print(f"  slowest response {slowest * 1000:.1f} ms, growth {growth / 1048576:.1f} MiB")
    if growth > MOST_GROWTH_BYTES:
        fail("the process has grown too much", b"")


if __name__ == "__main__":
    main()
