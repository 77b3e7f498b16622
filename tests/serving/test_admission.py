"""Port 5050 and strangers: what they are told, what they may do, and how they come in."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.door import Door, Forwarded
from mailnotify.config.listen import PlainFor
from mailnotify.config.schema import Limits
from mailnotify.core.events import Position
from mailnotify.core.frames import (
    Ack,
    Admitted,
    Auth,
    Bye,
    Edge,
    Gap,
    Hello,
    Live,
    Mechanism,
    Refused,
    Subscribe,
    Subscribed,
    Welcome,
)
from mailnotify.core.wire import ClientPeer
from mailnotify.serving.connection import NotifyProtocol
from tests.access.fakes import Tokens
from tests.fakes import mail
from tests.serving.test_server import LIMITS, LOCAL, Line, Rig, told

FAR = IPv4Address("TCP", "192.0.2.7", 40000)


class Guest:
    """A client on a connection from anywhere."""

    def __init__(self, rig: Rig, address: Any = LOCAL) -> None:
        self.rig = rig
        self.peer = ClientPeer("server")
        protocol = rig.factory.buildProtocol(address)
        assert isinstance(protocol, NotifyProtocol)
        self.line = Line(protocol)
        self.line.peerAddr = address if isinstance(address, IPv4Address) else LOCAL
        protocol.makeConnection(self.line)

    def say(self, *frames: Any) -> list[Any]:
        """Say this, and hear what the server answers at once."""
        for frame in frames:
            self.peer.send(frame)
        self.line.protocol.dataReceived(self.peer.to_send())
        return self.heard()

    def heard(self) -> list[Any]:
        """What the server has sent since the last time."""
        self.peer.receive(self.line.take())
        return list(self.peer.received())

    def auth(self, token: str) -> list[Any]:
        return self.say(Auth(mechanism=Mechanism.TOKEN, credential=token))


class StrangerCase(SynchronousTestCase):
    """A service that lets nobody in without a token."""

    limits = LIMITS

    def setUp(self) -> None:
        self.rig = Rig(self.limits)
        self.tokens = Tokens(self.rig.clock, folder=self.mktemp())
        self.token = self.tokens.add(1, "phone")
        self.open(PlainFor.NOBODY)

    def open(self, plain: PlainFor, **fields: Any) -> None:
        self.rig.door = Door(plain=plain, keeper=self.tokens.keeper, **fields)
        self.rig.restart()

    def codes(self, frames: list[Any]) -> list[str]:
        return [each.code if isinstance(each, Refused) else type(each).__name__ for each in frames]


class StrangerTests(StrangerCase):
    """Who has not been let in."""

    def test_hears_nothing(self) -> None:
        """No plain line, no number, no name, whatever arrives."""
        self.rig.accept(1, 2)
        guest = Guest(self.rig)
        self.rig.accept(3)
        self.assertEqual(guest.line.take(), b"")
        (welcome,) = guest.say(Hello(client="x"))
        self.assertEqual(
            welcome,
            Welcome(
                server="mailnotify", epoch="", head=0, oldest=1, ping_seconds=60, auth=("TOKEN",)
            ),
        )
        self.rig.accept(4)
        self.assertEqual(guest.heard(), [])

    def test_cannot_subscribe(self) -> None:
        """Until he is known; then at once, on the same connection."""
        guest = Guest(self.rig)
        self.assertEqual(self.codes(guest.say(Hello(), Subscribe())), ["Welcome", "AUTH"])
        self.assertEqual(self.codes(guest.auth(self.token)), ["Admitted"])
        self.assertEqual(told(guest.say(Subscribe(since=Edge.OLDEST))), [Subscribed, Live])
        self.rig.accept(1)
        self.assertEqual(told(guest.heard()), [1])

    def test_a_person_with_openssl(self) -> None:
        """AUTH without HELLO, then plain lines: for mail that comes from then on."""
        self.rig.accept(1)
        guest = Guest(self.rig)
        admitted = guest.auth(self.token)
        self.assertEqual(admitted, [Admitted(name="phone", epoch="e1", head=1, oldest=1)])
        self.rig.accept(2)
        self.assertEqual(guest.line.take(), b"New Email Received: mail 2\r\n")

    def test_is_cut_in_time(self) -> None:
        """Whatever he says meanwhile, silence or chatter; and is told why."""
        for chatter in (b"", b"PING\n", b"HELLO 1\n", b"H"):
            guest = Guest(self.rig)
            for _ in range(29):
                guest.line.protocol.dataReceived(chatter)
                self.rig.pass_time(1)
            self.assertTrue(guest.line.connected)
            self.rig.pass_time(3)
            self.assertIn(b"ERR AUTH ", guest.line.take())
            self.assertFalse(guest.line.connected)
        self.assertEqual(self.rig.factory.tally.slow, 4)

    def test_is_let_in_within_the_deadline_and_stays(self) -> None:
        """A plain reader who was let in may be silent for ever."""
        guest = Guest(self.rig)
        guest.auth(self.token)
        self.rig.pass_time(500)
        self.rig.accept(1)
        self.assertEqual(guest.line.take(), b"New Email Received: mail 1\r\n")

    def test_wrong_tokens(self) -> None:
        """Late answers, in order with the lines behind; the third failure is the last."""
        guest = Guest(self.rig)
        guest.say(Hello())
        self.assertEqual(guest.auth("x"), [])
        guest.line.protocol.dataReceived(b"PING 1\r\n")
        self.rig.pass_time(1)
        self.assertEqual(guest.line.take(), b"")
        self.assertEqual(guest.line.producerState, "paused")
        self.rig.pass_time(1)
        self.assertEqual(guest.line.take(), b"ERR DENIED this opens nothing here\r\nPONG 1\r\n")
        self.assertEqual(guest.line.producerState, "producing")
        guest.auth("y")
        self.rig.pass_time(4)
        self.assertEqual(self.codes(guest.auth("z")), ["DENIED"])
        self.rig.pass_time(8)
        self.assertEqual(self.codes(guest.heard()), ["DENIED", "Bye"])

    def test_hangs_up_while_he_waits(self) -> None:
        """No timer of his is left."""
        guest = Guest(self.rig)
        guest.auth("x")
        before = len(self.rig.clock.getDelayedCalls())
        guest.line.hang_up()
        self.assertEqual(len(self.rig.clock.getDelayedCalls()), before - 1)
        self.assertEqual(len(self.rig.factory.strangers), 0)

    def test_what_is_not_offered(self) -> None:
        """AUTH EXTERNAL without TLS, STARTTLS without a certificate: refused, not fatal."""
        guest = Guest(self.rig)
        guest.say(Hello())
        (refused,) = guest.say(Auth(mechanism=Mechanism.EXTERNAL))
        self.assertEqual(refused.code, "AUTH")
        guest.line.protocol.dataReceived(b"STARTTLS\r\n")
        self.assertEqual(self.codes(guest.heard()), ["STATE"])

    def test_twice(self) -> None:
        """Who is known cannot become somebody else."""
        guest = Guest(self.rig)
        guest.say(Hello())
        guest.auth(self.token)
        self.assertEqual(self.codes(guest.auth(self.token)), ["STATE"])


class NetworkTests(StrangerCase):
    """From other machines."""

    def test_no_token_in_clear(self) -> None:
        """It is refused before it is looked at, and so is what a stranger asks."""
        self.open(PlainFor.LOOPBACK)
        guest = Guest(self.rig, FAR)
        self.rig.accept(1)
        self.assertEqual(guest.line.take(), b"")
        (welcome,) = guest.say(Hello())
        self.assertEqual(welcome.auth, ())
        self.assertEqual(self.codes(guest.auth(self.token)), ["TLS"])
        self.assertEqual(self.codes(guest.say(Subscribe())), ["AUTH"])
        self.assertEqual(self.tokens.offloaded.hashes, 0)

    def test_behind_a_proxy_nobody_is_local(self) -> None:
        """A header that says 127.0.0.1 opens nothing; a token does, for the proxy is near."""
        self.open(PlainFor.LOOPBACK)
        guest = Guest(self.rig, Forwarded(host="127.0.0.1", port=1))
        self.rig.accept(1)
        self.assertEqual(guest.line.take(), b"")
        self.assertEqual(self.codes(guest.auth(self.token)), ["Admitted"])

    def test_failures_count_for_the_client_not_for_the_proxy(self) -> None:
        """One who guesses behind the proxy does not slow the others there."""
        guess = Guest(self.rig, Forwarded(host="192.0.2.66", port=1))
        for _ in range(2):
            guess.auth("x")
            self.rig.pass_time(5)
        other = Guest(self.rig, Forwarded(host="192.0.2.77", port=1))
        other.say(Hello())
        other.auth("x")
        self.rig.pass_time(2)
        self.assertEqual(self.codes(other.heard()), ["DENIED"])


class FewTests(StrangerCase):
    """Limits of strangers are their own."""

    limits = Limits(strangers=5, strangers_per_address=3)

    def test_strangers_take_nobodys_room(self) -> None:
        """Beyond their number they are sent away; who is known comes in by waiting a moment."""
        guests = [Guest(self.rig, Forwarded(host=f"192.0.2.{n}", port=1)) for n in range(8)]
        refused = [each for each in guests if b"ERR BUSY" in each.line.take()]
        self.assertEqual(refused, guests[5:])
        self.assertEqual(len(self.rig.factory.strangers), 5)
        guests[0].auth(self.token)
        self.assertEqual(len(self.rig.factory.strangers), 4)
        self.assertEqual(self.codes(Guest(self.rig).auth(self.token)), ["Admitted"])

    def test_one_address_does_not_take_all(self) -> None:
        """The others still have room."""
        lines = [Guest(self.rig, Forwarded(host="192.0.2.1", port=n)).line for n in range(6)]
        self.assertEqual([b"BUSY" in each.take() for each in lines], [False] * 3 + [True] * 3)
        self.assertEqual(Guest(self.rig, Forwarded(host="192.0.2.2", port=1)).line.take(), b"")


class LocalTests(StrangerCase):
    """Over loopback, by the owner of the socket."""

    def owners(self, *uids: int | None) -> list[Any]:
        """What connections hear whose sockets belong to these."""
        asked: list[Any] = []
        answers = iter(uids)

        def owner_of(theirs: Any, ours: Any) -> int | None:
            asked.append((theirs, ours))
            return next(answers)

        self.open(PlainFor.USER, users=frozenset({0, 1000}), owner_of=owner_of)
        lines = [Guest(self.rig).line for _ in uids]
        self.rig.accept(1)
        self.assertEqual(asked, [(("127.0.0.1", 40000), ("127.0.0.1", 40000))] * len(uids))
        return [b"mail 1" in each.take() for each in lines]

    def test_users(self) -> None:
        """The service's, root's and listed ones; no other, and nobody who cannot be known."""
        self.assertEqual(self.owners(0, 1000, 1001, None), [True, True, False, False])

    def test_another_user_may_have_a_token(self) -> None:
        """And is not asked to speak TLS on his own machine."""
        self.open(PlainFor.USER, owner_of=lambda *_: 1001)
        self.assertEqual(self.codes(Guest(self.rig).auth(self.token)), ["Admitted"])

    def test_all_users(self) -> None:
        """`plain = "loopback"` asks for nobody's name."""
        self.open(PlainFor.LOOPBACK, owner_of=self.fail)
        line = Guest(self.rig).line
        self.rig.accept(1)
        self.assertIn(b"mail 1", line.take())

    def test_a_socket_without_an_address(self) -> None:
        """Nobody vouches for it where users are told apart."""
        self.open(PlainFor.USER, users=frozenset({0}), owner_of=lambda *_: 0)
        protocol = self.rig.factory.buildProtocol(UNIXAddress(None))
        assert protocol is not None
        line = Line(protocol)
        line.peerAddr = UNIXAddress(None)
        protocol.makeConnection(line)
        self.rig.accept(1)
        self.assertEqual(line.take(), b"")

    def test_a_local_user_may_use_a_token(self) -> None:
        """Then he has its rights, and not those of the machine."""
        self.open(PlainFor.LOOPBACK)
        narrow = self.tokens.add(2, "narrow", accounts=("work",))
        guest = Guest(self.rig)
        guest.auth(narrow)
        self.rig.hub.accept([mail(1), mail(2, account="work")])
        self.rig.turn()
        self.assertEqual(guest.line.take(), b"New Email Received: mail 2\r\n")

    def test_accounts_that_are_not_there(self) -> None:
        """They are told by name, and so are those that are there, but not for this token."""
        self.rig.factory.accounts = ("home", "work")
        narrow = self.tokens.add(2, "narrow", accounts=("work",))
        guest = Guest(self.rig)
        guest.say(Hello())
        guest.auth(narrow)
        answer, _ = guest.say(Subscribe(accounts=("work", "home", "hone")))
        self.assertEqual(answer.unknown, ("home", "hone"))

    def test_mail_arrives_while_a_token_is_looked_at(self) -> None:
        """Until the answer he is shown what he was; from then on what the token allows."""
        self.open(PlainFor.LOOPBACK)
        narrow = self.tokens.add(2, "narrow", accounts=("work",))
        guest = Guest(self.rig)
        self.tokens.offloaded.is_slow = True
        guest.auth(narrow)
        self.rig.accept(1)
        self.tokens.offloaded.finish()
        self.rig.hub.accept([mail(2), mail(3, account="work")])
        self.rig.turn()
        first, answer, second, rest = guest.line.take().split(b"\r\n")
        self.assertEqual((first, rest), (b"New Email Received: mail 1", b""))
        self.assertIn(b'"to":"AUTH"', answer)
        self.assertEqual(second, b"New Email Received: mail 3")


