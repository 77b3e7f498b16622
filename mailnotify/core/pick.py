"""Which entries a person wants to see: by sender, and by words.

A choice of the reader's own, made where he reads: the server sends all that was
subscribed to, and the position moves over what is left out.
"""

from __future__ import annotations

from msgspec import Struct

from mailnotify.core.events import Event, NewMail


class Pick(Struct, frozen=True, kw_only=True):
    """What to show; everything if nothing is given.

    Attributes:
        senders: parts of a sender's name or address; one of them has to be there.
        words: parts of the subject or the preview; one of them has to be there.
    """

    senders: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def wants(self, event: Event) -> bool:
        """Whether to show it. What is no message has neither sender nor words."""
        if not self.senders and not self.words:
            return True
        if not isinstance(event, NewMail):
            return False
        senders = "\n".join(f"{each.name} <{each.address}>" for each in event.sender)
        return _has(senders, self.senders) and _has(f"{event.subject}\n{event.preview}", self.words)


def _has(text: str, parts: tuple[str, ...]) -> bool:
    """Whether one of the parts is in it, in capitals or not."""
    folded = text.casefold()
    return not parts or any(part.casefold() in folded for part in parts)
