"""Sent through a real Postfix, received in a real Dovecot, announced on port 5050."""

from __future__ import annotations

import subprocess
import sys

from tests.live.test_service import ServiceCase
from tests.rigs import PATIENCE_SECONDS, child_environment
from tests.rigs.postfix import Postfix
from tests.rigs.service import Service


class WholeChainTests(ServiceCase):
    """One account that watches and sends."""

    def test_sent_received_announced(self) -> None:
        """Over 465 and over 587, by `mailnotify send`, each letter is announced once."""
        postfix = Postfix.start(self.dovecot)
        self.addCleanup(postfix.stop)
        urls = (
            f"smtps://demo@localhost:{postfix.tls_port}",
            f"smtp+starttls://demo@localhost:{postfix.starttls_port}",
        )
        for url in urls:
            service = self.serve(
                f'{self.home()}[accounts.home.submission]\nserver = "{url}"\n'
                'sender = "demo@localhost"\n'
            )
            reader = self.nc(service)
            self.send(service, f"Grüße über {url.partition(':')[0]}")
            self.assertEqual(reader.subjects(1), [f"Grüße über {url.partition(':')[0]}"])
            reader.assert_silent()
            service.terminate()

    def send(self, service: Service, subject: str) -> None:
        command = [sys.executable, "-m", "mailnotify", "send", "-c", str(service.config_file)]
        letter = ("--to", "demo@localhost", "--subject", subject, "--body", "Hallo")
        subprocess.run(
            [*command, *letter],
            env=child_environment(),
            check=True,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
