"""A program that sends letters through `NotifyClient.send`: submission_child.py PORT LETTERS."""

from __future__ import annotations

import random
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString

from mailnotify.client import Following, NotifyClient
from mailnotify.core.backoff import Backoff

reactor: Any = _reactor
AT_ONCE = 5


async def send(client: NotifyClient, numbers: range) -> None:
    """Send letters, one after the other, and say which were answered."""
    for number in numbers:
        letter = f"Message-ID: <{number}@crash>\r\n\r\n{'x' * 5000}\r\n".encode()
        queued = await client.send(letter, "demo@localhost", key=f"crash-{number}")
        print(number, queued.letter, flush=True)


def main(port: str, letters: str) -> None:
    client = NotifyClient(
        Following(peer_name=f"127.0.0.1:{port}"),
        endpoint=clientFromString(reactor, f"tcp:127.0.0.1:{port}"),
        sinks=[],
        positions=None,
        backoff=Backoff(first_seconds=0.05, most_seconds=0.2, jitter=random.random),
        clock=reactor,
    )
    left = [AT_ONCE]

    def ended(_: object) -> None:
        left[0] -= 1
        if not left[0]:
            reactor.stop()

    def begin() -> None:
        client.startService()
        for first in range(AT_ONCE):
            numbers = range(first, int(letters), AT_ONCE)
            sending = Deferred.fromCoroutine(send(client, numbers))
            sending.addErrback(lambda failure: print(failure.getTraceback(), file=sys.stderr))
            sending.addBoth(ended)

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
