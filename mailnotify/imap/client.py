"""Twisted's IMAP client with a data path of our own.

`IMAP4Client` loses mail in a dozen ways below its public verbs. Here the bytes
go another way: `framer` cuts them into whole responses, `parser` makes values,
and each untagged value goes to the listener at once, whatever command is under
way; a tagged one ends its command. Commands go out through a `Pipeline`, each
with a deadline for its whole answer. Whatever ends the connection is said in
one `PeerError`, which every open command and `lost` receive.

This class only joins these parts to a transport. What is said with it stands
in `login` and `session`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    ITLSTransport,
)
from twisted.logger import Logger
from twisted.mail import imap4
from twisted.python.failure import Failure
from zope.interface import implementer

from mailnotify.core.text import clean
from mailnotify.errors import (
    ChannelInsecure,
    DeadlinePassed,
    NotConnected,
    PeerError,
    ProtocolViolated,
)
from mailnotify.imap.commands import Command, Idle, Pipeline, Step
from mailnotify.imap.compressing import Compression
from mailnotify.imap.framer import Framed, Framer
from mailnotify.imap.inherited import Inherited
from mailnotify.imap.moment import Moment
from mailnotify.imap.parser import parse
from mailnotify.imap.responses import (
    Capabilities,
    Continuation,
    Response,
    Status,
    StatusResponse,
    Tagged,
    Unparsed,
)
from mailnotify.loss import REASON_BYTES, explain

ALERTS = frozenset({"ALERT", "WEBALERT"})
"""RFC 9051 §7.1; the second is Gmail's, and its argument is where to log in."""

ALERT_BYTES = 500
"""A sentence or two, and a link."""

Listener = Callable[[Response, Command | None], None]
"""Gets each untagged response, and the command that was under way."""


