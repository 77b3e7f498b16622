"""What a server has hinted at, kept until somebody listens.

A hint is a mailbox, and its STATUS if that was the hint. The last one of a mailbox
counts; one that speaks of flags alone never takes the place of one that may be mail.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from mailnotify.core.sync import MailboxStatus

Changed = Callable[[str, MailboxStatus | None], None]
"""Takes a hint: the mailbox, and its STATUS if that was the hint."""


class Hints:
    """Of one connection. Call `listen` once; from then on each is passed on at once."""

    __slots__ = ("_changed", "_kept")

    _log = Logger()

    def __init__(self) -> None:
        self._changed: Changed | None = None
        self._kept: dict[str, MailboxStatus | None] = {}

    def hint(self, mailbox: str, status: MailboxStatus | None) -> None:
        """There may be something new, or something else has changed."""
        if self._changed is None:
            if status is None or not status.is_of_flags or mailbox not in self._kept:
                self._kept[mailbox] = status
            return
        try:
            self._changed(mailbox, status)
        except Exception:
            self._log.failure("a hint at new mail was not taken")

    def forget(self, mailbox: str) -> None:
        """What was hinted at of this one is being looked at."""
        self._kept.pop(mailbox, None)

    def listen(self, changed: Changed) -> None:
        """Pass on what was kept, and what comes."""
        self._changed = changed
        kept, self._kept = self._kept, {}
        for mailbox, status in kept.items():
            self.hint(mailbox, status)
