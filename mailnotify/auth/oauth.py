"""OAuth2 as questions and answers: what is asked of a provider, what it may say.

A person allows mailnotify the access once, in one of two ways, and the provider
gives a *grant*: an access token for an hour and a refresh token for months.

- By redirect (RFC 6749 §4.1, RFC 8252): `authorization_url` goes to the browser,
  which comes back to a port of ours with a code; `state` ties the two together
  and PKCE (RFC 7636) makes the code worthless to anybody else.
- By device code (RFC 8628): the person types a short code into a page on any
  device, while we poll at the pace that the provider sets.

Later `renewal` turns the refresh token into the next access token. Nothing here
knows of a network or of the time: forms go out as bytes, an `Answer` comes back
and becomes a value. All of an answer is a stranger's: it is bounded, its words
are cleaned, and no secret stands in a `repr` or an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
from msgspec import Struct

from mailnotify.core.text import clean
from mailnotify.errors import LoginNeeded, ProtocolViolated

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

UNSAID_LIFE_SECONDS = 600.0
"""How long an access token is good if the provider does not say: all give an hour."""

LONGEST_LIFE_SECONDS = 366 * 86400.0
"""No number of a provider is taken for longer than this."""

USUAL_INTERVAL_SECONDS = 5.0
"""Between polls, if the provider names no interval; also what `slow_down` adds (RFC 8628 §3.5)."""

LONGEST_INTERVAL_SECONDS = 120.0
"""A provider that asks for more pause than this would outlast its own code."""

MOST_TOKEN_CHARACTERS = 16 * 1024
"""Microsoft's tokens have some 2,500, with many groups 6,000."""

_WORDS_BYTES = 300
_TOKEN = re.compile(rf"[\x21-\x7e]{{1,{MOST_TOKEN_CHARACTERS}}}")
_ERROR = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_DEAD = {"invalid_grant", "interaction_required", "consent_required", "login_required"}
_PASSING = {"temporarily_unavailable", "server_error", "slow_down"}
_WAITING = "authorization_pending"
_LOCAL = {"127.0.0.1", "::1"}
_PUBLIC_FIELDS = {"grant_type", "client_id", "redirect_uri", "scope"}

Form = Mapping[str, str]
"""What is posted to a provider; most of it is secret."""


class Client(Struct, frozen=True, kw_only=True):
    """Who asks: an application registered with the provider."""

    client_id: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Client(client_id={self.client_id!r}, <secret>)"


class Answer(Struct, frozen=True, kw_only=True):
    """What a provider answered, whole: the HTTP status and the body.

    Attributes:
        peer: how the provider is called in errors.
        hidden: what was said to it and must not be quoted, should it say so back.
    """

    peer: str
    status: int
    body: bytes
    hidden: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Answer({self.peer}, {self.status}, <{len(self.body)} bytes>)"


class Grant(Struct, frozen=True, kw_only=True):
    """What a provider gave: the access itself, and the means to renew it.

    Attributes:
        expires_at: when the access token ends, in seconds since 1970.
        refresh_token: empty if the provider gave none.
    """

    access_token: str
    expires_at: float
    refresh_token: str

    def __repr__(self) -> str:
        return f"Grant(<secret>, expires_at={self.expires_at:.0f})"


class Refusal(Struct, frozen=True, kw_only=True):
    """An error of the provider's (RFC 6749 §5.2).

    Attributes:
        error: the word that programs look at.
        said: one line for a person.
    """

    error: str
    said: str

    @property
    def is_dead(self) -> bool:
        """Whether the grant itself is gone: only a person can bring another."""
        return self.error in _DEAD

    @property
    def is_passing(self) -> bool:
        """Whether the provider has judged nothing, and may do so later."""
        return self.error in _PASSING

    def __str__(self) -> str:
        return f"{self.error}: {self.said}" if self.said else self.error


