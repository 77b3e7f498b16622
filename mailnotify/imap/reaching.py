"""The way to a server: a channel that is private, and its greeting.

In implicit TLS the handshake comes before the greeting, with STARTTLS behind it; in
neither is anything said before the server has proved who it is.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from mailnotify.config.schema import Account, Security
from mailnotify.errors import ChannelInsecure
from mailnotify.imap.client import MailboxClient
from mailnotify.imap.keepalive import keep_alive
from mailnotify.imap.login import know_capabilities
from mailnotify.imap.responses import Status
from mailnotify.interfaces import IConnector
from mailnotify.loss import explain


async def reach(
    account: Account, connector: IConnector, build: Callable[[], MailboxClient]
) -> MailboxClient:
    """TCP, TLS and the greeting, in the order that the server's URL demands.

    Args:
        build: makes the client, as soon as there is a connection.

    Raises:
        PeerError: there is no private channel; what stands is for the caller to cut.
    """
    server = account.server
    endpoint = connector.endpoint(server, account.trust)
    factory = Factory.forProtocol(build)
    factory.noisy = False
    try:
        client = await endpoint.connect(factory)
    except CancelledError:
        raise
    except Exception as error:
        raise explain(Failure(error), str(server), is_secure=False) from error
    assert isinstance(client, MailboxClient)
    factory.protocol = None  # it is kept as long as the connection, and builds no more
    keep_alive(client.transport, account.timing.silent_peer_seconds)
    if server.security is Security.IMPLICIT_TLS:
        await client.secured.wait()
        await client.greeted.wait()
        return client
    status = await client.greeted.wait()
    if status is Status.PREAUTH:
        reason = "it takes us for logged in before TLS"
        raise ChannelInsecure(peer=client.peer, reason=reason)
    if "STARTTLS" not in await know_capabilities(client):
        raise ChannelInsecure(peer=client.peer, reason="it does not offer STARTTLS")
    await client.secure(connector.tls_options(server, account.trust))
    return client
