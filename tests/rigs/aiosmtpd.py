"""A submission server of another make: aiosmtpd, in a process of its own.

It offers no PIPELINING and no CHUNKING, but SMTPUTF8; so it is spoken to step by
step, which Postfix never is. What it takes lies in a folder, one file for each letter.

Run as a program it is the server: ``python -m tests.rigs.aiosmtpd FOLDER CERT KEY``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from tests.rigs import ServerMissing, child_environment
from tests.rigs.certificates import Certificates

_STOP_SECONDS = 10.0


class Aiosmtpd:
    """One running server; user ``ada`` with password ``ada``; ``nobody@…`` is unknown.

    Attributes:
        tls_port: submission inside TLS.
        starttls_port: submission with STARTTLS.
        ca_file: what a client must trust.
    """

    def __init__(self) -> None:
        _require_it()
        self._folder = tempfile.TemporaryDirectory(prefix="mailnotify-aiosmtpd-")
        folder = Path(self._folder.name)
        certificates = Certificates(folder)
        self.ca_file = certificates.ca_file
        self._letters = folder / "letters"
        self._letters.mkdir()
        files = [str(each) for each in (certificates.cert_file, certificates.key_file)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.aiosmtpd", str(self._letters), *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # warnings about the way that tests use it
            env=child_environment(),
        )
        assert self._process.stdout is not None
        ports = self._process.stdout.readline().split()
        if len(ports) != 2:
            self.stop()
            raise RuntimeError("aiosmtpd did not start")
        self.tls_port, self.starttls_port = map(int, ports)

    @property
    def letters(self) -> list[dict[str, Any]]:
        """What was accepted, oldest first: ``sender``, ``recipients``, ``options``, ``content``."""
        files = sorted(self._letters.glob("*.json"), key=lambda file: int(file.stem))
        return [json.loads(file.read_text("utf-8")) for file in files]

    def stop(self) -> None:
        """End the server and remove its folder."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()


def _require_it() -> None:
    """Skip the test where it is not installed (in CI: fail)."""
    if importlib.util.find_spec("aiosmtpd") is None:
        reason = "aiosmtpd is not installed (pip install mailnotify[dev])"
        if os.environ.get("CI"):
            raise ServerMissing(reason)
        raise SkipTest(reason)


class _Keeper:
    """What the server asks about each command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self._count += 1
        letter = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "content": envelope.content.decode("latin-1"),
        }
        (self._folder / f"{self._count}.json").write_text(json.dumps(letter), "utf-8")
        return f"250 2.0.0 OK kept as {self._count}"


async def _serve(folder: Path, cert_file: str, key_file: str) -> None:
    from aiosmtpd.smtp import SMTP, AuthResult

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    keeper = _Keeper(folder)

    def judge(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        is_ada = (data.login, data.password) == (b"ada", b"ada")
        return AuthResult(success=is_ada, handled=False)

    def make(**options: Any) -> Any:
        return SMTP(
            keeper,
            enable_SMTPUTF8=True,
            authenticator=judge,
            auth_required=True,
            data_size_limit=1_000_000,
            ident="aiosmtpd",
            **options,
        )

    loop = asyncio.get_running_loop()
    # It knows of the TLS that it started itself only.
    inside = await loop.create_server(
        lambda: make(auth_require_tls=False), "127.0.0.1", 0, ssl=context
    )
    later = await loop.create_server(
        lambda: make(tls_context=context, require_starttls=True), "127.0.0.1", 0
    )
    print(*(each.sockets[0].getsockname()[1] for each in (inside, later)), flush=True)
    await asyncio.gather(inside.serve_forever(), later.serve_forever())


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *sys.argv[2:4]))
