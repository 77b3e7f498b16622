"""Who shows a right token is let in at once; who does not learns nothing, slowly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.access.keeper import DENIED, TOO_MANY
from mailnotify.access.token import Hash
from mailnotify.core.badge import Badge
from mailnotify.errors import TokensUnreadable
from tests.access.fakes import Tokens, token
from tests.fakes import NOON


class KeeperCase(SynchronousTestCase):
    """A keeper, a clock and a file of tokens."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.time = NOON
        self.tokens = Tokens(self.clock, now=self.now, folder=self.mktemp())
        self.keeper = self.tokens.keeper
        self.offloaded = self.tokens.offloaded

    def now(self) -> datetime:
        return self.time

    def ask(self, text: str, address: str = "192.0.2.1") -> Deferred[Any]:
        return Deferred.fromCoroutine(self.keeper.judge_token(text, address))

    def ask_certificate(self, fingerprint: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.keeper.judge_certificate(fingerprint, "192.0.2.1"))

    def seconds_until(self, asked: Deferred[Any], verdict: object) -> float:
        """After how many seconds the answer comes, which has to be this one."""
        began = self.clock.seconds()
        while not asked.called:
            self.clock.advance(0.125)
            self.assertLess(self.clock.seconds() - began, 20)
        self.assertEqual(self.successResultOf(asked), verdict)
        return self.clock.seconds() - began


class RightTests(KeeperCase):
    """The right token."""

    def test_lets_in(self) -> None:
        """With exactly the rights that it was given."""
        text = self.tokens.add(
            1, "phone", accounts=("home",), mailboxes=("INBOX",), kinds=("mail",), is_read_only=True
        )
        self.assertEqual(
            self.successResultOf(self.ask(text)),
            Badge(
                name="phone",
                token_id=f"{1:016x}",
                accounts=("home",),
                mailboxes=("INBOX",),
                kinds=("mail",),
                is_read_only=True,
            ),
        )

    def test_is_hashed_once(self) -> None:
        """A client that reconnects all day costs one hash."""
        text = self.tokens.add(1, "phone")
        for _ in range(100):
            self.assertEqual(self.successResultOf(self.ask(text)).name, "phone")
        self.assertEqual(self.offloaded.hashes, 1)

    def test_is_never_locked_out(self) -> None:
        """Whatever an attacker does elsewhere, and here once it has proved good."""
        text, other = self.tokens.add(1, "phone"), self.tokens.add(2, "desk")
        guess = text[:-1] + ("A" if text[-1] != "A" else "E")
        self.successResultOf(self.ask(other))
        for _ in range(200):
            self.ask(guess, "192.0.2.1")
        self.assertEqual(self.successResultOf(self.ask(text, "192.0.2.2")).name, "phone")
        self.assertEqual(self.successResultOf(self.ask(other, "192.0.2.1")).name, "desk")

    def test_expires(self) -> None:
        """From that moment on it is as wrong as any other, even if it was good before."""
        text = self.tokens.add(1, "phone", expires=NOON + timedelta(hours=1))
        self.successResultOf(self.ask(text))
        self.time += timedelta(hours=1)
        self.seconds_until(self.ask(text), DENIED)

    def test_a_new_file_is_seen_at_once(self) -> None:
        """Made by a command while the service runs; gone by another."""
        self.seconds_until(self.ask(token(1, "phone")[1]), DENIED)
        text = self.tokens.add(1, "phone")
        self.successResultOf(self.ask(text))
        self.tokens.revoke("phone")
        self.seconds_until(self.ask(text), DENIED)

    def test_revoked_while_it_is_hashed(self) -> None:
        """What was right when the question came is not let in any more."""
        text = self.tokens.add(1, "phone")
        self.offloaded.is_slow = True
        asked = self.ask(text)
        self.tokens.revoke("phone")
        self.keeper.patrol()
        self.offloaded.finish()
        self.seconds_until(asked, DENIED)

    def test_a_name_that_came_again_is_another_token(self) -> None:
        """A proof is of one token: the next one with that name has to prove itself."""
        old = self.tokens.add(1, "phone")
        self.successResultOf(self.ask(old))
        self.tokens.revoke("phone")
        self.tokens.add(2, "phone")
        self.seconds_until(self.ask(old), DENIED)


