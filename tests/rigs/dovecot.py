"""A real Dovecot on loopback, from a folder of its own, as an unprivileged user.

Users ``demo`` and ``ada``, each with its own name as password; TLS with the
certificate of a throw-away CA; LMTP for deliveries; SASL for a Postfix.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.rigs import PATIENCE_SECONDS, free_port, require
from tests.rigs.certificates import Certificates

_NOBODY = 65534

_CONFIG = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/dovecot.log
auth_verbose = yes
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_client_limit = 4000
default_process_limit = 2000
first_valid_uid = 0
ssl = yes
ssl_cert = <{cert_file}
ssl_key = <{key_file}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer scram-sha-256
auth_username_format = %Ln
auth_failure_delay = 0
mail_plugins = {mail_plugins}
mail_location = maildir:{directory}/mail/%n
mailbox_idle_check_interval = 1s
imap_idle_notify_interval = 2 mins
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%n
}}
protocol imap {{
  mail_max_userip_connections = {most_connections}
  mail_plugins = {imap_plugins}
}}
namespace inbox {{
  inbox = yes
  mailbox Archive {{
    auto = subscribe
  }}
}}
service anvil {{
  chroot =
}}
service auth {{
  user = {user}
  inet_listener {{
    address = 127.0.0.1
    port = {sasl_port}
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 2000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
service stats {{
  chroot =
}}
"""


class Letter(NamedTuple):
    """One that was delivered: its file, and what stands in it."""

    path: Path
    content: bytes


