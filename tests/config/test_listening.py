"""The tables [listen] and [listen.tls]."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.listen import Listen, ListenTls, PlainFor
from tests.config.documents import ACCOUNT, problem, problems_of, read
from tests.rigs.certificates import Certificates


class ListenTests(SynchronousTestCase):
    """`[listen]`."""

    def test_the_default_is_for_oneself(self) -> None:
        """Loopback, for the user of the service and root."""
        listen = read(ACCOUNT).listen
        self.assertEqual(listen, Listen())
        self.assertEqual((listen.host, listen.plain, listen.tls), ("127.0.0.1", "user", None))

    def test_who_may_read_in_clear(self) -> None:
        """One of three words, and further users."""
        for word, plain in (("user", "USER"), ("loopback", "LOOPBACK"), ("off", "NOBODY")):
            text = f'[listen]\nplain = "{word}"\nusers = ["ada"]\n' + ACCOUNT
            self.assertIs(read(text).listen.plain, PlainFor[plain])
            self.assertEqual(read(text).listen.users, ("ada",))
        for wrong in ('"all"', "true", "1"):
            found = problem(f"[listen]\nplain = {wrong}\n" + ACCOUNT)
            self.assertEqual((found.path, "loopback" in found.expected), ("listen.plain", True))
        self.assertEqual(problem('[listen]\nusers = "ada"\n' + ACCOUNT).path, "listen.users")

    def test_proxies(self) -> None:
        """Addresses and networks, of both kinds."""
        text = '[listen]\nproxies = ["10.0.0.7", "10.1.2.3/16", "fd00::/8"]\n' + ACCOUNT
        self.assertEqual(read(text).listen.proxies, ("10.0.0.7/32", "10.1.0.0/16", "fd00::/8"))
        found = problem('[listen]\nproxies = ["haproxy.example.org"]\n' + ACCOUNT)
        self.assertEqual(found.path, "listen.proxies")

    def test_a_name_is_no_address(self) -> None:
        """A listening socket has an address; a name could change while nobody looks."""
        found = problem('[listen]\nhost = "example.org"\n' + ACCOUNT)
        self.assertEqual((found.path, found.found), ("listen.host", '"example.org"'))

    def test_a_table_must_be_a_table(self) -> None:
        """Several doors are not several tables."""
        self.assertEqual(problem("listen = 3\n" + ACCOUNT).path, "listen")


class ListenTlsTests(SynchronousTestCase):
    """`[listen.tls]`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.files = Certificates(self.folder)

    def table(self, *lines: str) -> str:
        good = (f'cert_file = "{self.files.cert_file}"', f'key_file = "{self.files.key_file}"')
        return "[listen.tls]\n" + "\n".join(lines or good) + "\n" + ACCOUNT

    def test_files_make_a_second_door(self) -> None:
        """On loopback unless it is written otherwise."""
        tls = read(self.table()).listen.tls
        expected = ListenTls(cert_file=str(self.files.cert_file), key_file=str(self.files.key_file))
        self.assertEqual(tls, expected)

    def test_files_beside_the_configuration(self) -> None:
        """Relative names begin at the folder of the configuration."""
        lines = ('cert_file = "server.cert.pem"', 'key_file = "server.key.pem"')
        tls = read(self.table(*lines), file=self.folder / "config.toml").listen.tls
        assert tls is not None
        self.assertEqual(tls.key_file, str(self.files.key_file))

    def test_open_to_the_network(self) -> None:
        """With TLS any address may be listened on, by both doors."""
        config = read(
            '[listen]\nhost = "::"\n'
            + self.table().replace(ACCOUNT, "")
            + 'host = "0.0.0.0"\nport = 6000\n'
            + ACCOUNT
        )
        assert config.listen.tls is not None
        self.assertEqual(
            (config.listen.host, config.listen.tls.host, config.listen.tls.port),
            ("::", "0.0.0.0", 6000),
        )

    def test_what_is_missing_is_told(self) -> None:
        """Each file is named that is not written, not there, or not what it should be."""
        empty = problems_of(self.table("port = 1"))
        self.assertEqual(set(empty), {"listen.tls.cert_file", "listen.tls.key_file"})
        swapped = problems_of(
            self.table(f'cert_file = "{self.files.key_file}"', 'key_file = "/nowhere/key.pem"')
        )
        self.assertIn("no certificate in it", swapped["listen.tls.cert_file"].found)
        self.assertIn("no such file", swapped["listen.tls.key_file"].found)
        wrong = problems_of(self.table("cert_file = 3", "key_file = false", "colour = 1"))
        self.assertEqual(
            set(wrong), {"listen.tls.cert_file", "listen.tls.key_file", "listen.tls.colour"}
        )

    def test_a_key_that_everybody_can_read(self) -> None:
        """It is refused with the command that mends it; a group may read it."""
        self.files.key_file.chmod(0o644)
        found = problem(self.table())
        self.assertEqual(found.path, "listen.tls.key_file")
        self.assertIn("chmod o= ", found.hint)
        self.files.key_file.chmod(0o640)
        self.assertEqual(problems_of(self.table()), {})

    def test_authorities_of_clients(self) -> None:
        """A file of certificates, or an empty text for none."""
        good = (f'cert_file = "{self.files.cert_file}"', f'key_file = "{self.files.key_file}"')
        tls = read(self.table(*good, f'client_ca_file = "{self.files.ca_file}"')).listen.tls
        assert tls is not None
        self.assertEqual(tls.client_ca_file, str(self.files.ca_file))
        self.assertEqual(problems_of(self.table(*good, 'client_ca_file = ""')), {})
        found = problem(self.table(*good, f'client_ca_file = "{self.files.key_file}"'))
        self.assertEqual(found.path, "listen.tls.client_ca_file")
