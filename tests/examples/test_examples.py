"""Every example follows a real service; two of them resume where they stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.live.test_service import ServiceCase, letter
from tests.rigs import child_environment, require
from tests.rigs.service import Service

EXAMPLES = Path(__file__).parents[2] / "examples"


class ExampleTests(ServiceCase):
    """Programs of somebody else."""

    def run_example(self, name: str, service: Service, count: int, kept: Path) -> list[str]:
        """The lines that an example prints until it has seen so many messages."""
        shell = [] if name.endswith(".sh") else [sys.executable]
        done = subprocess.run(
            [*shell, str(EXAMPLES / name), str(service.port), str(count), str(kept)],
            env=child_environment(PATH=f"{service.directory}:{os.environ['PATH']}"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def resume(self, name: str) -> None:
        """Start at a known position, end, and go on after more has come."""
        service = self.serve(self.home())
        follower = self.follow(service, "now")
        self.dovecot.deliver("demo", *(letter(b"no %d" % n) for n in range(3)))
        follower.event()
        kept = service.directory / "position"
        kept.write_text(follower.position)
        follower.events(2)
        self.assertEqual(self.run_example(name, service, 2, kept), ["no 1", "no 2"])
        self.dovecot.deliver("demo", letter(b"later"))
        follower.event()
        self.assertEqual(self.run_example(name, service, 1, kept), ["later"])

    def test_asyncio(self) -> None:
        """The standard library is enough to miss nothing."""
        self.resume("follow_asyncio.py")

    def test_twisted(self) -> None:
        """So is a page of Twisted."""
        self.resume("follow_twisted.py")

    def test_resuming_shell(self) -> None:
        """A shell goes on where it stopped, too; the first time with all that is kept."""
        service = self.serve(self.home())
        command = service.directory / "mailnotify"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mailnotify "$@"\n')
        command.chmod(0o700)
        follower = self.follow(service, "now")
        self.dovecot.deliver("demo", *(letter(b"no %d" % n) for n in range(3)))
        follower.events(3)
        kept = service.directory / "position"
        for count, subjects in ((2, ["no 0", "no 1"]), (1, ["no 2"])):
            lines = self.run_example("resume.sh", service, count, kept)
            told = [json.loads(line)["event"]["subject"] for line in lines]
            self.assertEqual(told, subjects)

    def test_shell(self) -> None:
        """And `nc`, for what comes while it runs."""
        require("nc", "netcat-openbsd")
        service = self.serve(self.home())
        shell = subprocess.Popen(
            [str(EXAMPLES / "follow.sh"), str(service.port)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.addCleanup(shell.wait)
        self.addCleanup(os.killpg, shell.pid, signal.SIGKILL)
        assert shell.stdout is not None
        self.addCleanup(shell.stdout.close)
        service.await_log("] watching ")
        follower = self.follow(service, "now")  # whoever connected before it is connected, too
        self.dovecot.deliver("demo", letter(b"by nc"))
        follower.event()
        self.assertEqual(shell.stdout.readline(), "by nc\n")
