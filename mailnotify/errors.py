"""Every exception that mailnotify raises on purpose, in one tree.

The branch says who must act; the values say what happened; ``str()`` makes
the sentence; the docstring of the class is the remedy, which the command line
prints below the sentence.

::

    MailnotifyError
    ├── OperatorError             somebody here must change something
    │   ├── ConfigInvalid         the configuration, all problems at once
    │   ├── SecretUnavailable     a password or token could not be read
    │   ├── LoginNeeded           an OAuth2 grant is missing, or has died
    │   ├── StoreBusy             another process has the file open
    │   │   ├── JournalBusy
    │   │   └── OutboxBusy
    │   ├── StoreUnwritable       the disk is full, read-only or failing
    │   │   ├── JournalUnwritable
    │   │   ├── OutboxUnwritable
    │   │   └── TokensUnwritable
    │   ├── StoreUnreadable       the file is damaged or from a newer mailnotify
    │   │   ├── JournalUnreadable
    │   │   ├── OutboxUnreadable
    │   │   └── TokensUnreadable
    │   ├── ServiceNeeded         only a running service can do what was asked
    │   ├── LetterUnknown         no letter in the outbox has this number
    │   ├── LetterUnchangeable    a letter in the outbox is past what was asked of it
    │   ├── LetterInvalid         a letter that must not be sent as it is
    │   ├── PositionBusy          another client keeps its position in the same file
    │   ├── PositionUnwritable    a client cannot keep its position on disk
    │   └── DesktopUnavailable    nothing shows notifications on this desktop
    ├── PeerError                 the other end refused, vanished or misbehaved
    │   ├── NotConnected          there is no connection (any more)
    │   ├── DeadlinePassed        a step took longer than it may
    │   ├── CertificateRefused    the server could not prove who it is
    │   ├── ChannelInsecure       the server would have us speak in clear
    │   ├── LoginDenied           the server refused our name or secret
    │   ├── LoginDeferred         the server would not judge a login now
    │   ├── CommandRefused        an IMAP command was answered NO or BAD
    │   ├── ProtocolViolated      bytes that the protocol does not allow
    │   ├── SubmissionFailed      a letter was not accepted for every recipient
    │   └── OutcomeUnknown        a letter may have been accepted: no answer came
    └── WireError                 one frame of the line protocol is wrong

No secret ever enters an exception: not as a value, not in a server's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getdoc
from typing import ClassVar


class MailnotifyError(Exception):
    """Look at the log of the service for the lines before this one."""

    advice: str = ""
    """What helps in this very case, where that is known; in place of the docstring."""

    @property
    def remedy(self) -> str:
        """What the person who reads this can do: the docstring of the class, or of its base."""
        return self.advice or getdoc(type(self)) or ""

    def explain(self) -> str:
        """What happened and what to do, as one paragraph."""
        return f"{str(self).rstrip('.')}. {self.remedy}"


class OperatorError(MailnotifyError):
    """Change what the message names, then try again."""


class PeerError(MailnotifyError):
    """The other end has to change, or come back; mailnotify keeps trying."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong in a configuration.

    Attributes:
        path: where it stands, as in ``accounts.home.server``.
        found: what is written there, never a secret.
        expected: what may be written there.
        hint: what to do about it; empty if ``expected`` says it all.
    """

    path: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        sentence = f"{self.path}: found {self.found}, expected {self.expected}"
        return f"{sentence}. {self.hint}" if self.hint else sentence


@dataclass(eq=False, kw_only=True)
class ConfigInvalid(OperatorError):
    """Mend the places named above; `mailnotify check-config` shows what is left."""

    source: str
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        count = len(self.problems)
        return f"{self.source}: {count} problem{'' if count == 1 else 's'}\n{lines}"


@dataclass(eq=False, kw_only=True)
class SecretUnavailable(OperatorError):
    """Run the command, read the file or open the keyring by hand as the same user."""

    origin: str
    reason: str
    advice: str = ""

    def __str__(self) -> str:
        return f"the secret from {self.origin} cannot be read: {self.reason}"


@dataclass(eq=False, kw_only=True)
class LoginNeeded(OperatorError):
    """Run `mailnotify login ACCOUNT` and allow the access; the service goes on by itself."""

    account: str
    reason: str

    def __str__(self) -> str:
        return f"the account {self.account} has no OAuth2 grant that works: {self.reason}"

    @property
    def remedy(self) -> str:
        """With the name of the account, ready to be copied."""
        return super().remedy.replace("ACCOUNT", self.account, 1)


@dataclass(eq=False, kw_only=True)
class StoreBusy(OperatorError):
    """Stop the other service, or give this one a `state_dir` of its own."""

    store: ClassVar[str] = "store"
    path: str

    def __str__(self) -> str:
        return f"the {self.store} {self.path} is in use by another service"


@dataclass(eq=False, kw_only=True)
class StoreUnwritable(OperatorError):
    """Free space on that disk or make it writable; nothing is lost meanwhile."""

    store: ClassVar[str] = "store"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"the {self.store} {self.path} cannot be written: {self.reason}"


@dataclass(eq=False, kw_only=True)
class StoreUnreadable(OperatorError):
    """Restore the file from a backup, or move it away to start a new one."""

    store: ClassVar[str] = "store"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"the {self.store} {self.path} cannot be read: {self.reason}"


class JournalBusy(StoreBusy):
    store = "journal"


class JournalUnwritable(StoreUnwritable):
    store = "journal"


class JournalUnreadable(StoreUnreadable):
    """Restore the file from a backup, or move it away to start a new journal."""

    store = "journal"


class OutboxBusy(StoreBusy):
    store = "outbox"


class OutboxUnwritable(StoreUnwritable):
    store = "outbox"


class OutboxUnreadable(StoreUnreadable):
    store = "outbox"


@dataclass(eq=False, kw_only=True)
class ServiceNeeded(OperatorError):
    """Start it with `mailnotify serve`; nothing was queued and nothing sent."""

    wish: str

    def __str__(self) -> str:
        return f"no service runs that could do {self.wish}"


@dataclass(eq=False, kw_only=True)
class LetterUnknown(OperatorError):
    """`mailnotify outbox list` shows the numbers."""

    number: str

    def __str__(self) -> str:
        return f"there is no letter {self.number} in the outbox"


@dataclass(eq=False, kw_only=True)
class LetterUnchangeable(OperatorError):
    """`mailnotify outbox show` tells what became of it."""

    number: int
    state: str
    wish: str

    def __str__(self) -> str:
        return f"letter {self.number} is {self.state}: it cannot be {self.wish}"


@dataclass(eq=False, kw_only=True)
class LetterInvalid(OperatorError):
    """Correct that field; nothing has been sent."""

    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"the letter's {self.field} is {self.found}, expected {self.expected}"


@dataclass(eq=False, kw_only=True)
class PositionBusy(OperatorError):
    """Stop the other client, or give this one a state directory of its own."""

    path: str

    def __str__(self) -> str:
        return f"the position {self.path} is in use by another client"


@dataclass(eq=False, kw_only=True)
class PositionUnwritable(OperatorError):
    """Free space on that disk or make it writable for this user."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"the position {self.path} cannot be kept: {self.reason}"


