"""Tests of `mailnotify.imap.compressing`, through a session with a server that compresses."""

from __future__ import annotations

import zlib
from typing import Any

from msgspec.structs import replace

from mailnotify.config.connecting import Compress
from mailnotify.core.deflate import PIECE_BYTES
from mailnotify.errors import ProtocolViolated
from mailnotify.imap.session import BATCH, Session
from tests.imap.scripted import CAPABILITY, Letters, ScriptedServer, ScriptedTransport
from tests.imap.test_session import SessionCase, account

_SWITCH = b" OK compressed\r\n"


class _Transport(ScriptedTransport):
    """Gives the server what the client wrote, as the client meant it."""

    server: CompressingServer

    def write(self, data: bytes) -> None:
        inflate = self.server.inflate
        self.server.raw_writes.append(data)
        super().write(data if inflate is None else inflate.decompress(data))

    def pauseProducing(self) -> None:
        self.server.pauses += 1
        super().pauseProducing()


class CompressingServer(ScriptedServer):
    """Compresses behind its OK to COMPRESS, in the very same segment."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.transport = _Transport(self)
        self.raw_writes: list[bytes] = []
        self.pauses = 0
        self.inflate: Any = None
        self._deflate: Any = None
        offer = CAPABILITY + b" COMPRESS=DEFLATE"
        self.answers[b"AUTHENTICATE"] = [b"TAG OK [CAPABILITY %b] hi\r\n" % offer]
        self.answers[b"COMPRESS"] = [b"TAG" + _SWITCH]

    def _deliver(self, out: bytes) -> None:
        if self._deflate is None and _SWITCH in out:
            clear, _, rest = out.partition(_SWITCH)
            self._deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            self.inflate = zlib.decompressobj(-15)
            super()._deliver(clear + _SWITCH + (self._press(rest) if rest else b""))
        else:
            super()._deliver(self._press(out) if self._deflate and out else out)

    def _press(self, data: bytes) -> bytes:
        pressed: bytes = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return pressed


class CompressTests(SessionCase):
    """A mailbox with more than a batch."""

    count = BATCH + 50

    def setUp(self) -> None:
        super().setUp()
        self.server = CompressingServer()
        self.connector.servers = [self.server]
        Letters(*range(1, self.count + 1)).install(self.server)
        self.server.answers[b"EXAMINE"] = [
            b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT %d] n\r\nTAG OK done\r\n"
            % (self.count, self.count + 1)
        ]

    def examined(self, **options: Any) -> Session:
        session = self.open(**options)
        self.result(session.examine("INBOX"))
        return session

    def fetch(self, session: Session, first_uid: int) -> list[int]:
        deferred = self.start(session.fetch(first_uid))
        for _ in range(100):
            self.clock.advance(0)
            self.server.pump()
        return [each.uid for each in self.successResultOf(deferred)]

    def test_much_to_fetch(self) -> None:
        """COMPRESS goes alone, and all that follows is compressed, both ways."""
        session = self.examined()
        self.assertEqual(self.fetch(session, 1), list(range(1, BATCH + 1)))
        self.assertEqual(self.heard(b"COMPRESS"), [b"COMPRESS DEFLATE"])
        self.assertNotIn(b"UID", self.server.raw_writes[-1])
        self.assertEqual(self.fetch(session, BATCH + 1), list(range(BATCH + 1, self.count + 1)))
        self.result(session.listen(lambda mailbox, status: None))
        self.result(session.poll())
        self.assertEqual(len(self.heard(b"COMPRESS")), 1)

    def test_split_at_every_byte(self) -> None:
        """However the bytes come."""
        self.server.piece_bytes = 1
        session = self.examined()
        self.assertEqual(self.fetch(session, 1), list(range(1, BATCH + 1)))

    def test_what_comes_with_the_ok(self) -> None:
        """What follows it in the same segment is compressed already, and is heard."""
        self.answer(b"COMPRESS", b"TAG" + _SWITCH + b"* %d EXISTS\r\n" % (self.count + 1))
        session = self.examined()
        self.fetch(session, 1)
        self.assertEqual(session._view.exists, self.count + 1)

    def test_little_to_fetch(self) -> None:
        """A few messages are not worth a window of 32 KiB."""
        session = self.examined()
        self.assertEqual(len(self.fetch(session, self.count - 5)), 6)
        self.assertEqual(self.heard(b"COMPRESS"), [])

    def test_switched_off(self) -> None:
        """The operator's word counts."""
        session = self.examined(account=replace(account(), compress=Compress.OFF))
        self.assertEqual(len(self.fetch(session, 1)), BATCH)
        self.assertEqual(self.heard(b"COMPRESS"), [])

    def test_not_offered(self) -> None:
        """Nothing is asked that the server does not know."""
        self.answer(b"AUTHENTICATE", b"TAG OK [CAPABILITY %b] hi\r\n" % CAPABILITY)
        session = self.examined()
        self.assertEqual(len(self.fetch(session, 1)), BATCH)
        self.assertEqual(self.heard(b"COMPRESS"), [])

    def test_refused(self) -> None:
        """The mail comes as it is, and the server is not asked again."""
        self.answer(b"COMPRESS", b"TAG NO [COMPRESSIONACTIVE] TLS does\r\n")
        session = self.examined()
        self.assertEqual(len(self.fetch(session, 1)), BATCH)
        self.assertEqual(len(self.fetch(session, 1)), BATCH)
        self.assertEqual(len(self.heard(b"COMPRESS")), 1)

    def test_while_idling(self) -> None:
        """No IDLE may follow COMPRESS in one write, so it is too late for it."""
        session = self.examined()
        self.result(session.listen(lambda mailbox, status: None))
        self.assertEqual(len(self.fetch(session, 1)), BATCH)
        self.assertEqual(self.heard(b"COMPRESS"), [])

    def test_damaged(self) -> None:
        """The connection ends, and says why."""
        session = self.examined()
        self.fetch(session, 1)
        self.server.client.dataReceived(b"\xff" * 10)
        error = self.result(session.client.lost.wait())
        self.assertIsInstance(error, ProtocolViolated)
        self.assertIn("damaged", str(error))

    def test_a_turn_for_each_piece(self) -> None:
        """A stream that grows is not read until it is dealt with, and others have their turns."""
        session = self.examined()
        self.fetch(session, 1)
        self.server.pauses = 0
        line = b"* OK still here\r\n"
        self.server.client.dataReceived(
            self.server._press(line * (4 * PIECE_BYTES // len(line) - 10))
        )
        self.assertEqual(self.server.pauses, 1)
        self.assertEqual(self.server.transport.producerState, "paused")
        self.server.client.dataReceived(self.server._press(b"* 999 EXISTS\r\n"))
        self.assertEqual(session._view.exists, self.count)
        while turns := self.clock.getDelayedCalls():
            self.assertEqual(len(turns), 1)
            self.assertEqual(self.server.transport.producerState, "paused")
            turns[0].func()
            turns[0].cancel()
        self.assertEqual(self.server.transport.producerState, "producing")
        self.assertEqual(session._view.exists, 999)

    def test_cut_in_the_middle(self) -> None:
        """No turn is taken for a connection that is gone."""
        session = self.examined()
        self.fetch(session, 1)
        line = b"* OK still here\r\n"
        self.server.client.dataReceived(self.server._press(line * (3 * PIECE_BYTES // len(line))))
        session.abort()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.server.client.dataReceived(self.server._press(line))
        self.assertEqual(self.clock.getDelayedCalls(), [])
