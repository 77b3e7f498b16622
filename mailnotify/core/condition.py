"""How an account is, in the words of an ``account`` event: state, cause, remedy."""

from __future__ import annotations

from msgspec import Struct

from mailnotify.core.text import clean
from mailnotify.errors import (
    LoginDeferred,
    LoginDenied,
    LoginNeeded,
    MailnotifyError,
    SecretUnavailable,
)

CONNECTED = "connected"
BLIND = "blind"
DENIED = "denied"
THROTTLED = "throttled"
ENDED = "ended"
"""Nobody watches it any more; what was told before is over."""

_CAUSE_BYTES = 500


class Condition(Struct, frozen=True, kw_only=True):
    """What `mailnotify.core.events.AccountState` says of an account.

    Attributes:
        cause: one sentence, the server's alert included; empty when connected.
        remedy: what a person can do; empty when connected.
    """

    state: str
    cause: str = ""
    remedy: str = ""


def condition(error: BaseException | None, alert: str = "") -> Condition:
    """How an account is whose last attempt ended like this; None: it is watched.

    Args:
        alert: what the server wants a person to read.
    """
    if error is None:
        return Condition(state=CONNECTED, cause=clean(alert, _CAUSE_BYTES))
    is_known = isinstance(error, MailnotifyError)
    cause = str(error) if is_known else type(error).__name__
    if alert and alert not in cause:
        cause = f"{cause} ({alert})"
    remedy = error.remedy if isinstance(error, MailnotifyError) else MailnotifyError().remedy
    return Condition(
        state=_state(error), cause=clean(cause, _CAUSE_BYTES), remedy=clean(remedy, _CAUSE_BYTES)
    )


def _state(error: BaseException) -> str:
    if isinstance(error, LoginDeferred):
        return THROTTLED
    if isinstance(error, LoginDenied | LoginNeeded | SecretUnavailable):
        return DENIED
    return BLIND
