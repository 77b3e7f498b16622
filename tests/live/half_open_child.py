"""Run in a network of its own: how long until a session sees that the cable is pulled?

``python half_open_child.py SECONDS``: opens a session with a Dovecot, listens, takes
the loopback interface down, and prints after how many seconds the session was lost.
Nothing is sent meanwhile: no poll, no renewal of IDLE.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from mailnotify.auth.sasl import Credentials, Password
from mailnotify.config.schema import Account, CaFile, Literal, Security, Server, Timing
from mailnotify.imap.session import open_session
from mailnotify.tls import Connector
from tests.rigs.dovecot import Dovecot
from tests.rigs.stopwatch import Stopwatch


async def credentials() -> Credentials:
    return Password("demo", "demo")


async def measure(dovecot: Dovecot, seconds: float) -> float:
    """The seconds from the pull to the loss."""
    server = Server(
        host="localhost", port=dovecot.imaps_port, security=Security.IMPLICIT_TLS, user="demo"
    )
    account = Account(
        name="home",
        server=server,
        password=Literal(text="demo"),
        trust=CaFile(ca_file=str(dovecot.ca_file)),
        timing=Timing(silent_peer_seconds=seconds),
    )
    session = await open_session(
        account, connector=Connector(reactor), credentials=credentials, clock=reactor
    )
    await session.examine("INBOX")
    await session.listen(lambda mailbox, status: None)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    pulled = Stopwatch()
    await session.client.lost.wait()
    return pulled.seconds


async def main(_: object, seconds: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    dovecot = Dovecot.start()
    try:
        print(await measure(dovecot, float(seconds)))
    finally:
        dovecot.stop()


if __name__ == "__main__":
    react(lambda _, *argv: Deferred.fromCoroutine(main(_, *argv)), sys.argv[1:])
