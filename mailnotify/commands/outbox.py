"""``mailnotify outbox``: what waits to be sent, what failed, and what to do about it.

::

    mailnotify outbox list [--all]      what waits or has failed
    mailnotify outbox show NUMBER       everything about one letter
    mailnotify outbox retry NUMBER      try it now, also if it failed
    mailnotify outbox cancel NUMBER     send it to nobody (any more)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from twisted.python import usage

from mailnotify.config.schema import Config
from mailnotify.core.text import clean
from mailnotify.errors import LetterUnchangeable, LetterUnknown, OutboxUnreadable
from mailnotify.outbox.doorbell import ring
from mailnotify.outbox.letter import Filed, State
from mailnotify.outbox.store import SqliteOutbox
from mailnotify.taps.configured import ConfiguredOptions, SubOptions
from mailnotify.taps.posting import DOORBELL, STORE

_MOST_SHOWN: Final = 1000
_SUBJECT_BYTES: Final = 100
_OPEN: Final = (State.QUEUED, State.SENDING, State.WAITING, State.FAILED)


class _List(SubOptions):
    synopsis = "[--all]"
    optFlags = [["all", "a", "Also what was sent or cancelled, as long as it is kept."]]


class _Numbered(SubOptions):
    synopsis = "NUMBER"

    def parseArgs(self, number: str) -> None:  # type: ignore[override]
        """The number of a letter."""
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise usage.UsageError(f"found {number[:80]!r}, expected the number of a letter")
        self["number"] = int(number)


class Options(ConfiguredOptions):
    """The command line."""

    synopsis = "[--config FILE] list | show NUMBER | retry NUMBER | cancel NUMBER"
    subCommands = [
        ["list", None, _List, "What waits to be sent, and what has failed."],
        ["show", None, _Numbered, "Everything about one letter."],
        ["retry", None, _Numbered, "Try a letter now, to those who do not have it."],
        ["cancel", None, _Numbered, "Send a letter to nobody, or to nobody else."],
    ]

    def postOptions(self) -> None:
        """One of the words must be there."""
        if self.subCommand is None:
            raise usage.UsageError("found nothing to do, expected list, show, retry or cancel")
        super().postOptions()


def run(options: Options) -> int:
    """Do it; return the exit code."""
    config: Config = options["loaded"]
    folder = Path(config.state_dir)
    try:
        if not _has_outbox(folder / STORE):
            if options.subCommand == "list":
                print("nothing was ever queued here")
                return os.EX_OK
            raise LetterUnknown(number=str(options.subOptions["number"]))
        with closing(SqliteOutbox.visit(folder / STORE)) as store:
            _VERBS[str(options.subCommand)](store, options, datetime.now(UTC))
    except (LetterUnknown, LetterUnchangeable) as error:
        print(f"mailnotify outbox: {error}. {error.remedy}", file=sys.stderr)
        return 1
    if options.subCommand in ("retry", "cancel"):
        ring(folder / DOORBELL, is_urgent=options.subCommand == "retry")
    return os.EX_OK


def _has_outbox(path: Path) -> bool:
    """Whether there is an outbox.

    Raises:
        OutboxUnreadable: nobody can tell, since the folder is none, or not ours.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise OutboxUnreadable(path=str(path), reason=problem.strerror or "") from problem
    return True


def _list(store: SqliteOutbox, options: Options, now: datetime) -> None:
    letters = store.letters(State if options.subOptions["all"] else _OPEN, _MOST_SHOWN)
    for letter in letters:
        print(line(letter, now))
    if not letters:
        print("nothing waits, and nothing has failed")


def _show(store: SqliteOutbox, options: Options, now: datetime) -> None:
    print("\n".join(details(store.letter(options.subOptions["number"]), now)))


def _retry(store: SqliteOutbox, options: Options, now: datetime) -> None:
    config: Config = options["loaded"]
    number = options.subOptions["number"]
    store.retry(number, now, now + timedelta(days=config.outbox.give_up_days))
    print(f"letter {number} is tried again")


def _cancel(store: SqliteOutbox, options: Options, now: datetime) -> None:
    number = options.subOptions["number"]
    store.cancel(number, now)
    print(f"letter {number} is cancelled")


_VERBS: Final[dict[str, Callable[[SqliteOutbox, Options, datetime], None]]] = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "cancel": _cancel,
}


def line(letter: Filed, now: datetime) -> str:
    """One letter in one line."""
    who = ", ".join(each.recipient for each in letter.results[:2])
    more = f" and {len(letter.results) - 2} more" if len(letter.results) > 2 else ""
    subject = clean(letter.subject, _SUBJECT_BYTES) or "(no subject)"
    why = f": {letter.reason}" if letter.reason and letter.state is not State.SENT else ""
    return (
        f"{letter.number}  {letter.state.value}{_when(letter, now)}  {letter.account}  "
        f"{clean(who, 200)}{more}  {subject}{clean(why, 300)}"
    )


def details(letter: Filed, now: datetime) -> list[str]:
    """Everything about one letter, line by line."""
    facts: list[tuple[str, Any]] = [
        ("letter", letter.number),
        ("state", f"{letter.state.value}{_when(letter, now)}"),
        ("account", letter.account),
        ("from", letter.sender or "<>"),
        ("subject", letter.subject),
        ("message-id", letter.message_id),
        ("bytes", letter.size_bytes),
        ("queued", _moment(letter.queued_at)),
        ("attempts", letter.attempts),
        ("given up", _moment(letter.expires)),
        ("finished", letter.finished_at and _moment(letter.finished_at)),
        ("reason", letter.reason),
    ]
    for each in letter.results:
        code = f"{each.code} " if each.code else ""
        facts.append(("to", f"{each.recipient}: {each.fate.value} {code}{each.said}".rstrip()))
    return [f"{name + ':':12}{clean(str(value), 1200)}" for name, value in facts if value]


def _when(letter: Filed, now: datetime) -> str:
    if letter.state in (State.QUEUED, State.WAITING) and letter.due > now:
        return f" until {_moment(letter.due)}"
    return ""


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
