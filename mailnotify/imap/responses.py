"""What an IMAP server can say, as values.

The journey of a server's bytes: `framer` cuts them into whole responses,
`parser.parse` turns one whole response into exactly one of the values here, and
`client` acts on it at once. After that nobody sees a raw line. Whatever is
not understood becomes `Unparsed`, which is to be counted and passed over:
a server is allowed to say more than we know (RFC 9051 §2.2.2).

Names of the protocol (status words, capabilities, codes, item names) are in
upper case, whatever the server wrote. Strings that may be in any charset stay
`bytes`. Text that a person may get to see (`text`) is one printable line.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from msgspec import Struct

Value = str | bytes | None | tuple["Value", ...]
"""One piece of a parsed response: an atom, a string, NIL or a parenthesised list.

An atom is `str` and ASCII; a quoted string, a literal, and a bare word with other
bytes, are `bytes`.
"""

_NUMBER_DIGITS = 20  # 2^64 - 1


_MOST_SHARED = 100  # a server of many talents offers fifty


def shared(names: frozenset[str]) -> frozenset[str]:
    """The same names, as one object for all connections: a list of fifty takes 5 KiB."""
    return _shared(names) if len(names) <= _MOST_SHARED else names


@lru_cache(maxsize=32)
def _shared(names: frozenset[str]) -> frozenset[str]:
    return names


class Status(enum.Enum):
    """The five words that begin a status response (RFC 9051 §7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


class NumberSet(Struct, frozen=True):
    """A sequence-set (RFC 9051 §9) without `*`: ranges, first and last included.

    A hostile `1:4294967295` costs one pair here; iterate over a set only after
    a look at its `len`.
    """

    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.ranges)

    def among(self, numbers: Sequence[int]) -> list[int]:
        """Which of these ascending numbers are in it, however many ranges there are."""
        found: list[int] = []
        done = 0
        for first, last in sorted(self.ranges):  # which may overlap
            begin, end = bisect_left(numbers, first), bisect_right(numbers, last)
            found += numbers[max(begin, done) : end]
            done = max(done, end)
        return found

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)


