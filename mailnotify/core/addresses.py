"""Reads the mailboxes of a From or To field (RFC 5322 §3.4), leniently.

Quoted strings, comments, groups, source routes and the obsolete ``address
(name)`` are understood; a quote or bracket that never ends encloses nothing
but its own mailbox. The standard library's two parsers are not used: one raises on a
few percent of hostile fields, the other refuses a whole field for one fault.

The structure is found before encoded words are decoded, so nothing that is
encoded can pose as an address. Each token is looked at once.
"""

from __future__ import annotations

import re
from typing import Final

from mailnotify.core.headers import decode_words

_QUOTED: Final = r'"(?:[^"\\]++|\\.)*+"'
_TOKEN: Final = re.compile(
    r'=\?[^?\s]{1,60}\?[bBqQ]\?[^?\s<>"\\]*+\?='  # an encoded word, whatever is in it
    rf"|{_QUOTED}|\\.|[^\s\"(),:;<>\\=]++|\s++|.",
    re.DOTALL,
)
_ADDRESS: Final = r"[\w.+-]++@[\w.-]++"
_USUAL: Final = re.compile(
    rf"""\s*+ (?: ( [\w\ .'-]*+ | "[^"\\=]*+"\ ? ) < ({_ADDRESS}) > | ({_ADDRESS}) ) \s*+""",
    re.VERBOSE,
)
"""One mailbox, written as nearly all are."""
_BLANK: Final = re.compile(r"\s++")
_AROUND_AT: Final = re.compile(r"(?<!\s)\s*+@\s*+")  # begins at the first blank only: linear
_WORD: Final = re.compile(rf"(?:{_QUOTED}|\\.|\S)++", re.DOTALL)
_QUOTED_WORD: Final = re.compile(_QUOTED, re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_addresses(text: str, most: int) -> list[tuple[str, str]]:
    """The mailboxes of an unfolded field, as (decoded name, address), at most that many.

    The names of groups are left out. A name without any address has the address
    ``""``. Neither part is cleaned yet.
    """
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return _scan(text, most)
    name, address, bare = usual.groups()
    return [("", bare) if bare else (name.strip().strip('"').strip(), address)][:most]


def _scan(text: str, most: int) -> list[tuple[str, str]]:
    scanner = _Scanner()
    for token in _TOKEN.finditer(text):
        scanner.take(token[0])
        if len(scanner.found) >= most:
            break
    scanner.flush()
    return scanner.found[:most]


class _Scanner:
    """Collects the tokens of one mailbox until a comma or the like ends it."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._depth = 0
        self._clear()

    def _clear(self) -> None:
        self._phrase: list[str] = []
        self._comment: list[str] = []
        self._angle: list[str] = []
        self._is_in_angle = False

    def take(self, piece: str) -> None:
        if self._depth or piece == "(":
            self._take_comment(piece)
        elif self._is_in_angle and piece not in ("<", ">"):
            self._take_in_angle(piece)
        elif piece in ("<", ">", ",", ";", ":"):
            self._take_special(piece)
        elif piece != '"':  # a quote that never ends quotes nothing
            self._phrase.append(piece)

    def _take_comment(self, piece: str) -> None:
        """Comments nest (RFC 5322 §3.2.2); their text is the name if there is no other."""
        self._depth += (piece == "(") - (piece == ")")
        self._comment.append(piece)

    def _take_in_angle(self, piece: str) -> None:
        is_route = bool(self._angle) and self._angle[0].startswith("@")
        if piece == "," and not is_route:  # the bracket was never closed
            self.flush()
        else:
            self._angle.append(piece)

    def _take_special(self, piece: str) -> None:
        if piece == "<":
            if self._angle:
                self.flush()
            self._is_in_angle = True
        elif piece == ">":
            self._is_in_angle = False
        elif piece == ":" and not self._angle:
            self._clear()  # that was the name of a group
        else:
            self.flush()

    def flush(self) -> None:
        """Keep what was collected, if it is anything."""
        if not (self._phrase or self._angle or self._comment):
            return
        phrase, comment = "".join(self._phrase), "".join(self._comment)[1:-1]
        if self._angle:
            name, address = phrase, _without_route("".join(self._angle))
        else:
            name, address = _bare(phrase)
        self._clear()
        name = _name(name) or _name(comment)
        if name or address:
            self.found.append((name, address))


def _without_route(angle: str) -> str:
    """What stands between the brackets, without the obsolete route (RFC 5322 §4.4)."""
    if angle.startswith("@"):
        angle = angle.rpartition(":")[2]
    return angle.strip() if '"' in angle else _BLANK.sub("", angle)


def _bare(phrase: str) -> tuple[str, str]:
    """Name and address where no brackets tell them apart."""
    words = _WORD.findall(_AROUND_AT.sub("@", phrase))
    candidates = [word for word in words if "@" in word and not word.startswith("=?")]
    if not candidates and len(words) == 1 and not words[0].startswith(("=?", '"')):
        candidates = words  # a user of this machine, such as root
    if not candidates:
        return phrase, ""
    return " ".join(word for word in words if word != candidates[0]), candidates[0]


def _name(phrase: str) -> str:
    """A display name: unquoted, then decoded (many programs quote encoded words)."""
    unquoted = _QUOTED_WORD.sub(lambda word: _ESCAPED.sub(r"\1", word[0][1:-1]), phrase)
    return decode_words(unquoted.strip()).strip()
