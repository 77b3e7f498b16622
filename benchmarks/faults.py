"""Kills, a hostile crowd and a damaged journal, in full size.

Run as ``python -m benchmarks.faults [kills|siege|damage ...]``; without words, all
of them (about twenty minutes). Needs Debian's Dovecot, and for the siege twelve
thousand open files (``ulimit -n``). It ends with a traceback where a promise does
not hold; otherwise it prints what was measured. `tests.live.test_stream_faults`
runs the same in small.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.live.journal_damage import Specimen
from tests.live.stream_faults import besiege, kill_under_load

KILLS, RESUMING = 200, 50
HOSTILE, HONEST = 10_000, 1_000
WOUNDS = 1_000


def kills(_: Path) -> None:
    """SIGKILL at random moments, under load, before readers that resume."""
    print(kill_under_load(KILLS, RESUMING), flush=True)


def siege(folder: Path) -> None:
    """Hostile connections of five kinds beside honest readers."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(besiege(folder / "siege", HOSTILE, HONEST), flush=True)


def damage(folder: Path) -> None:
    """One bit, or the end of a file, of a journal at rest."""
    for name, is_clean in (("stopped", True), ("killed", False)):
        specimen = Specimen(folder / name, is_clean=is_clean)
        outcomes = Counter(map(specimen.outcome, specimen.wounds(random.Random(1), WOUNDS // 2)))
        print(f"damaged after it was {name}: {dict(outcomes)}", flush=True)


FAULTS: Final[Mapping[str, Callable[[Path], None]]] = {
    "damage": damage,
    "siege": siege,
    "kills": kills,
}


def main(*names: str) -> None:
    """Run these, or all."""
    with tempfile.TemporaryDirectory(prefix="mailnotify-faults-") as folder:
        for name in names or FAULTS:
            FAULTS[name](Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
