"""Tests for `mailnotify.smtp.wire`."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import ProtocolViolated
from mailnotify.smtp.wire import (
    LONGEST_LINE,
    MOST_LINES,
    Reply,
    ReplyFramer,
    data_block,
    extensions,
)


def framed(*pieces: bytes) -> list[Reply]:
    """All replies in bytes that come in these pieces."""
    framer = ReplyFramer("peer")
    found: list[Reply] = []
    for piece in pieces:
        framer.receive(piece)
        found += framer.received()
    return found


class ReplyFramerTests(SynchronousTestCase):
    """Bytes become whole replies."""

    TRANSCRIPT = (
        b"220 mail.example.org ESMTP\r\n250-mail.example.org\r\n250-\r\n250 OK\r\n250\r\n"
        b"354 go on\n550-5.1.1 no\r\n550 such user\r\n"
    )

    def test_replies(self) -> None:
        """One line, several lines, no text, LF alone: each is a reply."""
        codes = [(each.code, len(each.lines)) for each in framed(self.TRANSCRIPT)]
        self.assertEqual(codes, [(220, 1), (250, 3), (250, 1), (354, 1), (550, 2)])

    def test_split_anywhere(self) -> None:
        """The pieces in which bytes arrive make no difference."""
        whole = framed(self.TRANSCRIPT)
        self.assertEqual(framed(*(bytes([each]) for each in self.TRANSCRIPT)), whole)
        for cut in range(len(self.TRANSCRIPT)):
            self.assertEqual(framed(self.TRANSCRIPT[:cut], self.TRANSCRIPT[cut:]), whole)

    def test_no_reply(self) -> None:
        """What is no reply ends the dialogue."""
        for line in (
            b"",
            b"hello",
            b"25 ok",
            b"2500 ok",
            b"250_ok",
            b"150 ok",
            b"650 ok",
            b"HTTP/1.1 200",
        ):
            self.assertRaises(ProtocolViolated, framed, line + b"\r\n")

    def test_two_codes(self) -> None:
        """A reply whose lines disagree is none."""
        self.assertRaises(ProtocolViolated, framed, b"250-a\r\n550 b\r\n")

    def test_endless_line(self) -> None:
        """A line without end is cut off, before and after its end arrives."""
        framed(b"250 " + b"x" * (LONGEST_LINE - 4) + b"\r\n")
        self.assertRaises(ProtocolViolated, framed, b"250 " + b"x" * LONGEST_LINE)
        self.assertRaises(ProtocolViolated, framed, b"250 " + b"x" * LONGEST_LINE + b"\r\n")

    def test_endless_reply(self) -> None:
        """A reply without a last line is cut off."""
        framed(b"250-x\r\n" * (MOST_LINES - 1) + b"250 x\r\n")
        self.assertRaises(ProtocolViolated, framed, b"250-x\r\n" * (MOST_LINES + 1))

    def test_between_replies(self) -> None:
        """It knows whether something is left over, of a line or of a reply."""
        framer = ReplyFramer("peer")
        self.assertTrue(framer.is_between_replies)
        for piece, is_between in ((b"250-x\r\n", False), (b"250", False), (b" x\r\n", True)):
            framer.receive(piece)
            framer.received()
            self.assertEqual(framer.is_between_replies, is_between)

    def test_secrets(self) -> None:
        """A secret that the server says back is not read back, in replies or complaints."""
        framer = ReplyFramer("peer")
        framer.conceal(b"")
        framer.conceal(b"s3cret")
        framer.receive(b"535 you said s3cret, s3cret!\r\n334 s3cret\r\n")
        denied, challenge = framer.received()
        self.assertEqual(denied.said, "you said <secret>, <secret>!")
        self.assertEqual(challenge.lines, (b"s3cret",))
        framer.receive(b"what is s3cret\r\n")
        error = self.assertRaises(ProtocolViolated, framer.received)
        self.assertNotIn("s3cret", str(error))

    def test_hostile_words(self) -> None:
        """Words for a person are one line without control characters, and short."""
        (reply,) = framed(b"550-\x1b[2Jgone\x07\r\n550 \xff\xe2\x80\xae" + b"x" * 5000 + b"\r\n")
        self.assertTrue(reply.said.isprintable(), reply.said)
        self.assertLessEqual(len(reply.said.encode()), 500)
        self.assertEqual(str(framed(b"250 OK\r\n")[0]), "250 OK")

    def test_kinds(self) -> None:
        """A reply is positive, temporary or permanent by its first digit."""
        kinds = [
            (each.is_positive, each.is_temporary, each.is_permanent)
            for each in framed(b"250 a\r\n354 b\r\n450 c\r\n550 d\r\n")
        ]
        self.assertEqual(
            kinds,
            [
                (True, False, False),
                (False, False, False),
                (False, True, False),
                (False, False, True),
            ],
        )


class ExtensionsTests(SynchronousTestCase):
    """What a server offers."""

    def test_keywords(self) -> None:
        """Case, empty lines and the old form of AUTH make no difference."""
        (reply,) = framed(
            b"250-starttls.example\r\n250-\r\n250-starttls\r\n250-Auth plain Login\r\n"
            b"250-AUTH=LOGIN CRAM-MD5\r\n250-\xff\r\n250 size 1000\r\n"
        )
        offered = extensions(reply)
        self.assertEqual(offered["STARTTLS"], ())
        self.assertEqual(offered["AUTH"], ("PLAIN", "LOGIN", "LOGIN", "CRAM-MD5"))
        self.assertEqual(offered["SIZE"], ("1000",))

    def test_greeting_is_no_keyword(self) -> None:
        """The server's name offers nothing."""
        self.assertEqual(extensions(framed(b"250 AUTH PLAIN\r\n")[0]), {})


class DataBlockTests(SynchronousTestCase):
    """A message becomes what follows DATA."""

    def test_examples(self) -> None:
        """Line ends are CR LF, dots at a line's start are doubled, the end is one dot."""
        for message, block in (
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a\n\n", b"a\r\n\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b".\r\nQUIT", b"..\r\nQUIT\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\n\r.\r\nb", b"a\r\n\r\n..\r\nb\r\n.\r\n"),
            (b"", b"\r\n.\r\n"),
        ):
            self.assertEqual(data_block(message), block, message)

    def test_dot_at_the_edge_of_a_piece(self) -> None:
        """A dot at any place around 16384 bytes, where Twisted cuts, is doubled."""
        for length in range(16_380, 16_390):
            block = data_block(b"x" * length + b"\n.\nRSET\n")
            self.assertEqual(block, b"x" * length + b"\r\n..\r\nRSET\r\n.\r\n")

    @given(st.binary(max_size=200) | st.text(alphabet=".\r\nab", max_size=60).map(str.encode))
    def test_nothing_but_the_end_ends_it(self, message: bytes) -> None:
        """Whatever the message, a server finds its end once, and gets it back whole."""
        block = data_block(message)
        self.assertEqual((b"\r\n" + block).index(b"\r\n.\r\n"), len(block) - 3)
        self.assertEqual(block.count(b"\r"), block.count(b"\r\n"))
        self.assertEqual(block.count(b"\n"), block.count(b"\r\n"))
        received = (b"\r\n" + block)[:-3].replace(b"\r\n.", b"\r\n")[2:]
        lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.assertEqual(received.replace(b"\r\n", b"\n"), lines.removesuffix(b"\n") + b"\n")
