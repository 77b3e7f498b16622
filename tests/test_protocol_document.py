"""docs/protocol.rst says what the code does: its tables and its dialogues."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailnotify import __version__
from mailnotify.access.door import Door
from mailnotify.config.listen import PlainFor
from mailnotify.core.copies import PLAIN_LINE_BYTES
from mailnotify.core.frames import RECEIVED_LINE_BYTES, SENT_LINE_BYTES, Code, Farewell, Lacking
from mailnotify.core.lines import FROM_CLIENT, FROM_SERVER, KEY_CHARACTERS
from mailnotify.taps.errand import MOST_BYTES
from tests.access.fakes import Tokens
from tests.fakes import mail
from tests.serving.letters import Office

SERVER = f"mailnotify/{__version__}"
TEXT = (Path(__file__).parent.parent / "docs" / "protocol.rst").read_text("utf-8")


def first_column(table: str) -> list[str]:
    """The literals in the first column of a named list-table."""
    body = TEXT.split(f":name: {table}\n", 1)[1]
    rows = re.split(r"\n(?=\S)", body, maxsplit=1)[0]
    return re.findall(r"^   \* - ``(\w+)``$", rows, re.MULTILINE)


def dialogues() -> list[list[str]]:
    """The blocks of C:, S: and -- lines."""
    section = TEXT.split("Whole dialogues\n===", 1)[1].split("\nCompatibility\n", 1)[0]
    blocks = re.findall(r"::\n\n((?:    .*\n)+)", section)
    return [[line[4:] for line in block.splitlines()] for block in blocks]


class TableTests(SynchronousTestCase):
    """The words in the document are the words in the code."""

    def test_verbs(self) -> None:
        """Every verb of either side is described, and no other."""
        self.assertEqual(sorted(first_column("client-verbs")), sorted(FROM_CLIENT))
        plain = "New"
        self.assertIn(f"    {plain} Email Received: SUBJECT\n", TEXT)
        self.assertEqual(sorted([*first_column("server-verbs"), plain]), sorted(FROM_SERVER))

    def test_words(self) -> None:
        """Every error code and every reason is described, and no other."""
        self.assertEqual(sorted(first_column("error-codes")), sorted(Code))
        self.assertEqual(sorted(first_column("farewells")), sorted(Farewell))
        self.assertEqual(sorted(first_column("gap-reasons")), sorted(Lacking))

    def test_numbers(self) -> None:
        """The lengths are those of the code."""
        for number in (RECEIVED_LINE_BYTES, SENT_LINE_BYTES, PLAIN_LINE_BYTES):
            self.assertIn(f" {number} bytes", TEXT)
        self.assertIn(f"at most {MOST_BYTES}\n", TEXT)
        self.assertIn(f"at most {KEY_CHARACTERS} characters", TEXT)


class DialogueTests(SynchronousTestCase):
    """Every dialogue of the document, held against the server."""

    def test_dialogues(self) -> None:
        """The server says exactly what the document says."""
        self.assertEqual(len(dialogues()), 7)
        for dialogue in dialogues():
            Enactment(self).play(dialogue)


class Enactment:
    """One dialogue with a server in memory.

    Args:
        test: who complains when the server says something else.
    """

    def __init__(self, test: SynchronousTestCase) -> None:
        self._test = test
        office = Office(only="home")
        test.addCleanup(office.close)
        self._rig = office.rig
        self._line = self._rig.connect()
        self._uid = 0
        self._token = ""
        self._said: list[str] = []

    def play(self, dialogue: list[str]) -> None:
        """Go through the lines; in the end nothing may be left unsaid."""
        for line in dialogue:
            role, _, text = line.partition(" ")
            {"C:": self._client, "S:": self._server, "--": self._happen}[role](text)
        self._listen()
        self._test.assertEqual(self._said, [])

    def _client(self, text: str) -> None:
        text = text.replace("TOKEN GOOD", f"TOKEN {self._token}")
        self._line.protocol.dataReceived(f"{text}\r\n".encode())
        self._rig.turn()

    def _server(self, text: str) -> None:
        self._listen()
        self._test.assertEqual(self._said[:1], [text.replace("mailnotify/VERSION", SERVER)])
        del self._said[0]

    def _happen(self, text: str) -> None:
        word = text.split()[0]
        {
            "mail": self._mail,
            "60": self._silence,
            "entries": self._forget,
            "the": self._stop,
            "another": self._reconnect,
            "a": self._meet,
            "2": self._wait,
        }[word](text)
        self._rig.turn()

    def _mail(self, text: str) -> None:
        self._uid += 1
        self._rig.hub.accept([mail(self._uid, text.split('"')[1])])

    def _silence(self, _text: str) -> None:
        self._rig.pass_time(60)

    def _forget(self, _text: str) -> None:
        self._rig.journal.forget(2)
        self._rig.restart()
        self._line = self._rig.connect()

    def _reconnect(self, _text: str) -> None:
        self._listen()
        self._line = self._rig.connect()

    def _meet(self, _text: str) -> None:
        tokens = Tokens(self._rig.clock)
        self._token = tokens.add(1, "phone")
        self._rig.door = Door(plain=PlainFor.NOBODY, keeper=tokens.keeper)
        self._rig.restart()
        self._line = self._rig.connect()

    def _wait(self, _text: str) -> None:
        self._rig.pass_time(2)

    def _stop(self, _text: str) -> None:
        Deferred.fromCoroutine(self._rig.factory.stop())

    def _listen(self) -> None:
        self._said += self._line.take().decode().replace("\r\n", "\n").splitlines()
