"""A real Cyrus IMAP on loopback, beside a Dovecot: another make, with other habits.

As packages the two exclude each other, so ``tests/install-servers`` unpacks
Cyrus and what it needs into a folder of its own, and it runs from there, as an
unprivileged user, with all that it writes in a second folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from tests.rigs import PATIENCE_SECONDS, ServerMissing, free_port, require
from tests.rigs.certificates import Certificates
from tests.rigs.imap_access import ImapAccess

UNPACKED = Path(f"/var/tmp/mailnotify-tests-{os.getuid()}/cyrus")
"""Where ``tests/install-servers`` puts it: readable also for the user it runs as."""

_NOBODY = 65534
_FOLDERS = ("db", "proc", "socket", "log", "msg", "user", "mailboxes", "quota", "lock")

_IMAPD = """\
configdirectory: {directory}/conf
partition-default: {directory}/spool
defaultpartition: default
servername: localhost
admins: cyrus
cyrus_user: {user}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {directory}/passwords
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
unixhierarchysep: yes
altnamespace: yes
tls_server_cert: {cert_file}
tls_server_key: {key_file}
idlesocket: {directory}/conf/socket/idle
imapidlepoll: 1
"""

_CYRUS = """\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {directory}/imapd.conf -r"
  idled cmd="{programs}/idled -C {directory}/imapd.conf"
}}
SERVICES {{
  imap cmd="{programs}/imapd -C {directory}/imapd.conf" listen="127.0.0.1:{imap_port}" prefork=0
  tls cmd="{programs}/imapd -s -C {directory}/imapd.conf" listen="127.0.0.1:{imaps_port}" prefork=0
}}
EVENTS {{
}}
"""


class Cyrus(ImapAccess):
    """One running server; `Cyrus.start()` makes it, `stop` ends it and its folder.

    Attributes:
        imap_port: plain with STARTTLS.
        imaps_port: implicit TLS.
        ca_file: what a client must trust.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.imap_port, self.imaps_port = free_port(), free_port()
        certificates = Certificates(directory)
        self.ca_file = certificates.ca_file
        is_root = os.getuid() == 0
        self._uid, self._gid = (_NOBODY, _NOBODY) if is_root else (os.getuid(), os.getgid())
        values = {
            "directory": directory,
            "programs": UNPACKED / "usr/lib/cyrus/bin",
            "user": _name_of_user(self._uid),
            "cert_file": certificates.cert_file,
            "key_file": certificates.key_file,
            "imap_port": self.imap_port,
            "imaps_port": self.imaps_port,
        }
        (directory / "spool").mkdir()
        for name in _FOLDERS:
            (directory / "conf" / name).mkdir(parents=True)
        (directory / "imapd.conf").write_text(_IMAPD.format(**values))
        (directory / "cyrus.conf").write_text(_CYRUS.format(**values))
        for user in ("cyrus", "demo"):
            self._set_password(user)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self._uid, self._gid)

    @classmethod
    def start(cls) -> Cyrus:
        """Start a server with the user ``demo``; its password is the same."""
        if not (UNPACKED / "complete").exists():
            reason = f"Cyrus is not in {UNPACKED} (tests/install-servers puts it there)"
            raise ServerMissing(reason) if os.environ.get("CI") else SkipTest(reason)
        directory = Path(tempfile.mkdtemp(prefix="mailnotify-cyrus-"))
        try:
            rig = cls(directory)
            rig.start_again()
            rig.create("cyrus", "user/demo")
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return rig

    def _set_password(self, user: str) -> None:
        program = str(UNPACKED / "usr/sbin/saslpasswd2")
        passwords = str(self.directory / "passwords")
        subprocess.run(
            [program, "-p", "-c", "-f", passwords, "-u", "localhost", user],
            input=user.encode(),
            env=self._environment(),
            check=True,
            timeout=PATIENCE_SECONDS,
        )

    def _environment(self) -> dict[str, str]:
        folders = sorted(UNPACKED.glob("**/lib/*-linux-gnu*"))
        libraries = os.pathsep.join(str(each) for each in folders)
        user = _name_of_user(self._uid)
        return {**os.environ, "LD_LIBRARY_PATH": libraries, "CYRUS_USER": user}

    def start_again(self) -> None:
        """Start the server on the same ports, with the mail it had."""
        config = [
            "-C",
            str(self.directory / "imapd.conf"),
            "-M",
            str(self.directory / "cyrus.conf"),
        ]
        master = str(UNPACKED / "usr/lib/cyrus/bin/master")
        command = [master, "-D", *config, "-p", str(self.directory / "conf/pid")]
        if os.getuid() == 0:
            drop = ["--reuid", str(self._uid), "--regid", str(self._gid), "--clear-groups"]
            command = [require("setpriv", "util-linux"), *drop, *command]
        self._process = subprocess.Popen(
            command,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._await_greeting()

    def _await_greeting(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise RuntimeError(f"cyrus ended: {self._process.stderr.read().decode()}")
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.imap_port), timeout=2) as probe,
            ):
                if probe.recv(4).startswith(b"* OK"):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"cyrus does not answer after {PATIENCE_SECONDS:g} s")

    def halt(self) -> None:
        """End the server and keep its mail; `start_again` brings it back."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        self._kill(process)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own: start_new_session
        process.wait()
        if process.stderr is not None:
            process.stderr.close()

    def stop(self) -> None:
        """End the server at once and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            self._kill(process)
        shutil.rmtree(self.directory, ignore_errors=True)


def _name_of_user(uid: int) -> str:
    import pwd

    return pwd.getpwuid(uid).pw_name
