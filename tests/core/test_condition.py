"""How an account is, in the words of its events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.core.condition import Condition, condition
from mailnotify.errors import (
    CertificateRefused,
    CommandRefused,
    JournalUnwritable,
    LoginDeferred,
    LoginDenied,
    LoginNeeded,
    NotConnected,
    SecretUnavailable,
)


class ConditionTests(SynchronousTestCase):
    """`condition` makes state, cause and remedy of an error."""

    def test_states(self) -> None:
        """Denied is what a person must mend at the login, throttled what only takes time."""
        denied = LoginDenied(peer="p", user="u", said="s")
        needed = LoginNeeded(account="home", reason="it is dead")
        for error, state in [
            (denied, "denied"),
            (needed, "denied"),
            (SecretUnavailable(origin="o", reason="r"), "denied"),
            (LoginDeferred(peer="p", user="u", said="s"), "throttled"),
            (NotConnected(peer="p", reason="r"), "blind"),
            (CertificateRefused(peer="p", reason="r"), "blind"),
            (CommandRefused(peer="p", command="c", status="NO", said="s"), "blind"),
            (JournalUnwritable(path="p", reason="r"), "blind"),
            (ZeroDivisionError("hush"), "blind"),
        ]:
            found = condition(error)
            self.assertEqual(found.state, state, error)
            self.assertTrue(found.remedy)
            self.assertNotIn("hush", found.cause)
        self.assertEqual(condition(None), Condition(state="connected"))

    def test_remedies(self) -> None:
        """The remedy is that of this very refusal."""
        advised = LoginDenied(peer="p", user="u", said="s", advice="Make an app password.")
        self.assertEqual(condition(advised).remedy, "Make an app password.")
        needed = LoginNeeded(account="home", reason="it is dead")
        self.assertIn("`mailnotify login home`", condition(needed).remedy)

    def test_alert(self) -> None:
        """What the server wants a person to read is in the cause, once, and harmless."""
        error = NotConnected(peer="p", reason="the server said: down at 9")
        self.assertIn("(pay\u0020us)", condition(error, "pay\nus").cause)
        self.assertEqual(condition(error, "down at 9").cause.count("down at 9"), 1)
        self.assertEqual(condition(None, "full").cause, "full")
        self.assertLess(len(condition(error, "x" * 5000).cause), 501)
