"""``mailnotify sendmail``: takes mail as ``/usr/sbin/sendmail`` does, for cron, git and mail.

What it accepts goes into the outbox of the running service, or, without one, to
the server at once. The options are those that Postfix's and Sendmail's own
programs share; the ones that mean nothing here are taken and ignored, since
callers pass them from habit. Exit codes are those of sysexits.h.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO, Final

from msgspec import Struct
from twisted.python import usage

from mailnotify.config.load import find, load
from mailnotify.config.schema import Account, Config
from mailnotify.errors import ConfigInvalid, MailnotifyError, Problem
from mailnotify.smtp.addresses import parse_address
from mailnotify.smtp.relayed import Defaults, adopt
from mailnotify.taps.command_line import CommandLine
from mailnotify.taps.errand import Errand, account_with, identity, limited, new_message_id
from mailnotify.taps.handing import Terms, hand_over
from mailnotify.taps.outcome import complaint, exit_code
from mailnotify.taps.send import send_here

_IGNORED: Final = frozenset("BCLNORVXhopq")
"""Options with a value that mean nothing here: body type, notification, queue …"""

_IGNORED_FLAGS: Final = frozenset(("v", "n", "U", "G", "m", "bm", "oi", "om", "oem", "odi", "odb"))


class Wishes(Struct, kw_only=True):
    """What the command line asks for."""

    recipients: list[str]
    sender: str = ""
    name: str = ""
    reads_header: bool = False
    ends_with_dot: bool = True


class Options(CommandLine):
    """The command line, which follows other rules than all of ours."""

    synopsis = "[-t] [-i] [-f SENDER] [-F NAME] [--] [RECIPIENT …]"
    longdesc = (
        "Reads a message from the standard input and sends it. -t: to the recipients in its "
        "header, too; -i: a line with a dot alone does not end it; -f: the sender, one of the "
        "identities in the configuration; -F: the sender's name. A recipient without a domain "
        "is a user of this machine and means the account's own address."
    )

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read them in their own way; ``--help`` and ``--version`` are ours."""
        given = list(options or ())
        if given[:1] in (["--help"], ["--version"]):
            super().parseOptions(given)
        self["wishes"] = read_arguments(given)


def read_arguments(arguments: Sequence[str]) -> Wishes:
    """Read a command line of sendmail.

    Raises:
        UsageError: an option asks for what this program does not do.
    """
    wishes = Wishes(recipients=[])
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            wishes.recipients += left
            break
        if not word.startswith("-") or word == "-":
            wishes.recipients.append(word)
        else:
            _read_option(word[1:], left, wishes)
    return wishes


def _read_option(option: str, left: list[str], wishes: Wishes) -> None:
    if option in ("i", "oi", "ti", "it"):
        wishes.ends_with_dot = False
    if option in ("t", "ti", "it"):
        wishes.reads_header = True
    elif option[0] in "frF":
        value = option[1:] or (left.pop(0) if left else "")
        if option[0] == "F":
            wishes.name = value
        else:
            wishes.sender = value
    elif option in _IGNORED_FLAGS or option == "i":
        pass
    elif option[0] in _IGNORED and option[:1] != "b":
        if len(option) == 1 and left:
            left.pop(0)
    else:
        raise usage.UsageError(f"found -{option}, expected -t, -i, -f, -F or a recipient")


def read_message(stream: BinaryIO, *, ends_with_dot: bool) -> bytes:
    """The message, up to its end or to a line with a dot alone.

    Raises:
        LetterInvalid: it is over 50 MB.
    """
    raw = limited("message", stream)
    if not ends_with_dot:
        return raw
    raw = raw.replace(b"\r\n", b"\n")
    if raw.startswith(b".\n"):
        return b""
    end = raw.find(b"\n.\n")
    if end < 0:
        return raw.removesuffix(b"\n.") + b"\n" if raw.endswith(b"\n.") else raw
    return raw[: end + 1]


def errand_of(wishes: Wishes, config: Config, source: str, raw: bytes, now: datetime) -> Errand:
    """What is to be sent, and by which account.

    Raises:
        ConfigInvalid: no account sends.
        LetterInvalid: there is no recipient, or one that is no address.
    """
    account = _account(config, source, wishes.sender)
    submission = account.submission
    assert submission is not None
    is_ours = account_with(config, wishes.sender) is not None
    sender = identity(submission, wishes.sender if is_ours else None)
    defaults = Defaults(
        sender=parse_address("sender", sender), message_id=new_message_id(sender), date=now
    )
    relayed = adopt(
        raw, wishes.recipients, defaults, reads_header=wishes.reads_header, name=wishes.name
    )
    return Errand(
        envelope=relayed.envelope,
        message=relayed.message,
        account=account,
        state_dir=config.state_dir,
        key_log=config.key_log,
        message_id=relayed.message_id,
        subject=relayed.subject,
        outbox=config.outbox,
    )


def _account(config: Config, source: str, sender: str) -> Account:
    """The account with this identity; else the first that sends: a cron job has no choice."""
    able = [each for each in config.accounts if each.submission is not None]
    if not able:
        problem = Problem(
            path="accounts", found="none that sends mail", expected="a `submission` in one of them"
        )
        raise ConfigInvalid(source=source, problems=(problem,))
    name = account_with(config, sender)
    return next((each for each in able if each.name == name), able[0])


def run(options: Options) -> int:
    """Take one message; return the exit code."""
    now = datetime.now(UTC)
    wishes: Wishes = options["wishes"]
    try:
        path = find(os.environ, None)
        config = load(path, os.environ)
        raw = read_message(sys.stdin.buffer, ends_with_dot=wishes.ends_with_dot)
        errand = errand_of(wishes, config, str(path), raw, now)
        # Success is silent: cron would mail what is printed, by us.
        code = hand_over(errand, Terms(), now, stdout=io.StringIO(), stderr=sys.stderr)
    except MailnotifyError as error:
        print(f"mailnotify sendmail: {complaint(error)}", file=sys.stderr)
        return exit_code(error)
    return send_here(errand) if code is None else code
