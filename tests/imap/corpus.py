"""Transcripts of what servers say, from `tests/corpus/imap`.

Server bytes only, as known from the servers' own output and from the bug reports
of other clients; `untidy` gathers what breaks parsers, whoever sends it.
"""

from __future__ import annotations

from pathlib import Path

from mailnotify.imap.framer import Framed, Framer
from mailnotify.imap.parser import parse
from mailnotify.imap.responses import Response

CORPUS = Path(__file__).parent.parent / "corpus" / "imap"


def transcripts() -> dict[str, bytes]:
    """Every transcript by the name of its server."""
    return {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.imap"))}


def framed(data: bytes) -> list[Framed]:
    """Whole responses, received at once."""
    framer = Framer()
    framer.receive(data)
    return list(framer.received())


def said(data: bytes) -> Response:
    """The one response in these bytes; its last line end may be missing."""
    [response] = framed(data + b"\r\n")
    return parse(response)
