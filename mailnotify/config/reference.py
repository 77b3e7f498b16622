"""The tables of docs/configuration.rst, written from the schema.

The document keeps them between two comments; a test compares. To bring the
document up to date: ``python -m mailnotify.config.reference docs/configuration.rst``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mailnotify.config.fields import Field
from mailnotify.config.layout import sections
from mailnotify.config.providers import PROVIDERS, Provider, security_name

_PLACE = re.compile(
    r"^(?P<begin>\.\. begin (?P<what>fields|providers)\n).*?^(?P<end>\.\. end (?P=what)\n)",
    re.DOTALL | re.MULTILINE,
)


def updated(document: str) -> str:
    """The document with both generated places as they should be."""
    tables = {"fields": field_tables, "providers": provider_table}
    return _PLACE.sub(
        lambda match: f"{match['begin']}\n{tables[match['what']]()}\n{match['end']}", document
    )


def field_tables() -> str:
    """One list-table for each table of the configuration."""
    return "\n\n".join(
        _table(f"[{each.heading}]", each.meaning, each.fields) for each in sections()
    )


def provider_table() -> str:
    """One row for each known provider."""
    rows = [("``provider``", "IMAP", "Submission", "Note"), *map(_provider_row, PROVIDERS)]
    return "\n".join(_list_table("22 26 26 26", rows))


def _table(heading: str, meaning: str, fields: tuple[Field, ...]) -> str:
    lines = [f"``{heading}``", "~" * (len(heading) + 4), "", _rst(meaning)]
    if fields:
        rows = [("Key", "Meaning", "Takes", "Default"), *map(_field_row, fields)]
        lines += "", *_list_table("22 42 22 14", rows)
    return "\n".join(lines)


def _field_row(field: Field) -> tuple[str, ...]:
    default = f"``{field.default}``" if field.default is not None else ""
    return (f"``{field.name}``", _rst(field.description), field.takes, default)


def _provider_row(each: Provider) -> tuple[str, ...]:
    imap, smtp = each.imap_server("u"), each.smtp_server("u")
    names = ", ".join(f"``{name}``" for name in each.names)
    return (
        names,
        f"{imap} ({security_name(imap.security)})",
        f"{smtp} ({security_name(smtp.security)})",
        _rst(each.note),
    )


def _list_table(widths: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield f"   :widths: {widths}"
    yield ""
    for row in rows:
        for index, cell in enumerate(row):
            yield f"   {' ' if index else '*'} - {cell}".rstrip()


def _rst(text: str) -> str:
    """The schema writes `name` for what reStructuredText writes ``name``."""
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)


def rewrite(path: Path) -> None:
    """Bring the document on the disk up to date."""
    path.write_text(updated(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
