"""The Wireshark dissector on a real service's traffic, while it goes over loopback."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path
from unittest import SkipTest

from tests.contrib.test_dissector import SCRIPT
from tests.live.test_stream_security import SecureService, Talk
from tests.rigs import require


class CaptureTests(SecureService):
    """tshark looks on; what goes through TLS it reads by the keys that the client writes down."""

    def setUp(self) -> None:
        super().setUp()
        self.keys = self.folder / "keys"
        self.keys.touch()
        self.tshark = self.capture(self.service.port, self.tls_port)

    def capture(self, plain: int, tls: int) -> subprocess.Popen[str]:
        """Begin to look at both ports."""
        tshark = subprocess.Popen(
            [
                *(require("tshark", "tshark"), "-l", "-i", "lo", "-X", f"lua_script:{SCRIPT}"),
                *("-f", f"tcp port {plain} or tcp port {tls}"),
                *("-o", f"tls.keylog_file:{self.keys}"),
                *("-d", f"tcp.port=={plain},mailnotify", "-d", f"tcp.port=={tls},tls"),
                *("-d", f"tls.port=={plain},mailnotify", "-d", f"tls.port=={tls},mailnotify"),
                *("-Y", "mailnotify", "-T", "fields", "-e", "tcp.port", "-e", "mailnotify.verb"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tshark.stdout is not None and tshark.stderr is not None
        for cleanup in (tshark.stdout.close, tshark.stderr.close, tshark.wait, tshark.terminate):
            self.addCleanup(cleanup)
        said = ""
        while "Capture started" not in said:
            if not (line := tshark.stderr.readline()):
                if os.environ.get("CI"):
                    raise AssertionError(said)
                raise SkipTest(f"nothing can be captured here: {said}")
            said += line
        return tshark

    def context(self, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = super().context(client)
        context.keylog_filename = str(self.keys)
        return context

    def talk(self, talk: Talk) -> None:
        for line in (b"HELLO 1\r\n", b"QUIT\r\n"):
            talk.send(line)
            self.assertTrue(talk.line())

    def verbs(self, port: int, until: str) -> list[str]:
        """What was said at a port, as tshark has understood it."""
        assert self.tshark.stdout is not None
        found: list[str] = []
        while until not in found:
            line = self.tshark.stdout.readline()
            self.assertTrue(line, found)
            ports, _, verbs = line.strip().partition("\t")
            if str(port) in ports.split(","):
                found += verbs.split(",")
        return found

    def test_every_way(self) -> None:
        """In clear, after STARTTLS, and in TLS from the first byte."""
        whole = ["HELLO", "OK", "QUIT", "BYE"]
        self.talk(self.plain())
        self.assertEqual(self.verbs(self.service.port, "BYE"), whole)
        begun = self.plain()
        begun.send(b"STARTTLS\r\n")
        self.assertTrue(begun.line())
        self.talk(self.secure(begun))
        self.assertEqual(self.verbs(self.service.port, "BYE"), ["STARTTLS", "OK", *whole])
        self.talk(self.secure())
        self.assertEqual(self.verbs(self.tls_port, "BYE"), whole)
