"""AUTH: from a private channel to an account that may send.

The same mechanisms as for IMAP (`auth.sasl`), in the lines of RFC 4954. Our first
words go with the command, so that PLAIN and OAuth2 cost one round trip. RFC 4954
§4 and RFC 2920 allow no more: neither EHLO nor AUTH may have a command behind it
in one write.

A refused login is one attempt; only a mechanism that the server offers and then
does not know (504), or cannot bind to the channel, is followed by the next one.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from mailnotify.auth.binding import binding_of
from mailnotify.auth.sasl import Credentials, Exchange, Token, choose, is_unfit
from mailnotify.auth.verdict import judge
from mailnotify.errors import ChannelInsecure, LoginDeferred, LoginDenied
from mailnotify.smtp.dialogue import Dialogue
from mailnotify.smtp.wire import Reply

_SUCCESS = 235
_CHALLENGE = 334
_UNKNOWN_MECHANISM = 504

#: RFC 4954 §6: "authentication credentials invalid". Postfix says it with the words
#: "reason unavailable", which alone would sound as if it could not judge.
_INVALID = "5.7.8"


async def log_in(line: Dialogue, credentials: Credentials, offered: Sequence[str]) -> None:
    """Prove who we are, by the best way that the server offers.

    Raises:
        ChannelInsecure: there is no TLS yet.
        LoginDenied: the server refused us, or offers no way that we know.
        LoginDeferred: it cannot judge now.
        PeerError: the connection is of no more use.
    """
    if not line.is_private:
        raise ChannelInsecure(peer=line.peer, reason="there is no TLS to log in through")
    secret = credentials.secret.encode()
    line.conceal(secret)
    line.conceal(base64.b64encode(secret))
    binding = binding_of(line.transport)
    for mechanism in choose(offered, credentials, peer=line.peer, binding=binding):
        exchange = Exchange(mechanism, opens=True)
        reply = await _authenticate(line, exchange)
        if reply.code == _SUCCESS:
            return
        if reply.code != _UNKNOWN_MECHANISM and not is_unfit(mechanism):
            complaint = exchange.scrub(mechanism.complaint)
            raise _denied(line.peer, credentials, reply, complaint)
    said = "it offers no way to log in that we know"
    raise LoginDenied(peer=line.peer, user=credentials.user, said=said)


async def _authenticate(line: Dialogue, exchange: Exchange) -> Reply:
    """Carry one SASL dialogue (RFC 4954 §4) to its final reply."""
    command = f"AUTH {exchange.mechanism.name}".encode()
    opening = exchange.opening()
    if opening is not None:
        line.conceal(opening)
        command += b" " + opening
    reply = await line.ask(command, "AUTH")
    while reply.code == _CHALLENGE:
        answer = exchange.answer(reply.lines[0])
        line.conceal(answer)
        reply = await line.ask(answer, "AUTH")
    if reply.code == _SUCCESS:
        exchange.mechanism.finished()
    return reply


def _denied(
    peer: str, credentials: Credentials, reply: Reply, complaint: str
) -> LoginDenied | LoginDeferred:
    """Tell a wrong secret from a server that cannot tell (454, RFC 4954 §6)."""
    words = complaint.replace(credentials.secret, "<secret>")
    said = f"{reply} {words}".strip()
    has_token = isinstance(credentials, Token)
    code = "AUTHENTICATIONFAILED" if reply.enhanced == _INVALID else ""
    verdict = judge(said, code=code, is_temporary=reply.is_temporary, has_token=has_token)
    kind = LoginDeferred if verdict.cause.is_passing else LoginDenied
    return kind(peer=peer, user=credentials.user, said=said, advice=verdict.advice)
