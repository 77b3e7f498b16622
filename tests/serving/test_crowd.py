"""Those who stand at one place: one look, the same bytes, and nobody misses anything."""

from __future__ import annotations

import re
from functools import partial
from operator import setitem

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import Position
from mailnotify.core.frames import Subscribe
from mailnotify.hub import Hub
from mailnotify.serving.crowd import PAGE_BYTES, PAGE_ENTRIES, Crowd, Place, SomePlain, Wish, Write
from tests.fakes import MemoryJournal, SteppingNow, account_state, mail

WORK = Subscribe(accounts=("work",))
STATES = Subscribe(kinds=("account",))
ALL = Subscribe()

KINDS = (["home", "work"], ["INBOX", "Lists"])
"""Accounts and mailboxes of the mail that comes."""


def at(seq: int, epoch: str = "e1") -> Position:
    """A position in the test's journal."""
    return Position(epoch=epoch, seq=seq)


class CrowdTests(SynchronousTestCase):
    """Members are names."""

    def setUp(self) -> None:
        self.journal = MemoryJournal()
        self.hub = Hub(self.journal, SteppingNow())
        self.heard: dict[str, bytes | None] = {}
        self.crowd: Crowd[str] = Crowd(self.hub, self.ear)

    def ear(self, name: str) -> Write:
        """What this member hears with."""
        return partial(setitem, self.heard, name)

    def deal(self, most: int = 1000) -> dict[str, bytes | None]:
        """One slice."""
        self.heard.clear()
        for hand in self.crowd.deal(most):
            if hand.lines is None:
                self.heard.update(dict.fromkeys(hand.members))
            else:
                for write in hand.writes:
                    write(hand.lines)
        return dict(self.heard)

    def test_one_look_for_all(self) -> None:
        """Equal wishes get the very same bytes; others what they want."""
        equal = Subscribe(accounts=("work",))
        some = SomePlain(WORK)
        wishes = {"p": None, "q": None, "w": WORK, "v": equal, "s": STATES, "x": some}
        for name, wish in wishes.items():
            self.assertTrue(self.crowd.join(name, wish, at(0)))
        self.hub.accept([mail(1), mail(2, account="work")])
        dealt = self.deal()
        self.assertEqual(
            dealt["p"], b"New Email Received: mail 1\r\nNew Email Received: mail 2\r\n"
        )
        self.assertIs(dealt["p"], dealt["q"])
        self.assertIs(dealt["w"], dealt["v"])
        self.assertEqual(dealt["x"], b"New Email Received: mail 2\r\n")
        assert dealt["w"] is not None
        self.assertTrue(dealt["w"].startswith(b"EVENT e1:2 "))
        self.assertEqual(dealt["w"].count(b"\r\n"), 1)
        self.assertNotIn("s", dealt)
        self.assertEqual((self.deal(), self.crowd.has_more), ({}, False))

    def test_kinds_in_one_page(self) -> None:
        """Events that differ only by kind, account or mailbox are judged one by one."""
        wishes = {
            "k": Subscribe(kinds=("mail",)),
            "a": Subscribe(accounts=("home",)),
            "m": Subscribe(mailboxes=("INBOX",)),
            "nothing": Subscribe(accounts=("none",)),
            "states": Subscribe(kinds=("account",)),
        }
        for name, wish in wishes.items():
            self.crowd.join(name, wish, at(0))
        events = [mail(1), mail(2, mailbox="Lists"), mail(3, account="work"), account_state()]
        others = [mail(9, mailbox="Lists"), mail(10), mail(11, account="work"), mail(12)]
        for page in (events, [mail(5), mail(6)], others, [account_state(), mail(13)]):
            entries = self.hub.accept(page)
            dealt = self.deal()
            for name, wish in wishes.items():
                seqs = [each.seq for each in entries if wish.wants(each.event)]
                heard = re.findall(rb"EVENT e1:(\d+) ", dealt.get(name) or b"")
                self.assertEqual([int(each) for each in heard], seqs)

    def test_only_at_its_place(self) -> None:
        """Who stands elsewhere is not taken in; an empty crowd goes to whoever comes."""
        self.hub.accept([mail(1)])
        self.assertTrue(self.crowd.join("a", None, at(1)))
        self.assertFalse(self.crowd.join("b", None, at(0)))
        self.assertFalse(self.crowd.join("b", None, at(1, "e0")))
        self.assertEqual(self.crowd.leave("a", None).position, at(1))
        self.assertTrue(self.crowd.join("b", None, at(0)))

    def test_slices(self) -> None:
        """Many are served in slices, in the order in which they came."""
        names = [f"{each:03}" for each in range(250)]
        for name in names:
            self.crowd.join(name, None, at(0))
        self.hub.accept([mail(1)])
        served: list[str] = []
        for _ in range(3):
            served += self.deal(100)
        self.assertEqual(served, names)
        self.assertFalse(self.crowd.has_more)

    def test_leaving_in_a_round(self) -> None:
        """Who leaves before he was served stands before the page, and is not served."""
        for name in "abc":
            self.crowd.join(name, None, at(0))
        self.hub.accept([mail(1)])
        self.assertEqual(list(self.deal(1)), ["a"])
        self.assertTrue(self.crowd.has_more)
        self.assertEqual(self.crowd.leave("a", None).position, at(1))
        self.assertEqual(self.crowd.leave("c", None).position, at(0))
        self.assertEqual(list(self.deal()), ["b"])

    def test_coming_back_in_a_round(self) -> None:
        """Who leaves before he was served, reads alone and comes back, has had the page."""
        self.crowd.join("p", None, at(0))
        self.crowd.join("a", ALL, at(0))
        self.hub.accept([mail(1)])
        self.assertEqual(list(self.deal(1)), ["p"])
        self.assertEqual(self.crowd.leave("a", ALL).position, at(0))
        self.assertTrue(self.crowd.join("a", ALL, at(1)))
        self.assertEqual(self.crowd.leave("a", ALL).position, at(1))
        self.assertEqual(self.deal(), {})

    def test_coming_and_going(self) -> None:
        """Between two messages of one kind, who comes is served and who goes is not."""
        self.crowd.join("a", None, at(0))
        self.hub.accept([mail(1)])
        self.assertEqual(list(self.deal()), ["a"])
        self.crowd.join("b", None, at(1))
        self.hub.accept([mail(2)])
        self.assertEqual(list(self.deal()), ["a", "b"])
        self.crowd.leave("a", None)
        self.hub.accept([mail(3)])
        self.assertEqual(list(self.deal()), ["b"])

    def test_what_was_equal(self) -> None:
        """Wishes that meant the same of one message are told apart at the next."""
        for name, wish in {"a": ALL, "i": Subscribe(mailboxes=("INBOX",))}.items():
            self.crowd.join(name, wish, at(0))
        for mailbox, hear in (("INBOX", ["a", "i"]), ("Lists", ["a"]), ("INBOX", ["a", "i"])):
            self.hub.accept([mail(self.hub.head.seq + 1, mailbox=mailbox)])
            self.assertEqual(list(self.deal()), hear)

    def test_told(self) -> None:
        """A leaver learns which position his wish was told last."""
        self.crowd.join("w", WORK, at(0))
        self.crowd.join("p", None, at(0))
        self.hub.accept([mail(1)])
        self.deal()
        self.assertEqual(self.crowd.leave("w", WORK), Place(at(1), told=at(0)))
        self.crowd.join("w", WORK, at(1))
        self.hub.accept([mail(2, account="work")])
        self.deal()
        self.hub.accept([account_state()])
        self.deal()
        self.assertEqual(self.crowd.leave("w", WORK), Place(at(3), told=at(2)))

    def test_giants(self) -> None:
        """Nobody is sent much more than a page at once, however large the events are."""
        self.crowd.join("a", ALL, at(0))
        self.hub.accept([mail(uid, to=1400) for uid in range(1, 8)])
        pieces: list[bytes | None] = []
        while True:
            pieces += self.deal().values()
            if not self.crowd.has_more:
                break
        self.assertEqual([piece.count(b"\r\n") for piece in pieces if piece], [1] * 7)
        self.assertLessEqual(max(len(piece) for piece in pieces if piece), PAGE_BYTES)

    def test_flood(self) -> None:
        """More than a page comes page by page."""
        self.crowd.join("a", None, at(0))
        self.hub.accept([mail(uid) for uid in range(1, 2 * PAGE_ENTRIES + 1)])
        counts = []
        while piece := self.deal().get("a"):
            counts.append(piece.count(b"\r\n"))
        self.assertEqual(counts, [PAGE_ENTRIES, PAGE_ENTRIES])

    def test_trouble(self) -> None:
        """Where something is missing or damaged, all are sent away to find out themselves."""
        for trouble in ("restored", "damaged"):
            self.setUp()
            self.hub = Hub(self.journal, SteppingNow(), tail_size=1)
            self.crowd = Crowd(self.hub, self.ear)
            for name, wish in {"a": None, "b": ALL, "c": WORK}.items():
                self.crowd.join(name, wish, at(0))
            self.hub.accept([mail(uid) for uid in range(1, 9)])
            self.hub.accept([mail(9)])
            self.journal.is_damaged = trouble == "damaged"
            self.journal.epoch = "e2" if trouble == "restored" else "e1"
            first = self.deal(2)
            self.assertEqual({**first, **self.deal()}, {"a": None, "b": None, "c": None})
            self.assertEqual(self.crowd.leave("c", WORK).position, at(0))

    @settings(max_examples=200)
    @given(st.data())
    def test_nobody_misses_anything(self, data: st.DataObject) -> None:
        """Any order of joining, leaving, slices and mail: each line once, in order."""
        everyone = Everyone()
        names = sorted(everyone.wishes)
        for step in data.draw(st.lists(st.sampled_from(["mail", "deal", *names]), max_size=40)):
            if step == "mail":
                everyone.mail(*data.draw(st.tuples(*map(st.sampled_from, KINDS))))
            elif step == "deal":
                everyone.deal(data.draw(st.integers(1, 3)))
            else:
                everyone.change_sides(step)
        for name in names:
            self.assertEqual(everyone.heard_by(name), everyone.due_to(name))