class WrongTests(KeeperCase):
    """Anything else."""

    def test_answers_come_late_and_later(self) -> None:
        """2, 4, 8, 15, 15 seconds."""
        self.tokens.add(1, "phone")
        delays = [self.seconds_until(self.ask("x"), DENIED) for _ in range(5)]
        self.assertEqual(delays, [2, 4, 8, 15, 15])

    def test_how_wrong_cannot_be_told(self) -> None:
        """No token at all, an unknown id, a known id, an expired one: one word, one time.

        Not even a slow hash shows: the answer's time counts from the question.
        """
        good = self.tokens.add(1, "phone")
        dead = self.tokens.add(2, "old", expires=NOON)
        unknown = token(3, "stranger")[1]
        self.offloaded.is_slow = True
        for n, text in enumerate(("x", good[:-2] + "AA", dead, unknown, "")):
            asked = self.ask(text, f"192.0.2.{n}")
            self.clock.advance(0.5)
            self.offloaded.finish()
            self.assertEqual(self.seconds_until(asked, DENIED), 1.5)

    def test_guesses_at_random_reach_no_hash(self) -> None:
        """Without a known id there is nothing to compare with."""
        self.tokens.add(1, "phone")
        for n in range(500):
            self.ask(token(n + 1000, "x")[1], f"10.0.{n >> 8}.{n & 255}")
        self.assertEqual(self.offloaded.hashes, 0)

    def test_ten_a_minute_reach_the_hash(self) -> None:
        """From one address, over an hour of guessing with a known id."""
        good = self.tokens.add(1, "phone")
        for _ in range(3600):
            self.ask(good[:-2] + "AA")
            self.clock.advance(1)
        self.assertLessEqual(self.offloaded.hashes, 10 * 60)
        self.assertGreater(self.offloaded.hashes, 9 * 60)

    def test_from_many_addresses(self) -> None:
        """Each has its ten; 500 addresses with a known id keep two threads busy, no more."""
        good = self.tokens.add(1, "phone")
        self.offloaded.is_slow = True
        for n in range(500):
            self.ask(good[:-2] + "AA", f"10.0.{n >> 8}.{n & 255}")
        self.assertEqual(self.offloaded.at_once, 2)
        right = self.ask(good, "192.0.2.9")
        for _ in range(260):
            self.offloaded.finish()
        self.assertEqual(self.successResultOf(right).name, "phone")

    def test_too_many_is_said(self) -> None:
        """Somebody whose configuration is wrong can find that out."""
        good = self.tokens.add(1, "phone")
        guesses = [self.ask(good[:-2] + "AA") for _ in range(11)]
        self.clock.advance(15)
        verdicts = [self.successResultOf(each) for each in guesses]
        self.assertEqual(verdicts, [DENIED] * 10 + [TOO_MANY])

    def test_a_broken_record(self) -> None:
        """It is said in the log, and lets nobody in."""
        record, text = token(1, "phone")
        broken = Hash(salt="", digest="", cost=2**60)
        with self.tokens.file.changing() as tokens:
            tokens.append(type(record)(id=record.id, name="phone", made=NOON, hash=broken))
        with capturedLogs() as logged:
            self.seconds_until(self.ask(text), DENIED)
        self.assertIn("broken", str([each["log_format"] for each in logged]))

    def test_nothing_secret_is_logged(self) -> None:
        """Neither a right token nor a wrong one."""
        good = self.tokens.add(1, "phone")
        with capturedLogs() as logged:
            self.ask(good)
            self.ask(good[:-2] + "AA")
            self.clock.advance(20)
        self.assertNotIn(good[-20:-2], str(logged))

    def test_who_hangs_up_leaves_nothing(self) -> None:
        """No timer and no thread's place stays behind."""
        good = self.tokens.add(1, "phone")
        self.offloaded.is_slow = True
        asked = [self.ask(good[:-2] + "AA", f"192.0.2.{n}") for n in range(5)]
        asked.append(self.ask("x"))
        for each in asked:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.offloaded.finish()
        right = self.ask(good)
        self.offloaded.finish()
        self.assertEqual(self.successResultOf(right).name, "phone")


