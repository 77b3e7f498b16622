"""Rights only ever take away."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.badge import LOCAL, Badge
from mailnotify.core.frames import Subscribe
from tests.fakes import account_state, mail

words = ["INBOX", "Lists", "Lists/a", "Lists/*", "%", "!Lists/a"]
rights = st.lists(st.sampled_from(words), max_size=3).map(tuple)
names = st.lists(st.sampled_from(["home", "work", "INBOX", "Lists", "mail", "account"]), max_size=3)
filters = names.map(tuple)
events = st.one_of(
    st.builds(
        mail,
        st.integers(1, 9),
        account=st.sampled_from(["home", "work"]),
        mailbox=st.sampled_from(["INBOX", "Lists", "Lists/a", "Lists.b"]),
    ),
    st.builds(account_state, account=st.sampled_from(["home", "work"])),
)


class BadgeTests(SynchronousTestCase):
    """`Badge.narrow`."""

    @given(filters, rights, filters, filters, filters, filters, events)
    def test_both_hold(
        self,
        a: tuple[str, ...],
        b: tuple[str, ...],
        c: tuple[str, ...],
        x: tuple[str, ...],
        y: tuple[str, ...],
        z: tuple[str, ...],
        event: object,
    ) -> None:
        """An event is shown exactly if it is asked for and allowed."""
        badge = Badge(accounts=a, mailboxes=b, kinds=c)
        asked = Subscribe(accounts=x, mailboxes=y, kinds=z)
        allowed = Subscribe(accounts=a, among=b, kinds=c)
        narrowed = badge.narrow(asked)
        expected = asked.wants(event) and allowed.wants(event)  # type: ignore[arg-type]
        shown = narrowed is not None and narrowed.wants(event)  # type: ignore[arg-type]
        self.assertEqual(shown, expected)

    def test_patterns(self) -> None:
        """A right to mailboxes is written as in the configuration; what is asked for is a name."""
        badge = Badge(mailboxes=("Lists/*", "!Lists/spam"))
        shown = ["Lists/a", "Lists/a/b", "Lists.a"]
        hidden = ["INBOX", "Lists", "Lists/spam", "Lists.spam", "Listsa", "My/Lists/a"]
        everything = badge.narrow(Subscribe())
        assert everything is not None
        for mailbox in shown + hidden:
            is_shown = mailbox in shown
            self.assertEqual(everything.wants(mail(1, mailbox=mailbox)), is_shown, mailbox)
            asked = badge.narrow(Subscribe(mailboxes=(mailbox,)))
            self.assertEqual(asked is not None, is_shown, mailbox)
        self.assertIsNone(badge.narrow(Subscribe(mailboxes=("INBOX",))))

    def test_all_rights(self) -> None:
        """Who is at home asks for what he likes."""
        asked = Subscribe(accounts=("x",), poll=True, reader="desk", min_priority=4)
        self.assertEqual(LOCAL.narrow(asked), asked)


class StrangeTests(SynchronousTestCase):
    """`Badge.strange`."""

    def test_a_slip_of_the_finger(self) -> None:
        """A name that is not watched is told; without a list of those there is nothing to tell."""
        asked = Subscribe(accounts=("home", "hone"))
        self.assertEqual(LOCAL.strange(asked, ["home", "work"]), ("hone",))
        self.assertEqual(LOCAL.strange(asked, []), ())
        self.assertEqual(LOCAL.strange(Subscribe(), ["home"]), ())

    def test_kinds(self) -> None:
        """Nobody waits for events of a kind that there is not, or not for him, unknowingly."""
        asked = Subscribe(kinds=("mail", "mails", "gone"))
        self.assertEqual(LOCAL.strange_kinds(asked), ("mails",))
        self.assertEqual(Badge(kinds=("mail", "nope")).strange_kinds(asked), ("mails", "gone"))
        self.assertEqual(LOCAL.strange_kinds(Subscribe()), ())

    @given(names, names, filters.filter(bool), filters)
    def test_nobody_learns_of_other_accounts(
        self, some: list[str], others: list[str], allowed: tuple[str, ...], asked: tuple[str, ...]
    ) -> None:
        """Whatever else is watched: the answer is the same to who may not see it."""
        badge = Badge(accounts=allowed)
        elsewhere = [each for each in others if each not in allowed]
        question = Subscribe(accounts=asked)
        self.assertEqual(
            badge.strange(question, ["x", *some]),
            badge.strange(question, ["x", *(each for each in some if each in allowed), *elsewhere]),
        )
