"""Which mailboxes an account wants: names, patterns, and what patterns shall not bring.

`mailboxes` of the configuration is a list of names (``INBOX``), of patterns with the
wildcards of IMAP (``Lists/*``, RFC 9051 §6.3.9: ``*`` is anything, ``%`` anything
within one level), and of exceptions from these (``!Lists/spam``, ``!Lists/old/*``).

A name is the server's own name, and is watched whether or not it is there. In patterns
and exceptions ``/`` stands for whatever the server has between its levels; who writes
the server's own delimiter is understood too. Exceptions bind the patterns only: what
is named is watched.

A pattern passes over what cannot be opened, and what the server marks as a place where
nothing arrives by itself (RFC 6154 §2: Archive, Drafts, Sent, Trash), where nobody
wants to be told of it (Junk), or that shows the mail of other mailboxes once more
(All, Flagged, Important); and all that lies below these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import cached_property, lru_cache

from msgspec import Struct

EXCEPTION = "!"

UNOPENABLE = frozenset({"\\noselect", "\\nonexistent"})
"""RFC 9051 §7.3.1: what only stands between others, or is there no more."""

PASSED_OVER = frozenset(
    f"\\{each}"
    for each in ("all", "archive", "drafts", "flagged", "important", "junk", "sent", "trash")
)
"""RFC 6154 §2 and RFC 8457, in lower case."""


def is_pattern(text: str) -> bool:
    """Whether it stands for any number of mailboxes."""
    return "*" in text or "%" in text


class Wanted(Struct, frozen=True, kw_only=True, dict=True):
    """The mailboxes of an account, as its operator wrote them."""

    names: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    def brought(self, name: str, delimiter: str | None) -> bool:
        """Whether a pattern brings this mailbox, as far as its name says it."""
        return bool(self.bringing(name, delimiter))

    def bringing(self, name: str, delimiter: str | None) -> list[str]:
        """Which patterns bring this mailbox; none if an exception forbids it."""
        if any(each.fits(name) for each in self._compiled(delimiter)[1]):
            return []
        return [each.text for each in self._compiled(delimiter)[0] if each.fits(name)]

    def wire(self, delimiter: str | None) -> list[str]:
        """The patterns as LIST takes them."""
        return [each.wire for each in self._compiled(delimiter)[0]]

    def roots(self, delimiter: str | None) -> tuple[str, ...]:
        """The mailboxes below which all lies that a pattern could bring; "" is everything."""
        found = {each.root for each in self._compiled(delimiter)[0]}
        return ("",) if "" in found else tuple(sorted(found))

    def _compiled(self, delimiter: str | None) -> tuple[list[Pattern], list[Pattern]]:
        known = self._by_delimiter.get(delimiter)
        if known is None:
            known = self._by_delimiter[delimiter] = (
                [Pattern(each, delimiter) for each in self.patterns],
                [Pattern(each, delimiter) for each in self.exceptions],
            )
        return known

    @cached_property
    def _by_delimiter(self) -> dict[str | None, tuple[list[Pattern], list[Pattern]]]:
        return {}


def read_wanted(mailboxes: Iterable[str]) -> Wanted:
    """Sort what stands in the configuration."""
    names: list[str] = []
    patterns: list[str] = []
    exceptions: list[str] = []
    for each in mailboxes:
        if each.startswith(EXCEPTION):
            exceptions.append(each.removeprefix(EXCEPTION))
        else:
            (patterns if is_pattern(each) else names).append(each)
    return Wanted(names=tuple(names), patterns=tuple(patterns), exceptions=tuple(exceptions))


def covers(words: tuple[str, ...], name: str) -> bool:
    """Whether names, patterns and exceptions like those of the configuration mean this mailbox.

    No words mean all. An event does not say what its server has between levels: it is
    taken to be the first of these that stands in the name.
    """
    if not words:
        return True
    wanted = _read_once(words)
    delimiter = next((each for each in _DELIMITERS if each in name), None)
    return name in wanted.names or wanted.brought(name, delimiter)


_DELIMITERS = "/\\."
"""Most servers have a slash or a dot; a slash may not stand in a name where it is a dot."""

_read_once = lru_cache(maxsize=1024)(read_wanted)
"""The words of a token come with each event."""


class Listing(Struct, frozen=True, kw_only=True):
    """What patterns bring from a server now.

    Attributes:
        names: of the mailboxes that patterns bring, each once, INBOX first.
        there: of all mailboxes that the server named, wanted or not.
        delimiter: between levels; None if there are none.
        passed_over: wanted by name, but marked as no place for new mail.
        overflow: so many more were brought than are watched.
        barren: patterns that bring nothing.
        top: if there are such, some names of the first level, for a person.
        unsayable: names that a pattern would bring, as the server writes them: they cannot
            be written back.
    """

    names: tuple[str, ...]
    there: frozenset[str] = frozenset()
    delimiter: str | None = "/"
    passed_over: frozenset[str] = frozenset()
    overflow: int = 0
    barren: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    unsayable: tuple[str, ...] = ()


class Pattern:
    """One pattern, or one exception, for one server.

    Names come from the server, so no pattern may cost more than its length at each of
    their characters: all the places in the pattern where a match may stand are kept as
    the bits of one number.

    Args:
        text: as configured.
        delimiter: what the server has between levels; None if it has none.

    Attributes:
        wire: the pattern in the server's words, for LIST.
        root: the mailbox below which all lies that it fits; "" for everything.
    """

    def __init__(self, text: str, delimiter: str | None) -> None:
        self.text = text
        self.wire = text.replace("/", delimiter) if delimiter else text
        self._delimiter = delimiter
        fixed = min((self.wire.find(each) for each in "*%" if each in self.wire), default=-1)
        self._prefix = self.wire[:fixed] if fixed >= 0 else self.wire
        self.root = self._prefix.rpartition(delimiter)[0] if delimiter else ""
        self._anything = self._anything_within = 0
        self._literal: dict[str, int] = {}
        for place, char in enumerate(self.wire):
            if char == "*":
                self._anything |= 1 << place
            elif char == "%":
                self._anything_within |= 1 << place
            else:
                self._literal[char] = self._literal.get(char, 0) | 1 << place

    def fits(self, name: str) -> bool:
        """Whether this is one of those it stands for."""
        if name.upper() == "INBOX":  # whose case means nothing (RFC 9051 §5.1)
            name = self.wire if self.wire.upper() == "INBOX" else "INBOX"
        if not name.startswith(self._prefix):
            return False
        wild = self._anything | self._anything_within
        places = self._past_wildcards(1)
        for char in name:
            stay = self._anything if char == self._delimiter else wild
            step = (places & self._literal.get(char, 0)) << 1
            places = self._past_wildcards(step | places & stay)
        return bool(places >> len(self.wire) & 1)

    def _past_wildcards(self, places: int) -> int:
        """A wildcard may stand for nothing."""
        wild = self._anything | self._anything_within
        while more := (places & wild) << 1 & ~places:
            places |= more
        return places


def passed_over(
    marked: Iterable[tuple[str, Set[str]]], delimiter: str | None
) -> tuple[Set[str], Sequence[str]]:
    """What patterns leave out for its marks: names, and beginnings of names.

    Args:
        marked: mailboxes and their attributes, in lower case.
    """
    names = {name for name, attributes in marked if attributes & PASSED_OVER}
    below = [name + delimiter for name in sorted(names)] if delimiter else []
    return names, below
