"""Tokens that are fresh whenever somebody logs in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import structs
from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.grants import GrantStore
from mailnotify.auth.oauth import Answer, Form, Grant
from mailnotify.auth.provider import Provider
from mailnotify.auth.tokens import BRAND_NEW_SECONDS, EARLY_SECONDS, LOCK_SECONDS, TokenKeeper
from mailnotify.config.schema import TokenStore
from mailnotify.errors import (
    DeadlinePassed,
    LoginDenied,
    LoginNeeded,
    NotConnected,
    SecretUnavailable,
)
from tests.auth.test_grants import CLIENT, HOLDER

NOW = 1_000_000.0


class FakeProvider(Provider):
    """Answers as it is told, when it is told.

    Attributes:
        forms: what was asked.
        answers: JSON for the next questions, an error, or a Deferred.
    """

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.answers: list[Any] = []

    async def ask(self, url: str, form: Form) -> Answer:
        self.forms.append({"url": url, **form})
        found = self.answers.pop(0)
        if isinstance(found, Deferred):
            found = await found
        if isinstance(found, Exception):
            raise found
        status, body = found
        return Answer(peer="p.example", status=status, body=body, hidden=())


def granted(access: str, refresh: str = "", life_seconds: int = 3600) -> tuple[int, bytes]:
    """A grant, as JSON."""
    more = f', "refresh_token": "{refresh}"' if refresh else ""
    return 200, f'{{"access_token": "{access}", "expires_in": {life_seconds}{more}}}'.encode()


def refused(error: str) -> tuple[int, bytes]:
    """A refusal, as JSON."""
    return 400, f'{{"error": "{error}", "error_description": "because"}}'.encode()


class KeeperCase(SynchronousTestCase):
    """A keeper with a file, a fake provider and a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.provider = FakeProvider()
        self.store = self.make_store()
        self.keeper = self.make()
        self.in_thread: Callable[..., Deferred[Any]] = execute

    def make_store(self) -> GrantStore:
        client = structs.replace(CLIENT, store=TokenStore.FILE)
        return GrantStore(self.folder / "oauth", HOLDER, client)

    def make(self) -> TokenKeeper:
        async def secret() -> str:
            return "s3cret"

        return TokenKeeper(
            "home",
            "ada",
            CLIENT,
            store=self.make_store(),
            provider=self.provider,
            secret=secret,
            in_thread=lambda *args: self.in_thread(*args),
            clock=self.clock,
            now=lambda: NOW + self.clock.seconds(),
        )

    def keep(self, access: str = "at-0", refresh: str = "rt-0", life_seconds: float = -1) -> None:
        """As if a person had logged in, some time ago."""
        expires_at = NOW + self.clock.seconds() + life_seconds
        self.store.save(Grant(access_token=access, expires_at=expires_at, refresh_token=refresh))

    def ask(self, keeper: TokenKeeper | None = None) -> Deferred[str]:
        return Deferred.fromCoroutine((keeper or self.keeper).token())

    def token(self, keeper: TokenKeeper | None = None) -> str:
        return self.successResultOf(self.ask(keeper))

    def fails(self, kind: type[Exception]) -> Any:
        error = self.failureResultOf(self.ask(), kind).value
        for secret in ("rt-0", "s3cret", "at-0"):
            self.assertNotIn(secret, str(error) + repr(error))
        return error


