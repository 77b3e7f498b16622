"""Tests of the framer: bytes in, whole responses out, every length bounded."""

from __future__ import annotations

import time
import tracemalloc

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import ProtocolViolated
from mailnotify.imap.framer import Framed, Framer, Limits
from tests.imap.corpus import framed, transcripts

_FEW = Limits(
    line_bytes=40,
    literal_bytes=30,
    response_bytes=60,
    literals=3,
    spilled_bytes=300,
    blank_lines=2,
)


def _in_pieces(data: bytes, *ends: int) -> list[Framed]:
    """Whole responses of data that came in pieces that end there."""
    found: list[Framed] = []
    framer, start = Framer(), 0
    for end in (*ends, len(data)):
        framer.receive(data[start:end])
        found.extend(framer.received())
        start = end
    return found


class LineTests(SynchronousTestCase):
    """Responses without literals."""

    def test_crlf_and_lf(self) -> None:
        """A line ends with CRLF or with LF alone, and neither is part of it."""
        self.assertEqual(
            framed(b"* 1 EXISTS\r\n* 2 EXISTS\n"), [(b"* 1 EXISTS",), (b"* 2 EXISTS",)]
        )

    def test_only_one_carriage_return_ends_a_line(self) -> None:
        """A CR that is not right before the LF belongs to the line."""
        self.assertEqual(framed(b"* OK a\rb\r\r\n"), [(b"* OK a\rb\r",)])

    def test_incomplete_line_waits(self) -> None:
        """Nothing is given before its line end is there."""
        framer = Framer()
        framer.receive(b"* 1 EXI")
        self.assertEqual(list(framer.received()), [])
        framer.receive(b"STS\r\n")
        self.assertEqual(list(framer.received()), [(b"* 1 EXISTS",)])

    def test_blank_lines_are_counted(self) -> None:
        """A blank line is no response and does no harm."""
        framer = Framer()
        framer.receive(b"\r\n\n \t\r\n* 1 EXISTS\r\n\r\n")
        self.assertEqual(list(framer.received()), [(b"* 1 EXISTS",)])
        self.assertEqual(framer.blank_lines, 4)

    def test_one_at_a_time(self) -> None:
        """What a client did not ask for any more is not taken from it."""
        framer = Framer()
        framer.receive(b"A1 OK begin TLS\r\n* CAPABILITY AUTH=INJECTED\r\n")
        self.assertEqual(next(framer.received()), (b"A1 OK begin TLS",))
        self.assertFalse(framer.is_empty)
        framer.clear()
        self.assertTrue(framer.is_empty)
        self.assertEqual(list(framer.received()), [])

    def test_goes_on_after_a_stop(self) -> None:
        """A client that stopped in the middle gets the rest the next time."""
        framer = Framer()
        framer.receive(b"* 1 EXISTS\r\n* 2 EXISTS\r\n* 3 EX")
        next(framer.received())
        framer.receive(b"ISTS\r\n")
        self.assertEqual(list(framer.received()), [(b"* 2 EXISTS",), (b"* 3 EXISTS",)])
        self.assertTrue(framer.is_empty)


