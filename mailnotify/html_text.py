"""The visible text of an HTML page, for the preview of a message (`core.preview`).

The page is hostile. It is read by lexbor, a parser made for the pages of the web
(the extra ``mailnotify[preview]``): it runs nothing, loads nothing, and takes a
nesting or a comment that never ends for what it is. `MOST_LETTERS` bounds what
a page of nothing but tags can cost.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Final

MOST_LETTERS: Final = 16_384
"""Of a page, looked at; whoever asks for a preview has fetched no more."""

_HIDDEN: Final = ["head", "noscript", "script", "style", "template", "title"]

_INLINE: Final = re.compile(
    "-text|-comment|a|abbr|b|bdi|bdo|big|cite|code|em|font|i|ins|kbd|mark|q|s|small|span|"
    "strong|sub|sup|tt|u|wbr"
)
"""What stands within a word without ending it, and so adds no space."""


def is_installed() -> bool:
    """Whether there is what reads pages; without it, mail that is only HTML has no preview."""
    return find_spec("selectolax") is not None


def visible_text(page: str) -> str:
    """The text that a reader would see, with a space for the edge of a paragraph or a cell.

    Raises:
        ImportError: the extra is not installed.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page[:MOST_LETTERS])
    tree.strip_tags(_HIDDEN)
    if tree.body is None:
        return ""
    pieces: list[str] = []
    for node in tree.body.traverse(include_text=True):
        if _ends_a_word(node.tag) or (node.prev is not None and _ends_a_word(node.prev.tag)):
            pieces.append(" ")
        if node.tag == "-text":
            pieces.append(node.text_content or "")
    return "".join(pieces)


def _ends_a_word(tag: str | None) -> bool:
    return tag is None or _INLINE.fullmatch(tag) is None
