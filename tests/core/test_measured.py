"""The table of `mailnotify measure`, from figures alone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.measured import Counters, Measured, Operation, table


def counters(packets: int, data: int, size: int) -> Counters:
    """So much each way; a packet with data more is sent than is received."""
    return Counters(
        packets_sent=packets,
        packets_received=packets - 1,
        data_packets_sent=data + 1,
        data_packets_received=data,
        bytes_sent=size,
        bytes_received=2 * size,
        rtt_seconds=0.025,
    )


SEND = Operation(name="SMTP send", seconds=0.5, after=counters(12, 6, 1000))
ALERT = Operation(
    name="notification",
    seconds=0.25,
    before=counters(5, 2, 100),
    after=counters(6, 3, 200),
)


class OperationTests(SynchronousTestCase):
    """`Operation`."""

    def test_own_connection(self) -> None:
        """All of a connection counts, and its handshake is a round trip."""
        self.assertEqual(
            SEND.figures(),
            {
                "operation": "SMTP send",
                "seconds": 0.5,
                "packets_sent": 12,
                "packets_received": 11,
                "bytes_sent": 1000,
                "bytes_received": 2000,
                "bytes_per_second": 6000.0,
                "round_trips": 7,
                "rtt_seconds": 0.025,
            },
        )

    def test_part_of_a_connection(self) -> None:
        """What was counted before does not count."""
        self.assertEqual((ALERT.packets, ALERT.bytes, ALERT.round_trips), (2, 300, 1))

    def test_pushed(self) -> None:
        """What comes without being asked for takes no round trip."""
        before = counters(5, 2, 100)
        after = Counters(
            packets_sent=6,
            packets_received=5,
            data_packets_sent=before.data_packets_sent,
            data_packets_received=before.data_packets_received + 1,
            bytes_sent=100,
            bytes_received=500,
            rtt_seconds=0.0,
        )
        told = Operation(name="notification", seconds=0.1, before=before, after=after)
        self.assertEqual((told.round_trips, told.bytes), (0, 300))

    def test_no_time(self) -> None:
        """Nothing is divided by no time."""
        self.assertIsNone(
            Operation(name="x", seconds=0.0, after=counters(3, 1, 9)).bytes_per_second
        )

    def test_nobody_counts(self) -> None:
        """What is not known is said to be unknown, never 0."""
        figures = Operation(name="x", seconds=0.5).figures()
        self.assertEqual(figures.pop("operation"), "x")
        self.assertEqual(figures.pop("seconds"), 0.5)
        self.assertEqual(set(figures.values()), {None})


class TableTests(SynchronousTestCase):
    """`table`."""

    def test_columns(self) -> None:
        """Names to the left, numbers to the right, end to end below."""
        measured = Measured(operations=(SEND, ALERT), end_to_end_seconds=0.75)
        self.assertEqual(
            table(measured).splitlines(),
            [
                "operation     time/s  packets  bytes  bytes/s  round trips",
                "SMTP send      0.500       23   3000     6000         <= 7",
                "notification   0.250        2    300     1200         <= 1",
                "",
                "submit to alert: 0.750 s",
            ],
        )

    def test_unknown(self) -> None:
        """A dash stands where nobody counts, and 0 where a thing was pushed."""
        still = counters(5, 2, 100)
        pushed = Operation(name="told", seconds=1.0, before=still, after=still)
        measured = Measured(
            operations=(Operation(name="sent", seconds=1.0), pushed), end_to_end_seconds=2.0
        )
        _, sent, told, *_ = table(measured).splitlines()
        self.assertEqual(sent.split(), ["sent", "1.000", "-", "-", "-", "-"])
        self.assertEqual(told.split(), ["told", "1.000", "0", "0", "0", "0"])
