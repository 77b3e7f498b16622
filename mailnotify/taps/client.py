"""``twistd -n mailnotify-client``: shows each message where somebody sits.

Here the client meets its sinks: a line in the log for every message, a notification on
the desktop unless that is turned off, and the file that keeps the position.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from twisted.application.service import MultiService
from twisted.logger import Logger

from mailnotify.client import Following, NotifyClient
from mailnotify.config.origin import default_state_dir
from mailnotify.core.backoff import Backoff
from mailnotify.errors import OperatorError
from mailnotify.interfaces import ISink
from mailnotify.position import PositionFile
from mailnotify.shown import Shown
from mailnotify.sinks.desktop import DesktopSink
from mailnotify.sinks.notifier import desktop_notifier
from mailnotify.sinks.notifier_thread import NotifierThread
from mailnotify.sinks.once import Once
from mailnotify.sinks.terminal import LogSink
from mailnotify.taps.reaching import Address, ReachingOptions, Way, read_ways
from mailnotify.taps.resolving import resolve_in_daemons
from mailnotify.taps.timebase import keep_time_monotonic

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 60.0
"""A service that was restarted is found again soon, and one that is gone costs nothing."""


class Options(ReachingOptions):
    """The command line of the client."""

    synopsis = "[--server HOST:PORT]... [--token-file FILE] [--no-desktop] [--store-first] …"
    optParameters = [
        [
            "state-dir",
            None,
            None,
            "Where the position is kept. Default: $STATE_DIRECTORY, $XDG_STATE_HOME/mailnotify,"
            " ~/.local/state/mailnotify.",
        ],
    ]
    optFlags = [
        ["no-desktop", None, "Write messages to the log only."],
        [
            "store-first",
            None,
            "Keep the position before a message is shown: a crash in that moment hides one"
            " message instead of showing one twice.",
        ],
    ]

    def postOptions(self) -> None:
        """Read the values now, while there is a terminal to complain to."""
        self["ways"] = read_ways(self)
        self["folder"] = Path(self["state-dir"] or default_state_dir(os.environ))


class Clients(MultiService):
    """One client for each server, as a service of twistd.

    Args:
        shown: what all of them have shown.
    """

    _log = Logger()

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown

    def startService(self) -> None:
        """Start, or end the process with one sentence and what to do.

        Raises:
            SystemExit: a client cannot keep its position.
        """
        try:
            self._shown.open()
            super().startService()
        except OperatorError as error:
            why = error.explain()
            self._log.critical("cannot start: {why}", why=why)
            print(f"mailnotify: cannot start: {why}", file=sys.__stderr__)  # not the log
            raise SystemExit(os.EX_CONFIG) from error


def makeService(options: Options) -> Clients:
    """What twistd calls."""
    keep_time_monotonic()
    from twisted.internet import reactor  # twistd has chosen it by now

    resolve_in_daemons(reactor)
    ways: list[Way] = options["ways"]
    store_first = bool(options["store-first"])
    sinks: list[ISink] = [LogSink()]
    if not options["no-desktop"]:
        sinks.append(desktop_sink(reactor))
    # What a single service repeats is known by its position.
    shown = Shown(options["folder"] / "client" / "shown" if len(ways) > 1 else None)
    once = Once(sinks, len(ways), shown, store_first=store_first)
    clients = Clients(shown)
    for way in ways:
        client = NotifyClient(
            Following(
                peer_name=str(way.address),
                store_first=store_first,
                has_certificate=way.identity is not None,
            ),
            endpoint=way.endpoint(reactor),
            starttls=way.starttls(reactor),
            token=way.token,
            sinks=[once],
            positions=PositionFile(_position_path(options["folder"], way.address)),
            backoff=new_backoff(),
            clock=reactor,
        )
        client.setServiceParent(clients)
    return clients


def new_backoff() -> Backoff:
    """The delays of a client."""
    return Backoff(
        first_seconds=FIRST_RETRY_SECONDS,
        most_seconds=LONGEST_RETRY_SECONDS,
        jitter=random.random,
    )


def desktop_sink(reactor: Any) -> DesktopSink:
    """The desktop of whoever runs this process."""
    notifier = desktop_notifier(sys.platform, os.environ)
    return DesktopSink(shower=NotifierThread(notifier, reactor.callFromThread), clock=reactor)


def _position_path(folder: Path, address: Address) -> Path:
    """One file for each server, in a folder that is ours alone."""
    return folder / "client" / f"{quote(str(address), safe='')}.position"
