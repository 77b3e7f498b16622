"""The whole service against a real Cyrus: another make, the same promises."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.live.test_service import letter
from tests.rigs.cyrus import Cyrus
from tests.rigs.service import Lines, Service, account


class CyrusTests(SynchronousTestCase):
    """Cyrus tells of EXISTS by its own habits, and offers QRESYNC but no NOTIFY."""

    def setUp(self) -> None:
        self.cyrus = Cyrus.start()
        self.addCleanup(self.cyrus.stop)

    def serve(self, watched: int = 1, **settings: object) -> tuple[Service, Lines]:
        """A running service with a bare reader."""
        server = f"imaps://demo@localhost:{self.cyrus.imaps_port}"
        home = account("home", server, ca_file=self.cyrus.ca_file, **settings)  # type: ignore[arg-type]
        service = Service(home)
        self.addCleanup(service.stop)
        service.start()
        service.await_log("] watching ", watched)
        reader = Lines(service.port)
        self.addCleanup(reader.close)
        return service, reader

    def test_arrival(self) -> None:
        """What arrives is on the port, once; what lay there before is not."""
        self.cyrus.append("demo", "INBOX", letter(b"old"))
        _, reader = self.serve()
        self.cyrus.append("demo", "INBOX", letter(b"fresh"))
        self.assertEqual(reader.subjects(1), ["fresh"])
        reader.assert_silent()

    def test_idle(self) -> None:
        """Without any poll the server's own word is enough."""
        _, reader = self.serve(poll_seconds=3600.0, idle_poll_seconds=3600.0)
        for number in range(3):
            self.cyrus.append("demo", "INBOX", letter(b"pushed %d" % number))
            self.assertEqual(reader.subjects(1), [f"pushed {number}"])
        reader.assert_silent()

    def test_catching_up(self) -> None:
        """What came while we were away is announced in order, before what comes then."""
        service, reader = self.serve()
        service.terminate()
        reader.close()
        self.cyrus.append("demo", "INBOX", *(letter(b"away %d" % n) for n in range(300)))
        service.start()
        service.await_log("] watching ", 2)
        self.cyrus.append("demo", "INBOX", letter(b"back"))
        late = Lines(service.port)
        self.addCleanup(late.close)
        late.send('HELLO 1 {"client":"tests"}')
        late.send('SUBSCRIBE {"since":"oldest"}')
        told = []
        while len(told) < 301:
            line = late.line()
            if line.startswith("EVENT "):
                told.append(line.split('"subject":"')[1].split('"')[0])
        self.assertEqual(told, [*(f"away {n}" for n in range(300)), "back"])

    def test_the_server_restarts(self) -> None:
        """A restart loses nothing and doubles nothing."""
        service, reader = self.serve()
        self.cyrus.append("demo", "INBOX", letter(b"before"))
        self.assertEqual(reader.subjects(1), ["before"])
        self.cyrus.halt()
        service.await_log("not watching home/INBOX")
        self.cyrus.start_again()
        self.cyrus.append("demo", "INBOX", letter(b"between"))
        self.assertEqual(reader.subjects(1), ["between"])
        self.cyrus.append("demo", "INBOX", letter(b"after"))
        self.assertEqual(reader.subjects(1), ["after"])
        reader.assert_silent()

    def test_flags_stay(self) -> None:
        """What was announced is as unread as before."""
        _, reader = self.serve()
        self.cyrus.append("demo", "INBOX", letter(b"unseen"))
        self.assertEqual(reader.subjects(1), ["unseen"])
        (told,) = self.cyrus.flags("demo")
        self.assertNotIn(b"\\Seen", told)

    def test_removals(self) -> None:
        """Letters that are removed meanwhile confuse nothing."""
        self.cyrus.append("demo", "INBOX", *(letter(b"old %d" % n) for n in range(5)))
        _, reader = self.serve()
        self.cyrus.remove("demo", 1, 3, 5)
        self.cyrus.append("demo", "INBOX", letter(b"after"))
        self.assertEqual(reader.subjects(1), ["after"])
        reader.assert_silent()

    def test_several_mailboxes(self) -> None:
        """Each is watched, also one with an odd name."""
        self.cyrus.create("demo", '"Entw&APw-rfe [1]"')
        names = ("INBOX", "Entwürfe [1]")
        _, reader = self.serve(mailboxes=names)
        self.cyrus.append("demo", '"Entw&APw-rfe [1]"', letter(b"draft"))
        self.assertEqual(reader.subjects(1), ["draft"])
        self.cyrus.append("demo", "INBOX", letter(b"in"))
        self.assertEqual(reader.subjects(1), ["in"])
        reader.assert_silent()
