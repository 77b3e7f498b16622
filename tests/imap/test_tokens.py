"""Tests of the tokenizer: words, strings and lists, and nothing can recurse or explode."""

from __future__ import annotations

import contextlib
import time

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.imap.responses import Value
from mailnotify.imap.tokens import (
    DEEPEST,
    MOST_TEXT_BYTES,
    MOST_TOKENS,
    Malformed,
    TooComplex,
    raw,
    tree,
    word,
    words,
)

_ATOMS = st.text("abcXYZ019[]{}\\$&+-/.*%<>:", min_size=1, max_size=9).filter(
    lambda text: text.upper() != "NIL" and not text.upper().startswith(("BODY", "BINARY"))
)
_STRINGS = st.binary(max_size=12)
_VALUES = st.recursive(
    _ATOMS | _STRINGS | st.none(),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
    max_leaves=30,
)


def _written(value: Value, draw: st.DataObject) -> list[bytes]:
    """One way a server may write this value: parts as the framer gives them."""
    if value is None:
        return [draw.draw(st.sampled_from([b"NIL", b"nil", b"Nil"]))]
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, tuple):
        return _joined([b"("], *(_written(each, draw) for each in value), [b")"])
    if b"\r" in value or b"\n" in value or draw.draw(st.booleans()):
        return [b"", value, b""]
    return [b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"']


def _joined(*runs: list[bytes]) -> list[bytes]:
    """Put runs of parts one after another, with blanks between them."""
    parts = [b""]
    for run in runs:
        parts[-1] += b" " + run[0]
        parts.extend(run[1:])
    return parts


class TreeTests(SynchronousTestCase):
    """The lexical grammar."""

    def test_words_strings_lists(self) -> None:
        """Atoms are text, strings are bytes, NIL is nothing, parentheses make lists."""
        self.assertEqual(
            tree((b'a 12 "x y" NIL nil (b ("c")) () ', b"lit", b" \\Seen $x")),
            ("a", "12", b"x y", None, None, ("b", (b"c",)), (), b"lit", "\\Seen", "$x"),
        )

    def test_quoted_pairs(self) -> None:
        r"""TRAPS 9: ``\\`` and ``\"`` in quotes are one character each."""
        self.assertEqual(tree((rb'"a \\ b" "\"" "\\" "\x"',)), (rb"a \ b", b'"', b"\\", b"x"))

    def test_quoted_nil_is_a_string(self) -> None:
        """``"NIL"`` and a word that begins with NIL are what they are."""
        self.assertEqual(tree((b'"NIL" NILS',)), (b"NIL", "NILS"))

    def test_brackets_are_letters(self) -> None:
        """TRAPS 5: ``[Gmail]/All`` and an unclosed bracket are atoms like others."""
        self.assertEqual(
            tree((b"[Gmail]/All a[b c] (x[1])",)), ("[Gmail]/All", "a[b", "c]", ("x[1]",))
        )

    def test_section_names(self) -> None:
        """The name of a section is one atom, with its blanks, quotes and its partial."""
        for name in (
            "BODY[HEADER.FIELDS (From To)]",
            'body[header.fields ("Subject" "a]b")]<0>',
            "BODY.PEEK[1.2.MIME]<0.100>",
            "BINARY[1]",
            "Binary.Size[2]",
            "BODY[]",
        ):
            self.assertEqual(tree((f"({name} 5)".encode(),)), ((name, "5"),))
            row = f"a bc NIL {name} body b[ 5"
            self.assertEqual(tree((row.encode(),)), ("a", "bc", None, name, "body", "b[", "5"))

    def test_unclosed_list(self) -> None:
        """A list that is never closed ends with the response."""
        self.assertEqual(tree((b"(a (b c",)), (("a", ("b", "c")),))

    def test_closed_too_often(self) -> None:
        """A parenthesis too many is nothing."""
        self.assertEqual(tree((b") a) (b)) c",)), ("a", ("b",), "c"))

    def test_unclosed_quote(self) -> None:
        """A quoted string that is never closed ends with its text."""
        self.assertEqual(tree((rb'a "b c\"',)), ("a", b'b c"'))
        self.assertEqual(
            tree(
                (
                    b'"b ',
                    b"lit",
                    b' "',
                )
            ),
            (b"b ", b"lit", b""),
        )
        self.assertEqual(tree((b'"\\\\', b"x", b"")), (b"\\", b"x"))

    def test_words_beyond_ascii(self) -> None:
        """A bare word in any charset keeps its bytes, so that it can be written back."""
        self.assertEqual(tree((b"a Gr\xfc\xdfe b",)), ("a", b"Gr\xfc\xdfe", "b"))

    @given(st.lists(_VALUES, max_size=5), st.data())
    def test_whatever_is_written_is_read(self, values: list[Value], draw: st.DataObject) -> None:
        """Any value, in any of the ways to write it, is read as what it was."""
        parts = _joined([b""], *(_written(value, draw) for value in values))
        self.assertEqual(tree(parts), tuple(values))

    @given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
    def test_anything(self, parts: list[bytes]) -> None:
        """Arbitrary bytes are read as something."""
        self.assertIsInstance(tree(parts), tuple)


class CostTests(SynchronousTestCase):
    """Nothing nests, repeats or backtracks its way into the reactor's time."""

    def test_depth(self) -> None:
        """TRAPS 20: lists a thousand deep are refused; a hundred deep are read."""
        self.assertRaises(TooComplex, tree, (b"(" * 1000,))
        value: Value = tree((b"(" * DEEPEST + b")" * DEEPEST,))
        for _ in range(DEEPEST):
            assert isinstance(value, tuple)
            [value] = value
        self.assertEqual(value, ())

    def test_depth_over_literals(self) -> None:
        """A literal between them does not make deep lists flat."""
        self.assertRaises(TooComplex, tree, (b"(" * 60, b"x", b"(" * 60))

    def test_count(self) -> None:
        """More tokens than are worth the time are refused before they are made."""
        self.assertRaises(TooComplex, tree, (b"a " * MOST_TOKENS,))
        self.assertRaises(TooComplex, tree, (b"()" * 40_000, b"", b"()" * 40_000))
        self.assertEqual(len(tree((b"a " * (MOST_TOKENS // 2 - 1),))), MOST_TOKENS // 2 - 1)

    def test_length(self) -> None:
        """A text that is too long is refused; a literal in it may be longer."""
        self.assertRaises(TooComplex, tree, (b"a" * MOST_TEXT_BYTES, b"", b"a"))
        self.assertEqual(len(tree((b"a" * MOST_TEXT_BYTES, b"b" * MOST_TEXT_BYTES, b""))), 2)

    def test_megabytes_of_one_thing(self) -> None:
        """A megabyte of anything is read, or refused, in a blink."""
        for piece in (
            b'"',
            b"\\",
            b'\\"',
            b'"\\',
            b"[",
            b"]",
            b"BODY[",
            b'BODY["',
            b"BODY[(",
            b"<",
            b"a",
        ):
            for before in (b"", b'"', b"BODY[", b'BODY["'):
                start = time.process_time()
                with contextlib.suppress(TooComplex):
                    tree((before + piece * (1_000_000 // len(piece)),))
                self.assertLess(time.process_time() - start, 1.0, before + piece)


class WordTests(SynchronousTestCase):
    """What is made of a value."""

    def test_raw(self) -> None:
        """Every word has bytes; a list has none."""
        self.assertEqual([raw(b"\xff"), raw("a"), raw(None)], [b"\xff", b"a", b"NIL"])
        self.assertRaises(Malformed, raw, ())

    def test_word(self) -> None:
        """A word is text, whatever its charset; what is not UTF-8 is replaced."""
        self.assertEqual([word("a"), word("ü".encode()), word(b"\xfc")], ["a", "ü", "\ufffd"])

    def test_words(self) -> None:
        """A list, a lone word and NIL are all lists of words; a list of lists is not."""
        self.assertEqual(words(("a", b"b", None)), ("a", "b", "NIL"))
        self.assertEqual(words("a"), ("a",))
        self.assertEqual(words(None), ())
        self.assertRaises(Malformed, words, (("a",),))
