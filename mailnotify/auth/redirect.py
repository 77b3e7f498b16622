"""The page on loopback to which a browser comes back with a code (RFC 8252 §7.3).

It answers one request: a GET of ``/`` with our state, under our own name. All
others get an error page and change nothing, so that another page in the same
browser can neither bring a code of its own nor end the waiting. The pages load
nothing, run nothing and are kept nowhere.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from mailnotify.auth.oauth import Misdirected, Refusal, read_redirect

IDLE_SECONDS: Final = 10
"""A browser asks at once; a connection that does not is closed."""

_HEADERS: Final = {
    b"content-type": b"text/html; charset=utf-8",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"connection": b"close",
}

_PAGE: Final = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>mailnotify</title><p>{}</p></html>'
)


class Redirect(Resource):
    """Waits for the browser.

    Args:
        state: what the right request bears.

    Attributes:
        host: under which name the port is called, as in ``127.0.0.1:4711``.
        arrived: fires once, with the code or with the provider's refusal.
    """

    isLeaf = True

    def __init__(self, state: str) -> None:
        super().__init__()
        self.host = ""
        self.arrived: Deferred[str | Refusal] = Deferred()
        self._state = state
        self._found: str | Refusal | None = None

    def tell(self) -> None:
        """A page was delivered: if it was the one, the waiting is over.

        Not before, since the process may end at once, and the page with it.
        """
        if self._found is not None and not self.arrived.called:
            self.arrived.callback(self._found)

    def render(self, request: Request) -> bytes:
        """Answer whatever was asked; never fails."""
        code, words = self._judge(request)
        channel = request.channel
        request.notifyFinish().addBoth(lambda _: channel.loseConnection())
        request.setResponseCode(code)
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        return _PAGE.format(words).encode("utf-8")

    def _judge(self, request: Request) -> tuple[int, str]:
        path, _, query = request.uri.partition(b"?")
        if request.getHeader(b"host") != self.host.encode("ascii"):
            return 421, "This is not the page that you are looking for."
        if path != b"/":
            return 404, "There is nothing here."
        if request.method != b"GET":
            return 405, "There is nothing to do here."
        if self._found is not None:
            return 410, "This page has done its work. You can close it."
        try:
            found = read_redirect(query.decode("ascii", "replace"), state=self._state)
        except (Misdirected, ValueError):
            return 400, "This does not come from the login that is under way."
        self._found = found
        if isinstance(found, Refusal):
            return 200, "The access was not allowed. You can close this page."
        return 200, "mailnotify has what it needs. You can close this page; the terminal says more."


class _Channel(HTTPChannel):
    """One connection of a browser."""

    site: Site

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.site.resource.tell()


class QuietSite(Site):
    """Serves the page and writes no log: the line of the request holds the code."""

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # no HTTP/2 here

    def __init__(self, redirect: Redirect) -> None:
        super().__init__(redirect, timeout=IDLE_SECONDS)

    def log(self, request: HTTPRequest) -> None:
        """Say nothing."""
