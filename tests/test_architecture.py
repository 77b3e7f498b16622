"""The house keeps its floors: imports go down, and rooms stay small.

The floors are those of docs/architecture.rst. A module's floor is found by its
longest prefix in `FLOORS`; where a package has pure and impure modules, each is
named, so that a new module cannot slip in without a decision.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent

# 0: no Twisted, no I/O, no clock. 1: what all agree on. 2: Twisted. 3: the reactor, argv.
FLOORS = {
    "mailnotify": 0,
    "mailnotify.__main__": 3,
    "mailnotify.access": 0,
    "mailnotify.access.certificate": 2,
    "mailnotify.access.door": 2,
    "mailnotify.access.keeper": 2,
    "mailnotify.access.local_users": 1,
    "mailnotify.access.proxied": 2,
    "mailnotify.access.strangers": 1,
    "mailnotify.access.throttle": 0,
    "mailnotify.access.token": 0,
    "mailnotify.access.token_file": 1,
    "mailnotify.auth": 0,
    "mailnotify.auth.binding": 0,
    "mailnotify.auth.child": 1,
    "mailnotify.auth.consent": 2,
    "mailnotify.auth.grants": 1,
    "mailnotify.auth.oauth": 0,
    "mailnotify.auth.provider": 2,
    "mailnotify.auth.redirect": 2,
    "mailnotify.auth.sasl": 0,
    "mailnotify.auth.secrets": 1,
    "mailnotify.auth.tokens": 2,
    "mailnotify.auth.verdict": 0,
    "mailnotify.cli": 3,
    "mailnotify.client": 2,
    "mailnotify.commands.*": 3,
    "mailnotify.config.*": 1,
    "mailnotify.core.*": 0,
    "mailnotify.demo.*": 3,
    "mailnotify.direct": 2,
    "mailnotify.errors": 0,
    "mailnotify.html_text": 1,
    "mailnotify.hub": 2,
    "mailnotify.imap": 0,
    "mailnotify.imap.alerts": 2,
    "mailnotify.imap.answers": 0,
    "mailnotify.imap.awaiting": 2,
    "mailnotify.imap.client": 2,
    "mailnotify.imap.commands": 0,
    "mailnotify.imap.comparing": 2,
    "mailnotify.imap.compressing": 2,
    "mailnotify.imap.errands": 2,
    "mailnotify.imap.examining": 2,
    "mailnotify.imap.fetch_data": 0,
    "mailnotify.imap.fetching": 2,
    "mailnotify.imap.framer": 0,
    "mailnotify.imap.habits": 0,
    "mailnotify.imap.hints": 2,
    "mailnotify.imap.idling": 2,
    "mailnotify.imap.inherited": 2,
    "mailnotify.imap.inquiring": 2,
    "mailnotify.imap.keepalive": 2,
    "mailnotify.imap.listing": 2,
    "mailnotify.imap.login": 2,
    "mailnotify.imap.mailbox_data": 0,
    "mailnotify.imap.mailbox_names": 0,
    "mailnotify.imap.moment": 2,
    "mailnotify.imap.numbers": 0,
    "mailnotify.imap.parser": 0,
    "mailnotify.imap.pushed": 0,
    "mailnotify.imap.reaching": 2,
    "mailnotify.imap.responses": 0,
    "mailnotify.imap.resync": 0,
    "mailnotify.imap.session": 2,
    "mailnotify.imap.status_line": 0,
    "mailnotify.imap.surveying": 0,
    "mailnotify.imap.tokens": 0,
    "mailnotify.imap.view": 0,
    "mailnotify.interfaces": 1,
    "mailnotify.journal.*": 2,
    "mailnotify.key_shares": 2,
    "mailnotify.loss": 2,
    "mailnotify.metering": 2,
    "mailnotify.outbox": 0,
    "mailnotify.outbox.bounce": 0,
    "mailnotify.outbox.copying": 2,
    "mailnotify.outbox.doorbell": 2,
    "mailnotify.outbox.lane": 1,
    "mailnotify.outbox.ledger": 2,
    "mailnotify.outbox.letter": 0,
    "mailnotify.outbox.notice": 0,
    "mailnotify.outbox.returned": 2,
    "mailnotify.outbox.rows": 2,
    "mailnotify.outbox.schedule": 0,
    "mailnotify.outbox.schema": 2,
    "mailnotify.outbox.service": 2,
    "mailnotify.outbox.store": 2,
    "mailnotify.outbox.verdict": 0,
    "mailnotify.outgoing": 2,
    "mailnotify.position": 2,
    "mailnotify.serving.*": 2,
    "mailnotify.serving.tally": 1,
    "mailnotify.serving.vigil": 1,
    "mailnotify.shown": 1,
    "mailnotify.sinks.*": 2,
    "mailnotify.smtp": 0,
    "mailnotify.smtp.addresses": 0,
    "mailnotify.smtp.compose": 0,
    "mailnotify.smtp.dialogue": 2,
    "mailnotify.smtp.fields": 0,
    "mailnotify.smtp.habits": 0,
    "mailnotify.smtp.handover": 2,
    "mailnotify.smtp.login": 2,
    "mailnotify.smtp.offer": 0,
    "mailnotify.smtp.parcel": 0,
    "mailnotify.smtp.relayed": 0,
    "mailnotify.smtp.sender": 2,
    "mailnotify.smtp.submit": 2,
    "mailnotify.smtp.tally": 0,
    "mailnotify.smtp.wire": 0,
    "mailnotify.storage.*": 2,
    "mailnotify.storage.columns": 0,
    "mailnotify.stream": 2,
    "mailnotify.taps.*": 3,
    "mailnotify.tls": 2,
    "mailnotify.watching.*": 2,
    "mailnotify.watching.crowding": 0,
    "mailnotify.watching.freshness": 0,
    "mailnotify.watching.planning": 0,
    "mailnotify.watching.witness": 0,
    "twisted.plugins.mailnotify_plugin": 3,
}

# On floor 2 siblings meet in taps. These few are one room with several doors: what
# serves subscribers knows the hub, the client its position and its stream, what watches
# mailboxes a session with a server, and what is kept in SQLite how files are opened.
SIBLINGS = {
    ("mailnotify.watching.looking_back", "mailnotify.imap.session"),
    ("mailnotify.journal.batches", "mailnotify.storage.database"),
    ("mailnotify.watching.intake", "mailnotify.imap.session"),
    ("mailnotify.journal.mailboxes", "mailnotify.storage.database"),
    ("mailnotify.journal.marks", "mailnotify.storage.database"),
    ("mailnotify.journal.places", "mailnotify.storage.database"),
    ("mailnotify.serving.admission", "mailnotify.access.door"),
    ("mailnotify.serving.connection", "mailnotify.serving.crowd"),
    ("mailnotify.serving.connection", "mailnotify.direct"),
    ("mailnotify.serving.connection", "mailnotify.serving.subscriber"),
    ("mailnotify.serving.server", "mailnotify.access.door"),
    ("mailnotify.serving.server", "mailnotify.serving.connection"),
    ("mailnotify.serving.server", "mailnotify.serving.readers"),
    ("mailnotify.serving.subscriber", "mailnotify.access.door"),
    ("mailnotify.serving.subscriber", "mailnotify.serving.admission"),
    ("mailnotify.serving.subscriber", "mailnotify.serving.readers"),
    ("mailnotify.auth.provider", "mailnotify.loss"),
    ("mailnotify.imap.client", "mailnotify.loss"),
    ("mailnotify.imap.reaching", "mailnotify.loss"),
    ("mailnotify.smtp.dialogue", "mailnotify.loss"),
    ("mailnotify.smtp.submit", "mailnotify.loss"),
    ("mailnotify.metering", "mailnotify.direct"),
    ("mailnotify.tls", "mailnotify.direct"),
    ("mailnotify.tls", "mailnotify.key_shares"),
    ("mailnotify.client", "mailnotify.outgoing"),
    ("mailnotify.client", "mailnotify.position"),
    ("mailnotify.journal.kind", "mailnotify.storage.kind"),
    ("mailnotify.journal.kind", "mailnotify.storage.damage"),
    ("mailnotify.journal.sqlite", "mailnotify.storage.database"),
    ("mailnotify.outbox.store", "mailnotify.storage.database"),
    ("mailnotify.outbox.store", "mailnotify.storage.kind"),
    ("mailnotify.outbox.store", "mailnotify.storage.opening"),
    ("mailnotify.outbox.store", "mailnotify.storage.upgrades"),
    ("mailnotify.client", "mailnotify.stream"),
    ("mailnotify.stream", "mailnotify.loss"),
    ("mailnotify.serving.crowd", "mailnotify.hub"),
    ("mailnotify.serving.feeds", "mailnotify.hub"),
    ("mailnotify.serving.server", "mailnotify.serving.crowd"),
    ("mailnotify.serving.server", "mailnotify.direct"),
    ("mailnotify.serving.server", "mailnotify.hub"),
    ("mailnotify.serving.server", "mailnotify.serving.subscriber"),
    ("mailnotify.serving.subscriber", "mailnotify.serving.crowd"),
    ("mailnotify.serving.subscriber", "mailnotify.hub"),
}

# What floor 0 may not touch of the standard library: the outside, and the time.
IMPURE = {"asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "select", "shutil"}
IMPURE |= {"signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time"}

MOST_LINES_OF_A_MODULE = 450
MOST_LINES_OF_A_FUNCTION = 40  # without its docstring


def floor(name: str) -> int | None:
    """The floor of a module; None if nobody has decided."""
    if name in FLOORS:
        return FLOORS[name]
    package = name.rpartition(".")[0]
    return FLOORS.get(f"{package}.*", FLOORS.get(f"{name}.*"))


def _modules() -> dict[str, Path]:
    paths = [*ROOT.glob("mailnotify/**/*.py"), *ROOT.glob("twisted/**/*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(paths)
    }


MODULES = _modules()
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imports(name: str) -> Iterator[str]:
    """What a module imports anywhere in it, as dotted names of modules or of things in them."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> set[str]:
    """The modules of ours that a module imports."""
    ours = {each for each in imports(name) if each.startswith("mailnotify")}
    return {each if each in MODULES else each.rpartition(".")[0] for each in ours} - {name}


