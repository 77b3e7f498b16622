"""URLs of mail servers."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import Security, Server
from mailnotify.config.servers import IMAP, SMTP, Misfit, read_url


def misfit(url: str, user: str = "") -> Misfit:
    """What is wrong with the URL of an IMAP server."""
    found = read_url(url, IMAP, user)
    assert isinstance(found, Misfit), found
    return found


class ReadUrlTests(SynchronousTestCase):
    """`read_url` takes a URL apart."""

    def test_schemes_and_ports(self) -> None:
        """The scheme says how the connection is protected, and the usual port."""
        for url, schemes, port, security in [
            ("imaps://a@h.example", IMAP, 993, Security.IMPLICIT_TLS),
            ("IMAPS://a@h.example/", IMAP, 993, Security.IMPLICIT_TLS),
            ("imap+starttls://a@h.example", IMAP, 143, Security.STARTTLS),
            ("imap+starttls://a@h.example:1143", IMAP, 1143, Security.STARTTLS),
            ("smtps://a@h.example", SMTP, 465, Security.IMPLICIT_TLS),
            ("smtp+starttls://a@h.example", SMTP, 587, Security.STARTTLS),
        ]:
            self.assertEqual(
                read_url(url, schemes),
                Server(host="h.example", port=port, security=security, user="a"),
            )

    def test_user(self) -> None:
        """The user is percent-decoded as UTF-8; a bare @ in it is understood too."""
        for written, user in [
            ("ada%40example.org", "ada@example.org"),
            ("ada@example.org", "ada@example.org"),
            ("caf%C3%A9", "café"),
            ("a%3Ab", "a:b"),
            ("a+b%2Fc", "a+b/c"),
        ]:
            server = read_url(f"imaps://{written}@imap.example.org", IMAP)
            assert isinstance(server, Server), server
            self.assertEqual(server.user, user)

    def test_hosts(self) -> None:
        """Names, international names and addresses are hosts."""
        for written, host in [
            ("IMAP.Example.org", "imap.example.org"),
            ("localhost", "localhost"),
            ("mail_1.example.org", "mail_1.example.org"),
            ("bücher.example", "bücher.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[::1]:993", "::1"),
        ]:
            server = read_url(f"imaps://a@{written}", IMAP)
            assert isinstance(server, Server), server
            self.assertEqual(server.host, host)

    def test_in_clear(self) -> None:
        """A connection in clear is refused with the reason."""
        for url in ["imap://a@h.example", "smtp://a@h.example"]:
            self.assertIn("in clear", misfit(url).found)
            self.assertIn("readable on the way", misfit(url).hint)

    def test_password(self) -> None:
        """A password in the URL is refused, wherever it stands, and never shown."""
        for url in [
            "imaps://ada:hunter2@imap.example.org",
            "imaps://ada:hun/ter2@imap.example.org",
            "imaps://ada@example.org:hunter2@imap.example.org",
            "imaps://ada:hunter2",
            "imaps://ada@imap.example.org:hunter2",
            "imaps://ada@imap.example.org/hunter2",
            "imaps://ada@imap.example.org?hunter2",
            "hunter2://ada@imap.example.org",
            "ada:hunter2@imap.example.org",
            "imap://ada:hunter2@imap.example.org",
        ]:
            self.assertNotIn("hun", " ".join(misfit(url)))

    def test_no_user(self) -> None:
        """A URL without a user is told, unless the user stands elsewhere."""
        self.assertEqual(misfit("imaps://h.example").found, "no user")
        self.assertEqual(misfit("imaps://@h.example").found, "no user")
        server = read_url("imaps://h.example", IMAP, "ada")
        assert isinstance(server, Server)
        self.assertEqual(server.user, "ada")

    def test_bad_users(self) -> None:
        """A user with control characters could end a command; bad UTF-8 is none."""
        for user in ["a%0D%0Ab", "a%00", "%FF"]:
            self.assertIn("a user", misfit(f"imaps://{user}@h.example").found)

    def test_bad_addresses(self) -> None:
        """What cannot be a machine or a port is told."""
        for address in ["", "-a.example", "a..b", "h.example:x", "[zz]", "[1]", "a b", "h/INBOX"]:
            self.assertEqual(misfit(f"imaps://a@{address}").found, "an address that is none")
        for port in ["0", "65536"]:
            self.assertEqual(misfit(f"imaps://a@h.example:{port}").found, "a port out of range")

    @given(st.text())
    def test_never_raises(self, text: str) -> None:
        """Whatever is written, the result is a server or what is wrong with it."""
        for url in [text, f"imaps://{text}", f"imaps://a@{text}", f"imaps://{text}@h.example"]:
            self.assertIsInstance(read_url(url, IMAP), Server | Misfit)
