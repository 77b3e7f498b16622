"""Letters over port 5050: who may, what is refused, and that half a letter is none."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.listen import PlainFor
from mailnotify.core.frames import (
    Bye,
    Code,
    Hello,
    Ping,
    Pong,
    Queued,
    Refused,
    Send,
    ServerFrame,
    Subscribe,
    Subscribed,
)
from mailnotify.core.lines import encode
from mailnotify.core.parts import cut
from mailnotify.errors import OutboxUnwritable
from mailnotify.taps import accepting
from mailnotify.taps.errand import MOST_BYTES
from tests.serving.letters import LETTER, THEM, Clerk, Office, full
from tests.serving.test_server import told

QUEUED = Queued(letter=1, message_id="<1@x>")


def codes(frames: list[ServerFrame]) -> list[str]:
    """The codes of refusals, and the kinds of the rest."""
    return [each.code if isinstance(each, Refused) else type(each).__name__ for each in frames]


class OfficeCase(SynchronousTestCase):
    """An office for each test."""

    def setUp(self) -> None:
        self.office = Office()
        self.addCleanup(self.office.close)


class QueuedTests(OfficeCase):
    """What becomes of a good letter."""

    def test_queued(self) -> None:
        """It stands in the outbox before it is answered, with its envelope and account."""
        clerk = Clerk(self.office)
        self.assertEqual(clerk.send(account="home"), [QUEUED])
        (letter,) = self.office.queued()
        self.assertEqual(
            (letter.number, letter.account, letter.sender), (1, "home", "ada@example.org")
        )
        self.assertEqual([each.recipient for each in letter.results], ["bob@x.org"])
        self.assertEqual((letter.subject, self.office.rings), ("Lunch?", 1))
        message = self.office.store.message(1)
        self.assertTrue(message.endswith(b"\r\n\r\nAt one?\n"), message)
        self.assertIn(b"From: Ada <ada@example.org>\r\n", message)

    def test_lines_wait_for_the_disk(self) -> None:
        """Nothing is answered before the letter is durable, and no line overtakes."""
        self.office.threads.is_slow = True
        clerk = Clerk(self.office)
        self.assertEqual(clerk.send(account="home"), [])
        clerk.hear(b"PING 1\r\n")
        self.assertEqual((clerk.heard(), self.office.queued()), ([], []))
        self.office.threads.finish()
        self.assertEqual(clerk.line.take(), encode(QUEUED) + encode(Pong(token="1")))

    def test_one_commit_for_many(self) -> None:
        """Letters that come while the disk is busy are committed together."""
        self.office.threads.is_slow = True
        clerks = [Clerk(self.office) for _ in range(5)]
        for clerk in clerks:
            clerk.send(account="home")
        self.office.threads.finish()
        self.office.threads.finish()
        answers = [frame for clerk in clerks for frame in clerk.heard()]
        self.assertEqual([each.letter for each in answers], [1, 2, 3, 4, 5])  # type: ignore[union-attr]
        self.assertEqual(self.office.rings, 2)

    def test_key(self) -> None:
        """With the same key it is the same letter; another client's key is another."""
        clerk = Clerk(self.office)
        other = LETTER.replace(b"1@x", b"2@x")
        answers = [
            *clerk.send(account="home", key="k"),
            *clerk.send(other, account="home", key="k"),
            *self.office.admit(may_send=True).send(other, account="home", key="k"),
        ]
        self.assertEqual(answers, [QUEUED, QUEUED, Queued(letter=2, message_id="<2@x>")])

    def test_by_identity(self) -> None:
        """The account follows from the sender, as it does for the command."""
        clerk = Clerk(self.office)
        clerk.send(sender="list@example.org")
        clerk.send(sender="ada@work.example")
        letters = [(each.account, each.sender) for each in self.office.queued()]
        self.assertEqual(letters, [("home", "list@example.org"), ("work", "ada@work.example")])

    def test_beside_the_stream(self) -> None:
        """A subscriber sends, too."""
        clerk = Clerk(self.office)
        clerk.hear(b"SUBSCRIBE\r\n")
        self.assertIs(told(clerk.heard())[0], Subscribed)
        self.assertEqual(clerk.send(account="home"), [QUEUED])

    def test_a_sender_stays(self) -> None:
        """Who sends now and then is not cut for not subscribing; who only begins is."""
        clerk, slow = Clerk(self.office), Clerk(self.office)
        clerk.send(account="home")
        slow.hear(slow.said(Send(size=9, to=("bob@x.org",), account="home"), b"half"))
        for _ in range(5):
            self.office.rig.pass_time(20)
            clerk.hear(encode(Ping()))
        self.assertEqual(clerk.send(account="home")[-1], Queued(letter=2, message_id="<1@x>"))
        self.assertEqual(slow.heard()[-1], Bye(reason="slow"))
        self.assertEqual(len(self.office.queued()), 2)