def _package(name: str) -> str:
    return name.rpartition(".")[0]


class FloorTests(SynchronousTestCase):
    """Who reads a module knows what it cannot touch."""

    def test_every_module_has_a_floor(self) -> None:
        """A new module is put somewhere on purpose."""
        self.assertEqual([name for name in MODULES if floor(name) is None], [])

    def test_every_named_module_exists(self) -> None:
        """The tables speak of this house."""
        named = {each.removesuffix(".*") for each in FLOORS}.union(*SIBLINGS)
        self.assertEqual(named - set(MODULES), set())

    def test_imports_go_down(self) -> None:
        """Nothing below knows of anything above."""
        wrong = [
            f"{name} -> {other}"
            for name in MODULES
            for other in own_imports(name)
            if (floor(other) or 0) > (floor(name) or 0)
        ]
        self.assertEqual(wrong, [])

    def test_siblings_with_twisted_do_not_know_one_another(self) -> None:
        """They meet in taps: each can be replaced alone."""
        wrong = [
            f"{name} -> {other}"
            for name in MODULES
            for other in own_imports(name)
            if floor(name) == floor(other) == 2
            and (_package(name) == "mailnotify" or _package(name) != _package(other))
            and (name, other) not in SIBLINGS
        ]
        self.assertEqual(wrong, [])

    def test_nothing_imports_in_circles(self) -> None:
        """There is an order in which to read all of it."""
        order = TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order()
        self.assertEqual(set(order), set(MODULES))

    def test_the_ground_floor_is_pure(self) -> None:
        """Bytes and rules need the standard library and msgspec, and not the world."""
        allowed = (sys.stdlib_module_names - IMPURE) | {"msgspec", "mailnotify"}
        self.assertEqual(self._foreign(0, allowed), [])

    def test_the_first_floor_knows_only_the_types_of_twisted(self) -> None:
        """What all agree on needs no running framework."""
        types = {"twisted.internet.interfaces", "zope.interface"}
        allowed = sys.stdlib_module_names | {"msgspec", "mailnotify", "keyring", "selectolax"}
        self.assertEqual(self._foreign(1, allowed, types), [])

    def _foreign(self, level: int, allowed: set[str], types: set[str] | None = None) -> list[str]:
        return [
            f"{name} -> {other}"
            for name in MODULES
            for other in imports(name)
            if floor(name) == level
            and other.partition(".")[0] not in allowed
            and _package(other) not in (types or ())
        ]

    def test_only_the_top_floor_knows_the_reactor(self) -> None:
        """Everything below gets its clock and its endpoints from above."""
        wrong = [
            name
            for name in MODULES
            if (floor(name) or 0) < 3 and "twisted.internet.reactor" in set(imports(name))
        ]
        self.assertEqual(wrong, [])


