"""One line for each entry, whatever the mail holds."""

from __future__ import annotations

import json
import os
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import msgspec
from hypothesis import given, strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mailnotify.core.events import Entry, MailFiled, MailGone, MailSeen, SentFailed, Undelivered
from mailnotify.interfaces import ISink
from mailnotify.sinks.outlet import Outlet, OutletClosed
from mailnotify.sinks.terminal import (
    LogSink,
    TerminalSink,
    json_line,
    text_line,
    with_colours,
)
from tests.sinks.fakes import HERE, WHEN, blind, entry, mail

ANYTHING = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)


class TextLineTests(SynchronousTestCase):
    """`text_line`."""

    def line(self, event: Entry) -> str:
        return text_line(event, zone=UTC)

    def test_mail(self) -> None:
        """A message is a line with its time, place, sender and subject."""
        self.assertEqual(
            self.line(entry(event=mail())),
            "2026-01-31 08:00:00  home/INBOX  Ann <ann@example.org>: Lunch?",
        )

    def test_what_became_of_a_message(self) -> None:
        """It was read, or removed, elsewhere."""
        for kind, word in ((MailSeen, "read"), (MailGone, "removed"), (MailFiled, "filed")):
            event = kind(id="x", account="home", mailbox="INBOX", uidvalidity=1, uid=7)
            line = self.line(entry(event=event))
            self.assertTrue(line.endswith(f"home/INBOX  {word}: message 7"), line)

    def test_letter_not_sent(self) -> None:
        """A letter that came from no mailbox names its account alone; a bounce, where it lies."""
        lost = SentFailed(
            id="x",
            account="home",
            letter=1,
            message_id="",
            subject="Lunch?",
            recipients=(Undelivered(address="bob@example.org", code=550, reason="no such user"),),
            reason="",
        )
        what = "not sent to bob@example.org: Lunch?: no such user"
        self.assertTrue(self.line(entry(event=lost)).endswith(f"  home  {what}"))
        bounced = msgspec.structs.replace(lost, mailbox="INBOX")
        self.assertTrue(self.line(entry(event=bounced)).endswith(f"  home/INBOX  {what}"))

    def test_zone_of_the_reader(self) -> None:
        """The time is that of the clock on the wall."""
        line = text_line(entry(), zone=timezone(timedelta(hours=2)))
        self.assertTrue(line.startswith("2026-01-31 10:00:00"))

    def test_state(self) -> None:
        """A blind account is a line with its cause and remedy."""
        self.assertEqual(
            self.line(entry(event=blind())),
            "2026-01-31 08:00:00  home/INBOX  blind  no connection. Check the network.",
        )

    def test_connected(self) -> None:
        """A state without a cause leaves no blanks behind."""
        self.assertTrue(self.line(entry(event=blind("", ""))).endswith("blind"))

    def test_nothing_known(self) -> None:
        """A message without sender and subject has words for both."""
        line = self.line(entry(event=mail("", "", "")))
        self.assertTrue(line.endswith("(no sender): (no subject)"))
        empty = mail("x", sender="\x00", address="\x00")
        self.assertTrue(self.line(entry(event=empty)).endswith("(no sender): x"))

    def test_journalled_time(self) -> None:
        """A server that did not say when leaves the time at which we heard of it."""
        event = msgspec.structs.replace(mail(), received=None)
        self.assertTrue(self.line(Entry(seq=1, at=WHEN, event=event)).startswith("2026-01-31"))

    def test_impossible_time(self) -> None:
        """A time that the calendar of our zone does not have is shown as it came."""
        event = msgspec.structs.replace(mail(), received=datetime(1, 1, 1, tzinfo=UTC))
        line = text_line(entry(event=event), zone=timezone(timedelta(hours=-2)))
        self.assertIn("-01-01 00:00:00", line)

    def test_colours(self) -> None:
        """On a terminal the subject is bold, and ends so."""
        line = text_line(entry(event=mail()), zone=UTC, style=with_colours)
        self.assertTrue(line.endswith("\x1b[1mLunch?\x1b[0m"))

    def test_colours_of_a_state(self) -> None:
        """What is well is green, all else red."""
        well = msgspec.structs.replace(blind("", ""), state="connected")
        for event, expected in ((well, "\x1b[32mconnected"), (blind(), "\x1b[31mblind")):
            self.assertIn(expected, text_line(entry(event=event), zone=UTC, style=with_colours))

    @given(subject=ANYTHING, name=ANYTHING, address=ANYTHING)
    def test_any_mail(self, subject: str, name: str, address: str) -> None:
        """No letter of a mail acts on a terminal, and no mail makes two lines."""
        line = self.line(entry(event=mail(subject, name, address)))
        categories = {unicodedata.category(each) for each in line}
        self.assertFalse(categories & {"Cc", "Cs", "Zl", "Zp"}, ascii(line))
        self.assertFalse(set(line) & set("\u202a\u202e\u2066\u2069\u200e\u061c"))


