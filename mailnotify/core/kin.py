"""Which entries may tell of the same message: a hash table of a few bytes for each.

All places of a message share a name: what its server calls it, or its Message-ID
(`mailnotify.core.twins`). Most names that come are new, and that is what has to be
known at once, of each message; an index in the file would cost a random page of it to
be read, written and synced for each. So the names, as numbers of 32 bits, are held in
memory, 16 bytes for each, and are read from the file when the journal is opened. Two
names may have one number: whoever finds an entry here compares the message itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

_SLOTS: Final = 1 << 17
"""Half a MiB. With a million names eight share a slot, and to pass over one takes 50 ns."""


class Kin:
    """Numbers of names, each with the seq of an entry; one may be there many times."""

    def __init__(self) -> None:
        self._names = array("I")
        self._seqs = array("Q")
        self._before = array("I")  # the one before in the same slot, counted from 1; 0 if none
        self._heads = array("I", bytes(4 * _SLOTS))

    def __contains__(self, name: int) -> bool:
        names, at = self._names, self._heads[name % _SLOTS]
        while at:
            if names[at - 1] == name:
                return True
            at = self._before[at - 1]
        return False

    def add(self, name: int, seq: int) -> None:
        """An entry tells of a message of this name; 0 is no name."""
        if not name:
            return
        slot = name % _SLOTS
        self._before.append(self._heads[slot])
        self._names.append(name)
        self._seqs.append(seq)
        self._heads[slot] = len(self._names)

    def enter(self, names: Sequence[int], first_seq: int) -> bool:
        """Add names of consecutive entries if none was met before; whether it was so."""
        heads = self._heads
        for seq, name in enumerate(names, first_seq):
            slot = name % _SLOTS
            if heads[slot] and name in self:
                self.cut(first_seq)
                return False
            self._before.append(heads[slot])
            self._names.append(name)
            self._seqs.append(seq)
            heads[slot] = len(self._names)
        return True

    def find(self, name: int) -> list[int]:
        """The seqs of all that were added with a name, the newest first."""
        found, at = [], self._heads[name % _SLOTS]
        while at:
            if self._names[at - 1] == name:
                found.append(self._seqs[at - 1])
            at = self._before[at - 1]
        return found

    def cut(self, seq: int) -> None:
        """Take back what was added last of entries from this one on."""
        while self._seqs and self._seqs[-1] >= seq:
            self._seqs.pop()
            self._heads[self._names.pop() % _SLOTS] = self._before.pop()
