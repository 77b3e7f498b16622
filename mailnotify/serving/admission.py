"""How one connection is let in: AUTH, while it waits for its answer.

A connection has an `Admission` from its first AUTH on until it is let in, so that
those whom the machine itself vouches for cost nothing. Its lines wait meanwhile,
for a wrong token is answered late. After three failures it is sent away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailnotify.access.door import Caller, Door
from mailnotify.core.badge import Badge
from mailnotify.core.frames import Auth, Bye, Code, Farewell, Mechanism, Refused
from mailnotify.core.wire import ServerPeer

MOST_FAILURES: Final = 3
"""A person who pastes a wrong token thrice opens a new connection."""


class Visitor(Caller, Protocol):
    """A connection that wants to be let in."""

    def fingerprint(self) -> str:
        """Of the certificate that the client has shown in TLS; empty if there is none."""

    def abort(self) -> None:
        """Cut the connection."""

    def go_on(self) -> None:
        """There is an answer: take the lines that waited."""


class Admission:
    """One connection on its way in.

    Args:
        admit: called with the badge, before the connection goes on.
    """

    __slots__ = ("_admit", "_asking", "_door", "_failures", "_peer", "_visitor")

    _log = Logger()

    def __init__(
        self, door: Door, visitor: Visitor, peer: ServerPeer, admit: Callable[[Badge], object]
    ) -> None:
        self._door = door
        self._visitor = visitor
        self._peer = peer
        self._admit = admit
        self._failures = 0
        self._asking: Deferred[None] | None = None

    def ask(self, auth: Auth) -> None:
        """Judge what was shown; the answer is sent later, and `Visitor.go_on` called then."""
        if auth.mechanism not in self._door.mechanisms(self._visitor):
            self._peer.send(self._not_offered(auth.mechanism))
            return
        self._peer.is_waiting = True
        self._asking = Deferred.fromCoroutine(self._answer(auth))
        self._asking.addErrback(self._failed)

    def cancel(self) -> None:
        """The connection is gone: nobody waits for the answer."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _not_offered(self, mechanism: Mechanism) -> Refused:
        if not self._door.is_private(self._visitor):
            return Refused(
                code=Code.TLS, reason="nothing secret is taken in clear: begin TLS first"
            )
        return Refused(code=Code.AUTH, reason=f"AUTH {mechanism} is not offered here")

    async def _answer(self, auth: Auth) -> None:
        verdict = await self._judge(auth)
        self._asking = None
        self._peer.is_waiting = False
        if isinstance(verdict, Badge):
            self._admit(verdict)
        else:
            self._failures += 1
            self._peer.send(verdict)
            if self._failures == MOST_FAILURES:
                self._peer.send(Bye(reason=Farewell.DENIED))
        self._visitor.go_on()

    async def _judge(self, auth: Auth) -> Badge | Refused:
        keeper, address = self._door.keeper, self._visitor.address
        assert keeper is not None, "a mechanism was offered"
        if auth.mechanism is Mechanism.TOKEN:
            return await keeper.judge_token(auth.credential, address)
        return await keeper.judge_certificate(self._visitor.fingerprint(), address)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("AUTH ended by a mistake of ours", failure=failure)
            self._visitor.abort()
