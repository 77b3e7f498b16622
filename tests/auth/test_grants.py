"""Where grants are kept."""

from __future__ import annotations

import stat
from pathlib import Path

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.grants import SERVICE, GrantStore, Holder, Keyring, installed_keyring
from mailnotify.auth.oauth import Grant
from mailnotify.config.schema import OAuthClient, OAuthProvider, TokenStore
from mailnotify.errors import SecretUnavailable

HOLDER = Holder(
    account="home", user="ada", client_id="id", token_endpoint="https://p.example/token"
)
GRANT = Grant(access_token="at-hush", expires_at=1000.0, refresh_token="rt-hush")
CLIENT = OAuthClient(
    provider=OAuthProvider.GOOGLE,
    client_id="id",
    scopes=("mail",),
    authorization_endpoint="https://p.example/auth",
    token_endpoint="https://p.example/token",
    device_endpoint="https://p.example/device",
)


class FakeKeyring:
    """A keyring in memory; `is_locked` makes it fail, `forgets` keep nothing."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.is_locked = False
        self.forgets = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise RuntimeError("locked at-hush")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.is_locked:
            raise RuntimeError("locked")
        if not self.forgets:
            self.entries[service, username] = password


class StoreCase(SynchronousTestCase):
    """A folder that does not exist yet, and a keyring."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "oauth"
        self.keyring: FakeKeyring | None = FakeKeyring()

    def store(self, place: TokenStore | None = None, holder: Holder = HOLDER) -> GrantStore:
        client = structs.replace(CLIENT, store=place)

        def open_keyring() -> Keyring | None:
            return self.keyring

        return GrantStore(self.folder, holder, client, open_keyring)

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.json")) if self.folder.exists() else []


class FileTests(StoreCase):
    """A file that only its owner can read."""

    def test_kept(self) -> None:
        """What was saved is there, in a file 0600 in a folder 0700, also after a restart."""
        self.assertIsNone(self.store(TokenStore.FILE).load())
        place = self.store(TokenStore.FILE).save(GRANT)
        (path,) = self.files
        self.assertEqual(place, str(path))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.assertEqual(self.store(TokenStore.FILE).load(), GRANT)
        assert self.keyring is not None
        self.assertEqual(self.keyring.entries, {})

    def test_replaced(self) -> None:
        """A new grant takes the place of the old one; a crash before leaves nothing behind."""
        store = self.store(TokenStore.FILE)
        store.save(GRANT)
        beside = self.files[0].with_name(self.files[0].name + ".new")
        beside.write_text("half a grant")
        beside.chmod(0o644)
        fresh = structs.replace(GRANT, refresh_token="rt-2")
        store.save(fresh)
        self.assertEqual(store.load(), fresh)
        self.assertFalse(beside.exists())
        self.assertEqual(stat.S_IMODE(self.files[0].stat().st_mode), 0o600)

    def test_names(self) -> None:
        """Accounts with names of any kind have files of their own."""
        names = ["a/b", "a-b", "../x", "ä" * 64, "a" * 64, "a" * 63 + "b", "."]
        for name in names:
            self.store(TokenStore.FILE, structs.replace(HOLDER, account=name)).save(GRANT)
        self.assertEqual(len(self.files), len(names))
        self.assertEqual({path.parent for path in self.files}, {self.folder})

    def test_other_holder(self) -> None:
        """A grant is given to nobody else: no token goes to another endpoint."""
        self.store(TokenStore.FILE).save(GRANT)
        for change in ({"user": "bob"}, {"client_id": "x"}, {"token_endpoint": "https://evil/"}):
            other = structs.replace(HOLDER, **change)
            self.assertIsNone(self.store(TokenStore.FILE, other).load())

    def test_damaged(self) -> None:
        """What is no grant is none."""
        store = self.store(TokenStore.FILE)
        store.save(GRANT)
        for content in (b"", b"{}", b"\xff", b'{"grant": "at-hush"}'):
            self.files[0].write_bytes(content)
            self.assertIsNone(store.load())

    def test_readable_by_others(self) -> None:
        """A file that others can read is told with the cure, and without its content."""
        store = self.store(TokenStore.FILE)
        store.save(GRANT)
        self.files[0].chmod(0o640)
        error = self.assertRaises(SecretUnavailable, store.load)
        self.assertIn("chmod 600", str(error))
        self.assertNotIn("hush", str(error))

    def test_unreadable(self) -> None:
        """What cannot be read or written is told."""
        store = self.store(TokenStore.FILE)
        store.save(GRANT)
        path = self.files[0]
        path.unlink()
        path.mkdir()
        self.assertRaises(SecretUnavailable, store.load)
        self.assertRaises(SecretUnavailable, store.save, GRANT)
        self.folder = Path(self.mktemp())
        self.folder.write_text("a file in the way")
        error = self.assertRaises(SecretUnavailable, self.store(TokenStore.FILE).save, GRANT)
        self.assertNotIn("hush", str(error))
        self.assertRaises(SecretUnavailable, self.store(TokenStore.FILE).lock)