class Code(Struct, frozen=True):
    """The response code in the brackets of a status response (RFC 9051 §7.1).

    Attributes:
        name: upper case, as in ``UIDNEXT``.
        arguments: what follows the name, parsed; empty if nothing does.
    """

    name: str
    arguments: tuple[Value, ...] = ()

    @property
    def number(self) -> int | None:
        """The argument of UIDNEXT, UIDVALIDITY, UNSEEN, HIGHESTMODSEQ …; else None."""
        first = self.arguments[0] if self.arguments else None
        if isinstance(first, str) and first.isdigit() and len(first) <= _NUMBER_DIGITS:
            return int(first)
        return None

    @property
    def capabilities(self) -> frozenset[str] | None:
        """What ``[CAPABILITY …]`` lists, in upper case; None for every other code."""
        if self.name != "CAPABILITY":
            return None
        return shared(frozenset(word.upper() for word in self.arguments if isinstance(word, str)))

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of ``[PERMANENTFLAGS (…)]``; empty for a code without a list."""
        first = self.arguments[0] if self.arguments else None
        words = first if isinstance(first, tuple) else ()
        return tuple(
            word if isinstance(word, str) else word.decode("utf-8", "replace")
            for word in words
            if isinstance(word, str | bytes)
        )


class Tagged(Struct, frozen=True, kw_only=True):
    """The end of a command: ``A1 OK [code] text`` (RFC 9051 §7.1).

    `text` is one printable line of at most a few hundred characters.
    """

    tag: str
    status: Status
    code: Code | None = None
    text: str = ""


class StatusResponse(Struct, frozen=True, kw_only=True):
    """An untagged status response, the greeting and BYE among them (RFC 9051 §7.1)."""

    status: Status
    code: Code | None = None
    text: str = ""


class Continuation(Struct, frozen=True, kw_only=True):
    """``+ text``: the server waits for more (RFC 9051 §7.6).

    `text` is complete, since it may be a challenge in base64 (RFC 9051 §6.2.2).
    """

    text: str = ""


class Exists(Struct, frozen=True, kw_only=True):
    """``* n EXISTS``: how many messages the mailbox has (RFC 9051 §7.4.1)."""

    count: int


class Recent(Struct, frozen=True, kw_only=True):
    """``* n RECENT`` (RFC 3501 §7.3.2); says nothing of what is new to us."""

    count: int


class Expunged(Struct, frozen=True, kw_only=True):
    """``* n EXPUNGE``: every later sequence number is one less now (RFC 9051 §7.5.1)."""

    seq: int


class Vanished(Struct, frozen=True, kw_only=True):
    """``* VANISHED [(EARLIER)] uids`` (RFC 7162 §3.2.10)."""

    uids: NumberSet
    is_earlier: bool = False


class FetchData(Struct, frozen=True, kw_only=True):
    """``* n FETCH (…)`` (RFC 9051 §7.5.2): what the server chose to say, None where it did not.

    Attributes:
        flags: as written by the server.
        received: INTERNALDATE, aware, in UTC; None if it cannot be read.
        size: RFC822.SIZE in bytes.
        sections: strings by normal name: ``BODY[HEADER.FIELDS (SUBJECT FROM)]``
            in upper case without quotes and without a partial's ``<0>``;
            RFC822.HEADER and RFC822.TEXT are ``BODY[HEADER]`` and ``BODY[TEXT]``.
            The value is None if the server said NIL.
        email_id, thread_id: RFC 8474.
        gmail_message_id, gmail_thread_id, gmail_labels: Gmail's X-GM-MSGID,
            X-GM-THRID, X-GM-LABELS (labels decoded as names of mailboxes).
        guid: Dovecot's X-GUID.
        envelope, bodystructure: parsed, not interpreted.
    """

    seq: int
    uid: int | None = None
    flags: tuple[str, ...] | None = None
    received: datetime | None = None
    size: int | None = None
    modseq: int | None = None
    sections: dict[str, bytes | None] = {}
    email_id: str | None = None
    thread_id: str | None = None
    gmail_message_id: int | None = None
    gmail_thread_id: int | None = None
    gmail_labels: tuple[str, ...] | None = None
    guid: str | None = None
    envelope: Value = None
    bodystructure: Value = None

    @property
    def header(self) -> bytes | None:
        """The first section that holds header fields; None if there is none, or NIL."""
        for name, body in self.sections.items():
            if name.startswith("BODY[HEADER"):
                return body
        return None


class Capabilities(Struct, frozen=True, kw_only=True):
    """``* CAPABILITY …`` (RFC 9051 §7.2.2), in upper case."""

    names: frozenset[str]


class Flags(Struct, frozen=True, kw_only=True):
    """``* FLAGS (…)`` (RFC 9051 §7.3.5)."""

    flags: tuple[str, ...]


class ListItem(Struct, frozen=True, kw_only=True):
    """One line of LIST, LSUB or XLIST (RFC 9051 §7.3.1).

    Attributes:
        attributes: in lower case, as in ``\\noselect``.
        delimiter: None in a flat namespace.
        name: decoded, for people and configuration.
        raw: the name as the server wrote it, for its next command.
        old_name: what it was called until now (RFC 5465 §5.4), decoded; None if not said.
    """

    attributes: frozenset[str]
    delimiter: str | None
    name: str
    raw: bytes
    old_name: str | None = None


class MailboxItems(Struct, frozen=True, kw_only=True):
    """``* STATUS name (…)`` (RFC 9051 §7.3.4).

    Attributes:
        items: the numbers by name: MESSAGES, UIDNEXT, UIDVALIDITY, HIGHESTMODSEQ …
        mailbox_id: RFC 8474 §4.3.
    """

    name: str
    raw: bytes
    items: dict[str, int]
    mailbox_id: str | None = None


class SearchResult(Struct, frozen=True, kw_only=True):
    """``* SEARCH n …`` or ``* SORT n …`` (RFC 3501 §7.2.5, RFC 5256), in the server's order.

    Attributes:
        modseq: the highest mod-sequence of what was found (RFC 7162 §3.1.5).
    """

    numbers: tuple[int, ...]
    modseq: int | None = None


class ESearchResult(Struct, frozen=True, kw_only=True):
    """``* ESEARCH (TAG "A1") UID …`` (RFC 9051 §7.3.4, RFC 4731), None where not said.

    Attributes:
        tag: the command that this answers; None if the server did not say.
        is_uid: whether the numbers are UIDs.
        everything: the ALL item.
    """

    tag: str | None = None
    is_uid: bool = False
    minimum: int | None = None
    maximum: int | None = None
    count: int | None = None
    everything: NumberSet | None = None
    modseq: int | None = None


class Enabled(Struct, frozen=True, kw_only=True):
    """``* ENABLED …`` (RFC 9051 §7.2.1), in upper case."""

    names: frozenset[str]


class Id(Struct, frozen=True, kw_only=True):
    """``* ID (…)`` (RFC 2971): what the server says of itself; names in lower case."""

    fields: dict[str, str | None]


class NamespaceEntry(Struct, frozen=True, kw_only=True):
    """One prefix of a namespace, decoded and raw, and its delimiter."""

    prefix: str
    raw: bytes
    delimiter: str | None


class Namespace(Struct, frozen=True, kw_only=True):
    """``* NAMESPACE …`` (RFC 9051 §7.3.6)."""

    personal: tuple[NamespaceEntry, ...] = ()
    others: tuple[NamespaceEntry, ...] = ()
    shared: tuple[NamespaceEntry, ...] = ()


class Unparsed(Struct, frozen=True, kw_only=True):
    """A response of a kind that we do not know, or one that breaks its grammar.

    Attributes:
        kind: the word that names it, as in ``QUOTA``, in upper case; empty if
            it is nothing that IMAP knows (the banner of another protocol).
        raw: its beginning, clipped, without its literals.
    """

    kind: str
    raw: bytes


Response = (
    Tagged
    | Continuation
    | StatusResponse
    | Exists
    | Recent
    | Expunged
    | Vanished
    | FetchData
    | Capabilities
    | Flags
    | ListItem
    | MailboxItems
    | SearchResult
    | ESearchResult
    | Enabled
    | Id
    | Namespace
    | Unparsed
)
