"""Port 5050 with an outbox behind it, in memory but for the outbox's file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from msgspec.structs import replace
from twisted.internet.defer import Deferred, maybeDeferred

from mailnotify.access.door import Door
from mailnotify.config.listen import PlainFor
from mailnotify.core.frames import Hello, Send, ServerFrame
from mailnotify.core.parts import cut
from mailnotify.core.wire import ClientPeer
from mailnotify.errors import OutboxUnwritable
from mailnotify.outbox.letter import Filed, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.accepting import Accepting, Outcome
from mailnotify.taps.posting import STORE
from tests.access.fakes import Tokens
from tests.config.documents import read
from tests.fakes import NOON
from tests.serving.test_server import Rig

US, THEM = 1000, 1001
LETTER = b"Subject: Lunch?\r\nMessage-ID: <1@x>\r\n\r\nAt one?\r\n"

_ACCOUNTS = """
[accounts.home]
server = "imaps://ada%40example.org@imap.example.org"
password = {env = "SECRET"}
[accounts.home.submission]
server = "smtps://ada%40example.org@smtp.example.org"
sender = "Ada <ada@example.org>"
identities = ["list@example.org"]
[accounts.work]
server = "imaps://ada%40work.example@imap.work.example"
password = {env = "SECRET"}
[accounts.work.submission]
server = "smtps://ada%40work.example@smtp.work.example"
sender = "ada@work.example"
sent_copy = "never"
[accounts.deaf]
server = "imaps://ada%40deaf.example@imap.deaf.example"
password = {env = "SECRET"}
"""


class Threads:
    """Threads that are none, until they are slow.

    Attributes:
        is_slow: calls wait for `finish`.
    """

    def __init__(self) -> None:
        self.is_slow = False
        self.error: Exception | None = None
        self._waiting: list[Callable[[], object]] = []

    def __call__(self, call: Callable[[], list[Outcome]]) -> Deferred[list[Outcome]]:
        if not self.is_slow:
            return maybeDeferred(self._call, call)
        result: Deferred[list[Outcome]] = Deferred()
        self._waiting.append(lambda: result.callback(call()))
        return result

    def _call(self, call: Callable[[], list[Outcome]]) -> list[Outcome]:
        if self.error is not None:
            raise self.error
        return call()

    def finish(self) -> None:
        """Let those end that were begun."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()


class Office:
    """A service with two accounts that send, and one that does not.

    Args:
        only: has no account but this one.
    """

    def __init__(self, only: str = "") -> None:
        self.folder = Path(mkdtemp(dir=".")).resolve()
        config = read(f'[service]\nstate_dir = "{self.folder}"\n{_ACCOUNTS}')
        if only:
            config = replace(
                config, accounts=tuple(each for each in config.accounts if each.name == only)
            )
        self.store = SqliteOutbox.open(self.folder / STORE, NOON)
        self.threads = Threads()
        self.rings = 0
        self.uid = US
        self.post = Accepting(config, rung=self._ring, in_thread=self.threads, now=lambda: NOON)
        self.rig = Rig(door=self.door(), post=self.post)
        self.tokens = Tokens(self.rig.clock)

    def _ring(self) -> None:
        self.rings += 1

    def door(self, **kwargs: object) -> Door:
        """That lets everybody on this machine read."""
        return Door(users=frozenset({US}), owner_of=lambda *_: self.uid, **kwargs)  # type: ignore[arg-type]

    def admit(self, **rights: object) -> Clerk:
        """A client with a token of these rights."""
        text = self.tokens.add(1, "phone", **rights)
        self.rig.door = self.door(plain=PlainFor.NOBODY, keeper=self.tokens.keeper)
        self.rig.restart()
        clerk = Clerk(self)
        clerk.hear(f"AUTH TOKEN {text}\r\n".encode())
        clerk.heard()
        return clerk

    def queued(self) -> list[Filed]:
        """All letters of the outbox."""
        return self.store.letters(State, 100)

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()


class Clerk:
    """A client that sends letters, on a connection of an office."""

    def __init__(self, office: Office) -> None:
        self.peer = ClientPeer("server")
        self.line = office.rig.connect()
        self.peer.send(Hello(client="test"))
        self.hear(self.peer.to_send())
        self.heard()

    def hear(self, data: bytes) -> None:
        """Bytes for the server."""
        self.line.protocol.dataReceived(data)

    def said(self, asked: Send, letter: bytes) -> bytes:
        """SEND and its parts, as bytes."""
        self.peer.send(asked)
        for part in cut(letter):
            self.peer.send(part)
        return self.peer.to_send()

    def send(self, letter: bytes = LETTER, **fields: object) -> list[ServerFrame]:
        """Send a letter in one write; return what was answered."""
        asked = Send(size=len(letter), **{"to": ("bob@x.org",), **fields})  # type: ignore[arg-type]
        self.hear(self.said(asked, letter))
        return self.heard()

    def heard(self) -> list[ServerFrame]:
        """What the server has said since."""
        self.peer.receive(self.line.take())
        return list(self.peer.received())


def full(path: str = "state") -> OutboxUnwritable:
    """What a full disk leads to."""
    return OutboxUnwritable(path=path, reason="database or disk is full")
