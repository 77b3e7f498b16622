"""How a client reaches its server: when in TLS, whom it believes, what it shows."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.commands.tail import Options as TailOptions
from mailnotify.config.schema import CaFile, Pinned, SystemTrust
from mailnotify.taps.client import Options as ClientOptions
from mailnotify.taps.reaching import Address, Way
from mailnotify.tls import Identity, VerifyingClient
from tests.rigs.certificates import Certificates

DIGEST = "ab" * 32


def ways(*words: str) -> list[Way]:
    """What the command line means; the same for both commands."""
    found = []
    for options in (TailOptions(), ClientOptions()):
        options.parseOptions(list(words))
        found.append(options["ways"])
    assert found[0] == found[1]
    return found[0]


def way(*words: str) -> Way:
    """The same for one server."""
    (found,) = ways(*words)
    return found


class WayTests(SynchronousTestCase):
    """`read_ways`."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.files = Certificates(folder)

    def wrong(self, *words: str) -> str:
        return str(self.assertRaises(usage.UsageError, way, *words))

    def test_this_machine_in_clear(self) -> None:
        """Over loopback nobody listens in between."""
        for text in ("127.0.0.1", "localhost", "::1", "[::1]:5050", "127.9.9.9"):
            found = way("--server", text)
            self.assertEqual((found.trust, found.address.port), (None, 5050))
        self.assertIsInstance(way().endpoint(MemoryReactorClock()), TCP4ClientEndpoint)

    def test_others_in_tls(self) -> None:
        """Whatever else is connected to is verified, at the port of TLS."""
        for text in ("mail.example.org", "192.0.2.1", "2001:db8::1", "localhost.example.org"):
            found = way("--server", text)
            self.assertEqual((found.trust, found.address.port), (SystemTrust(), 5051))
        found = way("--server", "mail.example.org:7000")
        self.assertEqual(found.address, Address(host="mail.example.org", port=7000))
        self.assertNotIsInstance(found.endpoint(MemoryReactorClock()), TCP4ClientEndpoint)

    def test_tls_over_loopback(self) -> None:
        """On request, with an authority or a certificate of one's own."""
        self.assertEqual(way("--tls").trust, SystemTrust())
        near = str(self.files.ca_file.relative_to(Path.cwd()))
        found = way("--tls", "--ca-file", near)
        self.assertEqual(found.trust, CaFile(ca_file=str(self.files.ca_file)))
        self.assertIn("found /nowhere, expected", self.wrong("--tls", "--ca-file", "/nowhere"))
        colons = ":".join(["AB"] * 32)
        self.assertEqual(way("--tls", "--fingerprint", colons).trust, Pinned(fingerprint=DIGEST))

    def test_contradictions(self) -> None:
        """What cannot be meant is refused in a sentence."""
        self.assertIn("--ca-file needs --tls", self.wrong("--ca-file", "ca.pem"))
        self.assertIn("not both", self.wrong("--tls", "--ca-file", "a", "--fingerprint", DIGEST))
        self.assertIn("64 hex", self.wrong("--tls", "--fingerprint", "ab"))
        self.assertIn("--server", self.wrong("--server", "a b"))
        self.assertIn("not both", self.wrong("--tls", "--starttls"))
        self.assertIn("belong together", self.wrong("--tls", "--cert", "a"))
        self.assertIn("belong together", self.wrong("--tls", "--key", "a"))
        self.assertIn("--cert needs --tls", self.wrong("--cert", "a", "--key", "b"))

    def test_starttls(self) -> None:
        """The plain port, also of another machine, and always verified."""
        for text in ("127.0.0.1", "mail.example.org"):
            found = way("--server", text, "--starttls")
            self.assertEqual((found.trust, found.address.port), (SystemTrust(), 5050))
            self.assertTrue(found.is_starttls)
        reactor = MemoryReactorClock()
        found = way("--starttls")
        self.assertIsInstance(found.endpoint(reactor), TCP4ClientEndpoint)
        self.assertIsInstance(found.starttls(reactor), VerifyingClient)
        self.assertIsNone(way("--tls").starttls(reactor))
        self.assertIsNone(way().starttls(reactor))

    def test_keys(self) -> None:
        """They are written down only where both the option and the variable say so."""
        self.patch(os, "environ", {"SSLKEYLOGFILE": "keys"})
        self.assertFalse(way("--tls").key_log)
        self.assertTrue(way("--tls", "--key-log").key_log)
        del os.environ["SSLKEYLOGFILE"]
        self.assertIn("--key-log: found no SSLKEYLOGFILE", self.wrong("--tls", "--key-log"))

    def test_several(self) -> None:
        """What says how to reach a server is given once for all, or once for each."""
        two = ("--server", "a.example", "--server", "b.example:7000")
        self.assertEqual([str(each.address) for each in ways(*two)], ["a.example:5051", two[3]])
        x, y = str(self.files.ca_file), str(self.files.cert_file)
        for files, expected in (((x,), [x, x]), ((x, y), [x, y])):
            words = [word for file in files for word in ("--ca-file", file)]
            trusts = [each.trust for each in ways(*two, *words)]
            self.assertEqual(trusts, [CaFile(ca_file=file) for file in expected])
        three = self.wrong(*two, *("--ca-file", "x") * 3)
        self.assertIn("found --ca-file 3 times, expected it once, or once for each of 2", three)
        self.assertIn("twice", self.wrong("--server", "a.example", "--server", "a.example:5051"))

    def test_certificate(self) -> None:
        """Our own, with its key; what cannot be read is said before anything is sent."""
        cert, key = map(str, self.files.issue("me", "me.example.org"))
        found = way("--tls", "--cert", cert, "--key", key)
        self.assertEqual(found.identity, Identity(cert_file=cert, key_file=key))
        for wrong in ("/nowhere", cert, str(self.files.key_file)):
            said = self.wrong("--tls", "--cert", cert, "--key", wrong)
            self.assertIn(f"found {cert} with the key {wrong}, expected readable files", said)

    def test_token(self) -> None:
        """Its first line, read anew each time; from a private file only."""
        file = Path(self.mktemp()).absolute()
        file.touch(mode=0o600)
        file.write_text("mailnotify_1\nrest\n")
        found = way("--token-file", str(file))
        self.assertEqual(found.token(), "mailnotify_1")
        file.write_text("mailnotify_2\n")
        self.assertEqual(found.token(), "mailnotify_2")
        self.assertNotIn("mailnotify_", repr(found))
        self.assertEqual(way().token(), "")
        file.chmod(0o644)
        self.assertIn("chmod 600", self.wrong("--token-file", str(file)))
        self.assertIn("/nowhere cannot be read", self.wrong("--token-file", "/nowhere"))
