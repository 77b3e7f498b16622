"""Tokens: what a reader from elsewhere shows to be let in.

A token is ``mailnotify_ID_SECRET``. The id finds the record, so that one hash is
computed for an attempt and none for a guess at random; it is no secret and may be
logged. The secret has 256 random bits and is kept as a hash only. No guessing
reaches 256 bits, so scrypt (RFC 7914) runs with a small cost here: it is paid at
each first use of a token, by the server.

A record can stand for a client certificate instead, by its SHA-256 fingerprint.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import scrypt
from typing import Final

from msgspec import Struct

from mailnotify.core.badge import Badge

_PREFIX: Final = "mailnotify"
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
_COST: Final = 1024
"""Of scrypt, with blocks of 1 KiB: one MiB and 2 ms."""
_MOST_COST: Final = 2**15
"""What a record may ask for; a broken file must not stop the machine."""


class Offer(Struct, frozen=True, kw_only=True):
    """A token as a client shows it."""

    id: str
    secret: bytes

    def __str__(self) -> str:
        encoded = urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"{_PREFIX}_{self.id}_{encoded}"

    def __repr__(self) -> str:
        return f"Offer(id={self.id!r})"


class Hash(Struct, frozen=True, kw_only=True):
    """What is kept of a secret; all in hex."""

    salt: str
    digest: str
    cost: int = _COST


class Token(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server keeps of a token.

    Attributes:
        id: finds it; not secret.
        name: given by the operator, and shown in logs; names a set of readers.
        made: when, in UTC.
        expires: from then on it is worth nothing; None for never.
        hash: of the secret; None for a certificate.
        certificate: the SHA-256 fingerprint of a client certificate, lower case hex.
        accounts, mailboxes, kinds, is_read_only, may_send: as in `Badge`.
    """

    id: str
    name: str
    made: datetime
    expires: datetime | None = None
    hash: Hash | None = None
    certificate: str = ""
    accounts: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_read_only: bool = False
    may_send: bool = False

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires

    def badge(self) -> Badge:
        """What its bearer may do."""
        return Badge(
            name=self.name,
            token_id=self.id,
            accounts=self.accounts,
            mailboxes=self.mailboxes,
            kinds=self.kinds,
            is_read_only=self.is_read_only,
            may_send=self.may_send,
        )


def parse_token(text: str) -> Offer | None:
    """Take a token apart; None if it cannot be one of ours."""
    prefix, _, rest = text.partition("_")
    identity, _, encoded = rest.partition("_")
    is_id = len(identity) == 2 * ID_BYTES and identity.isascii() and identity.isalnum()
    if prefix != _PREFIX or not is_id or len(encoded) != 43 or not encoded.isascii():
        return None
    try:
        secret = urlsafe_b64decode(encoded + "=")
    except ValueError:
        return None
    return Offer(id=identity, secret=secret) if len(secret) == SECRET_BYTES else None


def hashed(secret: bytes, salt: bytes) -> Hash:
    """What to keep of a new secret."""
    return Hash(salt=salt.hex(), digest=_digest(secret, salt, _COST).hex())


def matches(kept: Hash, secret: bytes) -> bool:
    """Whether this is the secret; takes milliseconds, and the same time either way.

    Raises:
        ValueError: what was kept makes no sense.
    """
    if not 2 <= kept.cost <= _MOST_COST:
        raise ValueError(f"found a cost of {kept.cost}, expected at most {_MOST_COST}")
    found = _digest(secret, bytes.fromhex(kept.salt), kept.cost)
    return hmac.compare_digest(found, bytes.fromhex(kept.digest))


def _digest(secret: bytes, salt: bytes, cost: int) -> bytes:
    return scrypt(secret, salt=salt, n=cost, r=8, p=1, maxmem=64 * 1024 * 1024)