@implementer(IHandshakeListener)
class MailboxClient(imap4.IMAP4Client):
    """One connection to an IMAP server.

    Args:
        peer: how the server is called in errors.
        clock: runs the deadlines.
        command_seconds: how long the server may take for one command in all.
        pipeline: orders the commands.

    Attributes:
        greeted: the greeting has come, OK or PREAUTH.
        secured: the TLS handshake is over.
        lost: the connection is gone; its value is the reason.
        is_secure: whether a verified TLS handshake is behind us.
        capabilities: what the server said last, in upper case; None if it has to
            be asked (again).
        listener: is called for every untagged response; may raise.
        alerted: is called with what a person must be shown (RFC 9051 §7.1).
    """

    _log = Logger()
    transport: ITLSTransport

    def __init__(
        self,
        peer: str,
        *,
        clock: IReactorTime,
        command_seconds: float,
        pipeline: Pipeline | None = None,
    ) -> None:
        super().__init__()
        self.peer = peer
        self.greeted: Moment[Status] = Moment()
        self.secured: Moment[None] = Moment()
        self.lost: Moment[PeerError] = Moment()
        self.is_secure = False
        self.capabilities: frozenset[str] | None = None
        self.listener: Listener = lambda response, command: None
        self.alerted: Callable[[str], object] = self._log_alert
        self.unparsed = 0
        self._clock = clock
        self._command_seconds = command_seconds
        self._framer = Framer(peer=peer)
        self._pipeline = Pipeline() if pipeline is None else pipeline
        self._answers: dict[Command, Deferred[Tagged]] = {}
        self._ending: PeerError | None = None
        self._step: Step | None = None
        self._is_push_awaited = False
        self._deadline: IDelayedCall | None = None
        self._compression: Compression | None = None

    # -- what Twisted calls

    def dataReceived(self, data: bytes) -> None:
        if self._compression is None:
            self._receive(data)
        elif self._ending is None:
            self._compression.receive(data)

    def _receive(self, data: bytes) -> None:
        self._framer.receive(data)
        try:
            for framed in self._framer.received():
                if self._ending is not None:
                    return
                self._take(framed)
        except PeerError as error:
            self.abort(error)
        self._hold()

    def handshakeCompleted(self) -> None:
        """The channel is private; whether its other end is the right one is settled too."""
        self.is_secure = True
        self.secured.happen(None)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        self._end(explain(reason, self.peer, is_secure=self.is_secure))
        assert self._ending is not None
        self.greeted.fail(self._ending)
        self.secured.fail(self._ending)
        self.lost.happen(self._ending)

    def sendCommand(self, cmd: imap4.Command) -> Deferred[object]:
        """Carry a verb of the base class on our path. Needed by all of them."""
        result: Deferred[object] = Deferred()
        self.submit(Inherited(cmd, result))
        return result

    def startTLS(self, contextFactory: object = None) -> Deferred[None]:
        """`secure` in the words of the base class."""
        return Deferred.fromCoroutine(self.secure(contextFactory))

    def login(self, username: object, password: object) -> Deferred[object]:
        """Not this one: the verb of the base class speaks in clear if need be."""
        return fail(ChannelInsecure(peer=self.peer, reason="use mailnotify.imap.login"))

    def authenticate(self, secret: object) -> Deferred[object]:
        """Not this one: the verb of the base class wraps long lines."""
        return self.login(None, secret)

    # -- what a session calls

    def is_hearing(self) -> bool:
        """Whether a response has begun and not ended."""
        return not self._framer.is_empty

    def await_push(self, is_awaited: bool) -> None:
        """Whether more is expected than has begun: until then IDLE goes on."""
        self._is_push_awaited = is_awaited
        self._hold()

    def _hold(self) -> None:
        self._pipeline.hold(self._is_push_awaited or self.is_hearing())
        self._settle()

    def run(self, command: Command, *then: Command) -> Deferred[Tagged]:
        """Run a command, with others in the same write where that is allowed.

        Returns:
            The server's answer to the first command, be it OK, NO or BAD. It fails
            with the `PeerError` that ended the connection. Cancelling it ends the
            connection, since an abandoned command cannot be taken back.
        """
        answer = self.expect(command)
        self.submit(command, *then)
        return answer

    def submit(self, *group: Command) -> None:
        """Run commands whose answers nobody awaits, or `expect` does."""
        if self._ending is None:
            self._pipeline.submit(*group)
            self._settle()
            return
        for command in group:
            command.fail(self._gone())

    def expect(self, command: Command) -> Deferred[Tagged]:
        """The answer to a command that is submitted next, or behind another one."""
        if self._ending is not None:
            return fail(self._gone())

        def cancel(_: Deferred[Tagged]) -> None:
            self._answers.pop(command, None)  # it is not there while we end
            self.abort()

        answer = self._answers[command] = Deferred(cancel)
        return answer

    def _gone(self) -> NotConnected:
        """For who comes when all is over."""
        return NotConnected(peer=self.peer, reason=clean(str(self._ending), REASON_BYTES))

    async def secure(self, options: object) -> None:
        """STARTTLS (RFC 9051 §6.2.1); whatever was learned before it is forgotten.

        Args:
            options: verify the certificate and the host name.

        Raises:
            ChannelInsecure: the server will not.
            ProtocolViolated: bytes in clear followed the server's OK.
        """
        if not IOpenSSLClientConnectionCreator.providedBy(options):
            raise TypeError("STARTTLS needs options that verify the server")
        answer = await self.run(Command("STARTTLS"))
        if answer.status is not Status.OK:
            raise ChannelInsecure(peer=self.peer, reason=f"STARTTLS: {answer.text}")
        if not self._framer.is_empty:
            found, expected = "more bytes in clear after its OK", "a TLS handshake"
            error = ProtocolViolated(peer=self.peer, found=found, expected=expected)
            self.abort(error)
            raise error
        self.capabilities = None
        self.transport.startTLS(options)
        await self.secured.wait()

    async def compress(self) -> bool:
        """COMPRESS=DEFLATE (RFC 4978), for the rest of the connection; whether it is on.

        Nothing else may be in the same write, and no IDLE under way.
        """
        answer = await self.run(Command("COMPRESS", b"DEFLATE"))
        if answer.status is not Status.OK:
            return False
        self._compression = Compression(
            self.transport,
            peer=self.peer,
            deliver=self._receive,
            refuse=self.abort,
            clock=self._clock,
        )
        self._compression.receive(self._framer.take_rest())
        return True

    def abort(self, reason: PeerError | None = None) -> None:
        """Cut the connection now; everything that waits fails with the reason."""
        self._end(reason or NotConnected(peer=self.peer, reason="we have ended the connection"))
        if self.transport is not None:
            self.transport.abortConnection()

    # -- each response

    def _take(self, framed: Framed) -> None:
        response = parse(framed)
        if not self.greeted.has_passed:
            self._greet(response)
        elif isinstance(response, Tagged):
            self._finish(response, framed)
        elif isinstance(response, Continuation):
            self._continue(response)
        else:
            self._observe(response)
            self._tell(response, framed)

    def _greet(self, response: Response) -> None:
        if not isinstance(response, StatusResponse) or response.status in (Status.NO, Status.BAD):
            found = _describe(response)
            raise ProtocolViolated(peer=self.peer, found=found, expected="an IMAP greeting")
        self._observe(response)
        if self._ending is None:
            self.greeted.happen(response.status)

    def _finish(self, tagged: Tagged, framed: Framed) -> None:
        if tagged.code is not None and tagged.code.capabilities is not None:
            self.capabilities = tagged.code.capabilities
        self._pass_alert(tagged)
        command = self._pipeline.finished(tagged)
        if isinstance(command, Inherited):
            command.end(tagged, framed)
        elif isinstance(command, Idle):
            command.end(tagged)
        elif command is not None and (answer := self._answers.pop(command, None)) is not None:
            # What comes next may be sent in answer to this: first free the line.
            answer.callback(tagged)

    def _continue(self, continuation: Continuation) -> None:
        try:
            self._pipeline.continued(continuation.text)
        except PeerError:
            raise
        except Exception:
            self._log.failure("cannot go on with {command}", command=self._pipeline.running)
            self.abort()

    def _observe(self, response: Response) -> None:
        """What concerns the connection, not the mailbox."""
        if isinstance(response, Capabilities):
            self.capabilities = response.names
        elif isinstance(response, Unparsed):
            self.unparsed += 1
        elif isinstance(response, StatusResponse):
            if response.code is not None and response.code.capabilities is not None:
                self.capabilities = response.code.capabilities
            self._pass_alert(response)
            if response.status is Status.BYE and not self._is_leaving:
                said = f"the server said: {response.text or 'BYE'}"
                self.abort(NotConnected(peer=self.peer, reason=said))

    def _pass_alert(self, response: StatusResponse | Tagged) -> None:
        """Whatever it is about, and whenever it comes: a person must be shown it."""
        code = response.code
        if code is not None and code.name in ALERTS:
            places = [word for word in code.arguments if isinstance(word, str)]
            said = " ".join((response.text, *places))
            self.alerted(clean(said, ALERT_BYTES))

    def _log_alert(self, said: str) -> None:
        self._log.warn("{peer} says: {said}", peer=self.peer, said=said)

    @property
    def _is_leaving(self) -> bool:
        running = self._pipeline.running
        return running is not None and running.name == "LOGOUT"

    def _tell(self, response: Response, framed: Framed) -> None:
        """Nothing that a listener does may cost the connection."""
        command = self._pipeline.running
        try:
            if isinstance(command, Inherited):
                command.heard(framed)
            if command is not None and command.collect is not None:
                command.collect(response)
            self.listener(response, command)
        except Exception:
            self._log.failure("a listener failed at {kind}", kind=type(response).__name__)

    # -- the line and its deadline

    def _settle(self) -> None:
        """Write what is due; give what the server owes us now a deadline."""
        if self._ending is not None:
            return
        if out := self._pipeline.to_send():
            (self._compression or self.transport).write(out)
        if (step := self._pipeline.step) != self._step:
            self._stop_deadline()
            self._step = step
            if step is not None:
                self._deadline = self._clock.callLater(self._command_seconds, self._too_late, step)

    def _too_late(self, step: Step) -> None:
        seconds = self._command_seconds
        self.abort(DeadlinePassed(peer=self.peer, step=step[1], seconds=seconds))

    def _stop_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _end(self, reason: PeerError) -> None:
        """Fail what is open. The first reason counts: others only follow from it."""
        if self._ending is not None:
            return
        self._ending = reason
        self._stop_deadline()
        if self._compression is not None:
            self._compression.stop()
        left = self._pipeline.clear()
        answers, self._answers = self._answers, {}
        for command in left:
            command.fail(reason)
        for answer in answers.values():
            if not answer.called:
                answer.errback(Failure(reason))


def _describe(response: Response) -> str:
    """What came instead of a greeting, in a few harmless words."""
    if isinstance(response, Unparsed):
        return repr(clean(response.raw.decode("utf-8", "replace"), 80))
    return f"{type(response).__name__} {clean(getattr(response, 'text', ''), 80)}".rstrip()
