"""Whose socket it is, asked of the real kernel."""

from __future__ import annotations

import os
import socket
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.local_users import _answer, can_tell, owner_of


class OwnerTests(SynchronousTestCase):
    """`owner_of`, on Linux."""

    def setUp(self) -> None:
        if not sys.platform.startswith("linux"):
            self.skipTest("only Linux tells")

    def connect(self, host: str) -> tuple[socket.socket, socket.socket]:
        """The client's end and the server's end."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as listening:
            listening.bind((host, 0))
            listening.listen()
            theirs = socket.socket(family)
            theirs.connect(listening.getsockname())
            ours, _ = listening.accept()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        return theirs, ours

    def owner(self, ours: socket.socket) -> int | None:
        return owner_of(ours.getpeername()[:2], ours.getsockname()[:2])

    def test_mine(self) -> None:
        """Over IPv4 and IPv6 my own socket is mine."""
        self.assertTrue(can_tell())
        for host in ("127.0.0.1", "::1"):
            _, ours = self.connect(host)
            self.assertEqual(self.owner(ours), os.geteuid())

    def test_ipv4_within_ipv6(self) -> None:
        """A server that listens on `::` sees mapped addresses."""
        _, ours = self.connect("127.0.0.1")
        (host, port), (mine, here) = ours.getpeername(), ours.getsockname()
        found = owner_of((f"::ffff:{host}", port), (f"::ffff:{mine}", here))
        self.assertEqual(found, os.geteuid())

    def test_somebody_elses(self) -> None:
        """A socket that was given to another user is his."""
        if os.geteuid() != 0:
            self.skipTest("only root can give a socket away")
        theirs, ours = self.connect("127.0.0.1")
        os.fchown(theirs.fileno(), 12345, 12345)
        self.assertEqual(self.owner(ours), 12345)

    def test_nobody_is_there_any_more(self) -> None:
        """A socket that was closed would read as root's: it is nobody's."""
        theirs, ours = self.connect("127.0.0.1")
        place = ours.getpeername(), ours.getsockname()
        theirs.close()
        self.assertIsNone(owner_of(*place))

    def test_no_such_connection(self) -> None:
        """An address of nobody is nobody's."""
        self.assertIsNone(owner_of(("127.0.0.1", 1), ("127.0.0.1", 2)))
        self.assertIsNone(owner_of(("192.0.2.1", 1), ("192.0.2.2", 2)))

    def test_what_is_no_answer(self) -> None:
        """An error of the kernel, or a piece of an answer, is nobody's name."""
        self.assertIsNone(_answer(b""))
        self.assertIsNone(_answer(b"\x24\x00\x00\x00\x02\x00" + b"\0" * 100))

    def test_cheap(self) -> None:
        """Ten thousand connections are looked up within some tenths of a second."""
        _, ours = self.connect("127.0.0.1")
        began = time.process_time()
        for _ in range(1000):
            self.owner(ours)
        self.assertLess(time.process_time() - began, 1)
