"""``mailnotify measure`` through a real Postfix, Dovecot and service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.live.test_service import ServiceCase
from tests.rigs import PATIENCE_SECONDS, child_environment, free_port
from tests.rigs.certificates import Certificates
from tests.rigs.postfix import Postfix
from tests.rigs.service import Service


class MeasureTests(ServiceCase):
    """The console script, from outside."""

    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        self.postfix = Postfix.start(self.dovecot)
        self.addCleanup(self.postfix.stop)

    def sending(self, url: str, listen: str = "") -> Service:
        """A running service whose account also sends."""
        return self.serve(
            f'{self.home()}[accounts.home.submission]\nserver = "{url}"\n'
            'sender = "demo@localhost"\n',
            extra=listen,
        )

    def command(
        self, word: str, service: Service, *options: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mailnotify", word, "-c", str(service.config_file), *options],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def measure(self, service: Service, *options: str) -> subprocess.CompletedProcess[str]:
        return self.command("measure", service, "--server", f"127.0.0.1:{service.port}", *options)

    def figures(self, service: Service, *options: str) -> dict[str, Any]:
        done = self.measure(service, "--json", *options)
        self.assertEqual((done.returncode, done.stderr), (os.EX_OK, ""))
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def test_the_whole_chain(self) -> None:
        """Each operation is timed and counted, over 465 and 587; the flags stay as they are."""
        urls = (
            f"smtps://demo@localhost:{self.postfix.tls_port}",
            f"smtp+starttls://demo@localhost:{self.postfix.starttls_port}",
        )
        for url in urls:
            service = self.sending(url)
            told = self.figures(service)
            send, fetch, alert = told["operations"]
            self.assertEqual(
                [each["operation"] for each in told["operations"]],
                ["SMTP send", "IMAP fetch", "notification"],
            )
            for each in (send, fetch):
                self.assertGreater(each["seconds"], 0)
                self.assertGreater(each["packets_sent"], 5)
                self.assertGreater(each["bytes_received"], 1000)  # TLS with a certificate
                self.assertGreater(each["round_trips"], 4)
            self.assertGreater(send["bytes_sent"], 500)
            self.assertEqual((alert["round_trips"], alert["bytes_sent"]), (0, 0))
            self.assertGreater(alert["bytes_received"], 100)
            self.assertGreaterEqual(told["end_to_end_seconds"], alert["seconds"])
            self.assertNotIn(b"\\Seen", self.dovecot.flags("demo")[-1])
            service.terminate()

    def test_by_starttls_with_a_certificate(self) -> None:
        """The service is reached by whatever way the other clients know; the meter sees it all."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        files = Certificates(folder)
        ours, key = files.issue("laptop", "laptop")
        service = self.sending(
            f"smtps://demo@localhost:{self.postfix.tls_port}",
            f'plain = "off"\n[listen.tls]\ncert_file = "{files.cert_file}"\n'
            f'key_file = "{files.key_file}"\nclient_ca_file = "{files.ca_file}"\n'
            f"port = {free_port()}\n",
        )
        self.command("token", service, "add", "laptop", "--certificate", str(ours))
        own = ("--ca-file", str(files.ca_file), "--cert", str(ours), "--key", str(key))
        alert = self.figures(service, "--starttls", *own)["operations"][2]
        self.assertEqual((alert["round_trips"], alert["bytes_sent"]), (0, 0))
        self.assertGreater(alert["bytes_received"], 100)
        self.assertEqual(self.measure(service).returncode, os.EX_UNAVAILABLE)

    def test_table_and_deadline(self) -> None:
        """A person gets a table; mail to where nobody watches ends by the timeout."""
        service = self.sending(f"smtps://demo@localhost:{self.postfix.tls_port}")
        done = self.measure(service)
        self.assertEqual((done.returncode, done.stderr), (os.EX_OK, ""))
        heads = [line[:12].rstrip() for line in done.stdout.splitlines()[:4]]
        self.assertEqual(heads, ["operation", "SMTP send", "IMAP fetch", "notification"])
        self.assertIn("submit to alert: ", done.stdout)
        late = self.measure(service, "--timeout", "10", "--to", "ada@localhost")
        self.assertEqual((late.returncode, late.stdout), (os.EX_TEMPFAIL, ""))
        self.assertIn("did not finish the announcement of the message within 10 s", late.stderr)
        self.assertIn("The message was sent.", late.stderr)
        self.assertNotIn("Traceback", late.stderr)
        service.terminate()
        gone = self.measure(service)
        self.assertEqual((gone.returncode, gone.stdout), (os.EX_TEMPFAIL, ""))
        self.assertIn(f"127.0.0.1:{service.port}", gone.stderr)
