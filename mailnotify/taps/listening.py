"""Port 5050, composed: who is let in, by which door, and who remembers them.

On SIGHUP the certificate and the tokens are read again; nobody is cut off. What
cannot be read is complained of, and what was in force before stays so.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace
from twisted.application import strports
from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.tcp import Server
from twisted.logger import Logger
from zope.interface import implementer

from mailnotify.access.certificate import KeyLog, ServedCertificate
from mailnotify.access.door import Door
from mailnotify.access.keeper import Keeper
from mailnotify.access.local_users import can_tell, owner_of
from mailnotify.access.proxied import ProxiedPort
from mailnotify.access.token_file import TokenFile
from mailnotify.config.listen import Listen, PlainFor
from mailnotify.config.listening import is_loopback
from mailnotify.config.schema import Config
from mailnotify.core.steady import Steadiness
from mailnotify.errors import ConfigInvalid, Problem
from mailnotify.hub import Hub
from mailnotify.interfaces import IJournal
from mailnotify.serving.readers import Readers
from mailnotify.serving.server import NotifyFactory, SecurePort
from mailnotify.serving.submission import Post
from mailnotify.taps.open_files import room_for
from mailnotify.taps.threads import defer_to_daemon

TOKENS: Final = "tokens.json"
"""The file of tokens, in the state directory."""

_BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are taken: after a restart all come at once."""

_UNSENT_BYTES: Final = 128 * 1024
"""Two pages. The kernel would keep 4 MiB for each who does not read, and tell of one who
reads slowly only when he has taken a third of that, when we had long given him up."""

_READ_BYTES: Final = 2048
"""Of one connection in one turn. Twisted would read 64 KiB: in TLS that can be thousands of
records of one byte, and take longer to open than anybody should have to wait."""

_FORGET_SECONDS: Final = 3600.0
"""How often idle readers are looked for; their patience is counted in days."""


