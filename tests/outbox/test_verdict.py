"""Tests of `mailnotify.outbox.verdict`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.errors import (
    ChannelInsecure,
    DeadlinePassed,
    LetterInvalid,
    LoginDenied,
    NotConnected,
    OutcomeUnknown,
    Refusal,
    SecretUnavailable,
    SubmissionFailed,
)
from mailnotify.outbox.verdict import Fate, Trouble, Verdict, accepted, judge

BOTH = ("bob@x.org", "eve@x.org")


class VerdictTests(SynchronousTestCase):
    """What an attempt means for each recipient."""

    def fates(self, verdict: Verdict) -> list[str]:
        return [each.fate.value for each in verdict.results]

    def failed(self, *codes: int, accepted: tuple[str, ...] = ()) -> Verdict:
        """The server answered with these codes, for bob and eve."""
        refusals = tuple(
            Refusal(recipient=who, code=code, said=f"no\x1b[2J {code}")
            for who, code in zip(BOTH, codes, strict=False)
        )
        return judge(BOTH, SubmissionFailed(peer="x", refusals=refusals, accepted=accepted))

    def test_accepted(self) -> None:
        """All recipients have it, and the server's words are kept without what could act."""
        verdict = accepted(BOTH, "queued\x1b[2J as 4711")
        self.assertEqual(self.fates(verdict), ["accepted", "accepted"])
        self.assertEqual(verdict.results[0].said, "queued[2J as 4711")
        self.assertEqual((verdict.reason, verdict.trouble), ("", Trouble.NONE))

    def test_refused(self) -> None:
        """Each recipient has an outcome of its own."""
        self.assertEqual(self.fates(self.failed(550, 450)), ["refused", "pending"])
        verdict = self.failed(450, accepted=("eve@x.org",))
        self.assertEqual(self.fates(verdict), ["pending", "accepted"])
        self.assertEqual((verdict.results[0].code, verdict.results[0].said), (450, "no[2J 450"))
        self.assertTrue(verdict.was_tried)
        self.assertIs(verdict.trouble, Trouble.NONE)

    def test_unnamed(self) -> None:
        """Who was neither refused nor accepted is tried again: nobody promised anything."""
        self.assertEqual(self.fates(self.failed(550)), ["refused", "pending"])

    def test_closing(self) -> None:
        """421 is about the connection: the account rests, the letter keeps its place."""
        verdict = self.failed(421, 421)
        self.assertEqual(self.fates(verdict), ["pending", "pending"])
        self.assertEqual((verdict.trouble, verdict.was_tried), (Trouble.CONNECTION, False))

    def test_invalid(self) -> None:
        """What no server takes fails at once."""
        verdict = judge(BOTH, LetterInvalid(field="size", found="1 GB", expected="less"))
        self.assertEqual(self.fates(verdict), ["refused", "refused"])
        self.assertIn("1 GB", verdict.results[1].said)

    def test_unknown(self) -> None:
        """Without an answer the letter goes again by its schedule."""
        verdict = judge(BOTH, OutcomeUnknown(peer="x", reason="it vanished"))
        self.assertEqual(self.fates(verdict), ["pending", "pending"])
        self.assertTrue(verdict.was_tried)

    def test_nobody_to_blame(self) -> None:
        """Without a connection or a login no letter is to blame, and no secret is told."""
        for error, trouble in (
            (NotConnected(peer="x", reason="no route"), Trouble.CONNECTION),
            (DeadlinePassed(peer="x", step="EHLO", seconds=1), Trouble.CONNECTION),
            (ChannelInsecure(peer="x", reason="y"), Trouble.CONNECTION),
            (LoginDenied(peer="x", user="y", said="z"), Trouble.DENIED),
            (SecretUnavailable(origin="x", reason="y"), Trouble.DENIED),
        ):
            verdict = judge(BOTH, error)
            self.assertEqual((verdict.trouble, verdict.was_tried), (trouble, False))
            self.assertEqual({each.fate for each in verdict.results}, {Fate.PENDING})
            self.assertEqual(verdict.reason, str(error))
