"""Turns bytes into text when the label lies, is missing or was never heard of.

Mail names its charsets freely, and often wrongly: gb2312 means GBK with what
came after it, windows-874 is Thai, utf-8 was pasted from a page in
windows-1252. What the label means in practice is in a table here, much like
the one of the WHATWG Encoding Standard; what it cannot mean is guessed from
the bytes themselves.

No label ever reaches Python's own search for codecs: that search imports
modules by name and remembers every miss for good, so a flood of invented
labels would fill the memory; and some codecs (punycode, idna) are quadratic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from encodings.aliases import aliases
from typing import Final

_NOT_IN_LABELS: Final = re.compile(r"[^a-z0-9]+")

# Names that Python has no alias for, and labels that mean more than they say.
_WITHOUT_ALIAS: Final = ("cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "koi8_t", "koi8_u")
_NO_TEXT: Final = frozenset({"mbcs", "rot_13", "punycode", "idna"})
_MEANT: Final = {
    "big5": "big5hkscs",
    "cp936": "gb18030",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "johab": "cp949",
    "shift_jis": "cp932",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
}
_OTHER_LABELS: Final = {
    "ansi": "cp1252",
    "iso88598i": "iso8859_8",
    "logical": "iso8859_8",
    "cngb": "gb18030",
    "windows874": "cp874",
    "windows31j": "cp932",
    "xsjis": "cp932",
    "xgbk": "gb18030",
    "unicode11utf7": "utf_7",
    "utf8mb4": "utf_8",
}


def _squash(label: str) -> str:
    """What is left of a label when case and punctuation do not count."""
    return _NOT_IN_LABELS.sub("", label.lower())


def _table() -> dict[str, str]:
    """From every label that we know, squashed, to the codec that reads it best."""
    codecs = {**aliases, **{name: name for name in (*aliases.values(), *_WITHOUT_ALIAS)}}
    known = {
        _squash(label): _MEANT.get(codec, codec)
        for label, codec in codecs.items()
        if codec not in _NO_TEXT and not codec.endswith("_codec")
    }
    return {**known, **_OTHER_LABELS}


_CODECS: Final = _table()

_ESCAPES: Final = (b"\x1b$B", b"\x1b$@", b"\x1b$(")
"""How a run of Japanese, Korean or Chinese begins in an ISO-2022 text."""


def codec_of(label: str) -> str | None:
    """The codec for a charset's label; None if the label says nothing to us.

    A language (``utf-8*de``, RFC 2231 §5) is left out. ``us-ascii`` says nothing
    either: bytes that need a codec are not ASCII.
    """
    squashed = _squash(label[:64].partition("*")[0])
    codec = _CODECS.get(squashed) or _CODECS.get(squashed.removeprefix("x"))
    return None if codec == "ascii" else codec


def decode(raw: bytes, label: str) -> str:
    """Read bytes that somebody labelled; never raises.

    If the label cannot be true, the text is guessed; if it is true but for some
    bytes, those are shown as U+FFFD.
    """
    codec = codec_of(label)
    if codec is None or codec == "utf_8":
        return guess(raw)
    text = _strictly(raw, codec)
    if text is None and codec.startswith("iso2022_jp"):
        text = _vendor_japanese(raw)
    if text is None and not raw.isascii():
        text = _strictly(raw, "utf_8")
    return raw.decode(codec, "replace") if text is None else text


def guess(raw: bytes, hints: Iterable[str] = ()) -> str:
    """Read bytes without a label; never raises.

    Args:
        raw: UTF-8 (RFC 6532) if it can be; a cut in the last character is forgiven.
        hints: codecs that are used elsewhere in the same message.
    """
    if raw.isascii():
        return (_japanese(raw) if b"\x1b" in raw else None) or raw.decode("ascii")
    text = _utf_8(raw)
    if text is not None:
        return text
    for codec in hints:
        text = _strictly(raw, codec)
        if text is not None:
            return text
    return _mostly_utf_8(raw) or raw.decode("cp1252", "replace")


def _strictly(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeError:
        return None


def _japanese(raw: bytes) -> str | None:
    """ISO-2022-JP that nobody labelled, if seven bits are that."""
    if not any(escape in raw for escape in _ESCAPES):
        return None
    return _strictly(raw, "iso2022_jp_ext") or _vendor_japanese(raw)


def _vendor_japanese(raw: bytes) -> str | None:
    """ISO-2022-JP with the circled digits and such that Windows added to JIS X 0208."""
    return _strictly(raw.replace(b"\x1b$B", b"\x1b$(Q"), "iso2022_jp_2004")


def _utf_8(raw: bytes) -> str | None:
    """UTF-8, whole or cut in its last character; ``caf\\xe9`` is not such a cut."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        if problem.reason != "unexpected end of data":
            return None
        text = raw[: problem.start].decode("utf-8")
        return None if text.isascii() else text


def _mostly_utf_8(raw: bytes) -> str | None:
    """UTF-8 with damage in it: more whole characters beyond ASCII than broken ones."""
    text = raw.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(1 for character in text if character > "\x7f") - broken
    return text if whole > broken else None