class KeyringTests(StoreCase):
    """The keyring of the desktop."""

    def test_preferred(self) -> None:
        """Where there is a keyring, no file is written, and an older one is removed."""
        self.store(TokenStore.FILE).save(GRANT)
        self.assertEqual(self.store().save(GRANT), "the keyring")
        self.assertEqual(self.files, [])
        self.assertEqual(self.store().load(), GRANT)
        assert self.keyring is not None
        self.assertEqual(list(self.keyring.entries), [(SERVICE, "home")])

    def test_without(self) -> None:
        """Without a keyring that works, a file serves."""
        assert self.keyring is not None
        for change in ("is_locked", "forgets", "none"):
            self.setUp()
            if change == "none":
                self.keyring = None
            else:
                setattr(self.keyring, change, True)
            self.assertTrue(self.store().save(GRANT).endswith(".json"))
            self.assertEqual(self.store().load(), GRANT)

    def test_newer_one(self) -> None:
        """Where keyring and file have one each, the newer one counts."""
        older = structs.replace(GRANT, expires_at=1.0, refresh_token="rt-dead")
        self.store(TokenStore.KEYRING).save(older)
        self.store(TokenStore.FILE).save(GRANT)
        self.assertEqual(self.store().load(), GRANT)

    def test_demanded(self) -> None:
        """Who demands a keyring gets no file, but an error."""
        store = self.store(TokenStore.KEYRING)
        assert self.keyring is not None
        self.keyring.is_locked = True
        for call in (store.load, lambda: store.save(GRANT)):
            error = self.assertRaises(SecretUnavailable, call)
            self.assertNotIn("hush", str(error))
            self.assertIn('`store = "file"`', error.explain())
        self.assertEqual(self.files, [])
        self.keyring = None
        self.assertIsNone(store.load())

    def test_installed(self) -> None:
        """A backend that keeps nothing is no keyring."""
        found = installed_keyring()
        self.assertTrue(found is None or hasattr(found, "set_password"))


class LockTests(StoreCase):
    """One renewal at a time, among processes."""

    def test_lock(self) -> None:
        """While one holds the lock, another gets none; afterwards it does."""
        first, second = self.store().lock(), self.store().lock()
        assert first is not None
        self.assertIsNone(second)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            self.assertIsNone(self.store().lock())
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
        GrantStore.unlock(first)
        third = self.store().lock()
        assert third is not None
        GrantStore.unlock(third)

    def test_link(self) -> None:
        """Nobody's link is followed."""
        store = self.store(TokenStore.FILE)
        store.save(GRANT)
        self.files[0].with_suffix(".lock").symlink_to("/etc/hostname")
        self.assertRaises(SecretUnavailable, store.lock)
