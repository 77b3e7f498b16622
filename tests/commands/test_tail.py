"""``mailnotify tail``: its options, and the whole command as a process in a pipe."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from mailnotify.commands.tail import CountingSink, Options, PickingSink, Tail
from mailnotify.core.events import Position
from mailnotify.core.frames import Edge
from mailnotify.core.pick import Pick
from mailnotify.interfaces import ISink
from mailnotify.sinks.outlet import Outlet
from tests.live.stream_server import EPOCH, StreamServer
from tests.sinks.fakes import HERE, FakeSink, entry, mail

ROOT = Path(__file__).resolve().parents[2]
reactor: Any = _reactor


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    """`Options`."""

    def test_since(self) -> None:
        """A start is a position, a time with its zone, oldest or now."""
        moment = datetime(2026, 1, 31, 8, tzinfo=UTC)
        for text, since in (
            ("now", Edge.NOW),
            ("oldest", Edge.OLDEST),
            ("a1b2:7", Position(epoch="a1b2", seq=7)),
            ("2026-01-31T09:00:00+01:00", moment),
        ):
            self.assertEqual(parse("--since", text)["start"], since)

    def test_wrong_since(self) -> None:
        """Anything else is an error of usage that says what may stand there."""
        for text in ("yesterday", "2026-01-31T08:00:00", "0001-01-01T00:00:00+10:00", "a:x"):
            failure = self.assertRaises(usage.UsageError, parse, "--since", text)
            self.assertIn(f"--since: found {text!r}, expected EPOCH:SEQ", str(failure))

    def test_count(self) -> None:
        """A count is a number from 1 on."""
        self.assertEqual(parse("--count", "3")["count"], 3)
        self.assertIsNone(parse()["count"])
        for text in ("0", "-1", "x", "", "²"):
            self.assertRaises(usage.UsageError, parse, f"--count={text}")

    def test_accounts(self) -> None:
        """Several accounts can be named."""
        self.assertEqual(parse("--account", "a", "-a", "b")["accounts"], ["a", "b"])

    def test_picked(self) -> None:
        """Senders and words can be named, several of each."""
        options = parse("--from", "ann", "-f", "bob", "--match", "lunch", "-m", "noon")
        self.assertEqual(options["senders"], ["ann", "bob"])
        self.assertEqual(options["words"], ["lunch", "noon"])

    def test_a_position_is_of_one_server(self) -> None:
        """Another server counts otherwise, so a position cannot be meant for both."""
        several = ("--server", "127.0.0.1", "--server", "127.0.0.2")
        failure = self.assertRaises(usage.UsageError, parse, *several, "--since", "a:1")
        self.assertIn("one server", str(failure))
        self.assertEqual(len(parse(*several, "--since", "oldest")["ways"]), 2)

    def test_stray_word(self) -> None:
        """A stray word is an error of usage."""
        self.assertRaises(usage.UsageError, parse, "home")

    def test_wrong_server(self) -> None:
        """A server that cannot be read is an error of usage."""
        self.assertRaises(usage.UsageError, parse, "--server", "x:y")


class CountingSinkTests(SynchronousTestCase):
    """`CountingSink`."""

    def test_ends_after_the_last(self) -> None:
        """After so many entries it tells, and hands on no more."""
        inner, ends = FakeSink(), list[int]()
        sink = CountingSink(inner, 2, lambda: ends.append(1))
        verifyObject(ISink, sink)
        for seq in (1, 2, 3):
            self.successResultOf(Deferred.fromCoroutine(sink.deliver(entry(seq), HERE)))
        self.successResultOf(Deferred.fromCoroutine(sink.close()))
        self.assertEqual([each.seq for each in inner.entries], [1, 2])
        self.assertEqual(ends, [1])
        self.assertTrue(inner.is_closed)


class PickingSinkTests(SynchronousTestCase):
    """`PickingSink`."""

    def test_leaves_out(self) -> None:
        """What was not picked is taken, and not handed on."""
        inner = FakeSink()
        sink = PickingSink(inner, Pick(words=("lunch",)))
        verifyObject(ISink, sink)
        for text in ("Lunch?", "Dinner?"):
            shown = Deferred.fromCoroutine(sink.deliver(entry(event=mail(text)), HERE))
            self.successResultOf(shown)
        self.successResultOf(Deferred.fromCoroutine(sink.close()))
        self.assertEqual([each.event.subject for each in inner.entries], ["Lunch?"])
        self.assertTrue(inner.is_closed)


class ServerCase(TestCase):
    """A server with three entries, on a port of its own."""

    timeout = 300

    def setUp(self) -> None:
        self.server = StreamServer(reactor)
        self.server.add(3)
        self.port = reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.address = f"127.0.0.1:{self.port.getHost().port}"
        self.addCleanup(self.port.stopListening)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait; trial's timeout ends what never comes."""
        while not is_so():
            await deferLater(reactor, 0.01)


