"""Tests for `mailnotify.smtp.compose` and `mailnotify.smtp.fields`."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

from hypothesis import given, strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.message import Address
from mailnotify.errors import LetterInvalid
from mailnotify.smtp import fields
from mailnotify.smtp.compose import Attachment, Envelope, Letter, address, compose

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

#: One line: no controls, separators or surrogates.
LINES = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300
) | st.text(alphabet=st.sampled_from(list(' =?_"\\(),.<>@:;utf8qb-éあ😀')), max_size=200)

LETTER = Letter(
    sender="Ada <ada@example.org>",
    to=("bob@example.org",),
    subject="hello",
    text="hi\n",
    message_id="<1@example.org>",
    date=NOON,
)


def written(**changes: Any) -> bytes:
    """The bytes of a letter that differs in these fields."""
    return compose(structs.replace(LETTER, **changes))


def read(raw: bytes) -> EmailMessage:
    """What a reader makes of it."""
    message: Any = email.message_from_bytes(raw, policy=policy.default)
    return message


def unfolded(raw: bytes, name: str) -> str:
    """The value of a header field as written, its lines joined."""
    header = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").decode("ascii")
    return next(
        line.partition(":")[2].strip(" ") for line in header.split("\r\n") if line.startswith(name)
    )


class ComposeTests(SynchronousTestCase):
    """A letter becomes a message that says the same."""

    def test_plain(self) -> None:
        """The smallest letter is as plain as it can be."""
        self.assertEqual(
            written(),
            b"From: Ada <ada@example.org>\r\nTo: bob@example.org\r\nSubject: hello\r\n"
            b"Date: Fri, 02 Jan 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
            b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="us-ascii"\r\n'
            b"Content-Transfer-Encoding: 7bit\r\n\r\nhi\r\n",
        )

    def test_same_bytes_again(self) -> None:
        """A letter that is sent again is the same letter, boundaries included."""
        attached = (Attachment(name="a.bin", type="application/octet-stream", content=b"1"),)
        first = written(html="<p>hi", attachments=attached)
        self.assertEqual(first, written(html="<p>hi", attachments=attached))
        self.assertNotEqual(first, written(attachments=attached, message_id="<2@example.org>"))

    def test_blind_recipients(self) -> None:
        """A blind recipient is in the envelope and nowhere in the letter."""
        letter = structs.replace(LETTER, bcc=("Eve <eve@hidden.example>",), cc=("c@x.org",))
        self.assertNotIn(b"hidden", compose(letter))
        self.assertEqual(
            address(letter),
            Envelope(
                sender="ada@example.org",
                recipients=("bob@example.org", "c@x.org", "eve@hidden.example"),
            ),
        )

    def test_international_addresses(self) -> None:
        """An address beyond ASCII stands in the header as it is, and nothing else does."""
        letter = structs.replace(LETTER, to=("Jörg <jörg@x.org>",), subject="Grüße", text="ü")
        raw = compose(letter)
        self.assertIn("To: =?utf-8?b?SsO2cmc=?= <jörg@x.org>\r\n".encode(), raw)
        self.assertTrue(raw.replace("jörg".encode(), b"").isascii())
        self.assertEqual(address(letter).recipients, ("jörg@x.org",))

    def test_only_blind_recipients(self) -> None:
        """A letter with blind recipients only has no To."""
        raw = written(to=(), bcc=("eve@hidden.example",))
        self.assertNotIn(b"To:", raw)

    def test_each_recipient_once(self) -> None:
        """Who is named twice gets one copy; a list in one text is taken apart."""
        letter = structs.replace(LETTER, to=("a@x.org, B <b@x.org>", "a@X.org"), cc=("b@x.org",))
        self.assertEqual(address(letter).recipients, ("a@x.org", "b@x.org"))

    def test_nobody(self) -> None:
        """A letter to nobody is refused."""
        self.assertRaises(LetterInvalid, address, structs.replace(LETTER, to=()))

    def test_no_subject(self) -> None:
        """Without a subject there is no Subject field."""
        self.assertNotIn(b"Subject", written(subject=""))

    def test_html(self) -> None:
        """The HTML is an alternative to the text, after it."""
        message = read(written(text="plain ü\n", html="<p>rich ü"))
        text, html = message.iter_parts()
        self.assertEqual(message.get_content_type(), "multipart/alternative")
        self.assertEqual(
            (text.get_content_type(), html.get_content_type()), ("text/plain", "text/html")
        )
        self.assertEqual(text.get_content().strip(), "plain ü")
        self.assertEqual(html.get_content().strip(), "<p>rich ü")

    def test_attachments(self) -> None:
        """Every byte of an attachment survives, and so does its name."""
        content = bytes(range(256)) * 50
        for name in (
            "a.bin",
            "Übersicht 日本.pdf",
            'a;b "c".pdf',
            "=?utf-8?q?x?=",
            "é" * 120,
            "-x'%",
        ):
            attached = Attachment(name=name, type="application/x-thing", content=content)
            raw = written(html="<p>", attachments=(attached, attached))
            parts = list(read(raw).iter_attachments())
            self.assertEqual([part.get_filename() for part in parts], [name, name])
            self.assertEqual(parts[1].get_content(), content)
            self.assertEqual(parts[0].get_content_type(), "application/x-thing")
            self.assertTrue(raw.isascii())

    def test_awkward_attachments(self) -> None:
        """A name with a line break or folder, and a type that must not be encoded: refused."""
        good = Attachment(name="a", type="text/plain", content=b"")
        for changes in (
            *({"name": f"a{bad}X-Evil: 1"} for bad in "\r\n\0\u2028\x1b"),
            *({"name": name} for name in ("", "../a", "/etc/passwd", "é" * 200)),
            *(
                {"type": kind}
                for kind in ("text", "", "a/b/c", "text/plain; x=1", "text/p\r\nX: 1")
            ),
            *({"type": kind} for kind in ("message/rfc822", "Multipart/mixed")),
        ):
            attached = structs.replace(good, **changes)  # type: ignore[arg-type]
            self.assertRaises(LetterInvalid, written, attachments=(attached,))

    def test_header_injection(self) -> None:
        """A line break, or any other control, in any field is refused by the field's name."""
        for bad in "\r\n\0\x0b\x0c\x1b\x85\u2028\u2029\x7f":
            evil = f"x{bad}Bcc: eve@x.org"
            for field, value in (
                ("subject", evil),
                ("sender", f"{evil} <a@x.org>"),
                ("to", (f"{evil} <a@x.org>",)),
                ("cc", (f"a@x.org{bad}",)),
                ("message_id", f"<1{bad}@x.org>"),
            ):
                error = self.assertRaises(LetterInvalid, written, **{field: value})
                self.assertEqual(error.field, field)
            blind = structs.replace(LETTER, bcc=(f"a@x.org{bad}",))
            self.assertRaises(LetterInvalid, address, blind)

    def test_injection_by_encoded_word(self) -> None:
        """A line break hidden in an encoded word stays what it is: text."""
        hidden = "=?utf-8?q?a=0D=0AX-Evil:_1?="
        raw = written(subject=hidden, sender=f"{hidden} <a@x.org>", to=(f'"{hidden}" <b@x.org>',))
        message = read(raw)
        self.assertNotIn("X-Evil", message)
        self.assertEqual(message["subject"], hidden)
        self.assertEqual(message["from"].addresses[0].display_name, hidden)

    def test_bad_identity(self) -> None:
        """A Message-ID without its form, and a date without a zone, are refused."""
        for message_id in ("", "1@x", "<1>", "<a b@x>", "<a@b><c@d>", "<é@x>"):
            self.assertRaises(LetterInvalid, written, message_id=message_id)
        self.assertRaises(LetterInvalid, written, date=datetime(2026, 1, 2))  # noqa: DTZ001

    def test_undecodable_text(self) -> None:
        """Bytes that were no UTF-8 on the command line are refused, not mangled."""
        for field in ("text", "html"):
            error = self.assertRaises(LetterInvalid, written, **{field: "a\udcffb"})
            self.assertEqual(error.field, field)

    def test_controls_in_text(self) -> None:
        """NUL and ESC in a text arrive, and travel encoded."""
        raw = written(text="a\0b\x1bc\n")
        self.assertNotIn(b"\0", raw)
        self.assertEqual(read(raw).get_content(), "a\0b\x1bc\r\n")

    @given(
        st.text(max_size=3000) | st.text(alphabet=st.sampled_from(list("a.\n\r é=")), max_size=500)
    )
    def test_any_text(self, text: str) -> None:
        """Any text arrives, line by line, in 7 bit and lines that every server carries."""
        raw = written(text=text)
        self.assertTrue(raw.isascii())
        self.assertNotIn(b"\0", raw)
        self.assertEqual(raw.count(b"\r"), raw.count(b"\r\n"))
        self.assertEqual(raw.count(b"\n"), raw.count(b"\r\n"))
        self.assertLessEqual(max(map(len, raw.split(b"\r\n"))), 998)
        arrived = read(raw).get_content().encode().splitlines()
        self.assertEqual(arrived, text.encode().splitlines() or [b""])

    @given(LINES)
    def test_any_subject(self, subject: str) -> None:
        """Any subject arrives to the last space, and makes no other header field."""
        raw = written(subject=subject)
        self.assertEqual(decoded(unfolded(raw, "Subject")) if subject else "", subject)
        names = [
            line.split(b":")[0]
            for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n")
            if line[:1] != b" "
        ]
        expected = [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version"]
        expected += [b"Content-Type", b"Content-Transfer-Encoding"]
        self.assertEqual(names, [each for each in expected if subject or each != b"Subject"])
        self.assertLessEqual(max(map(len, raw.split(b"\r\n"))), 76)


class FieldsTests(SynchronousTestCase):
    """Header values, encoded and folded."""

    @given(LINES.map(lambda text: text[:200]))
    def test_any_name(self, name: str) -> None:
        """Any display name is read back as it was written."""
        value = fields.addresses("To", [Address(address="a@x.org", name=name)])
        words, _, rest = value.replace("\r\n ", " ").rpartition("a@x.org")
        self.assertIn(rest, (">", ""))
        phrase = words.removesuffix("<").removesuffix(" ")
        if phrase.startswith('"'):
            self.assertEqual(phrase[1:-1].replace('\\"', '"').replace("\\\\", "\\"), name)
        else:
            self.assertEqual(decoded(phrase), name)
        self.assertLessEqual(max(map(len, value.split("\r\n"))), 76)

    def test_many_recipients(self) -> None:
        """A long list of recipients is folded between them."""
        everyone = [Address(address=f"user{n}@example.org", name=f"U {n}") for n in range(100)]
        value = fields.addresses("To", everyone)
        self.assertLessEqual(max(map(len, value.split("\r\n"))), 76)
        self.assertEqual(value.replace("\r\n ", " ").count(", "), 99)

    def test_readable(self) -> None:
        """What is plain stays readable, folded at a space."""
        text = "word " * 30 + "end"
        value = fields.unstructured("Subject", text)
        self.assertEqual(value.replace("\r\n ", " "), text)
        self.assertIn("\r\n ", value)

    def test_many_spaces(self) -> None:
        """A line of spaces only, which looks like the end of the header, cannot come about."""
        for text in ("a" * 66 + " " * 6 + "b" * 66, " lead", "trail ", "a" + " " * 2000 + "b"):
            value = fields.unstructured("Subject", text)
            self.assertEqual(decoded(value.replace("\r\n ", " ")), text)
            for line in value.split("\r\n"):
                self.assertNotEqual(line.strip(), "")
                self.assertLessEqual(len(line), 76)

    def test_quotes_only_where_needed(self) -> None:
        """A name of plain words needs no quotes, one with a comma does."""
        for name, phrase in (("Ada L", "Ada L"), ("L, Ada", '"L, Ada"'), ("A. B", '"A. B"')):
            value = fields.addresses("To", [Address(address="a@x.org", name=name)])
            self.assertEqual(value, f"{phrase} <a@x.org>")


def decoded(value: str) -> str:
    """Decode encoded words as RFC 2047 says: the space between two of them is not there."""
    if not value.startswith("=?utf-8?b?"):
        return value
    import base64

    words = value.split(" ")
    for word in words:
        assert word.startswith("=?utf-8?b?") and word.endswith("?=") and len(word) <= 75, word
        base64.b64decode(word[10:-2]).decode("utf-8")  # whole characters in each
    return b"".join(base64.b64decode(word[10:-2]) for word in words).decode("utf-8")
