"""The whole service against a hostile server, over real TCP and TLS."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.imap.hostile.server import PASSWORD
from tests.rigs.hostile import Hostile
from tests.rigs.service import Lines, Service, account


class HostileServiceTests(SynchronousTestCase):
    """What the behaviours do in memory they do to a process too."""

    def serve(self, behaviour: str, *names: str) -> tuple[Hostile, Service]:
        server = Hostile(behaviour, *names)
        self.addCleanup(server.stop)
        url = f"imaps://demo@localhost:{server.port}"
        service = Service(account("home", url, ca_file=server.ca_file, password=PASSWORD))
        self.addCleanup(service.stop)
        service.start()
        return server, service

    def hold(self, behaviour: str, most_connections: int) -> None:
        """Three letters are announced, each once, and nothing is logged as broken."""
        server, service = self.serve(behaviour)
        service.await_log("] watching ")
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        for subject in ("one", "two", "three"):
            server.letter(subject)
            self.assertEqual(reader.subjects(1), [subject])
        reader.assert_silent()
        self.assertNotIn("Traceback", service.log)
        self.assertLessEqual(server.counts()[0], most_connections, service.log)

    def test_single_bytes(self) -> None:
        """Each byte comes in a TLS record of its own."""
        self.hold("everything in single bytes", 1)

    def test_garbage(self) -> None:
        """Before each answer stands what no grammar knows."""
        self.hold("untagged garbage before every answer", 1)

    def test_closed_at_each_arrival(self) -> None:
        """The connection is closed instead of the news."""
        self.hold("the connection is closed in IDLE", 4)

    def test_idle_refused(self) -> None:
        """IDLE is refused, and polls find the mail."""
        self.hold("IDLE is offered and answered BAD", 1)

    def test_idle_that_is_over_at_once(self) -> None:
        """Each IDLE ends as soon as it has begun, and polls find the mail."""
        self.hold("each IDLE is over at once", 1)

    def test_reverse_order(self) -> None:
        """The last letter is told of first."""
        self.hold("FETCH in reverse order", 1)

    def test_wrong_certificate(self) -> None:
        """Nobody who cannot prove his name hears the password."""
        server, service = self.serve("everything in single bytes", "mail.example.net")
        service.await_log("not watching home/INBOX")
        self.assertIn("not for the name localhost", service.log)
        self.assertEqual(server.counts()[1], 0)
