"""Names of mailboxes on the wire: modified UTF-7 (RFC 3501 §5.1.3) and quoting.

Where a session writes a name from the configuration into a command, or reads
one from a LIST response. Servers that speak UTF8=ACCEPT send UTF-8 instead; a
name with bytes beyond ASCII is read as that.

`encode` refuses what could end a command (CR, LF, NUL) or hide in a name (the
other controls). `decode` refuses nothing: a name that no correct encoder made
is shown as it stands. Such a name can only be selected by its raw bytes, so
whoever lists mailboxes keeps these too (`responses.ListItem.raw`).
"""

from __future__ import annotations

import binascii
import re

_PLAIN = re.compile(r"[ -~]+|[^ -~]+")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_QUOTED_MOST_BYTES = 1000  # a line of a command stays far below 8192 (RFC 7162 §4)
_DECODED_MOST_BYTES = 4096  # no file system has names so long


def encode(name: str) -> bytes:
    """Write a name in modified UTF-7.

    Raises:
        ValueError: the name holds a control character or a lone surrogate.
    """
    if _CONTROL.search(name):
        raise ValueError(f"the name of a mailbox holds a control character: {name!r}")
    return b"".join(
        run.encode("ascii").replace(b"&", b"&-") if run.isascii() else _shift(run)
        for run in _PLAIN.findall(name)
    )


def _shift(run: str) -> bytes:
    """One run beyond printable ASCII, as base64 of UTF-16 between `&` and `-`."""
    utf16 = run.encode("utf-16-be")  # UnicodeEncodeError is a ValueError
    return b"&" + binascii.b2a_base64(utf16, newline=False).rstrip(b"=").replace(b"/", b",") + b"-"


def decode(raw: bytes) -> str:
    """Read a name as a server wrote it; never raises.

    Whatever is not what `encode` would have written stays as it is, so that no two
    ways to write a name look like one mailbox. Bytes that are not UTF-8 become
    U+FFFD.
    """
    if len(raw) > _DECODED_MOST_BYTES or not raw.isascii():
        return raw.decode("utf-8", "replace")
    try:
        name = _SHIFTED.sub(_unshift, raw).decode("utf-8")
        is_canonical = encode(name) == raw
    except ValueError:
        is_canonical = False
    return name if is_canonical else raw.decode("ascii")


def _unshift(shifted: re.Match[bytes]) -> bytes:
    """One shifted run in UTF-8."""
    base64 = shifted[1].replace(b",", b"/")
    if not base64:
        return b"&"
    utf16 = binascii.a2b_base64(base64 + b"=" * (-len(base64) % 4))
    return utf16.decode("utf-16-be").encode("utf-8")


def is_quotable(raw: bytes) -> bool:
    """Whether a string can be sent in quotes; if not, only as a literal (RFC 9051 §4.3)."""
    return len(raw) <= _QUOTED_MOST_BYTES and _QUOTABLE.fullmatch(raw) is not None


def quoted(raw: bytes) -> bytes:
    """Write a string in quotes, with its quotes and backslashes escaped.

    Raises:
        ValueError: it holds CR, LF, NUL, a byte beyond ASCII, or is too long.
    """
    if not is_quotable(raw):
        raise ValueError("a string that cannot be quoted: CR, LF, NUL, 8-bit or too long")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def literal(raw: bytes, *, is_synchronising: bool = True) -> tuple[bytes, bytes]:
    """Announce a string as a literal: the announcement, and the string after it.

    Send the announcement, then CRLF, then, if it is synchronising, wait for the
    server's continuation request; then the string. Without LITERAL+ or LITERAL-
    (RFC 7888) it has to be synchronising.

    Raises:
        ValueError: it holds NUL, which only a literal8 may, or CR or LF, which
            are in no name, user or password of an honest person.
    """
    if any(control in raw for control in b"\r\n\x00"):
        raise ValueError("a string with CR, LF or NUL")
    plus = b"" if is_synchronising else b"+"
    return b"{%d%s}" % (len(raw), plus), raw
