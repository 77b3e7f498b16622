"""mailnotify can be had as a wheel, an sdist, an editable install and a plain checkout.

Each is tried in a scratch environment that borrows the packages of this one,
so nothing is downloaded: what is tried is our own packaging alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mailnotify.cli import COMMANDS

ROOT = Path(__file__).parent.parent
PLUGINS = {"mailnotify", "mailnotify-client", "mailnotify-send"}
LEFT_OUT = (
    ".git",
    ".venv",
    "_trial_temp*",
    "*.egg-info",
    "build",
    "dist",
    "__pycache__",
    ".*cache",
)

_LIST = """
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
for each in getPlugins(IServiceMaker):
    if each.module.startswith("mailnotify"):
        __import__(each.module)
        print(each.tapname)
"""
_SCHEMA = """
import mailnotify
from mailnotify.journal.kind import JOURNAL
from mailnotify.storage.upgrades import scripts
print(mailnotify.__file__)
print(len(scripts(JOURNAL.schema)))
"""


class Scratch:
    """A virtual environment that sees the packages of this one, after its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = directory / "bin" / "python"
        site = next(directory.glob("lib/python3*/site-packages"))
        # Without the .pth files of the borrowed folder: an editable mailnotify is in one.
        (site / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run this environment's Python; the test fails with its words if it does."""
        command = [str(self.python), *arguments]
        clean = {"PATH", "HOME", "LANG", "TMPDIR"}
        environ = {key: value for key, value in os.environ.items() if key in clean}
        done = subprocess.run(
            command,
            cwd=cwd or self.directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise AssertionError(
                f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def pip_install(self, *arguments: str) -> None:
        """Install without a network."""
        offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
        self.run("-m", "pip", "--disable-pip-version-check", "install", *offline, *arguments)

    def plugins(self, cwd: Path | None = None) -> set[str]:
        """What twistd would offer of ours, each with an importable module."""
        return set(self.run("-c", _LIST, cwd=cwd).split())


@dataclass(frozen=True)
class Built:
    """A copy of the checkout as a clone has it, and what was built from it."""

    checkout: Path
    wheel: Path
    sdist: Path


@cache
def built() -> Built:
    """Build once for all tests, in a folder that goes with trial's own."""
    folder = Path(tempfile.mkdtemp(prefix="packaging-", dir=Path.cwd()))
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*LEFT_OUT))
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(checkout)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise AssertionError(f"no wheel can be built:\n{done.stdout}{done.stderr}")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(checkout=checkout, wheel=wheel, sdist=sdist)


class PackagingTests(SynchronousTestCase):
    """Every way to have mailnotify."""

    def setUp(self) -> None:
        self.built = built()

    def scratch(self) -> Scratch:
        return Scratch(Path(self.mktemp()).resolve())

    def assert_works(self, scratch: Scratch, home: Path) -> None:
        """The plugins, the schema and the console script are there, and from there."""
        self.assertEqual(scratch.plugins(), PLUGINS)
        file, schemas = scratch.run("-c", _SCHEMA).splitlines()
        self.assertTrue(Path(file).is_relative_to(home), file)
        self.assertGreaterEqual(int(schemas), 1)
        said = scratch.run(str(scratch.directory / "bin" / "mailnotify"), "--version")
        self.assertRegex(said, r"^mailnotify \d")

    def test_a_wheel_installs(self) -> None:
        """`pip install mailnotify` is all that is needed."""
        scratch = self.scratch()
        scratch.pip_install(str(self.built.wheel))
        self.assert_works(scratch, scratch.directory)

    def test_an_sdist_installs(self) -> None:
        """What a distributor builds from works too."""
        scratch = self.scratch()
        scratch.pip_install(str(self.built.sdist))
        self.assert_works(scratch, scratch.directory)

    def test_an_editable_install_shows_its_plugins(self) -> None:
        """`pip install -e .` does not hide the plugins from twistd."""
        scratch = self.scratch()
        scratch.pip_install("--editable", str(self.built.checkout))
        self.assert_works(scratch, self.built.checkout)

    def test_a_checkout_works_where_it_lies(self) -> None:
        """`python -m twisted mailnotify` in a clone needs no installation."""
        scratch = self.scratch()
        self.assertEqual(scratch.plugins(cwd=self.built.checkout), PLUGINS)
        said = scratch.run("-m", "twisted", "mailnotify", "--help", cwd=self.built.checkout)
        self.assertIn("--config", said)
        self.assertIn(
            "mailnotify", scratch.run("-m", "mailnotify", "--version", cwd=self.built.checkout)
        )

    def test_the_wheel_holds_what_it_must_and_no_more(self) -> None:
        """Every module, the schemas, the licence and the plugin; no test, no `twisted` package."""
        names = set(zipfile.ZipFile(self.built.wheel).namelist())
        package = (path.relative_to(ROOT) for path in (ROOT / "mailnotify").rglob("*"))
        wanted = {str(path) for path in package if path.suffix in (".py", ".sql", ".typed")}
        wanted.add("twisted/plugins/mailnotify_plugin.py")
        code = {name for name in names if ".dist-info/" not in name}
        self.assertEqual(code, wanted)
        self.assertTrue([name for name in names if name.endswith("/licenses/LICENSE")])

    def test_the_sdist_holds_what_a_distributor_needs(self) -> None:
        """The licence, the readme and the schemas are in it."""
        with tarfile.open(self.built.sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        for wanted in ("LICENSE", "README.rst", "setup.cfg", "pyproject.toml"):
            self.assertIn(wanted, names)
        self.assertIn("mailnotify/journal/schema/0001.sql", names)


class ReadmeTests(SynchronousTestCase):
    """What README.rst tells people to type exists."""

    text = (ROOT / "README.rst").read_text("utf-8")

    def test_every_command_of_mailnotify_exists(self) -> None:
        """`mailnotify WORD` is a word that the console script knows."""
        words = {
            line.split("mailnotify ", 1)[1].split()[0].strip("`,;.")
            for line in self.text.splitlines()
            if "``mailnotify " in line or line.startswith("    mailnotify ")
        }
        self.assertGreaterEqual(len(words), 5)
        self.assertEqual(words - set(COMMANDS), set())

    def test_every_plugin_of_twistd_exists(self) -> None:
        """`twistd -n NAME` is a plugin of ours."""
        named = {each.split()[0].strip("`") for each in self.text.split("twistd -n ")[1:]}
        self.assertEqual(named, PLUGINS)

    def test_every_target_of_make_exists(self) -> None:
        """`make WORD` is in the Makefile."""
        targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines()}
        for word in ("demo", "test"):
            self.assertIn(f"make {word}", self.text)
            self.assertIn(word, targets)