class Dovecot:
    """One running server; `Dovecot.start()` makes it, `stop` ends it and its folder.

    Attributes:
        imap_port: plain with STARTTLS.
        imaps_port: implicit TLS.
        lmtp_port: takes deliveries from anyone on this machine.
        sasl_port: the authentication service, for Postfix.
        certificates: the CA, and more certificates on demand.
        ca_file: what a client must trust.
    """

    def __init__(
        self,
        directory: Path,
        capability: str,
        *,
        compresses: bool = False,
        most_connections: int = 2000,
    ) -> None:
        self._program = require("dovecot", "dovecot-imapd")
        self.directory = directory
        self._capability = capability
        self._compresses = compresses
        self._most_connections = most_connections
        self._process: subprocess.Popen[bytes] | None = None
        self.imap_port, self.imaps_port = free_port(), free_port()
        self.lmtp_port, self.sasl_port = free_port(), free_port()
        self.certificates = Certificates(directory)
        self.ca_file = self.certificates.ca_file
        self._write_files()

    @classmethod
    def start(
        cls, *, capability: str = "", compresses: bool = False, most_connections: int = 2000
    ) -> Dovecot:
        """Start a server.

        Args:
            capability: overrides what it offers, as in ``IMAP4rev1``.
            compresses: it offers COMPRESS=DEFLATE.
            most_connections: of one user from one address.
        """
        directory = Path(tempfile.mkdtemp(prefix="mailnotify-dovecot-"))
        try:
            rig = cls(
                directory, capability, compresses=compresses, most_connections=most_connections
            )
            rig.start_again()
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return rig

    def _write_files(self) -> None:
        is_root = os.getuid() == 0
        self._uid, self._gid = (_NOBODY, _NOBODY) if is_root else (os.getuid(), os.getgid())
        for name in ("run", "mail"):
            (self.directory / name).mkdir()
        (self.directory / "users").write_text("demo:{PLAIN}demo\nada:{PLAIN}ada\n")
        text = _CONFIG.format(
            directory=self.directory,
            user=_name_of_user(self._uid),
            group=_name_of_group(self._gid),
            uid=self._uid,
            gid=self._gid,
            cert_file=self.certificates.cert_file,
            key_file=self.certificates.key_file,
            imap_port=self.imap_port,
            imaps_port=self.imaps_port,
            lmtp_port=self.lmtp_port,
            sasl_port=self.sasl_port,
            mail_plugins="zlib" if self._compresses else "",
            imap_plugins="zlib imap_zlib" if self._compresses else "",
            most_connections=self._most_connections,
        )
        if self._capability:
            text += f"imap_capability = {self._capability}\n"
        (self.directory / "dovecot.conf").write_text(text)
        for path in (self.directory, *self.directory.rglob("*")):
            os.chown(path, self._uid, self._gid)

    def start_again(self) -> None:
        """Start the server on the same ports, with the mail it had."""
        config = str(self.directory / "dovecot.conf")
        command = [self._program, "-F", "-c", config]
        if os.getuid() == 0:
            drop = ["--reuid", str(self._uid), "--regid", str(self._gid), "--clear-groups"]
            command = [require("setpriv", "util-linux"), *drop, *command]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
        self._await_port(self.imap_port)
        self._await_port(self.lmtp_port)

    def _await_port(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise RuntimeError(f"dovecot ended: {self._process.stderr.read().decode()}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            time.sleep(0.02)
        raise RuntimeError(f"dovecot does not listen on {port} after {PATIENCE_SECONDS:g} s")

    def halt(self) -> None:
        """Stop the server and keep its mail; `start_again` brings it back."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            # Sessions that use NOTIFY outlive their master by half a minute.
            os.killpg(process.pid, signal.SIGKILL)
        if process.stderr is not None:
            process.stderr.close()

    def stop(self) -> None:
        """End the server at once and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own: start_new_session
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def crashes(self) -> int:
        """How many of its processes ended by a bug of its own."""
        log = (self.directory / "dovecot.log").read_text(errors="replace")
        return log.count("killed with signal 11") + log.count("killed with signal 6")

    def deliver(self, user: str, *letters: bytes) -> None:
        """Deliver letters over LMTP in one connection, as a mail server would."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as lmtp:
            for letter in letters:
                lmtp.sendmail("sender@example.org", [f"{user}@localhost"], letter)

    @contextlib.contextmanager
    def _imap(self, user: str):  # type: ignore[no-untyped-def]
        context = ssl.create_default_context(cafile=str(self.ca_file))
        imap = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=context)
        try:
            imap.login(user, user)
            yield imap
        finally:
            imap.logout()

    def append(
        self, user: str, mailbox: str, *letters: bytes, received: datetime | None = None
    ) -> None:
        """APPEND letters as another session would; 8-bit bytes stay as they are.

        Args:
            received: their INTERNALDATE, if it is not to be now.
        """
        with self._imap(user) as imap:
            for letter in letters:
                status, said = imap.append(mailbox, "", received, letter)  # type: ignore[arg-type]
                assert status == "OK", said

    def command(self, user: str, name: str, *arguments: str) -> list[bytes]:
        """Run one method of `imaplib.IMAP4` after SELECT INBOX; return its data."""
        with self._imap(user) as imap:
            imap.select("INBOX")
            status, data = getattr(imap, name)(*arguments)
            assert status == "OK", data
            return list(data)

    def letters(self, user: str, mailbox: str = "") -> list[Letter]:
        """What lies on the disk, oldest first, without any session.

        A session that looks moves files from new/ to cur/ meanwhile: neither is one of
        them missed by it, nor found twice.

        Args:
            mailbox: as Maildir++ names it, ``.Archive``; INBOX without.
        """
        folder = self.directory / "mail" / user / mailbox
        while True:
            try:
                paths = {
                    path.name.partition(":")[0]: path
                    for place in ("new", "cur")
                    for path in sorted(folder.glob(f"{place}/*"))
                }
                found = [
                    (each.stat().st_mtime_ns, each, each.read_bytes()) for each in paths.values()
                ]
            except FileNotFoundError:
                continue
            return [Letter(path, content) for _, path, content in sorted(found)]

    def subjects(self, user: str, mailbox: str = "INBOX") -> list[str]:
        """The subjects in the order of UID, which is not always that of delivery.

        Dovecot's LMTP leaves the UID of a message to the next session that looks, where
        the list of UIDs is locked at that moment; a later message can get the lower one.
        """
        subjects: list[str] = []
        with self._imap(user) as imap:
            imap.select(mailbox, readonly=True)
            _, data = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            for each in data:
                if isinstance(each, tuple):
                    _, _, subject = each[1].decode().partition(":")
                    subjects.append(" ".join(subject.split()))
        return subjects

    def flags(self, user: str, mailbox: str = "INBOX") -> list[bytes]:
        """The UID and flags of every message, read without changing any."""
        with self._imap(user) as imap:
            imap.select(mailbox, readonly=True)
            _, data = imap.fetch("1:*", "(UID FLAGS)")
            return [line for line in data if isinstance(line, bytes)]


def _name_of_user(uid: int) -> str:
    import pwd

    return pwd.getpwuid(uid).pw_name


def _name_of_group(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name
