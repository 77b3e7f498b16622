"""Tests of `mailnotify.core.patterns`."""

from __future__ import annotations

import re
import time

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.patterns import Pattern, Wanted, covers, passed_over, read_wanted


def by_regex(text: str, delimiter: str | None, name: str) -> bool:
    """The same by the slow way that a hostile name can make endless."""
    within = "." if delimiter is None else f"[^{re.escape(delimiter)}]"
    wire = text.replace("/", delimiter) if delimiter else text
    parts = {"*": ".*", "%": f"{within}*"}
    expression = "".join(parts.get(each) or re.escape(each) for each in wire)
    return re.fullmatch(expression, name, re.DOTALL) is not None


class PatternTests(SynchronousTestCase):
    """One pattern."""

    def fitting(self, text: str, delimiter: str | None, *names: str) -> list[str]:
        pattern = Pattern(text, delimiter)
        return [each for each in names if pattern.fits(each)]

    def test_wildcards(self) -> None:
        """A star goes through all levels, a percent sign through one."""
        names = ("Lists", "Lists/a", "Lists/a/b", "Listsa", "Work/Lists/a")
        self.assertEqual(self.fitting("Lists/*", "/", *names), ["Lists/a", "Lists/a/b"])
        self.assertEqual(self.fitting("Lists/%", "/", *names), ["Lists/a"])
        self.assertEqual(self.fitting("%/%", "/", *names), ["Lists/a"])
        self.assertEqual(self.fitting("*", "/", *names), list(names))
        self.assertEqual(self.fitting("*/a", "/", *names), ["Lists/a", "Work/Lists/a"])

    def test_the_delimiter_of_the_server(self) -> None:
        """A slash is whatever the server has; its own delimiter is understood too."""
        self.assertEqual(self.fitting("Lists/%", ".", "Lists.a", "Lists.a.b"), ["Lists.a"])
        self.assertEqual(self.fitting("Lists.%", ".", "Lists.a", "Lists.a.b"), ["Lists.a"])
        self.assertEqual(self.fitting("a/%", "\\", "a\\b", "a/b"), ["a\\b"])

    def test_no_delimiter(self) -> None:
        """In a flat namespace a slash is a slash, and both wildcards are the same."""
        self.assertEqual(self.fitting("Lists/%", None, "Lists/a/b", "Lists.a"), ["Lists/a/b"])

    def test_inbox(self) -> None:
        """Its case means nothing."""
        self.assertEqual(self.fitting("*", "/", "inbox", "INBOX"), ["inbox", "INBOX"])
        self.assertEqual(self.fitting("inbox", "/", "INBOX", "Inbox"), ["INBOX", "Inbox"])
        self.assertEqual(self.fitting("I%", "/", "Inbox"), ["Inbox"])

    def test_odd_names(self) -> None:
        """Wildcards and signs in a name are letters."""
        names = ("a*b", "a%b", 'a"b', "a\\b", "a[b]", "a\nb", "ä€😀")
        self.assertEqual(self.fitting("*", "/", *names), list(names))
        self.assertEqual(self.fitting("a[%", "/", *names), ["a[b]"])

    def test_roots(self) -> None:
        """Below which mailbox all lies that a pattern fits."""
        cases = {"Lists/*": "Lists", "a/b/c%": "a/b", "*": "", "Li*": "", "%/x": "", "a/b": "a"}
        for text, root in cases.items():
            self.assertEqual(Pattern(text, "/").root, root, text)
        self.assertEqual(Pattern("Lists/*", ".").root, "Lists")
        self.assertEqual(Pattern("Lists/*", None).root, "")

    def test_hostile_names(self) -> None:
        """No name makes a pattern slow."""
        pattern = Pattern("*a%a*a%a*a%a*b", "/")
        begun = time.process_time()
        self.assertFalse(pattern.fits("a/" * 5000))
        self.assertLess(time.process_time() - begun, 0.5)

    @given(
        st.text(alphabet="ab/.*%", max_size=8),
        st.sampled_from(["/", ".", None]),
        st.lists(st.text(alphabet="ab/.*%", max_size=10), max_size=5),
    )
    def test_as_a_regular_expression(
        self, text: str, delimiter: str | None, names: list[str]
    ) -> None:
        """It fits what the definition says, and all of that lies below its root."""
        pattern = Pattern(text, delimiter)
        for name in names:
            self.assertEqual(pattern.fits(name), by_regex(text, delimiter, name), (text, name))
            if pattern.root and pattern.fits(name):
                self.assertTrue(name.startswith(pattern.root + (delimiter or "")))


class WantedTests(SynchronousTestCase):
    """What an account wants."""

    def test_read(self) -> None:
        """Names, patterns and exceptions, each in their order."""
        wanted = read_wanted(["INBOX", "Lists/*", "!Lists/spam", "Work", "A/%", "!A/x*"])
        expected = Wanted(
            names=("INBOX", "Work"), patterns=("Lists/*", "A/%"), exceptions=("Lists/spam", "A/x*")
        )
        self.assertEqual(wanted, expected)

    def test_exceptions(self) -> None:
        """What an exception fits no pattern brings, whatever the order."""
        wanted = read_wanted(["!Lists/spam*", "Lists/*", "*/b"])
        names = ["Lists.a", "Lists.b", "Lists.spam", "Lists.spam.b"]
        self.assertEqual([each for each in names if wanted.brought(each, ".")], names[:2])
        self.assertEqual(wanted.bringing("Lists.b", "."), ["Lists/*", "*/b"])

    def test_roots(self) -> None:
        """Each once, and nothing else beside everything."""
        self.assertEqual(read_wanted(["B/*", "A/x%", "A/*"]).roots("/"), ("A", "B"))
        self.assertEqual(read_wanted(["B/*", "%"]).roots("/"), ("",))

    def test_special_use(self) -> None:
        """Marked mailboxes are passed over, and what lies below them."""
        marked = [("Bin", {"\\trash"}), ("Lists", {"\\haschildren"}), ("Old", {"\\archive"})]
        self.assertEqual(passed_over(marked, "/"), ({"Bin", "Old"}, ["Bin/", "Old/"]))
        self.assertEqual(passed_over(marked, None), ({"Bin", "Old"}, []))


class CoversTests(SynchronousTestCase):
    """`covers`: the rights of a token."""

    def covered(self, words: tuple[str, ...], *names: str) -> list[str]:
        return [each for each in names if covers(words, each)]

    def test_words(self) -> None:
        """Names, patterns and exceptions; an exception forbids no name."""
        words = ("Lists/spam", "Lists/*", "!Lists/s*")
        names = ("Lists/a", "Lists/spam", "Lists/sport", "Lists", "INBOX")
        self.assertEqual(self.covered(words, *names), ["Lists/a", "Lists/spam"])
        self.assertEqual(self.covered((), *names), list(names))

    def test_levels(self) -> None:
        """The first sign in the name that can stand between levels is the one that does."""
        names = ("a", "a/b", "a.b", "a\\b", "a/b.c", "a/b/c", "a.b.c")
        self.assertEqual(self.covered(("%",), *names), ["a"])
        self.assertEqual(self.covered(("a/%",), *names), ["a/b", "a.b", "a\\b", "a/b.c"])
        self.assertEqual(self.covered(("a.%",), *names), ["a.b"])
        self.assertEqual(self.covered(("a/*",), *names), list(names[1:]))
