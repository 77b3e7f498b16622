"""Submission to servers that do not behave: each ends in a typed result in bounded time."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.sasl import Password
from mailnotify.config.schema import CaFile, Security, Server
from mailnotify.errors import SubmissionFailed
from mailnotify.smtp.habits import Habits
from mailnotify.smtp.handover import Receipt
from mailnotify.smtp.sender import FAREWELL_SECONDS
from mailnotify.smtp.submit import Submitter, submit
from tests.smtp.hostile import SERVERS, Hostile
from tests.smtp.memory import MemoryConnector
from tests.smtp.scripted import ScriptedServer
from tests.smtp.test_submit import (
    ENVELOPE,
    MESSAGE,
    PASSWORD,
    SECRETS,
    TIMING,
    certificates,
    presenting,
)

#: Every wait of these letters one after the other, for the slowest way.
MOST_SECONDS = (
    TIMING.connect_seconds + 9 * TIMING.command_seconds + TIMING.accept_seconds + FAREWELL_SECONDS
)


class World:
    """One such server, and how to reach it."""

    def __init__(self, hostile: Hostile) -> None:
        self.clock = Clock()
        self.habits = Habits()
        self.servers: list[ScriptedServer] = []
        self._does = hostile.does
        self.connector = MemoryConnector(self.clock, self._make_server)
        security = Security.IMPLICIT_TLS if hostile.does.is_tls else Security.STARTTLS
        self._options: dict[str, Any] = {
            "server": Server(host="localhost", port=465, security=security, user="ada"),
            "trust": CaFile(ca_file=str(certificates().ca_file)),
            "connector": self.connector,
            "clock": self.clock,
            "deadlines": TIMING,
        }

    def _make_server(self) -> ScriptedServer:
        options = presenting("good", "localhost")
        self.servers.append(ScriptedServer(self._does, self.clock, options))
        return self.servers[-1]

    def alone(self) -> Deferred[Receipt]:
        """One letter by itself."""
        credentials = Password("ada", PASSWORD)
        return Deferred.fromCoroutine(
            submit(ENVELOPE, MESSAGE, credentials=credentials, **self._options)
        )

    def held(self) -> tuple[Submitter, Deferred[Receipt]]:
        """One letter on a connection that is then held."""

        async def credentials() -> Password:
            return Password("ada", PASSWORD)

        submitter = Submitter(credentials=credentials, habits=self.habits, **self._options)
        return submitter, Deferred.fromCoroutine(submitter.submit(ENVELOPE, MESSAGE))

    def finish(self, outcome: Deferred[Any]) -> Any:
        """Let time pass until there is an outcome."""
        found: list[Any] = []
        outcome.addBoth(found.append)
        until = self.clock.seconds() + MOST_SECONDS
        while True:
            for link in self.connector.links:
                link.run()
            if found:
                return found[0]
            assert self.clock.seconds() < until, "no outcome in bounded time"
            self.clock.advance(1)

    def finish_with(self, work: Awaitable[Any]) -> None:
        self.finish(Deferred.fromCoroutine(work))  # type: ignore[arg-type]

    @property
    def letters(self) -> int:
        return sum(len(server.letters) for server in self.servers)

    @property
    def is_at_rest(self) -> bool:
        """No connection and no timer is left."""
        lost = all(link.client.is_lost for link in self.connector.links)
        return lost and not self.clock.getDelayedCalls()


class HostileServerTests(SynchronousTestCase):
    """Each server of the table, for a letter by itself and for one on a held connection."""

    def check(self, hostile: Hostile, found: Any) -> None:
        """The outcome is the one that must come."""
        name = hostile.name
        if hostile.kind is None:
            self.assertIsInstance(found, Receipt, f"{name}: {found}")
            self.assertEqual(found.recipients, hostile.accepted, name)
            return
        error = found.value
        self.assertIs(type(error), hostile.kind, f"{name}: {error!r} {error}")
        self.assertIn(hostile.words, str(error), name)
        self.assertTrue(str(error).isprintable(), name)
        for secret in SECRETS:
            self.assertNotIn(secret, f"{error} {error!r} {error.__cause__!r}", name)
        if isinstance(error, SubmissionFailed):
            refused = sorted((each.recipient, each.code) for each in error.refusals)
            self.assertEqual(refused, sorted(hostile.refused), name)
            self.assertEqual(error.accepted, hostile.accepted, name)

    def test_one_letter(self) -> None:
        """A letter by itself: one connection, one outcome, nothing left behind."""
        for hostile in SERVERS:
            world = World(hostile)
            self.check(hostile, world.finish(world.alone()))
            self.assertEqual(world.letters, hostile.letters, hostile.name)
            self.assertEqual(len(world.servers), 1, hostile.name)
            self.assertTrue(world.is_at_rest, hostile.name)

    def test_held_connection(self) -> None:
        """On a connection that is held the outcome is the same, and the server is remembered."""
        for hostile in SERVERS:
            world = World(hostile)
            submitter, outcome = world.held()
            self.check(hostile, world.finish(outcome))
            self.assertEqual(world.letters, hostile.letters, hostile.name)
            is_stepwise = world.habits.is_stepwise("localhost:465", world.clock.seconds())
            self.assertEqual(is_stepwise, hostile.is_remembered, hostile.name)
            world.finish_with(submitter.close())
            self.assertEqual(len(world.servers), 1, hostile.name)
            self.assertTrue(world.is_at_rest, hostile.name)

    def test_many(self) -> None:
        """The table is as long as it should be, and no name stands twice."""
        names = [each.name for each in SERVERS]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(sum(each.kind is not None for each in SERVERS), 50)
