"""A hostile IMAP server in a process of its own, over real TCP and TLS.

The behaviours are those of ``tests.imap.hostile``, by name; the clock is the real
one, so those that wait for a minute take a minute.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.rigs import PATIENCE_SECONDS, child_environment
from tests.rigs.certificates import Certificates, shown


class Hostile:
    """One running server; `stop` ends it.

    Args:
        behaviour: the name of one of them.
        names: what the certificate is for.
    """

    def __init__(self, behaviour: str, *names: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mailnotify-hostile-")
        certificates = Certificates(Path(self._folder.name))
        self.ca_file = certificates.ca_file
        files = certificates.issue("shown", *(names or ("localhost",)))
        command = [sys.executable, "-m", "tests.rigs.hostile", *map(str, files), behaviour]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            text=True,
            bufsize=1,
        )
        self.port = int(self._read())

    def letter(self, subject: str) -> None:
        """A letter arrives."""
        self._order(f"letter {subject}")

    def counts(self) -> tuple[int, int]:
        """How many connections came, and how often the password was heard."""
        connections, logins = self._order("count").split()
        return int(connections), int(logins)

    def _order(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def stop(self) -> None:
        """End the process; its orders end with its input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()
        self._folder.cleanup()


def serve(cert_file: str, key_file: str, name: str) -> None:
    """The body of the process."""
    from twisted.internet import reactor, stdio
    from twisted.internet.protocol import Factory, connectionDone
    from twisted.protocols.basic import LineReceiver
    from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

    from tests.imap.hostile import (
        of_idle,
        of_manners,
        of_providers,
        of_the_fetch,
        of_the_mailbox,
    )
    from tests.imap.hostile.server import SECRETS, Box, Conversation

    modules = (of_idle, of_manners, of_providers, of_the_fetch, of_the_mailbox)
    known = {each.name: each for module in modules for each in module.BEHAVIOURS}
    behaviour, box = known[name], Box()
    box.add(b"old")
    behaviour.prepare(box)
    counts = {"connections": 0, "logins": 0}
    seen: dict[int, int] = {}

    def hear(_: Conversation, data: bytes) -> None:
        counts["logins"] += any(secret in data for secret in SECRETS)

    def accept() -> Conversation:
        counts["connections"] += 1
        return Conversation(box, reactor, behaviour.faults, seen, hear)

    class Orders(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            word, _, rest = line.partition(b" ")
            if word == b"letter":
                box.add(rest)
            self.sendLine(b"%d %d" % tuple(counts.values()))

        def connectionLost(self, reason: object = connectionDone) -> None:
            reactor.stop()

    options = shown(Path(cert_file).read_bytes(), Path(key_file).read_bytes())
    over_tls = TLSMemoryBIOFactory(options, False, Factory.forProtocol(accept))
    over_tls.protocol = TLSMemoryBIOProtocol
    port = reactor.listenTCP(0, over_tls, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    stdio.StandardIO(Orders())
    reactor.run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
