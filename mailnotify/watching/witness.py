"""Who hears what becomes of a watcher."""

from __future__ import annotations


class Witness:
    """Takes what a watcher says of its mailbox. This one forgets it; a `Lookout`'s does not."""

    __slots__ = ()

    def proved(self) -> None:
        """The server showed that it would have told us of new mail."""

    def failed(self, error: BaseException) -> None:
        """The server cannot tell us now, and this is why."""

    def checked(self) -> None:
        """What the server hinted at was compared with its STATUS."""

    def missed(self, count: int) -> int:
        """So many messages came without a hint; returns how many that makes in all."""
        return count

    def end(self) -> None:
        """The mailbox is gone, and nobody watches it any more."""
