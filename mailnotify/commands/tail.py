"""``mailnotify tail``: follows the stream in a terminal and remembers nothing.

For a person one line per message, for a program ``--json``, whose ``position`` is what
``--since`` takes to go on from there. It ends by Ctrl-C, after
``--count`` entries, or when nobody reads its output any more (``| head``). What is to be
said beside the stream (a gap, a lost connection) goes to stderr.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python import usage
from zope.interface import implementer

from mailnotify.client import Following, Notice, NotifyClient
from mailnotify.commands.under_reactor import run_errand
from mailnotify.core.events import Entry, Position
from mailnotify.core.frames import Edge, parse_since
from mailnotify.core.pick import Pick
from mailnotify.interfaces import ISink
from mailnotify.shown import Shown
from mailnotify.sinks.once import Once
from mailnotify.sinks.outlet import Outlet, OutletClosed
from mailnotify.sinks.terminal import TerminalSink, json_line, text_line, with_colours
from mailnotify.taps.client import new_backoff
from mailnotify.taps.reaching import ReachingOptions, Way, read_ways

LOOK_SECONDS: Final = 0.25
"""How often to look whether somebody still reads, while there is nothing to write."""


class Options(ReachingOptions):
    """The command line of `mailnotify tail`."""

    synopsis = (
        "[--server HOST:PORT]... [--since WHEN] [--account NAME]... [--from TEXT]..."
        " [--match TEXT]... [--count N] [--json]"
    )
    optFlags = [["json", None, "One JSON object per line."]]
    optParameters = [
        ["since", None, "now", "EPOCH:SEQ, a time such as 2026-01-31T08:00:00Z, oldest or now."],
        ["count", "n", None, "End after so many entries."],
    ]

    def __init__(self) -> None:
        super().__init__()
        for name in ("accounts", "senders", "words"):
            self[name] = []

    def opt_account(self, name: str) -> None:
        """Only this account; may be given several times."""
        self["accounts"].append(name)

    def opt_from(self, text: str) -> None:
        """Only mail with this in the sender's name or address; may be given several times."""
        self["senders"].append(text)

    def opt_match(self, text: str) -> None:
        """Only mail with this in the subject or preview; may be given several times."""
        self["words"].append(text)

    opt_a = opt_account
    opt_f = opt_from
    opt_m = opt_match

    def postOptions(self) -> None:
        """Read the values."""
        self["ways"] = read_ways(self)
        try:
            self["start"] = parse_since(str(self["since"]))
        except (ValueError, OverflowError) as wrong:
            raise usage.UsageError(
                f"--since: found {self['since']!r}, expected EPOCH:SEQ,"
                f" a time with its zone such as 2026-01-31T08:00:00Z, {' or '.join(Edge)}"
            ) from wrong
        if isinstance(self["start"], Position) and len(self["ways"]) > 1:
            raise usage.UsageError(
                "--since: a position is one server's; give a time, or one server"
            )
        count = self["count"]
        if count is not None:
            if not (count.isascii() and count.isdigit() and int(count[:19]) > 0):
                raise usage.UsageError(f"--count: found {count!r}, expected a number from 1 on")
            self["count"] = int(count[:19])


@implementer(ISink)
class PickingSink:
    """Hands on what was picked."""

    def __init__(self, sink: ISink, pick: Pick) -> None:
        self._sink = sink
        self._pick = pick

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        if self._pick.wants(entry.event):
            await self._sink.deliver(entry, position)

    async def close(self) -> None:
        """See `ISink.close`."""
        await self._sink.close()


@implementer(ISink)
class CountingSink:
    """Hands entries on until there were enough of them."""

    def __init__(self, sink: ISink, count: int, when_enough: Any) -> None:
        self._sink = sink
        self._left = count
        self._when_enough = when_enough

    async def deliver(self, entry: Entry, position: Position) -> None:
        """See `ISink.deliver`."""
        if self._left:
            self._left -= 1
            await self._sink.deliver(entry, position)
            if not self._left:
                self._when_enough()

    async def close(self) -> None:
        """See `ISink.close`."""
        await self._sink.close()