class TailTests(ServerCase):
    """`Tail` in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.reader, self.writer = os.pipe()
        self.said: list[str] = []
        self.seen = b""
        self.addCleanup(os.close, self.writer)

    def tail(self, *arguments: str) -> Tail:
        return Tail(
            parse("--server", self.address, *arguments),
            outlet=Outlet(self.writer, reactor),
            say=self.said.append,
            reactor=reactor,
        )

    def peek(self) -> bytes:
        """What was printed so far."""
        if select.select([self.reader], [], [], 0)[0]:
            self.seen += os.read(self.reader, 65536)
        return self.seen

    def read(self) -> str:
        data = os.read(self.reader, 65536).decode()
        os.close(self.reader)
        return data

    async def test_count(self) -> None:
        """With a count it prints so many entries and ends well."""
        code = await self.tail("--since", "oldest", "-n", "2").follow(is_terminal=False)
        self.assertEqual(code, os.EX_OK)
        lines = self.read().splitlines()
        self.assertEqual([line[-9:] for line in lines], ["subject 1", "subject 2"])
        self.assertEqual(self.said, [])

    async def test_colours(self) -> None:
        """On a terminal it uses colours."""
        await self.tail("--since", "oldest", "-n", "1").follow(is_terminal=True)
        self.assertIn("\x1b[1msubject 1\x1b[0m", self.read())

    async def test_json(self) -> None:
        """For a program each line is a JSON object, without colours in any case."""
        await self.tail("--since", "oldest", "-n", "3", "--json").follow(is_terminal=True)
        read = [json.loads(line) for line in self.read().splitlines()]
        self.assertEqual([each["seq"] for each in read], [1, 2, 3])
        self.assertEqual([each["position"] for each in read], [f"{EPOCH}:{n}" for n in (1, 2, 3)])

    async def test_resume(self) -> None:
        """The position in a line is where the next run goes on."""
        await self.tail("--since", f"{EPOCH}:2", "-n", "1", "--json").follow(is_terminal=False)
        self.assertEqual(json.loads(self.read())["seq"], 3)

    async def test_picked(self) -> None:
        """What was not asked for is not shown, and does not count."""
        await self.tail("--since", "oldest", "-n", "1", "--match", "SUBJECT 2").follow(
            is_terminal=False
        )
        self.assertTrue(self.read().endswith("subject 2\n"))

    async def test_two_servers(self) -> None:
        """What both tell is shown once; one that is not there is no reason to end."""
        other = reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.addCleanup(other.stopListening)
        tail = self.tail(
            *("--server", f"127.0.0.1:{other.getHost().port}", "--server", "127.0.0.1:1"),
            *("--since", "oldest"),
        )
        following = Deferred.fromCoroutine(tail.follow(is_terminal=False))
        await self.until(lambda: len(self.server.subscribers) == 2)
        await self.until(lambda: tail.was_seen and bool(self.said))
        self.server.add(1)
        await self.until(lambda: b"subject 4" in self.peek())
        await tail.interrupt()
        self.assertEqual(await following, 128 + signal.SIGINT)
        self.assertIn("127.0.0.1:1 is out of sight", self.said[0])
        self.assertEqual([line[-1] for line in self.seen.decode().splitlines()], list("1234"))
        os.close(self.reader)

    async def test_reader_goes_while_nothing_comes(self) -> None:
        """A pipe that is closed ends it within a moment, without waiting for the next mail."""
        following = Deferred.fromCoroutine(self.tail().follow(is_terminal=False))
        await self.until(lambda: bool(self.server.subscribers))
        os.close(self.reader)
        self.assertEqual(await following, os.EX_OK)

    async def test_full_disk(self) -> None:
        """Entries that cannot be written are not passed over in silence."""
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self.writer)
        os.close(full)
        code = await self.tail("--since", "oldest").follow(is_terminal=False)
        self.assertEqual(code, os.EX_IOERR)
        self.assertIn("the output cannot be written: No space left on device", self.said)
        os.close(self.reader)

    async def test_no_server(self) -> None:
        """A server that is not there ends it, with what to look at."""
        await self.port.stopListening()
        code = await self.tail().follow(is_terminal=False)
        self.assertEqual(code, os.EX_UNAVAILABLE)
        self.assertIn("refused", self.said[0])
        self.assertIn("--server", self.said[1])
        os.close(self.reader)

    async def test_server_that_goes(self) -> None:
        """A server that goes later is waited for, and that is said."""
        tail = self.tail()
        following = Deferred.fromCoroutine(tail.follow(is_terminal=False))
        await self.until(lambda: bool(self.server.subscribers))
        await self.until(lambda: tail.was_seen)
        for each in list(self.server.subscribers):
            each.transport.abortConnection()  # type: ignore[union-attr]
        await self.until(lambda: len(self.said) == 2)
        self.assertIn("out of sight", self.said[0])
        self.assertIn("in sight", self.said[1])
        await tail.interrupt()
        self.assertEqual(await following, 128 + signal.SIGINT)
        os.close(self.reader)


class ProcessTests(ServerCase):
    """The whole command, as a shell runs it."""

    def start(self, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mailnotify", "tail", "--server", self.address]
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.communicate()

    async def ended(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for the end; give what stands on stderr."""
        await self.until(lambda: process.poll() is not None)
        assert process.stderr is not None
        return process.stderr.read().decode()

    async def test_ctrl_c(self) -> None:
        """Ctrl-C ends it quietly, with the code that a shell expects."""
        process = self.start()
        await self.until(lambda: bool(self.server.subscribers))
        process.send_signal(signal.SIGINT)
        self.assertEqual(await self.ended(process), "")
        self.assertEqual(process.returncode, 130)

    async def test_head(self) -> None:
        """`mailnotify tail | head -1` ends quietly."""
        reader, writer = os.pipe()
        process = self.start("--since", "oldest", stdout=writer)
        os.close(writer)
        head = subprocess.Popen(["head", "-1"], stdin=reader, stdout=subprocess.PIPE)
        os.close(reader)
        self.assertEqual(await self.ended(process), "")
        self.assertEqual(process.returncode, os.EX_OK)
        first, _ = head.communicate()
        self.assertTrue(first.endswith(b"subject 1\n"))

    async def test_no_server(self) -> None:
        """Without a server it ends with EX_UNAVAILABLE and a sentence, not a traceback."""
        await self.port.stopListening()
        process = self.start()
        stderr = await self.ended(process)
        self.assertEqual(process.returncode, os.EX_UNAVAILABLE)
        self.assertIn("out of sight", stderr)
        self.assertNotIn("Traceback", stderr)
