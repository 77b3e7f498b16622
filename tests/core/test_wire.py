"""The line protocol without a transport: any bytes, in any pieces, in any order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import assume, given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.events import Entry, Position
from mailnotify.core.frames import (
    Ack,
    Admitted,
    Announce,
    Auth,
    Bye,
    ClientFrame,
    Code,
    Edge,
    Farewell,
    Gap,
    Hello,
    Live,
    Mechanism,
    Part,
    Ping,
    Plain,
    Pong,
    Queued,
    Quit,
    Refused,
    Secured,
    Send,
    ServerFrame,
    StartTls,
    Subscribe,
    Subscribed,
    Unreadable,
    Welcome,
    parse_since,
)
from mailnotify.core.lines import FROM_CLIENT, FROM_SERVER, decode, encode
from mailnotify.core.parts import Count, cut as cut_parts
from mailnotify.core.wire import ClientPeer, ServerPeer, Stage
from mailnotify.errors import ProtocolViolated, WireError
from tests.fakes import NOON, account_state, mail

HERE = Position(epoch="e1", seq=7)
WELCOME = Welcome(server="mailnotify/0", epoch="e1", head=7, oldest=1, ping_seconds=60)
SUBSCRIBED = Subscribed(position=HERE)
EVENT = Announce(epoch="e1", entry=Entry(seq=8, at=NOON, event=mail(1, "h\u00e9 \u2603")))

positions = st.builds(
    Position,
    epoch=st.text("abcxyz019", min_size=1, max_size=64),
    seq=st.integers(0, 10**18 - 1),
)
moments = st.datetimes(timezones=st.just(UTC))
names = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4).map(tuple)
words = st.text("abc xyz-\u00e9", max_size=20).map(str.strip)
subscribes = st.builds(
    Subscribe,
    since=st.one_of(positions, moments, st.sampled_from(Edge)),
    accounts=names,
    mailboxes=names,
    kinds=names,
    min_priority=st.integers(1, 5),
    poll=st.booleans(),
    reader=st.text("abcXYZ019._-", max_size=64),
)
events = st.one_of(
    st.builds(mail, st.integers(1, 2**32 - 1), st.text(st.characters(codec="utf-8"))),
    st.builds(account_state, cause=st.text(st.characters(codec="utf-8"))),
)
entries = st.builds(Entry, seq=st.integers(1, 10**17), at=moments, event=events)
client_frames = st.one_of(
    st.builds(Hello, client=words),
    subscribes,
    st.just(StartTls()),
    st.builds(
        Auth, mechanism=st.just(Mechanism.TOKEN), credential=st.text("abc019._ ", min_size=1)
    ).filter(lambda auth: auth.credential == auth.credential.rstrip() != ""),
    st.just(Auth(mechanism=Mechanism.EXTERNAL)),
    st.builds(Ack, position=positions),
    st.builds(
        Send,
        size=st.integers(1, 2**53),
        to=names.filter(bool),
        sender=words,
        account=words,
        key=words,
    ),
    st.binary(min_size=1, max_size=90).map(lambda content: next(cut_parts(content))),
    st.builds(Ping, token=words),
    st.builds(Pong, token=words),
    st.just(Quit()),
)
server_frames = st.one_of(
    st.just(WELCOME),
    st.builds(
        Subscribed,
        position=positions,
        is_new=st.booleans(),
        unknown=st.lists(words, max_size=3).map(tuple),
        unknown_kinds=st.lists(words, max_size=3).map(tuple),
    ),
    st.just(Secured()),
    st.builds(Queued, letter=st.integers(1, 10**17), message_id=words),
    st.builds(
        Admitted,
        name=words,
        epoch=st.text("abc019", min_size=1, max_size=9),
        head=st.integers(0, 10**17),
        oldest=st.integers(0, 10**17),
    ),
    st.builds(Gap, since=positions, to=positions, reason=words),
    st.builds(
        Announce,
        epoch=st.text("abc019", min_size=1, max_size=9),
        entry=entries,
        is_shortened=st.booleans(),
    ),
    st.builds(Live, position=positions),
    st.builds(Refused, code=st.sampled_from(Code), reason=words),
    st.builds(Bye, reason=words),
    st.builds(Ping, token=words),
    st.builds(Pong, token=words),
    st.builds(Plain, subject=words),
)
_VERBS = [each.encode() for each in (*FROM_CLIENT, *FROM_SERVER)]
shreds = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(_VERBS),
    st.sampled_from([b" ", b"\n", b"\r\n", b"{", b"}", b"{}", b"1", b"e1:7", b'"since":', b"["]),
    st.builds(encode, client_frames),
    st.builds(encode, server_frames),
)
streams = st.lists(shreds, max_size=30).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """A stream in pieces."""
    at = sorted({each % (len(stream) + 1) for each in places} | {0, len(stream)})
    return [stream[begin:end] for begin, end in pairwise(at)]


def serve(pieces: list[bytes]) -> tuple[list[ClientFrame], bytes, Stage]:
    """Let a server with a fixed answer to everything hear these bytes."""
    peer = ServerPeer()
    frames: list[ClientFrame] = []
    said = b""
    for piece in pieces:
        peer.receive(piece)
        while True:
            for frame in peer.received():
                frames.append(frame)
                peer.send(WELCOME if isinstance(frame, Hello) else SUBSCRIBED)
            is_pausing = peer.is_pausing
            said += peer.to_send()
            if not is_pausing:
                break
    return frames, said, peer.stage


def follow(pieces: list[bytes]) -> tuple[list[ServerFrame], str, bytes]:
    """Let a client hear these bytes; what it understood, what it objected to, what it said."""
    peer = ClientPeer("server")
    frames: list[ServerFrame] = []
    try:
        for piece in pieces:
            peer.receive(piece)
            frames.extend(peer.received())
    except ProtocolViolated as violation:
        return frames, str(violation), peer.to_send()
    return frames, "", peer.to_send()


class FrameTests(SynchronousTestCase):
    """Single lines."""

    @given(client_frames)
    def test_client_frames_survive(self, frame: ClientFrame) -> None:
        """What a client says is what the server reads."""
        line = encode(frame)
        self.assertTrue(line.endswith(b"\r\n"))
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(decode(line[:-2], FROM_CLIENT), frame)

    @given(server_frames)
    def test_server_frames_survive(self, frame: ServerFrame) -> None:
        """What a server says is what the client reads."""
        self.assertEqual(decode(encode(frame)[:-2], FROM_SERVER), frame)

    @given(st.binary(max_size=200), st.sampled_from([FROM_CLIENT, FROM_SERVER]))
    def test_garbage(self, line: bytes, vocabulary: object) -> None:
        """A line of anything is a frame or a WireError."""
        for verb in (b"", *_VERBS):
            try:
                decode(verb + b" " + line, vocabulary)  # type: ignore[arg-type]
            except WireError as wrong:
                self.assertIn(wrong.code, set(Code))
                self.assertTrue(wrong.reason.isprintable())

    def test_exact_bytes(self) -> None:
        """The form on the wire, as the document has it."""
        since = Subscribe(since=HERE, accounts=("home",), poll=True)
        expected = b'SUBSCRIBE {"since":"e1:7","accounts":["home"],"poll":true}\r\n'
        self.assertEqual(encode(since), expected)
        self.assertEqual(encode(Subscribe()), b'SUBSCRIBE {"since":"now"}\r\n')
        self.assertEqual(encode(Hello(client="me")), b'HELLO 1 {"client":"me"}\r\n')
        self.assertEqual(encode(Ping()), b"PING\r\n")
        self.assertEqual(encode(Live(position=HERE)), b"LIVE e1:7\r\n")
        gap = Gap(since=HERE, to=HERE, reason="expired")
        self.assertEqual(encode(gap), b'GAP {"from":"e1:7","to":"e1:7","reason":"expired"}\r\n')
        place, body = encode(EVENT).removeprefix(b"EVENT ").split(b" ", 1)
        self.assertEqual(place, b"e1:8")
        event = json.loads(body)
        self.assertEqual((event["kind"], event["at"]), ("mail", "2026-01-02T12:00:00Z"))
        self.assertEqual(event["subject"], "h\u00e9 \u2603")

    def test_since_in_any_zone(self) -> None:
        """A time is understood in any zone and kept in UTC."""
        expected = datetime(2026, 1, 2, 12, tzinfo=UTC)
        for text in ("2026-01-02T12:00:00Z", "2026-01-02T14:30:00+02:30"):
            self.assertEqual(parse_since(text), expected)
        zone = timezone(timedelta(hours=5))
        line = encode(Subscribe(since=expected.astimezone(zone)))
        self.assertEqual(decode(line[:-2], FROM_CLIENT), Subscribe(since=expected))

    def test_since_that_is_nothing(self) -> None:
        """A time without a zone, a number, a word: each is refused with the reason."""
        for since in ("2026-01-02T12:00:00", "7", "e1:", ":7", "e1:-7", "e 1:7", "later", ""):
            line = b'SUBSCRIBE {"since":"%b"}' % since.encode()
            error = self.assertRaises(WireError, decode, line, FROM_CLIENT)
            self.assertEqual((since, error.code), (since, Code.SYNTAX))

    def test_times_at_the_end_of_time(self) -> None:
        """A moment that has no place in UTC is refused, not a crash."""
        for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
            line = b'SUBSCRIBE {"since":"%b"}' % moment.encode()
            self.assertEqual(
                self.assertRaises(WireError, decode, line, FROM_CLIENT).code, Code.SYNTAX
            )

    def test_json_that_bites(self) -> None:
        """Nesting without end, the wrong type, trailing text, no UTF-8: refused."""
        for body in (b'{"x":' + b"[" * 3000, b"[]", b"{}x", b'{"poll":1}', b'{"since":7}', b"\xff"):
            error = self.assertRaises(WireError, decode, b"SUBSCRIBE " + body, FROM_CLIENT)
            self.assertEqual((body, error.code), (body, Code.SYNTAX))

    def test_unknown_keys(self) -> None:
        """A newer client may say more; what is not known is ignored."""
        frame = decode(b'SUBSCRIBE {"poll":true,"x":{"y":[1]}}', FROM_CLIENT)
        self.assertEqual(frame, Subscribe(poll=True))

    def test_versions(self) -> None:
        """Only version 1 is spoken, and that is said."""
        self.assertEqual(decode(b"HELLO 1", FROM_CLIENT), Hello())
        for line, code in (
            (b"HELLO 2 {}", Code.VERSION),
            (b"HELLO", Code.SYNTAX),
            (b"HELLO {}", Code.SYNTAX),
            (b"HELLO 01", Code.VERSION),
        ):
            error = self.assertRaises(WireError, decode, line, FROM_CLIENT)
            self.assertEqual((line, error.code), (line, code))

    def test_an_event_of_tomorrow(self) -> None:
        """An event of a kind that is not known keeps its position."""
        frame = decode(b'EVENT e1:9 {"at":"2026-01-02T12:00:00Z","kind":"later"}', FROM_SERVER)
        self.assertEqual(frame, Unreadable(position=Position(epoch="e1", seq=9), kind="later"))

    def test_text_of_a_peer_is_cleaned(self) -> None:
        """Words that are shown to people cannot act on their terminal."""
        frame = decode("ERR B\x1b[2J oh\u202e no".encode(), FROM_SERVER)
        self.assertEqual(frame, Refused(code="B[2J", reason="oh no"))
        hello = decode(b'HELLO 1 {"client":"a\\u001b[2J\\n"}', FROM_CLIENT)
        self.assertEqual(hello, Hello(client="a[2J"))


class PartsTests(SynchronousTestCase):
    """A letter in lines."""

    @given(st.binary(max_size=5000), st.integers(512, 65536))
    def test_cut(self, letter: bytes, line_bytes: int) -> None:
        """The parts fit into lines, and together are the letter."""
        count = Count(len(letter))
        found = b""
        for part in cut_parts(letter, line_bytes):
            self.assertLessEqual(len(encode(part)), line_bytes)
            found += count.take(part)
        self.assertEqual((found, count.missing_bytes), (letter, 0))

    @given(st.text(max_size=20), st.integers(1, 9))
    def test_garbage(self, text: str, size: int) -> None:
        """Anything is so many bytes, or a WireError that a person may see."""
        count = Count(size)
        try:
            found = count.take(Part(text=text))
        except WireError as wrong:
            self.assertIn(wrong.code, (Code.SYNTAX, Code.SIZE))
            self.assertTrue(wrong.reason.isprintable())
            self.assertEqual(count.missing_bytes, size)
        else:
            self.assertEqual(count.missing_bytes, size - len(found))
            self.assertTrue(0 < len(found) <= size)


class ServerPeerTests(SynchronousTestCase):
    """The server's end."""

    @given(streams, st.lists(st.integers(0), max_size=20))
    def test_any_split_is_the_same(self, stream: bytes, places: list[int]) -> None:
        """However the bytes are cut, the same is understood, answered and closed."""
        assume(b"STARTTLS" not in stream)  # there the cut decides on purpose; see below
        self.assertEqual(serve([stream]), serve(cut(stream, places)))

    def test_split_at_every_byte(self) -> None:
        """A whole dialogue, byte by byte."""
        frames = (Hello(client="\u00e9"), Ping(token="x"), Subscribe(since=HERE), Quit())
        stream = b"".join(map(encode, frames))
        understood, said, stage = serve([bytes([each]) for each in stream])
        self.assertEqual(understood, [frames[0], frames[2]])
        expected = (WELCOME, Pong(token="x"), SUBSCRIBED, Bye(reason="quit"))
        self.assertEqual(said, b"".join(map(encode, expected)))
        self.assertIs(stage, Stage.CLOSED)

    def test_every_line_is_answered_in_order(self) -> None:
        """A mistake between two good lines is answered in its place."""
        _, said, _ = serve([b"FOO\nHELLO 1\nHELLO 1\n\nBAR\nPING 1\nSUBSCRIBE []\nSUBSCRIBE\n"])
        verbs = [b" ".join(each.split(b" ")[:2]) for each in said.split(b"\r\n")]
        expected = b"ERR UNKNOWN,OK {,ERR STATE,ERR UNKNOWN,PONG 1,ERR SYNTAX,OK {,"
        self.assertEqual(
            [each.split(b"{")[0] for each in verbs],
            [each.split(b"{")[0] for each in expected.split(b",")],
        )

    def test_out_of_turn(self) -> None:
        """A verb at the wrong stage is refused, and nothing changes."""
        for lines, stage in (
            (b"SUBSCRIBE\n", Stage.PLAIN),
            (b"HELLO 1\nHELLO 1\n", Stage.GREETED),
            (b"HELLO 1\nSUBSCRIBE\nSUBSCRIBE\n", Stage.SUBSCRIBED),
            (b"HELLO 1\nSUBSCRIBE\nHELLO 1\n", Stage.SUBSCRIBED),
        ):
            _, said, reached = serve([lines])
            self.assertIn(b"ERR STATE ", said)
            self.assertIs(reached, stage)

    def test_an_unknown_verb(self) -> None:
        """What is no verb is refused, and not fatal."""
        for line in (b"IDLE", b"AUTHENTICATE", b"hello 1", b"auth TOKEN x"):
            _, said, stage = serve([line + b"\n"])
            self.assertTrue(said.startswith(b"ERR UNKNOWN "))
            self.assertIs(stage, Stage.PLAIN)

    def test_nothing_is_carried_into_tls(self) -> None:
        """Bytes behind STARTTLS in clear are an attack: refused, forgotten, closed."""
        for rest in (b"AUTH TOKEN x\n", b"\n", b"\x16"):
            frames, said, stage = serve([b"HELLO 1\nSTARTTLS\n" + rest])
            self.assertEqual(frames, [Hello()])
            self.assertIn(b"ERR TLS ", said)
            self.assertTrue(said.endswith(b'BYE {"reason":"insecure"}\r\n'))
            self.assertIs(stage, Stage.CLOSED)

    def test_nothing_in_clear_after_ok_to_starttls(self) -> None:
        """Between the OK and TLS neither end says or hears anything."""
        peer = ServerPeer()
        peer.receive(b"STARTTLS\r\n")
        self.assertEqual(list(peer.received()), [StartTls()])
        peer.send(Secured())
        peer.send(Ping())
        peer.relay(b"New Email Received: secret\r\n")
        peer.receive(b"HELLO 1\n")
        self.assertEqual((list(peer.received()), peer.has_input), ([], False))
        self.assertEqual(peer.to_send(), b'OK {"to":"STARTTLS"}\r\n')

    def test_lines_wait_for_a_slow_answer(self) -> None:
        """While one answer takes its time, the next line is not looked at."""
        peer = ServerPeer()
        peer.receive(b"AUTH TOKEN x\nPING 1\n")
        asked = peer.received()
        self.assertEqual(next(asked), Auth(mechanism=Mechanism.TOKEN, credential="x"))
        peer.is_waiting = True
        self.assertEqual(list(asked), [])
        self.assertEqual(peer.to_send(), b"")
        peer.is_waiting = False
        self.assertEqual(list(peer.received()), [])
        self.assertEqual(peer.to_send(), b"PONG 1\r\n")

    def test_a_token_is_never_repeated(self) -> None:
        """Neither an error nor a repr shows what came as a token."""
        for line in (b"AUTH swordfish", b"AUTH EXTERNAL swordfish", b"AUTH TOKENswordfish"):
            _, said, _ = serve([line + b"\n"])
            self.assertTrue(said.startswith(b"ERR SYNTAX "))
            self.assertNotIn(b"swordfish", said)
        self.assertNotIn("swordfish", repr(decode(b"AUTH TOKEN swordfish", FROM_CLIENT)))

    def test_names_of_readers(self) -> None:
        """Letters, digits and three signs; no more than 64."""
        for name, is_good in (("desk-1._A", True), ("x" * 65, False), ("a b", False), ("a\n", 0)):
            line = b"SUBSCRIBE " + json.dumps({"reader": name}).encode()
            if is_good:
                self.assertEqual(decode(line, FROM_CLIENT), Subscribe(reader=name))
            else:
                self.assertRaises(WireError, decode, line, FROM_CLIENT)

    def test_priorities(self) -> None:
        """From 1 to 5; an event without a priority stands in the middle."""
        self.assertTrue(Subscribe(min_priority=3).wants(mail(1)))
        self.assertFalse(Subscribe(min_priority=4).wants(mail(1)))
        for wrong in (b"0", b"6", b'"high"'):
            self.assertRaises(
                WireError, decode, b'SUBSCRIBE {"min_priority":%b}' % wrong, FROM_CLIENT
            )

    def test_longest_line(self) -> None:
        """4096 bytes with the end are a line, one more is the end of it."""
        fits = b"PING " + b"x" * 4090 + b"\n"
        self.assertEqual(len(fits), 4096)
        self.assertIs(serve([fits])[2], Stage.PLAIN)
        _, said, stage = serve([b"PING " + b"x" * 4091 + b"\n"])
        self.assertIs(stage, Stage.CLOSED)
        self.assertEqual(
            said, b'ERR TOOLONG over 4096 bytes in a line\r\nBYE {"reason":"overlong"}\r\n'
        )

    def test_a_line_that_never_ends(self) -> None:
        """4096 bytes without an end are known to be too long already, and nothing is kept."""
        peer = ServerPeer()
        for _ in range(4096):
            peer.receive(b"x")
            self.assertEqual(list(peer.received()), [])
        self.assertIs(peer.stage, Stage.CLOSED)
        peer.receive(b"x" * 100)
        self.assertFalse(peer.has_input)

    def test_answers_wait(self) -> None:
        """While the answers are not taken, the rest of the lines is left unread."""
        peer = ServerPeer()
        peer.receive((b"PING " + b"x" * 190 + b"\n") * 1000)
        for _ in range(2):
            self.assertEqual(list(peer.received()), [])
            self.assertTrue(peer.is_pausing)
            self.assertIn(len(peer.to_send()), range(4000, 4300))

    def test_many_lines(self) -> None:
        """However short they are, and answered or not: others have a turn in between."""
        for line, answer in ((b"\n", b""), (b"PONG\n", b""), (b"PING\n", b"PONG\r\n")):
            peer = ServerPeer()
            peer.receive(line * 120)
            answers = []
            while list(peer.received()) == [] and peer.is_pausing:
                answers.append(peer.to_send())
            answers.append(peer.to_send())
            self.assertEqual(answers, [answer * count for count in (50, 50, 20)])

    def test_a_browser(self) -> None:
        """A page that posts words of ours through a browser is not heard."""
        said = b'ERR FOREIGN this is no web server\r\nBYE {"reason":"foreign"}\r\n'
        for request in (b"POST / HTTP/1.1", b"GET /HELLO%201 HTTP/1.0", b"PRI * HTTP/2.0"):
            peer = ServerPeer()
            peer.receive(request + b"\r\nHost: localhost:5050\r\n\r\nHELLO 1\r\nSUBSCRIBE\r\n")
            self.assertEqual(list(peer.received()), [], request)
            self.assertEqual(peer.to_send(), said)
        peer = ServerPeer()
        peer.receive(b"POST /\nHELLO 1\n")
        self.assertEqual(list(peer.received()), [Hello()])

    def test_nothing_after_bye(self) -> None:
        """BYE is the last line."""
        peer = ServerPeer()
        peer.receive(b"QUIT\nPING\n")
        self.assertEqual(list(peer.received()), [])
        peer.send(Ping())
        peer.relay(b"more\r\n")
        self.assertEqual(peer.to_send(), b'BYE {"reason":"quit"}\r\n')

    def test_close(self) -> None:
        """Who has not said HELLO hears no BYE when the server closes."""
        plain, greeted = ServerPeer(), ServerPeer()
        greeted.send(WELCOME)
        greeted.to_send()
        for peer in (plain, greeted):
            peer.close(Farewell.RESTART)
            self.assertIs(peer.stage, Stage.CLOSED)
        self.assertEqual(plain.to_send(), b"")
        self.assertEqual(greeted.to_send(), b'BYE {"reason":"restart"}\r\n')


