"""Which entries have a name in common."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.kin import Kin

# Some that are equal, and some that share a slot.
names = st.integers(1, 4) | st.integers(1, 4).map(lambda n: n << 20) | st.integers(1, 2**32 - 1)


class KinTests(SynchronousTestCase):
    """A table of names."""

    @given(st.lists(names), st.integers(0, 50))
    def test_all_that_was_added_is_found(self, added: list[int], cut: int) -> None:
        """Nothing else is, whatever shares a slot; and what is taken back is gone."""
        kin = Kin()
        for seq, name in enumerate(added, 1):
            kin.add(name, seq)
        kin.cut(cut + 1)
        kept = dict(enumerate(added[:cut], 1))
        for name in {*added, 5, 6 << 20}:
            seqs = [seq for seq in reversed(kept) if kept[seq] == name]
            self.assertEqual(kin.find(name), seqs)
            self.assertEqual(name in kin, bool(seqs))

    @given(st.lists(names), st.lists(names))
    def test_new_names_are_entered_together(self, known: list[int], coming: list[int]) -> None:
        """All of them if each is new, and none if one is not, or is there twice."""
        kin = Kin()
        for seq, name in enumerate(known, 1):
            kin.add(name, seq)
        are_new = len({*coming}) == len(coming) and known_not(known, coming)
        self.assertEqual(kin.enter(coming, 1000), are_new)
        for seq, name in enumerate(coming, 1000):
            self.assertEqual(seq in kin.find(name), are_new)
        for name in known:
            self.assertEqual(
                [seq for seq in kin.find(name) if seq < 1000][::-1],
                [seq for seq, each in enumerate(known, 1) if each == name],
            )

    def test_no_name(self) -> None:
        """Two messages without a name have nothing in common."""
        kin = Kin()
        kin.add(0, 1)
        self.assertEqual(kin.find(0), [])


def known_not(known: list[int], coming: list[int]) -> bool:
    return not {*known} & {*coming}