class RightsTests(StrangerCase):
    """What a token is limited to."""

    def guest(self, **rights: Any) -> Guest:
        guest = Guest(self.rig)
        guest.auth(self.tokens.add(9, "limited", **rights))
        guest.heard()
        return guest

    def deliver(self) -> None:
        self.rig.hub.accept(
            [
                mail(1),
                mail(2, account="work"),
                mail(3, account="work", mailbox="Lists"),
            ]
        )
        self.rig.turn(3)

    def test_accounts_mailboxes_kinds(self) -> None:
        """Nothing else is shown, in the replay and live, whatever is asked for."""
        for rights, expected in (
            ({"accounts": ("work",)}, [2, 3]),
            ({"mailboxes": ("INBOX",)}, [1, 2]),
            ({"accounts": ("work",), "mailboxes": ("Lists",)}, [3]),
            ({"kinds": ("account",)}, []),
            ({}, [1, 2, 3]),
        ):
            self.setUp()
            guest = self.guest(**rights)
            guest.say(Hello())
            guest.say(Subscribe())
            self.deliver()
            self.assertEqual([each for each in told(guest.heard()) if each != Live], expected)
            again = Guest(self.rig)
            again.auth(self.tokens.add(10, "other", **rights))
            frames = again.say(Hello(), Subscribe(since=Edge.OLDEST))
            self.rig.turn(3)
            frames += again.heard()
            self.assertEqual([each for each in told(frames) if isinstance(each, int)], expected)

    def test_plain_lines(self) -> None:
        """The same rights hold for a person with `openssl s_client`."""
        guest = self.guest(accounts=("work",), mailboxes=("INBOX",))
        self.deliver()
        self.assertEqual(guest.line.take(), b"New Email Received: mail 2\r\n")
        silent = self.guest(kinds=("account",))
        self.rig.accept(7)
        self.assertEqual(silent.line.take(), b"")

    def test_filters_go_within_rights(self) -> None:
        """Both hold; where nothing remains that is said, and another try is free."""
        guest = self.guest(accounts=("work", "club"))
        guest.say(Hello())
        self.assertEqual(self.codes(guest.say(Subscribe(accounts=("home",)))), ["DENIED"])
        self.assertEqual(told(guest.say(Subscribe(accounts=("home", "work")))), [Subscribed, Live])
        self.deliver()
        self.assertEqual(told(guest.heard()), [2, 3])

    def test_revoked(self) -> None:
        """Within a second he is gone, and told why; others stay."""
        guest, other = self.guest(), Guest(self.rig)
        other.auth(self.token)
        guest.say(Hello(), Subscribe())
        self.tokens.revoke("limited")
        self.rig.pass_time(1)
        self.assertEqual(guest.heard(), [Bye(reason="revoked")])
        self.assertFalse(guest.line.connected and not guest.line.disconnecting)
        self.assertFalse(other.line.disconnecting)


