"""Telling "too many connections" from other refusals, by the words of real servers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import CommandRefused, LoginDenied, MailnotifyError, NotConnected
from mailnotify.watching.crowding import is_crowded

CROWDED = (
    "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    "Too many simultaneous connections. (Failure)",
    "the server said: Too many connections from your IP",
    "Maximum number of connections per user exceeded",
    "Maximum connections per IP address exceeded",
    "Connection limit reached for this account",
    "Too many open connections from your address.",
    "Session limit exceeded",
    "User has exceeded the number of concurrent sessions",
)
OTHERWISE = (
    "Authentication failed.",
    "Too many login failures, please wait",
    "Too many failed login attempts",
    "Maximum login attempts exceeded",
    "Temporary authentication failure",
    "the connection broke",
    "",
)


class CrowdedTests(SynchronousTestCase):
    """Only against too many connections do fewer help."""

    def errors(self, said: str) -> list[MailnotifyError]:
        return [
            LoginDenied(peer="p", user="u", said=said),
            CommandRefused(peer="p", command="the login", status="NO", said=said),
            NotConnected(peer="p", reason=said),
        ]

    def test_crowded(self) -> None:
        """However the server says it, and at whatever moment."""
        for said in CROWDED:
            for error in self.errors(said):
                self.assertTrue(is_crowded(error), said)

    def test_otherwise(self) -> None:
        """A wrong password, or too many tries, is something else."""
        for said in OTHERWISE:
            for error in self.errors(said):
                self.assertFalse(is_crowded(error), said)
        self.assertFalse(is_crowded(ValueError("too many connections")))
