"""Opens connections in TLS and says nothing but line ends, each in a record of its own.

Run as ``python -m tests.live.flood_child PORT CA_FILE COUNT``; it goes on until it is ended.
"""

from __future__ import annotations

import socket
import ssl
import sys
from itertools import cycle

RECORDS = 3000


class Flood:
    """One connection."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._heard, self._said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._heard, self._said, server_hostname="localhost")
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._socket.sendall(self._said.read())
                self._heard.write(self._socket.recv(65536))
        self._socket.sendall(self._said.read())
        self._socket.setblocking(False)
        self._left = b""

    def go_on(self) -> None:
        """Send what there is room for."""
        if not self._left:
            for _ in range(RECORDS):
                self._tls.write(b"\n")
            self._left = self._said.read()
        try:
            self._left = self._left[self._socket.send(self._left) :]
        except BlockingIOError:
            return


def main(port: str, ca_file: str, count: str) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    floods = [Flood(int(port), context) for _ in range(int(count))]
    print("begun", flush=True)
    for flood in cycle(floods):
        flood.go_on()


if __name__ == "__main__":
    main(*sys.argv[1:])