class ClientPeerTests(SynchronousTestCase):
    """The client's end."""

    @given(streams, st.lists(st.integers(0), max_size=20))
    def test_any_split_is_the_same(self, stream: bytes, places: list[int]) -> None:
        """However the bytes are cut, the same is understood or objected to."""
        self.assertEqual(follow([stream]), follow(cut(stream, places)))

    @given(st.lists(server_frames, max_size=10))
    def test_any_order(self, frames: list[ServerFrame]) -> None:
        """Frames in any order are understood, or are a violation; nothing else happens."""
        understood, objection, _ = follow([b"".join(map(encode, frames))])
        if not objection:
            silent = (Ping, Pong, Plain)
            ended = next((at for at, each in enumerate(frames) if isinstance(each, Bye)), None)
            heard = frames if ended is None else frames[: ended + 1]
            self.assertEqual(understood, [each for each in heard if not isinstance(each, silent)])

    def test_dialogue(self) -> None:
        """Plain lines before OK are nothing; then all is handed on; pings are answered."""
        frames = (
            Plain(subject="early"),
            WELCOME,
            SUBSCRIBED,
            EVENT,
            Ping(token="a"),
            Live(position=HERE),
            Bye(reason="restart"),
        )
        understood, objection, said = follow([b"".join(map(encode, frames))])
        self.assertEqual(objection, "")
        self.assertEqual(understood, [WELCOME, SUBSCRIBED, EVENT, frames[5], frames[6]])
        self.assertEqual(said, b"PONG a\r\n")

    def test_not_mailnotify(self) -> None:
        """Another server at that port is recognised and quoted, tamely."""
        for said in (
            b"HTTP/1.1 400 Bad Request\r\n",
            b"220 mx.example.org ESMTP\r\n",
            b"\x16\x03\x01\x1b[2J\r\n",
            b"New York\r\n",
            b"\x1b]" * 30_000 + b"\r\n",
        ):
            _, objection, _ = follow([said])
            self.assertTrue(objection.startswith("server sent "), objection)
            self.assertTrue(objection.isprintable())
            self.assertLess(len(objection), 500)

    def test_a_newer_server(self) -> None:
        """A verb that is not known is ignored once the server has introduced itself."""
        understood, objection, _ = follow([encode(WELCOME) + b"NEWS of tomorrow\r\n"])
        self.assertEqual((understood, objection), ([WELCOME], ""))

    def test_out_of_turn(self) -> None:
        """An event before the answer to SUBSCRIBE is a violation."""
        understood, objection, _ = follow([encode(WELCOME), encode(EVENT)])
        self.assertEqual(understood, [WELCOME])
        self.assertIn("out of turn", objection)

    def test_refusal_is_handed_on(self) -> None:
        """What the server refuses, the client is told."""
        busy = (Refused(code="BUSY", reason="no room"), Bye(reason="busy"))
        understood, objection, _ = follow([b"".join(map(encode, busy))])
        self.assertEqual((understood, objection), (list(busy), ""))

    def test_nothing_is_carried_into_tls(self) -> None:
        """Bytes behind the OK to STARTTLS are an attack: nothing of them is believed."""
        frames, objection, _ = follow([encode(Secured()) + encode(WELCOME)])
        self.assertEqual(frames, [])
        self.assertIn("in clear after OK", objection)
        self.assertEqual(follow([encode(Secured()), encode(WELCOME)])[0], [Secured()])

    def test_longest_line(self) -> None:
        """A line over 64 KiB is a violation, whether it ends or not."""
        head = encode(WELCOME)
        self.assertEqual(follow([head, b"X" * 65535 + b"\n"])[1], "")
        self.assertIn("TOOLONG", follow([head, b"X" * 65536 + b"\n"])[1])
        self.assertIn("TOOLONG", follow([head, b"X" * 65536])[1])

    def test_nothing_after_a_violation(self) -> None:
        """A peer that was wrong once is not listened to any more."""
        peer = ClientPeer("server")
        peer.receive(b"what?\r\n" + encode(WELCOME))
        self.assertRaises(ProtocolViolated, list, peer.received())
        peer.receive(encode(WELCOME))
        self.assertEqual(list(peer.received()), [])
