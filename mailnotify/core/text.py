"""Makes one harmless line out of text that a stranger wrote.

A subject or a name from a mail, a server's words, a mailbox's name: all of it
ends in a terminal, a log, a desktop notification or a line of our protocol,
where a line break forges a line, ESC moves the cursor, and a bidi control or
an invisible letter makes text read as what it is not. Everything that leaves
mailnotify for a person's eyes has passed through `clean` once, right after it
was decoded.

Gone are: controls (C0, DEL, C1), line and paragraph separators, every bidi
control, all other characters that are made to be invisible (zero-width space,
word joiner, byte order mark, soft hyphen, fillers, tag characters, the
variation selectors of plane 14), surrogates and noncharacters (Unicode §23.7).

Kept on purpose: the zero-width joiner and non-joiner, since emoji families,
Persian and the Indic scripts are wrong without them; but only one at a time and
only after a letter beyond ASCII, where they can change what is seen. Of the
variation selectors the first 16 stay, one at a time: they tell a coloured heart
from a black one. The flags of England, Scotland and Wales are spelled with tag
characters, and become a black flag.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NUMBERS: Final = re.compile(r"[0-9]+")
_BREAKS: Final = re.compile(r"[\r\n\t]+")

_UNSEEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u034f\u061c"  # soft hyphen, grapheme joiner, Arabic letter mark
    "\u115f\u1160\u17b4\u17b5"  # Hangul fillers, Khmer inherent vowels
    "\u180e"  # Mongolian vowel separator
    "\u200b\u200e\u200f"  # zero-width space, left-to-right and right-to-left mark
    "\u2028-\u202e"  # line and paragraph separator, bidi embeddings and overrides
    "\u2060-\u206f"  # word joiner, invisible operators, bidi isolates
    "\u3164\uffa0"  # Hangul fillers
    "\ud800-\udfff"  # surrogates
    "\ufdd0-\ufdef"  # noncharacters
    "\ufeff\ufff0-\ufffb\ufffe\uffff"  # byte order mark, annotations, noncharacters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # shorthand and musical format controls
    "\U000e0000-\U000e0fff"  # tags and variation selectors of plane 14
    + "".join(f"{chr(plane << 16 | 0xFFFE)}-{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]+"
)

# A joiner after ASCII, or after another joiner; a variation selector after another one.
_IDLE_JOINERS: Final = re.compile(
    "(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]"
    "|(?<=[\u180b-\u180d\u180f\ufe00-\ufe0f])[\u180b-\u180d\u180f\ufe00-\ufe0f]"
)

_JOINERS: Final = "\u200c\u200d"
_SKIN_TONES: Final = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"

_LONGEST_TAIL: Final = 32
"""Characters; a letter with more marks than this is an attack and may be cut anywhere."""


def clean(text: str, most_bytes: int) -> str:
    """Make one line without anything that acts or hides; never raises.

    Args:
        text: anything, lone surrogates included.
        most_bytes: the result is not longer than this in UTF-8. It is cut at a
            character, and where that is cheap not between a letter and its marks.
    """
    if text.isascii() and text.isprintable():  # most texts: nothing acts, hides or combines
        return text.strip()[: max(most_bytes, 0)].rstrip()
    line = _BREAKS.sub(" ", text)
    line = _UNSEEN.sub("", line)
    line = _IDLE_JOINERS.sub("", line)
    return _cut(line.strip(), most_bytes).strip().rstrip(_JOINERS)


def gist(text: str) -> str:
    """What is the same each time that something is said: some add how long it took."""
    return _NUMBERS.sub("0", text)


def _cut(line: str, most_bytes: int) -> str:
    """The beginning of a line, whole characters, not over that many bytes of UTF-8."""
    most_bytes = max(most_bytes, 0)
    # No character takes less than one byte, so what lies beyond never matters.
    encoded = line[: most_bytes + 1].encode("utf-8")
    if len(encoded) <= most_bytes:
        return line
    kept = encoded[:most_bytes].decode("utf-8", "ignore")
    for end in range(len(kept), max(len(kept) - _LONGEST_TAIL, 0), -1):
        if not _belongs_together(line[end - 1], line[end]):
            return kept[:end]
    return kept


def _belongs_together(before: str, after: str) -> bool:
    """Whether a cut between these two would change how the first is shown."""
    return (
        before == "\u200d"
        or after in _JOINERS
        or after in _SKIN_TONES
        or unicodedata.category(after).startswith("M")
    )
