"""``twistd -n mailnotify``: the service, composed.

Here the parts meet: the configuration becomes a journal, a hub, a watcher for
each mailbox and a listening port. Nothing is opened before the service starts,
since ``twistd`` forks between making and starting it, and neither a database
nor a lock survives that.
"""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from mailnotify.config.schema import Config
from mailnotify.core.sight import Health
from mailnotify.errors import MailnotifyError
from mailnotify.hub import Hub
from mailnotify.journal.pruning import Pruning
from mailnotify.journal.sqlite import SqliteJournal
from mailnotify.taps.accepting import Accepting
from mailnotify.taps.configured import ConfiguredOptions
from mailnotify.taps.key_log import key_log_of
from mailnotify.taps.listening import Listening
from mailnotify.taps.logins import Logins
from mailnotify.taps.posting import Posting
from mailnotify.taps.resolving import resolve_in_daemons
from mailnotify.taps.threads import defer_to_daemon
from mailnotify.taps.timebase import keep_time_monotonic
from mailnotify.taps.watching import Watching
from mailnotify.tls import Connector


class Options(ConfiguredOptions):
    """The command line of the service."""

    synopsis = "[--config FILE]"


class Mailnotify(MultiService):
    """The whole service; its parts are made when it starts."""

    _log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        super().__init__()
        self.config = config
        self._reactor = reactor
        self._journal: SqliteJournal | None = None
        self._watching: Watching | None = None

    def startService(self) -> None:
        """Open the journal, listen, watch.

        Raises:
            SystemExit: with one sentence on stderr; a service that cannot listen or
                remember is none.
        """
        try:
            self._compose()
            super().startService()
        except (MailnotifyError, CannotListenError) as error:
            why = error.explain() if isinstance(error, MailnotifyError) else _taken(error)
            self._log.critical("cannot start: {why}", why=why)
            print(f"mailnotify: cannot start: {why}", file=sys.__stderr__)  # not the log
            raise SystemExit(os.EX_CONFIG) from error

    def _compose(self) -> None:
        journal = self._journal = SqliteJournal.open(
            Path(self.config.state_dir) / "journal.sqlite",
            retention=self.config.retention,
            make_epoch=partial(secrets.token_hex, 6),
            now=_now(),
        )
        hub = Hub(journal, _now)
        key_log = key_log_of(self.config)
        logins = Logins(
            self._reactor,
            state_dir=self.config.state_dir,
            connector=Connector(self._reactor, key_log),
        )
        posting = Posting(self.config, hub=hub, logins=logins, reactor=self._reactor, now=_now)
        accepting = self._accepting(posting)
        listening = Listening(
            self.config,
            hub=hub,
            journal=journal,
            reactor=self._reactor,
            now=_now,
            key_log=key_log,
            post=accepting,
        )
        watching = self._watching = Watching(
            self.config, journal=journal, hub=hub, logins=logins, reactor=self._reactor, now=_now
        )
        parts: list[IService] = [
            listening,
            Pruning(journal, _now, self._reactor),
            watching,
            posting,
            accepting,
        ]
        for part in parts:
            part.setServiceParent(self)

    def _accepting(self, posting: Posting) -> Accepting:
        in_thread = partial(defer_to_daemon, self._reactor)
        return Accepting(self.config, rung=posting.rung, in_thread=in_thread, now=_now)

    def health(self) -> tuple[Health, ...]:
        """How it stands with each mailbox; nothing before the service has started."""
        return () if self._watching is None else self._watching.health()

    def stopService(self) -> Deferred[None]:
        """Part from the subscribers, log out of the servers, close the journal."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await super().stopService()
        if self._journal is not None:
            self._journal.close()


def _taken(error: CannotListenError) -> str:
    host, port, why = error.interface, error.port, error.socketError
    return (
        f"{host}:{port} cannot be listened on: {os.strerror(why.errno) if why.errno else why}."
        " End what listens there (`ss -ltnp` shows it), or write another `port` into [listen]"
        " or [listen.tls]; clients are told by --server HOST:PORT."
    )


def _now() -> datetime:
    return datetime.now(UTC)


def makeService(options: Options) -> Mailnotify:
    """What twistd calls."""
    keep_time_monotonic()
    from twisted.internet import reactor  # twistd has chosen it by now

    resolve_in_daemons(reactor)
    return Mailnotify(options["loaded"], reactor)
