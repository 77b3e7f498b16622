"""``mailnotify measure``: one message, from its submission to its alert, and what it cost.

Three connections of its own, each with a meter on its socket (`mailnotify.metering`):
to the service on port 5050, to the submission server, and, when the alert has come,
to the IMAP server, where the message is read by EXAMINE and PEEK. The alert is known
by its Message-ID. A service that is not there is found before anything is sent.

The message stays in its mailbox: nothing here changes anything on a server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from mailnotify import __version__
from mailnotify.commands.under_reactor import run_errand
from mailnotify.config.load import find, load
from mailnotify.config.schema import Account, Config
from mailnotify.core.events import NewMail
from mailnotify.core.frames import (
    Announce,
    Bye,
    Refused,
    Subscribe,
    Subscribed,
)
from mailnotify.core.measured import Measured, Operation, table
from mailnotify.core.text import clean
from mailnotify.errors import CommandRefused, DeadlinePassed, MailnotifyError, NotConnected
from mailnotify.imap.errands import fetch_message
from mailnotify.imap.session import Session, open_session
from mailnotify.loss import explain
from mailnotify.metering import Meter, MeteredConnector
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.submit import Submitter
from mailnotify.stream import FrameStream
from mailnotify.taps.configured import CONFIG
from mailnotify.taps.errand import Errand, prepare
from mailnotify.taps.key_log import key_log_of
from mailnotify.taps.logins import Logins
from mailnotify.taps.outcome import complaint, exit_code
from mailnotify.taps.reaching import ReachingOptions, Way, read_ways
from mailnotify.tls import Connector

MOST_FETCHED_BYTES: Final = 2**20
"""Of the message; ours has less than a kibibyte, and what servers add is little."""

NAME_BYTES: Final = 200
"""Of a name that the service says, in a complaint."""

_BODY: Final = "Sent by `mailnotify measure`. It has done its work and can be deleted.\n"


class Options(ReachingOptions):
    """The command line of `mailnotify measure`."""

    synopsis = "[--config FILE] [--account NAME] [--server HOST:PORT] [--to ADDRESS] [--json]"
    longdesc = "The message stays in the mailbox where it arrives."
    optFlags = [["json", None, "One JSON object."]]
    optParameters = [
        CONFIG,
        ["account", "a", None, "Which account sends, if several can."],
        ["to", None, None, "An address whose mail it watches. Default: the sender's."],
        ["timeout", None, "60", "Give up after so many seconds in all."],
    ]

    def postOptions(self) -> None:
        """Read the values."""
        self["way"], *others = read_ways(self)
        if others:
            raise usage.UsageError(f"found {1 + len(others)} times --server, expected it once")
        try:
            seconds = float(self["timeout"])
        except ValueError:
            seconds = 0.0
        if not (isfinite(seconds) and 0 < seconds <= 86400):
            found = self["timeout"]
            raise usage.UsageError(f"--timeout: found {found!r}, expected seconds, up to 86400")
        self["seconds"] = seconds


class Measuring:
    """One run.

    Args:
        errand: the message; its recipient's mailbox is watched.
        config: knows the account that it arrives in.
        way: to the service.

    Attributes:
        was_sent: the submission server has accepted the message.
    """

    def __init__(self, errand: Errand, config: Config, way: Way, reactor: Any) -> None:
        self._errand = errand
        self._accounts = {each.name: each for each in config.accounts}
        self._way = way
        self._reactor = reactor
        self._peer = str(way.address)
        self._connector = Connector(reactor, key_log_of(config))
        self._logins = Logins(reactor, state_dir=config.state_dir, connector=self._connector)
        self._under_way = (self._peer, "the subscription")
        self.was_sent = False

    async def within(self, seconds: float) -> Measured:
        """Do it all in so many seconds.

        Raises:
            DeadlinePassed: it took longer; names what was under way.
            MailnotifyError: it did not work.
        """
        measuring = Deferred.fromCoroutine(self._measure())

        def too_late(outcome: Measured | Failure, _: float) -> Measured | Failure:
            if isinstance(outcome, Failure) and outcome.check(CancelledError):
                peer, step = self._under_way
                raise DeadlinePassed(peer=peer, step=step, seconds=seconds)
            return outcome  # what became of a letter is worth more than the time it took

        return await measuring.addTimeout(seconds, self._reactor, too_late)

    async def _measure(self) -> Measured:
        meter = Meter()
        stream = await self._reach(meter)
        alert: Deferred[tuple[NewMail, float]] | None = None
        try:
            await self._subscribe(stream)
            before, started = meter.read(), self._now()
            alert = Deferred.fromCoroutine(self._alerted(stream))
            sending = await self._send()
            self._under_way = (self._peer, "the announcement of the message")
            mail, alerted = await alert
            waited = max(0.0, alerted - started - sending.seconds)
            told = Operation(name="notification", seconds=waited, before=before, after=meter.read())
        finally:
            if alert is not None:
                alert.addErrback(lambda _: None)
                alert.cancel()
            stream.quit()
        return Measured(
            operations=(sending, await self._fetch(mail), told),
            end_to_end_seconds=alerted - started,
        )

    # --- the stream -------------------------------------------------------------------

    async def _reach(self, meter: Meter) -> FrameStream:
        factory = Factory.forProtocol(
            lambda: FrameStream(self._peer, lambda _: None, clock=self._reactor)
        )
        factory.noisy = False
        try:
            made = await self._way.endpoint(self._reactor, meter.around).connect(factory)
        except CancelledError:
            raise
        except Exception as error:
            raise explain(Failure(error), self._peer, is_secure=False) from None
        assert isinstance(made, FrameStream)
        return made

    async def _subscribe(self, stream: FrameStream) -> None:
        way = self._way
        await stream.introduce(
            f"mailnotify-measure/{__version__}",
            starttls=way.starttls(self._reactor),
            token=way.token(),
            has_certificate=way.identity is not None,
        )
        stream.send(Subscribe(kinds=("mail",)))
        await stream.answer(Subscribed, "SUBSCRIBE")

    async def _alerted(self, stream: FrameStream) -> tuple[NewMail, float]:
        """The message as it is announced, and when."""
        wanted = self._errand.message_id.strip("<>")
        while True:
            match await stream.next_frame():
                case Announce(entry=entry) if isinstance(entry.event, NewMail):
                    if entry.event.message_id == wanted:
                        return entry.event, self._now()
                case Refused(code=code, reason=reason):
                    raise CommandRefused(
                        peer=self._peer, command="SUBSCRIBE", status=code, said=reason
                    )
                case Bye(reason=reason):
                    said = clean(reason, NAME_BYTES)
                    raise NotConnected(peer=self._peer, reason=f"it said BYE {said}")

    # --- the mail servers -------------------------------------------------------------

    async def _send(self) -> Operation:
        """Connect, log in, hand the message over; until it is accepted."""
        errand, submission, meter = self._errand, self._errand.submission, Meter()
        self._under_way = (str(submission.server), "the submission")
        submitter = Submitter(
            server=submission.server,
            trust=submission.trust,
            credentials=lambda: self._logins.outgoing(errand.account),
            connector=MeteredConnector(self._connector, meter),
            clock=self._reactor,
            deadlines=errand.account.timing,
            habits=Habits(),
        )
        started = self._now()
        try:
            await submitter.submit(errand.envelope, errand.message)
            seconds = self._now() - started
            self.was_sent = True
            return Operation(name="SMTP send", seconds=seconds, after=meter.read())
        finally:
            await submitter.close()

    async def _fetch(self, mail: NewMail) -> Operation:
        """Connect, log in, open the mailbox, read the message; until all of it is here."""
        account, meter = self._account(mail.account), Meter()
        self._under_way = (str(account.server), "the fetch of the message")
        connector = MeteredConnector(self._connector, meter)
        started = self._now()
        session: Session = await self._logins.try_fresh(
            account,
            lambda credentials: open_session(
                account, connector=connector, credentials=credentials, clock=self._reactor
            ),
        )
        try:
            found = await fetch_message(
                session, mail.mailbox, mail.uidvalidity, mail.uid, MOST_FETCHED_BYTES
            )
            fetched = Operation(
                name="IMAP fetch", seconds=self._now() - started, after=meter.read()
            )
        except BaseException:
            session.abort()
            raise
        await session.close()
        if not found:
            raise CommandRefused(
                peer=str(account.server),
                command="UID FETCH",
                status="OK",
                said="the message is not there any more",
            )
        return fetched

    def _account(self, name: str) -> Account:
        if name not in self._accounts:
            said = clean(name, NAME_BYTES)
            raise usage.UsageError(
                f"it arrived in the account {said!r}, which is not in this configuration"
            )
        return self._accounts[name]

    def _now(self) -> float:
        seconds: float = self._reactor.seconds()
        return seconds


class _Run:
    """The command in a reactor; nobody who stops it leaves a connection behind."""

    _log = Logger()

    def __init__(self, errand: Errand, config: Config, options: Mapping[str, Any]) -> None:
        self._errand = errand
        self._config = config
        self._options = options

    def begin(self, reactor: Any) -> Deferred[int]:
        """Fires with the exit code, when everything was said."""
        measuring = Measuring(self._errand, self._config, self._options["way"], reactor)
        running = Deferred.fromCoroutine(measuring.within(self._options["seconds"]))
        ended: Deferred[int] = running.addCallbacks(
            self._tell, self._complain, errbackArgs=(measuring,)
        )

        def interrupt() -> Deferred[int]:
            ended.cancel()
            return ended

        reactor.addSystemEventTrigger("before", "shutdown", interrupt)
        return ended

    def _tell(self, measured: Measured) -> int:
        if self._options["json"]:
            print(msgspec.json.encode(measured.figures()).decode())
            return os.EX_OK
        print(table(measured))
        if measured.operations[0].after is None:
            print("mailnotify measure: only Linux (4.19 on) counts packets", file=sys.stderr)
        return os.EX_OK

    def _complain(self, failure: Failure, measuring: Measuring) -> int:
        code = exit_code(failure.value)
        if code == os.EX_SOFTWARE and not isinstance(failure.value, MailnotifyError):
            self._log.failure("a bug", failure=failure)
        if not (measuring.was_sent and failure.check(CancelledError)):
            _say(failure.value)
        if measuring.was_sent:
            print("The message was sent. Does that service watch its mailbox?", file=sys.stderr)
        return code


def run(options: Options) -> int:
    """Measure one message; return the exit code, as `mailnotify send` does."""
    try:
        config = load(find(os.environ, options["config"]), os.environ)
        errand = prepare(
            _letter(options, config), environ=os.environ, stdin=sys.stdin.buffer, now=_now()
        )
    except (MailnotifyError, usage.UsageError) as error:
        _say(error)
        return exit_code(error)
    return run_errand(_Run(errand, config, options).begin)


def _letter(options: Options, config: Config) -> dict[str, Any]:
    """What `mailnotify send` would be told; the sender gets it if nobody else does."""
    able = [each for each in config.accounts if each.submission is not None]
    named = [each for each in able if options["account"] in (None, each.name)]
    submission = named[0].submission if named else None
    own = submission.sender if submission is not None else ""
    return {
        **dict.fromkeys(("cc", "bcc", "attach"), ()),
        **dict.fromkeys(("html", "from", "reply-to-id")),
        "config": options["config"],
        "account": options["account"],
        "to": (options["to"] or own,),
        "subject": "mailnotify measure",
        "body": _BODY,
    }


def _now() -> datetime:
    return datetime.now(UTC)


def _say(error: BaseException | None) -> None:
    print(f"mailnotify measure: {complaint(error)}", file=sys.stderr)