class LiteralTests(SynchronousTestCase):
    """Responses that go on after a line end."""

    def test_every_form(self) -> None:
        """``{n}``, ``{n+}`` and ``~{n}`` announce a literal; empty and with zeros too."""
        data = b"* X {3}\r\na\r\n ~{1}\r\n\0 {2+}\n)( {0}\r\n {003}\r\n{4})\r\n* 1 EXISTS\r\n"
        expected = (b"* X ", b"a\r\n", b" ", b"\0", b" ", b")(", b" ", b"", b" ", b"{4}", b")")
        self.assertEqual(framed(data), [expected, (b"* 1 EXISTS",)])

    def test_response_that_ends_in_a_literal(self) -> None:
        """TRAPS 4: the line after a last literal is a response of its own."""
        data = b'* LIST () "/" {5}\r\nINBOX\r\nA1 OK done\r\n'
        self.assertEqual(framed(data), [(b'* LIST () "/" ', b"INBOX", b""), (b"A1 OK done",)])

    def test_no_literal_in_the_words_of_a_person(self) -> None:
        """TRAPS 15: ``{5}`` at the end of a status text is text, in any case, tagged or not."""
        for text in (
            b"* OK {5}",
            b"* ok see {5}",
            b"*  NO  [ALERT] {5}",
            b"* BAD {99999999999}",
            b"* BYE {5}",
            b"* PREAUTH {5}",
            b"* OK[ALERT] {5}",
            b"A1 OK {5}",
            b"A1 NO [X] {5+}",
            b"a1 bad ~{5}",
            b"+ {5}",
            b"220 mail.example.org ESMTP {5}",
            b" * OK {5}",
        ):
            self.assertEqual(framed(text + b"\r\n* 1 EXISTS\r\n"), [(text,), (b"* 1 EXISTS",)])

    def test_word_that_only_begins_like_a_status(self) -> None:
        """A data response whose name begins with OK or NO may have literals."""
        self.assertEqual(framed(b"* NOTES {1}\r\nx\r\n"), [(b"* NOTES ", b"x", b"")])
        self.assertEqual(framed(b"* OK-ISH {1}\r\nx\r\n"), [(b"* OK-ISH ", b"x", b"")])

    def test_not_a_number(self) -> None:
        """Only digits announce a literal, and only as a word of their own."""
        for ending in (
            b"{abc}",
            b"{-5}",
            b"{1_000}",
            b"{}",
            b"{+}",
            b"{ 5}",
            b"x{5}",
            b"{5} ",
            b"5}",
        ):
            text = b"* LIST () NIL " + ending
            self.assertEqual(framed(text + b"\r\n"), [(text,)], ending)

    def test_forgotten_space(self) -> None:
        """``BODY[]{5}`` announces a literal: some servers forget the space."""
        self.assertEqual(
            framed(b"* 1 FETCH (BODY[]{1}\r\na BODY[]<0>{1}\r\nb)\r\n"),
            [(b"* 1 FETCH (BODY[]", b"a", b" BODY[]<0>", b"b", b")")],
        )

    def test_lines_in_a_literal(self) -> None:
        """What looks like a response inside a literal is a message's text."""
        body = b"X-Spam: NO\r\nA1 OK {5}\r\n* 9 EXPUNGE\r\n"
        data = b"* 1 FETCH (BODY[] {%d}\r\n%s)\r\n" % (len(body), body)
        self.assertEqual(framed(data), [(b"* 1 FETCH (BODY[] ", body, b")")])

    def test_half_a_response_is_not_empty(self) -> None:
        """STARTTLS is refused while a literal is outstanding, even with no byte of it there."""
        framer = Framer()
        framer.receive(b"* X {5}\r\n")
        self.assertEqual(list(framer.received()), [])
        self.assertFalse(framer.is_empty)
        framer.clear()
        framer.receive(b"* 1 EXISTS\r\n")
        self.assertEqual(list(framer.received()), [(b"* 1 EXISTS",)])


class SplitTests(SynchronousTestCase):
    """However the network cuts the bytes, the responses are the same."""

    def test_at_every_byte(self) -> None:
        """Each transcript gives the same in two pieces, wherever it is cut."""
        for server, data in transcripts().items():
            whole = framed(data)
            for end in range(len(data)):
                self.assertEqual(_in_pieces(data, end), whole, f"{server} cut at {end}")

    def test_byte_by_byte(self) -> None:
        """Each transcript gives the same when it comes a byte at a time."""
        for server, data in transcripts().items():
            self.assertEqual(_in_pieces(data, *range(len(data))), framed(data), server)

    @given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=20))
    def test_anything_anywhere(self, data: bytes, ends: list[int]) -> None:
        """Arbitrary bytes give the same, cut anywhere."""
        ends = sorted(min(end, len(data)) for end in ends)
        self.assertEqual(_in_pieces(data, *ends), framed(data))


