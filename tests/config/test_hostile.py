"""Documents that nobody would write on purpose."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mailnotify.config.layout import sections
from mailnotify.config.schema import Config
from mailnotify.errors import ConfigInvalid
from tests.config.documents import read

SECRET = "hunter2"

_KEYS = sorted({field.name for section in sections() for field in section.fields} | {"submission"})
_PLAIN: Any = (
    st.integers()
    | st.floats()
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
_VALUES = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*_KEYS, "command", "file", "env", "keyring", "ca_file", "fingerprint"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def toml(value: object) -> str:
    """A value as TOML, tables inline."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(value[key])}" for key in value) + "}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case str():
            return (
                json.dumps(value).replace("\x7f", "\\u007f") if value.isascii() else quoted(value)
            )
        case bool():
            return str(value).lower()
    return str(value)


def quoted(text: str) -> str:
    """A basic string of TOML with every character escaped."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


class HostileDocumentTests(SynchronousTestCase):
    """Any document of TOML is a configuration or has problems."""

    @settings(max_examples=300, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5), st.sampled_from(sections())
    )
    def test_never_anything_else(self, entries: dict[str, object], section: Any) -> None:
        """Whatever stands in a table, the outcome is a value or problems of one line each."""
        heading = section.heading.replace("NAME", "home")
        lines = [f"{key} = {toml(value)}" for key, value in entries.items()]
        try:
            config = read("\n".join([f"[{heading}]", *lines]))
        except ConfigInvalid as error:
            for problem in error.problems:
                self.assertTrue(str(problem).isprintable(), problem)
        else:
            self.assertIsInstance(config, Config)

    def test_secrets_in_wrong_places(self) -> None:
        """A password in a place where it does not belong is never shown."""
        places = [
            f'server = "{SECRET}"',
            f'server = ["{SECRET}"]',
            f'server = "imaps://ada:{SECRET}@imap.example.org"',
            f'user = ["{SECRET}"]',
            f'user = "{SECRET}\\n"',
            f'secret = "{SECRET}"',
            f'password = ["{SECRET}"]',
            f'password = {{text = "{SECRET}"}}',
            f'password = {{command = "{SECRET}"}}',
            f'password = {{keyring = ["{SECRET}"]}}',
            f'trust = "{SECRET}"',
            f'trust = {{fingerprint = "{SECRET}"}}',
            f'mailboxes = "{SECRET}"',
            f'timing = "{SECRET}"',
            f'timing = {{poll_seconds = "{SECRET}"}}',
            f'submission = "{SECRET}"',
            f'submission = {{sender = "{SECRET}"}}',
            f'submission = {{server = "smtps://ada:{SECRET}@smtp.example.org"}}',
            f'provider = "a:{SECRET}"',
        ]
        for line in places:
            with self.assertRaises(ConfigInvalid) as caught:
                read(f"[accounts.home]\n{line}\n")
            self.assertNotIn(SECRET, f"{caught.exception} {caught.exception!r}", line)
        with self.assertRaises(ConfigInvalid) as caught:
            read(f'accounts = "{SECRET}"')
        self.assertNotIn(SECRET, str(caught.exception))
