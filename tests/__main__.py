"""All tests, in as many processes as there are cores: ``python -m tests [NAME...]``.

Names are those of modules or packages, as in ``tests.core``. Trial does the work, in
`tests.worker`; here its reports are put together, and tidied up after it. Whatever
the tests started is a descendant of this process, and whatever they wrote lies in
one temporary folder: nothing of it outlives this process, however it ends, unless it
is killed itself.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from tests.worker import TAKEN, WAITING

ROOT = Path(__file__).resolve().parents[1]
_SET_CHILD_SUBREAPER = 36  # prctl(2)
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLOSING = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$")
_ORDER = ["skips", "expectedFailures", "failures", "errors", "unexpectedSuccesses", "successes"]
_BAD = ("failures", "errors", "unexpectedSuccesses")


class Worker:
    """One process that runs tests; a thread shows what it says, line by line.

    Attributes:
        process: whose end is not waited for here.
        counts: what its closing line says; None if it never came to that.
        report: what trial says at the end.
    """

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.counts: Counter[str] | None = None
        self.report: list[str] = []
        options = [f"-W{each}" for each in sys.warnoptions]
        self.process = subprocess.Popen(
            [sys.executable, *options, "-m", "tests.worker", str(folder)],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,  # an interrupt from the keyboard is ours to handle
        )
        assert self.process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._thread.daemon = True
        self._thread.start()

    def finish(self) -> None:
        """Return when everything that it said was read."""
        self._thread.join(10)  # a child that it left behind would hold the pipe open

    def end(self) -> None:
        """Kill it, if it has not ended."""
        self.process.kill()
        self.process.wait()

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._take(line)

    def _take(self, line: str) -> None:
        if found := _CLOSING.match(line.rstrip("\n")):
            self.counts = counts_in(found[1] or "")
        elif self.report or line.startswith(("=" * 79, "-" * 79)):
            self.report.append(line)
        else:
            print(line, end="", flush=True)


def counts_in(words: str) -> Counter[str]:
    """The numbers of a closing line, as in ``skips=1, successes=5``."""
    return Counter({each[1]: int(each[2]) for each in re.finditer(r"(\w+)=(\d+)", words)})


def closing_line(parts: list[Counter[str] | None]) -> str:
    """Trial's closing line for all of them; a part that is missing is an error."""
    total = Counter[str]()
    for each in parts:
        total += each if each is not None else Counter(errors=1)
    words = ", ".join(f"{key}={total[key]}" for key in _ORDER if total[key])
    has_passed = bool(total) and not any(total[key] for key in _BAD)
    return f"{'PASSED' if has_passed else 'FAILED'} ({words})"


def modules(names: list[str]) -> list[str]:
    """The modules of these packages, those first that start real servers: they take longest."""
    found = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    ]
    chosen = [
        each for each in found if any(each == name or each.startswith(f"{name}.") for name in names)
    ]
    return sorted(chosen, key=lambda each: not each.startswith("tests.live."))


@contextlib.contextmanager
def tidy() -> Iterator[Path]:
    """A folder for everything temporary; afterwards it is gone, and so is every descendant."""
    # Those that lose their parent become our children, rather than those of process 1.
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = Path(tempfile.mkdtemp(prefix="mn-"))  # short: a socket's path has 107 bytes at most
    folder.chmod(0o755)  # servers run as other users
    try:
        yield folder
    finally:
        for each in _STOPS:
            signal.signal(each, signal.SIG_IGN)
        end_descendants()
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def await_end(workers: list[Worker]) -> None:
    """Wait for them, and bury whoever becomes our child meanwhile, as process 1 would."""
    running = {each.process.pid: each for each in workers}
    while running:
        pid, status = os.wait()
        if worker := running.pop(pid, None):
            worker.process.returncode = os.waitstatus_to_exitcode(status)
            worker.finish()


def end_descendants() -> None:
    """Kill all children, and those that become children by it, until there is none."""
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for each in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, 0)


def unmount_below(folder: Path) -> None:
    """Take away the file systems that tests have mounted."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in mounted:
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=False)


def stop(number: int, _: FrameType | None) -> None:
    """A signal ends the run as it would end a shell's command."""
    raise SystemExit(128 + number)


def run(names: list[str], jobs: int) -> str:
    """Run the tests of these names; return the closing line."""
    began = time.monotonic()
    with tidy() as folder:
        for each in (WAITING, TAKEN):
            (folder / each).mkdir()
        for number, name in enumerate(modules(names)):
            (folder / WAITING / f"{number:03} {name}").touch()
        environ = {**os.environ, "TMPDIR": str(folder)}
        workers = [Worker(folder, environ) for _ in range(jobs)]
        try:
            await_end(workers)
        finally:
            for each in workers:
                each.end()
        left = sorted(path.name for path in (folder / WAITING).iterdir())
    for each in workers:
        print("".join(each.report), end="")
    # 0 or 1 is what `tests.worker` ends with; anything else is no orderly end.
    parts = [each.counts if each.process.returncode in (0, 1) else None for each in workers]
    if left:
        print("Not run:", *left)
        parts.append(None)
    took, worked = time.monotonic() - began, sum(os.times()[2:4])
    print(f"\nAll in {took:.0f} s by {jobs} processes; processors worked for {worked:.0f} s.\n")
    return closing_line(parts)


def main() -> int:
    """Run what the command line names; 0 if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m tests")
    parser.add_argument("names", nargs="*", default=["tests"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    for each in _STOPS:
        signal.signal(each, stop)
    line = run(options.names, options.jobs)
    print(line)
    is_good = line.startswith("PASSED")
    if os.environ.get("CI") and counts_in(line)["skips"]:
        is_good = False
        print("In CI nothing may be skipped; see the [SKIPPED] above.")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