class Everyone:
    """Some who are in the crowd at times, and read alone at other times."""

    def __init__(self) -> None:
        self.wishes: dict[str, Wish] = {"a": None, "b": None, "c": ALL, "d": WORK, "e": WORK}
        self.wishes["f"] = Subscribe(mailboxes=("Lists",))
        self._hub = Hub(MemoryJournal(), SteppingNow())
        self._crowd: Crowd[str] = Crowd(self._hub, self._ear)
        self._inside: set[str] = set()
        self._stands_at = dict.fromkeys(self.wishes, 0)
        self._heard = dict.fromkeys(self.wishes, b"")
        self._uid = 0

    def mail(self, account: str, mailbox: str) -> None:
        self._uid += 1
        self._hub.accept([mail(self._uid, account=account, mailbox=mailbox)])

    def deal(self, most: int) -> None:
        for hand in self._crowd.deal(most):
            assert hand.lines is not None, "nothing is missing here"
            for write in hand.writes:
                write(hand.lines)

    def change_sides(self, name: str) -> None:
        """Leave the crowd; or read alone, and join it if that is possible."""
        wish = self.wishes[name]
        if name in self._inside:
            self._inside.remove(name)
            self._stands_at[name] = self._crowd.leave(name, wish).position.seq
            return
        self._read_alone(name)
        if self._crowd.join(name, wish, at(self._stands_at[name])):
            self._inside.add(name)

    def heard_by(self, name: str) -> bytes:
        """All that one has heard once he has caught up."""
        if name in self._inside:
            self.change_sides(name)
        self._read_alone(name)
        return self._heard[name]

    def due_to(self, name: str) -> bytes:
        """All that one should have heard."""
        return self._lines(name, 0)

    def _ear(self, name: str) -> Write:
        return lambda lines: self._heard.update({name: self._heard[name] + lines})

    def _read_alone(self, name: str) -> None:
        self._heard[name] += self._lines(name, self._stands_at[name])
        self._stands_at[name] = self._hub.head.seq

    def _lines(self, name: str, after: int) -> bytes:
        wish = self.wishes[name]
        copies = self._hub.read(at(after), 10**6).copies
        if wish is None:
            return b"".join(copy.plain for copy in copies)
        return b"".join(copy.line for copy in copies if wish.wants(copy.entry.event))