class RightTests(OfficeCase):
    """Who may send, and as whom."""

    def test_plain(self) -> None:
        """Before HELLO nothing is taken, be it a friend's."""
        line = self.office.rig.connect()
        line.protocol.dataReceived(b'SEND {"size":3,"to":["b@x"]}\r\nPART QUJD\r\n')
        said = line.take()
        self.assertEqual(said.count(b"ERR STATE say HELLO 1 first\r\n"), 2)
        self.assertEqual(self.office.queued(), [])

    def test_other_users_of_the_machine(self) -> None:
        """That they may read does not mean that they may write."""
        self.office.uid = THEM
        clerk = Clerk(self.office)
        self.assertEqual(codes(clerk.send(account="home")), ["DENIED"])
        self.assertEqual(self.office.queued(), [])

    def test_tokens(self) -> None:
        """Only with the right, and for its accounts."""
        reader = self.office.admit()
        self.assertEqual(codes(reader.send(account="home")), ["DENIED"])
        self.office.tokens.revoke("phone")
        sender = self.office.admit(may_send=True, accounts=("home",))
        self.assertEqual(codes(sender.send(account="work")), ["DENIED"])
        self.assertEqual(codes(sender.send(sender="ada@work.example")), ["DENIED"])
        self.assertEqual(sender.send(), [QUEUED])

    def test_strangers(self) -> None:
        """Nobody else."""
        self.office.rig.door = self.office.door(
            plain=PlainFor.NOBODY, keeper=self.office.tokens.keeper
        )
        self.office.rig.restart()
        self.assertEqual(codes(Clerk(self.office).send(account="home")), ["AUTH"])
        self.assertEqual(self.office.queued(), [])

    def test_no_account_sends(self) -> None:
        """Where nothing is sent, that is said."""
        for post in (None, Office(only="deaf").post):
            self.office.rig.post = post
            self.office.rig.restart()
            self.assertEqual(codes(Clerk(self.office).send()), ["DENIED"])


