"""A mailbox in memory, as Twisted's IMAP server wants it.

Enough of `IMailbox` and `IMessage` for a client that watches: messages come
in, get the next UID, and every connection that has the mailbox selected is
told. Nothing is ever changed or removed, so those methods refuse.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from email.parser import BytesHeaderParser
from email.utils import formatdate
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.mail.imap4 import MessageSet, ReadOnlyMailbox, statusRequestHelper
from twisted.mail.interfaces import (
    IMailboxIMAP,
    IMailboxIMAPListener,
    IMessageIMAP,
    IMessageIMAPPart,
)
from zope.interface import implementer


@implementer(IMessageIMAP, IMessageIMAPPart)
class StoredMessage:
    """One message: its bytes, its UID, and when it came."""

    def __init__(self, uid: int, content: bytes, received: float) -> None:
        self._uid = uid
        self._content = content
        self._received = received
        head, _, self._body = content.partition(b"\r\n\r\n")
        self._headers = BytesHeaderParser().parsebytes(head + b"\r\n\r\n")

    def getUID(self) -> int:
        return self._uid

    def getFlags(self) -> list[str]:
        return []

    def getInternalDate(self) -> str:
        return formatdate(self._received)

    def getSize(self) -> int:
        return len(self._content)

    def getHeaders(self, negate: bool, *names: str) -> dict[str, str]:
        wanted = {_native(name).lower() for name in names}
        return {
            name.lower(): str(value)
            for name, value in self._headers.raw_items()
            if (name.lower() in wanted) != negate
        }

    def getBodyFile(self) -> io.BytesIO:
        return io.BytesIO(self._body)

    def isMultipart(self) -> bool:
        return False

    def getSubPart(self, part: int) -> Any:
        raise TypeError("the demo shows a message as one part")


@implementer(IMailboxIMAP)
class MemoryMailbox:
    """An INBOX that lives as long as the process."""

    def __init__(self) -> None:
        self._messages: list[StoredMessage] = []
        self._listeners: list[IMailboxIMAPListener] = []
        self._uidvalidity = int(time.time())

    def deliver(self, content: bytes) -> None:
        """Add a message and tell everybody who has the mailbox selected."""
        message = StoredMessage(self.getUIDNext(), content, time.time())
        self._messages.append(message)
        for listener in list(self._listeners):
            listener.newMessages(len(self._messages), None)

    def getUIDValidity(self) -> int:
        return self._uidvalidity

    def getUIDNext(self) -> int:
        return len(self._messages) + 1

    def getUID(self, message: int) -> int:
        return message

    def getMessageCount(self) -> int:
        return len(self._messages)

    def getRecentCount(self) -> int:
        return 0

    def getUnseenCount(self) -> int:
        return len(self._messages)

    def getFlags(self) -> list[str]:
        return ["\\Seen", "\\Deleted"]

    def getHierarchicalDelimiter(self) -> str:
        return "/"

    def isWriteable(self) -> bool:
        return False

    def requestStatus(self, names: Iterable[str]) -> Deferred[dict[str, int]]:
        return succeed(statusRequestHelper(self, names))

    def addListener(self, listener: IMailboxIMAPListener) -> None:
        self._listeners.append(listener)

    def removeListener(self, listener: IMailboxIMAPListener) -> None:
        self._listeners.remove(listener)

    def fetch(self, messages: MessageSet, uid: bool) -> list[tuple[int, StoredMessage]]:
        """UIDs and sequence numbers are the same here: nothing is ever removed."""
        messages.last = len(self._messages)
        wanted = set(messages)
        return [(each.getUID(), each) for each in self._messages if each.getUID() in wanted]

    def addMessage(self, *_: object) -> None:
        raise ReadOnlyMailbox

    def expunge(self) -> None:
        raise ReadOnlyMailbox

    def store(self, *_: object) -> None:
        raise ReadOnlyMailbox

    def destroy(self) -> None:
        raise ReadOnlyMailbox


def _native(name: str | bytes) -> str:
    return name.decode("ascii") if isinstance(name, bytes) else name
