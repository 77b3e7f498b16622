"""Tokens and their file: shown once, kept as hashes, replaced in one step."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.token import Hash, Offer, hashed, matches, parse_token
from mailnotify.access.token_file import TokenFile
from mailnotify.errors import TokensUnreadable, TokensUnwritable
from tests.access.fakes import token
from tests.fakes import NOON


class TokenTests(SynchronousTestCase):
    """The text of a token, and its record."""

    @given(st.binary(min_size=8, max_size=8), st.binary(min_size=32, max_size=32))
    def test_text_survives(self, identity: bytes, secret: bytes) -> None:
        """What is printed is what is understood; a repr hides it."""
        offer = Offer(id=identity.hex(), secret=secret)
        self.assertEqual(parse_token(str(offer)), offer)
        self.assertNotIn(str(offer)[-20:], repr(offer))

    @given(st.text(max_size=80))
    def test_other_texts_are_none(self, text: str) -> None:
        """Anything else is no token, and no exception."""
        self.assertIsNone(parse_token(text))

    def test_nearly_tokens(self) -> None:
        """One sign too many or too few, another alphabet, another prefix."""
        good = str(Offer(id="ab" * 8, secret=b"\xfb" * 32))
        self.assertIsNotNone(parse_token(good))
        for wrong in (
            good[:-1],
            good + "x",
            good.replace("mailnotify", "Mailnotify"),
            good[:-1] + "\u00e9",
            good[:30] + "!" * (len(good) - 30),
            good.replace("ab" * 8, "ab" * 7 + "\u0662b"),
        ):
            self.assertIsNone(parse_token(wrong), wrong)

    def test_hash(self) -> None:
        """The right secret and no other; salted; with a cost that the record names."""
        kept = hashed(b"s" * 32, b"salt" * 4)
        self.assertTrue(matches(kept, b"s" * 32))
        self.assertFalse(matches(kept, b"t" * 32))
        self.assertNotEqual(kept.digest, hashed(b"s" * 32, b"tlas" * 4).digest)
        self.assertNotIn((b"s" * 32).hex(), str(kept))
        for cost in (0, 1, 2**40, -5):
            broken = Hash(salt=kept.salt, digest=kept.digest, cost=cost)
            self.assertRaises(ValueError, matches, broken, b"s" * 32)

    def test_expiry(self) -> None:
        """Valid until the moment, and not at it; without one for ever."""
        record, _ = token(1, "phone", expires=NOON)
        self.assertTrue(record.is_valid(NOON - timedelta(seconds=1)))
        self.assertFalse(record.is_valid(NOON))
        self.assertTrue(token(1, "phone")[0].is_valid(NOON + timedelta(days=99999)))


class TokenFileTests(SynchronousTestCase):
    """`TokenFile`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "state"
        self.file = TokenFile(self.folder / "tokens.json")

    def test_none_yet(self) -> None:
        """No file, no tokens, no complaint."""
        self.assertEqual((self.file.read(), self.file.stamp()), ((), None))

    def test_written_and_read(self) -> None:
        """All fields survive; nobody else can read it; the secret is not in it."""
        record, text = token(
            1, "phone", expires=NOON, accounts=("home",), kinds=("mail",), is_read_only=True
        )
        with self.file.changing() as tokens:
            tokens.append(record)
        self.assertEqual(self.file.read(), (record,))
        self.assertEqual(stat.S_IMODE(self.file.path.stat().st_mode), 0o600)
        self.assertNotIn(text.rpartition("_")[2], self.file.path.read_text())

    def test_every_change_is_noticed(self) -> None:
        """The stamp is another one after each."""
        stamps = set()
        for number in range(5):
            with self.file.changing() as tokens:
                tokens[:] = [token(number, "phone")[0]]
            stamps.add(self.file.stamp())
        self.assertEqual(len(stamps), 5)

    def test_a_change_that_fails_is_none(self) -> None:
        """What raises in the middle leaves the file as it was, and free for the next."""
        record, _ = token(1, "phone")
        with self.file.changing() as tokens:
            tokens.append(record)
        with self.assertRaises(ZeroDivisionError), self.file.changing() as tokens:
            tokens.clear()
            raise ZeroDivisionError
        with self.file.changing() as tokens:
            self.assertEqual(tokens, [record])

    def test_what_is_not_ours(self) -> None:
        """Damaged, newer, or open to others: refused with the reason."""
        self.folder.mkdir(parents=True)
        for content, mode, word in (
            (b"{", 0o600, "not what mailnotify wrote"),
            (b'{"version":1,"tokens":[{"id":1}]}', 0o600, "not what mailnotify wrote"),
            (b'{"tokens":' + b"[" * 5000, 0o600, "not what mailnotify wrote"),
            (b'{"version":2,"tokens":[]}', 0o600, "newer"),
            (b'{"version":1,"tokens":[]}', 0o640, "0640"),
        ):
            self.file.path.write_bytes(content)
            self.file.path.chmod(mode)
            failure = self.assertRaises(TokensUnreadable, self.file.read)
            self.assertIn(word, str(failure))
        self.file.path.unlink()
        os.mkfifo(self.file.path)
        self.assertRaises(TokensUnreadable, self.file.read)

    def test_nowhere_to_write(self) -> None:
        """A folder that cannot be made is named."""
        self.folder.parent.mkdir(exist_ok=True)
        self.folder.write_text("a file")
        with self.assertRaises(TokensUnwritable) as caught, self.file.changing():
            pass
        self.assertIn("tokens.json", str(caught.exception))

    def test_a_link_in_the_way(self) -> None:
        """Nothing is written through somebody's symbolic link."""
        self.folder.mkdir(parents=True)
        victim = self.folder / "victim"
        Path(f"{self.file.path}.new").symlink_to(victim)
        Path(f"{self.file.path}").symlink_to(self.folder / "nowhere")
        with self.file.changing() as tokens:
            tokens.append(token(1, "phone")[0])
        self.assertFalse(victim.exists())
        self.assertFalse(self.file.path.is_symlink())
