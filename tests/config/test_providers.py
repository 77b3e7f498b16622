"""The table of providers."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.providers import BY_NAME, PROVIDERS, idle_seconds_for, note_for
from mailnotify.config.schema import Security, Server
from mailnotify.config.servers import is_host


class ProvidersTests(SynchronousTestCase):
    """Every row can be used."""

    def test_names_are_unique(self) -> None:
        """No name stands for two providers, and each is written in lower case."""
        names = [name for each in PROVIDERS for name in each.names]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertEqual([name.lower() for name in names], names)

    def test_every_server_is_one(self) -> None:
        """Each has a host, a port and a secure channel for reading and sending."""
        for each in PROVIDERS:
            for server in (each.imap_server("ada@x.example"), each.smtp_server("ada@x.example")):
                self.assertTrue(is_host(server.host))
                self.assertTrue(server.port)
                self.assertEqual(server.user, "ada@x.example")

    def test_the_large_ones(self) -> None:
        """The providers that most people have are there."""
        for names in (
            ("gmail", "outlook", "office365", "yahoo", "icloud", "aol", "fastmail", "zoho"),
            ("gmx", "web.de", "posteo", "mailbox.org", "yandex", "mail.ru", "163", "qq"),
            ("protonbridge",),
        ):
            self.assertLessEqual(set(names), BY_NAME.keys())

    def test_how_long_an_idle_lasts(self) -> None:
        """Known of a few; of the others nothing is assumed."""
        known = {"aol": 240.0, "yahoo": 240.0, "gmail": inf}
        for name, seconds in known.items():
            self.assertEqual(
                idle_seconds_for(BY_NAME[name].imap_server("ada@example.org")), seconds
            )

    def test_note(self) -> None:
        """What a user stumbles over is known by the server; for others there is nothing."""
        self.assertIn("app password", note_for(BY_NAME["gmail"].imap_server("ada@gmail.com")))
        self.assertIn("OAuth2", note_for(BY_NAME["outlook"].imap_server("ada@outlook.com")))
        other = Server(host="h", port=993, security=Security.IMPLICIT_TLS, user="a")
        self.assertEqual(note_for(other), "")
