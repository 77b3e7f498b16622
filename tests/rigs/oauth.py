"""An OAuth2 provider on loopback, of either kind, that does as it is told.

It checks what real providers check (state is the client's business, the
redirect URI, PKCE, one use of each code, the last refresh token alone) and
misbehaves by `answers`, one for each coming request at a path.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from mailnotify.auth.oauth import challenge

Handler = Callable[[Request], Any]


class OAuthServer(Resource):
    """A provider; `url` is where it listens after `start`.

    Attributes:
        access_token: what it gives out, whoever asks.
        life_seconds: `expires_in`.
        rotates: whether each renewal gives a new refresh token, and ends the old one.
        interval_seconds: how often we may poll for a typed code.
        pending: how often the person has not typed the code in yet.
        consent: what the person answers: True, or the word of a refusal.
        answers: handlers for the next requests at a path, before the usual one.
        forms: what was posted, by path.
    """

    isLeaf = True

    def __init__(self, access_token: str = "at") -> None:
        super().__init__()
        self.access_token = access_token
        self.life_seconds: Any = 3600
        self.rotates = False
        self.interval_seconds = 5.0
        self.pending = 0
        self.consent: bool | str = True
        self.refresh_token = "rt-0"
        self.answers: dict[str, list[Handler]] = defaultdict(list)
        self.forms: dict[str, list[dict[str, str]]] = defaultdict(list)
        self._codes: dict[str, dict[str, str]] = {}
        self._port: IListeningPort | None = None
        self.url = ""

    def start(self) -> OAuthServer:
        """Listen on a free port of loopback."""
        any_reactor: Any = reactor
        self._port = any_reactor.listenTCP(0, _Quiet(self), interface="127.0.0.1")
        address: Any = self._port.getHost()
        self.url = f"http://127.0.0.1:{address.port}"
        return self

    def stop(self) -> Any:
        """Listen no longer."""
        return self._port.stopListening() if self._port else None

    def table(self, provider: str, client_id: str = "client") -> str:
        """The lines of [accounts.NAME.oauth] that lead here."""
        return (
            f'provider = "{provider}"\nclient_id = "{client_id}"\nstore = "file"\n'
            f'authorization_endpoint = "{self.url}/authorize"\n'
            f'token_endpoint = "{self.url}/token"\ndevice_endpoint = "{self.url}/device"\n'
        )

    def render(self, request: Request) -> Any:
        path = request.path.decode()
        form = dict(parse_qsl(request.content.read().decode())) if request.content else {}
        if request.method == b"POST":
            self.forms[path].append(form)
        if self.answers[path]:
            return self.answers[path].pop(0)(request)
        handler = getattr(self, f"_{path.strip('/')}")
        return handler(request, form)

    def _authorize(self, request: Request, form: dict[str, str]) -> bytes:
        query = {
            key: each[0] for key, each in parse_qs(request.uri.decode().partition("?")[2]).items()
        }
        reply = {"state": query["state"]}
        if self.consent is True:
            code = f"code-{len(self._codes)}"
            self._codes[code] = query
            reply["code"] = code
        else:
            reply["error"] = str(self.consent)
        request.setResponseCode(302)
        request.setHeader("location", f"{query['redirect_uri']}?{urlencode(reply)}")
        return b""

    def _device(self, request: Request, form: dict[str, str]) -> bytes:
        return say(
            request,
            device_code="dc",
            user_code="ABCD-EFGH",
            verification_uri=f"{self.url}/enter",
            expires_in=600,
            interval=self.interval_seconds,
        )

    def _token(self, request: Request, form: dict[str, str]) -> bytes:
        kind = form["grant_type"]
        if kind == "authorization_code":
            query = self._codes.pop(form["code"], None)
            is_good = query is not None and (
                query["redirect_uri"] == form["redirect_uri"]
                and query["code_challenge"] == challenge(form["code_verifier"])
            )
            return self._grant(request) if is_good else refuse(request, "invalid_grant")
        if kind == "refresh_token":
            if form["refresh_token"] != self.refresh_token:
                return refuse(request, "invalid_grant", "Token has been expired or revoked.")
            return self._grant(request)
        self.pending -= 1
        if self.pending >= 0:
            return refuse(request, "authorization_pending")
        return self._grant(request) if self.consent is True else refuse(request, str(self.consent))

    def _grant(self, request: Request) -> bytes:
        if self.rotates:
            number = int(self.refresh_token.rpartition("-")[2]) + 1
            self.refresh_token = f"rt-{number}"
        return say(
            request,
            access_token=self.access_token,
            token_type="Bearer",
            expires_in=self.life_seconds,
            refresh_token=self.refresh_token,
        )


class _Quiet(Site):
    noisy = False

    def log(self, request: Any) -> None:
        """Say nothing."""


def say(request: Request, status: int = 200, **fields: Any) -> bytes:
    """An answer in JSON."""
    request.setResponseCode(status)
    request.setHeader("content-type", "application/json")
    return json.dumps(fields).encode()


def refuse(request: Request, error: str, description: str = "") -> bytes:
    """An error as RFC 6749 §5.2 has it."""
    return say(request, 400, error=error, error_description=description)


def refusing(error: str, description: str = "") -> Handler:
    """Refuse the next request."""
    return lambda request: refuse(request, error, description)


def saying(body: bytes, status: int = 200) -> Handler:
    """Answer the next request with this."""

    def handler(request: Request) -> bytes:
        request.setResponseCode(status)
        return body

    return handler


def stall(request: Request) -> int:
    """Never answer."""
    return NOT_DONE_YET


def dribble(request: Request) -> int:
    """Begin to answer, and never come to an end."""
    request.write(b'{"access_token": "')
    return NOT_DONE_YET


def flood(size_bytes: int) -> Handler:
    """Answer with so much, as fast as it is taken."""

    def handler(request: Request) -> int:
        request.setHeader("content-length", str(size_bytes))
        request.write(b" " * size_bytes)
        return NOT_DONE_YET

    return handler


def redirect(place: str) -> Handler:
    """Send the client, and what it says, elsewhere."""

    def handler(request: Request) -> bytes:
        request.setResponseCode(307)
        request.setHeader("location", place)
        return b""

    return handler


def hang_up(request: Request) -> int:
    """Close the connection."""
    request.loseConnection()
    return NOT_DONE_YET
