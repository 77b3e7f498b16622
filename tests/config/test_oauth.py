"""The table `oauth`: where an account's tokens come from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.schema import (
    FromEnvironment,
    Literal,
    OAuthClient,
    OAuthProvider,
    TokenCommand,
    TokenStore,
)
from tests.config.documents import account, problem, problems_of, read

URL = 'server = "imaps://ada%40example.org@imap.example.org"\n'
GOOGLE = 'provider = "google"\nclient_id = "id.apps.example"\n'
MICROSOFT = 'provider = "microsoft"\nclient_id = "0123-abcd"\n'
SENDS = (
    'trust = {fingerprint = "' + "ab" * 32 + '"}\n'
    '[accounts.home.submission]\nserver = "smtps://smtp.example.org"\n'
)


def client(lines: str) -> OAuthClient:
    """The OAuth2 client with these lines."""
    found = account(f"{URL}[accounts.home.oauth]\n{lines}").oauth
    assert isinstance(found, OAuthClient)
    return found


class ClientTests(SynchronousTestCase):
    """mailnotify as the client of a provider."""

    def test_google(self) -> None:
        """An id is enough for Google: endpoints and scope are known."""
        found = client(GOOGLE + 'client_secret = "s3cret"')
        self.assertIs(found.provider, OAuthProvider.GOOGLE)
        self.assertEqual(found.client_id, "id.apps.example")
        self.assertEqual(found.client_secret, Literal(text="s3cret"))
        self.assertEqual(found.scopes, ("https://mail.google.com/",))
        self.assertEqual(found.token_endpoint, "https://oauth2.googleapis.com/token")
        self.assertNotIn("s3cret", repr(found))

    def test_microsoft(self) -> None:
        """At Microsoft the tenant is part of every endpoint."""
        found = client(MICROSOFT)
        base = "https://login.microsoftonline.com"
        self.assertEqual(found.device_endpoint, f"{base}/common/oauth2/v2.0/devicecode")
        own = client(MICROSOFT + 'tenant = "corp.example"')
        self.assertEqual(own.token_endpoint, f"{base}/corp.example/oauth2/v2.0/token")
        self.assertIn("offline_access", own.scopes)

    def test_everything_can_be_named(self) -> None:
        """Endpoints, scopes and the place of the grant are the operator's to choose."""
        found = client(
            GOOGLE + 'scopes = ["a", "b"]\nstore = "keyring"\n'
            'authorization_endpoint = "https://a.example/auth"\n'
            'token_endpoint = "http://127.0.0.1:8080/token"\n'
            'device_endpoint = "http://[::1]/device"\nclient_secret = {env = "X"}'
        )
        self.assertEqual(found.scopes, ("a", "b"))
        self.assertIs(found.store, TokenStore.KEYRING)
        self.assertEqual(found.authorization_endpoint, "https://a.example/auth")
        self.assertEqual(found.token_endpoint, "http://127.0.0.1:8080/token")
        self.assertEqual(found.device_endpoint, "http://[::1]/device")
        self.assertEqual(found.client_secret, FromEnvironment(env="X"))

    def test_endpoints_that_others_could_read(self) -> None:
        """A token goes over https, or does not leave this machine."""
        for url in [
            "http://a.example/token",
            "http://localhost/token",
            "ftp://127.0.0.1/",
            "https://",
            "https://ada:hunter2@a.example/",
            "https://a.example/#hunter2",
            "https://a.example:x/",
            "https://a b/",
            "https://ä.example/",
            "https://[::1/",
            "token",
        ]:
            found = problem(
                f'[accounts.home]\n{URL}[accounts.home.oauth]\n{GOOGLE}token_endpoint = "{url}"'
            )
            self.assertEqual(found.path, "accounts.home.oauth.token_endpoint", url)
            self.assertNotIn("hunter2", str(found))

    def test_all_problems_at_once(self) -> None:
        """Each key that does not fit is told, and no value is shown."""
        found = problems_of(
            f"[accounts.home]\n{URL}[accounts.home.oauth]\n"
            'provider = "hunter2"\nclient_id = "hunter 2"\nclient_secret = 31337\n'
            'scopes = ["hunter 2"]\nstore = "disk"\ntenant = "hunter/2"\ntoken = "hunter2"'
        )
        keys = {path.removeprefix("accounts.home.oauth.") for path in found}
        expected = {"provider", "client_id", "client_secret", "scopes", "store", "tenant", "token"}
        self.assertEqual(keys, expected)
        said = " ".join(map(str, found.values()))
        self.assertNotIn("hunter", said)
        self.assertIn('one of "google", "microsoft"', said)

    def test_what_must_be_there(self) -> None:
        """Without provider and id there is no client."""
        found = problems_of(f"[accounts.home]\n{URL}oauth = {{}}")
        self.assertEqual(
            set(found), {"accounts.home.oauth.provider", "accounts.home.oauth.client_id"}
        )

    def test_misfits(self) -> None:
        """A text, empty scopes and a tenant at Google are told."""
        for lines, path in [
            ('oauth = "hunter2"', "oauth"),
            (f"[accounts.home.oauth]\n{GOOGLE}scopes = []", "oauth.scopes"),
            (f'[accounts.home.oauth]\n{GOOGLE}scopes = "a"', "oauth.scopes"),
            (f'[accounts.home.oauth]\n{GOOGLE}tenant = "a"', "oauth.tenant"),
        ]:
            told = problems_of(f"[accounts.home]\n{URL}{lines}")
            self.assertIn(f"accounts.home.{path}", told)
            self.assertNotIn("hunter2", str(told))


