"""The senders that `benchmarks.smtp` compares, each in a process of its own.

``python -m benchmarks.smtp_senders KIND PORT CA_FILE LETTERS`` sends that many
letters over one connection, one after the other, and prints the seconds from the
second one on, so that connecting does not count, and those of CPU among them. With
one letter it is a cold mail. Ours says which letter comes next, as the outbox does.
"""

from __future__ import annotations

import smtplib
import ssl
import sys
import time
from io import BytesIO
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.mail.smtp import ESMTPSenderFactory

from mailnotify.auth.sasl import Password
from mailnotify.config.schema import CaFile, Security, Server, Timing
from mailnotify.smtp.compose import Envelope
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.parcel import Wishes
from mailnotify.smtp.sender import Following
from mailnotify.smtp.submit import Submitter, submit
from mailnotify.tls import Connector

LETTER_BYTES = 3200
SENDER, RECIPIENT = "ada@example.org", "bob@example.org"
_HEADER = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: x\r\nMessage-ID: <1@x>\r\n\r\n".encode()
_LINE = b"x" * 76 + b"\r\n"
LETTER = (_HEADER + _LINE * 100)[: LETTER_BYTES - 2] + b"\r\n"


def by_mailnotify(port: int, ca_file: str, letters: int) -> None:
    """`Submitter` if many, `submit` if one."""

    async def send() -> None:
        server = Server(host="localhost", port=port, security=Security.IMPLICIT_TLS, user="ada")
        options = {
            "server": server,
            "trust": CaFile(ca_file=ca_file),
            "connector": Connector(reactor),
            "clock": reactor,
            "deadlines": Timing(),
        }
        envelope = Envelope(sender=SENDER, recipients=(RECIPIENT,))
        if letters == 1:
            await submit(envelope, LETTER, credentials=Password("ada", "secret"), **options)
            return

        async def credentials() -> Password:
            return Password("ada", "secret")

        submitter = Submitter(credentials=credentials, habits=Habits(), **options)
        await submitter.submit(envelope, LETTER)
        start, used = time.perf_counter(), time.process_time()
        following = Following(envelope=envelope, message=LETTER, wishes=Wishes())
        for left in reversed(range(letters - 1)):
            await submitter.submit(envelope, LETTER, Wishes(), following if left else None)
        print(time.perf_counter() - start, time.process_time() - used)
        await submitter.close()

    _run(send())


def by_twisted(port: int, ca_file: str, letters: int) -> None:
    """`ESMTPSenderFactory` as it comes: one connection for each letter."""
    authority = Certificate.loadPEM(Path(ca_file).read_bytes())

    async def send() -> None:
        for _ in range(letters):
            done: Deferred[object] = Deferred()
            options = optionsForClientTLS("localhost", trustRoot=authority)
            factory = ESMTPSenderFactory(
                b"ada", b"secret", SENDER, RECIPIENT, BytesIO(LETTER), done, retries=0,
                contextFactory=options, requireTransportSecurity=True,
            )  # fmt: skip
            factory.domain = "[127.0.0.1]"
            reactor.connectSSL("localhost", port, factory, options)
            await done

    _run(send())


def by_smtplib(port: int, ca_file: str, letters: int) -> None:
    """The standard library, blocking."""
    context = ssl.create_default_context(cafile=ca_file)
    with smtplib.SMTP_SSL("localhost", port, "[127.0.0.1]", context=context) as line:
        line.login("ada", "secret")
        line.sendmail(SENDER, [RECIPIENT], LETTER)
        start, used = time.perf_counter(), time.process_time()
        for _ in range(letters - 1):
            line.sendmail(SENDER, [RECIPIENT], LETTER)
        print(time.perf_counter() - start, time.process_time() - used)


def _run(work: object) -> None:
    def begin() -> None:
        ended = Deferred.fromCoroutine(work)  # type: ignore[arg-type]
        ended.addErrback(lambda failure: failure.printTraceback())
        # One more turn, so that the connection closes as it does in a service.
        ended.addBoth(lambda _: reactor.callLater(0.05, reactor.stop))

    reactor.callWhenRunning(begin)
    reactor.run()


KINDS = {"mailnotify": by_mailnotify, "smtplib": by_smtplib, "ESMTPSenderFactory": by_twisted}

if __name__ == "__main__":
    KINDS[sys.argv[1]](int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
