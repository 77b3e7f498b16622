"""``twistd -n mailnotify-send`` and ``mailnotify send``: one letter.

Everything that can be wrong without a network is found before anything
connects: options, configuration, files, the letter itself. Where the service
runs, the letter goes into its outbox (`taps.handing`). Else it is sent from
here, once: the password is fetched, the letter submitted, and the result said
in one sentence, with what to do about it if it went wrong.

The exit code is one of sysexits.h (`taps.outcome`), also through twistd.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, TextIO

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from mailnotify.auth.sasl import Credentials
from mailnotify.config.schema import Account
from mailnotify.errors import MailnotifyError
from mailnotify.interfaces import IConnector
from mailnotify.smtp.sender import Receipt
from mailnotify.smtp.submit import submit
from mailnotify.taps.command_line import CommandLine
from mailnotify.taps.configured import CONFIG
from mailnotify.taps.errand import Errand, prepare
from mailnotify.taps.handing import hand_over, read_terms
from mailnotify.taps.key_log import key_log_of
from mailnotify.taps.logins import Logins
from mailnotify.taps.outcome import INTERRUPTED, complaint, exit_code
from mailnotify.taps.resolving import resolve_in_daemons
from mailnotify.taps.timebase import keep_time_monotonic
from mailnotify.tls import Connector


class Options(CommandLine):
    """The command line of a letter."""

    synopsis = "--to ADDRESS [--to …] [--subject TEXT] [--body TEXT] [--attach FILE …]"
    longdesc = "Without --body the text of the letter is read from the standard input, as UTF-8."
    optFlags = [
        ["wait", "w", "Where the service sends it: wait until it is sent, or failed."],
        ["now", None, "Send it from here, once, even if the service runs."],
    ]
    optParameters = [
        ["subject", "s", "", "The subject, one line."],
        ["body", "b", None, "The text. Default: the standard input."],
        ["html", None, None, "A file with the same as HTML."],
        ["from", "f", None, "The sender. Default: the account's."],
        ["account", "a", None, "Which account sends, if several can."],
        ["reply-to-id", None, None, "The id, in the stream, of the message that it answers."],
        ["at", None, None, "Not before this time, such as 2026-01-31T08:00:00Z."],
        ["undo", None, None, "Not before so many seconds; `mailnotify outbox cancel` stops it."],
        ["key", None, None, "A name of yours: with the same one it is the same letter."],
        CONFIG,
    ]

    def __init__(self) -> None:
        super().__init__()
        for name in ("to", "cc", "bcc", "attach"):
            self[name] = []

    def opt_to(self, recipient: str) -> None:
        """A recipient, `user@host` or `Name <user@host>`; may be given again."""
        self["to"].append(recipient)

    def opt_cc(self, recipient: str) -> None:
        """A recipient of a copy; may be given again."""
        self["cc"].append(recipient)

    def opt_bcc(self, recipient: str) -> None:
        """A recipient of a copy that nobody else sees; may be given again."""
        self["bcc"].append(recipient)

    def opt_attach(self, file: str) -> None:
        """A file to go with the letter; may be given again."""
        self["attach"].append(file)

    opt_t = opt_to

    def parseArgs(self, *words: str) -> None:
        """Take no words beside options."""
        if words:
            raise usage.UsageError(f"found {words[0]!r}, expected options only; see --help")

    def postOptions(self) -> None:
        """A letter goes to somebody."""
        if not (self["to"] or self["cc"] or self["bcc"] or self["reply-to-id"]):
            raise usage.UsageError("found no recipient, expected --to ADDRESS")
        self["terms"] = read_terms(self)


class Sending(Service):
    """Runs one errand, says how it ended, and is done.

    Args:
        ask: fetches what the account sends with.
        done: called with the exit code when everything was said.

    Attributes:
        exit_code: how it ended, or would if it was stopped now.
    """

    _log = Logger()
    name = "mailnotify-send"

    def __init__(
        self,
        errand: Errand,
        *,
        ask: Callable[[Account], Awaitable[Credentials]],
        connector: IConnector,
        clock: IReactorTime,
        stdout: TextIO,
        stderr: TextIO,
        done: Callable[[int], object],
    ) -> None:
        self.exit_code = INTERRUPTED
        self._errand = errand
        self._ask = ask
        self._connector = connector
        self._clock = clock
        self._stdout = stdout
        self._stderr = stderr
        self._done = done
        self._sending: Deferred[Any] | None = None

    def startService(self) -> None:
        """Begin to send."""
        super().startService()
        self._sending = Deferred.fromCoroutine(self._send())
        self._sending.addCallbacks(self._succeeded, self._failed)
        self._sending.addBoth(lambda _: self._done(self.exit_code))

    def stopService(self) -> Deferred[Any] | None:
        """Stop sending, if that goes on; fires when it was said what came of it."""
        super().stopService()
        if self._sending is not None:
            self._sending.cancel()
        return self._sending

    async def _send(self) -> Receipt:
        errand, submission = self._errand, self._errand.submission
        return await submit(
            errand.envelope,
            errand.message,
            server=submission.server,
            trust=submission.trust,
            credentials=await self._ask(errand.account),
            connector=self._connector,
            clock=self._clock,
            deadlines=errand.account.timing,
        )

    def _succeeded(self, receipt: Receipt) -> None:
        self.exit_code = os.EX_OK
        sentence = f"accepted by {receipt.peer} for {', '.join(receipt.recipients)}: {receipt.said}"
        self._log.info("{sentence}", sentence=sentence)
        print(sentence, file=self._stdout)

    def _failed(self, failure: Failure) -> None:
        self.exit_code = exit_code(failure.value)
        if self.exit_code == os.EX_SOFTWARE:
            self._log.failure("a bug", failure=failure)
        self._log.error("{error!s}", error=failure.value)
        _complain(failure.value, self._stderr)


def _complain(error: BaseException | None, stderr: TextIO) -> None:
    print(f"mailnotify send: {complaint(error)}", file=stderr)


def _prepared(options: Options) -> Errand:
    stdin = BytesIO() if sys.stdin is None else sys.stdin.buffer  # closed by a shell's `<&-`
    return prepare(options, environ=os.environ, stdin=stdin, now=datetime.now(UTC))


def _handed_over(errand: Errand, options: Options) -> int | None:
    now = datetime.now(UTC)
    return hand_over(errand, options["terms"], now, stdout=sys.stdout, stderr=sys.stderr)


def _make(errand: Errand, reactor: Any, done: Callable[[int], object]) -> Sending:
    """The streams are taken now: twistd puts its log in their place."""
    connector = Connector(reactor, key_log_of(errand))
    logins = Logins(reactor, state_dir=errand.state_dir, connector=connector)

    def finish(code: int) -> None:
        done(code)
        reactor.callWhenRunning(_stop, reactor)  # it may not even have begun

    return Sending(
        errand,
        ask=logins.outgoing,
        connector=connector,
        clock=reactor,
        stdout=sys.stdout,
        stderr=sys.stderr,
        done=finish,
    )


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):  # it is stopping already
        reactor.stop()


def run(options: Options) -> int:
    """Send one letter; return the exit code. Runs the reactor, so once in a process."""
    try:
        errand = _prepared(options)
        code = _handed_over(errand, options)
    except (MailnotifyError, usage.UsageError) as error:
        _complain(error, sys.stderr)
        return exit_code(error)
    return send_here(errand) if code is None else code


def send_here(errand: Errand) -> int:
    """Send a letter from this process; return the exit code. Runs the reactor."""
    keep_time_monotonic()
    from twisted.internet import reactor

    running: Any = reactor
    resolve_in_daemons(running)
    sending = _make(errand, running, done=lambda _: None)
    running.callWhenRunning(sending.startService)
    running.addSystemEventTrigger("before", "shutdown", sending.stopService)
    running.run()
    return sending.exit_code


def main(arguments: list[str]) -> int:
    """Send one letter by its command line; return the exit code."""
    options = Options()
    try:
        options.parseOptions(arguments)
    except usage.UsageError as error:
        _complain(error, sys.stderr)
        return exit_code(error)
    return run(options)


def makeService(options: Options) -> Sending:
    """What twistd calls.

    Raises:
        SystemExit: there is nothing to send, or the service has it; it was said so.
    """
    try:
        errand = _prepared(options)
        code = _handed_over(errand, options)
    except (MailnotifyError, usage.UsageError) as error:
        _complain(error, sys.stderr)
        code = exit_code(error)
    if code is not None:
        raise SystemExit(code)
    keep_time_monotonic()
    from twisted.internet import reactor  # twistd has chosen it by now

    resolve_in_daemons(reactor)
    return _make(errand, reactor, done=lambda code: atexit.register(_exit_as, code))


def _exit_as(code: int) -> None:
    """End the process with this code.

    twistd has no way to say it: after `reactor.stop` it always ends with 0. By now it
    has removed its PID file and closed its log, so nothing of its own is cut short.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
