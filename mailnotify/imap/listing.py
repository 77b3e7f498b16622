"""LIST (RFC 9051 §6.3.9): which mailboxes there are that a pattern brings.

One question for all patterns where the server takes it (RFC 5258), with the marks of
special use (RFC 6154); else one question for each, in which servers show their marks
without being asked. What comes back is judged here once more by its name: a server
answers by its own idea of a pattern, and may say whatever it likes. Names that cannot
be shown or written are left out, and so is what goes beyond a number that no person
has mailboxes of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set

from msgspec import structs

from mailnotify.core.patterns import UNOPENABLE, Listing, Wanted, passed_over
from mailnotify.errors import CommandRefused
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import encode, is_quotable, quoted
from mailnotify.imap.responses import ListItem, Response, Status, Tagged
from mailnotify.imap.surveying import joined_lines, key

MOST_MAILBOXES = 10_000
"""Of one account, by patterns: each is a row to ask about at every sweep."""

_MOST_NAME_BYTES = 1000
"""A name has to fit into a command."""

_MOST_UNSAYABLE = 100
"""Of such names are told; a server has few of them, or is broken."""

_MOST_TOP = 20
"""More names than that help nobody to find a mistake."""

Run = Callable[[Command], Awaitable[Tagged]]


async def list_mailboxes(run: Run, wanted: Wanted, peer: str, capabilities: Set[str]) -> Listing:
    """Which mailboxes the patterns of an account bring.

    Raises:
        CommandRefused: the server does not list; the session is good for others.
    """
    delimiter = await _ask_delimiter(run, peer)
    patterns = [quoted(encode(each)) for each in wanted.wire(delimiter)]
    found = _Found(wanted, delimiter)
    extended = {"LIST-EXTENDED", "SPECIAL-USE"} <= capabilities
    if not (extended and await _ask_extended(run, patterns, found)):
        for each in patterns:
            _demand_ok(await run(Command("LIST", b'"" ' + each, collect=found)), peer)
    listing = found.listing()
    if listing.barren:
        listing = structs.replace(listing, top=tuple(await _list_top(run)))
    return listing


async def _list_top(run: Run) -> list[str]:
    """The names of the first level, where a pattern brings nothing."""
    found: list[str] = []

    def collect(response: Response) -> None:
        if (
            isinstance(response, ListItem)
            and len(found) < _MOST_TOP
            and response.name.isprintable()
        ):
            found.append(response.name)

    await run(Command("LIST", b'"" "%"', collect=collect))
    return found


async def _ask_delimiter(run: Run, peer: str) -> str | None:
    """What stands between levels: the answer to a LIST of nothing (RFC 9051 §6.3.9)."""
    found: list[str | None] = []

    def collect(response: Response) -> None:
        if isinstance(response, ListItem):
            found.append(response.delimiter)

    _demand_ok(await run(Command("LIST", b'"" ""', collect=collect)), peer)
    return found[0] if found else "/"


async def _ask_extended(run: Run, patterns: Sequence[bytes], found: _Found) -> bool:
    """All patterns in as few questions as they fit in; whether the server takes it."""
    for line in joined_lines(patterns):
        words = b'"" (%b) RETURN (SPECIAL-USE)' % line
        answer = await run(Command("LIST", words, collect=found))
        if answer.status is not Status.OK:
            return False
    return True


def _demand_ok(answer: Tagged, peer: str) -> None:
    if answer.status is not Status.OK:
        word, said = answer.status.name, answer.text
        raise CommandRefused(peer=peer, command="LIST", status=word, said=said)


class _Found:
    """Takes the lines of LIST."""

    def __init__(self, wanted: Wanted, delimiter: str | None) -> None:
        self._wanted = wanted
        self._delimiter = delimiter
        self._attributes: dict[str, Set[str]] = {}
        self._bringing: set[str] = set()
        self._overflow: set[int] = set()
        self._unsayable: set[str] = set()

    def __call__(self, response: Response) -> None:
        if not isinstance(response, ListItem):
            return
        if not _is_usable(response):
            self._leave_out(response)
            return
        name = key(response.name)
        if name in self._attributes:  # some servers name one twice
            self._attributes[name] |= response.attributes
        elif len(self._attributes) < MOST_MAILBOXES:
            if bringing := self._wanted.bringing(name, self._delimiter):
                self._attributes[name] = response.attributes
                self._bringing.update(() if response.attributes & UNOPENABLE else bringing)
        else:
            self._overflow.add(hash(name))

    def _leave_out(self, item: ListItem) -> None:
        is_openable = not item.attributes & UNOPENABLE
        is_wanted = is_openable and self._wanted.brought(item.name, self._delimiter)
        if is_wanted and len(self._unsayable) < _MOST_UNSAYABLE:
            self._unsayable.add(item.name)

    def listing(self) -> Listing:
        names, below = passed_over(self._attributes.items(), self._delimiter)
        beginnings = tuple(below)
        openable = [name for name, words in self._attributes.items() if not words & UNOPENABLE]
        left_out = {each for each in openable if each in names or each.startswith(beginnings)}
        brought = sorted(set(openable) - left_out, key=lambda each: (each != "INBOX", each))
        return Listing(
            names=tuple(brought),
            there=frozenset(openable),
            delimiter=self._delimiter,
            passed_over=frozenset(left_out),
            overflow=len(self._overflow),
            unsayable=tuple(sorted(self._unsayable)),
            barren=tuple(each for each in self._wanted.patterns if each not in self._bringing),
        )


def _is_usable(item: ListItem) -> bool:
    """Whether the name can be shown, and can be said to the server again.

    That is in modified UTF-7, which every server takes that was not told to speak
    otherwise (RFC 6855 §3), also those that write UTF-8 themselves.
    """
    if not item.name or not item.name.isprintable() or len(item.raw) > _MOST_NAME_BYTES:
        return False
    try:
        said = encode(item.name)
    except ValueError:
        return False
    return is_quotable(said) and (said == item.raw or not item.raw.isascii())