class FreshTests(KeeperCase):
    """Renewing in time."""

    def test_kept_token(self) -> None:
        """A token that is still good is used, and nobody is asked."""
        self.keep(life_seconds=3600)
        self.assertEqual(self.token(), "at-0")
        self.assertEqual(self.provider.forms, [])

    def test_renewed_early(self) -> None:
        """A token is renewed before its end, and the new one lasts as long as it lasts."""
        self.keep(life_seconds=EARLY_SECONDS + 10)
        self.token()
        self.clock.advance(11)
        self.provider.answers = [granted("at-1", life_seconds=600)]
        self.assertEqual(self.token(), "at-1")
        self.assertEqual(
            self.provider.forms,
            [
                {
                    "url": "https://p.example/token",
                    "grant_type": "refresh_token",
                    "refresh_token": "rt-0",
                    "client_id": "id",
                    "client_secret": "s3cret",
                }
            ],
        )
        self.clock.advance(600 - EARLY_SECONDS - 1)
        self.assertEqual(self.token(), "at-1")
        self.provider.answers = [granted("at-2")]
        self.clock.advance(1)
        self.assertEqual(self.token(), "at-2")

    def test_one_renewal_for_all(self) -> None:
        """Ten mailboxes that reconnect together ask the provider once."""
        self.keep()
        held: Deferred[Any] = Deferred()
        self.provider.answers = [held]
        asked = [self.ask() for _ in range(10)]
        held.callback(granted("at-1"))
        self.assertEqual([self.successResultOf(each) for each in asked], ["at-1"] * 10)
        self.assertEqual(len(self.provider.forms), 1)

    def test_one_failure_for_all(self) -> None:
        """And a failure is one failure; the next who asks tries again."""
        self.keep()
        held: Deferred[Any] = Deferred()
        self.provider.answers = [held, granted("at-1")]
        asked = [self.ask() for _ in range(3)]
        held.callback(NotConnected(peer="p", reason="no"))
        for each in asked:
            self.failureResultOf(each, NotConnected)
        self.assertEqual(self.token(), "at-1")

    def test_one_who_leaves(self) -> None:
        """A watcher that is stopped does not take the answer away from the others."""
        self.keep()
        held: Deferred[Any] = Deferred()
        self.provider.answers = [held]
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first)
        held.callback(granted("at-1", "rt-1"))
        self.assertEqual(self.successResultOf(second), "at-1")

    def test_all_leave(self) -> None:
        """Even when nobody waits any more, a rotated refresh token is not lost."""
        self.keep()
        held: Deferred[Any] = Deferred()
        self.provider.answers = [held]
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked)
        held.callback(granted("at-1", "rt-1"))
        kept = self.store.load()
        assert kept is not None
        self.assertEqual(kept.refresh_token, "rt-1")

    def test_rotation(self) -> None:
        """Each new refresh token is kept, and used the next time, also after a restart."""
        self.keep()
        self.provider.answers = [granted("at-1", "rt-1", 60), granted("at-2", "rt-2", 60)]
        self.token()
        self.token(self.make())
        used = [form["refresh_token"] for form in self.provider.forms]
        self.assertEqual(used, ["rt-0", "rt-1"])
        kept = self.store.load()
        assert kept is not None
        self.assertEqual((kept.access_token, kept.refresh_token), ("at-2", "rt-2"))

    def test_no_rotation(self) -> None:
        """A provider that gives no new refresh token leaves the old one good."""
        self.keep()
        self.provider.answers = [granted("at-1", life_seconds=60), granted("at-2")]
        self.token()
        self.assertEqual(self.token(), "at-2")
        self.assertEqual(self.provider.forms[1]["refresh_token"], "rt-0")

    def test_other_process(self) -> None:
        """What another process has renewed is used, and not renewed again."""
        self.keep()
        self.provider.answers = [granted("at-1", "rt-1")]
        self.token()
        self.assertEqual(self.token(self.make()), "at-1")
        self.assertEqual(len(self.provider.forms), 1)

    def test_other_process_at_work(self) -> None:
        """While another process renews we wait for it, and take what it got."""
        self.keep()
        descriptor = self.store.lock()
        assert descriptor is not None
        asked = self.ask()
        self.clock.pump([0.25] * 8)
        self.assertNoResult(asked)
        self.keep("at-9", "rt-9", 3600)
        GrantStore.unlock(descriptor)
        self.clock.advance(0.25)
        self.assertEqual(self.successResultOf(asked), "at-9")
        self.assertEqual(self.provider.forms, [])

    def test_other_process_hangs(self) -> None:
        """We do not wait for it for ever."""
        self.keep()
        descriptor = self.store.lock()
        assert descriptor is not None
        self.addCleanup(GrantStore.unlock, descriptor)
        asked = self.ask()
        self.clock.pump([0.25] * int(4 * LOCK_SECONDS + 8))
        self.failureResultOf(asked, SecretUnavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_full_disk(self) -> None:
        """A grant that cannot be kept serves as long as the process lives, with a warning."""
        self.keep()
        self.provider.answers = [granted("at-1", "rt-1")]

        def in_thread(call: Any, *args: Any) -> Deferred[Any]:
            if call.__name__ == "save":
                return fail(SecretUnavailable(origin="the grant", reason="no space"))
            return execute(call, *args)

        self.in_thread = in_thread
        self.assertEqual(self.token(), "at-1")
        self.assertEqual(self.token(), "at-1")


class DeadTests(KeeperCase):
    """Grants that are gone."""

    def test_no_grant(self) -> None:
        """Without a grant, the person is told what to run."""
        error = self.fails(LoginNeeded)
        self.assertIn("none is kept", str(error))
        self.assertIn("`mailnotify login home`", error.explain())

    def test_dead(self) -> None:
        """A dead grant is asked about once, however often somebody wants a token."""
        self.keep()
        self.provider.answers = [refused("invalid_grant")]
        for _ in range(5):
            error = self.fails(LoginNeeded)
            self.assertIn("invalid_grant: because", str(error))
        self.assertEqual(len(self.provider.forms), 1)

    def test_logged_in_again(self) -> None:
        """A new login is noticed by itself."""
        self.keep()
        self.provider.answers = [refused("invalid_grant"), granted("at-2")]
        self.fails(LoginNeeded)
        self.keep("at-1", "rt-1", 3600)
        self.assertEqual(self.token(), "at-1")
        self.clock.advance(3600)
        self.assertEqual(self.token(), "at-2")
        self.assertEqual(self.provider.forms[-1]["refresh_token"], "rt-1")

    def test_no_refresh_token(self) -> None:
        """A grant that cannot be renewed is good until it ends."""
        self.keep(refresh="", life_seconds=3600)
        self.assertEqual(self.token(), "at-0")
        self.clock.advance(3600)
        self.assertIn("without a refresh token", str(self.fails(LoginNeeded)))
        self.assertEqual(self.provider.forms, [])

    def test_wrong_client(self) -> None:
        """A client that is refused is the operator's to mend, and tried slowly."""
        self.keep()
        self.provider.answers = [refused("invalid_client")]
        error = self.fails(LoginDenied)
        self.assertIn("client_secret", error.remedy)
        self.assertEqual((error.peer, error.user), ("p.example", "ada"))

    def test_not_now(self) -> None:
        """A provider that is down, silent or talks nonsense has not ended anything."""
        self.keep()
        self.provider.answers = [
            (503, b""),
            refused("temporarily_unavailable"),
            DeadlinePassed(peer="p", step="x", seconds=30),
            granted("at-1"),
        ]
        self.fails(NotConnected)
        self.fails(NotConnected)
        self.fails(DeadlinePassed)
        self.assertEqual(self.token(), "at-1")


class RefusedTests(KeeperCase):
    """Tokens that a mail server does not take."""

    def test_spent(self) -> None:
        """A token that was refused is not given out again, though its hour is not over."""
        self.keep(life_seconds=3600)
        self.assertEqual(self.token(), "at-0")
        self.assertTrue(self.keeper.refused("at-0"))
        self.provider.answers = [granted("at-1")]
        self.assertEqual(self.token(), "at-1")

    def test_no_endless_renewals(self) -> None:
        """Only the first refusal of a token is worth another try at once."""
        self.keep(life_seconds=3600)
        self.token()
        self.assertTrue(self.keeper.refused("at-0"))
        self.assertFalse(self.keeper.refused("at-0"))
        self.assertFalse(self.keeper.refused("unknown"))

    def test_brand_new(self) -> None:
        """A server that refuses a token of this minute would refuse the next one too."""
        self.keep()
        self.provider.answers = [granted("at-1"), granted("at-2")]
        self.token()
        self.assertFalse(self.keeper.refused("at-1"))
        self.assertEqual(self.token(), "at-2")
        self.clock.advance(BRAND_NEW_SECONDS)
        self.assertTrue(self.keeper.refused("at-2"))
