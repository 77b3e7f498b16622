"""What lay in a mailbox at first sight: looked at once, to know it when it is moved.

It was never announced, so nothing is known of it; moved into another watched mailbox
it would look like news. The newest are what people still move. Only accounts with
several mailboxes look back, each mailbox once: when it is opened anyway, or a few with
each poll (`mailnotify.watching.agenda`).
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailnotify.errors import CommandRefused
from mailnotify.imap.session import BATCH
from mailnotify.interfaces import IMailSession
from mailnotify.watching.place import Place
from mailnotify.watching.turns import in_turns

_log = Logger()


async def look_back(session: IMailSession, place: Place, clock: IReactorTime) -> None:
    """Have the journal know the newest messages of the mailbox that is open, if it does not.

    Raises:
        JournalUnwritable: they could not be stored.
    """
    if not place.lacks_past:
        return
    uids = range(max(place.next_uid - BATCH, 1), place.next_uid)
    try:
        fetched = await session.fetch_only(uids)
    except CommandRefused as error:
        _log.info("{place}: {why}", place=place, why=error.explain())
    else:
        place.keep_past(await in_turns(place.events(fetched), clock))
