"""What became of a letter at one attempt, for each of its recipients.

The bridge between what `submit` returns or raises and what the outbox keeps:
pure, and the only place that knows which error means what.

=====================================  =====================================
accepted for a recipient               done with this one
refused with 5yz (`SubmissionFailed`)  failed, in the server's words
cannot be sent as it is                failed (`LetterInvalid`): no server
                                       will take it
refused with 4yz                       tried again by the letter's schedule
no answer after the last byte          the same bytes again by the schedule
                                       (`OutcomeUnknown`): it may come twice,
                                       with one Message-ID
no connection, no TLS, no login,       the account rests, and all of its
421, no password                       letters with it; no letter is to blame
=====================================  =====================================
"""

from __future__ import annotations

import enum

from msgspec import Struct

from mailnotify.core.text import clean
from mailnotify.errors import (
    LetterInvalid,
    LoginDenied,
    LoginNeeded,
    MailnotifyError,
    OutcomeUnknown,
    SecretUnavailable,
    SubmissionFailed,
)

MOST_SAID_BYTES = 1000
"""Of a server's words; more is no reason but noise."""

_CLOSING = 421
"""RFC 5321 §3.8: the server closes this connection, whatever was asked."""


class Fate(enum.Enum):
    """What became of one recipient."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Result(Struct, frozen=True, kw_only=True):
    """One recipient after an attempt.

    Attributes:
        code: the reply code (RFC 5321 §4.2), 0 if no server was asked.
        said: the server's words, or ours; cleaned.
    """

    recipient: str
    fate: Fate
    code: int = 0
    said: str = ""


class Trouble(enum.Enum):
    """Whom an attempt says something about, beside the letter."""

    NONE = "none"
    CONNECTION = "connection"
    DENIED = "denied"


class Verdict(Struct, frozen=True, kw_only=True):
    """What one attempt came to.

    Attributes:
        results: one for each recipient that was asked for, in their order.
        reason: one sentence for the person who looks; empty if all was accepted.
        trouble: whether the account should rest before its next attempt.
        was_tried: whether the letter itself was judged: else it keeps its place.
    """

    results: tuple[Result, ...]
    reason: str = ""
    trouble: Trouble = Trouble.NONE
    was_tried: bool = True


def accepted(recipients: tuple[str, ...], said: str) -> Verdict:
    """A server has taken responsibility for all of them."""
    words = clean(said, MOST_SAID_BYTES)
    return Verdict(
        results=tuple(
            Result(recipient=each, fate=Fate.ACCEPTED, code=250, said=words) for each in recipients
        )
    )


def judge(recipients: tuple[str, ...], error: MailnotifyError) -> Verdict:
    """Say what a failed attempt means for each of these recipients."""
    reason = clean(str(error), MOST_SAID_BYTES)
    if isinstance(error, SubmissionFailed):
        return _answered(recipients, error, reason)
    if isinstance(error, LetterInvalid):
        return Verdict(results=_all(recipients, Fate.REFUSED, reason), reason=reason)
    if isinstance(error, OutcomeUnknown):
        return Verdict(
            results=_all(recipients, Fate.PENDING, reason),
            reason=reason,
            trouble=Trouble.CONNECTION,
        )
    is_denied = isinstance(error, LoginDenied | LoginNeeded | SecretUnavailable)
    return Verdict(
        results=_all(recipients, Fate.PENDING, reason),
        reason=reason,
        trouble=Trouble.DENIED if is_denied else Trouble.CONNECTION,
        was_tried=False,
    )


def _answered(recipients: tuple[str, ...], error: SubmissionFailed, reason: str) -> Verdict:
    refusals = {each.recipient: each for each in error.refusals}
    results = []
    for recipient in recipients:
        refusal = refusals.get(recipient)
        if refusal is not None:
            fate = Fate.REFUSED if refusal.is_permanent else Fate.PENDING
            said = clean(refusal.said, MOST_SAID_BYTES)
            result = Result(recipient=recipient, fate=fate, code=refusal.code, said=said)
        elif recipient in error.accepted:
            result = Result(recipient=recipient, fate=Fate.ACCEPTED, code=250)
        else:  # neither named nor accepted: nobody promised anything
            result = Result(recipient=recipient, fate=Fate.PENDING, said=reason)
        results.append(result)
    is_closing = any(each.code == _CLOSING for each in error.refusals)
    trouble = Trouble.CONNECTION if is_closing else Trouble.NONE
    return Verdict(results=tuple(results), reason=reason, trouble=trouble, was_tried=not is_closing)


def _all(recipients: tuple[str, ...], fate: Fate, said: str) -> tuple[Result, ...]:
    return tuple(Result(recipient=each, fate=fate, said=said) for each in recipients)
