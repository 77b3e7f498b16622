"""One table of the document while it is being read.

A `Table` is asked for the keys that its reader knows. What does not fit becomes
a problem in a list that all tables share, and reading goes on, so that an
operator sees every problem at once; whatever was not asked for by the time of
`close` is an unknown key.

A problem never shows a text that it found unless its reader says that the text
cannot be a secret: a password in the wrong place is a common mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from mailnotify.config.fields import Field, fields_of
from mailnotify.config.layout import home_of
from mailnotify.core.text import clean
from mailnotify.errors import Problem

S = TypeVar("S", bound=Struct)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_SHOWN_BYTES = 80
"""Longer names are cut in a problem: it is one line of a terminal."""
_MOST_SHOWN_NUMBER = 10**15
"""A whole number may have thousands of digits."""


class Table:
    """A TOML table, its place in the document, and the problems found so far."""

    def __init__(self, path: str, entries: Mapping[str, object], problems: list[Problem]) -> None:
        self.path = path
        self._entries = entries
        self._problems = problems
        self._known: set[str] = set()

    def value(self, key: str) -> object | None:
        """Whatever is written there; None if nothing is (TOML has no null)."""
        self._known.add(key)
        return self._entries.get(key)

    def text(self, key: str, expected: str) -> str | None:
        """A text of one line; None if there is none, or none that fits."""
        found = self.value(key)
        if found is None:
            return None
        if isinstance(found, str) and found and found.isprintable():
            return found
        self.complain(key, kind(found), expected)
        return None

    def table(self, key: str) -> Table:
        """The table of that name; an empty one if there is none, or none that fits."""
        return self._below(key, self.value(key))

    def tables(self) -> Iterator[tuple[str, Table]]:
        """All entries as tables, where the keys are names that the operator chose."""
        for name in self._entries:
            yield name, self.table(name)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def plain(self, struct: type[Struct], *names: str) -> dict[str, Any]:
        """The plain fields of a class of the schema, as far as they are written and fit.

        Args:
            names: only these; all if there are none.
        """
        taken: dict[str, object] = {}
        for field in fields_of(struct):
            if names and field.name not in names:
                continue
            if field.is_plain and self.value(field.name) is not None:
                taken.update(self._converted(field))
        return taken

    def is_true(self, key: str) -> bool:
        """A switch, off unless it is written."""
        found = self.value(key)
        if found is None or isinstance(found, bool):
            return bool(found)
        self.complain(key, kind(found), "true or false")
        return False

    def whole(self, struct: type[S]) -> S:
        """A value all of whose fields are plain; a field that does not fit has its default."""
        value = struct(**self.plain(struct))
        self.close()
        return value

    def complain(self, key: str, found: str, expected: str, hint: str = "") -> None:
        """Note one problem of the value at `key` (of the table itself if it is empty)."""
        path = join(self.path, key) if key else self.path
        self._problems.append(Problem(path=path, found=found, expected=expected, hint=hint))

    def close(self, hints: Mapping[str, str] | None = None) -> None:
        """Complain of every key that nobody asked for.

        Args:
            hints: for keys that people bring from elsewhere, what to write instead.
        """
        for key in sorted(self._entries.keys() - self._known):
            hint = (hints or {}).get(key) or self._hint(key)
            self.complain(key, "an unknown key", self._expected_keys(), hint)

    def _hint(self, key: str) -> str:
        if close := get_close_matches(key, sorted(self._known), n=1):
            return f"Did you mean `{close[0]}`?"
        home = home_of(key)
        return f"It belongs in {home}." if home else ""

    def _expected_keys(self) -> str:
        return f"one of {', '.join(sorted(self._known))}"

    def _below(self, key: str, found: object) -> Table:
        entries: Mapping[str, object] = {}
        if isinstance(found, dict):
            entries = found
        elif found is not None:
            self.complain(key, kind(found), f"a table [{join(self.path, key)}]")
        return Table(join(self.path, key), entries, self._problems)

    def _converted(self, field: Field) -> dict[str, object]:
        found = self._entries[field.name]
        try:
            return {field.name: msgspec.convert(found, field.type_)}
        except msgspec.ValidationError:
            self.complain(field.name, _shown_number(found), field.takes)
            return {}


def kind(found: object) -> str:
    """What sort of value was found, without telling the value."""
    match found:
        case bool():
            return "true" if found else "false"
        case int() | float():
            return "a number"
        case "":
            return "an empty text"
        case str():
            return "a text" if found.isprintable() else "a text with control characters"
        case list():
            return "a list" if found else "an empty list"
        case dict():
            return "a table"
    return "a date or time"


def shown(text: str) -> str:
    """A text that cannot be a secret, tamed and clipped, in quotes."""
    return f'"{clean(text, _MOST_SHOWN_BYTES)}"'


def join(path: str, key: str) -> str:
    """The path of a key, with quotes where TOML would need them."""
    segment = key if _BARE_KEY.fullmatch(key) else shown(key)
    return f"{path}.{segment}" if path else segment


def _shown_number(found: object) -> str:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return kind(found)
    if isinstance(found, int) and abs(found) > _MOST_SHOWN_NUMBER:
        return "a huge number"
    return f"{found:.15g}"