class CertificateTests(KeeperCase):
    """A client certificate in place of a token."""

    def test_by_its_fingerprint(self) -> None:
        """Exactly that one, and none at all is nobody's."""
        record, text = token(1, "laptop")
        with self.tokens.file.changing() as tokens:
            tokens.append(
                type(record)(id=record.id, name="laptop", made=NOON, certificate="ab" * 32)
            )
            tokens.append(token(2, "phone")[0])
        self.assertEqual(self.successResultOf(self.ask_certificate("ab" * 32)).name, "laptop")
        self.seconds_until(self.ask_certificate("cd" * 32), DENIED)
        self.seconds_until(self.ask_certificate(""), DENIED)
        self.seconds_until(self.ask(text), DENIED)


class PatrolTests(KeeperCase):
    """What changes while people are in."""

    def hold(self, name: str, number: int, **fields: Any) -> list[str]:
        """Somebody comes in by a new token; what happens to him."""
        sent_away: list[str] = []
        badge = self.successResultOf(self.ask(self.tokens.add(number, name, **fields)))
        self.keeper.hold(object(), badge, lambda: sent_away.append(name))
        return sent_away

    def test_revoked(self) -> None:
        """Only who came by that token is sent away, once."""
        phone, desk = self.hold("phone", 1), self.hold("desk", 2)
        self.tokens.revoke("phone")
        self.keeper.patrol()
        self.keeper.patrol()
        self.assertEqual((phone, desk), (["phone"], []))

    def test_expired(self) -> None:
        """At the next look after that moment."""
        phone = self.hold("phone", 1, expires=NOON + timedelta(hours=1))
        self.keeper.patrol()
        self.assertEqual(phone, [])
        self.time += timedelta(hours=1)
        self.keeper.patrol()
        self.assertEqual(phone, ["phone"])

    def test_who_has_gone_is_not_called(self) -> None:
        """After `release` nobody is held."""
        badge = self.successResultOf(self.ask(self.tokens.add(1, "phone")))
        self.keeper.hold("line", badge, self.fail)
        self.keeper.hold("local", Badge(), self.fail)
        self.keeper.release("line")
        self.tokens.revoke("phone")
        self.keeper.patrol()

    def test_a_file_that_cannot_be_read_changes_nothing(self) -> None:
        """A mistake of the operator sends nobody away; it is said once."""
        phone = self.hold("phone", 1)
        self.tokens.file.path.write_text("{")
        with capturedLogs() as logged:
            self.keeper.patrol()
            self.keeper.patrol()
        self.assertEqual((phone, len(logged)), ([], 1))

    def test_a_file_that_is_gone_is_empty(self) -> None:
        """To delete it revokes everything."""
        phone = self.hold("phone", 1)
        self.tokens.file.path.unlink()
        self.keeper.patrol()
        self.assertEqual(phone, ["phone"])

    def test_at_the_start_it_has_to_be_readable(self) -> None:
        """A service does not start with a lock that does not close."""
        self.tokens.add(1, "phone")
        self.keeper.load()
        self.assertTrue(self.keeper.has_tokens)
        self.tokens.file.path.chmod(0o644)
        self.assertRaises(TokensUnreadable, self.keeper.load)
