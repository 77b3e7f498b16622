"""How fast FETCH batches become values: ours against twisted's IMAP4Client.

The same bytes, in the same run, in the segments that a TLS transport delivers:
a batch of FETCH responses as Dovecot sends them, each with a header of about
600 bytes. Ours is the whole data path (`Framer`, `parse`); Twisted's is the
whole of its own (`dataReceived` to the Deferred of `fetchSpecific`). Each is
measured five times in turn; the medians count.

    python benchmarks/imap_parser.py [messages]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sized

from twisted.internet.testing import StringTransport
from twisted.mail.imap4 import IMAP4Client

from mailnotify.imap.framer import Framer
from mailnotify.imap.parser import parse
from mailnotify.imap.responses import FetchData

ROUNDS = 5
SEGMENT_BYTES = 16_384  # a TLS record; an IMAP4Client gets no more at once

HEADER = (
    b"From: =?utf-8?q?J=C3=BCrgen?= Example <juergen@example.org>\r\n"
    b"To: Somebody Else <somebody.else@example.net>\r\n"
    b"Subject: =?utf-8?b?UmU6IMOcYmVyIGRpZSBSZWNobnVuZyBOci4gMTIz?=\r\n"
    b"Date: Mon, 15 Jan 2024 10:20:30 +0100\r\n"
    b"Message-ID: <20240115102030.%d.17@mail.example.org>\r\n"
    b"References: " + b" ".join(b"<%d.reference@mail.example.org>" % n for n in range(9)) + b"\r\n"
    b"\r\n"
)


def batch(messages: int) -> bytes:
    """The answer to a UID FETCH for that many messages, without its tagged end."""
    return b"".join(_fetch(seq) for seq in range(1, messages + 1))


def _fetch(seq: int) -> bytes:
    header = HEADER % seq
    return (
        b"* %d FETCH (UID %d FLAGS (\\Seen $Forwarded) "
        b'INTERNALDATE "15-Jan-2024 10:20:31 +0100" RFC822.SIZE %d '
        b"BODY[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID REFERENCES)] {%d}\r\n%s)\r\n"
    ) % (seq, 10_000 + seq, 4000 + seq, len(header), header)


def ours(data: bytes, messages: int) -> float:
    """Seconds from the first byte to the last value."""
    framer, count = Framer(), 0
    start = time.perf_counter()
    for place in range(0, len(data), SEGMENT_BYTES):
        framer.receive(data[place : place + SEGMENT_BYTES])
        for framed in framer.received():
            response = parse(framed)
            count += isinstance(response, FetchData) and response.header is not None
    seconds = time.perf_counter() - start
    assert count == messages, count
    return seconds


def twisteds(data: bytes, messages: int) -> float:
    """Seconds from the first byte to the result of the command."""
    results: list[Sized] = []
    client, transport = IMAP4Client(), StringTransport()
    client.makeConnection(transport)
    client.dataReceived(b"* OK ready\r\n")
    transport.clear()
    fetching = client.fetchSpecific(
        "1:*", uid=True, headerType="HEADER.FIELDS", headerArgs=["FROM", "TO"], peek=True
    )
    fetching.addBoth(results.append)
    tag = transport.value().split()[0]
    answer = data + tag + b" OK done\r\n"
    start = time.perf_counter()
    for place in range(0, len(answer), SEGMENT_BYTES):
        client.dataReceived(answer[place : place + SEGMENT_BYTES])
    seconds = time.perf_counter() - start
    assert len(results[0]) == messages, results
    return seconds


def main() -> None:
    """Measure and print."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    data = batch(messages)
    contestants: dict[str, Callable[[bytes, int], float]] = {
        "mailnotify": ours,
        "twisted": twisteds,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, measure in contestants.items():
            seconds[name].append(measure(data, messages))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{messages} FETCH responses, {len(data)} bytes, median of {ROUNDS}")
    for name, median in medians.items():
        print(f"  {name:<10} {median / messages * 1e6:7.1f} µs per message")
    print(f"  ratio      {medians['twisted'] / medians['mailnotify']:7.1f}")


if __name__ == "__main__":
    main()
