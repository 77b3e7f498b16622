"""From a private channel to an open account: capabilities, login, who we are.

Nothing here is said before a verified TLS handshake. A server's capabilities
change at TLS and at login, so they are forgotten there and taken again from
wherever the server volunteers them (greeting, untagged, the OK), or asked for.

One refused login is one attempt: only an AUTHENTICATE by which nobody was judged
(answered BAD, or refused for its channel binding) is followed by another way. Whether a refusal
means "wrong" or "not now" is for `mailnotify.auth.verdict` to say. RFC 9051
§6.2, RFC 4959 (SASL-IR), RFC 2971 (ID).
"""

from __future__ import annotations

from collections.abc import Iterator

import mailnotify
from mailnotify.auth.binding import binding_of
from mailnotify.auth.sasl import Credentials, Exchange, Mechanism, Token, choose, is_unfit
from mailnotify.auth.verdict import judge, sounds_passing
from mailnotify.errors import ChannelInsecure, CommandRefused, LoginDeferred, LoginDenied
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.commands import Command
from mailnotify.imap.mailbox_names import is_quotable, literal, quoted
from mailnotify.imap.responses import Id, Response, Status, Tagged


async def know_capabilities(client: MailboxClient) -> frozenset[str]:
    """What the server can do now, asked for only if it has not said so already."""
    if client.capabilities is None:
        answer = await client.run(Command("CAPABILITY"))
        if answer.status is not Status.OK or client.capabilities is None:
            raise _refused(client, "CAPABILITY", answer)
    return client.capabilities


async def log_in(client: MailboxClient, credentials: Credentials) -> None:
    """Prove who we are, by the best way that the server offers.

    Raises:
        ChannelInsecure: there is no TLS yet.
        LoginDenied: the server refused us, or offers no way that we know.
        LoginDeferred: the server cannot or will not say now.
        CommandRefused: the server understood nothing.
    """
    if not client.is_secure:
        raise ChannelInsecure(peer=client.peer, reason="a login would be readable by anyone")
    offered = await know_capabilities(client)
    client.capabilities = None
    answer: Tagged | None = None
    names = [name[5:] for name in offered if name.startswith("AUTH=")]
    binding = binding_of(client.transport)
    for mechanism in choose(names, credentials, peer=client.peer, binding=binding):
        answer = await authenticate(client, mechanism, opens="SASL-IR" in offered)
        is_judged = answer.status is not Status.BAD or sounds_passing(answer.text)
        if is_judged and not is_unfit(mechanism):
            break
    else:
        if "LOGINDISABLED" not in offered and not isinstance(credentials, Token):
            answer = await _login(client, credentials)
    _judge(client, credentials, answer)


async def authenticate(client: MailboxClient, mechanism: Mechanism, *, opens: bool) -> Tagged:
    """AUTHENTICATE (RFC 9051 §6.2.2), each answer on one line however long it is.

    Args:
        opens: whether the server takes our first words in the command (SASL-IR).

    Returns:
        The server's answer, with the words of a refused token and without ours.

    Raises:
        ProtocolViolated: the server says yes without the proof that it owes.
    """
    exchange = Exchange(mechanism, opens=opens)
    opening = exchange.opening()
    words = mechanism.name.encode("ascii") + (b"" if opening is None else b" " + opening)
    reply = exchange.answer
    command = Command("AUTHENTICATE", words, reply=lambda text: reply(text.encode("utf-8")))
    answer = await client.run(command)
    if answer.status is Status.OK:
        mechanism.finished()
    said = exchange.scrub(f"{answer.text} {mechanism.complaint}".strip())
    return _with_text(answer, said)


async def _login(client: MailboxClient, credentials: Credentials) -> Tagged:
    """LOGIN (RFC 9051 §6.2.3), for servers without any AUTHENTICATE that we know."""
    line, *rest = _login_lines(credentials.user.encode(), credentials.secret.encode())
    lines: Iterator[bytes] = iter(rest)
    return await client.run(Command("LOGIN", line, reply=lambda _: next(lines, None)))


def _login_lines(user: bytes, secret: bytes) -> list[bytes]:
    """Name and secret, quoted where that can be; each literal begins a line of its own."""
    lines = [b""]
    for word in (user, secret):
        lines[-1] += b" " if lines[-1] else b""
        if is_quotable(word):
            lines[-1] += quoted(word)
        else:
            announcement, line = literal(word)
            lines[-1] += announcement
            lines.append(line)
    return lines


def _judge(client: MailboxClient, credentials: Credentials, answer: Tagged | None) -> None:
    if answer is None:
        said = "it offers no way to log in that we know"
        raise LoginDenied(peer=client.peer, user=credentials.user, said=said)
    if answer.status is Status.OK:
        return
    answer = _with_text(answer, answer.text.replace(credentials.secret, "<secret>"))
    if answer.status is Status.BAD and not sounds_passing(answer.text):
        raise _refused(client, "the login", answer)
    verdict = judge(
        answer.text,
        code=answer.code.name if answer.code else "",
        has_token=isinstance(credentials, Token),
    )
    said = answer.text or "no reason given"
    if verdict.cause.is_passing:
        raise LoginDeferred(
            peer=client.peer,
            user=credentials.user,
            said=said,
            advice=verdict.advice,
            retry_seconds=verdict.wait_seconds,
        )
    advice = verdict.advice
    raise LoginDenied(peer=client.peer, user=credentials.user, said=said, advice=advice)


async def introduce(client: MailboxClient) -> str:
    """Say who we are if the server wants to know: 163.com lets nobody in without.

    Returns:
        What the server calls itself; empty if it does not say.
    """
    told: list[str] = []

    def collect(response: Response) -> None:
        if isinstance(response, Id):
            told.append(response.fields.get("name") or "")

    if "ID" in await know_capabilities(client):
        fields = ("name", "mailnotify", "version", mailnotify.__version__)
        words = b" ".join(quoted(field.encode("ascii")) for field in fields)
        await client.run(Command("ID", b"(" + words + b")", collect=collect))
    return next(iter(told), "")


def _refused(client: MailboxClient, command: str, answer: Tagged) -> CommandRefused:
    status, said = answer.status.name, answer.text
    return CommandRefused(peer=client.peer, command=command, status=status, said=said)


def _with_text(answer: Tagged, text: str) -> Tagged:
    return Tagged(tag=answer.tag, status=answer.status, code=answer.code, text=text)
