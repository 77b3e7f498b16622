"""The real service against OpenSSL, raw sockets and other users of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from struct import pack
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs import child_environment, free_port, require, wait_until
from tests.rigs.certificates import Certificates
from tests.rigs.service import PATIENCE_SECONDS, Lines, Service, account
from tests.rigs.stopwatch import Stopwatch

GREETING = b"HELLO 1\r\n"
NOBODY = 65534


class Talk:
    """A socket of any kind, read line by line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE_SECONDS)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line; empty when the connection ended."""
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        self.socket.close()


class SecureService(SynchronousTestCase):
    """A service with TLS, and an account at a server that is not there."""

    extra = ""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.certificates = Certificates(self.folder)
        self.tls_port = free_port()
        files = self.certificates
        table = (
            f'{self.extra}\n[listen.tls]\ncert_file = "{files.cert_file}"\n'
            f'key_file = "{files.key_file}"\nclient_ca_file = "{files.ca_file}"\n'
            f"port = {self.tls_port}\n"
        )
        home = account(
            "home", f"imaps://a@127.0.0.1:{free_port()}", ca_file=files.ca_file, password="x"
        )
        self.service = Service(home, extra=table)
        self.addCleanup(self.service.stop)
        self.token = self.command("add", "phone").stdout.strip()
        self.service.start()
        self.await_tls()

    def await_tls(self) -> None:
        """The second port listens a moment after the first."""
        wait_until(self.is_listening, "the port of TLS")

    def is_listening(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.tls_port)).close()
            return True
        return False

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`mailnotify token …`."""
        return subprocess.run(
            [
                *(sys.executable, "-m", "mailnotify", "token"),
                *("--config", str(self.service.config_file), *words),
            ],
            capture_output=True,
            text=True,
            env=child_environment(),
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def plain(self) -> Talk:
        talk = Talk(socket.create_connection(("127.0.0.1", self.service.port)))
        self.addCleanup(talk.close)
        return talk

    def context(self, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        if client:
            context.load_cert_chain(*map(str, client))
        return context

    def secure(self, talk: Talk | None = None, **kwargs: Any) -> Talk:
        """TLS from the first byte, or over a connection that is there."""
        raw = talk.socket if talk else socket.create_connection(("127.0.0.1", self.tls_port))
        raw.settimeout(PATIENCE_SECONDS)
        secure = Talk(self.context(**kwargs).wrap_socket(raw, server_hostname="localhost"))
        self.addCleanup(secure.close)
        return secure

    def authenticated(self, talk: Talk, token: str | None = None) -> Talk:
        talk.send(GREETING + f"AUTH TOKEN {token or self.token}\r\n".encode())
        self.assertIn(b'"to":"HELLO"', talk.line())
        self.assertIn(b'"to":"AUTH"', talk.line())
        return talk


class TlsTests(SecureService):
    """Both ways into TLS, and what comes in their way."""

    def test_token_over_tls(self) -> None:
        """TLS from the first byte, a token, the stream."""
        talk = self.authenticated(self.secure())
        talk.send(b'SUBSCRIBE {"since":"oldest","poll":true}\r\n')
        self.assertIn(b'"to":"SUBSCRIBE"', talk.line())
        self.assertTrue(talk.line().startswith(b"LIVE "))
        self.assertIn(b"polled", talk.line())
        self.assertEqual(talk.line(), b"")

    def test_starttls(self) -> None:
        """The same after STARTTLS; what was said before it is forgotten."""
        talk = self.plain()
        talk.send(GREETING)
        self.assertIn(b'"starttls":true', talk.line())
        talk.send(b"STARTTLS\r\n")
        self.assertEqual(talk.line(), b'OK {"to":"STARTTLS"}\r')
        secure = self.secure(talk)
        secure.send(b"SUBSCRIBE\r\n")
        self.assertIn(b"ERR STATE say HELLO", secure.line())
        self.authenticated(secure)

    def test_openssl(self) -> None:
        """openssl s_client, which knows nothing of us, verifies and talks."""
        openssl = require("openssl", "openssl")
        said = subprocess.run(
            [
                *(openssl, "s_client", "-quiet", "-verify_return_error"),
                *("-verify_hostname", "localhost", "-CAfile", str(self.certificates.ca_file)),
                *("-connect", f"127.0.0.1:{self.tls_port}"),
            ],
            input=f"HELLO 1\nAUTH TOKEN {self.token}\nQUIT\n".encode(),
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        ).stdout
        self.assertIn(b'"name":"phone"', said)

    def test_injection(self) -> None:
        """Words in clear behind STARTTLS are refused, and never heard in TLS."""
        talk = self.plain()
        talk.send(b"STARTTLS\r\nAUTH TOKEN " + self.token.encode() + b"\r\n")
        self.assertIn(b"ERR TLS ", talk.line())
        self.assertIn(b"insecure", talk.line())
        self.assertEqual(talk.line(), b"")

    def test_injection_in_a_second_segment(self) -> None:
        """Behind the OK they are no TLS: the handshake fails, and nothing is answered."""
        talk = self.plain()
        talk.send(b"STARTTLS\r\n")
        self.assertIn(b"STARTTLS", talk.line())
        talk.send(GREETING)
        try:
            said = talk.socket.recv(100)  # an alert of TLS at most
        except ConnectionError:
            said = b""
        self.assertNotIn(b"OK", said)
        self.assertNotIn(b"ERR", said)

    def test_client_certificate(self) -> None:
        """AUTH EXTERNAL, for one that was entered, and not for another of the same authority."""
        mine = self.certificates.issue("laptop", "laptop.example.org")
        other = self.certificates.issue("other", "laptop.example.org")
        added = self.command("add", "laptop", "--certificate", str(mine[0]))
        self.assertEqual((added.returncode, added.stdout), (0, ""))
        talk = self.secure(client=mine)
        talk.send(GREETING + b"AUTH EXTERNAL\r\n")
        self.assertIn(b'"auth":["TOKEN","EXTERNAL"]', talk.line())
        self.assertIn(b'"name":"laptop"', talk.line())
        talk = self.secure(client=other)
        talk.send(b"AUTH EXTERNAL\r\n")
        self.assertIn(b"ERR DENIED", talk.line())

    def test_a_certificate_of_another_authority(self) -> None:
        """The handshake fails; nothing is said."""
        folder = self.folder / "foreign"
        folder.mkdir()
        foreign = Certificates(folder)
        try:
            talk = self.secure(client=(foreign.cert_file, foreign.key_file))
            talk.send(GREETING)
            self.assertEqual(talk.line(), b"")
        except OSError:  # an SSLError is one too
            pass  # which of them, the versions of TLS and chance decide
        self.authenticated(self.secure())

    def test_half_handshakes(self) -> None:
        """Hundreds that never end cost the honest nothing, and are cut."""
        self.addCleanup(lambda: [each.close() for each in halves])
        halves = []
        for number in range(300):
            half = socket.create_connection(("127.0.0.1", self.tls_port))
            half.sendall((b"", b"\x16\x03\x01\x02\x00", os.urandom(20))[number % 3])
            halves.append(half)
        stopwatch = Stopwatch(self.service.pid)
        lines = Lines(self.service.port)  # of this user, on the plain port
        self.addCleanup(lines.close)
        lines.send("PING x")
        self.assertEqual(lines.line(), "PONG x")
        self.assertLess(stopwatch.seconds, 2)
        self.assertNotIn("Traceback", self.service.log)

    def test_clients_that_offer_alpn(self) -> None:
        """A library that always offers protocols for HTTP or others is served as any."""
        context = self.context()
        context.set_alpn_protocols(["h2", "http/1.1", "x"])
        for raw in (socket.create_connection(("127.0.0.1", self.tls_port)), self.begun()):
            talk = Talk(context.wrap_socket(raw, server_hostname="localhost"))
            self.addCleanup(talk.close)
            talk.send(GREETING)
            self.assertIn(b'"to":"HELLO"', talk.line())

    def begun(self) -> socket.socket:
        """A connection that may go on in TLS."""
        talk = self.plain()
        talk.send(b"STARTTLS\r\n")
        self.assertIn(b"OK", talk.line())
        return talk.socket

    def test_versions(self) -> None:
        """Nothing older than TLS 1.2 is spoken."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        raw = socket.create_connection(("127.0.0.1", self.tls_port))
        self.addCleanup(raw.close)
        raw.settimeout(PATIENCE_SECONDS)
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(raw)


class FloodTests(SecureService):
    """Connections that send as much as they can of what costs most to read."""

    def test_tiny_records(self) -> None:
        """Five in TLS, a line end in each record: an honest one is answered all the same."""
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.live.flood_child", str(self.tls_port)),
                *(str(self.certificates.ca_file), "5"),
            ],
            env=child_environment(),
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        for cleanup in (child.stdout.close, child.wait, child.kill):
            self.addCleanup(cleanup)
        self.assertEqual(child.stdout.readline(), b"begun\n")
        talk = self.plain()
        waits = []
        for _ in range(30):
            stopwatch = Stopwatch(self.service.pid)
            talk.send(b"PING\n")
            self.assertEqual(talk.line(), b"PONG\r")
            waits.append(stopwatch.seconds)
        self.assertLess(sorted(waits)[15], 0.1)


class RunningTests(SecureService):
    """What commands and signals do to a service that runs."""

    def test_tokens(self) -> None:
        """Made, listed without the secret, revoked: each within a moment, and others stay."""
        desk = self.command("add", "desk", "--expires", "90d", "--accounts", "home")
        self.assertEqual(desk.returncode, 0, desk.stderr)
        other = self.authenticated(self.secure(), desk.stdout.strip())
        phone = self.authenticated(self.secure())
        listed = self.command("list").stdout
        self.assertRegex(listed, "(?m)^desk .* home")
        self.assertNotIn(self.token.rpartition("_")[2], listed)
        self.assertEqual(self.command("revoke", "phone").returncode, 0)
        self.assertIn(b"revoked", phone.line())
        self.assertEqual(phone.line(), b"")
        other.send(b"PING x\r\n")
        self.assertEqual(other.line(), b"PONG x\r")
        self.assertNotEqual(self.command("revoke", "phone").returncode, 0)
        self.assertNotEqual(self.command("add", "desk").returncode, 0)

    def test_the_secret_is_nowhere(self) -> None:
        """Not in the state, not in the log, not in what a process shows."""
        self.authenticated(self.secure())
        secret = self.token.rpartition("_")[2].encode()
        for path in self.service.directory.rglob("*"):
            if path.is_file():
                self.assertNotIn(secret, path.read_bytes(), path)

    def test_hangup_takes_a_new_certificate(self) -> None:
        """New connections see it, old ones live on; a broken file changes nothing."""
        old = self.authenticated(self.secure())
        first = self.shown()
        new = self.certificates.issue("new", "localhost", "127.0.0.1")
        for source, target in zip(
            new, (self.certificates.cert_file, self.certificates.key_file), strict=True
        ):
            target.write_bytes(source.read_bytes())
        self.assertEqual(self.shown(), first)
        self.hang_up("the certificate was read again")
        second = self.shown()
        self.assertNotEqual(second, first)
        self.certificates.key_file.write_text("no key")
        self.hang_up("the certificate stays as it was")
        self.assertEqual(self.shown(), second)
        old.send(b"PING x\r\n")
        self.assertEqual(old.line(), b"PONG x\r")

    def shown(self) -> str:
        """The fingerprint that a new connection sees."""
        connection = self.secure().socket
        assert isinstance(connection, ssl.SSLSocket)
        return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    def hang_up(self, answer: str) -> None:
        assert self.service._process is not None
        self.service._process.send_signal(signal.SIGHUP)
        self.service.await_log(answer)


class ClientTests(SecureService):
    """`mailnotify tail` from elsewhere."""

    def tail(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In TLS, with a token."""
        file = self.folder / "token"
        file.touch(mode=0o600)
        file.write_text(self.token + "\n")
        return self.bare_tail("--tls", "--token-file", str(file), *words)

    def bare_tail(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "mailnotify", "tail"),
                *("--since", "oldest", "--count", "1", *words),
            ],
            capture_output=True,
            text=True,
            env=child_environment(),
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def tell_blindness(self) -> None:
        """An event that comes soon, since there is no mail server."""
        self.service.terminate()
        self.service.config_file.write_text(
            self.service.config_file.read_text().replace(
                "denied_retry_seconds = 1.0", "denied_retry_seconds = 1.0\nblind_seconds = 0.2"
            )
        )
        self.service.start()
        self.await_tls()

    def test_verifies(self) -> None:
        """A certificate of nobody it knows, or for another name, ends it with the reason."""
        unknown = self.tail("--server", f"localhost:{self.tls_port}")
        self.assertEqual(unknown.returncode, os.EX_UNAVAILABLE)
        self.assertIn("certificate of localhost", unknown.stderr)
        self.assertIn("--ca-file", unknown.stderr)
        wrong = self.tail(
            *("--server", f"127.0.0.2:{self.tls_port}"),
            *("--ca-file", str(self.certificates.ca_file)),
        )
        self.assertNotEqual(wrong.returncode, 0)

    def test_starttls(self) -> None:
        """The plain port does as well, with the same proofs, and a certificate of one's own."""
        self.tell_blindness()
        mine, other = (self.certificates.issue(name, "laptop.example.org") for name in "ab")
        self.command("add", "laptop", "--certificate", str(mine[0]))
        trust = ("--ca-file", str(self.certificates.ca_file))
        for way in (("--starttls", self.service.port), ("--tls", self.tls_port)):
            place = (way[0], "--server", f"localhost:{way[1]}")
            for certificate, words in ((mine, ""), (other, "AUTH with DENIED")):
                shown = ("--cert", str(certificate[0]), "--key", str(certificate[1]))
                done = self.bare_tail(*place, *trust, *shown)
                self.assertEqual(done.returncode, os.EX_UNAVAILABLE if words else 0, done.stderr)
                self.assertIn(words, done.stderr)
            self.assertIn("certificate of localhost", self.bare_tail(*place).stderr)

    def test_hints(self) -> None:
        """The wrong kind of port is told with the option that fits."""
        trust = ("--ca-file", str(self.certificates.ca_file))
        plain = self.bare_tail("--tls", "--server", f"localhost:{self.service.port}", *trust)
        self.assertIn("wants --starttls", plain.stderr)
        secure = self.bare_tail("--server", f"localhost:{self.tls_port}")
        self.assertIn("wants --tls", secure.stderr)
        for done in (plain, secure):
            self.assertEqual(done.returncode, os.EX_UNAVAILABLE)

    def test_an_account_that_is_not_there(self) -> None:
        """Whoever waits for it is told."""
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "mailnotify", "tail", "--account", "hone"),
                *("--server", f"localhost:{self.service.port}"),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        assert child.stderr is not None
        said = child.stderr.readline()
        child.terminate()
        child.communicate()
        self.assertIn(f"localhost:{self.service.port} knows no account hone", said)

    def test_follows(self) -> None:
        """By its authority, or by exactly that certificate; an event comes through."""
        self.tell_blindness()
        digest = subprocess.run(
            [
                *(require("openssl", "openssl"), "x509", "-noout", "-fingerprint", "-sha256"),
                *("-in", str(self.certificates.cert_file)),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.partition("=")[2]
        for trust in (
            ("--ca-file", str(self.certificates.ca_file)),
            ("--fingerprint", digest.strip()),
        ):
            done = self.tail("--server", f"localhost:{self.tls_port}", "--json", *trust)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('"account"', done.stdout)


class UserTests(SecureService):
    """Other users of this machine."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        super().setUp()

    def as_nobody(self) -> Talk:
        """A connection whose socket belongs to nobody."""
        made: list[socket.socket] = []

        def connect() -> None:
            # The credentials of one thread are its own, where libc is not asked.
            libc_setfsuid(NOBODY)
            made.append(socket.create_connection(("127.0.0.1", self.service.port)))

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        talk = Talk(made[0])
        self.addCleanup(talk.close)
        return talk

    def test_strangers_on_this_machine(self) -> None:
        """Another user is told nothing without a token, and everything allowed with one."""
        talk = self.as_nobody()
        talk.send(GREETING + b"SUBSCRIBE\r\n")
        self.assertIn(b'"epoch":""', talk.line())
        self.assertIn(b"ERR AUTH", talk.line())
        self.authenticated(self.as_nobody())
        mine = self.plain()
        mine.send(GREETING + b"SUBSCRIBE\r\n")
        self.assertNotIn(b'"epoch":""', mine.line())
        self.assertIn(b'"to":"SUBSCRIBE"', mine.line())


class ProxyTests(SecureService):
    """Behind a proxy on 127.0.0.1."""

    extra = 'proxies = ["127.0.0.1"]'

    def header(self, host: str = "192.0.2.7") -> bytes:
        body = socket.inet_aton(host) + socket.inet_aton("127.0.0.1") + pack("!HH", 4, 5)
        return b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + pack("!H", len(body)) + body

    def test_in_clear_and_in_tls(self) -> None:
        """The header comes first, in pieces if it likes; then the client is a stranger."""
        talk = self.plain()
        for byte in self.header("127.0.0.1"):
            talk.send(bytes([byte]))
        talk.send(GREETING)
        self.assertIn(b'"epoch":""', talk.line())
        raw = Talk(socket.create_connection(("127.0.0.1", self.tls_port)))
        raw.send(self.header())
        self.authenticated(self.secure(raw))
        raw = Talk(socket.create_connection(("127.0.0.1", self.service.port)))
        raw.send(self.header() + b"STARTTLS\r\n")
        raw.line()
        self.authenticated(self.secure(raw))

    def test_without_a_header(self) -> None:
        """A listed address that sends none is cut."""
        for nonsense in (GREETING, b"PROXY TCP4 192.0.2.7 127.0.0.1 4 5\r\n" + GREETING):
            talk = self.plain()
            talk.send(nonsense)
            self.assertEqual(talk.line(), b"")


def libc_setfsuid(uid: int) -> None:
    """The owner of what this thread makes from now on."""
    import ctypes

    ctypes.CDLL(None).setfsuid(uid)
