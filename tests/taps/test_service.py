"""The service says why it cannot start."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.rigs.service import Service

_ACCOUNT = '[accounts.a]\nserver = "imaps://a@127.0.0.1:1"\npassword = "x"\n'


class TakenPortTests(SynchronousTestCase):
    """Somebody else listens where it should."""

    def test_names_the_place_in_the_configuration(self) -> None:
        """One sentence on stderr: which port, why, and what to write where."""
        service = Service(_ACCOUNT)
        self.addCleanup(service.stop)
        with socket.create_server(("127.0.0.1", service.port)):
            service.await_port = lambda: None  # type: ignore[method-assign]
            service.start()
            process = service._process
            assert process is not None and process.stdout is not None
            said = process.communicate(timeout=30)[0].decode()
        self.assertIn(f"127.0.0.1:{service.port} cannot be listened on: Address already", said)
        self.assertIn("`port` into [listen]", said)
        self.assertEqual((process.returncode, "Traceback" in said), (78, False))
