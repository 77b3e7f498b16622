"""Queue a letter from the standard input: send_twisted.py [PORT [RECIPIENT...]]."""

import random
import sys

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString

from mailnotify.client import Following, NotifyClient
from mailnotify.core.backoff import Backoff

port, *recipients = sys.argv[1:] or ["5050", "ada@example.org"]
client = NotifyClient(
    Following(peer_name=f"127.0.0.1:{port}"),
    endpoint=clientFromString(reactor, f"tcp:127.0.0.1:{port}"),
    sinks=[],
    positions=None,
    backoff=Backoff(first_seconds=0.5, most_seconds=60.0, jitter=random.random),
    clock=reactor,
)
queued = client.send(sys.stdin.buffer.read(), *recipients)
queued.addCallback(lambda letter: print(f"queued as letter {letter.letter}", flush=True))
queued.addErrback(lambda failure: print(failure.getErrorMessage(), file=sys.stderr))
queued.addBoth(lambda _: reactor.stop())
reactor.callWhenRunning(client.startService)
reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
reactor.run()
