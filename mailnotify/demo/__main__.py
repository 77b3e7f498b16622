"""``make demo``: every part of mailnotify at work, in one process, in a second or two.

An IMAP and an ESMTP server over TLS, with certificates of a CA that lives as
long as the process and that the clients verify; the service as ``twistd``
would run it, with a configuration file; the client as a desktop would run it.
Three letters go the whole way, and each step is printed with its time.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import react
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer, provider

from mailnotify.auth.sasl import Password
from mailnotify.client import Following, NotifyClient
from mailnotify.core.events import Entry, NewMail, Position
from mailnotify.core.frames import Edge
from mailnotify.demo.letters import letters
from mailnotify.demo.servers import MailServer
from mailnotify.interfaces import ISink
from mailnotify.sinks.terminal import text_line
from mailnotify.smtp.submit import submit
from mailnotify.taps.client import desktop_sink, new_backoff
from mailnotify.taps.reaching import endpoint_of, parse_address
from mailnotify.taps.service import Mailnotify, Options, makeService
from mailnotify.tls import Connector

PATIENCE_SECONDS = 25.0
"""For everything; a healthy machine needs two."""

USER = "demo"
PASSWORD = "demo"  # noqa: S105  # of a server that lives for seconds


class Report:
    """Prints what has happened, with the milliseconds since the step before."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self, text: str) -> None:
        """Print one step."""
        now = time.monotonic()
        print(f"{(now - self._last) * 1000:8.1f} ms  {text}", flush=True)
        self._last = now


