"""Ties a bounce in a watched mailbox to the letter that it is about.

The seam between watching and sending: whoever sees new mail calls `on_mail` with
a way to fetch its bytes. A failure that is news goes into the store, from where
the outbox tells it as ``sent-failed``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from twisted.logger import Logger

from mailnotify.outbox.bounce import Bounce, recognise
from mailnotify.outbox.letter import Filed
from mailnotify.outbox.store import SqliteOutbox

FetchBody = Callable[[], Awaitable[bytes]]
"""Fetches a message, header and body, by PEEK; `bounce.MOST_BYTES` of it are enough."""


class Returned:
    """Looks at new mail for letters of ours that came back.

    Args:
        now: the time in UTC.
        when_news: called when the outbox has something to tell.
    """

    _log = Logger()

    def __init__(
        self,
        store: SqliteOutbox,
        *,
        now: Callable[[], datetime],
        when_news: Callable[[], object],
    ) -> None:
        self._store = store
        self._now = now
        self._when_news = when_news

    async def on_mail(self, at: datetime, fetch_body: FetchBody) -> bool:
        """Look at one message; return whether it brought back a letter of ours.

        Args:
            at: when the message was journalled.

        Raises:
            MailnotifyError: as `fetch_body` does, or for the outbox; look at it again later.
        """
        bounce = recognise(await fetch_body())
        return bounce is not None and self._note(bounce, at)

    def _note(self, bounce: Bounce, at: datetime) -> bool:
        letter = self._letter(bounce)
        if letter is None or (letter.finished_at is not None and at < letter.finished_at):
            return False  # of an earlier sending: it was sent again since
        if not self._store.bounced(letter.number, bounce.results, self._now()):
            return False
        self._log.warn("letter {number} came back", number=letter.number)
        self._when_news()
        return True

    def _letter(self, bounce: Bounce) -> Filed | None:
        """By its Message-ID, which the envelope id repeats where the server took one.

        Numbers of letters would be easier, and easier to guess for who forges bounces.
        """
        for message_id in (f"<{bounce.envelope_id}>", bounce.message_id):
            letter = self._store.named(message_id)
            if letter is not None:
                return letter
        return None
