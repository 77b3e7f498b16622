"""A real Postfix on loopback, which asks a Dovecot who may send and hands it the mail.

It must be started as root, since its master process changes users. Every folder
lies in one of its own, so that several can run beside each other and beside the
machine's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from tests.rigs import PATIENCE_SECONDS, ServerMissing, free_port, require
from tests.rigs.dovecot import Dovecot

_STOP_SECONDS = 10.0

_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("private", "saved", "trace"),
)

_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {directory}/data/mail.log
maillog_file_prefixes = {directory}
virtual_mailbox_domains = localhost, example.org
virtual_transport = lmtp:inet:127.0.0.1:{lmtp_port}
virtual_mailbox_maps = inline:{{ demo@localhost=OK, ada@localhost=OK }}
alias_maps =
local_recipient_maps =
message_size_limit = 20000000
smtpd_discard_ehlo_keywords = {without}
smtpd_tls_cert_file = {cert_file}
smtpd_tls_key_file = {key_file}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl_port}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = reject_unlisted_recipient
smtpd_error_sleep_time = 0
import_environment = MAIL_CONFIG
multi_instance_enable = yes
"""

_MASTER = """\
127.0.0.1:{starttls_port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One running server; `Postfix.start()` makes it, `stop` ends it and its folder.

    Known recipients are ``demo@localhost`` and ``ada@localhost``.

    Attributes:
        tls_port: submission inside TLS, as on 465.
        starttls_port: submission with STARTTLS, as on 587.
    """

    def __init__(self, directory: Path, dovecot: Dovecot, without: str) -> None:
        self.directory = directory
        self._without = without
        self.tls_port, self.starttls_port = free_port(), free_port()
        self._dovecot = dovecot
        self._process: subprocess.Popen[bytes] | None = None
        directory.chmod(0o755)
        self._make_folders()
        certificates = dovecot.certificates
        self._write_config(certificates.cert_file, certificates.key_file)
        ports = {"tls_port": self.tls_port, "starttls_port": self.starttls_port}
        (directory / "etc/master.cf").write_text(_MASTER.format(**ports))

    def _make_folders(self) -> None:
        """What `postfix check` would make, with the owners that it would insist on."""
        for name in ("etc", "queue", "data", "queue/pid"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        for name in _QUEUES:
            (self.directory / "queue" / name).mkdir(mode=0o700)
            shutil.chown(self.directory / "queue" / name, "postfix")
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            (self.directory / "queue" / name).mkdir()
            shutil.chown(self.directory / "queue" / name, "postfix", "postdrop")
            (self.directory / "queue" / name).chmod(mode)

    @classmethod
    def start(cls, dovecot: Dovecot, *, without: str = "") -> Postfix:
        """Start a server in front of that Dovecot, with its certificate.

        Args:
            without: extensions that it does not offer.
        """
        require("postfix", "postfix")
        _require_root()
        directory = Path(tempfile.mkdtemp(prefix="mailnotify-postfix-"))
        try:
            rig = cls(directory, dovecot, without)
            rig._start()
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return rig

    def present(self, cert_file: Path, key_file: Path) -> None:
        """Use another certificate; returns when new connections get it."""
        assert self._process is not None
        self._write_config(cert_file, key_file)
        self._process.send_signal(signal.SIGHUP)
        expected = ssl.PEM_cert_to_DER_cert(cert_file.read_text().partition("\n\n")[0])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                found = ssl.get_server_certificate(("127.0.0.1", self.tls_port), timeout=1)
                if ssl.PEM_cert_to_DER_cert(found) == expected:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"postfix does not present the certificate: {self.log}")

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def is_idle(self) -> bool:
        """Whether no letter is on its way."""
        folders = ("maildrop", "incoming", "active", "deferred")
        return not any(
            path.is_file()
            for name in folders
            for path in (self.directory / "queue" / name).rglob("*")
        )

    @property
    def log(self) -> str:
        """What the server has written so far."""
        path = self.directory / "data/mail.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _write_config(self, cert_file: Path, key_file: Path) -> None:
        text = _MAIN.format(
            directory=self.directory,
            lmtp_port=self._dovecot.lmtp_port,
            sasl_port=self._dovecot.sasl_port,
            cert_file=cert_file,
            key_file=key_file,
            without=self._without,
        )
        (self.directory / "etc/main.cf").write_text(text)

    def _start(self) -> None:
        # Not `postfix start`: its script sleeps for two seconds, and for two more in
        # `stop`. `-d` keeps the master in the foreground, as our child.
        command = ["/usr/lib/postfix/sbin/master", "-d", "-c", str(self.directory / "etc")]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MAIL_CONFIG": str(self.directory / "etc")},
        )
        try:
            self._await_port(self.tls_port)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _await_port(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"postfix ended: {self.log}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            time.sleep(0.02)
        raise RuntimeError(f"postfix does not listen on {port} after {PATIENCE_SECONDS:g} s")


def _require_root() -> None:
    if os.getuid() != 0:
        reason = "postfix can only be started by root"
        if os.environ.get("CI"):
            raise ServerMissing(reason)
        raise SkipTest(reason)
