"""How much of ours waits with each connection: a thousand of them are kept for days."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import mailnotify
from mailnotify.imap.session import Session
from tests.imap.scripted import ScriptedConnector, ScriptedServer
from tests.imap.test_session import SessionCase

COUNT = 20
MOST_BYTES = 5000
"""In objects of ours, of some 50 KiB that a watched mailbox takes of the process."""


class SizeTests(SessionCase):
    """What a session keeps while it waits for news."""

    def watch(self) -> tuple[ScriptedServer, Session]:
        """A session in IDLE."""
        self.server = ScriptedServer()
        self.connector = ScriptedConnector(self.server)
        session = self.open()
        self.result(session.examine("INBOX"))
        self.result(session.listen(lambda mailbox, status: None))
        self.assertEqual(self.server.heard[-1], b"IDLE")
        return self.server, session

    def test_idle(self) -> None:
        """No closures, coroutines or containers are left of the way into IDLE."""
        ours = tracemalloc.Filter(True, f"{Path(mailnotify.__file__).parent}/*")
        self.watch()
        tracemalloc.start()
        try:
            kept = [self.watch() for _ in range(COUNT)]
            gc.collect()
            found = tracemalloc.take_snapshot().filter_traces([ours]).statistics("lineno")
        finally:
            tracemalloc.stop()
        size_bytes = sum(each.size for each in found) // len(kept)
        self.assertLess(size_bytes, MOST_BYTES, found[:10])
