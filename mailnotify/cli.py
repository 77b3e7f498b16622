"""The console script ``mailnotify``: one word, then what that word takes.

Each word is a module with ``Options`` (a `twisted.python.usage.Options`) and
``run(options) -> int``, which returns an exit code of sysexits.h. A module is
imported when its word is used, so that ``mailnotify tail`` does not wait for
the parts of a mail server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import IO, Any, Final

from twisted.python import usage

from mailnotify import __version__
from mailnotify.errors import ConfigInvalid, MailnotifyError, OperatorError

COMMANDS: Final = {
    "serve": ("mailnotify.commands.serve", "run the service here (as `twistd -n mailnotify`)"),
    "client": ("mailnotify.commands.client", "show alerts on the desktop"),
    "tail": ("mailnotify.commands.tail", "follow the stream in a terminal"),
    "latest": ("mailnotify.commands.latest", "print the subject of each mailbox's latest message"),
    "send": ("mailnotify.commands.send", "send one letter"),
    "sendmail": ("mailnotify.commands.sendmail", "send a message, as /usr/sbin/sendmail does"),
    "outbox": ("mailnotify.commands.outbox", "list, show, retry and cancel what is to be sent"),
    "measure": ("mailnotify.commands.measure", "send one message and say what it cost"),
    "login": ("mailnotify.commands.login", "allow mailnotify the access to an account by OAuth2"),
    "token": ("mailnotify.commands.token", "let others read, from elsewhere: add, list, revoke"),
    "check-config": ("mailnotify.commands.check_config", "say what is wrong with a configuration"),
    "sample-config": ("mailnotify.commands.sample_config", "print a configuration to start from"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, _stand_in(number, mode))
    try:
        return _flushed(_ordered(list(sys.argv[1:] if arguments is None else arguments)))
    except BrokenPipeError:  # `mailnotify … | head`
        _write_no_more()
        return os.EX_OK
    except OSError as failure:
        if failure.filename is not None:
            raise
        _write_no_more()
        return _complain(f"the output cannot be written: {failure.strerror}", os.EX_IOERR)
    except KeyboardInterrupt:  # also while a command is imported
        return 130  # 128 + SIGINT, as a shell reports it


_STDERR: Final = 2
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def _stand_in(number: int, mode: str) -> IO[Any]:
    """Take the place of a stream that a shell's ``>&-`` has closed, before a file of ours does.

    What is written to the output fails then, as on a full disk; what is said on stderr is
    said to nobody.
    """
    hole = os.open(os.devnull, os.O_RDWR if number == _STDERR else os.O_RDONLY)
    if hole != number:
        os.dup2(hole, number)
        os.close(hole)
    return open(number, mode, encoding="utf-8", closefd=False)


def _flushed(given: list[str]) -> int:
    """Run it; what it has said is written, or known not to be, also after ``--help``."""
    try:
        return _command(given)
    finally:
        sys.stdout.flush()


def _command(given: list[str]) -> int:
    word = given.pop(0) if given else "--help"
    if word in ("--help", "-h", "help"):
        print(_usage())
        return os.EX_OK
    if word == "--version":
        print(f"mailnotify {__version__}")
        return os.EX_OK
    if word not in COMMANDS:
        near = get_close_matches(word, COMMANDS, n=1)
        hint = f"did you mean `mailnotify {near[0]}`?" if near else "see `mailnotify --help`."
        return _complain(f"no command {word!r}; {hint}", os.EX_USAGE)
    return _run(word, given)


def _run(word: str, arguments: Sequence[str]) -> int:
    module = import_module(COMMANDS[word][0])
    options = module.Options()
    options.command = f"mailnotify {word}"
    try:
        options.parseOptions(list(arguments))
        code: int = module.run(options)
    except usage.UsageError as error:
        is_config = isinstance(error.__cause__, ConfigInvalid)
        return _complain(str(error), os.EX_CONFIG if is_config else os.EX_USAGE)
    except MailnotifyError as error:
        code = os.EX_CONFIG if isinstance(error, OperatorError) else os.EX_UNAVAILABLE
        return _complain(f"{error}\n{error.remedy}", code)
    return code


def _write_no_more() -> None:
    """What is still in the buffer must not fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ordered(words: list[str]) -> list[str]:
    """``-c FILE COMMAND …`` means ``COMMAND -c FILE …``."""
    ahead = 2 if words[:1] in (["-c"], ["--config"]) else 1
    if len(words) > ahead and (ahead == 2 or words[0].startswith("--config=")):
        return [words[ahead], *words[:ahead], *words[ahead + 1 :]]
    return words


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {word:{width}}  {about}" for word, (_, about) in COMMANDS.items()]
    return "\n".join(
        (
            "Usage: mailnotify COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "`mailnotify COMMAND --help` tells more; `mailnotify --version` tells the version.",
        )
    )


def _complain(sentence: str, code: int) -> int:
    print(f"mailnotify: {sentence}", file=sys.stderr)
    return code