class DeviceCode(Struct, frozen=True, kw_only=True):
    """A code for a person to type in, and for us to poll with (RFC 8628 §3.2).

    Attributes:
        user_code: shown to the person; harmless on a terminal.
        verification_uri: where to type it in.
        expires_at: in seconds since 1970.
    """

    device_code: str
    user_code: str
    verification_uri: str
    interval_seconds: float
    expires_at: float

    def __repr__(self) -> str:
        return f"DeviceCode(<secret>, expires_at={self.expires_at:.0f})"


# -- what is asked


def challenge(verifier: str) -> str:
    """The S256 challenge of a code verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorization_url(
    endpoint: str, client: Client, *, user: str, redirect_uri: str, state: str, verifier: str
) -> str:
    """Where the browser is sent (RFC 6749 §4.1.1).

    Google gives a refresh token only if asked for offline access, and a second
    one only with consent anew; others pass over what they do not know.
    """
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(client.scopes),
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        "login_hint": user,
        "access_type": "offline",
        "prompt": "consent",
    }
    joint = "&" if urlsplit(endpoint).query else "?"
    return f"{endpoint}{joint}{urlencode(query)}"


def exchange(client: Client, *, code: str, redirect_uri: str, verifier: str) -> Form:
    """The form that turns a code into a grant (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
    return _form(
        client,
        grant_type="authorization_code",
        code=code,
        redirect_uri=redirect_uri,
        code_verifier=verifier,
    )


def renewal(client: Client, refresh_token: str) -> Form:
    """The form that turns a refresh token into an access token (RFC 6749 §6)."""
    return _form(client, grant_type="refresh_token", refresh_token=refresh_token)


def device_request(client: Client) -> Form:
    """The form that asks for a code to type in (RFC 8628 §3.1)."""
    return {"client_id": client.client_id, "scope": " ".join(client.scopes)}


def device_poll(client: Client, device_code: str) -> Form:
    """The form that asks whether the code was typed in (RFC 8628 §3.4)."""
    return _form(client, grant_type=DEVICE_GRANT, device_code=device_code)


def hidden(form: Form) -> tuple[str, ...]:
    """The secrets in a form."""
    return tuple(value for key, value in form.items() if key not in _PUBLIC_FIELDS and value)


def _form(client: Client, **fields: str) -> Form:
    # In the body, where Google and Microsoft both want it (RFC 6749 §2.3.1).
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    return {**fields, "client_id": client.client_id, **secret}


# -- what comes back


class Misdirected(Exception):
    """A request at our port that is not the browser coming back; it changes nothing."""


def read_redirect(query: str, *, state: str) -> str | Refusal:
    """The code that the browser brought, or why there is none (RFC 6749 §4.1.2).

    Raises:
        Misdirected: it has not our state, or says everything twice.
    """
    fields = parse_qs(query, max_num_fields=32, keep_blank_values=True)
    single = {key: values[0] for key, values in fields.items() if len(values) == 1}
    found = single.get("state", "").encode("utf-8", "replace")
    if not hmac.compare_digest(found, state.encode("ascii")):
        raise Misdirected("another state than ours")
    if "error" in single:
        return _refusal(single)
    code = single.get("code", "")
    if not _TOKEN.fullmatch(code):
        raise Misdirected("no code")
    return code


def read_grant(answer: Answer, *, now: float, refresh_token: str = "") -> Grant | Refusal:
    """What a token endpoint answered (RFC 6749 §5).

    Args:
        refresh_token: the one that was used; it stays good if no other comes along.

    Raises:
        ProtocolViolated: it is neither a grant nor a refusal.
    """
    fields = _fields(answer)
    if isinstance(fields, Refusal):
        return fields
    access = fields.get("access_token")
    kind = fields.get("token_type", "bearer")
    fresh = fields.get("refresh_token") or refresh_token
    if not _is_token(access) or not (fresh == "" or _is_token(fresh)):
        raise _violated(answer, "no access token that could be one")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _violated(answer, "a token that is no bearer token")
    life = _seconds(fields.get("expires_in"), UNSAID_LIFE_SECONDS, LONGEST_LIFE_SECONDS)
    return Grant(access_token=str(access), expires_at=now + life, refresh_token=str(fresh))


def read_device_code(answer: Answer, *, now: float) -> DeviceCode | Refusal:
    """What a device endpoint answered (RFC 8628 §3.2).

    Raises:
        ProtocolViolated: it is neither a code nor a refusal.
    """
    fields = _fields(answer)
    if isinstance(fields, Refusal):
        return fields
    code = fields.get("device_code")
    shown = clean(str(fields.get("user_code") or ""), 64)
    # Google wrote verification_url before the RFC was one.
    place = fields.get("verification_uri") or fields.get("verification_url")
    if not _is_token(code) or not shown or not isinstance(place, str) or not _is_page(place):
        raise _violated(answer, "no code that a person could type in")
    pause = fields.get("interval")
    return DeviceCode(
        device_code=str(code),
        user_code=shown,
        verification_uri=place,
        interval_seconds=_seconds(pause, USUAL_INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS),
        expires_at=now + _seconds(fields.get("expires_in"), 900.0, 3600.0),
    )


def pause_after(refusal: Refusal, interval_seconds: float, *, account: str) -> float:
    """How long to wait before the next poll (RFC 8628 §3.5).

    Raises:
        LoginNeeded: there is nothing more to wait for.
    """
    if refusal.error == _WAITING:
        return interval_seconds
    if refusal.error == "slow_down":
        return min(interval_seconds + USUAL_INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS)
    if refusal.is_passing:
        return min(interval_seconds * 2, LONGEST_INTERVAL_SECONDS)
    raise LoginNeeded(account=account, reason=consent_missing(refusal))


def consent_missing(refusal: Refusal) -> str:
    """Why a person's consent has not led to a grant, in words."""
    words = {
        "access_denied": "the access was not allowed",
        "authorization_declined": "the access was not allowed",  # Microsoft's word for it
        "expired_token": "the code was not typed in in time",
    }
    return words.get(refusal.error, str(refusal))


def _fields(answer: Answer) -> Mapping[str, object] | Refusal:
    try:
        fields = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = None
    if answer.status == 429 or answer.status >= 500:
        return Refusal(error="temporarily_unavailable", said=f"HTTP status {answer.status}")
    if not isinstance(fields, dict):
        found = f"HTTP status {answer.status} and {len(answer.body)} bytes that are no JSON object"
        raise _violated(answer, found)
    if "error" in fields or answer.status != 200:
        return _refusal(fields, answer.hidden)
    return fields


def _refusal(fields: Mapping[str, object], secrets: tuple[str, ...] = ()) -> Refusal:
    found, said = fields.get("error"), fields.get("error_description")
    error = found if isinstance(found, str) and _ERROR.fullmatch(found) else "unknown_error"
    words = said if isinstance(said, str) else ""
    for secret in secrets:
        error, words = (each.replace(secret, "<secret>") for each in (error, words))
    return Refusal(error=error, said=clean(words, _WORDS_BYTES))


def _is_token(found: object) -> bool:
    return isinstance(found, str) and _TOKEN.fullmatch(found) is not None


def _is_page(url: str) -> bool:
    """A page that a person may be sent to."""
    if not _TOKEN.fullmatch(url) or len(url) > 1024:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or host in _LOCAL)


def _seconds(found: object, unsaid: float, most: float) -> float:
    """A duration, which some providers write as a text."""
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 12:
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
        return unsaid
    return float(min(found, most))


def _violated(answer: Answer, found: str) -> ProtocolViolated:
    expected = "an answer of OAuth2 (RFC 6749)"
    return ProtocolViolated(peer=answer.peer, found=found, expected=expected)