class Listening(MultiService):
    """All that listens for subscribers; made when the service starts.

    Raises:
        ConfigInvalid: a user is not known here, or other machines could connect though
            there is no token for them; or the certificate cannot be served.
        TokensUnreadable: the tokens cannot be read.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        *,
        hub: Hub,
        journal: IJournal,
        reactor: Any,
        now: Callable[[], datetime],
        key_log: KeyLog | None = None,
        post: Post | None = None,
    ) -> None:
        super().__init__()
        listen = config.listen
        tokens = TokenFile(Path(config.state_dir) / TOKENS)
        self._keeper = Keeper(
            tokens, clock=reactor, now=now, offload=partial(defer_to_daemon, reactor)
        )
        self._keeper.load()
        _demand_token(listen, tokens)
        self._certificate = ServedCertificate(listen.tls, key_log) if listen.tls else None
        self._readers = Readers(journal, now=now, most=config.limits.readers)
        self._reactor = reactor
        self._now = now
        self._steadiness = Steadiness()
        self._proxies = listen.proxies
        self.factory = NotifyFactory(
            hub,
            replace(config.limits, connections=room_for(config.limits.connections)),
            reactor,
            node=socket.gethostname(),
            accounts=[account.name for account in config.accounts],
            door=self._door(listen),
            readers=self._readers,
            post=post,
        )
        self._add_ports(listen)
        forget = TimerService(_FORGET_SECONDS, self._forget, config.retention.reader_days)
        forget.clock = reactor
        forget.setServiceParent(self)
        self._former_handler: Any = None

    def startService(self) -> None:
        """Listen, and mind SIGHUP."""
        super().startService()
        self._former_handler = signal.signal(signal.SIGHUP, self._hung_up)

    def stopService(self) -> Deferred[None]:
        """Listen no more; fires when every subscriber has left."""
        signal.signal(signal.SIGHUP, self._former_handler or signal.SIG_DFL)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        stopping = super().stopService()
        await self.factory.stop()  # it takes nobody in once the ports are closing
        await stopping
        self._readers.flush()

    def reload(self) -> None:
        """Read the certificate and the tokens again."""
        self._keeper.patrol()
        if self._certificate is None:
            return
        try:
            self._certificate.reload()
        except ConfigInvalid as failure:
            self._log.error("the certificate stays as it was: {why}", why=failure.explain())
        else:
            self._log.info("the certificate was read again")

    def _hung_up(self, _number: int, _frame: object) -> None:
        self._reactor.callFromThread(self.reload)

    def _door(self, listen: Listen) -> Door:
        if listen.plain is PlainFor.USER and not can_tell():
            self._log.warn(
                "nobody tells whose a connection over loopback is, so everybody needs a token:"
                " allow netlink (systemd: RestrictAddressFamilies=AF_NETLINK), or write plain ="
                ' "loopback" into [listen]'
            )
        return Door(
            plain=listen.plain,
            users=_user_ids(listen.users),
            owner_of=owner_of,
            keeper=self._keeper,
            tls=self._certificate,
            has_certificates=listen.tls is not None and bool(listen.tls.client_ca_file),
        )

    def _add_ports(self, listen: Listen) -> None:
        self._add_port(listen.host, listen.port, self.factory)
        if listen.tls is not None and self._certificate is not None:
            secure = SecurePort(self._certificate, self.factory)
            self._add_port(listen.tls.host, listen.tls.port, secure)

    def _add_port(self, host: str, port: int, factory: IProtocolFactory) -> None:
        kind = "tcp6" if ":" in host else "tcp"
        if self._proxies:
            factory = ProxiedPort(self._proxies, factory, self._reactor)
        description = f"{kind}:{port}:interface={quoteStringArgument(host)}:backlog={_BACKLOG}"
        listening = strports.service(description, factory, reactor=self._reactor)
        listening.endpoint = _Sparing(listening.endpoint)
        listening.setServiceParent(self)

    def _forget(self, days: float) -> None:
        if not self._steadiness.holds(self._now(), self._reactor.seconds()):
            return
        try:
            self._readers.forget(days)
        except Exception:  # a timer of Twisted's ends with the first failure
            self._log.failure("idle readers could not be forgotten")


@implementer(IStreamServerEndpoint)
class _Sparing:
    """Listens so that the kernel keeps little for whoever is slow to read."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self._endpoint.listen(protocolFactory).addCallback(_spare)


class _Hearing(Server):
    """A connection of which little is read in one turn of the reactor."""

    bufferSize = _READ_BYTES


def _spare(port: Any) -> Any:
    """Linux hands the options of a listening socket down to those that it accepts."""
    port.transport = _Hearing
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        port.socket.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_BYTES)
    return port


def _user_ids(names: tuple[str, ...]) -> frozenset[int]:
    """The user of this process, root, and these.

    Raises:
        ConfigInvalid: there is no such user.
    """
    ids = {0, os.geteuid()}
    for name in names:
        try:
            ids.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            problem = Problem(
                path="listen.users", found=repr(name), expected="a user of this machine"
            )
            raise ConfigInvalid(source="listen", problems=(problem,)) from None
    return frozenset(ids)


def _demand_token(listen: Listen, tokens: TokenFile) -> None:
    """No door to the network without anybody who could come in by it.

    Raises:
        ConfigInvalid: nobody has made a token yet.
    """
    hosts = {"listen.host": listen.host}
    if listen.tls is not None:
        hosts["listen.tls.host"] = listen.tls.host
    open_to_others = {path: host for path, host in hosts.items() if not is_loopback(host)}
    if open_to_others and tokens.stamp() is None:
        problems = tuple(
            Problem(
                path=path,
                found=f"{host}, which other machines reach, and no token in {tokens.path}",
                expected="a token",
                hint="mailnotify token add NAME",
            )
            for path, host in open_to_others.items()
        )
        raise ConfigInvalid(source="listen", problems=problems)
