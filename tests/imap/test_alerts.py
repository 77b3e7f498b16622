"""What a server wants a person to read."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from mailnotify.imap.alerts import MOST_TEXTS, Alerts
from mailnotify.imap.commands import Command
from tests.imap.scripted import ScriptedServer


class LogCase(SynchronousTestCase):
    """Gathers the warnings of the log."""

    def setUp(self) -> None:
        self.warnings: list[str] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_level"].name == "warn":
                self.warnings.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)


class AlertsTests(LogCase):
    """`Alerts` tells each text once."""

    def test_once(self) -> None:
        """Ten mailboxes hear the same alert; the person reads it once."""
        alerts = Alerts("home")
        self.assertEqual(alerts.latest, "")
        for _ in range(10):
            alerts("Disk almost full")
        alerts("Server goes down at 9")
        alerts("Disk almost full")
        self.assertEqual(
            self.warnings,
            [
                "the server of home says: Disk almost full",
                "the server of home says: Server goes down at 9",
            ],
        )
        self.assertEqual(alerts.latest, "Disk almost full")

    def test_bounded(self) -> None:
        """Texts that are always new cost no memory, and those in use are remembered."""
        alerts = Alerts("home")
        for number in range(1000):
            alerts("the same")
            alerts(f"new {number}")
        self.assertEqual(len(self.warnings), 1001)
        alerts("the same")
        self.assertEqual(len(self.warnings), 1001)
        self.assertLessEqual(len(alerts._told), MOST_TEXTS)


class ClientTests(LogCase):
    """An alert is heard whenever it comes (RFC 9051 §7.1)."""

    def heard(self, greeting: bytes = b"* OK hi\r\n", later: bytes = b"") -> list[str]:
        server = ScriptedServer(greeting)
        client = server.connect(Clock())
        found: list[str] = []
        client.alerted = found.append
        if later:
            client.run(Command("NOOP")).addErrback(lambda _: None)
            server.answers[b"NOOP"] = [later]
            server.pump()
        return found

    def test_any_time(self) -> None:
        """Untagged, tagged, OK, NO or BYE, in any case."""
        for line in (
            b"* OK [ALERT] full\r\n",
            b"* NO [alert] full\r\n",
            b"TAG NO [ALERT] full\r\n",
            b"TAG OK [ALERT] full\r\n",
            b"* BYE [ALERT] full\r\n",
        ):
            self.assertEqual(self.heard(later=line), ["full"], line)

    def test_web_alert(self) -> None:
        """Gmail's own kind comes with the address to go to."""
        line = b"* NO [WEBALERT https://accounts.example/x] Web login required.\r\n"
        expected = ["Web login required. https://accounts.example/x"]
        self.assertEqual(self.heard(later=line), expected)

    def test_others(self) -> None:
        """Other codes, and the word in a text, are no alerts."""
        for line in (b"* OK [UIDNEXT 4] ALERT\r\n", b"* OK the [ALERT] is here\r\n"):
            self.assertEqual(self.heard(later=line), [])

    def test_in_the_greeting(self) -> None:
        """By default an alert is a warning in the log; nothing in it can act."""
        self.heard(b"* OK [ALERT] a\x1b[31mb\xe2\x80\xaec\r\n")
        self.assertEqual(self.warnings, ["imap.example:993 says: a[31mbc"])
