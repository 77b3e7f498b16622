"""What a test does to a mailbox as another client would, whatever the server."""

from __future__ import annotations

import contextlib
import imaplib
import ssl
from collections.abc import Iterator
from pathlib import Path


class ImapAccess:
    """Sessions of the standard library's client; each user's password is its name.

    Attributes:
        ca_file: whom to trust.
        imaps_port: where the server is.
    """

    ca_file: Path
    imaps_port: int

    @contextlib.contextmanager
    def session(self, user: str) -> Iterator[imaplib.IMAP4_SSL]:
        """A session that is logged in."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        imap = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=context)
        try:
            imap.login(user, user)
            yield imap
        finally:
            imap.logout()

    def append(self, user: str, mailbox: str, *letters: bytes) -> None:
        """APPEND letters; 8-bit bytes stay as they are."""
        with self.session(user) as imap:
            for letter in letters:
                status, said = imap.append(mailbox, "", None, letter)  # type: ignore[arg-type]
                assert status == "OK", said

    def create(self, user: str, *mailboxes: str) -> None:
        """CREATE mailboxes."""
        with self.session(user) as imap:
            for each in mailboxes:
                status, said = imap.create(each)
                assert status == "OK", said

    def remove(self, user: str, *uids: int) -> None:
        """Delete and expunge messages of INBOX."""
        with self.session(user) as imap:
            imap.select("INBOX")
            for uid in uids:
                imap.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")
            imap.expunge()

    def flags(self, user: str, mailbox: str = "INBOX") -> list[bytes]:
        """The UID and flags of every message, read without changing any."""
        with self.session(user) as imap:
            imap.select(mailbox, readonly=True)
            _, data = imap.fetch("1:*", "(UID FLAGS)")
            return [line for line in data if isinstance(line, bytes)]
