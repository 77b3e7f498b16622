"""How a user proves who they are, as mechanisms without any transport.

SASL (RFC 4422) is a dialogue: the client may open it, the server challenges,
the client answers. IMAP (RFC 9051 §6.2.2) and SMTP (RFC 4954) carry the same
dialogue in lines of base64, so both drive an `Exchange`: `opening` goes behind
the name of the mechanism, `answer` turns each challenge line into the next
line, and `finished` is asked when the server has said yes.

All of this is spoken inside verified TLS only, hence the order of `choose`:
PLAIN comes first since any server can check it against any stored form of the
password, in one round trip, and one refused login is one refused login. SCRAM
serves where PLAIN is switched off, bound to the TLS connection if the server can
(-PLUS), LOGIN where nothing else is offered.

RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM-SHA-256), RFC 7628 (OAUTHBEARER),
XOAUTH2 as Google and Microsoft describe it, RFC 4013 (SASLprep).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from mailnotify.errors import ConfigInvalid, Problem, ProtocolViolated, SecretUnavailable

#: PBKDF2 runs in the reactor's thread: 100,000 rounds take about 40 ms there,
#: and servers ask for 4,096 to 20,000.
MOST_ITERATIONS = 100_000

#: How much of a server's own words about a refused token is kept, in characters.
COMPLAINT_LENGTH = 300


@dataclass(frozen=True)
class Password:
    """A user and a password.

    Raises:
        ConfigInvalid: the user holds control characters.
        SecretUnavailable: the password is empty or holds control characters.
    """

    user: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.user, self.secret, "password")


@dataclass(frozen=True)
class Token:
    """A user and an OAuth2 access token (RFC 6750). Raises as `Password` does."""

    user: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _check(self.user, self.secret, "access token")


Credentials = Password | Token


@dataclass(frozen=True)
class Binding:
    """What both ends of one TLS connection know (RFC 5056), and nobody between them.

    Attributes:
        kind: its name in SCRAM, as in ``tls-exporter``.
    """

    kind: str
    data: bytes = field(repr=False)


class Mechanism(Protocol):
    """One side of one SASL dialogue; of use once."""

    name: str
    complaint: str
    """What the server said of a refused token; empty if it said nothing."""

    def initial(self) -> bytes | None:
        """What the client says first; None if the server speaks first."""

    def answer(self, challenge: bytes) -> bytes:
        """Answer one challenge.

        Raises:
            ProtocolViolated: the mechanism allows no such challenge.
        """

    def finished(self) -> None:
        """The server says that we are in: believe it?

        Raises:
            ProtocolViolated: it has not proved what the mechanism demands.
        """


class _Mechanism:
    """What mechanisms have in common: nothing to ask back, nothing to prove."""

    name = ""

    def __init__(self, credentials: Credentials, peer: str) -> None:
        self._credentials = credentials
        self._peer = peer
        self.complaint = ""

    def __repr__(self) -> str:
        return f"<{self.name} for {self._credentials.user}>"

    def initial(self) -> bytes | None:
        return None

    def answer(self, challenge: bytes) -> bytes:
        raise self._violated(f"a challenge of {len(challenge)} bytes", "no further challenge")

    def finished(self) -> None:
        """Nothing to prove but the certificate."""

    def _violated(self, found: str, expected: str) -> ProtocolViolated:
        return ProtocolViolated(peer=self._peer, found=f"{found} in {self.name}", expected=expected)


class Plain(_Mechanism):
    """RFC 4616: everything in one message."""

    name = "PLAIN"

    def initial(self) -> bytes:
        return f"\0{self._credentials.user}\0{self._credentials.secret}".encode()


class Login(_Mechanism):
    """The old LOGIN of draft-murchison-sasl-login: two questions, answered in order.

    What the questions say is not looked at: "Username:", "User Name" and plain
    nonsense are all in use.
    """

    name = "LOGIN"

    def __init__(self, credentials: Credentials, peer: str) -> None:
        super().__init__(credentials, peer)
        self._answers = [credentials.secret.encode(), credentials.user.encode()]

    def answer(self, challenge: bytes) -> bytes:
        if not self._answers:
            return super().answer(challenge)
        return self._answers.pop()


class XOAuth2(_Mechanism):
    """A refused token comes as a challenge, to be answered by an empty line."""

    name = "XOAUTH2"

    def initial(self) -> bytes:
        return f"user={self._credentials.user}\1auth=Bearer {self._credentials.secret}\1\1".encode()

    def answer(self, challenge: bytes) -> bytes:
        self.complaint = _printable(challenge)
        return b""


class OAuthBearer(_Mechanism):
    """RFC 7628: a refused token comes as a challenge, to be answered by ``\\x01`` (§3.2.3)."""

    name = "OAUTHBEARER"

    def initial(self) -> bytes:
        user = _escaped(self._credentials.user)
        return f"n,a={user},\1auth=Bearer {self._credentials.secret}\1\1".encode()

    def answer(self, challenge: bytes) -> bytes:
        self.complaint = _printable(challenge)
        return b"\1"


class ScramSha256(_Mechanism):
    """RFC 5802 with SHA-256 (RFC 7677): the password itself never travels.

    The server proves that it knows the password too; `finished` insists on it.

    Args:
        nonce: printable, without a comma, never used before.
        flag: what we say of channel binding (RFC 5802 §6): ``n`` that we do not bind,
            ``y`` that we could, but the server does not offer it.
    """

    name = "SCRAM-SHA-256"

    def __init__(self, credentials: Credentials, peer: str, nonce: str, flag: str = "n") -> None:
        super().__init__(credentials, peer)
        self._header = f"{flag},,".encode()
        self._bound = b""
        self._nonce = nonce
        self._bare = f"n={_escaped(saslprep(credentials.user))},r={nonce}"
        self._server_signature: bytes | None = None
        self._is_proved = False

    def initial(self) -> bytes:
        return self._header + self._bare.encode()

    def answer(self, challenge: bytes) -> bytes:
        if challenge.startswith(b"e=") and not self._is_proved:
            self.complaint = _printable(challenge[2:])
            return b""
        if self._server_signature is None:
            return self._prove(challenge)
        if not self._is_proved:
            self._verify(challenge)
            return b""
        return super().answer(challenge)

    def finished(self) -> None:
        if not self._is_proved:
            raise self._violated("success without the server's proof", "its signature first")

    def _prove(self, challenge: bytes) -> bytes:
        """Answer the server-first-message (RFC 5802 §3)."""
        nonce, salt, iterations = self._server_first(challenge)
        channel = base64.b64encode(self._header + self._bound).decode()
        bare = f"c={channel},r={nonce}"
        message = ",".join((self._bare, challenge.decode("ascii"), bare)).encode()
        secret = saslprep(self._credentials.secret).encode()
        salted = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(ours ^ theirs for ours, theirs in zip(client_key, signature, strict=True))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), message)
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def _server_first(self, challenge: bytes) -> tuple[str, bytes, int]:
        """Read ``r=nonce,s=salt,i=count``."""
        expected = f"r=…,s=…,i=1 to {MOST_ITERATIONS}"
        try:
            fields = dict(part.split("=", 1) for part in challenge.decode("ascii").split(","))
            salt = base64.b64decode(fields["s"], validate=True)
            nonce, iterations = fields["r"], int(fields["i"])
        except (ValueError, KeyError) as error:
            raise self._violated("an unreadable first challenge", expected) from error
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise self._violated("a nonce that does not go on from ours", expected)
        if not 1 <= iterations <= MOST_ITERATIONS or "m" in fields:
            raise self._violated(f"a demand that we do not meet (i={iterations})", expected)
        return nonce, salt, iterations

    def _verify(self, challenge: bytes) -> None:
        """Check the server-final-message."""
        expected = b"v=" + base64.b64encode(self._server_signature or b"")
        if not hmac.compare_digest(challenge.split(b",")[0], expected):
            raise self._violated("a wrong server signature", "proof that it knows the password")
        self._is_proved = True


class ScramSha256Plus(ScramSha256):
    """The same, with a proof that is good on this TLS connection only."""

    name = "SCRAM-SHA-256-PLUS"

    def __init__(self, credentials: Credentials, peer: str, nonce: str, binding: Binding) -> None:
        super().__init__(credentials, peer, nonce, f"p={binding.kind}")
        self._bound = binding.data


def is_unfit(mechanism: Mechanism) -> bool:
    """Whether a refusal was of the way we asked, not of who we are (RFC 5802 §7)."""
    return mechanism.complaint in _UNBOUND


_UNBOUND = {"channel-binding-not-supported", "unsupported-channel-binding-type"}


class Exchange:
    """A mechanism in lines of base64, as IMAP and SMTP carry it.

    Args:
        mechanism: not used before.
        opens: whether the first answer may stand in the command itself (SASL-IR,
            RFC 4959; always in SMTP).
    """

    def __init__(self, mechanism: Mechanism, *, opens: bool) -> None:
        self.mechanism = mechanism
        self._pending = mechanism.initial()
        self._opens = opens
        self._said: list[str] = []

    def opening(self) -> bytes | None:
        """What follows the mechanism's name in the command, or None."""
        if self._pending is None or not self._opens:
            return None
        line = self._line(self._pending)
        self._pending = None
        return line or b"="

    def answer(self, line: bytes) -> bytes:
        """Turn one challenge line, without ``+`` or ``334``, into our next line.

        The first challenge is only a "go ahead" if we have not spoken yet, and its
        words do not matter (some servers write ``+ go ahead``).

        Raises:
            ProtocolViolated: the line is no base64, or not allowed here.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return self._line(pending)
        return self._line(self.mechanism.answer(self._decoded(line)))

    def scrub(self, words: str) -> str:
        """Take what we said out of a server's words: some echo the whole command."""
        for said in self._said:
            words = words.replace(said, "<secret>")
        return words

    def _line(self, answer: bytes) -> bytes:
        line = base64.b64encode(answer)
        if line:
            self._said.append(line.decode())
        return line

    def _decoded(self, line: bytes) -> bytes:
        # Login asks in words that nobody reads: they need not be base64.
        try:
            return base64.b64decode(line.strip(), validate=True)
        except binascii.Error:
            return line