class JsonLineTests(SynchronousTestCase):
    """`json_line`."""

    def test_is_the_entry(self) -> None:
        """A program gets the entry with its seq, its time and its event."""
        read = json.loads(json_line(entry(seq=7, event=mail("日本 \x9b\u202e😀")), HERE))
        self.assertEqual((read["position"], read["seq"]), (str(HERE), 7))
        self.assertEqual(read["event"]["kind"], "mail")
        self.assertEqual(read["event"]["subject"], "日本 \x9b\u202e😀")

    @given(subject=ANYTHING)
    def test_any_mail(self, subject: str) -> None:
        """Whatever the mail holds: one line of printable ASCII that says the same."""
        given = entry(event=mail(subject))
        line = json_line(given, HERE)
        self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertEqual(msgspec.json.decode(line, type=Entry), given)


class TerminalSinkTests(SynchronousTestCase):
    """`TerminalSink` on a real pipe."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.open = {self.reader, self.writer}
        self.addCleanup(lambda: [os.close(each) for each in self.open])
        self.ends = 0
        outlet = Outlet(self.writer, Clock())
        self.sink = TerminalSink(outlet=outlet, line=json_line, when_closed=self.closed)

    def closed(self, reason: OutletClosed) -> None:
        self.ends += 1

    def deliver(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.sink.deliver(entry(), HERE)))

    def test_is_a_sink(self) -> None:
        """A terminal and a log can stand wherever a sink can."""
        verifyObject(ISink, self.sink)
        verifyObject(ISink, LogSink())

    def test_one_line_for_each(self) -> None:
        """Each entry is one line."""
        self.deliver()
        self.deliver()
        self.assertEqual(os.read(self.reader, 65536).decode(), f"{json_line(entry(), HERE)}\n" * 2)

    def test_closed_pipe_is_told_once(self) -> None:
        """When nobody reads any more we are told, once, and nothing fails."""
        self.open.remove(self.reader)
        os.close(self.reader)
        self.deliver()
        self.deliver()
        self.assertEqual(self.ends, 1)

    def test_closed_sink_prints_nothing(self) -> None:
        """After `close` nothing is printed."""
        self.successResultOf(Deferred.fromCoroutine(self.sink.close()))
        self.deliver()
        os.set_blocking(self.reader, False)
        self.assertRaises(BlockingIOError, os.read, self.reader, 1)


class LogSinkTests(SynchronousTestCase):
    """`LogSink`."""

    def test_logs_the_line(self) -> None:
        """The log has the line that a terminal would show."""
        sink = LogSink()
        with capturedLogs() as captured:
            self.successResultOf(Deferred.fromCoroutine(sink.deliver(entry(), HERE)))
        self.successResultOf(Deferred.fromCoroutine(sink.close()))
        self.assertEqual(captured[0]["line"], text_line(entry()))
