"""OK, NO, BAD, BYE, PREAUTH and `+`: a status word, a code, and a person's text.

Only what stands in brackets right after the status word is a response code
(RFC 9051 §7.1), and only ``[CAPABILITY …]`` speaks of capabilities: the greeting
of Exchange Online ends in ``[base64==]``, others begin with ``[ALERT]``. The text
may hold quotes, parentheses, braces and smileys without any meaning.
"""

from __future__ import annotations

import re

from mailnotify.core.text import clean
from mailnotify.imap.responses import Code, Continuation, Status, StatusResponse, Tagged
from mailnotify.imap.tokens import Malformed, tree

TEXT_BYTES = 1024
"""So much of a server's words is kept; no person reads more."""

CODE_BYTES = 64 * 1024
"""So much of a line is looked at for a code and its text."""

TAG_BYTES = 64
"""So much of a tag is kept; ours are shorter."""

STATUSES = {status.value.encode("ascii"): status for status in Status}

_TAGGED = re.compile(rb"[ \t]*([^ \t]++)[ \t]+(OK|NO|BAD)(?![A-Z0-9-])[ \t]*", re.I)
_CODE = re.compile(
    rb"""
    \[ \s*+ ([^]\s"(]++) (                # the name, then words, strings and lists
      (?: [^]"(]
        | "(?:[^"\\]|\\.)*+"
        | \( (?: [^()"] | "(?:[^"\\]|\\.)*+" | \( (?:[^()"]|"(?:[^"\\]|\\.)*+")*+ \) )*+ \)
      )*+
    ) \] [ \t]*
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_CODE = re.compile(rb'\[\s*+([^]\s"(]++)([^]]*+)\][ \t]*')


def read_tagged(text: bytes) -> Tagged | None:
    """Read the end of a command; None if it is not one."""
    found = _TAGGED.match(text)
    if found is None:
        return None
    code, said = read_code(text[found.end() :])
    tag = found[1][:TAG_BYTES].decode("ascii", "replace")
    return Tagged(tag=tag, status=STATUSES[found[2].upper()], code=code, text=said)


def read_status(status: Status, text: bytes) -> StatusResponse:
    """Read what follows the word of an untagged status response."""
    code, said = read_code(text)
    return StatusResponse(status=status, code=code, text=said)


def read_continuation(text: bytes) -> Continuation:
    """Read what follows the `+`. It is not cleaned, since it may be a challenge."""
    return Continuation(text=text.strip(b" \t").decode("utf-8", "replace"))


def read_code(text: bytes) -> tuple[Code | None, str]:
    """Read the code, if there is one, and the text."""
    text = text[:CODE_BYTES]
    # A list that is never closed must not hide a code that has its bracket.
    found = _CODE.match(text) or _PLAIN_CODE.match(text)
    if found is None:
        return None, _said(text)
    try:
        arguments = tree((found[2],))
    except Malformed:
        arguments = ()
    name = found[1][:TAG_BYTES].decode("ascii", "replace").upper()
    return Code(name, arguments), _said(text[found.end() :])


def _said(text: bytes) -> str:
    """A server's words as one harmless line."""
    return clean(text[: 2 * TEXT_BYTES].decode("utf-8", "replace"), TEXT_BYTES)