def choose(
    offered: Iterable[str],
    credentials: Credentials,
    *,
    peer: str,
    binding: Binding | None = None,
    nonce: Callable[[], str] = secrets.token_urlsafe,
) -> tuple[Mechanism, ...]:
    """Return the mechanisms that fit, the best one first; empty if none does.

    Args:
        offered: names as the server writes them, in any case, without ``AUTH=``.
        peer: how the server is called in errors.
        binding: of the TLS connection, if there is one.
        nonce: makes an unpredictable value for SCRAM.
    """
    names = {name.upper() for name in offered}
    ways: tuple[Mechanism, ...]
    if isinstance(credentials, Token):
        ways = (OAuthBearer(credentials, peer), XOAuth2(credentials, peer))
    else:
        # "y" means "you offer no binding": said to a server that does, it is an attack.
        is_unbound = binding is not None and ScramSha256Plus.name not in names
        scram = ScramSha256(credentials, peer, nonce(), "y" if is_unbound else "n")
        plus = (ScramSha256Plus(credentials, peer, nonce(), binding),) if binding else ()
        ways = (Plain(credentials, peer), *plus, scram, Login(credentials, peer))
    return tuple(way for way in ways if way.name in names)


def saslprep(text: str) -> str:
    """Prepare a name or password (RFC 4013), as a query.

    What SASLprep prohibits is left as it is: the server, which knows what was
    stored, is the one to refuse it.
    """
    if text.isascii():
        return text
    kept = (
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", "".join(kept))
    return text if not prepared or _is_prohibited(prepared) else prepared


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _is_prohibited(text: str) -> bool:
    """RFC 4013 §2.3 and the bidi rule of RFC 3454 §6."""
    if any(table(char) for char in text for table in _PROHIBITED):
        return True
    if not any(stringprep.in_table_d1(char) for char in text):
        return False
    has_left_to_right = any(stringprep.in_table_d2(char) for char in text)
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return has_left_to_right or not ends


def _check(user: str, secret: str, kind: str) -> None:
    if not user or _has_controls(user):
        problem = Problem(path="server", found=repr(user), expected="a user name without controls")
        raise ConfigInvalid(source="the account", problems=(problem,))
    if not secret or _has_controls(secret):
        reason = "it holds control characters" if secret else "it is empty"
        raise SecretUnavailable(origin=f"the configuration ({kind} of {user})", reason=reason)


def _has_controls(text: str) -> bool:
    """Controls, which inject lines and fields, and lone surrogates, which have no UTF-8."""
    return any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _escaped(name: str) -> str:
    """A saslname (RFC 5802 §5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _printable(words: bytes) -> str:
    text = words.decode("utf-8", "replace")[:COMPLAINT_LENGTH]
    return "".join(char if char.isprintable() else " " for char in text).strip()
