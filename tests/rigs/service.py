"""The real service in a process of its own, and two ways to read its port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.rigs import PATIENCE_SECONDS, child_environment, free_port
from tests.rigs.stopwatch import Stopwatch


class Service:
    """``twistd -n mailnotify`` with a configuration of the test's.

    Attributes:
        prelude: Python that the process runs before anything else.
        port: where the line protocol is offered.
        directory: holds the configuration, the log and the state.
    """

    prelude = ""

    def __init__(self, accounts: str, *, state_dir: Path | None = None, extra: str = "") -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mailnotify-service-"))
        self.port = free_port()
        self.state_dir = state_dir or self.directory / "state"
        self.log_file = self.directory / "log"
        self.config_file = self.directory / "config.toml"
        self.config_file.touch(mode=0o600)
        self.config_file.write_text(
            f'[service]\nstate_dir = "{self.state_dir}"\n'
            f"[listen]\nport = {self.port}\n{extra}\n{accounts}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Start the process; return when its port answers."""
        command = [
            *(
                sys.executable,
                "-c",
                f"{self.prelude}\nfrom twisted.scripts.twistd import run; run()",
            ),
            *("-n", "--pidfile=", f"--logfile={self.log_file}"),
            *("mailnotify", "--config", str(self.config_file)),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.await_port()
        return self

    def await_port(self) -> None:
        """Return when the port answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                assert self._process.stdout is not None
                raise RuntimeError(f"the service ended: {self._process.stdout.read().decode()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the service does not listen")

    @property
    def pid(self) -> int:
        """The process, for those who measure it."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the service has logged so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def await_log(self, words: str, count: int = 1) -> None:
        """Return when the log has these words so often."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.log.count(words) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{words!r} is not {count} times in the log:\n{self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: nothing is saved, nobody is told."""
        self._end(signal.SIGKILL)

    def terminate(self) -> float:
        """SIGTERM; return how many seconds the process took to end."""
        stopwatch = Stopwatch(self.pid)
        os.kill(self.pid, signal.SIGTERM)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        seconds = stopwatch.seconds
        self._end(signal.SIGTERM)
        return seconds

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def stop(self) -> None:
        """End the process and remove its folder."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)


class Lines:
    """A plain TCP connection, read line by line as ``nc`` shows it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._buffer = b""

    def send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\r\n")

    def line(self, timeout_seconds: float = PATIENCE_SECONDS) -> str:
        """The next line without its CR LF; AssertionError if none comes in time."""
        self._socket.settimeout(timeout_seconds)
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"no line within {timeout_seconds} s") from None
            if not data:
                raise AssertionError("the service closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert line.endswith(b"\r"), line
        return line[:-1].decode("utf-8")

    def subjects(self, count: int) -> list[str]:
        """The subjects of the next plain lines."""
        prefix = "New Email Received: "
        lines = [self.line() for _ in range(count)]
        assert all(line.startswith(prefix) for line in lines), lines
        return [line.removeprefix(prefix) for line in lines]

    def assert_silent(self, seconds: float = 0.5) -> None:
        """Nothing more comes for this long."""
        self._socket.settimeout(seconds)
        try:
            data = self._buffer or self._socket.recv(65536)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected: {data!r}")

    def close(self) -> None:
        self._socket.close()


class Follower(Lines):
    """A structured subscriber that resumes at a position."""

    def __init__(self, port: int, since: str = "oldest") -> None:
        super().__init__(port)
        self.send('HELLO 1 {"client":"tests"}')
        self.welcome = self._expect("OK")
        self.send("SUBSCRIBE " + json.dumps({"since": since}))
        self._expect("OK")
        self.position = since

    def _expect(self, verb: str) -> str:
        while not (line := self.line()).startswith(verb + " "):
            assert line.startswith("New Email Received: "), line  # said before our HELLO came
        return line

    def event(self, timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next event, whatever stands before it."""
        while True:
            verb, _, rest = self.line(timeout_seconds).partition(" ")
            if verb == "EVENT":
                self.position, _, text = rest.partition(" ")
                event: dict[str, Any] = json.loads(text)
                return event
            if verb == "PING":
                self.send(f"PONG {rest}".rstrip())
            else:
                assert verb in ("LIVE", "GAP", "OK"), (verb, rest)

    def events(self, count: int) -> list[dict[str, Any]]:
        """The next events."""
        return [self.event() for _ in range(count)]


def account(
    name: str,
    server: str,
    *,
    ca_file: Path | str,
    password: str | None = None,
    mailboxes: tuple[str, ...] = ("INBOX",),
    **timing: float,
) -> str:
    """The TOML of one account with the short intervals of a test."""
    user = server.partition("//")[2].partition("@")[0]
    intervals = {
        "poll_seconds": 1.0,
        "idle_poll_seconds": 1.0,
        "first_retry_seconds": 0.1,
        "longest_retry_seconds": 1.0,
        "denied_retry_seconds": 1.0,
        **timing,
    }
    table = "\n".join(f"{key} = {value}" for key, value in intervals.items())
    return (
        f'[accounts.{name}]\nserver = "{server}"\npassword = "{password or user}"\n'
        f"mailboxes = {json.dumps(mailboxes)}\n"
        f'trust = {{ca_file = "{ca_file}"}}\n[accounts.{name}.timing]\n{table}\n'
    )
