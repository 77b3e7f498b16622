"""The frames of the line protocol: what either end can say, as values.

`mailnotify.core.lines` reads and writes them, `mailnotify.core.wire` knows what
may follow what. docs/protocol.rst is the norm for all three.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from mailnotify.core.events import Entry, Event, Position, parse_position
from mailnotify.core.patterns import covers

VERSION: Final = 1
"""The version of the protocol; `HELLO` names it."""

RECEIVED_LINE_BYTES: Final = 4096
"""The longest line a server takes, with its end: a filter over a few hundred mailboxes fits."""

SENT_LINE_BYTES: Final = 65536
"""The longest line a server sends, with its end: a client can read with one fixed buffer."""


class Code(enum.StrEnum):
    """Why a line was refused: the word after ``ERR``."""

    UNKNOWN = "UNKNOWN"
    SYNTAX = "SYNTAX"
    STATE = "STATE"
    VERSION = "VERSION"
    TOOLONG = "TOOLONG"
    BUSY = "BUSY"
    TLS = "TLS"
    AUTH = "AUTH"
    DENIED = "DENIED"
    READER = "READER"
    LETTER = "LETTER"
    SIZE = "SIZE"
    OUTBOX = "OUTBOX"
    FOREIGN = "FOREIGN"


class Farewell(enum.StrEnum):
    """Why a server closes: the ``reason`` of ``BYE``."""

    QUIT = "quit"
    POLLED = "polled"
    RESTART = "restart"
    SILENT = "silent"
    SLOW = "slow"
    OVERLONG = "overlong"
    BUSY = "busy"
    JOURNAL = "journal"
    INSECURE = "insecure"
    DENIED = "denied"
    REVOKED = "revoked"
    REPLACED = "replaced"
    FOREIGN = "foreign"


class Lacking(enum.StrEnum):
    """Why entries cannot be shown: the ``reason`` of ``GAP``."""

    EXPIRED = "expired"
    EPOCH = "epoch"
    AHEAD = "ahead"


class Mechanism(enum.StrEnum):
    """How a client can prove who it is: the word after ``AUTH``."""

    TOKEN = "TOKEN"  # noqa: S105
    EXTERNAL = "EXTERNAL"


class Edge(enum.StrEnum):
    """The two ends of what is kept, as a place to start from."""

    OLDEST = "oldest"
    NOW = "now"


MIDDLE_PRIORITY: Final = 3
"""Priorities go from 1 to 5; an event without one stands in the middle."""

Since = Position | datetime | Edge
"""Where a subscriber starts: after a position, at a moment, or at an end."""


def parse_since(text: str) -> Since:
    """Read where a subscriber starts: ``epoch:seq``, an RFC 3339 time, an `Edge`.

    Raises:
        ValueError: it is none of these.
    """
    if text in tuple(Edge):
        return Edge(text)
    try:
        return parse_position(text)
    except ValueError:
        pass
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "epoch:seq, a time with its zone, oldest or now"
        raise ValueError(f"found {text[:80]!r}, expected {expected}") from None


class Hello(Struct, frozen=True, kw_only=True):
    """``HELLO 1 {json}``: the client speaks this protocol.

    Attributes:
        version: of the protocol; only 1 can be read.
        client: the program and its version, for the log of the server.
    """

    version: int = VERSION
    client: str = ""


class Subscribe(Struct, frozen=True, kw_only=True):
    """``SUBSCRIBE {json}``: send entries from here on.

    Attributes:
        accounts: only these accounts; all if empty. The same for the next two.
        mailboxes: names as in the configuration.
        kinds: such as ``mail``; one that the server does not know matches nothing.
        min_priority: only events with this priority (1 to 5) or a higher one.
        poll: stop after the replay.
        reader: the name under which the server keeps the position; empty if it shall not.
            `since` is then where a reader begins that the server does not know.
        among: never said on the wire: only mailboxes that these words of a `Badge` cover.
    """

    since: Since = Edge.NOW
    accounts: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    min_priority: int = 1
    poll: bool = False
    reader: str = ""
    among: tuple[str, ...] = ()

    def wants(self, event: Event) -> bool:
        """Whether this event passes the filters."""
        return (
            (not self.kinds or event.__struct_config__.tag in self.kinds)
            and (not self.accounts or event.account in self.accounts)
            and (not self.mailboxes or event.mailbox in self.mailboxes)
            and (not self.among or covers(self.among, event.mailbox))
            and (
                self.min_priority <= 1
                or getattr(event, "priority", MIDDLE_PRIORITY) >= self.min_priority
            )
        )


class Ping(Struct, frozen=True, kw_only=True):
    """``PING [token]``: answer with `Pong` and the same token."""

    token: str = ""


class Pong(Struct, frozen=True, kw_only=True):
    """``PONG [token]``: the answer to `Ping`."""

    token: str = ""


class Quit(Struct, frozen=True, kw_only=True):
    """``QUIT``: the client has had enough."""


class StartTls(Struct, frozen=True, kw_only=True):
    """``STARTTLS``: go on in TLS, and forget what was said."""


class Auth(Struct, frozen=True, kw_only=True):
    """``AUTH TOKEN token`` or ``AUTH EXTERNAL``: prove who is speaking.

    Attributes:
        credential: the token; empty for a certificate, which TLS has shown already.
    """

    mechanism: Mechanism
    credential: str = ""

    def __repr__(self) -> str:
        return f"Auth(mechanism={self.mechanism.value})"


class Ack(Struct, frozen=True, kw_only=True):
    """``ACK epoch:seq``: a named reader is done with everything up to here."""

    position: Position


class Send(Struct, frozen=True, kw_only=True):
    """``SEND {json}``: queue a letter, whose bytes follow in frames `Part`.

    Attributes:
        size: of the letter, header and body, in bytes.
        to: the recipients of the envelope.
        sender: ``from`` in JSON: an identity of the account; its own sender if empty.
        account: which one sends; the one with that identity if empty.
        key: a name of the client's: with the same key it is the same letter. Empty for none.
    """

    size: int
    to: tuple[str, ...]
    sender: str = ""
    account: str = ""
    key: str = ""


class Part(Struct, frozen=True, kw_only=True):
    """``PART base64``: the next bytes of the letter that `Send` began.

    Attributes:
        text: base64 (RFC 4648 §4), unread: only with its letter can it be refused.
    """

    text: str


class Welcome(Struct, frozen=True, kw_only=True, tag_field="to", tag="HELLO"):
    """``OK {json}`` to `Hello`: from now on the connection is structured.

    Attributes:
        server: the program and its version.
        node: the name the operator gave this service.
        epoch: the name of the journal's life.
        head: the seq of the newest entry, 0 if there never was one.
        oldest: the seq of the oldest entry kept, head + 1 if there is none.
        ping_seconds: after this silence the server sends `Ping`, after two it closes.
        max_line: the longest line in bytes that the server takes.
        auth: the mechanisms of AUTH that this connection may use now.
        starttls: whether it may say STARTTLS.
    """

    server: str
    epoch: str
    head: int
    oldest: int
    ping_seconds: float
    node: str = ""
    max_line: int = RECEIVED_LINE_BYTES
    auth: tuple[str, ...] = ()
    starttls: bool = False


class Secured(Struct, frozen=True, kw_only=True, tag_field="to", tag="STARTTLS"):
    """``OK {json}`` to `StartTls`: the last bytes in clear. Begin TLS with a new peer."""


class Admitted(Struct, frozen=True, kw_only=True, tag_field="to", tag="AUTH"):
    """``OK {json}`` to `Auth`.

    Attributes:
        name: whom the server takes the client for.
        epoch, head, oldest: as in `Welcome`, which does not tell them to strangers.
    """

    name: str
    epoch: str
    head: int
    oldest: int


class Subscribed(Struct, frozen=True, kw_only=True):
    """``OK {json}`` to `Subscribe`: the replay starts after this position.

    Attributes:
        is_new: the reader's name was not known (any more): `position` is no memory of it.
        unknown: the accounts that were asked for and are not watched here, or not for
            whoever asked; both look the same.
        unknown_kinds: the same for kinds of events.
    """

    position: Position
    is_new: bool = False
    unknown: tuple[str, ...] = ()
    unknown_kinds: tuple[str, ...] = ()


class Queued(Struct, frozen=True, kw_only=True, tag_field="to", tag="SEND"):
    """``OK {json}`` to `Send`, after its last `Part`: the letter is durable in the outbox.

    Attributes:
        letter: its number, as ``mailnotify outbox`` and ``sent-failed`` name it.
        message_id: with its brackets.
    """

    letter: int
    message_id: str = ""


class Gap(Struct, frozen=True, kw_only=True):
    """``GAP {json}``: what lies between these two positions cannot be shown.

    Attributes:
        since: ``from`` in JSON: the position that was asked for, or last sent.
        to: go on from here, even if it is lower: forget `since`.
        reason: one of `Lacking`, or a word of a newer server.
    """

    since: Position
    to: Position
    reason: str


class Announce(Struct, frozen=True, kw_only=True):
    """``EVENT epoch:seq {json}``: one entry of the journal.

    Attributes:
        is_shortened: the event was too long for one line, and texts or lists were cut.
    """

    epoch: str
    entry: Entry
    is_shortened: bool = False

    @property
    def position(self) -> Position:
        """Where this entry stands."""
        return Position(epoch=self.epoch, seq=self.entry.seq)


class Unreadable(Struct, frozen=True, kw_only=True):
    """An ``EVENT`` of a kind that this mailnotify does not know; its position counts."""

    position: Position
    kind: str


class Live(Struct, frozen=True, kw_only=True):
    """``LIVE epoch:seq``: everything up to here that was asked for has been sent."""

    position: Position


class Refused(Struct, frozen=True, kw_only=True):
    """``ERR CODE text``: a line was not obeyed; the connection stays, unless `Bye` follows."""

    code: str
    reason: str


class Bye(Struct, frozen=True, kw_only=True):
    """``BYE {json}``: the last line; the server closes. `reason` is one of `Farewell`."""

    reason: str


class Plain(Struct, frozen=True, kw_only=True):
    """``New Email Received: SUBJECT``: the line for those who have not said `Hello`."""

    subject: str


ClientFrame = Hello | StartTls | Auth | Subscribe | Ack | Send | Part | Ping | Pong | Quit
ServerFrame = (
    Welcome
    | Secured
    | Admitted
    | Subscribed
    | Queued
    | Gap
    | Announce
    | Unreadable
    | Live
    | Ping
    | Pong
    | Refused
    | Bye
    | Plain
)
