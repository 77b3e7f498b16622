"""Tests of `mailnotify.core.deflate`."""

from __future__ import annotations

import random
import tracemalloc
import zlib

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.deflate import MOST_RATIO, PIECE_BYTES, SLACK_BYTES, Deflated
from mailnotify.errors import ProtocolViolated


class Server:
    """The other end, with zlib as servers use it."""

    def __init__(self) -> None:
        self._out = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._in = zlib.decompressobj(-15)

    def press(self, data: bytes) -> bytes:
        return self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH)

    def read(self, data: bytes) -> bytes:
        return self._in.decompress(data)

    def end(self) -> bytes:
        return self._out.flush()


def drain(deflated: Deflated) -> bytes:
    """All that is there by now."""
    return b"".join(iter(deflated.received, b""))


class DeflateTests(SynchronousTestCase):
    """A compressed connection, and its other end."""

    def setUp(self) -> None:
        self.server = Server()
        self.deflated = Deflated("imap.example:993")

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.binary(max_size=3000), max_size=8))
    def test_what_is_sent_arrives(self, lines: list[bytes]) -> None:
        """Each write is whole when it arrives: nothing waits for more."""
        server, deflated = Server(), Deflated("x")
        for line in lines:
            self.assertEqual(server.read(deflated.press(line)), line)
            deflated.receive(server.press(line))
            self.assertEqual(drain(deflated), line)

    def test_split_at_every_byte(self) -> None:
        """However the bytes come, the text is the same."""
        text = b"".join(b"* %d FETCH (UID %d)\r\n" % (n, n) for n in range(50))
        found = b""
        for byte in self.server.press(text):
            self.deflated.receive(bytes([byte]))
            found += drain(self.deflated)
        self.assertEqual(found, text)

    def test_pieces_are_bounded(self) -> None:
        """A large answer comes in pieces, of which none is larger than a read."""
        text = bytes(range(256)) * 4000
        self.deflated.receive(self.server.press(text))
        pieces = list(iter(self.deflated.received, b""))
        self.assertEqual(b"".join(pieces), text)
        self.assertLessEqual(max(map(len, pieces)), PIECE_BYTES)

    def test_damage(self) -> None:
        """What is no DEFLATE ends the connection."""
        self.deflated.receive(b"\xff" * 100)
        error = self.assertRaises(ProtocolViolated, self.deflated.received)
        self.assertIn("damaged", str(error))

    def test_an_end(self) -> None:
        """A stream that ends by itself has no more to say, and may not go on."""
        self.deflated.receive(self.server.press(b"last") + self.server.end() + b"more")
        self.assertEqual(self.deflated.received(), b"last")
        error = self.assertRaises(ProtocolViolated, self.deflated.received)
        self.assertIn("end", str(error))

    def test_a_bomb(self) -> None:
        """A gigabyte in a megabyte costs the connection, and next to no memory."""
        bomb = b"".join(self.server.press(b" " * 2**20) for _ in range(100))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.deflated.receive(bomb)
        size_bytes = 0
        with self.assertRaises(ProtocolViolated):
            while piece := self.deflated.received():
                size_bytes += len(piece)
        self.assertLessEqual(size_bytes, SLACK_BYTES + MOST_RATIO * PIECE_BYTES)
        self.assertLess(tracemalloc.get_traced_memory()[1], 2**20)

    def test_a_slow_bomb(self) -> None:
        """It is refused too if it comes in small parts over a long time."""
        with self.assertRaises(ProtocolViolated):
            for _ in range(10_000):
                self.deflated.receive(self.server.press(b" " * 2**16))
                drain(self.deflated)

    def test_a_bomb_after_an_honest_life(self) -> None:
        """Much that was not compressed at all gives no right to explode."""
        noise = random.Random(1).randbytes(2**20)
        self.deflated.receive(self.server.press(noise))
        self.assertEqual(drain(self.deflated), noise)
        self.deflated.receive(self.server.press(b" " * 50 * 2**20))
        self.assertRaises(ProtocolViolated, drain, self.deflated)

    def test_honest_mail_is_no_bomb(self) -> None:
        """Ten thousand notifications that hardly differ pass, and pass again and again."""
        header = b"From: CI <ci@example.org>\r\nSubject: Build %d failed\r\nTo: all@example.org\r\n"
        for _ in range(20):
            text = b"".join(header % n for n in range(10_000))
            pressed = self.server.press(text)
            self.assertLess(len(text) / len(pressed), MOST_RATIO)
            self.deflated.receive(pressed)
            self.assertEqual(len(drain(self.deflated)), len(text))
