"""SSLKEYLOGFILE: only if the configuration agrees, for all three kinds of connections' code."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.trial.unittest import SynchronousTestCase

from tests.rigs import PATIENCE_SECONDS, child_environment, require
from tests.rigs.certificates import Certificates

_PROGRAM = """
import sys
from mailnotify.config.load import load
from mailnotify.taps.key_log import key_log_of
from mailnotify.access.certificate import ServedCertificate
from mailnotify.config.schema import CaFile, Security, Server
from mailnotify.tls import Connector
from OpenSSL import SSL
from pathlib import Path
config = load(Path(sys.argv[1]), {})
keys = key_log_of(config)
served = ServedCertificate(config.listen.tls, keys).serverConnectionForTLS(None)
server = Server(host="localhost", port=1, security=Security.IMPLICIT_TLS, user="a")
class Protocol: pass
options = Connector(None, keys).tls_options(server, CaFile(ca_file=sys.argv[2]))
client = options.clientConnectionForTLS(Protocol())
client.set_connect_state(); served.set_accept_state()
for _ in range(10):
    for here, there in ((client, served), (served, client)):
        try: here.do_handshake()
        except SSL.WantReadError: pass
        try: there.bio_write(here.bio_read(65536))
        except SSL.WantReadError: pass
"""


class KeyLogTests(SynchronousTestCase):
    """A handshake of our client with our server, in a process of its own."""

    def setUp(self) -> None:
        require("openssl", "openssl")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.keys = self.folder / "keys"

    def lines(self, setting: str, **environ: str) -> list[str]:
        """What was written down."""
        files = Certificates(self.folder)
        config = self.folder / "config.toml"
        config.touch(mode=0o600)
        config.write_text(
            f'[service]\nstate_dir = "state"\n{setting}\n[listen.tls]\n'
            f'cert_file = "{files.cert_file}"\nkey_file = "{files.key_file}"\n'
            '[accounts.a]\nserver = "imaps://a@localhost"\npassword = "x"\n'
        )
        subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(config), str(files.ca_file)],
            env=child_environment(**environ),
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        return self.keys.read_text().splitlines() if self.keys.exists() else []

    def test_both_agree(self) -> None:
        """Both ends of TLS 1.3 write the same secrets; nobody else can read them."""
        lines = self.lines("key_log = true", SSLKEYLOGFILE=str(self.keys))
        secrets = [each for each in lines if each.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self.assertEqual((len(secrets), len(set(secrets))), (2, 1))
        self.assertEqual(stat.S_IMODE(self.keys.stat().st_mode), 0o600)

    def test_commands(self) -> None:
        """The commands that connect by themselves have the same two switches."""
        config = self.folder / "config.toml"
        config.touch(mode=0o600)
        account = (
            '[accounts.a]\nserver = "imaps://a@127.0.0.1:1"\npassword = "x"\n'
            '[accounts.a.submission]\nserver = "smtps://a@127.0.0.1:1"\nsender = "a@b.example"\n'
        )
        for switch, is_written in (("true", True), ("false", False)):
            config.write_text(f'[service]\nstate_dir = "state"\nkey_log = {switch}\n{account}')
            for words in ("latest", "send --to c@d.example --body x", "sendmail c@d.example"):
                word, *rest = words.split()
                done = subprocess.run(
                    [sys.executable, "-m", "mailnotify", word, *rest],
                    env=child_environment(
                        SSLKEYLOGFILE=str(self.keys), MAILNOTIFY_CONFIG=str(config)
                    ),
                    input="Subject: x\n\nx\n",
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_SECONDS,
                )
                self.assertEqual(self.keys.exists(), is_written, f"{words}: {done.stderr}")
                self.assertEqual("THE KEYS OF ALL" in done.stderr, is_written, done.stderr)
                self.keys.unlink(missing_ok=True)

    def test_a_client(self) -> None:
        """Who follows a service has a switch of the command line instead, and is warned."""
        files = Certificates(self.folder)
        options = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
        options.use_certificate_chain_file(str(files.cert_file))
        options.use_privatekey_file(str(files.key_file))
        for switch in (("--key-log",), ()):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                tail = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "mailnotify", "tail", "--tls", *switch),
                        *("--server", f"127.0.0.1:{listening.getsockname()[1]}"),
                        *("--ca-file", str(files.ca_file)),
                    ],
                    env=child_environment(SSLKEYLOGFILE=str(self.keys)),
                    stderr=subprocess.PIPE,
                    text=True,
                )
                connection, _ = listening.accept()
                with connection:
                    served = SSL.Connection(options, connection)
                    served.set_accept_state()
                    served.do_handshake()
                _, said = tail.communicate(timeout=PATIENCE_SECONDS)
            self.assertEqual("THE KEYS OF ALL TLS CONNECTIONS" in said, bool(switch), said)
            self.assertEqual(self.keys.exists(), bool(switch))
            self.keys.unlink(missing_ok=True)

    def test_one_alone_is_not_enough(self) -> None:
        """Neither a variable that somebody forgot, nor a line in the configuration."""
        self.assertEqual(self.lines("", SSLKEYLOGFILE=str(self.keys)), [])
        self.assertEqual(self.lines("key_log = false", SSLKEYLOGFILE=str(self.keys)), [])
        self.assertEqual(self.lines("key_log = true"), [])