class SpillTests(SynchronousTestCase):
    """Data that is too long costs itself, and neither the connection nor the memory."""

    def spilled(self, data: bytes) -> bytes:
        """What is kept of a response that is too long; what follows it is understood."""
        data += b"* 1 EXISTS\r\n"
        for step in (len(data), 7, 1):
            framer, found = Framer(_FEW), []
            for start in range(0, len(data), step):
                framer.receive(data[start : start + step])
                found += framer.received()
            (head, nothing), *rest = found
            self.assertEqual((nothing, rest), (b"", [(b"* 1 EXISTS",)]))
            self.assertTrue(framer.is_empty)
        return head

    def test_line(self) -> None:
        """A line that is too long is passed over to its end."""
        self.assertEqual(self.spilled(b"* X " + b"y" * 100 + b"\r\n"), b"* X " + b"y" * 36)
        self.assertEqual(self.spilled(b"* X" + b" y" * 100 + b"\n"), b"* X" + b" y" * 18 + b" ")

    def test_literal(self) -> None:
        """A literal that is too long is passed over, and whatever else the response has."""
        self.assertEqual(self.spilled(b"* X {31}\r\n" + b"y" * 31 + b"\r\n"), b"* X ")
        self.assertEqual(
            self.spilled(b"* X {99}\r\n" + b"\r\n* 2 X" * 12 + b"yyy {4}\r\nabcd z\r\n"), b"* X "
        )

    def test_literal_behind_a_long_line(self) -> None:
        """The end of a line that is not kept still announces what follows."""
        data = b"* X " + b"y" * 100 + b" ~{8+}\r\n* 9 X\r\n)\r\n"
        self.assertEqual(self.spilled(data), b"* X " + b"y" * 36)

    def test_response(self) -> None:
        """Many short literals are as bad as a long one."""
        data = b"* X {29}\r\n" + b"y" * 29 + b" {29}\r\n" + b"z" * 29 + b"\r\n"
        self.assertEqual(self.spilled(data), b"* X ")
        self.assertEqual(self.spilled(b"* X {30}\r\n" + b"y" * 30 + b"z" * 27 + b"\r\n"), b"* X ")

    def test_number_of_literals(self) -> None:
        """Empty literals cost objects, so that they are counted too."""
        self.assertEqual(self.spilled(b"* X" + b" {0}\r\n" * 9 + b"\r\n"), b"* X ")

    def test_not_empty(self) -> None:
        """In the middle of it there is a rest: STARTTLS must not begin there."""
        framer = Framer(_FEW)
        framer.receive(b"* X {31}\r\n" + b"y" * 31)
        self.assertEqual((list(framer.received()), framer.is_empty), ([], False))
        framer.clear()
        self.assertTrue(framer.is_empty)

    def test_memory(self) -> None:
        """60 MB of a literal pass by in the memory of a few segments."""
        framer, found = Framer(), []
        tracemalloc.start()
        try:
            framer.receive(b"* 1 FETCH (UID 7 BODY[HEADER] {60000000}\r\n")
            for _ in range(600):
                framer.receive(b"x" * 100_000)
                found += framer.received()
            framer.receive(b")\r\n")
            found += framer.received()
            self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)
        finally:
            tracemalloc.stop()
        self.assertEqual(found, [(b"* 1 FETCH (UID 7 BODY[HEADER] ", b"")])

    @given(
        st.lists(
            st.sampled_from(
                [b"* X ", b"a1 OK ", b"y" * 9, b" {5}", b" {35}", b" {0}", b"\r\n", b"\n", b"+ go"]
            ),
            max_size=60,
        ),
        st.integers(1, 50),
    )
    def test_anything_anywhere(self, pieces: list[bytes], step: int) -> None:
        """What is spilled, and what is refused, does not depend on where it was cut."""
        data = b"".join(pieces)
        self.assertEqual(_with_few(data, step), _with_few(data, len(data) or 1))


def _with_few(data: bytes, step: int) -> tuple[list[Framed], bool]:
    """Whole responses under tight limits, and whether more was refused."""
    framer, found = Framer(_FEW), list[Framed]()
    try:
        for start in range(0, len(data), step):
            framer.receive(data[start : start + step])
            for each in framer.received():
                found.append(each)
    except ProtocolViolated:
        return found, True
    return found, False


