"""One program, within a deadline and a size."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.auth.child import ChildOverran, Outcome, run
from tests.rigs import wait_until

ENVIRON = {"PATH": os.environ.get("PATH", os.defpath)}


def shell(script: str, *, deadline_seconds: float = 20, most_bytes: int = 1000) -> Outcome:
    """Run a script of sh."""
    return run(
        ["/bin/sh", "-c", script],
        environ=ENVIRON,
        deadline_seconds=deadline_seconds,
        most_bytes=most_bytes,
    )


def is_alive(process: int) -> bool:
    """Whether a process runs, and is not merely waiting to be collected."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


class RunTests(SynchronousTestCase):
    """`run` starts a program and collects what it prints."""

    def setUp(self) -> None:
        self.note = Path(self.mktemp()).absolute()

    def noted_process(self) -> int:
        return int(self.note.read_text())

    def test_outcome(self) -> None:
        """Both outputs and the status come back."""
        self.assertEqual(
            shell("echo out; echo err >&2; exit 3"),
            Outcome(status=3, stdout=b"out\n", stderr=b"err\n"),
        )

    def test_no_shell(self) -> None:
        """Words reach the program as they are."""
        outcome = run(
            ["/bin/echo", "$HOME", "; rm -rf *"],
            environ=ENVIRON,
            deadline_seconds=20,
            most_bytes=100,
        )
        self.assertEqual(outcome.stdout, b"$HOME ; rm -rf *\n")

    def test_environment(self) -> None:
        """The program gets the environment that was handed in, and no other."""
        outcome = run(
            [sys.executable, "-c", "import os; print(os.environ.get('A'), 'HOME' in os.environ)"],
            environ={"A": "b"},
            deadline_seconds=20,
            most_bytes=100,
        )
        self.assertEqual(outcome.stdout, b"b False\n")

    def test_no_input(self) -> None:
        """A program that asks gets no answer, not even from our own input."""
        ours, (reading, writing) = os.dup(0), os.pipe()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.dup2, ours, 0)
        os.dup2(reading, 0)
        os.write(writing, b"typed\n")
        os.close(reading)
        os.close(writing)
        self.assertEqual(shell("cat; echo end").stdout, b"end\n")

    def test_no_such_program(self) -> None:
        """A program that is not there is an OSError."""
        with self.assertRaises(FileNotFoundError):
            run(["/none"], environ={}, deadline_seconds=1, most_bytes=1)

    def test_deadline_kills_the_group(self) -> None:
        """A program that hangs is killed together with what it started."""
        script = f"sleep 60 & echo $! > {self.note}; echo out; wait"
        with self.assertRaises(ChildOverran) as caught:
            shell(script, deadline_seconds=2.0)
        self.assertEqual(caught.exception.what, "its time")
        # Process 1 collects the orphan a moment later.
        wait_until(lambda: not is_alive(self.noted_process()), "the end of the group")

    def test_deadline_of_a_silent_program(self) -> None:
        """A program that closes its output and goes on is killed too."""
        with self.assertRaises(ChildOverran):
            shell(f"echo $$ > {self.note}; exec >&- 2>&-; exec sleep 60", deadline_seconds=2.0)
        self.assertFalse(is_alive(self.noted_process()))

    def test_too_much_output(self) -> None:
        """A program that prints without end is killed long before its deadline."""
        for stream in ["1", "2"]:
            script = f"echo $$ > {self.note}; exec yes >&{stream}"
            with self.assertRaises(ChildOverran) as caught:
                shell(script, most_bytes=10_000)
            self.assertEqual(caught.exception.what, "its output")
            self.assertFalse(is_alive(self.noted_process()))

    def test_output_up_to_the_limit(self) -> None:
        """Exactly as much as is allowed is allowed."""
        self.assertEqual(len(shell("head -c 20000 /dev/zero", most_bytes=20000).stdout), 20000)

    def test_descendant_that_holds_the_pipes(self) -> None:
        """An agent that the program woke does not keep us waiting, and lives on."""
        outcome = shell(f"sleep 60 & echo $! > {self.note}; echo secret")
        descendant = self.noted_process()
        try:
            self.assertEqual(outcome.stdout, b"secret\n")
            self.assertTrue(is_alive(descendant))
        finally:
            os.kill(descendant, 9)

    def test_signal(self) -> None:
        """A program that a signal ended has a negative status."""
        self.assertEqual(shell("kill -TERM $$").status, -15)

    def test_nothing_is_left_open(self) -> None:
        """Neither success nor a kill leaves a descriptor or a zombie behind."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        shell("echo out")
        self.assertRaises(ChildOverran, shell, f"echo $$ > {self.note}; exec yes")
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
        self.assertFalse(Path(f"/proc/{self.noted_process()}").exists())

    def test_repr_hides_the_output(self) -> None:
        """The value of a traceback does not show what was printed."""
        self.assertNotIn("hunter2", repr(shell("echo hunter2")))
