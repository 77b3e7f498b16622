"""What the schema says of one field, in words.

The schema holds each description, bound and default once, as annotations of
msgspec. Here they become sentences: for the problems that `load` reports, for
the comments of the sample document and for the tables of the documentation.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, structs

_NOUNS = {int: "a whole number", float: "a number", str: "a text"}


class Field(Struct, frozen=True, kw_only=True):
    """One key of a table.

    Attributes:
        name: the key.
        type_: what msgspec converts to, bounds included.
        description: one or two sentences.
        takes: what may be written, as in ``a number from 0.05 to 86400``; empty
            where only the description can say it.
        default: as TOML; None where there is none, or where it has no literal.
    """

    name: str
    type_: object
    description: str
    takes: str
    default: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the value is one number or text that needs nothing but its bounds."""
        return bool(self.takes)


@cache
def fields_of(struct: type[Struct]) -> tuple[Field, ...]:
    """All fields of one class of the schema, in its order."""
    return tuple(_field(each) for each in structs.fields(struct))


def to_toml(value: object) -> str | None:
    """A literal of TOML, or None for what has none."""
    match value:
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return f"{value:.15g}"
        case list() | tuple():
            return f"[{', '.join(to_toml(each) or '' for each in value)}]"
    return None


def _field(info: structs.FieldInfo) -> Field:
    plain, meta = _unwrapped(info.type)
    return Field(
        name=info.name,
        type_=info.type,
        description=meta.description or "",
        takes=_in_words(plain, meta),
        default=None if info.default is NODEFAULT else to_toml(info.default),
    )


def _unwrapped(annotation: object) -> tuple[object, Meta]:
    if get_origin(annotation) is Annotated:
        plain, meta, *_ = get_args(annotation)
        return plain, meta
    return annotation, Meta()


def _in_words(plain: object, meta: Meta) -> str:
    noun = _NOUNS.get(plain, "") if isinstance(plain, type) else ""
    if meta.gt is not None:
        return f"{noun} above {meta.gt:g}" + (
            "" if meta.le is None else f", at most {meta.le:.15g}"
        )
    if meta.ge is None:
        return noun
    return f"{noun} from {meta.ge:g} " + ("up" if meta.le is None else f"to {meta.le:.15g}")