class CommandTests(SynchronousTestCase):
    """A program that prints tokens."""

    def test_command(self) -> None:
        """A program with a slash is found beside the configuration."""
        found = account(URL + 'oauth = {token_command = ["./token", "ada"]}').oauth
        self.assertEqual(found, TokenCommand(token_command=("/home/ada/mail/token", "ada")))

    def test_misfits(self) -> None:
        """A command is a list, and stands alone."""
        for written, path in [
            ('{token_command = "echo hunter2"}', "oauth.token_command"),
            ('{token_command = ["a"], client_id = "b"}', "oauth.client_id"),
        ]:
            told = problem(f"[accounts.home]\n{URL}oauth = {written}")
            self.assertEqual(told.path, f"accounts.home.{path}")
            self.assertNotIn("hunter2", str(told))


class ProofTests(SynchronousTestCase):
    """What logs in: a password or OAuth2, for reading and for sending."""

    def test_password_and_oauth(self) -> None:
        """Both are one too many."""
        lines = f'{URL}password = "x"\noauth = {{token_command = ["t"]}}'
        self.assertEqual(problem(f"[accounts.home]\n{lines}").path, "accounts.home.oauth")

    def test_sending_by_the_grant_of_the_account(self) -> None:
        """The submission logs in as the account does."""
        config = read(f"[accounts.home]\n{URL}{SENDS}[accounts.home.oauth]\n{MICROSOFT}")
        home = config.accounts[0]
        assert home.submission is not None
        self.assertEqual(home.submission.proof, home.oauth)
        self.assertEqual((home.password, home.submission.password), (None, None))
        self.assertIs(home.oauth_client, home.oauth)

    def test_sending_by_something_else(self) -> None:
        """The submission may have a password, a program or the only client of its own."""
        for own in ('password = "x"', 'oauth = {token_command = ["t"]}'):
            lines = f"{URL}{SENDS}{own}\n[accounts.home.oauth]\n{GOOGLE}"
            home = read(f"[accounts.home]\n{lines}").accounts[0]
            assert home.submission is not None
            self.assertNotEqual(home.submission.proof, home.proof)
            self.assertIs(home.oauth_client, home.oauth)
        lines = f'{URL}password = "x"\n{SENDS}[accounts.home.submission.oauth]\n{GOOGLE}'
        home = read(f"[accounts.home]\n{lines}").accounts[0]
        assert home.submission is not None
        self.assertEqual(home.proof, Literal(text="x"))
        self.assertIs(home.oauth_client, home.submission.oauth)

    def test_two_clients(self) -> None:
        """An account has one grant: two clients in it are one too many."""
        lines = f"{URL}{SENDS}[accounts.home.submission.oauth]\n{GOOGLE}"
        found = problem(f"[accounts.home]\n{lines}[accounts.home.oauth]\n{MICROSOFT}")
        self.assertEqual(found.path, "accounts.home.submission.oauth")

    def test_no_client(self) -> None:
        """An account with passwords alone has nothing to log in to by consent."""
        self.assertIsNone(account(f'{URL}password = "x"').oauth_client)
