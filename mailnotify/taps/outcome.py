"""How sending ended, for a shell and for a person.

The exit code is one of sysexits.h:

======================  ==================================================
0                       accepted for every recipient; or, where the service
                        sends it and nobody waits, queued on the disk
64 ``EX_USAGE``         the options
65 ``EX_DATAERR``       the letter, a recipient's address, a file to attach
67 ``EX_NOUSER``        the server knows no such recipient (others have it)
69 ``EX_UNAVAILABLE``   refused for another lasting reason, or for some
                        recipients for now while others have it
70 ``EX_SOFTWARE``      a bug of ours
74 ``EX_IOERR``         unknown: the connection broke after the last byte;
                        sending again may send twice
75 ``EX_TEMPFAIL``      not sent to anybody, and not queued; the same may work
                        later
76 ``EX_PROTOCOL``      the certificate, the TLS or the words of the server
77 ``EX_NOPERM``        the login was refused
78 ``EX_CONFIG``        the configuration, the password, or a missing OAuth2 grant
130                     stopped before anything was sent
======================  ==================================================
"""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError
from twisted.python import usage

from mailnotify.errors import (
    CertificateRefused,
    ChannelInsecure,
    CommandRefused,
    ConfigInvalid,
    DeadlinePassed,
    LetterInvalid,
    LoginDeferred,
    LoginDenied,
    LoginNeeded,
    MailnotifyError,
    NotConnected,
    OutcomeUnknown,
    ProtocolViolated,
    SecretUnavailable,
    ServiceNeeded,
    StoreUnreadable,
    StoreUnwritable,
    SubmissionFailed,
)

#: What a shell makes of a process that SIGINT ended.
INTERRUPTED = 130

_EXIT_CODES: tuple[tuple[tuple[type[MailnotifyError], ...], int], ...] = (
    ((ConfigInvalid, SecretUnavailable, LoginNeeded), os.EX_CONFIG),
    ((LetterInvalid,), os.EX_DATAERR),
    ((LoginDenied,), os.EX_NOPERM),
    ((ServiceNeeded, StoreUnwritable), os.EX_TEMPFAIL),
    ((CommandRefused, StoreUnreadable), os.EX_UNAVAILABLE),
    ((NotConnected, DeadlinePassed, LoginDeferred), os.EX_TEMPFAIL),
    ((OutcomeUnknown,), os.EX_IOERR),
    ((CertificateRefused, ChannelInsecure, ProtocolViolated), os.EX_PROTOCOL),
)

_NOT_SENT = (NotConnected, DeadlinePassed, LoginDeferred)

#: RFC 5321 §4.2.3: the replies that are about the mailbox, not about the letter.
_NO_SUCH_USER = frozenset((550, 551, 553))


def exit_code(error: BaseException | None) -> int:
    """The code of sysexits.h for what went wrong; the table is on top of this module."""
    if isinstance(error, usage.UsageError):
        return os.EX_USAGE
    if isinstance(error, CancelledError):
        return INTERRUPTED
    if isinstance(error, SubmissionFailed):
        lasting = [each for each in error.refusals if each.is_permanent]
        if not lasting:  # who tries again after 75 sends to all of them again
            return os.EX_UNAVAILABLE if error.accepted else os.EX_TEMPFAIL
        about_users = all(each.code in _NO_SUCH_USER for each in lasting)
        return os.EX_NOUSER if about_users else os.EX_UNAVAILABLE
    for kinds, code in _EXIT_CODES:
        if isinstance(error, kinds):
            return code
    return os.EX_SOFTWARE


def complaint(error: BaseException | None) -> str:
    """One sentence on what went wrong, and the remedy."""
    if isinstance(error, SubmissionFailed) and error.accepted:
        return f"{error}; accepted for {', '.join(error.accepted)}\n{error.remedy}"
    if isinstance(error, _NOT_SENT):  # their own remedy speaks of a service that tries again
        return f"{error}\nNothing was sent, and nothing is queued: send it again later."
    if isinstance(error, MailnotifyError):
        return f"{error}\n{error.remedy}"
    if isinstance(error, usage.UsageError):
        return f"{error}\nSee --help."
    if isinstance(error, CancelledError):
        return "stopped before anything was sent"
    return f"a bug of mailnotify: {type(error).__name__}\nPlease report it with the log."