class SizeTests(SynchronousTestCase):
    """What is read is short."""

    def test_modules_are_short(self) -> None:
        """One noun each."""
        lengths = {
            name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()
        }
        wrong = {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_MODULE}
        self.assertEqual(wrong, {})

    def test_functions_are_short(self) -> None:
        """Each fits a screen."""
        wrong = [
            f"{name}.{node.name}: {_length(node)}"
            for name, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and _length(node) > MOST_LINES_OF_A_FUNCTION
        ]
        self.assertEqual(wrong, [])

    def test_packages_hold_nothing_but_their_docstring(self) -> None:
        """A name is imported from where it is defined."""
        for name, path in MODULES.items():
            if path.name == "__init__.py":
                rest = TREES[name].body[1:]
                names = [each.targets[0].id for each in rest if isinstance(each, ast.Assign)]  # type: ignore[attr-defined]
                self.assertIsNotNone(ast.get_docstring(TREES[name]), name)
                self.assertEqual(names, ["__version__"] if name == "mailnotify" else [], name)
                self.assertEqual(len(names), len(rest), name)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    of_docstring = docstring.end_lineno - docstring.lineno + 1 if docstring else 0  # type: ignore[operator]
    return node.end_lineno - node.lineno + 1 - of_docstring  # type: ignore[operator]


class TreeTests(SynchronousTestCase):
    """What lies around the code."""

    def test_twisted_stays_a_package_of_twisted(self) -> None:
        """An `__init__.py` of ours would break Twisted, or hide the plugins without a word."""
        self.assertEqual(list(ROOT.glob("twisted/**/__init__.py")), [])

    def test_no_file_knows_the_machine_it_was_written_on(self) -> None:
        """No path of a developer, no tab (but where make and raw mail need them)."""
        homes = tuple(f"/{name}/" for name in ("work", "root", "home/user"))
        for path in self._texts():
            text = path.read_text("utf-8")
            self.assertFalse([home for home in homes if home in text], path)
            self.assertNotIn("\t", text, path)

    def _texts(self) -> Iterator[Path]:
        folders = ("mailnotify", "twisted", "tests", "docs", "benchmarks", "contrib")
        for folder in folders:
            for path in (ROOT / folder).rglob("*"):
                if path.suffix in (".py", ".rst", ".sql", ".toml", ".sh", ".lua", ".service"):
                    yield path
        yield from (each for each in ROOT.iterdir() if each.suffix in (".rst", ".cfg", ".toml"))
