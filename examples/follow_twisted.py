"""Follow the stream for ever with Twisted: follow_twisted.py [PORT [COUNT [POSITION_FILE]]]."""

import random
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString
from zope.interface import implementer

from mailnotify.client import Following, NotifyClient
from mailnotify.core.backoff import Backoff
from mailnotify.core.events import Entry, NewMail, Position
from mailnotify.interfaces import ISink
from mailnotify.position import PositionFile


@implementer(ISink)
class Printer:
    def __init__(self, count: int) -> None:
        self.left = count

    async def deliver(self, entry: Entry, position: Position) -> None:
        if isinstance(entry.event, NewMail):
            print(entry.event.subject, flush=True)
            self.left -= 1
            if self.left == 0:
                reactor.callLater(0, reactor.stop)

    async def close(self) -> None:
        pass


arguments = [*sys.argv[1:], *("5050", "-1", "position")[len(sys.argv) - 1 :]]
client = NotifyClient(
    Following(peer_name=f"127.0.0.1:{arguments[0]}"),
    endpoint=clientFromString(reactor, f"tcp:127.0.0.1:{arguments[0]}"),
    sinks=[Printer(int(arguments[1]))],
    positions=PositionFile(Path(arguments[2])),
    backoff=Backoff(first_seconds=0.5, most_seconds=60.0, jitter=random.random),
    clock=reactor,
)
reactor.callWhenRunning(client.startService)
reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
reactor.run()
