"""What one message cost on the wire, as a table.

A row is what one connection did for the message: how long it took, and what the
kernel counted meanwhile. Nothing here looks at a packet. Round trips are not counted
by any kernel; what it counts is packets with data each way, and each turn of a
dialogue takes one of either at least. The lesser of the two is therefore an upper
bound, and exact where each turn is one packet; TCP's own handshake is one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

UNKNOWN: Final = "-"
"""In place of what this system does not count."""


class Counters(Struct, frozen=True, kw_only=True):
    """What the kernel has counted of a TCP connection since it was opened.

    Attributes:
        packets_sent: with SYN, bare ACKs and what was sent again; so are the next.
        data_packets_sent: those that carried bytes.
        bytes_sent: without TCP's and IP's headers; inside TLS with what TLS adds.
        rtt_seconds: the round trip as smoothed by the kernel.
    """

    packets_sent: int
    packets_received: int
    data_packets_sent: int
    data_packets_received: int
    bytes_sent: int
    bytes_received: int
    rtt_seconds: float


class Operation(Struct, frozen=True, kw_only=True):
    """One row.

    Attributes:
        before: what was counted before it began; None for a connection of its own.
        after: what was counted when it was done; None where nobody counts.
    """

    name: str
    seconds: float
    before: Counters | None = None
    after: Counters | None = None

    def figures(self) -> dict[str, str | int | float | None]:
        """The row by the names of its columns, for programs; None is unknown."""
        return {
            "operation": self.name,
            "seconds": self.seconds,
            "packets_sent": self._since("packets_sent"),
            "packets_received": self._since("packets_received"),
            "bytes_sent": self._since("bytes_sent"),
            "bytes_received": self._since("bytes_received"),
            "bytes_per_second": self.bytes_per_second,
            "round_trips": self.round_trips,
            "rtt_seconds": None if self.after is None else self.after.rtt_seconds,
        }

    @property
    def packets(self) -> int | None:
        """Both ways together."""
        return self._both("packets_sent", "packets_received")

    @property
    def bytes(self) -> int | None:
        """Both ways together."""
        return self._both("bytes_sent", "bytes_received")

    @property
    def bytes_per_second(self) -> float | None:
        """Both ways together; unknown if it took no time."""
        return None if self.bytes is None or self.seconds <= 0 else self.bytes / self.seconds

    @property
    def round_trips(self) -> int | None:
        """At most so many; see the top of this module."""
        sent, received = self._since("data_packets_sent"), self._since("data_packets_received")
        if sent is None or received is None:
            return None
        return min(sent, received) + (self.before is None)

    def _both(self, one: str, other: str) -> int | None:
        sent, received = self._since(one), self._since(other)
        return None if sent is None or received is None else sent + received

    def _since(self, name: str) -> int | None:
        if self.after is None:
            return None
        before = 0 if self.before is None else getattr(self.before, name)
        passed: int = getattr(self.after, name) - before
        return passed


class Measured(Struct, frozen=True, kw_only=True):
    """One message, from the first byte to the server until the alert.

    Attributes:
        end_to_end_seconds: from the begin of the submission to the alert.
    """

    operations: tuple[Operation, ...]
    end_to_end_seconds: float

    def figures(self) -> dict[str, object]:
        """For programs."""
        return {
            "operations": [each.figures() for each in self.operations],
            "end_to_end_seconds": self.end_to_end_seconds,
        }


_HEADINGS: Final = ("operation", "time/s", "packets", "bytes", "bytes/s", "round trips")


def table(measured: Measured) -> str:
    """For a person: aligned columns, and the end to end below."""
    rows = [_HEADINGS, *map(_row, measured.operations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    return "\n".join((*lines, "", f"submit to alert: {measured.end_to_end_seconds:.3f} s"))


def _row(operation: Operation) -> tuple[str, ...]:
    rate = operation.bytes_per_second
    trips = operation.round_trips
    return (
        operation.name,
        f"{operation.seconds:.3f}",
        _number(operation.packets),
        _number(operation.bytes),
        _number(None if rate is None else round(rate)),
        UNKNOWN if trips is None else f"<= {trips}" if trips else "0",
    )


def _number(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest))
