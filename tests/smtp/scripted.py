"""A submission server that misbehaves exactly as it is told.

`Behaviour` is data: what is said to each verb, in bytes as they go out, with
`CUT` and `STALL` for what cannot be said. The defaults make a good server.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from msgspec import Struct, field
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

#: Close the connection in an instant.
CUT = b"<cut>"
#: Say nothing and hear nothing from here on.
STALL = b"<stall>"
#: Start TLS as the server.
TLS = b"<tls>"

_MARKS = (CUT, STALL, TLS)


class Behaviour(Struct, kw_only=True):
    """What the server does.

    Attributes:
        is_tls: whether TLS begins with the connection.
        clear, private: the reply to EHLO outside and inside TLS.
        replies: by verb; ``DOT`` is the end of a letter. A list is used up in order,
            its last entry stays.
        refused: reply to RCPT by address.
        dribbles: whether each byte is sent by itself.
        flushes: whether what came behind a line in the same read is thrown away.
        ignores_bdat: whether the bytes behind BDAT are taken for commands.
    """

    is_tls: bool = True
    greeting: bytes = b"220 mail.example.org ESMTP\r\n"
    clear: bytes = b"250-mail.example.org\r\n250-SIZE 1000000\r\n250 STARTTLS\r\n"
    private: bytes = b"250-mail.example.org\r\n250-SIZE 1000000\r\n250 AUTH PLAIN LOGIN\r\n"
    replies: dict[str, list[bytes]] = field(default_factory=dict)
    refused: dict[str, bytes] = field(default_factory=dict)
    user: str = "ada"
    password: str = "s3cret-w0rd"
    dribbles: bool = False
    flushes: bool = False
    ignores_bdat: bool = False


_GOOD = {
    "STARTTLS": b"220 go ahead\r\n" + TLS,
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    "DOT": b"250 2.0.0 Ok: queued as 4711\r\n",
    "BDAT": b"250 2.0.0 Ok: queued as 4712\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n" + CUT,
}


class ScriptedServer(Protocol):
    """One connection of a server with a `Behaviour`.

    Attributes:
        commands: each line received outside of letters, with whether TLS was on.
        letters: each letter received, with its dots removed.
        reads: what came in at once.
    """

    def __init__(self, behaviour: Behaviour, clock: Clock, server_options: Any) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._options = server_options
        self._buffer = b""
        self._is_in_data = False
        self._is_deaf = False
        self._missing_bytes: int | None = None
        self._has_sender = False
        self._has_recipient = False
        self._expects: list[str] = []
        self._queue: list[bytes] = []
        self.is_private = behaviour.is_tls
        self.commands: list[tuple[bytes, bool]] = []
        self.letters: list[bytes] = []
        self.reads: list[bytes] = []
        self.is_lost = False

    @property
    def verbs(self) -> list[str]:
        return [_verb(line) for line, _ in self.commands]

    def connectionMade(self) -> None:
        if self.is_private:
            self.transport.startTLS(self._options)  # type: ignore[union-attr]
        self.say(self._behaviour.greeting)

    def connectionLost(self, reason: Any = None) -> None:
        self.is_lost = True

    def say(self, words: bytes) -> None:
        """Send, and do what the marks among the words say."""
        for piece in re.split(b"(%s)" % b"|".join(_MARKS), words):
            self._queue += [piece] if piece in _MARKS else self._pieces(piece)
        self._drain()

    def _pieces(self, words: bytes) -> list[bytes]:
        if self._behaviour.dribbles:
            return [bytes([each]) for each in words]
        return [words] if words else []

    def _drain(self) -> None:
        """Send one byte in each turn, if it dribbles; else all that is to be sent."""
        while self._queue:
            self._do(self._queue.pop(0))
            if self._behaviour.dribbles:
                if self._queue:
                    self._clock.callLater(0, self._drain)
                return

    def _do(self, piece: bytes) -> None:
        transport: Any = self.transport
        if piece == CUT:
            self._is_deaf = True
            transport.loseConnection()
        elif piece == TLS:
            transport.startTLS(self._options)
            self.is_private = True
            self._buffer = b""
        elif piece == STALL:
            self._is_deaf = True
        else:
            transport.write(piece)

    def dataReceived(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self.reads.append(data)
        self._buffer += data
        while not self._is_deaf and self._step():
            pass

    def _step(self) -> bool:
        if self._is_in_data:
            return self._take_letter()
        if self._missing_bytes is not None:
            return self._take_chunk(self._missing_bytes)
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = b"" if self._behaviour.flushes else rest
        self._command(line)
        return True

    def _take_chunk(self, size: int) -> bool:
        if len(self._buffer) < size:
            return False
        letter, self._buffer = self._buffer[:size], self._buffer[size:]
        self._missing_bytes = None
        if self._has_recipient:
            self.letters.append(letter)
        usual = _GOOD["BDAT"] if self._has_recipient else b"554 5.5.1 no valid recipients\r\n"
        self.say(self._reply("BDAT", usual))
        return True

    def _take_letter(self) -> bool:
        letter, end, rest = (b"\r\n" + self._buffer).partition(b"\r\n.\r\n")
        if not end:
            return False
        self._is_in_data = False
        self._buffer = rest
        self.letters.append((letter + b"\r\n").replace(b"\r\n.", b"\r\n").removeprefix(b"\r\n"))
        self.say(self._reply("DOT", _GOOD["DOT"]))
        return True

    def _command(self, line: bytes) -> None:
        self.commands.append((line, self.is_private))
        verb = _verb(line)
        if self._expects:
            self.say(self._answer(line))
        elif verb == "EHLO":
            greeting = self._behaviour.private if self.is_private else self._behaviour.clear
            self.say(self._reply("EHLO", greeting))
        elif verb == "AUTH":
            reply = self._reply("AUTH", self._auth(line))
            if not reply.startswith(b"334"):
                self._expects = []
            self.say(reply)
        elif verb == "MAIL":
            reply = self._reply("MAIL", _GOOD["MAIL"])
            self._has_sender, self._has_recipient = reply.startswith(b"2"), False
            self.say(reply)
        elif verb == "RCPT":
            self._name(line.partition(b"<")[2].partition(b">")[0].decode())
        elif verb == "BDAT" and not self._behaviour.ignores_bdat:
            self._missing_bytes = int(line.split()[1])
        else:
            usual = _GOOD.get(verb, b"500 what?\r\n")
            if verb == "DATA" and not self._has_recipient:
                usual = b"554 5.5.1 no valid recipients\r\n"
            reply = self._reply(verb, usual)
            self._is_in_data = verb == "DATA" and reply.startswith(b"354")
            self.say(reply)

    def _name(self, address: str) -> None:
        usual = _GOOD["RCPT"] if self._has_sender else b"503 5.5.1 need MAIL first\r\n"
        reply = self._behaviour.refused.get(address) or self._reply("RCPT", usual)
        self._has_recipient = self._has_recipient or reply.startswith(b"2")
        self.say(reply)

    def _reply(self, verb: str, usual: bytes) -> bytes:
        replies = self._behaviour.replies.get(verb)
        if not replies:
            return usual
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _auth(self, line: bytes) -> bytes:
        words = line.decode().split()
        if words[1].upper() == "LOGIN":
            self._expects = ["user", "password"]
            return b"334 VXNlcm5hbWU6\r\n"
        return self._judge(base64.b64decode(words[2]).decode().split("\0")[1:])

    def _answer(self, line: bytes) -> bytes:
        said = base64.b64decode(line).decode()
        if self._expects.pop(0) == "user":
            self._user = said
            return b"334 UGFzc3dvcmQ6\r\n"
        return self._judge([self._user, said])

    def _judge(self, credentials: list[str]) -> bytes:
        if credentials == [self._behaviour.user, self._behaviour.password]:
            return b"235 2.7.0 Authentication successful\r\n"
        return b"535 5.7.8 Error: authentication failed\r\n"


def _verb(line: bytes) -> str:
    return line.split(b" ")[0].decode("ascii", "replace").upper()
