"""How many attachments a message has, from its BODYSTRUCTURE (RFC 9051 §7.5.2).

A part counts if its sender calls it an attachment, or if a person would: a
picture or document of its own, a letter inside a letter. What only serves the
text does not count: pictures that HTML refers to, signatures, alternatives.
Structures are as hostile as all else: whatever has no sense counts for nothing.
"""

from __future__ import annotations

from typing import Final

MOST_PARTS: Final = 1000
"""Looked at in one message; more are made to hurt."""

_SERVANTS: Final = {"pgp-signature", "pkcs7-signature", "x-pkcs7-signature", "ms-tnef"}
"""Subtypes of application that belong to the text."""

_SERVED: Final = {"related", "report"}
"""Subtypes of multipart whose parts other than text only serve the text."""


def count_attachments(structure: object) -> int:
    """The number of parts that a person would call an attachment; 0 if nothing can be read."""
    count = seen = 0
    waiting: list[tuple[object, bool]] = [(structure, False)]
    while waiting and seen < MOST_PARTS:
        part, is_serving = waiting.pop()
        seen += 1
        if not isinstance(part, tuple) or not part:
            continue
        if isinstance(part[0], tuple):
            parts = [each for each in part if isinstance(each, tuple)]
            subtype = next((_word(each) for each in part if not isinstance(each, tuple)), "")
            waiting += [(each, subtype in _SERVED) for each in parts[:MOST_PARTS]]
        elif len(part) >= 2:
            count += _is_attachment(part, is_serving)
    return count


def _is_attachment(part: tuple[object, ...], is_serving: bool) -> bool:
    kind, subtype = _word(part[0]), _word(part[1])
    disposition = _disposition(part)
    if disposition == "attachment":
        return subtype not in _SERVANTS
    if kind in ("", "text", "multipart") or is_serving:
        return False
    return not (kind == "application" and subtype in _SERVANTS) and len(part) >= 7


def _disposition(part: tuple[object, ...]) -> str:
    """``attachment``, ``inline`` or nothing; its place depends on the type, so it is searched."""
    for each in part[7:]:
        if isinstance(each, tuple) and each and _word(each[0]) in ("attachment", "inline"):
            return _word(each[0])
    return ""


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").lower()
    return value.lower() if isinstance(value, str) else ""