class Tail:
    """One run of the command.

    Args:
        outlet: where entries go.
        say: where the rest goes, a line at a time.

    Attributes:
        was_seen: a stream has been live.
    """

    def __init__(
        self, options: Options, *, outlet: Outlet, say: Callable[[str], object], reactor: Any
    ) -> None:
        self._options = options
        self._outlet = outlet
        self._say = say
        self._reactor = reactor
        self.was_seen = False
        self._failed: set[str] = set()
        self._end: Deferred[int] = Deferred()
        self._ended: Deferred[None] = Deferred()

    async def follow(self, *, is_terminal: bool) -> int:
        """Follow until the end; return the exit code.

        Args:
            is_terminal: use colours.
        """
        try:
            clients = self._clients(self._sink(is_terminal=is_terminal))
            looking = LoopingCall(self._look)
            looking.clock = self._reactor
            looking.start(LOOK_SECONDS)
            clients.startService()
            code = await self._end
            # Whoever ended us may be in the midst of the client that is to be stopped.
            await deferLater(self._reactor, 0)
            looking.stop()
            await clients.stopService()
        finally:
            self._ended.callback(None)
        return code

    def interrupt(self) -> Deferred[None]:
        """End as after Ctrl-C; fires when nothing is left."""
        self._finish(128 + signal.SIGINT)
        return self._ended

    def _sink(self, *, is_terminal: bool) -> ISink:
        options = self._options
        colours = partial(text_line, style=with_colours) if is_terminal else text_line
        sink: ISink = TerminalSink(
            outlet=self._outlet,
            line=json_line if options["json"] else colours,
            when_closed=self._closed,
        )
        if options["count"] is not None:
            sink = CountingSink(sink, options["count"], partial(self._finish, os.EX_OK))
        pick = Pick(senders=tuple(options["senders"]), words=tuple(options["words"]))
        return Once([PickingSink(sink, pick)], len(options["ways"]), Shown())

    def _clients(self, sink: ISink) -> MultiService:
        """One for each server."""
        clients = MultiService()
        for way in self._options["ways"]:
            client = NotifyClient(
                Following(
                    peer_name=str(way.address),
                    since=self._options["start"],
                    accounts=tuple(self._options["accounts"]),
                    has_certificate=way.identity is not None,
                ),
                endpoint=way.endpoint(self._reactor),
                starttls=way.starttls(self._reactor),
                token=way.token,
                sinks=[sink],
                positions=None,
                backoff=new_backoff(),
                clock=self._reactor,
                notice=partial(self._noticed, way),
            )
            client.setServiceParent(clients)
        return clients

    def _look(self) -> None:
        """A reader that has gone is else noticed with the next entry only."""
        if self._outlet.is_closed():
            self._finish(os.EX_OK)

    def _noticed(self, way: Way, notice: Notice, line: str) -> None:
        """Say it; if no stream was ever live, the last server to fail ends the command."""
        name = str(way.address)
        if notice is Notice.SEEING and name not in self._failed:
            self.was_seen = True
            return
        self._say(line)
        if notice is Notice.SEEING:
            self.was_seen = True
        if notice is not Notice.BLIND:
            return
        self._failed.add(name)
        if not self.was_seen:
            self._say(_hint(way, line))
            if len(self._failed) == len(self._options["ways"]):
                self._finish(os.EX_UNAVAILABLE)

    def _closed(self, closed: OutletClosed) -> None:
        """A reader may have had enough, as `head` has; a disk has not."""
        cause = closed.__cause__
        if not isinstance(cause, OSError) or cause.errno == errno.EPIPE:
            self._finish(os.EX_OK)
            return
        self._say(f"the output cannot be written: {cause.strerror}")
        self._finish(os.EX_IOERR)

    def _finish(self, code: int) -> None:
        if not self._end.called:
            self._end.callback(code)


def run(options: Options) -> int:
    """Follow the stream; return the exit code, as in sysexits.h."""
    warnings = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([warnings], redirectStandardIO=False)

    def begin(reactor: Any) -> Deferred[int]:
        tail = Tail(
            options,
            outlet=Outlet(sys.stdout.fileno(), reactor),
            say=_complain,
            reactor=reactor,
        )
        reactor.addSystemEventTrigger("before", "shutdown", tail.interrupt)
        has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        return Deferred.fromCoroutine(tail.follow(is_terminal=has_colours))

    return run_errand(begin)


def _hint(way: Way, line: str) -> str:
    """What to try where a stream never began."""
    if "TLS handshake" in line and not way.is_starttls:
        return "Does that port speak TLS? The plain one (5050) wants --starttls."
    if "closed the connection" in line and way.trust is None:
        return "Does that port speak TLS? Then it wants --tls."
    if "certificate" in line:
        return "Whom to believe is told by --ca-file, or by --fingerprint for one certificate."
    return "Is the service running there? --server names another one."


def _complain(line: str) -> None:
    print(f"mailnotify: {line}", file=sys.stderr, flush=True)