class TokensUnreadable(StoreUnreadable):
    """Mend the file or its mode; without it, make new tokens by `mailnotify token add`."""

    store = "token file"


class TokensUnwritable(StoreUnwritable):
    """Run the command as the user of the service, and see that its disk has room."""

    store = "token file"


@dataclass(eq=False, kw_only=True)
class DesktopUnavailable(OperatorError):
    """Start a notification daemon in this user's session (dunst, for one), or use --no-desktop."""

    reason: str

    def __str__(self) -> str:
        return f"no notification can be shown on this desktop: {self.reason}"


@dataclass(eq=False, kw_only=True)
class NotConnected(PeerError):
    """Check the network and the server; the service connects again by itself."""

    peer: str
    reason: str

    def __str__(self) -> str:
        return f"no connection to {self.peer}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class DeadlinePassed(PeerError):
    """If the server is only slow, give that step more time in the configuration."""

    peer: str
    step: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.peer} did not finish {self.step} within {self.seconds:g} s"


@dataclass(eq=False, kw_only=True)
class CertificateRefused(PeerError):
    """Correct the host name, or name the server's CA file or its fingerprint as `trust`."""

    peer: str
    reason: str

    def __str__(self) -> str:
        return f"the certificate of {self.peer} is not trusted: {self.reason}"


@dataclass(eq=False, kw_only=True)
class ChannelInsecure(PeerError):
    """Use the port with implicit TLS; a secret is never sent in clear."""

    peer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.peer} offers no secure channel: {self.reason}"


@dataclass(eq=False, kw_only=True)
class LoginDenied(PeerError):
    """Check the user name and the secret; many providers want an app password or OAuth2."""

    peer: str
    user: str
    said: str
    advice: str = ""
    retry_seconds: float | None = None
    """When the next login is allowed, if somebody has decided."""

    def __str__(self) -> str:
        return f"{self.peer} refused the login of {self.user}: {self.said}"


@dataclass(eq=False, kw_only=True)
class LoginDeferred(PeerError):
    """Nothing need be done: the secret was not judged; mailnotify waits, and tries again."""

    peer: str
    user: str
    said: str
    advice: str = ""
    retry_seconds: float | None = None
    """When the next login is allowed, if somebody has decided."""

    def __str__(self) -> str:
        return f"{self.peer} would not judge the login of {self.user} now: {self.said}"


@dataclass(eq=False, kw_only=True)
class CommandRefused(PeerError):
    """The server's words say why; the name of the mailbox is the usual cause."""

    peer: str
    command: str
    status: str
    said: str

    def __str__(self) -> str:
        return f"{self.peer} answered {self.command} with {self.status}: {self.said}"


@dataclass(eq=False, kw_only=True)
class ProtocolViolated(PeerError):
    """The connection was closed and is opened again; report the server's words if it persists."""

    peer: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.peer} sent {self.found}, expected {self.expected}"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a server said of one recipient.

    Attributes:
        recipient: the address as it was asked for.
        code: the SMTP reply code (RFC 5321 §4.2), or -1 if none came.
        said: the server's words, cleaned for a terminal.
        enhanced: the status among them, as in ``5.1.1`` (RFC 3463); empty if there is none.
    """

    recipient: str
    code: int
    said: str
    enhanced: str = ""

    @property
    def is_permanent(self) -> bool:
        """Whether trying again later makes no sense (a 5yz reply)."""
        return 500 <= self.code <= 599


@dataclass(eq=False, kw_only=True)
class SubmissionFailed(PeerError):
    """Correct the refused recipients and send to them again; the others have the letter."""

    peer: str
    refusals: tuple[Refusal, ...]
    accepted: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = "; ".join(f"{each.recipient}: {each.code} {each.said}" for each in self.refusals)
        return f"{self.peer} refused {said}"


@dataclass(eq=False, kw_only=True)
class OutcomeUnknown(PeerError):
    """Look for the letter at a recipient before sending it again: it could come twice."""

    peer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.peer} may or may not have accepted the letter: {self.reason}"


@dataclass(eq=False, kw_only=True)
class WireError(MailnotifyError):
    """Send a frame as docs/protocol.rst describes it; the connection stays open."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