class LimitTests(SynchronousTestCase):
    """What is too much costs the connection, not the memory."""

    def assert_refused(self, data: bytes, found: str, limits: Limits = _FEW) -> None:
        """The data is refused whole and byte by byte, for that reason."""
        for step in (len(data), 1):
            framer = Framer(limits, peer="imap.example.org:993")
            with self.assertRaisesRegex(ProtocolViolated, f"imap.example.org:993 sent .*{found}"):
                for start in range(0, len(data), step):
                    framer.receive(data[start : start + step])
                    list(framer.received())
            framer.receive(b"* 1 EXISTS\r\n")
            self.assertTrue(framer.is_empty)
            self.assertRaises(ProtocolViolated, list, framer.received())

    def test_line(self) -> None:
        """A line that is too long is refused before it ends; the longest allowed is not."""
        self.assert_refused(b"*" + b"x" * 40, "line")
        self.assert_refused(b"*" + b"x" * 40 + b"\r\n", "line")
        framer = Framer(_FEW)
        framer.receive(b"x" * 39 + b"\r\n")
        self.assertEqual(list(framer.received()), [(b"x" * 39,)])

    def test_far_too_much(self) -> None:
        """What is too long even to be passed over is refused when it is announced."""
        self.assert_refused(b"* X {301}\r\n", "a response of 30. bytes")
        self.assert_refused(b"* X {99999999999999999999999999999}\r\n", "response", Limits())
        self.assert_refused(b"* X" + b" {100}\r\n" + b"y" * 100 + b" {200}\r\n", "a response of")
        self.assert_refused(b"* X" + b" {0}\r\n" * 400, "a response of")
        self.assert_refused(b"* X " + b"y" * 400, "a response of")

    def test_blank_lines(self) -> None:
        """Nobody keeps a connection busy with nothing; each response starts the count anew."""
        self.assert_refused(b"\r\n\r\n\r\n", "blank lines")
        framer = Framer(_FEW)
        framer.receive(b"\r\n\r\n* 1 EXISTS\r\n" * 5)
        self.assertEqual(len(list(framer.received())), 5)

    def test_whole_responses_before_it_are_given(self) -> None:
        """A violation takes nothing away that came before it."""
        found: list[Framed] = []
        framer = Framer(_FEW)
        framer.receive(b"* 1 EXISTS\r\n* X {301}\r\n")
        with self.assertRaises(ProtocolViolated):
            for response in framer.received():
                found.append(response)  # noqa: PERF402
        self.assertEqual(found, [(b"* 1 EXISTS",)])

    def test_the_longest(self) -> None:
        """What is just within its limits is kept whole."""
        for data, parts in (
            (b"* X {30}\r\n" + b"y" * 30 + b"\r\n", (b"* X ", b"y" * 30, b"")),
            (b"* X" + b" {0}\r\n" * 3 + b"\r\n", (b"* X ", b"", b" ", b"", b" ", b"", b"")),
        ):
            framer = Framer(_FEW)
            framer.receive(data)
            self.assertEqual(list(framer.received()), [parts])

    def test_announced_200_megabytes(self) -> None:
        """TRAPS 20: an announced literal of 200 MB takes no memory."""
        framer = Framer()
        tracemalloc.start()
        try:
            with self.assertRaises(ProtocolViolated):
                framer.receive(b"* 1 FETCH (BODY[] {200000000}\r\n")
                list(framer.received())
            for _ in range(100):
                framer.receive(b"x" * 65536)
            self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)
        finally:
            tracemalloc.stop()

    def test_memory_of_what_has_been_given(self) -> None:
        """TRAPS 20: line after line passes through in the memory of a few segments."""
        framer, count = Framer(), 0
        segment = b"* OK still here\r\n" * 4000
        tracemalloc.start()
        try:
            for _ in range(40):
                framer.receive(segment)
                count += sum(1 for _ in framer.received())
            self.assertLess(tracemalloc.get_traced_memory()[1], 1_000_000)
        finally:
            tracemalloc.stop()
        self.assertEqual(count, 40 * 4000)


class CostTests(SynchronousTestCase):
    """Time grows with the bytes, not with their pieces."""

    def seconds(self, data: bytes, step: int) -> float:
        """How long one response takes in pieces of that size."""
        found: list[Framed] = []
        framer = Framer()
        start = time.process_time()
        for place in range(0, len(data), step):
            framer.receive(data[place : place + step])
            found.extend(framer.received())
        self.assertEqual(len(found), 1)
        return time.process_time() - start

    def test_dribbled_literal(self) -> None:
        """Twice the literal, a byte at a time, takes about twice the time."""
        self.assert_linear(lambda n: b"* X {%d}\r\n%s\r\n" % (n, b"y" * n))

    def test_dribbled_line(self) -> None:
        """Twice the line, a byte at a time, takes about twice the time."""
        self.assert_linear(lambda n: b"* X " + b"y" * n + b"\r\n")

    def assert_linear(self, make: object) -> None:
        """Eight times the bytes take no more than 24 times the time; 64 would be quadratic."""
        assert callable(make)
        short = min(self.seconds(make(30_000), 1) for _ in range(3))
        self.assertLess(self.seconds(make(240_000), 1), 24 * short)

    def test_braces(self) -> None:
        """A line full of braces and digits is looked at once."""
        self.assertLess(self.seconds(b"* X " + b"{1" * 2_000_000 + b"}\r\n", 65_536), 2.0)
