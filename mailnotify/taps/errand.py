"""From a command line to a letter that is ready to go.

Everything that can be wrong without a network is found here: the
configuration, the files, the letter itself.
"""

from __future__ import annotations

import mimetypes
import secrets
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct
from twisted.python import usage

from mailnotify.config.load import find, load
from mailnotify.config.outbox import Outbox
from mailnotify.config.schema import Account, Config, Submission
from mailnotify.core.events import NewMail
from mailnotify.core.message import Address
from mailnotify.errors import ConfigInvalid, LetterInvalid, Problem
from mailnotify.journal.visit import find_mail
from mailnotify.smtp.addresses import parse_address
from mailnotify.smtp.compose import Attachment, Envelope, Letter, address, compose

#: Bytes of a body or a file. No provider takes a letter of 50 MB.
MOST_BYTES = 50 * 1024 * 1024


JOURNAL = "journal.sqlite"
"""In the state directory."""


class Errand(Struct, frozen=True, kw_only=True):
    """A letter that is ready to go, and the server that it goes to."""

    envelope: Envelope
    message: bytes
    account: Account
    state_dir: str
    key_log: bool = False
    message_id: str = ""
    subject: str = ""
    outbox: Outbox = Outbox()

    @property
    def submission(self) -> Submission:
        """Where the account sends."""
        assert self.account.submission is not None
        return self.account.submission


def prepare(
    options: Mapping[str, Any], *, environ: Mapping[str, str], stdin: BinaryIO, now: datetime
) -> Errand:
    """Do everything that needs no network.

    Raises:
        UsageError: the options do not say which account.
        ConfigInvalid: the configuration cannot be used, or sends no mail.
        LetterInvalid: the letter cannot be sent as it is.
    """
    path = find(environ, options["config"])
    config = load(path, environ)
    answered = _answered(config, options["reply-to-id"])
    name = options["account"] or _account_of(config, options["from"], answered)
    account, submission = _choose(config, path, name)
    sender = identity(submission, options["from"])
    letter = _write(options, sender, answered, stdin, now)
    return Errand(
        envelope=address(letter),
        message=compose(letter),
        account=account,
        state_dir=config.state_dir,
        key_log=config.key_log,
        message_id=letter.message_id,
        subject=letter.subject,
        outbox=config.outbox,
    )


def identity(submission: Submission, wanted: str | None) -> str:
    """The sender that somebody means: an identity by its address alone, or a new one."""
    if not wanted:
        return submission.sender
    for each in _written(submission):
        if parse_address("sender", each).address == wanted.strip():
            return each
    return wanted


def account_with(config: Config, sender: str) -> str | None:
    """The account that has this address as an identity; None if none has."""
    for account in config.accounts:
        if account.submission is not None and sender in identities(account.submission):
            return account.name
    return None


def identities(submission: Submission) -> dict[str, Address]:
    """Whom the account sends for, by address; its usual sender first."""
    found: dict[str, Address] = {}
    for each in _written(submission):
        parsed = parse_address("sender", each)
        found.setdefault(parsed.address, parsed)
    return found


def _written(submission: Submission) -> tuple[str, ...]:
    return (submission.sender, *submission.identities)


def _answered(config: Config, wanted: str | None) -> NewMail | None:
    return None if wanted is None else find_mail(Path(config.state_dir) / JOURNAL, wanted)


def _account_of(config: Config, sender: str | None, answered: NewMail | None) -> str | None:
    """Who has this identity; else who got the mail that is answered."""
    if sender:
        return account_with(config, parse_address("sender", sender).address)
    if answered is not None and any(
        each.name == answered.account and each.submission for each in config.accounts
    ):
        return answered.account
    return None


def _choose(config: Config, path: Path, name: str | None) -> tuple[Account, Submission]:
    able = {each.name: (each, each.submission) for each in config.accounts if each.submission}
    if not able:
        problem = Problem(
            path="accounts",
            found="none that sends mail",
            expected="a `submission` in one of them",
            hint="`mailnotify sample-config` shows one.",
        )
        raise ConfigInvalid(source=str(path), problems=(problem,))
    names = ", ".join(able)
    if name is None and len(able) > 1:
        raise usage.UsageError(f"found no --account, expected one of {names}")
    if name is not None and name not in able:
        raise usage.UsageError(f"found --account {name!r}, expected one of {names}")
    return able[name] if name is not None else next(iter(able.values()))


def _write(
    options: Mapping[str, Any],
    sender: str,
    answered: NewMail | None,
    stdin: BinaryIO,
    now: datetime,
) -> Letter:
    to, subject, thread = tuple(options["to"]), options["subject"], ""
    if answered is not None:
        to = to or tuple(each.address for each in answered.sender[:1])
        subject = subject or _reply_subject(answered.subject)
        thread = f"<{answered.message_id}>" if answered.message_id else ""
    return Letter(
        sender=sender,
        to=to,
        cc=tuple(options["cc"]),
        bcc=tuple(options["bcc"]),
        subject=subject,
        text=options["body"] if options["body"] is not None else _read_body(stdin),
        html=None if options["html"] is None else _decoded("html", _read("html", options["html"])),
        attachments=tuple(_attachment(file) for file in options["attach"]),
        message_id=new_message_id(sender),
        date=now,
        in_reply_to=thread,
        references=(thread,) if thread else (),
    )


def new_message_id(sender: str) -> str:
    """Unique, in the domain of this sender."""
    domain = parse_address("sender", sender).address.rpartition("@")[2]
    return f"<{secrets.token_hex(16)}@{domain}>"


def _reply_subject(subject: str) -> str:
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}".strip()


def _read_body(stdin: BinaryIO) -> str:
    if stdin.isatty():
        print("The text, ended by Ctrl-D on a line of its own:", file=sys.stderr)
    return _decoded("body", limited("body", stdin))


def _attachment(file: str) -> Attachment:
    name = Path(file).name
    kind, encoding = mimetypes.guess_type(name)
    # A compressed file is not what is in it; a letter within a letter must not be
    # encoded (RFC 2046 §5.2.1), so it goes as a plain file.
    is_plain = kind is None or encoding or kind.startswith(("message/", "multipart/"))
    return Attachment(
        name=name,
        type="application/octet-stream" if is_plain or kind is None else kind,
        content=_read("attachment", file),
    )


def _read(field: str, file: str) -> bytes:
    try:
        with Path(file).open("rb") as stream:
            return limited(field, stream)
    except OSError as error:
        raise LetterInvalid(
            field=field, found=f"{file!r} ({error.strerror})", expected="a readable file"
        ) from None


def limited(field: str, stream: BinaryIO) -> bytes:
    """All bytes of a stream.

    Raises:
        LetterInvalid: there are more than `MOST_BYTES`.
    """
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise LetterInvalid(
            field=field, found=f"over {MOST_BYTES} bytes", expected="at most so many"
        )
    return data


def _decoded(field: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LetterInvalid(
            field=field, found=f"no UTF-8 at byte {error.start}", expected="UTF-8"
        ) from None