@implementer(ISink)
class Arrivals:
    """Notes when each message came over the port, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[int, Deferred[tuple[Entry, datetime]]] = {}

    def of_uid(self, uid: int) -> Deferred[tuple[Entry, datetime]]:
        """Fires with the entry and the moment in which it was pushed."""
        return self._waiting.setdefault(uid, Deferred())

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        if isinstance(entry.event, NewMail):
            self.of_uid(entry.event.uid).callback((entry, datetime.now(UTC)))

    async def close(self) -> None:
        """See `ISink.close`."""
        self._waiting.clear()


class Demo:
    """The parts, and the walk through them."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        self._reactor = reactor
        self._directory = directory
        self._report = Report()
        self._arrivals = Arrivals()
        self._mail = MailServer(USER, PASSWORD)
        self._imap_port = self._smtp_port = 0
        self.line_port = 5050 if _is_free(5050) else _free_port()
        self.config_file = directory / "config.toml"

    async def walk(self) -> None:
        """Start everything, send three letters, see each of them shown."""
        self._offer_mail()
        service = self._serve()
        await self._mail.watched
        self._report.step("the service examined INBOX and waits in IDLE")
        self._follow()
        for number, (envelope, message) in enumerate(letters(datetime.now(UTC)), start=1):
            await self._send(service, number, envelope, message)

    def _offer_mail(self) -> None:
        authority = trustme.CA()
        (self._directory / "ca.pem").write_bytes(authority.cert_pem.bytes())
        issued = authority.issue_cert("localhost", "127.0.0.1")
        pem = issued.private_key_pem.bytes() + b"".join(b.bytes() for b in issued.cert_chain_pems)
        options = PrivateCertificate.loadPEM(pem).options()
        listen = self._reactor.listenSSL
        imap = listen(0, self._mail.imap, options, interface="127.0.0.1")
        smtp = listen(0, self._mail.esmtp, options, interface="127.0.0.1")
        self._imap_port, self._smtp_port = imap.getHost().port, smtp.getHost().port
        self._report.step(
            f"IMAP on port {self._imap_port} and ESMTP on port {self._smtp_port},"
            " both over TLS from a CA made for this run"
        )

    def _serve(self) -> Mailnotify:
        self.config_file.touch(mode=0o600)
        self.config_file.write_text(
            f'[service]\nstate_dir = "{self._directory}/state"\n'
            f"[listen]\nport = {self.line_port}\n"
            f'[accounts.demo]\nserver = "imaps://{USER}@localhost:{self._imap_port}"\n'
            f'password = "{PASSWORD}"\ntrust = {{ca_file = "{self._directory}/ca.pem"}}\n'
            "[accounts.demo.submission]\n"
            f'server = "smtps://{USER}@localhost:{self._smtp_port}"\n'
            'sender = "demo@localhost"\nsent_copy = "never"\n'
        )
        options = Options()
        options.parseOptions(["--config", str(self.config_file)])
        service = makeService(options)
        service.startService()
        taken = "" if self.line_port == 5050 else " (5050 is taken)"
        self._report.step(f"the service listens on 127.0.0.1:{self.line_port}{taken}")
        self._reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        return service

    def _follow(self) -> None:
        address = parse_address(f"127.0.0.1:{self.line_port}")
        client = NotifyClient(
            Following(peer_name=str(address), since=Edge.OLDEST),
            endpoint=endpoint_of(address, self._reactor),
            sinks=[self._arrivals, desktop_sink(self._reactor)],
            positions=None,
            backoff=new_backoff(),
            clock=self._reactor,
        )
        client.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
        self._report.step("the client follows it, and shows on the desktop if there is one")

    async def _send(self, service: Mailnotify, number: int, envelope: Any, message: bytes) -> None:
        account = service.config.accounts[0]
        assert account.submission is not None
        began = datetime.now(UTC)
        await submit(
            envelope,
            message,
            server=account.submission.server,
            trust=account.submission.trust,
            credentials=Password(account.submission.server.user, PASSWORD),
            connector=Connector(self._reactor),
            clock=self._reactor,
            deadlines=account.timing,
        )
        accepted = datetime.now(UTC)
        entry, pushed = await self._arrivals.of_uid(number)
        print(f"\nletter {number}, milliseconds since its sending began:")
        steps = (
            (entry.at, "seen over IMAP and journalled"),
            (pushed, f"pushed over port {self.line_port}"),
            (accepted, "the submission is complete"),
        )
        for moment, step in sorted(steps):
            print(f"{(moment - began).total_seconds() * 1000:8.1f} ms  {step}")
        print(f"             shown: {text_line(entry)}", flush=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _log_what_is_wrong() -> None:
    """Only warnings and worse: the demo speaks for itself."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            print(f"             {formatEvent(event)}", file=sys.stderr)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)


async def _main(reactor: Any, keep: bool) -> None:
    _log_what_is_wrong()
    with tempfile.TemporaryDirectory(prefix="mailnotify-demo-") as directory:
        demo = Demo(reactor, Path(directory))
        walking = Deferred.fromCoroutine(demo.walk())
        await walking.addTimeout(PATIENCE_SECONDS, reactor)
        print("\nEverything arrived, and nothing twice.", flush=True)
        if keep:
            print(_HOW_TO_LOOK.format(port=demo.line_port, config=demo.config_file), flush=True)
            await Deferred()


_HOW_TO_LOOK = """
It is all still running; end it with Ctrl-C. In another terminal:
  nc 127.0.0.1 {port}
  mailnotify tail --server 127.0.0.1:{port} --since oldest
  mailnotify send --config {config} --to demo@localhost --subject Hello --body Hi
(`mailnotify` is .venv/bin/mailnotify here.)"""


def main(arguments: list[str]) -> None:
    """Run the demo; with ``--keep`` leave it running.

    Raises:
        SystemExit: at the end, or at once for any other argument.
    """
    if arguments not in ([], ["--keep"]):
        print(f"demo: found {' '.join(arguments)}, expected nothing or --keep", file=sys.stderr)
        raise SystemExit(os.EX_USAGE)
    react(lambda reactor: Deferred.fromCoroutine(_main(reactor, bool(arguments))))


if __name__ == "__main__":
    main(sys.argv[1:])