class NamedReaderTests(StrangerCase):
    """Positions that the server keeps."""

    def setUp(self) -> None:
        super().setUp()
        self.open(PlainFor.LOOPBACK)

    def reader(self, name: str = "desk", **wishes: Any) -> Guest:
        guest = Guest(self.rig)
        guest.say(Hello())
        guest.first = guest.say(Subscribe(reader=name, **wishes))  # type: ignore[attr-defined]
        self.rig.turn(2)
        guest.first += guest.heard()  # type: ignore[attr-defined]
        return guest

    def ack(self, guest: Guest, seq: int, epoch: str = "e1") -> list[str]:

        return self.codes(guest.say(Ack(position=Position(epoch=epoch, seq=seq))))

    def test_goes_on_where_it_was(self) -> None:
        """What was acknowledged does not come again; what was not does."""
        self.rig.accept(1)
        guest = self.reader(since=Edge.OLDEST)
        self.assertTrue(guest.first[0].is_new)
        self.rig.accept(2, 3)
        self.assertEqual(told(guest.heard()), [2, 3])
        self.assertEqual(self.ack(guest, 2), [])
        guest.line.hang_up()
        self.rig.accept(4)
        again = self.reader(since=Edge.NOW)
        self.assertEqual(told(again.first), [Subscribed, 3, 4, Live])
        self.assertFalse(again.first[0].is_new)

    def test_survives_the_service(self) -> None:
        """An acknowledgement that is a second old is in the journal; one of now comes again."""
        self.rig.accept(1, 2, 3)
        guest = self.reader(since=Edge.OLDEST)
        self.ack(guest, 2)
        self.rig.pass_time(1)
        self.assertEqual(self.rig.journal.marks["", "desk"][0], 2)
        self.ack(guest, 3)
        self.rig.restart()
        self.assertEqual(told(self.reader().first), [Subscribed, 3, Live])

    def test_never_back(self) -> None:
        """An older acknowledgement that comes late changes nothing."""
        self.rig.accept(1, 2, 3)
        guest = self.reader(since=Edge.OLDEST)
        self.ack(guest, 3)
        self.assertEqual(self.ack(guest, 1), [])
        guest.line.hang_up()
        self.assertEqual(told(self.reader().first), [Subscribed, Live])

    def test_what_cannot_be_acknowledged(self) -> None:
        """What was not sent, another epoch, without a name: refused, and nothing moves."""
        self.rig.accept(1)
        guest = self.reader(since=Edge.OLDEST)
        self.assertEqual(self.ack(guest, 2), ["READER"])
        self.assertEqual(self.ack(guest, 1, "e2"), ["READER"])
        nobody = self.reader("")
        self.assertEqual(self.ack(nobody, 1), ["READER"])
        self.assertEqual(self.rig.readers.claim(("", "desk"), lambda: None).seq, 0)  # type: ignore[union-attr]

    def test_one_connection_at_a_time(self) -> None:
        """The new one takes over, the old one is told; its late ACK and end do no harm."""
        self.rig.accept(1)
        old = self.reader(since=Edge.OLDEST)
        new = self.reader()
        self.assertEqual(old.heard(), [Bye(reason="replaced")])
        old.line.hang_up()
        self.ack(new, 1)
        third = self.reader()
        self.assertEqual(told(third.first), [Subscribed, Live])
        self.assertEqual(new.heard(), [Bye(reason="replaced")])

    def test_names_belong_to_tokens(self) -> None:
        """Two owners use one name without knowing of each other."""
        self.rig.accept(1, 2)
        guest = Guest(self.rig)
        guest.auth(self.token)
        guest.say(Hello(), Subscribe(reader="desk", since=Edge.OLDEST))
        self.ack(guest, 2)
        local = self.reader(since=Edge.OLDEST)
        self.assertEqual(told(local.first), [Subscribed, 1, 2, Live])
        self.assertTrue(guest.line.connected)

    def test_read_only(self) -> None:
        """Such a token keeps no position on the server, and may read all the same."""
        guest = Guest(self.rig)
        guest.auth(self.tokens.add(3, "guest", is_read_only=True))
        guest.say(Hello())
        self.assertEqual(self.codes(guest.say(Subscribe(reader="desk"))), ["DENIED"])
        self.assertEqual(told(guest.say(Subscribe())), [Subscribed, Live])

    def test_too_many_names(self) -> None:
        """The rig keeps three; a fourth is refused, a known one is not."""
        for name in ("a", "b", "c"):
            self.reader(name)
        self.rig.pass_time(1)
        self.assertEqual(self.codes(self.reader("d").first), ["READER"])
        self.assertEqual(told(self.reader("a").first), [Subscribed, Live])

    def test_gap(self) -> None:
        """What retention took from a reader is told to it."""
        self.rig.accept(1, 2, 3)
        guest = self.reader(since=Edge.OLDEST)
        self.ack(guest, 1)
        guest.line.hang_up()
        self.rig.pass_time(1)
        self.rig.journal.forget(2)
        self.rig.restart()
        self.assertEqual(told(self.reader().first), [Subscribed, Gap, 3, Live])

    def test_a_disk_that_refuses(self) -> None:
        """The positions wait in memory, and are written when there is room."""
        self.rig.accept(1)
        guest = self.reader(since=Edge.OLDEST)
        self.rig.journal.is_full = True
        self.ack(guest, 1)
        self.rig.pass_time(3)
        guest.line.hang_up()
        self.assertEqual(told(self.reader().first), [Subscribed, Live])
        self.rig.journal.is_full = False
        self.rig.pass_time(1)
        self.assertEqual(self.rig.journal.marks["", "desk"][0], 1)

    def test_a_damaged_journal(self) -> None:
        """Who subscribes is told that somebody has to look at the server."""
        self.rig.journal.is_damaged = True
        guest = Guest(self.rig)
        guest.say(Hello())
        self.assertEqual(guest.say(Subscribe(reader="desk")), [Bye(reason="journal")])

    def test_idle_names_are_forgotten(self) -> None:
        """One that is connected is not idle, however quiet it is."""
        self.rig.accept(1)
        self.reader("quiet")
        idle = self.reader("idle")
        idle.line.hang_up()
        self.rig.pass_time(1)
        for key, (seq, seen) in self.rig.journal.marks.items():
            self.rig.journal.marks[key] = seq, seen.replace(year=2025)
        self.assertEqual(self.rig.readers.forget(days=90), 1)
        self.assertEqual(set(self.rig.journal.marks), {("", "quiet")})

    def test_a_reader_from_another_life(self) -> None:
        """It starts with a gap, and has a mark after its first ACK in this one."""

        self.rig.accept(1)
        guest = self.reader(since=Position(epoch="e0", seq=9))
        self.assertEqual(told(guest.first), [Subscribed, Gap, 1, Live])
        self.ack(guest, 1)
        self.rig.pass_time(1)
        self.assertEqual(self.rig.journal.marks["", "desk"][0], 1)

    def test_served_by_the_crowd(self) -> None:
        """What was dealt with all the others can be acknowledged, too."""
        guests = [self.reader(name) for name in ("a", "b")]
        self.rig.accept(1, 2)
        for guest in guests:
            self.assertEqual(told(guest.heard()), [1, 2])
            self.assertEqual(self.ack(guest, 2), [])
        self.rig.pass_time(1)
        self.assertEqual({seq for seq, _ in self.rig.journal.marks.values()}, {2})
