"""What an operator wrote as recipients, as one address each.

``"Ada <ada@x>, bob@y"`` in one option is two recipients: a list handed to an
SMTP client as one string reaches the first only, and looks like success. So
every text is taken apart here, into the addresses that go into the envelope
and the names that go into the header.

The grammar is RFC 5322 §3.4 without its groups, comments and obsolete forms;
the addresses are RFC 5321 §4.1.2 without address literals and backslashes. The
part before the @ may be written in any script (RFC 6531 §3.3): a letter to such
an address needs a server with SMTPUTF8, which `parcel` looks for. A domain may be
too, and goes out in its ASCII form, which every server knows.
"""

from __future__ import annotations

import re
import unicodedata

from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid

#: RFC 5321 §4.5.3.1.1 and §4.5.3.1.2, in octets.
LONGEST_LOCAL_PART = 64
LONGEST_DOMAIN = 255

#: No person writes more; a name longer than this is a mistake or an attack.
LONGEST_NAME = 200

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL_PART = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"[ !#-\[\]-~]+"')
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_NAMED = re.compile(
    rf"\s*+(?P<name>(?:{_QUOTED}|[^\"<>,])*+)<(?P<address>(?:{_QUOTED}|[^\"<>])*+)>"
)
_BARE = re.compile(rf"\s*+(?P<address>(?:{_QUOTED}|[^\"<>,\s])++)")
_BETWEEN = re.compile(r"\s*+(?:,|\Z)")
_QUOTED_PIECE = re.compile(r'"((?:[^"\\]|\\.)*+)"')

#: What IDNA 2003, which is all that the standard library has, maps to another
#: name than today's registries do (UTS 46 §1.3.2): a letter could go to a stranger.
_DEVIATIONS = frozenset("ßẞς\u200c\u200d")


def refuse_controls(field: str, text: str) -> None:
    """Refuse what forges header lines: controls, line separators, lone surrogates.

    Raises:
        LetterInvalid: naming the first such character, and never the text itself.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
            number = ord(character)
            is_byte = 0xDC80 <= number <= 0xDCFF  # how Python keeps it in an argument
            raise LetterInvalid(
                field=field,
                found=f"the byte 0x{number - 0xDC00:02X}, which is no UTF-8"
                if is_byte
                else f"a text with the control character U+{number:04X}",
                expected="one line without control characters",
            )


def parse_addresses(field: str, text: str) -> tuple[Address, ...]:
    """Read a list of ``address`` or ``Name <address>``, separated by commas.

    Args:
        field: how the list is called in an error, as in ``to``.

    Raises:
        LetterInvalid: it is no such list.
    """
    refuse_controls(field, text)
    found: list[Address] = []
    position = 0
    while position < len(text):
        match = _NAMED.match(text, position) or _BARE.match(text, position)
        between = _BETWEEN.match(text, match.end()) if match else None
        if match is None or between is None:
            raise _no_address(field, text[position:].strip())
        name = match.groupdict().get("name") or ""
        found.append(
            Address(address=_checked(field, match["address"]), name=_unquoted(field, name))
        )
        position = between.end()
    if not found:
        raise _no_address(field, "")
    return tuple(found)


def parse_address(field: str, text: str) -> Address:
    """Read exactly one address.

    Raises:
        LetterInvalid: there is none, or more than one.
    """
    found = parse_addresses(field, text)
    if len(found) != 1:
        raise LetterInvalid(field=field, found=f"{len(found)} addresses", expected="one address")
    return found[0]


def _checked(field: str, address: str) -> str:
    """The address with its domain in lower-case ASCII."""
    local_part, at, domain = address.strip().rpartition("@")
    local_part = unicodedata.normalize("NFC", local_part)  # RFC 6532 §3.1
    domain = _ascii_domain(field, domain)
    is_good = (
        at
        and _LOCAL_PART.fullmatch(local_part)
        and all(char.isascii() or _is_visible(char) for char in local_part)
        and len(local_part.encode("utf-8", "replace")) <= LONGEST_LOCAL_PART
        and _DOMAIN.fullmatch(domain)
        and len(domain) <= LONGEST_DOMAIN
    )
    if not is_good:
        raise _no_address(field, address.strip())
    return f"{local_part}@{domain}"


def _is_visible(char: str) -> bool:
    """No space, no control, no mark of direction that makes an address look like another."""
    return unicodedata.category(char)[0] not in "CZ"


def _ascii_domain(field: str, domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    if not _DEVIATIONS.isdisjoint(domain):
        raise LetterInvalid(
            field=field,
            found=f"the domain {domain!r}, which two standards spell in two ways",
            expected="its ASCII form (xn--…)",
        )
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _no_address(field, domain) from None


def _unquoted(field: str, name: str) -> str:
    """The display name without its quotes."""
    text = _QUOTED_PIECE.sub(lambda piece: re.sub(r"\\(.)", r"\1", piece[1]), name).strip()
    if len(text) > LONGEST_NAME:
        raise LetterInvalid(
            field=field,
            found=f"a name of {len(text)} characters",
            expected=f"at most {LONGEST_NAME}",
        )
    return text


def _no_address(field: str, found: str) -> LetterInvalid:
    shown = repr(found if len(found) <= 80 else f"{found[:80]}…") if found else "empty"
    return LetterInvalid(
        field=field, found=shown, expected="user@example.org or Name <user@example.org>"
    )
