"""How an account's mailboxes are shared out among connections."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.watching.planning import Group, arrange, share_out

IDLE = frozenset({"IDLE"})
NOTIFY = frozenset({"IDLE", "NOTIFY"})


class ShareOutTests(SynchronousTestCase):
    """By what the server can do, and how many connections it takes."""

    def test_notify_needs_one_connection(self) -> None:
        """A server that tells of all mailboxes is connected to once, whatever the budget."""
        groups = share_out(NOTIFY, ["INBOX", "Work", "Lists"], 3)
        self.assertEqual(groups, (Group(mailboxes=("INBOX", "Work", "Lists"), is_notified=True),))

    def test_notify_without_idle_is_not_trusted(self) -> None:
        """Without IDLE such a server was late: it is polled."""
        (group,) = share_out({"NOTIFY"}, ["INBOX"], 3)
        self.assertFalse(group.is_notified)

    def test_idle_gives_each_mailbox_a_connection(self) -> None:
        """Within the budget."""
        groups = share_out(IDLE, ["INBOX", "Work", "Lists"], 3)
        self.assertEqual([each.mailboxes for each in groups], [("INBOX",), ("Work",), ("Lists",)])

    def test_what_is_over_the_budget_is_swept_on_the_last(self) -> None:
        """None is left out, and the first ones are told of at once."""
        groups = share_out(IDLE, ["INBOX", "Work", "Lists", "Old"], 2)
        self.assertEqual(
            [each.mailboxes for each in groups], [("INBOX",), ("Work", "Lists", "Old")]
        )

    def test_without_idle_one_connection_sweeps_all(self) -> None:
        """More connections would tell nothing sooner."""
        (group,) = share_out({"UIDPLUS"}, ["INBOX", "Work", "Lists"], 9)
        self.assertEqual(group, Group(mailboxes=("INBOX", "Work", "Lists")))

    @given(
        st.sets(st.sampled_from(["IDLE", "NOTIFY", "UIDPLUS"])),
        st.lists(st.text(min_size=1), min_size=1, unique=True),
        st.integers(1, 20),
    )
    def test_nothing_is_left_out_or_watched_twice(
        self, capabilities: set[str], mailboxes: list[str], most: int
    ) -> None:
        """Every mailbox is in exactly one group, in order, within the budget."""
        groups = share_out(capabilities, mailboxes, most)
        self.assertEqual([name for each in groups for name in each.mailboxes], mailboxes)
        self.assertLessEqual(len(groups), most)
        self.assertTrue(all(each.mailboxes for each in groups))

    @given(st.integers(1, 12), st.integers(2, 12))
    def test_one_connection_less_moves_only_the_last(self, count: int, most: int) -> None:
        """The other connections need not notice."""
        mailboxes = [str(each) for each in range(count)]
        more, fewer = share_out(IDLE, mailboxes, most), share_out(IDLE, mailboxes, most - 1)
        self.assertEqual(more[: len(fewer) - 1], fewer[:-1])


class ArrangeTests(SynchronousTestCase):
    """When mailboxes come and go."""

    def arranged(self, groups: str, held: str) -> str:
        """Each letter is a group of one mailbox; a blank is a connection without one."""
        made = [Group(mailboxes=(each,)) for each in groups]
        has = [None if each == " " else Group(mailboxes=(each,)) for each in held]
        return "".join(each.mailboxes[0] for each in arrange(made, has))

    def test_few_move(self) -> None:
        """What is held stays where it is; holes are filled from behind."""
        for groups, held, expected in [
            ("abcd", "abcd", "abcd"),
            ("acd", "abcd", "adc"),
            ("bcd", "abcd", "dbc"),
            ("abcde", "abcd", "abcde"),
            ("xbc", "abc", "xbc"),
            ("abc", "", "abc"),
            ("abc", " b", "abc"),
            ("a", "abcd", "a"),
            ("d", "abcd", "d"),
        ]:
            self.assertEqual(self.arranged(groups, held), expected, (groups, held))

    def test_what_is_seen_otherwise(self) -> None:
        """A group with other mailboxes, or seen in another way, is another one."""
        told = Group(mailboxes=("a", "b"), is_notified=True)
        self.assertEqual(arrange([told], [Group(mailboxes=("a", "b"))]), (told,))