class RefusedTests(OfficeCase):
    """What cannot be queued."""

    def refused(self, letter: bytes = LETTER, **fields: object) -> str:
        """The code; nothing is queued, and the connection is good for the next letter."""
        clerk = Clerk(self.office)
        (code,) = codes(clerk.send(letter, **fields))
        self.assertEqual(self.office.queued(), [])
        return code

    def test_envelope(self) -> None:
        """Whoever cannot be meant is refused before a byte is taken."""
        for to in ("bob", "bob@x.org\r\nDATA", "a@b, c@d", "", "<>", "bob@x.org>"):
            self.assertEqual(self.refused(to=(to,), account="home"), Code.LETTER, to)
        self.assertEqual(self.refused(), Code.LETTER)  # which account?
        self.assertEqual(self.refused(account="nowhere"), Code.DENIED)
        self.assertEqual(self.refused(account="deaf"), Code.DENIED)
        self.assertEqual(self.refused(account="home", sender="root@example.org"), Code.DENIED)
        self.assertEqual(self.refused(account="home", sender="no address"), Code.LETTER)

    def test_sizes(self) -> None:
        """Too long at all, and more than was announced."""
        clerk = Clerk(self.office)
        fields = {"to": ("bob@x.org",), "account": "home"}
        clerk.hear(encode(Send(size=MOST_BYTES + 1, **fields)))  # type: ignore[arg-type]
        self.assertEqual(codes(clerk.heard()), ["SIZE"])
        clerk.hear(clerk.said(Send(size=3, **fields), b"four"))  # type: ignore[arg-type]
        self.assertEqual(codes(clerk.heard()), ["SIZE"])
        clerk.hear(b'SEND {"size":0,"to":["b@x"]}\r\nSEND {"size":1e99,"to":["b@x"]}\r\n')
        self.assertEqual(codes(clerk.heard()), ["SYNTAX", "SYNTAX"])
        self.assertEqual(clerk.send(account="home"), [QUEUED])

    def test_too_much_at_once(self) -> None:
        """All that is coming in together is bounded, and what ends makes room."""
        clerks = [Clerk(self.office) for _ in range(5)]
        asked = encode(Send(size=MOST_BYTES, to=("bob@x.org",), account="home"))
        for clerk in clerks:
            clerk.hear(asked)
        self.assertEqual([codes(each.heard()) for each in clerks], [[], [], [], [], ["OUTBOX"]])
        clerks[0].line.hang_up()
        clerks[4].hear(asked)
        self.assertEqual(codes(clerks[4].heard()), [])
        for clerk in clerks[1:]:
            clerk.line.hang_up()

    def test_parts_of_a_refused_letter(self) -> None:
        """They may have been written already: nobody complains of them, however many."""
        clerk = Clerk(self.office)
        asked = Send(size=100_000, to=("bob",), account="home")
        clerk.hear(clerk.said(asked, b"x" * 100_000) + encode(Ping()))
        self.assertEqual(codes([*clerk.heard()]), ["LETTER"])
        self.assertEqual(clerk.send(account="home"), [QUEUED])

    def test_parts_of_no_letter(self) -> None:
        """Are told once."""
        clerk = Clerk(self.office)
        clerk.hear(b"PART QUJD\r\nPART QUJD\r\n")
        self.assertEqual(codes(clerk.heard()), ["STATE"])

    def test_bad_parts(self) -> None:
        """What is no base64 ends the letter, not the connection."""
        for bad in (b"QUJ", b"", b"QU JD", b"=", b"\xc3\xa9", b"QUJDRA==QUJD"):
            clerk = Clerk(self.office)
            clerk.hear(encode(Send(size=9, to=("bob@x.org",), account="home")))
            clerk.hear(b"PART " + bad + b"\r\nPART QUJDQUJDQUJD\r\n")
            self.assertEqual(codes(clerk.heard()), ["SYNTAX"], bad)
        self.assertEqual(self.office.queued(), [])

    def test_full_disk(self) -> None:
        """Is said without the path, and the next letter is tried like the first."""
        self.office.threads.error = full("/home/ada/secret-folder")
        clerk = Clerk(self.office)
        (answer,) = clerk.send(account="home")
        assert isinstance(answer, Refused)
        self.assertEqual(answer.code, Code.OUTBOX)
        self.assertNotIn("secret", answer.reason)
        self.office.threads.error = None
        self.assertEqual(clerk.send(account="home"), [QUEUED])

    def test_full_disk_while_it_comes(self) -> None:
        """A letter that cannot be written down is refused at that part."""
        clerk = Clerk(self.office)
        error = OutboxUnwritable(path="state", reason="No space left on device")
        with patch.object(accepting._Letter, "write", side_effect=error):
            self.assertEqual(codes(clerk.send(account="home")), ["OUTBOX"])
        self.assertEqual(clerk.send(account="home"), [QUEUED])

    def test_a_bug_cuts(self) -> None:
        """Better no answer than a wrong one."""
        self.office.threads.error = RuntimeError("oops")
        clerk = Clerk(self.office)
        self.assertEqual(clerk.send(account="home"), [])
        self.assertTrue(clerk.line.was_aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class CutTests(SynchronousTestCase):
    """Any piece of a dialogue, in any pieces."""

    def setUp(self) -> None:
        self.office = Office(only="home")
        self.addCleanup(self.office.close)

    def dialogue(self) -> bytes:
        """Two letters, one with the second part a line of the protocol."""
        hello = encode(Hello())
        first = b"".join(map(encode, cut(LETTER, 60)))
        trap = b"Message-ID: <2@x>\r\n\r\nQUIT\r\nSEND {}\r\n" + b"." * 5000
        second = b"".join(map(encode, cut(trap, 512)))
        return (
            hello
            + encode(Send(size=len(LETTER), to=("bob@x.org",), key="1"))
            + first
            + encode(Send(size=len(trap), to=("bob@x.org",), key="2"))
            + second
        )

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0), max_size=20))
    def test_any_split(self, places: list[int]) -> None:
        """However the bytes are cut, both letters are queued as they are."""
        stream = self.dialogue()
        at = sorted({each % (len(stream) + 1) for each in places} | {0, len(stream)})
        line = self.office.rig.connect()
        for begin, end in pairwise(at):
            line.protocol.dataReceived(stream[begin:end])
        said = line.take()
        self.assertEqual(said.count(b'OK {"to":"SEND"'), 2, said)
        self.assertEqual(len(self.office.queued()), 2)
        self.assertTrue(self.office.store.message(2).endswith(b"QUIT\nSEND {}\n" + b"." * 5000))
        line.hang_up()

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0), st.booleans())
    def test_cut_in_the_middle(self, place: int, is_restart: bool) -> None:
        """Whatever comes before the last byte of a letter queues nothing of it."""
        stream = self.dialogue()
        end = stream.index(b"SEND", stream.index(b"PART"))  # of the first letter
        line = self.office.rig.connect()
        line.protocol.dataReceived(stream[: place % (end - 1)])
        if is_restart:
            self.office.rig.restart()
        line.hang_up()
        self.assertEqual(self.office.queued(), [])
        self.assertEqual(self.office.post._promised_bytes, 0)

    def test_gone_while_it_is_stored(self) -> None:
        """A client that does not wait for its answer has its letter queued, and nothing leaks."""
        self.office.threads.is_slow = True
        clerk = Clerk(self.office)
        clerk.send()
        clerk.line.hang_up()
        self.office.threads.finish()
        self.assertEqual(len(self.office.queued()), 1)
        self.assertEqual(self.office.post._promised_bytes, 0)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from(
                    [b"\r\n", b"SEND ", b"PART ", b"PART QUJD\r\n", b"PART QQ==\r\n", b"HELLO 1\n",
                     b'SEND {"size":3,"to":["b@x.org"]}\r\n', b"SUBSCRIBE\n", b"PING\n",
                     b'SEND {"size":9,"to":["b@x.org"]}\r\n', b"ACK e1:1\n"]
                ),
            ),
            max_size=25,
        )
    )  # fmt: skip
    def test_hostile(self, shreds: list[bytes]) -> None:
        """Any bytes: each letter that is answered is queued, and no other."""
        before = len(self.office.queued())
        line = self.office.rig.connect()
        line.protocol.dataReceived(b"".join(shreds))
        answered = line.take().count(b'OK {"to":"SEND"')
        line.hang_up()
        self.assertEqual(len(self.office.queued()) - before, answered)
        self.assertEqual(self.office.post._promised_bytes, 0)


class BigTests(OfficeCase):
    """A letter of many megabytes."""

    def test_on_the_disk(self) -> None:
        """It is not held in memory while it comes, and arrives as it was."""
        letter = b"Message-ID: <1@x>\r\n\r\n" + b"0123456789abcde\n" * 300_000
        clerk = Clerk(self.office)
        said = clerk.said(Send(size=len(letter), to=("bob@x.org",), account="home"), letter)
        for start in range(0, len(said), 65536):
            clerk.hear(said[start : start + 65536])
        self.assertEqual(clerk.heard(), [QUEUED])
        self.assertTrue(self.office.store.message(1).endswith(letter[-4_800_000:]))

    def test_subscribe_meanwhile(self) -> None:
        """Other lines may stand between its parts."""
        clerk = Clerk(self.office)
        first, *rest = cut(LETTER, 60)
        clerk.peer.send(Send(size=len(LETTER), to=("bob@x.org",), account="home"))
        clerk.peer.send(first)
        clerk.peer.send(Subscribe())
        for part in rest:
            clerk.peer.send(part)
        clerk.hear(clerk.peer.to_send())
        self.assertIn(QUEUED, clerk.heard())
